//! What the names of functions say of a wait seen as a system call: which frames are a primitive's own, and what kind of primitive it is.
//!
//! The frames of a stack from the leaf up to the first that is nobody's but the user's or some other crate's are the primitive's *run*.
//! The innermost name that says something decides, if it is a lock's: a condition variable that locks its mutex again waits for a mutex.
//! Where it is a condition variable's or `park`'s, those above it say what it was used for: a channel, a barrier, a scope of threads.

use crate::symbol::SourceFrame;

/// Crates that only wait for others: std, and those whose locks and channels it is that wait.
const CRATES: [&str; 10] = [
    "std",
    "core",
    "alloc",
    "parking_lot",
    "parking_lot_core",
    "lock_api",
    "crossbeam_channel",
    "crossbeam_utils",
    "once_cell",
    "pprof_runtime",
];

/// Modules of other crates that do.
const MODULES: [&str; 3] = [
    "tokio::loom::std::",
    "tokio::runtime::park::",
    "tokio::runtime::scheduler::multi_thread::park::",
];

/// What nothing is known of.
pub(super) const UNKNOWN: &str = "futex";

/// Whether what is waited for is a lock.
pub(super) fn is_lock(kind: &str) -> bool {
    kind == "mutex" || kind == "once" || kind.starts_with("rwlock")
}

/// Whether a function is of the C library's, below the first of a thread that is the program's: as where debug information is installed.
pub(super) fn is_start(name: &str) -> bool {
    matches!(name, "start_thread" | "clone" | "__clone" | "clone3" | "__clone3")
}

/// Whether a function is a primitive's own.
pub(super) fn is_internal(name: &str) -> bool {
    // What drops a value tells more than the function that it was made part of: whose guard it is, of a crate that hides its locks.
    let dropped = name.strip_prefix("core::ptr::drop_in_place");
    if let Some(of) = dropped.filter(|of| of.contains("::")) {
        return is_of_primitives(&plain(of.trim_start_matches([':', '<'])));
    }
    let name = plain(name);
    if is_raw_lock(&name) {
        return true;
    }
    let Some(implementation) = name.strip_prefix('<') else { return is_of_primitives(&name) };
    match implementation.split_once(" as ") {
        // Of a type of theirs, or of any type.
        Some((of, interface)) => {
            is_of_primitives(interface) && (is_of_primitives(of) || !of.contains("::"))
        }
        None => is_of_primitives(implementation),
    }
}

/// Whether a path begins in a crate or module of theirs.
fn is_of_primitives(path: &str) -> bool {
    let path = path.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '_');
    let path = ["mut ", "dyn ", "const "].iter().fold(path, |p, word| p.trim_start_matches(word));
    match path.split_once("::") {
        Some((first, _)) => CRATES.contains(&first) || MODULES.iter().any(|m| path.starts_with(m)),
        None => false,
    }
}

/// What follows `RawMutex` or `RawRwLock` in the names of lock_api's traits.
const TRAITS_OF_LOCK_API: [&str; 10] = [
    "",
    "Downgrade",
    "Fair",
    "Recursive",
    "RecursiveTimed",
    "Timed",
    "Upgrade",
    "UpgradeDowngrade",
    "UpgradeFair",
    "UpgradeTimed",
];

/// Of a lock below lock_api, in whatever crate: of those traits, or of a type that is named after them, as all are.
fn is_raw_lock(name: &str) -> bool {
    let path = name.rsplit_once("::").map_or("", |(path, _)| path);
    path.split([':', ' ', '<', '>']).any(|part| {
        let suffix = part.strip_prefix("RawMutex").or_else(|| part.strip_prefix("RawRwLock"));
        suffix.is_some_and(|suffix| TRAITS_OF_LOCK_API.contains(&suffix))
    })
}

/// The kind of the primitive whose frames these are, leaf first; [`UNKNOWN`] if they do not say.
pub(super) fn kind<'n>(run: impl Iterator<Item = &'n SourceFrame>) -> &'static str {
    let mut sleeps = None;
    for frame in run {
        let name = plain(&super::encoder::qualified(frame));
        match sleeps {
            None => match innermost(&name) {
                Some(kind @ ("condvar" | "park")) => sleeps = Some(kind),
                Some(kind) => return kind,
                None => {}
            },
            Some(_) => {
                if let Some(kind) = used_for(&name) {
                    return kind;
                }
            }
        }
    }
    sleeps.unwrap_or(UNKNOWN)
}

