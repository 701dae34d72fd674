//! The originals: one row for each, with what of it is ours.

use crate::surface::{Exception, Surface, SurfaceFile};

/// An original, or a part of it that is checked in one program.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// `std`, or a package of the lock file, as `name@version`.
    pub(crate) package: &'static str,
    pub(crate) edition: &'static str,
    /// Files whose examples are run.
    pub(crate) examples: &'static [&'static str],
    /// Files of integration tests that are run.
    pub(crate) tests: &'static [&'static str],
    /// Files whose `mod tests` is run.
    pub(crate) unit_tests: &'static [&'static str],
    /// Paths of theirs, and what they become.
    pub(crate) swaps: &'static [(&'static str, &'static str)],
    /// Paths to swap before, whether or not it is run against ours: what only the original's own tests can call so.
    pub(crate) names: &'static [(&'static str, &'static str)],
    /// Names and paths that stable code outside the original cannot use: tests that mention them are left out.
    pub(crate) unusable: &'static [&'static str],
    pub(crate) skips: &'static [Skip],
    pub(crate) surface: Surface,
    /// Of the generated program: lines of its manifest, and items of its root.
    pub(crate) dependencies: &'static str,
    pub(crate) prelude: &'static str,
    /// Fewer examples or tests than this are a mistake of the harness.
    pub(crate) at_least: AtLeast,
    pub(crate) against: Against,
}

/// What is not run.
#[derive(Debug)]
#[allow(dead_code, reason = "reasons are for readers of this file")]
pub(crate) struct Skip {
    pub(crate) file: &'static str,
    /// A test's name, or words of an example.
    pub(crate) what: &'static str,
    pub(crate) why: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct AtLeast {
    pub(crate) examples: usize,
    pub(crate) tests: usize,
}

/// What a row is run against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Against {
    Ours,
    /// Itself: shows that what is run passes at all, where ours is not there yet.
    #[allow(dead_code, reason = "of originals that are not there yet")]
    Original,
}

const fn skip(file: &'static str, what: &'static str, why: &'static str) -> Skip {
    Skip { file, what, why }
}

const fn surface(file: &'static str, module: &'static str) -> SurfaceFile {
    SurfaceFile { file, module, imports: "", elsewhere: &[] }
}

const fn exception(what: &'static str, why: &'static str) -> Exception {
    Exception { what, why }
}

/// Traits that stable code cannot name, and those that say nothing of what can be done.
const TRAITS: &[&str] = &[
    "Drop",
    "CoerceUnsized",
    "DispatchFromDyn",
    "DerefPure",
    "PinCoerceUnsized",
    "Eq",
    "StructuralPartialEq",
    "SelectHandle",
    "AsInner",
    "FromInner",
    "IntoInner",
];

pub(crate) const ROWS: &[Row] = &[STD_MUTEX, STD_SYNC, STD_THREAD, PARKING_LOT, TOKIO, CROSSBEAM];

const ACCESSORS: &str = "of the unstable feature lock_value_accessors";

const STD_UNSTABLE: &[&str] = &[
    "Rng",
    "test_rng",
    "MappedMutexGuard",
    "MappedRwLockReadGuard",
    "MappedRwLockWriteGuard",
    "MutexGuard::map",
    "RwLockReadGuard::map",
    "RwLockWriteGuard::map",
    "SendTimeoutError",
    "get_cloned",
    "get_or_try_init",
    "mpmc",
    "nonpoison",
];

const STD_IMPORTS: &str = "pub use std::{error, fmt, io, num::NonZero, ops, error::Error, iter::FusedIterator, marker::PhantomData, \
                           ops::{Deref, DerefMut}, panic::{RefUnwindSafe, UnwindSafe}, cell::{Cell, RefCell}, sync::Arc, any::Any, ffi::CStr, time::{Duration, Instant}};";

/// What tests of std expect of their program.
const STD_TESTS: &str = r#"
        pub fn result_unwrap<T, E: std::fmt::Debug>(x: Result<T, E>) -> T {
            x.unwrap()
        }

        /// In the original, twice: for the locks without poison too, which are not stable.
        macro_rules! nonpoison_and_poison_unwrap_test {
            (name: $name:ident, test_body: {$($body:tt)*}) => {
                #[test]
                fn $name() {
                    #[allow(unused_imports)]
                    use crate::{locks, result_unwrap as maybe_unwrap};
                    $($body)*
                }
            };
        }
        pub(crate) use nonpoison_and_poison_unwrap_test;

        pub mod locks {
            pub use std::sync::*;
        }
    "#;

