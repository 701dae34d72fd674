//! Threads whose joins and parks are in the `block` profile.
//!
//! A drop-in for [`std::thread`]: change the path in the `use` and nothing else. What never waits is std's own.
//!
//! | waits | kind |
//! |---|---|
//! | [`JoinHandle::join`], [`ScopedJoinHandle::join`], the end of a [`scope`] while threads of it run | `join` |
//! | [`park`], [`park_timeout`] | `park` |
//! | [`sleep`], on request: see [`set_sleep_profile`] | `sleep` |
//!
//! A thread that waits for the end of another, while that waits for what the first one holds, is found as a deadlock; if std
//! started the other one it is not, as nobody knows whose end its handle stands for.
//!
//! # Examples
//! ```
//! use pprof_runtime::thread; // was std::thread
//!
//! let worker = thread::spawn(|| 6 * 7);
//! assert_eq!(worker.join().unwrap(), 42); // a block event here, if the worker still runs
//! ```

mod join;
mod park;
mod scoped;
mod sleep;

// What is in `std::thread` and never waits.
pub use std::thread::{
    AccessError, LocalKey, Result, Thread, ThreadId, available_parallelism, current, panicking,
    yield_now,
};

pub use join::{Builder, JoinHandle, spawn};
pub use park::park;
pub use park::park_timeout;
#[allow(deprecated, reason = "std still has it")]
pub use park::park_timeout_ms;
pub use scoped::{Scope, ScopedJoinHandle, scope};
#[allow(deprecated, reason = "std still has it")]
pub use sleep::sleep_ms;
pub use sleep::{set_sleep_profile, sleep};
