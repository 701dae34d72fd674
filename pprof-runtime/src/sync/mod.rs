//! Drop-in synchronisation primitives that feed the `mutex` and `block` profiles.
//!
//! Swap the import, keep the code:
//!
//! ```
//! use pprof_runtime::sync::Mutex; // was std::sync::Mutex
//!
//! let counter = Mutex::new(0);
//! *counter.lock().unwrap() += 1;
//! assert_eq!(counter.into_inner().unwrap(), 1);
//! ```
//!
//! What never waits, such as `Arc` and `atomic`, is std's own, so that `use pprof_runtime::sync::...` can stand for any
//! `use std::sync::...`.
//!
//! An operation that does not wait costs what the plain type's costs; one that waits looks at the clock only while a
//! profile is on.

pub mod mpsc;

mod barrier;
mod condvar;
mod lazy_lock;
mod mutex;
mod once;
mod once_lock;
mod raw;
mod rwlock;
#[cfg(test)]
pub(crate) mod shape;
pub(crate) mod word;

// What is in `std::sync` and never waits.
pub use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult, Weak, atomic};

pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use lazy_lock::LazyLock;
pub use mutex::{Mutex, MutexGuard};
#[allow(deprecated, reason = "std still has it")]
pub use once::ONCE_INIT;
pub use once::{Once, OnceState};
pub use once_lock::OnceLock;
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
