//! Which functions on the leaf side of an allocation's stack are the allocator's and the collections', and not the code that wanted memory.

/// Paths of crates and modules whose business it is to allocate for others. `core` only calls them back.
const OWNERS: [&str; 11] = [
    "allocator_api2::",
    "pprof_runtime::",
    "alloc::",
    "core::",
    "std::alloc::",
    "std::collections::",
    "hashbrown::",
    // What the compiler calls.
    "__rustc::",
    "__rust_",
    "__rdl_",
    "__rg_",
];

/// Whether a function with this name stands between the code that wanted memory and the allocator.
pub(super) fn is_internal(name: &str) -> bool {
    // `<a::B as c::D>::e` is of `a::B`, which is the user's if that is; what every type has (`<T as c::D>`) is of `c`.
    match name.strip_prefix('<') {
        None => is_owned(name),
        Some(rest) => match split(rest) {
            // A function: `<<a::B as c::D>::e as FnOnce>::call_once`.
            (ty, _) if ty.starts_with('<') => is_internal(ty),
            (ty, Some(of)) if is_any(ty) => is_internal(of),
            // Nobody else may give something to all slices, tuples and so on.
            (ty, of) if is_built_in(ty) => of.is_none_or(is_internal),
            // What every number has by itself is std's; and what is private to one of its functions.
            (ty, None) if is_any(ty) => true,
            (_, Some(of)) if of.starts_with('<') => is_internal(of),
            // A trait of the user's is, whatever has it.
            (ty, Some(of)) => is_owned(bare(ty)) && (is_owned(of) || of.starts_with("std::")),
            (ty, None) => is_owned(bare(ty)),
        },
    }
}

fn is_built_in(ty: &str) -> bool {
    ["[", "(", "*", "fn(", "unsafe fn(", "extern "].iter().any(|begin| ty.starts_with(begin))
}

fn is_owned(path: &str) -> bool {
    OWNERS.iter().any(|owner| path.starts_with(owner))
}

/// The type of the objects that a function with this name allocates, if its first type argument is that.
pub(super) fn object<'a>(name: &str, argument: &'a str) -> Option<&'a str> {
    // Others are generic over what they are called with.
    const HOLDERS: [&str; 7] = [
        "alloc::boxed::",
        "alloc::raw_vec::",
        "alloc::rc::",
        "alloc::slice::",
        "alloc::sync::",
        "alloc::vec::",
        "hashbrown::raw::",
    ];
    let path = match name.strip_prefix('<').map(split) {
        Some((ty, Some(of))) if is_any(ty) => of,
        Some((ty, _)) => bare(ty),
        None => name,
    };
    let is_holder = HOLDERS.iter().any(|holder| path.starts_with(holder));
    // Of these the first argument is an allocator, or an iterator.
    const OTHERS: [&str; 4] = ["RawVecInner", "RawTableInner", "do_alloc", "in_place_collect"];
    let tells_other = OTHERS.iter().any(|other| path.contains(other));
    (is_holder && !tells_other && !argument.ends_with("::Global")).then_some(argument)
}

/// The type and the trait of `a::B as c::D>::e`.
fn split(rest: &str) -> (&str, Option<&str>) {
    let mut depth = 0_i32;
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            b'<' => depth += 1,
            b'>' if rest.as_bytes().get(at.wrapping_sub(1)) != Some(&b'-') => depth -= 1,
            b' ' if depth == 0 && rest.get(at..).is_some_and(|r| r.starts_with(" as ")) => {
                return (rest.get(..at).unwrap_or(rest), rest.get(at + 4..));
            }
            _ => {}
        }
        if depth < 0 {
            return (rest.get(..at).unwrap_or(rest), None);
        }
    }
    (rest, None)
}

/// Whether a type is none of a crate's: a parameter, a slice, a reference to such, `str` or a number.
fn is_any(ty: &str) -> bool {
    !bare(ty).contains("::")
}

