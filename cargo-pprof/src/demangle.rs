//! Names as people read them.

use std::borrow::Cow;
use std::fmt::{self, Write};

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
    // Some systems put a line in front of all. What is left with no name at all keeps the one that it has.
    let known = known(name, style).or_else(|| known(name.strip_prefix('_')?, style));
    if let Some(demangled) = known.filter(|demangled| !demangled.is_empty()) {
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
    if !name.starts_with('_') {
        return None;
    }
    let mut out = Bounded::of(name);
    if let Some(rust) = without_rust_suffix(name)
        && let Ok(rust) = rustc_demangle::try_demangle(&without_separators(rust))
    {
        write!(out, "{rust:#}").ok()?;
        let has_arguments = style == Style::Short && name.trim_start_matches('_').starts_with('R');
        return Some(if has_arguments { without_generics(&out.text) } else { out.text });
    }
    if !["_Z", "___Z", "____Z"].iter().any(|start| name.starts_with(start)) {
        return None;
    }
    let (symbol, rest) = cpp_demangle::BorrowedSymbol::with_tail(name.as_bytes()).ok()?;
    // What compilers add, and what it is of.
    let is_special = ["_ZT", "_ZGT"].iter().any(|start| name.starts_with(start));
    let is_thunk = ["_ZTh", "_ZTv", "_ZTc"].iter().any(|start| name.starts_with(start));
    // As the reference has it, nothing is wrong about what follows where no parameters are looked for, nor about an end too many.
    let has_parameters = is_thunk || !is_special && style == Style::Full;
    if has_parameters && !matches!(rest, [] | [b'E', ..]) {
        return None;
    }
    let mut options = DemangleOptions::new();
    if style != Style::Full && !is_special {
        options = options.no_params().no_return_type();
    }
    symbol.structured_demangle(&mut out, &options).ok()?;
    // Copies that a compiler makes of a function are that function.
    while out.text.ends_with(']')
        && let Some(start) = out.text.rfind(" [clone ")
    {
        out.text.truncate(start);
    }
    out.text = with_suffixes(with_literal_operator(with_standard_names(name, out.text)));
    out.text = without_empty_packs(out.text);
    if style != Style::Full {
        out.text = without_outer_parameters(&out.text);
    }
    if is_special {
        let name = special(&out.text).unwrap_or(out.text);
        return Some(if style == Style::Short { without_templates(&name) } else { name });
    }
    if style == Style::Full {
        return Some(out.text);
    }
    // What was said of the parameters' object goes with them.
    let mut short = out.text.as_str();
    while let Some(rest) =
        [" const", " volatile", " &&", " &"].iter().find_map(|end| short.strip_suffix(end))
    {
        short = rest;
    }
    Some(if style == Style::Short { without_templates(short) } else { short.to_owned() })
}

/// A name as Rust makes them, without what LLVM puts after it. Those of the older kind end in a hash: without one it is of C++.
fn without_rust_suffix(name: &str) -> Option<&str> {
    if name.starts_with("_R") {
        return name.split('.').next();
    }
    let name = name.rfind("E.").map_or(name, |at| &name[..=at]);
    let hash = name.strip_suffix('E')?.len().checked_sub("17h0123456789abcdef".len())?;
    (name.starts_with("_ZN") && name.get(hash..)?.starts_with("17h")).then_some(name)
}

/// An older name of Rust without the underscores that begin its parts: the reference takes one for the separator that newer names have there, and
/// shows `__rust_begin_short_backtrace` with one less.
fn without_separators(name: &str) -> Cow<'_, str> {
    const START: &str = "_ZN";
    let Some(mut rest) = name.strip_prefix(START) else { return Cow::Borrowed(name) };
    let mut changed = START.to_owned();
    while let Some(digits) = rest.find(|c: char| !c.is_ascii_digit()).filter(|count| *count > 0) {
        let (count, after) = rest.split_at(digits);
        let part = count.parse().ok().and_then(|count| after.split_at_checked(count));
        let Some((part, after)) = part else { return Cow::Borrowed(name) };
        // Before what stands for a sign it says nothing, and is left out anyway.
        let own = part.strip_prefix('_').filter(|own| !own.starts_with('$')).unwrap_or(part);
        changed += &format!("{}{own}", own.len());
        rest = after;
    }
    Cow::Owned(changed + rest)
}

