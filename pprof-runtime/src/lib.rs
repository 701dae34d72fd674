//! Go's pprof for Rust: CPU, heap, mutex, block and function profiles from inside the process.
//!
//! ```no_run
//! use pprof_runtime::{profile, sync::Mutex};
//!
//! static INDEX: Mutex<Vec<String>> = Mutex::new(Vec::new()); // waits are profiled
//!
//! #[profile] // calls and time are profiled
//! fn add(word: &str) {
//!     INDEX.lock().unwrap().push(word.to_owned());
//! }
//!
//! fn main() -> Result<(), pprof_runtime::Error> {
//!     pprof_runtime::set_mutex_profile_fraction(100);
//!     pprof_runtime::set_block_profile_rate(10_000);
//!     pprof_runtime::set_function_profile(true);
//!     let server = pprof_runtime::serve("127.0.0.1:6060")?; // go tool pprof http://127.0.0.1:6060/debug/pprof/profile
//!     add("word");
//!     server.stop();
//!     Ok(())
//! }
//! ```
//!
//! Without a server, [`cpu::start`] takes a CPU profile, and [`lookup`] finds the others. Everything is off until it is
//! switched on, and costs next to nothing while it is off.
//!
//! Without any of this, [`#[pprof_runtime::main]`](macro@main) on `fn main` leaves the choice to whoever runs the program, and writes files
//! when it ends: `PPROF=cpu,mutex,block ./program`; see [`env`](mod@env).
//!
//! # Features
//! | feature | brings |
//! |---|---|
//! | `instrument` (default) | profiled locks, channels and threads in [`sync`], [`thread`] and the modules below; without it these are re-exports of the originals, and `named` constructors are missing |
//! | `parking_lot`, `tokio`, `crossbeam` | the locks and channels of these crates |
//! | `jemalloc`, `mimalloc` | heap profiles purge these allocators, and have what jemalloc says of itself |
//! | `tower` | a middleware that labels requests |
//! | `tracing` | a layer that makes labels of spans |
//! | `futex` | waits of locks and channels that are not ours |
//!
//! Platforms: Linux on x86_64. On other Unix systems everything compiles, and what is missing says so in its error.

#[cfg(not(unix))]
compile_error!(
    "pprof-runtime needs a Unix system; all its profiles are supported on Linux on x86_64"
);

mod alloc;
pub mod config;
pub mod cpu;
#[cfg(all(feature = "crossbeam", feature = "instrument"))]
pub mod crossbeam_channel;
pub mod deadlock;
pub mod env;
#[cfg(feature = "futex")]
pub mod futex;
pub mod heap;
pub mod labels;
#[cfg(all(feature = "parking_lot", feature = "instrument"))]
pub mod parking_lot;
pub mod report;
#[cfg(feature = "instrument")]
pub mod sync;
#[cfg(feature = "instrument")]
pub mod thread;
#[cfg(all(feature = "tokio", feature = "instrument"))]
pub mod tokio;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "tracing")]
pub mod tracing;

#[cfg(not(feature = "instrument"))]
mod plain;
#[cfg(not(feature = "instrument"))]
pub use plain::*;

mod aggregate;
mod capture;
mod clock;
mod encode;
mod error;
mod modules;
mod own_thread;
mod pages;
mod primitive;
mod profile;
mod serve;
mod source;
mod symbol;
mod tables;
mod text;

pub use alloc::Alloc;
pub use error::{Error, ErrorKind};
pub use labels::{LabelGuard, Labelled, Labels, labelled, with_labels};
pub use pprof_macros::{main, profile};
pub use profile::{Profile, Source, lookup, profiles};
pub use serve::{Server, ServerBuilder, serve};
pub use source::functions::Span;

/// Sets the share of contended unlocks recorded in the `mutex` profile to 1 in `n`, and returns the former setting.
///
/// 0 switches the profile off, its initial state; a negative `n` changes nothing and only returns the setting. What was
/// recorded keeps the weight it was recorded with.
///
/// # Examples
/// ```
/// pprof_runtime::set_mutex_profile_fraction(100);
/// assert_eq!(pprof_runtime::set_mutex_profile_fraction(-1), 100);
/// assert_eq!(pprof_runtime::set_mutex_profile_fraction(0), 100);
/// ```
pub fn set_mutex_profile_fraction(n: i64) -> i64 {
    source::contention::set_mutex_fraction(n)
}

