//! What a node is, and how that is printed.

use std::borrow::Cow;
use std::fmt::Write;

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

/// The last part of a path.
#[must_use]
pub fn base(path: &str) -> &str {
    if path.is_empty() {
        return ".";
    }
    let path = path.trim_end_matches('/');
    if path.is_empty() { "/" } else { path.rsplit('/').next().unwrap_or(path) }
}

/// A path without parts that lead nowhere, by its characters alone.
#[must_use]
pub fn clean(path: &str) -> Cow<'_, str> {
    if path.is_empty() {
        return Cow::Borrowed(".");
    }
    let is_rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if is_rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    let cleaned = match (is_rooted, joined.as_str()) {
        (true, rest) => format!("/{rest}"),
        (false, "") => ".".to_owned(),
        (false, _) => joined,
    };
    if cleaned == path { Cow::Borrowed(path) } else { Cow::Owned(cleaned) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        let cases = [
            ("", "."),
            ("a//b/./c/", "a/b/c"),
            ("/../a", "/a"),
            ("a/../..", ".."),
            ("./x", "x"),
            ("/", "/"),
        ];
        for (path, cleaned) in cases {
            assert_eq!(clean(path), cleaned, "{path}");
        }
    }
}
