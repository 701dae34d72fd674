//! What a node is, and how that is printed.

use std::borrow::Cow;
use std::fmt::Write;

use crate::paths::base;
use crate::profile::{Text, Texts};

/// What a report tells apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Info {
    /// Of the function.
    pub name: Text,
    /// Zero if addresses are not told apart.
    pub address: u64,
    /// Source file.
    pub file: Text,
    /// Of the function; zero if that is not told apart.
    pub start_line: i64,
    /// Zero if lines are not told apart.
    pub line: i64,
    /// Zero if columns are not told apart.
    pub column: i64,
    /// The object; empty if that is not told apart.
    pub object: Text,
}

impl Info {
    /// As reports print it.
    #[must_use]
    pub fn printable<'t>(&self, texts: &'t Texts) -> Cow<'t, str> {
        let name = texts.get(self.name);
        if self.address == 0 && self.line == 0 && self.file.is_empty() && !self.name.is_empty() {
            return Cow::Borrowed(name);
        }
        Cow::Owned(self.join(name, texts.get(self.file), texts.get(self.object), " "))
    }

    /// The same with other texts in the places of those of the node.
    #[must_use]
    pub fn join(&self, name: &str, file: &str, object: &str, separator: &str) -> String {
        let mut text = String::new();
        if self.address != 0 {
            let _ = write!(text, "{:016x}", self.address);
        }
        let add = |text: &mut String, part: &str| {
            if !text.is_empty() {
                text.push_str(separator);
            }
            text.push_str(part);
        };
        if !name.is_empty() {
            add(&mut text, name);
        }
        if self.line != 0 {
            let mut place = format!("{file}:{}", self.line);
            if self.column != 0 {
                let _ = write!(place, ":{}", self.column);
            }
            add(&mut text, &place);
        } else if !file.is_empty() {
            add(&mut text, file);
        } else if !name.is_empty() {
        } else if !object.is_empty() {
            add(&mut text, &format!("[{}]", base(object)));
        } else {
            add(&mut text, "<unknown>");
        }
        text
    }
}
