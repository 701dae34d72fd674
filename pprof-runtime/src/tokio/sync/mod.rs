//! Drop-in for `tokio::sync`: methods, guards, errors, `Debug` output, fairness and cancel safety are tokio's.
//!
//! | type | `kind` of its waits | in the `mutex` profile |
//! |---|---|---|
//! | [`Mutex`] | `mutex` | who drops the guard |
//! | [`RwLock`] | `rwlock-read`, `rwlock-write` | the writer, or the last reader, that drops its guard |
//! | [`Semaphore`] | `semaphore` | the last to give permits back, or to close it, before a waiter goes on |
//! | [`OnceCell`] | `once` | who initialises it |
//! | [`SetOnce`] | `once` | |
//! | [`Notify`] | `notify` | |
//! | [`Barrier`] | `barrier` | |
//! | [`mpsc`], [`oneshot`], [`broadcast`], [`watch`] | `channel-send`, `channel-recv` | |
//!
//! A wait begins when a future is first pending, and ends when it is ready; one that is dropped before has waited until then.
//! Its stack is the chain of futures that await each other at its beginning. The `blocking_` methods are waits of
//! their thread. A task that yields because its cooperative budget is used up does not wait for the lock that it
//! happened to ask for.
//!
//! Who has a lock is known as the task, or thread, that took it: a guard that is sent elsewhere does not take it along. A
//! semaphore has no holder, as anybody may give permits back.
//!
//! # Overhead
//! An operation that does not wait adds a branch; the locks add what they write down of their holder. One that waits
//! walks the stack once, while a profile is on.
//!
//! # Examples
//! ```
//! use pprof_runtime::tokio::sync::{RwLock, Semaphore, mpsc};
//!
//! static CONFIG: RwLock<u32> = RwLock::const_new(2);
//! static CONNECTIONS: Semaphore = Semaphore::named(10, "connections");
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let (tx, mut rx) = mpsc::channel(1);
//! let _permit = CONNECTIONS.acquire().await?;
//! tx.send(*CONFIG.read().await).await.unwrap();
//! assert_eq!(rx.recv().await, Some(2));
//! # Ok::<(), pprof_runtime::tokio::sync::AcquireError>(())
//! # }).unwrap();
//! ```

pub mod broadcast;
pub mod mpsc;
pub mod oneshot;
pub mod watch;

mod barrier;
mod mutex;
mod mutex_guard;
mod notify;
mod once_cell;
mod permits;
mod raw;
mod rwlock;
mod rwlock_guard;
mod semaphore;
mod set_once;
#[cfg(test)]
mod shape;

pub use ::tokio::sync::{
    AcquireError, BarrierWaitResult, SetError, SetOnceError, TryAcquireError, TryLockError,
};

pub use barrier::Barrier;
pub use mutex::Mutex;
pub use mutex_guard::{MappedMutexGuard, MutexGuard, OwnedMappedMutexGuard, OwnedMutexGuard};
pub use notify::Notify;
pub use once_cell::OnceCell;
pub use rwlock::RwLock;
pub use rwlock_guard::{
    OwnedRwLockMappedWriteGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard,
    RwLockMappedWriteGuard, RwLockReadGuard, RwLockWriteGuard,
};
pub use semaphore::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
pub use set_once::SetOnce;

/// Named future types.
pub mod futures {
    pub use super::notify::{Notified, OwnedNotified};
}

/// Guards are shown as what they guard.
macro_rules! shown_as_target {
    ([$($generics:tt)*] $guard:ty) => {
        impl<$($generics)*> ::std::fmt::Debug for $guard
        where
            <Self as ::std::ops::Deref>::Target: ::std::fmt::Debug,
        {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<$($generics)*> ::std::fmt::Display for $guard
        where
            <Self as ::std::ops::Deref>::Target: ::std::fmt::Display,
        {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                (**self).fmt(f)
            }
        }
    };
}
use shown_as_target;
