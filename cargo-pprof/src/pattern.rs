//! Regular expressions as `go tool pprof` has them.
//!
//! Both dialects come from RE2. What is told differently is put into the words of ours first: `\d`, `\s`, `\w` and `\b` are of ASCII there, a
//! brace that counts nothing is a brace, and brackets know no set operations. What the other one refuses is refused.

use std::iter::Peekable;
use std::vec::IntoIter;

use regex::{Regex, RegexBuilder};

/// A regular expression and what it was written as.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    source: String,
}

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    /// It is none; says why.
    pub fn new(source: &str) -> Result<Pattern, String> {
        let first_line = |error: regex::Error| {
            let text = error.to_string();
            text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
        };
        let mut translation = Translation::new(source);
        translation.run()?;
        let mut builder = RegexBuilder::new(&translation.out);
        builder.size_limit(64 << 20).nest_limit(1000);
        let regex = builder.build().map_err(first_line)?;
        Ok(Pattern { regex, source: source.to_owned() })
    }

    /// Whether it is somewhere in `text`.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// As it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// Classes by name within brackets.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// What a count may ask for at most.
const MOST_TIMES: u64 = 1000;

/// An expression on its way from one dialect to the other.
struct Translation {
    rest: Peekable<IntoIter<char>>,
    out: String,
    /// The last thing was a count of the one before.
    is_counted: bool,
}

/// Characters of a class by its name, as they are within brackets.
fn perl_class(name: char) -> Option<&'static str> {
    match name {
        'd' | 'D' => Some("0-9"),
        's' | 'S' => Some(r"\t\n\f\r "),
        'w' | 'W' => Some("0-9A-Za-z_"),
        _ => None,
    }
}

/// A character as itself, within brackets or not.
fn literal(c: char) -> String {
    match c {
        '\n' => r"\n".to_owned(),
        c if c.is_ascii_punctuation() => regex::escape(&c.to_string()).replace('&', r"\&"),
        c => c.to_string(),
    }
}

impl Translation {
    fn new(source: &str) -> Translation {
        let chars: Vec<char> = source.chars().collect();
        Translation { rest: chars.into_iter().peekable(), out: String::new(), is_counted: false }
    }