/// Of what sleeps or wakes itself.
fn innermost(name: &str) -> Option<&'static str> {
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if has(&["rwlock::", "futex_rwlock", "RawRwLock"]) {
        // In this order: an upgradable lock's guard is that of a reader too.
        return if has(&["upgradable", "Upgradable"]) && !has(&["downgrade"]) {
            Some("rwlock-upgradable")
        } else if has(&["write", "Write", "exclusive", "upgrade", "downgrade"]) && !has(&["wake_"])
        {
            Some("rwlock-write")
        } else if has(&["read_", "::read", "Read", "shared"]) && !has(&["readers"]) {
            Some("rwlock-read")
        } else {
            None
        };
    }
    if has(&["condvar::", "futex_condvar"]) {
        Some("condvar")
    } else if has(&["mutex::", "futex_mutex", "RawMutex", "remutex", "reentrant_lock"]) {
        Some("mutex")
    } else if has(&["::once::", "futex_once", "once_cell::imp"]) {
        Some("once")
    } else if name.trim_start_matches('<').starts_with("std::") && has(&["park"]) {
        Some("park")
    } else {
        None
    }
}

/// Of what sleeps and wakes by a condition variable, or by `park`.
fn used_for(name: &str) -> Option<&'static str> {
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if has(&["sync::mpmc::", "sync::mpsc::", "crossbeam_channel::"]) {
        return if has(&["select"]) {
            Some("select")
        } else if has(&["::recv", "::next"]) {
            Some("channel-recv")
        } else if has(&["::send"]) {
            Some("channel-send")
        } else {
            None
        };
    }
    if has(&["barrier::", "wait_group"]) {
        Some("barrier")
    } else if has(&["thread::scope"]) {
        Some("join")
    } else if has(&["once_cell::imp"]) {
        Some("once")
    } else if has(&["::parker::", "tokio::runtime::"]) {
        Some("park")
    } else {
        None
    }
}

