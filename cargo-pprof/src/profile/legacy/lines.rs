//! Lines of text, and what expressions find in them.

use regex::Regex;

/// Walks over lines. The one that was read last can be asked for again: where a section ends is known only from the line after it.
#[derive(Debug)]
pub(super) struct Lines<'t> {
    rest: &'t str,
    current: &'t str,
}

impl<'t> Lines<'t> {
    pub(super) fn of(text: &'t str) -> Lines<'t> {
        Lines { rest: text, current: "" }
    }

    /// The next line, without its end.
    pub(super) fn advance(&mut self) -> Option<&'t str> {
        if self.rest.is_empty() {
            self.current = "";
            return None;
        }
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.current = line.strip_suffix('\r').unwrap_or(line);
        self.rest = rest;
        Some(self.current)
    }

    /// The first of the lines from here on that says something, and is no remark; empty if there is none.
    pub(super) fn heading(&mut self) -> &'t str {
        while self.advance().is_some_and(is_blank) {}
        self.current
    }

    /// The line that was read last; empty before the first and after the last one.
    pub(super) fn current(&self) -> &'t str {
        self.current
    }
}

/// Whether a line says nothing, or is a remark.
pub(super) fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// Compiles an expression of this crate's own. Its classes are spelled out, as `\d` and the like are of ASCII in Go, and of Unicode here.
pub(super) fn expression(text: &str) -> Regex {
    Regex::new(text).expect("it is in the source, and compiled in tests")
}

/// What the groups of an expression hold, empty where they do not take part.
pub(super) fn groups<'t, const N: usize>(regex: &Regex, text: &'t str) -> Option<[&'t str; N]> {
    let found = regex.captures(text)?;
    Some(std::array::from_fn(|i| found.get(i + 1).map_or("", |group| group.as_str())))
}

#[cfg(test)]
mod tests {
    use super::{Lines, expression, groups};

    #[test]
    fn lines_end_with_or_without_an_end() {
        let mut lines = Lines::of("# a\r\n\n b\r\r\nc");
        assert_eq!(lines.heading(), " b\r");
        assert_eq!(lines.advance(), Some("c"));
        assert_eq!(lines.current(), "c");
        assert_eq!((lines.advance(), lines.current()), (None, ""));
        assert_eq!(Lines::of("#").heading(), "");
    }

    #[test]
    fn groups_that_take_no_part_are_empty() {
        let regex = expression("(a)|(b)");
        assert_eq!(groups(&regex, "xb"), Some(["", "b"]));
        assert_eq!(groups::<2>(&regex, "x"), None);
    }
}