/// What manglings have a letter for by its short name, but where it is constructed or destroyed.
fn with_standard_names(mangled: &str, mut name: String) -> String {
    if !name.contains("std::") {
        return name;
    }
    const STREAM: &str = "<char, std::char_traits<char> >";
    const STRING: &str = "<char, std::char_traits<char>, std::allocator<char> >";
    const CLASSES: [(&str, &str, &str); 4] = [
        ("istream", "basic_istream", STREAM),
        ("iostream", "basic_iostream", STREAM),
        ("ostream", "basic_ostream", STREAM),
        ("string", "basic_string", STRING),
    ];
    for (short, class, arguments) in CLASSES {
        let whole = format!("std::{class}{arguments}");
        // Unless it was written out.
        if short != "string" && name.contains(&whole) && !mangled.contains(class) {
            name = name.replace(&whole, &format!("std::{short}"));
        }
        for (sign, own) in [("", short), ("~", short), ("", class), ("~", class)] {
            let special = format!("std::{short}::{sign}{own}");
            let at = match name.find(&special) {
                // After `virtual thunk to` and the like.
                Some(at) if at == 0 || name[..at].ends_with(' ') => at,
                _ => continue,
            };
            let end = at + special.len();
            if !name[end..].starts_with(|c: char| c.is_alphanumeric() || c == '_') {
                name.replace_range(at..end, &format!("{whole}::{sign}{class}"));
            }
        }
    }
    if mangled.contains("Dn") {
        name = name.replace("std::nullptr_t", "decltype(nullptr)");
    }
    name
}

/// `operator"" _km` for what such a literal is made by.
fn with_literal_operator(mut name: String) -> String {
    if let Some(at) = name.find("::operator \"\"")
        && let Some(start) = name[..at].rfind("operator")
    {
        let suffix = name[start + "operator".len()..at].to_owned();
        let end = at + "::operator \"\"".len();
        name.replace_range(start..end, &format!("operator\"\" {suffix}"));
    }
    name
}

/// `1l` for `(long)1`.
fn with_suffixes(mut name: String) -> String {
    const SUFFIXES: [(&str, &str); 5] = [
        ("(long)", "l"),
        ("(unsigned long)", "ul"),
        ("(unsigned int)", "u"),
        ("(long long)", "ll"),
        ("(unsigned long long)", "ull"),
    ];
    for (cast, suffix) in SUFFIXES {
        name = with_suffix(name, cast, suffix);
    }
    name
}

/// Arguments that are packs of none take no place in a list.
fn without_empty_packs(mut name: String) -> String {
    for (empty, none) in [(", , ", ", "), ("(, ", "("), (", )", ")")] {
        while name.contains(empty) {
            name = name.replace(empty, none);
        }
    }
    // Those of an operator are none.
    if !name.contains("operator<, ") {
        name = name.replace("<, ", "<");
    }
    while let Some(at) = name.find(", >") {
        let bracket = if name[..at].ends_with('>') { " >" } else { ">" };
        name.replace_range(at..at + ", >".len(), bracket);
    }
    name
}

/// `f()::x` for `f(int)::x`: parameters of a function in which another thing is.
fn without_outer_parameters(name: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(name.len()), name);
    while let Some(end) = [")::", ") const::"].iter().filter_map(|end| rest.find(end)).min() {
        let mut depth = 0usize;
        let start = rest[..=end].char_indices().rev().find(|(_, c)| {
            match c {
                ')' => depth += 1,
                '(' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        let start = start.map_or(end, |(start, _)| start);
        let before = rest[..start].chars().next_back();
        // Not of `(anonymous namespace)`.
        let is_call = before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '>' | ')'));
        out += &rest[..if is_call { start + 1 } else { end }];
        out.push(')');
        rest = &rest[end + 1..];
    }
    out + rest
}

fn with_suffix(name: String, cast: &str, suffix: &str) -> String {
    if !name.contains(cast) {
        return name;
    }
    let mut parts = name.split(cast);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let sign = usize::from(part.starts_with('-'));
        let digits = part[sign..].bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = part.split_at(sign + digits);
        // It may be a cast, or a parameter of a function.
        let (before, after) = if digits == 0 { (cast, "") } else { ("", suffix) };
        out.extend([before, number, after, rest]);
    }
    out
}

/// `vtable for A` of `{vtable(A)}`: as all other tools have it.
fn special(name: &str) -> Option<String> {
    if let Some(pair) = name.strip_prefix("construction vtable for ") {
        // They come the other way round.
        let (derived, base) = pair.split_once("-in-")?;
        return Some(format!("construction vtable for {base}-in-{derived}"));
    }
    let inner = name.strip_prefix('{')?.strip_suffix(")}")?;
    let (kind, of) = inner.split_once('(')?;
    Some(match kind {
        "virtual override thunk" => {
            let (offset, of) = of.split_once(")}, ")?;
            if let Some((_, of)) = of.strip_prefix('{').and_then(|of| of.split_once(")}, ")) {
                return Some(format!("covariant return thunk to {of}"));
            }
            let is_virtual = offset.starts_with("{virtual");
            format!("{}virtual thunk to {of}", if is_virtual { "" } else { "non-" })
        }
        "vtt" => format!("VTT for {of}"),
        kind => format!("{kind} for {of}"),
    })
}