/// Of `STD_SYNC`, what needs nothing else of ours.
const STD_MUTEX: Row = Row {
    name: "std_mutex",
    examples: &["src/sync/poison.rs", "src/sync/poison/mutex.rs", "src/sync/mpsc.rs"],
    tests: &["tests/sync/mpsc.rs", "tests/sync/mpsc_sync.rs", "tests/sync/mutex.rs"],
    swaps: &[
        ("std::sync::Mutex", "pprof_runtime::sync::Mutex"),
        ("std::sync::MutexGuard", "pprof_runtime::sync::MutexGuard"),
        ("std::sync::mpsc", "pprof_runtime::sync::mpsc"),
    ],
    skips: &[
        skip("tests/sync/mutex.rs", "test_set", ACCESSORS),
        skip("tests/sync/mutex.rs", "test_set_drop", ACCESSORS),
        skip("tests/sync/mutex.rs", "test_replace", ACCESSORS),
        skip("tests/sync/mutex.rs", "test_set_poison", ACCESSORS),
        skip("tests/sync/mutex.rs", "test_replace_poison", ACCESSORS),
    ],
    surface: Surface {
        files: &[
            surface("src/sync/poison.rs", "std::sync"),
            surface("src/sync/poison/mutex.rs", "std::sync"),
            surface("src/sync/mpsc.rs", "std::sync::mpsc"),
        ],
        at_least: 130,
        ..STD_SYNC.surface
    },
    at_least: AtLeast { examples: 35, tests: 115 },
    against: Against::Ours,
    ..STD_SYNC
};

const STD_SYNC: Row = Row {
    name: "std_sync",
    package: "std",
    edition: "2024",
    examples: &[
        "src/sync/mod.rs",
        "src/sync/poison.rs",
        "src/sync/poison/mutex.rs",
        "src/sync/poison/rwlock.rs",
        "src/sync/poison/condvar.rs",
        "src/sync/once.rs",
        "src/sync/once_lock.rs",
        "src/sync/lazy_lock.rs",
        "src/sync/barrier.rs",
        "src/sync/mpsc.rs",
    ],
    tests: &[
        "tests/sync/barrier.rs",
        "tests/sync/condvar.rs",
        "tests/sync/lazy_lock.rs",
        "tests/sync/mpsc.rs",
        "tests/sync/mpsc_sync.rs",
        "tests/sync/mutex.rs",
        "tests/sync/once.rs",
        "tests/sync/once_lock.rs",
        "tests/sync/rwlock.rs",
    ],
    unit_tests: &[],
    swaps: &[
        ("std::sync::Barrier", "pprof_runtime::sync::Barrier"),
        ("std::sync::BarrierWaitResult", "pprof_runtime::sync::BarrierWaitResult"),
        ("std::sync::Condvar", "pprof_runtime::sync::Condvar"),
        ("std::sync::LazyLock", "pprof_runtime::sync::LazyLock"),
        ("std::sync::Mutex", "pprof_runtime::sync::Mutex"),
        ("std::sync::MutexGuard", "pprof_runtime::sync::MutexGuard"),
        ("std::sync::ONCE_INIT", "pprof_runtime::sync::ONCE_INIT"),
        ("std::sync::Once", "pprof_runtime::sync::Once"),
        ("std::sync::OnceLock", "pprof_runtime::sync::OnceLock"),
        ("std::sync::OnceState", "pprof_runtime::sync::OnceState"),
        ("std::sync::RwLock", "pprof_runtime::sync::RwLock"),
        ("std::sync::RwLockReadGuard", "pprof_runtime::sync::RwLockReadGuard"),
        ("std::sync::RwLockWriteGuard", "pprof_runtime::sync::RwLockWriteGuard"),
        ("std::sync::WaitTimeoutResult", "pprof_runtime::sync::WaitTimeoutResult"),
        ("std::sync::mpsc", "pprof_runtime::sync::mpsc"),
    ],
    names: &[("std::sync::poison", "std::sync")],
    unusable: STD_UNSTABLE,
    skips: &[
        skip("tests/sync/mutex.rs", "test_set", ACCESSORS),
        skip("tests/sync/mutex.rs", "test_set_drop", ACCESSORS),
        skip("tests/sync/mutex.rs", "test_replace", ACCESSORS),
        skip("tests/sync/mutex.rs", "test_set_poison", ACCESSORS),
        skip("tests/sync/mutex.rs", "test_replace_poison", ACCESSORS),
        skip("tests/sync/rwlock.rs", "test_set", ACCESSORS),
        skip("tests/sync/rwlock.rs", "test_replace", ACCESSORS),
        skip("tests/sync/rwlock.rs", "test_set_poison", ACCESSORS),
        skip("tests/sync/rwlock.rs", "test_replace_poison", ACCESSORS),
    ],
    dependencies: "",
    prelude: STD_TESTS,
    surface: Surface {
        files: &[
            surface("src/sync/poison.rs", "std::sync"),
            surface("src/sync/poison/mutex.rs", "std::sync"),
            surface("src/sync/poison/rwlock.rs", "std::sync"),
            surface("src/sync/poison/condvar.rs", "std::sync"),
            surface("src/sync/once.rs", "std::sync"),
            surface("src/sync/once_lock.rs", "std::sync"),
            surface("src/sync/lazy_lock.rs", "std::sync"),
            surface("src/sync/barrier.rs", "std::sync"),
            surface("src/sync/mpsc.rs", "std::sync::mpsc"),
        ],
        names: &[("crate", "std")],
        imports: STD_IMPORTS,
        traits: TRAITS,
        exceptions: &[],
        at_least: 235,
    },
    at_least: AtLeast { examples: 85, tests: 175 },
    against: Against::Original,
};