/// Sets the mean time blocked between two events recorded in the `block` profile, in nanoseconds.
///
/// A wait of `d` is recorded with probability `d / ns`, always if it is longer, and weighted accordingly, so that totals are
/// unbiased. 1 records every wait; 0 and below switch the profile off, its initial state. A wait is recorded if the
/// profile is on both when it begins and when it ends.
pub fn set_block_profile_rate(ns: i64) {
    source::contention::set_block_rate(ns);
}

/// Sets the mean number of bytes allocated between two samples of the `heap` and `allocs` profiles, and returns the former setting.
///
/// An allocation of `size` bytes is sampled with the probability 1 - e^(-size/rate), and stands for so many of its size as one divided by
/// that, so that all values are unbiased. 1 records every allocation; 0 switches the profiles off, their initial state. Go's, from the
/// start, is [`DEFAULT_MEM_PROFILE_RATE`](config::DEFAULT_MEM_PROFILE_RATE). Unlike Go's the rate may be changed at any time: a sample
/// keeps its weight until it is freed. What was allocated while the profiles were off is not in them. Above 2^40 the rate is 2^40.
///
/// Only the allocations of an [`Alloc`] are seen.
///
/// # Overhead
/// See [`Alloc`].
pub fn set_mem_profile_rate(bytes: u64) -> u64 {
    source::heap::set_rate(bytes)
}

/// The mean number of bytes allocated between two samples of the `heap` and `allocs` profiles; 0 while they are off.
#[must_use]
pub fn mem_profile_rate() -> u64 {
    source::heap::rate()
}

/// Sets the mean time held between two events recorded in the `hold` profile, in nanoseconds.
///
/// A lock held for `d` is recorded with probability `d / ns`, always if it is longer, and weighted accordingly. 1 records every hold; 0
/// and below switch the profile off, its initial state. A hold is seen if the profile was on when it began. Not in Go.
///
/// # Overhead
/// While it is on every use of a lock of ours looks at the clock twice, some 20 ns; unlike the waits, which cost nothing where nobody
/// waits.
pub fn set_hold_profile_rate(ns: i64) {
    source::contention::set_hold_rate(ns);
}

/// Chooses whether the `block`, `mutex` and `hold` profiles have labels, and returns the former setting.
///
/// With labels, the initial state, samples are told apart by:
///
/// | label | on | value |
/// |---|---|---|
/// | `kind` | all | what was waited for: `mutex`, `channel-recv`, `join`, ... |
/// | `lock` | all that are made somewhere | the name or the creation site of the lock or channel |
/// | `holder` | `block` and `hold`, locks | thread name and acquire site of who held it when the wait began |
/// | `phase` | `block`, locks | `held` up to the unlock that ended the wait, `wake-up` from then on |
/// | `state` | `block` | `waiting`: the wait still goes on |
///
/// and by those that the program sets, see [`labels`](mod@labels); one that is called as one of these is shown as `user.kind`, and so on.
///
/// Without them the profiles are what Go's are: one sample for each stack, and no wait before it has ended. The setting is one for
/// snapshots; recording is the same. A delta during whose window it is switched shows what was recorded before the window as well.
pub fn set_contention_labels(on: bool) -> bool {
    source::contention::set_labels(on)
}

/// Switches the recording of functions annotated with [`#[profile]`](macro@profile) on or off, and returns the former setting.
///
/// Off initially, when an annotated call costs one look at a flag.
///
/// Sample types of the profile, all without annotated callees' share:
///
/// | type | unit | there |
/// |---|---|---|
/// | `calls`, `wall` | count, nanoseconds | always |
/// | `busy`, `idle`, `polls`, `cancelled` | nanoseconds, count | once an async function was recorded |
/// | `scheduled` | nanoseconds | once a wake-up was noted, see [`set_function_wakes`] |
/// | `panics` | count | once a call ended by unwinding |
/// | `cpu` | nanoseconds | once it was measured, of functions with `cpu = sampled(N)` |
pub fn set_function_profile(on: bool) -> bool {
    source::functions::set_enabled(on)
}