/// A name of C++ without template arguments; operators may look like their brackets.
fn without_templates(name: &str) -> String {
    const OPERATORS: [&str; 12] =
        ["<<=", ">>=", "<=>", "->*", "<<", ">>", "<=", ">=", "->", "<", ">", "()"];
    let (mut out, mut depth, mut rest) = (String::with_capacity(name.len()), 0usize, name);
    let mut is_in_word = false;
    while let Some(c) = rest.chars().next() {
        let starts = !is_in_word;
        is_in_word = c.is_alphanumeric() || c == '_';
        if let Some(after) = rest.strip_prefix("operator").filter(|_| starts) {
            let operator = OPERATORS.iter().find(|operator| after.starts_with(**operator));
            let length = "operator".len() + operator.map_or(0, |operator| operator.len());
            if depth == 0 {
                out.push_str(&rest[..length]);
            }
            rest = &rest[length..];
            continue;
        }
        if let Some(after) = rest.strip_prefix("->") {
            if depth == 0 {
                out.push_str("->");
            }
            rest = after;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '<' => depth += 1,
            '>' => match depth {
                // It is none of its kind: whatever it is, it stays.
                0 => return name.to_owned(),
                _ => depth -= 1,
            },
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out.trim_end().to_owned()
}

/// A name of Rust's newer mangling with `<>` for the arguments of types and functions: they are told apart by none then, as in the older one.
fn without_generics(name: &str) -> String {
    let (mut out, mut depth) = (String::with_capacity(name.len()), 0usize);
    let mut before = ' ';
    let mut chars = name.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' | '"' if depth > 0 => {
                let literal = literal(&name[at..]).chars().count();
                chars.by_ref().take(literal.saturating_sub(1)).for_each(drop);
            }
            '<' if depth > 0 => depth += 1,
            // After a name they are arguments, and elsewhere the type that a function is of.
            '<' if before.is_alphanumeric() || matches!(before, '_' | ':' | '}') => {
                out.push_str("<>");
                depth = 1;
            }
            '>' if depth > 0 && before != '-' => depth -= 1,
            _ if depth > 0 => {}
            c => out.push(c),
        }
        before = c;
    }
    if depth == 0 { out } else { name.to_owned() }
}