const STD_THREAD: Row = Row {
    name: "std_thread",
    package: "std",
    edition: "2024",
    examples: &[
        "src/thread/mod.rs",
        "src/thread/builder.rs",
        "src/thread/current.rs",
        "src/thread/functions.rs",
        "src/thread/join_handle.rs",
        "src/thread/scoped.rs",
        "src/thread/thread.rs",
    ],
    tests: &["tests/thread.rs"],
    unit_tests: &[],
    swaps: &[("std::thread", "pprof_runtime::thread")],
    names: &[],
    unusable: &["sleep_until"],
    skips: &[],
    dependencies: "",
    prelude: "",
    surface: Surface {
        files: &[
            surface("src/thread/builder.rs", "std::thread"),
            surface("src/thread/current.rs", "std::thread"),
            surface("src/thread/functions.rs", "std::thread"),
            surface("src/thread/id.rs", "std::thread"),
            surface("src/thread/join_handle.rs", "std::thread"),
            surface("src/thread/scoped.rs", "std::thread"),
            surface("src/thread/thread.rs", "std::thread"),
        ],
        names: &[("crate", "std")],
        imports: STD_IMPORTS,
        traits: TRAITS,
        exceptions: &[],
        at_least: 50,
    },
    at_least: AtLeast { examples: 33, tests: 4 },
    against: Against::Original,
};

