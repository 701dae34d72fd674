//! What a node is, and how that is printed.

use std::borrow::Cow;
use std::fmt::Write;

use super::column::Column;
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

/// What all nodes are, in columns.
#[derive(Clone, Debug, Default)]
pub struct Infos {
    len: usize,
    names: Column<Text>,
    addresses: Column<u64>,
    files: Column<Text>,
    start_lines: Column<i64>,
    lines: Column<i64>,
    columns: Column<i64>,
    objects: Column<Text>,
}

impl Infos {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The one with this number.
    #[must_use]
    pub fn get(&self, number: u32) -> Info {
        let at = number as usize;
        Info {
            name: self.names.get(at),
            address: self.addresses.get(at),
            file: self.files.get(at),
            start_line: self.start_lines.get(at),
            line: self.lines.get(at),
            column: self.columns.get(at),
            object: self.objects.get(at),
        }
    }

    /// All, in the order of their numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Info> {
        (0..self.len).map(|at| self.get(at as u32))
    }

    /// Adds one, with the next number.
    pub(super) fn push(&mut self, info: Info) {
        let Info { name, address, file, start_line, line, column, object } = info;
        let at = self.len;
        self.names.set(at, name);
        self.addresses.set(at, address);
        self.files.set(at, file);
        self.start_lines.set(at, start_line);
        self.lines.set(at, line);
        self.columns.set(at, column);
        self.objects.set(at, object);
        self.len += 1;
    }

    /// Calls them otherwise.
    pub fn rename(&mut self, mut other: impl FnMut(Text) -> Text) {
        self.names.iter_mut().for_each(|name| *name = other(*name));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_what_it_was_whatever_others_have() {
        let mut texts = Texts::default();
        let texts = ["", "a", "b", "c", "d", "e"].map(|text| texts.intern(text));
        let text = |place: usize| texts[place];
        let all = [
            Info::default(),
            Info { name: text(1), line: 7, ..Info::default() },
            Info { address: u64::MAX, object: text(2), ..Info::default() },
            Info { file: text(3), start_line: -1, column: i64::MIN, ..Info::default() },
            Info { name: text(4), ..Info::default() },
            Info::default(),
        ];
        let mut infos = Infos::default();
        assert!(infos.is_empty());
        all.iter().for_each(|info| infos.push(*info));
        assert_eq!(infos.len(), all.len());
        assert!(infos.iter().eq(all));
        infos.rename(|name| if name == text(4) { text(5) } else { name });
        assert_eq!(infos.get(4), Info { name: text(5), ..Info::default() });
        assert!(infos.iter().take(4).eq(all[..4].iter().copied()));
    }
}
