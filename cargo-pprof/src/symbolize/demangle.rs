//! Names as people read them.

use std::borrow::Cow;

use cpp_demangle::DemangleOptions;

/// How names are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without parameters and template arguments.
    Short,
    /// Without parameters.
    Templates,
    /// Whole.
    Full,
    /// As linkers know them.
    Mangled,
}

/// A name of C++ or Rust as people read it; any other as it is, but without what looks like parameters of C++.
#[must_use]
pub fn demangle(name: &str, style: Style) -> Cow<'_, str> {
    if style == Style::Mangled {
        return Cow::Borrowed(name);
    }
    if let Some(demangled) = known(name, style) {
        return Cow::Owned(demangled);
    }
    // Some systems put a line in front of all.
    if let Some(demangled) = name.strip_prefix('_').and_then(|name| known(name, style)) {
        return Cow::Owned(demangled);
    }
    if style == Style::Full || !looks_like_cpp(name) {
        return Cow::Borrowed(name);
    }
    let mut name = Cow::Borrowed(name);
    for (open, close) in [('(', ')'), ('<', '>')] {
        if name.contains([open, close]) && (open == '(' || style == Style::Short) {
            name = Cow::Owned(without(&name, open, close));
        }
    }
    name
}

fn known(name: &str, style: Style) -> Option<String> {
    // Most names of a profile are readable already.
    if !name.starts_with(['_', 'R', 'Z']) {
        return None;
    }
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        return Some(format!("{rust:#}"));
    }
    if !name.starts_with("_Z") {
        return None;
    }
    let symbol = cpp_demangle::Symbol::new(name).ok()?;
    if style == Style::Full {
        return symbol.demangle(&DemangleOptions::new()).ok();
    }
    let options = DemangleOptions::new().no_params().no_return_type();
    let name = symbol.demangle(&options).ok()?;
    Some(if style == Style::Short { without(&name, '<', '>') } else { name })
}

fn looks_like_cpp(name: &str) -> bool {
    let is_java_or_go = name.contains(".<") || name.contains("]).");
    !is_java_or_go && (name.contains(['<', '>', '[', ']']) || name.contains("::"))
}

/// Without what is between brackets, up to where they do not match.
fn without(name: &str, open: char, close: char) -> String {
    let mut out = String::with_capacity(name.len());
    let (mut depth, mut start) = (0usize, 0);
    for (at, c) in name.char_indices() {
        if c == open {
            if depth == 0 {
                start = at;
            }
            depth += 1;
        } else if c == close {
            if depth == 0 {
                return out + &name[at..];
            }
            depth -= 1;
        } else if depth == 0 {
            out.push(c);
        }
    }
    if depth > 0 {
        out.push_str(&name[start..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_readable() {
        let cases = [
            ("_ZN3foo3barEi", "foo::bar"),
            ("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt"),
            ("foo::bar(int)", "foo::bar"),
            ("std::vector<int>::push(int)", "std::vector::push"),
            ("main.(*T).Run", "main.(*T).Run"),
            ("a::b)c", "a::b)c"),
            ("a::b(c", "a::b(c"),
        ];
        for (mangled, name) in cases {
            assert_eq!(demangle(mangled, Style::Short), name);
        }
    }
}