const PARKING_LOT: Row = Row {
    name: "parking_lot",
    package: "parking_lot@0.13",
    edition: "2024",
    examples: &[
        "src/condvar.rs",
        "src/fair_mutex.rs",
        "src/mutex.rs",
        "src/once.rs",
        "src/recursive_rwlock.rs",
        "src/remutex.rs",
        "src/rwlock.rs",
    ],
    tests: &["tests/issue_203.rs", "tests/issue_392.rs"],
    unit_tests: &[
        "src/condvar.rs",
        "src/fair_mutex.rs",
        "src/mutex.rs",
        "src/once.rs",
        "src/recursive_rwlock.rs",
        "src/remutex.rs",
        "src/rwlock.rs",
    ],
    swaps: &[
        ("parking_lot", "pprof_runtime::parking_lot"),
        ("crate", "pprof_runtime::parking_lot"),
    ],
    names: &[("crate", "parking_lot")],
    unusable: &["PARKED_BIT", "has_parked_threads"],
    skips: &[],
    dependencies: r#"
        parking_lot = { version = "0.13", features = ["arc_lock"] }
        rand = "0.10"
    "#,
    prelude: "",
    surface: Surface {
        files: &[
            surface("src/condvar.rs", "parking_lot"),
            surface("src/fair_mutex.rs", "parking_lot"),
            surface("src/mutex.rs", "parking_lot"),
            surface("src/once.rs", "parking_lot"),
            surface("src/raw_condvar.rs", "parking_lot"),
            surface("src/raw_fair_mutex.rs", "parking_lot"),
            surface("src/raw_mutex.rs", "parking_lot"),
            surface("src/raw_rwlock.rs", "parking_lot"),
            surface("src/recursive_rwlock.rs", "parking_lot"),
            surface("src/remutex.rs", "parking_lot"),
            surface("src/rwlock.rs", "parking_lot"),
        ],
        names: &[("crate", "parking_lot")],
        imports: "pub use std::{fmt, time::{Duration, Instant}}; pub use parking_lot::lock_api::{self, GetThreadId};",
        traits: TRAITS,
        exceptions: &[exception(
            "lock_api::RawCondvarTimed for RawCondvar",
            "a bound on an associated type, which is not implied: the methods of Condvar need it",
        )],
        at_least: 75,
    },
    at_least: AtLeast { examples: 15, tests: 75 },
    against: Against::Original,
};

const TOKIO: Row = Row {
    name: "tokio",
    package: "tokio@1",
    edition: "2021",
    examples: &[
        "src/sync/mod.rs",
        "src/sync/barrier.rs",
        "src/sync/broadcast.rs",
        "src/sync/mutex.rs",
        "src/sync/notify.rs",
        "src/sync/once_cell.rs",
        "src/sync/oneshot.rs",
        "src/sync/rwlock.rs",
        "src/sync/semaphore.rs",
        "src/sync/watch.rs",
        "src/sync/mpsc/mod.rs",
        "src/sync/mpsc/bounded.rs",
        "src/sync/mpsc/unbounded.rs",
        "src/sync/rwlock/owned_read_guard.rs",
        "src/sync/rwlock/owned_write_guard.rs",
        "src/sync/rwlock/owned_write_guard_mapped.rs",
        "src/sync/rwlock/read_guard.rs",
        "src/sync/rwlock/write_guard.rs",
        "src/sync/rwlock/write_guard_mapped.rs",
    ],
    tests: &[
        "tests/sync_barrier.rs",
        "tests/sync_broadcast.rs",
        "tests/sync_broadcast_weak.rs",
        "tests/sync_errors.rs",
        "tests/sync_mpsc.rs",
        "tests/sync_mpsc_weak.rs",
        "tests/sync_mutex.rs",
        "tests/sync_mutex_owned.rs",
        "tests/sync_notify.rs",
        "tests/sync_notify_owned.rs",
        "tests/sync_once_cell.rs",
        "tests/sync_oneshot.rs",
        "tests/sync_panic.rs",
        "tests/sync_rwlock.rs",
        "tests/sync_semaphore.rs",
        "tests/sync_semaphore_owned.rs",
        "tests/sync_watch.rs",
    ],
    unit_tests: &[],
    swaps: &[("tokio::sync", "pprof_runtime::tokio::sync")],
    names: &[],
    unusable: &[],
    skips: &[],
    dependencies: r#"
        futures = "0.3"
        rand = "0.10"
        tokio = { version = "1.54", features = ["fs", "io-util", "macros", "net", "rt-multi-thread", "sync", "test-util", "time"] }
        tokio-stream = "0.1"
        tokio-test = "0.4"
    "#,
    prelude: "",
    surface: Surface {
        files: &[
            surface("src/sync/barrier.rs", "tokio::sync"),
            SurfaceFile {
                imports: "pub use tokio::sync::broadcast::error::*;",
                ..surface("src/sync/broadcast.rs", "tokio::sync::broadcast")
            },
            surface("src/sync/mutex.rs", "tokio::sync"),
            SurfaceFile {
                imports: "",
                elsewhere: &[
                    ("Notified", "tokio::sync::futures"),
                    ("OwnedNotified", "tokio::sync::futures"),
                ],
                ..surface("src/sync/notify.rs", "tokio::sync")
            },
            surface("src/sync/once_cell.rs", "tokio::sync"),
            SurfaceFile {
                imports: "pub use tokio::sync::oneshot::error::*;",
                ..surface("src/sync/oneshot.rs", "tokio::sync::oneshot")
            },
            surface("src/sync/rwlock.rs", "tokio::sync"),
            surface("src/sync/semaphore.rs", "tokio::sync"),
            SurfaceFile {
                imports: "pub use tokio::sync::watch::error;",
                ..surface("src/sync/watch.rs", "tokio::sync::watch")
            },
            SurfaceFile {
                imports: "pub use tokio::sync::mpsc::error::*;",
                ..surface("src/sync/mpsc/bounded.rs", "tokio::sync::mpsc")
            },
            surface("src/sync/mpsc/error.rs", "tokio::sync::mpsc::error"),
            SurfaceFile {
                imports: "pub use tokio::sync::mpsc::error::*;",
                ..surface("src/sync/mpsc/unbounded.rs", "tokio::sync::mpsc")
            },
            surface("src/sync/rwlock/owned_read_guard.rs", "tokio::sync"),
            surface("src/sync/rwlock/owned_write_guard.rs", "tokio::sync"),
            surface("src/sync/rwlock/owned_write_guard_mapped.rs", "tokio::sync"),
            surface("src/sync/rwlock/read_guard.rs", "tokio::sync"),
            surface("src/sync/rwlock/write_guard.rs", "tokio::sync"),
            surface("src/sync/rwlock/write_guard_mapped.rs", "tokio::sync"),
        ],
        names: &[("crate", "tokio")],
        imports: "pub use std::{panic::{RefUnwindSafe, UnwindSafe}, fmt, ops, future::Future, ops::{Deref, DerefMut}, pin::Pin, sync::Arc, task::{Context, Poll}, time::Duration, error::Error};",
        traits: TRAITS,
        exceptions: &[],
        at_least: 455,
    },
    at_least: AtLeast { examples: 210, tests: 360 },
    against: Against::Original,
};

