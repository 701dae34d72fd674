//! Regular expressions as `go tool pprof` has them.
//!
//! Both dialects come from RE2. What is told differently is put into the words of ours first: `\d`, `\s`, `\w` and `\b` are of ASCII there, a
//! brace that counts nothing is a brace, and brackets know no set operations.

use regex::Regex;

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
        check(source)?;
        let regex = Regex::new(&translate(source)).map_err(first_line)?;
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

/// What the other dialect refuses and ours would take.
fn check(source: &str) -> Result<(), String> {
    let mut before = None;
    let mut is_escaped = false;
    for c in source.chars() {
        if is_escaped {
            (is_escaped, before) = (false, None);
            continue;
        }
        is_escaped = c == '\\';
        if matches!(c, '*' | '+') && before == Some('*') || c == '*' && before == Some('+') {
            return Err(format!("invalid nested repetition operator in {source:?}"));
        }
        before = Some(c);
    }
    Ok(())
}

fn translate(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len() + 16);
    let (mut at, mut in_class) = (0, false);
    while at < chars.len() {
        let c = chars[at];
        let rest = &chars[at + 1..];
        at += 1;
        match (c, in_class) {
            ('\\', _) => {
                let Some(&escaped) = rest.first() else {
                    out.push('\\');
                    break;
                };
                at += 1;
                if escaped == 'Q' && !in_class {
                    let end = chars[at..].windows(2).position(|w| w == ['\\', 'E']);
                    let quoted = &chars[at..end.map_or(chars.len(), |end| at + end)];
                    out.push_str(&regex::escape(&quoted.iter().collect::<String>()));
                    at += quoted.len() + if end.is_some() { 2 } else { 0 };
                    continue;
                }
                match (escaped, in_class) {
                    ('d', false) => out.push_str("[0-9]"),
                    ('D', false) => out.push_str("[^0-9]"),
                    ('w', false) => out.push_str("[0-9A-Za-z_]"),
                    ('W', false) => out.push_str("[^0-9A-Za-z_]"),
                    ('s', false) => out.push_str(r"[\t\n\f\r ]"),
                    ('S', false) => out.push_str(r"[^\t\n\f\r ]"),
                    ('d', true) => out.push_str("0-9"),
                    ('w', true) => out.push_str("0-9A-Za-z_"),
                    ('s', true) => out.push_str(r"\t\n\f\r "),
                    ('D', true) => out.push_str("[^0-9]"),
                    ('W', true) => out.push_str("[^0-9A-Za-z_]"),
                    ('S', true) => out.push_str(r"[^\t\n\f\r ]"),
                    ('b', false) => out.push_str(r"(?-u:\b)"),
                    ('B', false) => out.push_str(r"(?-u:\B)"),
                    ('/' | '"' | '\'' | '`' | ',' | ':' | ';' | '=' | '@' | '!' | '%' | '_', _) => {
                        out.push(escaped);
                    }
                    _ => out.extend(['\\', escaped]),
                }
            }
            ('[', false) => {
                in_class = true;
                out.push('[');
                // A caret and a bracket at the start are not what they are elsewhere.
                if chars.get(at) == Some(&'^') {
                    out.push('^');
                    at += 1;
                }
                if chars.get(at) == Some(&']') {
                    out.push_str(r"\]");
                    at += 1;
                }
            }
            ('[', true) if rest.first() == Some(&':') => {
                let end = rest.windows(2).position(|w| w == [':', ']']);
                let len = end.map_or(0, |end| end + 2);
                out.push('[');
                out.extend(&rest[..len]);
                at += len;
            }
            ('[' | '&' | '~', true) => out.extend(['\\', c]),
            (']', true) => {
                in_class = false;
                out.push(']');
            }
            ('{', false) if !counts(rest) => out.push_str(r"\{"),
            _ => out.push(c),
        }
    }
    out
}

/// Whether what follows a brace makes it a count, such as `2}`, `2,}` or `2,3}`.
fn counts(rest: &[char]) -> bool {
    let Some(end) = rest.iter().position(|c| *c == '}') else { return false };
    let inside = &rest[..end];
    let mut parts = inside.split(|c| *c == ',');
    let is_number = |part: &[char]| part.iter().all(char::is_ascii_digit);
    let first = parts.next().is_some_and(|part| !part.is_empty() && is_number(part));
    first && parts.next().is_none_or(is_number) && parts.next().is_none()
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
            (r"^\w+$", "abc_1"),
            (r"(?i)MAIN", "main"),
            (r"[]a]", "]"),
            (r"[[:digit:]]+", "x12"),
            (r"x{2,3}", "xx"),
        ];
        for (pattern, text) in yes {
            assert!(Pattern::new(pattern).unwrap().matches(text), "{pattern} in {text}");
        }
        assert!(!Pattern::new(r"^\w+$").unwrap().matches("ä"));
        for wrong in ["(", ")", "*", "[", "a**", "(?z)", "a\\"] {
            assert!(Pattern::new(wrong).is_err(), "{wrong}");
        }
    }
}