    fn run(&mut self) -> Result<(), String> {
        while let Some(c) = self.rest.next() {
            let was_counted = std::mem::take(&mut self.is_counted);
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '*' | '+' | '?' => self.count(c.to_string(), was_counted)?,
                '{' => match self.braces() {
                    Some(count) => self.count(count, was_counted)?,
                    None => self.out.push_str(r"\{"),
                },
                '}' | ']' => self.out.push_str(&literal(c)),
                c => self.out.push(c),
            }
        }
        Ok(())
    }

    fn count(&mut self, count: String, was_counted: bool) -> Result<(), String> {
        let numbers = count.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
        if numbers.into_iter().any(|n| n.parse::<u64>().map_or(true, |n| n > MOST_TIMES)) {
            return Err(format!("invalid repeat count {count}"));
        }
        if was_counted {
            return Err(format!("invalid nested repetition operator {count}"));
        }
        self.out.push_str(&count);
        if self.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
        self.is_counted = true;
        Ok(())
    }

    /// `{2}`, `{2,}` or `{2,3}`, if that is what follows the brace.
    fn braces(&mut self) -> Option<String> {
        let inside: String = self.rest.clone().take_while(|c| *c != '}').collect();
        let (from, to) = inside.split_once(',').unwrap_or((&inside, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let is_closed = self.rest.clone().nth(inside.chars().count()) == Some('}');
        if !is_closed || !is_number(from) || !(to.is_empty() || is_number(to)) {
            return None;
        }
        self.rest.nth(inside.chars().count());
        Some(format!("{{{inside}}}"))
    }

    fn escape(&mut self) -> Result<(), String> {
        let Some(c) = self.rest.next() else { return Err("trailing backslash".to_owned()) };
        if let Some(class) = perl_class(c) {
            let not = if c.is_ascii_uppercase() { "^" } else { "" };
            self.out.push_str(&format!("[{not}{class}]"));
            return Ok(());
        }
        match c {
            'b' | 'B' => self.out.push_str(&format!(r"(?-u:\{c})")),
            'A' | 'z' => self.out.extend(['\\', c]),
            'p' | 'P' => self.unicode_class(c)?,
            'Q' => {
                let rest: String = self.rest.clone().collect();
                let quoted = rest.split(r"\E").next().unwrap_or_default();
                let skipped =
                    quoted.chars().count() + if quoted.len() < rest.len() { 2 } else { 0 };
                self.out.push_str(&regex::escape(quoted));
                self.rest.by_ref().take(skipped).for_each(drop);
            }
            'E' => {}
            c => {
                let c = self.escaped(c)?;
                self.out.push_str(&literal(c));
            }
        }
        Ok(())
    }

    /// The character that an escape stands for.
    fn escaped(&mut self, c: char) -> Result<char, String> {
        let simple = match c {
            'a' => '\x07',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'x' => return self.hexadecimal(),
            '0'..='7' => {
                let mut value = c.to_digit(8).unwrap_or(0);
                let mut digits = 1;
                while digits < 3
                    && let Some(digit) = self.rest.peek().and_then(|c| c.to_digit(8))
                {
                    value = value * 8 + digit;
                    digits += 1;
                    self.rest.next();
                }
                if digits == 1 && c != '0' {
                    return Err(format!(r"invalid escape sequence \{c}"));
                }
                char::from_u32(value).unwrap_or('\0')
            }
            c if c.is_ascii_punctuation() || c == ' ' => c,
            c => return Err(format!(r"invalid escape sequence \{c}")),
        };
        Ok(simple)
    }

    fn hexadecimal(&mut self) -> Result<char, String> {
        let wrong = || r"invalid escape sequence \x".to_owned();
        let digits: String = if self.rest.next_if_eq(&'{').is_some() {
            self.rest.by_ref().take_while(|c| *c != '}').collect()
        } else {
            self.rest.by_ref().take(2).collect()
        };
        let value = u32::from_str_radix(&digits, 16).map_err(|_| wrong())?;
        char::from_u32(value).ok_or_else(wrong)
    }

    /// `\pL`, `\p{Greek}` or `\p{^Greek}`.
    fn unicode_class(&mut self, p: char) -> Result<(), String> {
        let Some(first) = self.rest.next() else { return Err(format!(r"missing name of \{p}")) };
        let mut name = first.to_string();
        if first == '{' {
            name = self.rest.by_ref().take_while(|c| *c != '}').collect();
        }
        let is_not = (p == 'P') != name.starts_with('^');
        let (p, name) = (if is_not { 'P' } else { 'p' }, name.trim_start_matches('^'));
        self.out.push_str(&format!(r"\{p}{{{name}}}"));
        Ok(())
    }

    /// Flags and names of groups that both have.
    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        self.out.push('?');
        let ahead = self.rest.clone();
        let head: String = ahead.take_while(|c| !matches!(c, ':' | ')' | '>')).collect();
        let is_name = head.starts_with("P<") || head.starts_with('<');
        if !is_name && !head.chars().all(|c| matches!(c, 'i' | 'm' | 's' | 'U' | '-')) {
            return Err(format!("invalid or unsupported Perl syntax: (?{head}"));
        }
        self.out.push_str(&head);
        self.rest.by_ref().take(head.chars().count()).for_each(drop);
        Ok(())
    }

    /// What is between brackets: no set operations, no nesting.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut is_first = true;
        loop {
            let Some(c) = self.rest.next() else { return Err("missing closing ]".to_owned()) };
            if c == ']' && !is_first {
                self.out.push(']');
                return Ok(());
            }
            is_first = false;
            let Some(from) = self.class_item(c)? else { continue };
            let mut ahead = self.rest.clone();
            let is_range = ahead.next() == Some('-') && ahead.next().is_some_and(|c| c != ']');
            if !is_range {
                self.out.push_str(&literal(from));
                continue;
            }
            self.rest.next();
            let to = self.rest.next().unwrap_or('-');
            let to = match to {
                '\\' => {
                    let c = self.rest.next().unwrap_or('\\');
                    self.escaped(c)?
                }
                to => to,
            };
            if to < from {
                return Err(format!("invalid character class range {from}-{to}"));
            }
            self.out.push_str(&format!("{}-{}", literal(from), literal(to)));
        }
    }

    /// The character that may begin a range; nothing if a whole class has been taken over.
    fn class_item(&mut self, c: char) -> Result<Option<char>, String> {
        if c == '[' && self.rest.peek() == Some(&':') {
            let ahead: String = self.rest.clone().collect();
            // Of `[[:]` the colon is not the end's as well.
            if let Some(len) = ahead[1..].find(":]") {
                let name = &ahead[..len + 3];
                if !POSIX.contains(&ahead[1..=len].trim_start_matches('^')) {
                    return Err(format!("invalid character class range [{name}"));
                }
                self.out.push_str(&format!("[{name}"));
                let len = name.chars().count();
                self.rest.by_ref().take(len).for_each(drop);
                return Ok(None);
            }
        }
        if c != '\\' {
            return Ok(Some(c));
        }
        let Some(c) = self.rest.next() else { return Err("trailing backslash".to_owned()) };
        if let Some(class) = perl_class(c) {
            match c.is_ascii_uppercase() {
                true => self.out.push_str(&format!("[^{class}]")),
                false => self.out.push_str(class),
            }
            return Ok(None);
        }
        if matches!(c, 'p' | 'P') {
            self.unicode_class(c)?;
            return Ok(None);
        }
        self.escaped(c).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_dialects_say_the_same() {
        let yes = [
            (r"\bmain\b", "app::main"),
            (r"a{", "a{b"),
            (r"{closure}", "x::{closure}"),
            (r"[[a]", "["),
            (r"[&&]", "&"),
            (r"\Qa.b(\E+", "a.b(("),
            (r"\Q**\E", "a**"),
            (r"^\w+$", "abc_1"),
            (r"(?i)MAIN", "main"),
            (r"[]a]", "]"),
            (r"[[:digit:]]+", "x12"),
            (r"x{2,3}", "xx"),
            (r"^[\w-.]+$", "a-b.c"),
            (r"[*+]", "*"),
            (r"^[[:]+$", "[:"),
            (r"\p{Greek}", "α"),
            (r"\p{^Greek}", "a"),
            (r"\x{e9}\x41", "éA"),
            (r"\101", "A"),
            (r"\<init\>", "Foo.<init>"),
            (r"^[+--]$", ","),
            (r"^[--/]$", "."),
            (r"a+?b", "aab"),
            (r"(?P<x>a)(?s:.)", "a\n"),
        ];
        for (pattern, text) in yes {
            assert!(Pattern::new(pattern).unwrap().matches(text), "{pattern} in {text}");
        }
        assert!(!Pattern::new(r"^\w+$").unwrap().matches("ä"));
        assert!(!Pattern::new(r"\<init\>").unwrap().matches("init"));
        let wrong = [
            "(",
            ")",
            "*",
            "[",
            "a**",
            "(?z)",
            "a\\",
            "a++",
            "a?*",
            "a{2}*",
            "(?x)a",
            r"\u0041",
            r"\1",
            "a{1001}",
            "[[:foo:]]",
            "[b-a]",
        ];
        for wrong in wrong {
            assert!(Pattern::new(wrong).is_err(), "{wrong}");
        }
    }
}