/// Without what is around it: `&mut [a::B]` is `a::B`.
fn bare(ty: &str) -> &str {
    let around: &[char] = &['&', '*', '[', '(', ' '];
    let bare = ty.trim_start_matches(around);
    let bare = ["mut ", "const ", "dyn "]
        .iter()
        .fold(bare, |ty, word| ty.strip_prefix(word).unwrap_or(ty));
    if bare.len() < ty.len() { self::bare(bare) } else { bare }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_that_of_what_is_held() {
        for (name, argument, expected) in [
            ("alloc::boxed::Box<T>::new", "app::Buffer", Some("app::Buffer")),
            ("<alloc::vec::Vec<T> as core::iter::FromIterator<T>>::from_iter", "u8", Some("u8")),
            ("<T as alloc::slice::hack::ConvertVec>::to_vec", "u8", Some("u8")),
            ("hashbrown::raw::RawTable<T,A>::reserve_rehash", "(u8, u8)", Some("(u8, u8)")),
            ("alloc::raw_vec::RawVecInner<A>::finish_grow", "alloc::alloc::Global", None),
            ("alloc::raw_vec::RawVecInner<A>::finish_grow", "app::Arena", None),
            ("alloc::vec::in_place_collect::from_iter_in_place", "app::Iter", None),
            ("hashbrown::raw::alloc::inner::do_alloc", "allocator_api2::alloc::Global", None),
            ("<T as alloc::string::ToString>::to_string", "i64", None),
            ("core::iter::traits::iterator::Iterator::collect", "app::Iter", None),
        ] {
            assert_eq!(object(name, argument), expected, "{name}");
        }
    }

    #[test]
    fn what_allocates_for_others_is_told_from_who_wants_memory() {
        for internal in [
            "__rust_alloc",
            "__rustc::__rust_alloc_zeroed",
            "__rdl_realloc",
            "pprof_runtime::source::heap::alloc",
            "<pprof_runtime::alloc::Alloc<A> as core::alloc::global::GlobalAlloc>::alloc",
            "alloc::alloc::exchange_malloc",
            "alloc::raw_vec::RawVecInner<A>::finish_grow",
            "<alloc::vec::Vec<T,A> as core::iter::traits::collect::Extend<T>>::extend",
            "<T as alloc::slice::<impl [T]>::to_vec_in::ConvertVec>::to_vec",
            "<T as alloc::string::ToString>::to_string",
            "<str as alloc::borrow::ToOwned>::to_owned",
            "<[T] as alloc::slice::Concat<T>>::concat",
            // As the newer mangling has them.
            "<u8 as <[_]>::to_vec_in::ConvertVec>::to_vec::<alloc::alloc::Global>",
            "<[u8]>::to_vec",
            "<[app::Buffer]>::to_vec",
            "<[app::Buffer] as alloc::slice::Concat<T>>::concat",
            "<app::Buffer as <[_]>::to_vec_in::ConvertVec>::to_vec",
            "<fn(app::Buffer) as core::ops::function::FnOnce<_>>::call_once",
            "<(u8, app::Buffer) as core::clone::Clone>::clone",
            "<alloc::vec::Vec<u8> as std::io::Write>::write_all",
            "<<alloc::boxed::Box<str> as core::convert::From<&str>>::from as core::ops::function::FnOnce<(&str,)>>::call_once",
            "core::iter::traits::iterator::Iterator::collect",
            "hashbrown::raw::RawTable<T,A>::reserve_rehash",
            "std::collections::hash::map::HashMap<K,V,S>::insert",
            "<core::iter::adapters::map::Map<I,F> as core::iter::traits::iterator::Iterator>::fold",
        ] {
            assert!(is_internal(internal), "{internal}");
        }
        for user in [
            "main",
            "app::alloc::grow",
            "<app::Buffer as core::clone::Clone>::clone",
            "<app::Buffer as alloc::borrow::ToOwned>::to_owned",
            "<&mut app::Buffer as core::iter::traits::iterator::Iterator>::next",
            "<[app::Buffer] as app::Fill>::fill",
            "<alloc::vec::Vec<u8> as app::Fill>::fill",
            "<app::Buffer>::grow",
            "<<app::Buffer>::grow as core::ops::function::FnOnce<()>>::call_once",
            "<<app::Buffer as core::clone::Clone>::clone as core::ops::function::FnOnce<()>>::call_once",
            "<dyn app::Shape>::grow",
            "std::thread::Builder::spawn",
            "std::io::buffered::bufreader::BufReader<R>::with_capacity",
            "__read",
            "__rewind",
            "allocate",
            "serde_json::de::from_str",
        ] {
            assert!(!is_internal(user), "{user}");
        }
    }
}
