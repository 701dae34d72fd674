//! Names with less in them.

use std::sync::LazyLock;

use regex::Regex;

/// A name as pictures have it, without what most names of a program begin with.
#[must_use]
pub fn shorten(name: &str) -> String {
    static GO_VERSION: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^(.*?)/v(?:[2-9]|[1-9][0-9]+)([./].*)$").expect("an expression")
    });
    static SHORT: LazyLock<[Regex; 3]> = LazyLock::new(|| {
        let go = r"^(?:[0-9A-Za-z_\-\.]+/)+([^.]+\..+)";
        let java = r"^(?:[a-z][0-9A-Za-z_]*\.)*([A-Z][0-9A-Za-z_\$]*\.(?:<init>|[a-z][0-9A-Za-z_\$]*(?:\$[0-9]+)?))(?:(?:\()|$)";
        let cpp = r"^(?:[_a-zA-Z][0-9A-Za-z_]*::)+(_*[A-Z][0-9A-Za-z_]*::~?[_a-zA-Z][0-9A-Za-z_]*(?:<.*>)?)";
        [go, java, cpp].map(|text| Regex::new(text).expect("an expression"))
    });
    let name = name.strip_prefix("(anonymous namespace)::").unwrap_or(name);
    let name = GO_VERSION.replace(name, "$1$2");
    let found = SHORT.iter().find_map(|regex| regex.captures(&name));
    found.and_then(|found| Some(found.get(1)?.as_str().to_owned())).unwrap_or(name.into_owned())
}

/// A name of Rust without the modules of its paths: `<alloc::vec::Vec<T> as core::ops::Index>::index` is `Vec<T>::index`, and a function of a module
/// has that one before it.
#[must_use]
pub fn without_modules(name: &str) -> String {
    let segments = segments(name);
    let is_part = |segment: &&&str| segment.starts_with('{');
    // Closures are of the function before them.
    let parts = segments.iter().rev().take_while(is_part).count();
    let function = segments.len() - parts;
    let is_type = |segment: &&str| segment.starts_with(|c: char| c == '<' || c.is_uppercase());
    let from = segments[..function].iter().position(is_type);
    let from = from.unwrap_or(function.saturating_sub(2));
    let shown: Vec<String> = segments[from..].iter().map(|segment| of_segment(segment)).collect();
    shown.join("::")
}

/// What is between `::`, but within brackets.
fn segments(name: &str) -> Vec<&str> {
    let (mut segments, mut depth, mut start) = (Vec::new(), 0i32, 0);
    let bytes = name.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'<' | b'(' | b'[' | b'{' => depth += 1,
            // Not of an arrow.
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' | b')' | b']' | b'}' => depth -= 1,
            b':' if depth <= 0 && bytes.get(at + 1) == Some(&b':') && at >= start => {
                segments.push(&name[start..at]);
                start = at + 2;
            }
            _ => {}
        }
    }
    segments.push(&name[start..]);
    segments
}

/// `Vec<T>` of `<alloc::vec::Vec<T> as core::ops::Index>`, and of other segments their arguments without modules.
fn of_segment(segment: &str) -> String {
    static MODULES: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?:[\p{L}_][\p{L}\p{N}_]*::)+").expect("an expression"));
    let inner = segment.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    let ty = inner.map_or(segment, |inner| match inner.strip_prefix("impl ") {
        Some(implementation) => {
            split_outside(implementation, " for ").map_or(implementation, |(_, ty)| ty)
        }
        None => split_outside(inner, " as ").map_or(inner, |(ty, _)| ty),
    });
    MODULES.replace_all(ty, "").into_owned()
}

/// Both sides of a word that is not within brackets.
fn split_outside<'n>(text: &'n str, word: &str) -> Option<(&'n str, &'n str)> {
    text.match_indices(word).map(|(at, _)| (&text[..at], &text[at + word.len()..])).find(
        |(before, _)| {
            let count = |c: char| before.matches(c).count();
            count('<') == count('>') - before.matches("->").count()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shortened() {
        let cases = [
            ("github.com/google/pprof/v2/internal.(*X).y", "internal.(*X).y"),
            ("java.lang.Thread.run", "Thread.run"),
            ("foo::bar::Baz::run", "Baz::run"),
            ("(anonymous namespace)::f", "f"),
            ("app::server::run", "app::server::run"),
        ];
        for (name, short) in cases {
            assert_eq!(shorten(name), short, "{name}");
        }
    }

    #[test]
    fn modules_are_left_out() {
        for (name, short) in [
            ("<alloc::vec::Vec<T,A> as core::ops::index::Index<I>>::index", "Vec<T,A>::index"),
            ("alloc::vec::Vec<a::B>::push", "Vec<B>::push"),
            ("app::server::run", "server::run"),
            ("app::server::run::{{closure}}::{{closure}}", "server::run::{{closure}}::{{closure}}"),
            ("main", "main"),
            ("app::main", "app::main"),
            ("core::ptr::mut_ptr::<impl *mut T>::add", "*mut T::add"),
            ("app::<impl core::fmt::Display for app::a::B>::fmt", "B::fmt"),
            ("<F as core::ops::FnOnce<(a::B,)>>::call_once", "F::call_once"),
            ("<dyn core::ops::Fn(a::B) -> c::D as e::F>::g", "dyn Fn(B) -> D::g"),
            ("core::iter::map::map_fold::{{closure}}", "map::map_fold::{{closure}}"),
            ("std::vector<int>::push_back", "vector<int>::push_back"),
            ("github.com/a/b.(*T).Run", "github.com/a/b.(*T).Run"),
            ("", ""),
            ("::", "::"),
            ("a::b>::c<", "b>::c<"),
        ] {
            assert_eq!(without_modules(name), short, "{name}");
        }
    }
}
