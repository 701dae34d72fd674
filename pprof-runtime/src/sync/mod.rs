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
//! An operation that does not wait costs what the plain type's costs; one that waits looks at the clock only while a
//! profile is on.

pub mod mpsc;

mod condvar;
mod mutex;
mod raw;
mod rwlock;

pub use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};

pub use condvar::{Condvar, WaitTimeoutResult};
pub use mutex::{Mutex, MutexGuard};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