/// Switches the keeping of how long each call takes on or off, and returns the former setting.
///
/// While it is on, the durations of exactly timed calls, callees included, are counted by size, to 3.2 %, for the percentiles of
/// [`report::table`]. An async function's is the time from its first poll to its end. Up to
/// [`MAX_HISTOGRAMS`](config::MAX_HISTOGRAMS) call paths. Off initially.
///
/// # Overhead
/// Some 10 ns for each call, and 6 KiB for each call path of a running thread.
pub fn set_function_histograms(on: bool) -> bool {
    source::functions::set_histograms(on)
}

/// Switches the noting of when annotated futures are woken on or off, and returns the former setting.
///
/// While it is on, the part of `idle` from the first wake-up since a future's last poll to its next one is `scheduled` as well: how long a
/// task that could run was kept waiting for a thread, by others that do not yield. What wakes a task wakes all futures in it. Unseen are
/// the time before a task's first poll, and a wake-up that comes from outside of its outermost annotated future. Off initially.
///
/// Futures get a waker that wraps the runtime's: not for runtimes that look into their wakers, as embassy's does.
///
/// # Overhead
/// An allocation for each poll of an outermost annotated future.
pub fn set_function_wakes(on: bool) -> bool {
    source::functions::set_wakes(on)
}

/// Times a region inside of a function as if it were a function that is called there: the result is a [`Span`], which ends it when it is
/// dropped.
///
/// The name is a constant `&str`, and not one of a type's own (`Self::NAME`). A span of a few lines is best kept in a block. Like a
/// function's, its time is less that of annotated functions and spans inside of it.
///
/// A span that is dropped while something inside of it goes on, as in an annotated method, ends with that. One that outlives the call it
/// began in is not timed: that is the call's time. How often that was stands in the profile's comments. If that call is of a function with
/// `time = off`, sampled functions that are called after it in another one's sampled call are not looked at there: their time is that call's.
///
/// Not across an `.await`: what other tasks call meanwhile would be inside of it. Futures that hold a span are not `Send`, so that most
/// runtimes refuse them; put the region in an `async fn` with `#[profile]` instead.
///
/// # Overhead
/// As that of [`#[profile]`](macro@profile).
///
/// # Examples
/// ```
/// pprof_runtime::set_function_profile(true);
/// let words = {
///     let _span = pprof_runtime::span!("split");
///     "a b c".split(' ').count()
/// };
/// # assert_eq!(words, 3);
/// let profile = pprof_runtime::lookup("functions").unwrap().snapshot()?;
/// assert!(profile.proto().string_table.iter().any(|name| name == "split"));
/// # Ok::<(), pprof_runtime::Error>(())
/// ```
#[macro_export]
macro_rules! span {
    ($name:expr) => {{
        // Items are seen by the name's expression.
        struct __PprofHere;
        static __PPROF_SITE: $crate::__macro_support::Site = {
            ::core::assert!(!$name.is_empty(), "a span needs a name");
            $crate::__macro_support::Site::new(
                $name,
                ::core::any::type_name::<__PprofHere>,
                ::core::file!(),
                ::core::line!(),
            )
        };
        $crate::Span::enter(&__PPROF_SITE)
    }};
}

/// What the expansions of this crate's macros use. Not part of the public API: no stability is promised.
#[doc(hidden)]
pub mod __macro_support {
    pub use crate::aggregate::site::Site;
    pub use crate::env::main;
    pub use crate::source::functions::{
        COUNTED, Frame, FunctionGuard, Instrumented, LOOKED_AT, LightFrame, LightGuard, SAMPLED,
        instance, locate,
    };
}

/// Compiles and runs the README's examples.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// Compiles the example of the document on memory.
#[cfg(doctest)]
#[doc = include_str!("../../docs/heap.md")]
struct Heap;

/// Compiles the examples of the document on locks.
#[cfg(all(doctest, feature = "futex", feature = "instrument"))]
#[doc = include_str!("../../docs/contention.md")]
struct Contention;