/// The characters or the text that starts here, whole; nothing if it is a lifetime.
fn literal(text: &str) -> &str {
    let mut chars = text.char_indices();
    let quote = chars.next().map(|(_, c)| c);
    let mut is_escaped = false;
    for (at, c) in chars {
        if Some(c) == quote && !is_escaped {
            return &text[..=at];
        }
        let is_last = text[at + c.len_utf8()..].starts_with('\'');
        if at == 1 && quote == Some('\'') && c != '\\' && !is_last {
            return "";
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    ""
}

/// A name as far as anybody would read it: some bytes of a mangled one can stand for more than there is memory.
struct Bounded {
    text: String,
    limit: usize,
}

impl Bounded {
    /// Of many names too: no more than each one's own size allows.
    fn of(mangled: &str) -> Bounded {
        Bounded { text: String::new(), limit: (1024 + 32 * mangled.len()).min(32 << 10) }
    }
}

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.text.len() + text.len() > self.limit {
            return Err(fmt::Error);
        }
        self.text.push_str(text);
        Ok(())
    }
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
    fn names_without_end_stay_as_they_are() {
        let doubled: String = (1..30).map(|n| format!("S{n:X}_IS{n:X}_S{n:X}_E")).collect();
        for name in
            [format!("_Z1fI1AIiiE{doubled}Evv"), format!("_RINvC1a1fT{}E", "TjjE".repeat(9))]
        {
            assert!(demangle(&name, Style::Full).len() <= Bounded::of(&name).limit.max(name.len()));
        }
        let nested = (0..40).fold("_ZN1a1bI1A".to_owned(), |name, _| name + "S_");
        assert!(demangle(&nested, Style::Short).len() <= Bounded::of(&nested).limit);
    }

    #[test]
    fn brackets_are_told_from_operators() {
        for (name, short) in [
            ("f<auto (int) -> int>::g", "f::g"),
            ("a::operator<<<char>", "a::operator<<"),
            ("operator-><A>", "operator->"),
            ("cooperator<x>", "cooperator"),
            ("operator bool", "operator bool"),
            ("a<operator< <b> >::c", "a::c"),
            ("a>b", "a>b"),
        ] {
            assert_eq!(without_templates(name), short, "{name}");
        }
    }

    #[test]
    fn names_are_made_readable() {
        let cases = [
            ("_ZN3foo3barEi", "foo::bar"),
            ("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt"),
            ("_ZNK3foo3barEi", "foo::bar"),
            // With what follows a name.
            ("_ZN3foo3barEi.isra.0.part.1", "foo::bar"),
            ("_ZN3foo3barE14", "foo::bar"),
            ("_ZN3foo3barEi@plt", "foo::bar"),
            ("_ZTV3foo.cold", "vtable for foo"),
            ("_ZN3foo3barE.cold", "foo::bar"),
            ("_ZThn16_N3foo3barEi@plt", "_ZThn16_N3foo3barEi@plt"),
            ("_ZN4core3fmt5write17h0123456789abcdefE.llvm.12", "core::fmt::write"),
            ("_ZN4core3fmt5write17h0123456789abcdefE.cold", "core::fmt::write"),
            ("_ZN4core3fmt5write17h0123456789abcdefE14", "core::fmt::write::h0123456789abcdef"),
            ("_RNvCs4fqI2P2rA04_3foo3bar.cold", "foo::bar"),
            // As the reference has it, with an underscore less.
            (
                "_ZN3std3sys9backtrace28__rust_begin_short_backtrace17h27c50d9c0123abcdE",
                "std::sys::backtrace::_rust_begin_short_backtrace",
            ),
            ("_ZN2_a2b_17h0123456789abcdefE", "a::b_"),
            (
                "_ZN58_$LT$alloc..string..String$u20$as$u20$core..fmt..Write$GT$9write_str17h0123456789abcdefE",
                "<alloc::string::String as core::fmt::Write>::write_str",
            ),
            ("ZN3foo3barE", "ZN3foo3barE"),
            ("_ZN17h0123456789abcdefE", "_ZN17h0123456789abcdefE"),
            ("_ZTch0_h16_N3foo3barEi", "covariant return thunk to foo::bar(int)"),
            ("___Z3foov_block_invoke", "invocation function for block in foo"),
            ("_ZTV3foo", "vtable for foo"),
            ("_ZTT3foo", "VTT for foo"),
            ("_ZTI3foo", "typeinfo for foo"),
            ("_ZThn16_N3foo3barEi", "non-virtual thunk to foo::bar(int)"),
            ("_ZTv0_n24_N3foo3barEi", "virtual thunk to foo::bar(int)"),
            ("_ZNO3foo3barEv", "foo::bar"),
            ("_ZlsIcEvT_", "operator<<"),
            ("_ZgtIcEvT_", "operator>"),
            ("_ZNSi3getEv", "std::istream::get"),
            ("_ZNSsC1Ev", "std::basic_string::basic_string"),
            ("_ZNSsixEm", "std::string::operator[]"),
            ("_ZTv0_n24_NSiD1Ev", "virtual thunk to std::basic_istream::~basic_istream()"),
            ("_ZTC1A0_1B", "construction vtable for B-in-A"),
            ("_ZZ1fiE1x", "f()::x"),
            ("_ZZN1A1fEiENK1B1gEv", "A::f()::B::g"),
            ("_ZN12_GLOBAL__N_11gEi", "(anonymous namespace)::g"),
            ("_ZptI1AEvT_", "operator->"),
            ("_Z11my_operatorIiEvv", "my_operator"),
            ("_RINvNtCs1234_4core3ptr13drop_in_placeNtC1a1BEC1c", "core::ptr::drop_in_place::<>"),
            ("_RNvINtC1a1bKc3c_E1f", "a::b::<>::f"),
            ("_RNCINvC1a1fKc3e_E0", "a::f::<>::{closure#0}"),
            ("_RNvMC1aINtC1a1BKc3c_E3foo", "<a::B<>>::foo"),
            ("_RNvINtC1a1bKc27_E1f", "a::b::<>::f"),
            ("_Zli3_kmy", "operator\"\" _km"),
            ("_ZN1Ali2_sEy", "A::operator\"\" _s"),
            ("foo::bar(int)", "foo::bar"),
            ("std::vector<int>::push(int)", "std::vector::push"),
            ("main.(*T).Run", "main.(*T).Run"),
            ("a::b)c", "a::b)c"),
            ("a::b(c", "a::b(c"),
        ];
        for (mangled, name) in cases {
            assert_eq!(demangle(mangled, Style::Short), name);
        }
        let templates = [
            ("_ZN1AILm5ELj6ELln7ELb1ELi8EE1fEv", "A<5ul, 6u, -7l, true, 8>::f"),
            ("_ZN1AIiJEE1fEv", "A<int>::f"),
            ("_ZN1AI1BIiEJEE1fEv", "A<B<int> >::f"),
            ("_ZN1AIJEJEiE1fEv", "A<int>::f"),
            ("_ZN1AIJEJEE1fEv", "A<>::f"),
            ("_ZN1AIDnE1fEv", "A<decltype(nullptr)>::f"),
        ];
        for (mangled, name) in templates {
            assert_eq!(demangle(mangled, Style::Templates), name);
        }
    }
}