/// A name without generic arguments, in which types of the user's may be.
fn plain(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    // `<Type as Trait>::function` is no argument: what is in as many brackets as it begins with is kept.
    let mut kept = name.chars().take_while(|c| *c == '<').count();
    let (mut depth, mut before) = (0, ' ');
    for c in name.chars() {
        match c {
            '<' => {
                depth += 1;
                if plain.is_empty() {
                    plain.push(c);
                }
            }
            // Not of an arrow.
            '>' if before != '-' => {
                if depth == kept && kept > 0 {
                    kept -= 1;
                }
                depth = depth.saturating_sub(1);
            }
            _ if depth == kept => plain.push(c),
            _ => {}
        }
        before = c;
    }
    plain.replace("::::", "::")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(names: &[&str]) -> &'static str {
        let frames: Vec<SourceFrame> = names
            .iter()
            .map(|name| SourceFrame { name: (*name).to_owned(), ..SourceFrame::default() })
            .collect();
        kind(frames.iter())
    }

    #[test]
    fn generic_arguments_are_left_out() {
        for (name, expected) in [
            ("a::b::<c::D<e::F>>::g", "a::b::g"),
            ("a::B<fn() -> c::D>::e", "a::B::e"),
            ("<a::B<c::D> as e::F<g::H>>::i::<j::K>", "<a::B as e::F::i::"),
            ("<<a::B<c::D>>::e::{closure#0} as f::G>::h", "<a::B::e::{closure#0} as f::G::h"),
            ("<a::B<c::D>>::e", "<a::B::e"),
            ("plain", "plain"),
        ] {
            assert_eq!(plain(name), expected);
        }
    }

    #[test]
    fn primitives_are_internal_and_their_users_are_not() {
        for name in [
            "std::sync::mpmc::array::Channel<user::T>::recv",
            "<std::sync::poison::mutex::MutexGuard<user::T> as core::ops::drop::Drop>::drop",
            "<&mut std::fs::File as std::io::Read>::read",
            "<T as core::convert::Into<U>>::into",
            "core::ptr::drop_in_place<std::sync::poison::mutex::MutexGuard<user::T>>",
            "core::ptr::drop_in_place::<core::option::Option<user::Guard>>",
            "core::ptr::drop_in_place<T>",
            "<lock_api::mutex::Mutex<parking_lot::raw_mutex::RawMutex, user::T>>::lock",
            "tokio::runtime::park::Inner::park",
            "<[T] as core::slice::SliceIndex<[T]>>::get",
            "<dashmap::lock::RawRwLock as lock_api::rwlock::RawRwLock>::unlock_exclusive",
            "<dashmap::lock::RawRwLock>::lock_exclusive_slow::{closure#0}",
            "<user::Spin as lock_api::mutex::RawMutexTimed>::try_lock_for",
        ] {
            assert!(is_internal(name), "{name}");
        }
        for name in [
            "user::lock",
            "<user::T as core::ops::drop::Drop>::drop",
            "<std::fs::File as user::Trait>::write",
            "<user::T as std::io::Read>::read",
            "tokio::runtime::scheduler::multi_thread::worker::run",
            "main",
            "standard::lock",
            "<user::Guard<user::RawMutex> as core::ops::drop::Drop>::drop",
            "user::RawMutex",
            "user::RawMutexPool::work",
            "core::ptr::drop_in_place<dashmap::mapref::one::RefMut<user::K,user::V>>",
            "core::ptr::drop_in_place::<user::Guard>",
            "<dashmap::DashMap<K,V,S> as dashmap::t::Map<K,V,S>>::_insert",
        ] {
            assert!(!is_internal(name), "{name}");
        }
    }

    #[test]
    fn the_innermost_lock_decides() {
        let std_mutex = "std::sys::sync::mutex::futex::Mutex::lock_contended";
        let std_condvar = "std::sys::sync::condvar::futex::Condvar::wait_optional_timeout";
        let futex = "std::sys::pal::unix::futex::futex_wait";
        assert_eq!(
            kind_of(&[futex, std_mutex, "std::sync::poison::condvar::Condvar::wait"]),
            "mutex"
        );
        assert_eq!(
            kind_of(&[futex, std_condvar, "std::sync::poison::condvar::Condvar::wait"]),
            "condvar"
        );
        assert_eq!(kind_of(&[futex, std_condvar, "std::sync::barrier::Barrier::wait"]), "barrier");
        assert_eq!(kind_of(&[futex]), UNKNOWN);
        assert_eq!(kind_of(&[]), UNKNOWN);
    }

    #[test]
    fn readers_and_writers_are_told_apart() {
        let raw =
            |function: &str| kind_of(&[&format!("parking_lot::raw_rwlock::RawRwLock::{function}")]);
        for (function, kind) in [
            ("lock_shared_slow", "rwlock-read"),
            ("unlock_shared_slow", "rwlock-read"),
            ("lock_exclusive_slow", "rwlock-write"),
            ("unlock_exclusive_slow", "rwlock-write"),
            ("upgrade_slow", "rwlock-write"),
            ("downgrade_to_upgradable_slow", "rwlock-write"),
            ("lock_upgradable_slow", "rwlock-upgradable"),
            ("unlock_upgradable_slow", "rwlock-upgradable"),
            ("wait_for_readers", UNKNOWN),
            ("wake_parked_threads", UNKNOWN),
            ("lock_common", UNKNOWN),
        ] {
            assert_eq!(raw(function), kind, "{function}");
        }
        let upgrade = "lock_api::rwlock::RawRwLockUpgrade";
        for (function, kind) in [
            (
                "<dashmap::lock::RawRwLock as lock_api::rwlock::RawRwLock>::lock_shared",
                "rwlock-read",
            ),
            ("<dashmap::lock::RawRwLock>::lock_exclusive_slow", "rwlock-write"),
            ("dashmap::lock::RawRwLock::unlock_shared_slow", "rwlock-read"),
            (&format!("<user::Lock as {upgrade}>::upgrade"), "rwlock-write"),
            (&format!("<user::Lock as {upgrade}>::unlock_upgradable"), "rwlock-upgradable"),
            ("<user::Spin as lock_api::mutex::RawMutex>::lock", "mutex"),
            ("user::RawMutex::lock_slow", "mutex"),
        ] {
            assert_eq!(kind_of(&[function]), kind, "{function}");
        }
        let wake = "std::sys::sync::rwlock::futex::RwLock::wake_writer_or_readers";
        for (unlock, kind) in [
            ("std::sys::sync::rwlock::futex::RwLock::read_unlock", "rwlock-read"),
            (
                "<std::sync::poison::rwlock::RwLockWriteGuard<T> as core::ops::drop::Drop>::drop",
                "rwlock-write",
            ),
            ("std::sys::sync::rwlock::futex::RwLock::write_contended", "rwlock-write"),
            ("std::sys::sync::rwlock::futex::RwLock::read_contended", "rwlock-read"),
        ] {
            assert_eq!(kind_of(&[wake, unlock]), kind, "{unlock}");
        }
    }

    #[test]
    fn parking_is_for_something() {
        let park = "std::thread::functions::park";
        for (user, kind) in [
            ("std::sync::mpmc::list::Channel<T>::recv::{{closure}}", "channel-recv"),
            ("std::sync::mpmc::zero::Channel<T>::send", "channel-send"),
            ("crossbeam_channel::select::run_select::{{closure}}", "select"),
            ("crossbeam_channel::context::Context::wait_until", "park"),
            ("std::thread::scoped::scope", "join"),
            ("once_cell::imp::wait", "once"),
            ("core::result::Result<T,E>::map", "park"),
            ("<std::thread::thread::Thread>::park", "park"),
        ] {
            assert_eq!(kind_of(&[park, user]), kind, "{user}");
        }
        let channel = "<std::sync::mpmc::list::Channel<T>>::recv::{closure#1}";
        assert_eq!(
            kind_of(&[park, "<std::thread::thread::Thread>::park", channel]),
            "channel-recv"
        );
        assert_eq!(kind_of(&["<std::sys::sync::thread_parking::futex::Parker>::park"]), "park");
        let core = "parking_lot_core::thread_parker::imp::ThreadParker::park";
        assert_eq!(
            kind_of(&[core, "parking_lot::condvar::Condvar::wait_until_internal"]),
            "condvar"
        );
        assert_eq!(kind_of(&[core, "parking_lot::raw_mutex::RawMutex::lock_slow"]), "mutex");
    }
}
