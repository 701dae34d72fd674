//! `ReentrantMutex`: a mutex that its holder may lock again. Nested locks do not reach the raw mutex, nor its account.

use super::RawMutex;

pub use parking_lot_0_13::RawThreadId;

/// A mutual exclusion lock that its holder may lock again, drop-in for [`parking_lot::ReentrantMutex`](parking_lot_0_13::ReentrantMutex).
///
/// lock_api does not tell the raw mutex where a reentrant one is locked: without a name it is shown by its stacks alone.
///
/// # Examples
/// ```
/// use pprof_runtime::parking_lot::{RawMutex, RawThreadId, ReentrantMutex};
/// use std::cell::Cell;
///
/// static COUNT: ReentrantMutex<Cell<u32>> =
///     ReentrantMutex::from_raw(RawMutex::named("the count"), RawThreadId, Cell::new(0));
///
/// let outer = COUNT.lock();
/// COUNT.lock().set(1);
/// assert_eq!(outer.get(), 1);
/// ```
pub type ReentrantMutex<T> = lock_api::ReentrantMutex<RawMutex, RawThreadId, T>;

/// Access to the data of a [`ReentrantMutex`]; undoes one lock on drop.
pub type ReentrantMutexGuard<'a, T> = lock_api::ReentrantMutexGuard<'a, RawMutex, RawThreadId, T>;

/// Access to part of the data of a [`ReentrantMutex`]; undoes one lock on drop.
pub type MappedReentrantMutexGuard<'a, T> =
    lock_api::MappedReentrantMutexGuard<'a, RawMutex, RawThreadId, T>;