const HIDDEN: &str = "hidden: of the macro select! alone, which each of the two has its own of";

const CROSSBEAM: Row = Row {
    name: "crossbeam_channel",
    package: "crossbeam-channel@0.5",
    edition: "2021",
    examples: &[
        "src/lib.rs",
        "src/channel.rs",
        "src/err.rs",
        "src/select.rs",
        "src/select_macro.rs",
    ],
    tests: &[
        "tests/after.rs",
        "tests/array.rs",
        "tests/golang.rs",
        "tests/iter.rs",
        "tests/list.rs",
        "tests/mpsc.rs",
        "tests/never.rs",
        "tests/ready.rs",
        "tests/same_channel.rs",
        "tests/select.rs",
        "tests/select_macro.rs",
        "tests/thread_locals.rs",
        "tests/tick.rs",
        "tests/zero.rs",
    ],
    unit_tests: &[],
    swaps: &[("crossbeam_channel", "pprof_runtime::crossbeam_channel")],
    names: &[],
    unusable: &[],
    skips: &[
        skip("tests/mpsc.rs", "select", "a macro made of the hidden one that select! is made of"),
        skip("tests/mpsc.rs", "select_tests", "what uses that macro"),
    ],
    dependencies: r#"
        crossbeam-channel = "0.5"
        crossbeam-utils = "0.8"
        rand = "0.8"
    "#,
    prelude: "",
    surface: Surface {
        files: &[
            surface("src/channel.rs", "crossbeam_channel"),
            surface("src/err.rs", "crossbeam_channel"),
            surface("src/select.rs", "crossbeam_channel"),
        ],
        names: &[("crate", "crossbeam_channel")],
        imports: "pub use std::{error, fmt, iter::FusedIterator, panic::{RefUnwindSafe, UnwindSafe}, time::{Duration, Instant}};",
        traits: TRAITS,
        exceptions: &[
            exception("Operation", HIDDEN),
            exception("Selected", HIDDEN),
            exception("Token", HIDDEN),
            exception("select", HIDDEN),
            exception("select_timeout", HIDDEN),
            exception("try_select", HIDDEN),
        ],
        at_least: 180,
    },
    at_least: AtLeast { examples: 70, tests: 360 },
    against: Against::Original,
};
