//! `Mutex`: a lock whose guard may be held across an await.

use std::cell::UnsafeCell;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use ::tokio::sync::TryLockError;

use super::mutex_guard::{MutexGuard, OwnedMutexGuard};
use super::raw::{Exclusive, Lock, Raw};
use crate::source::contention::{Kind, Origin};

/// An asynchronous mutual exclusion lock, drop-in for [`tokio::sync::Mutex`](::tokio::sync::Mutex).
///
/// Waits appear in the `block` profile, charged to the chain of futures that waited, and in the `mutex` profile, charged to
/// the stack that dropped the guard.
///
/// # Examples
/// ```
/// use pprof_runtime::tokio::sync::Mutex;
///
/// static TOTAL: Mutex<u64> = Mutex::const_new(0);
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// *TOTAL.lock().await += 3;
/// assert_eq!(*TOTAL.lock().await, 3);
/// # });
/// ```
pub struct Mutex<T: ?Sized> {
    raw: Raw,
    // Last, so that a lock of a sized type coerces to one of an unsized type.
    value: UnsafeCell<T>,
}

// SAFETY: the lock gives out the value to one task at a time, so `T` need only be able to move between threads.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T: ?Sized> Lock for Mutex<T> {
    #[inline]
    fn raw(&self) -> &Raw {
        &self.raw
    }
}

impl<T> Mutex<T> {
    /// An unlocked mutex holding `t`.
    #[track_caller]
    pub fn new(t: T) -> Self {
        Mutex::with_origin(t, Origin::here())
    }

    /// As [`new`](Mutex::new), for a `static`.
    #[track_caller]
    pub const fn const_new(t: T) -> Self {
        Mutex::with_origin(t, Origin::here())
    }

    /// An unlocked mutex holding `t`, which profiles show as `name`; others by where they were made.
    ///
    /// Not in tokio.
    pub const fn named(t: T, name: &'static str) -> Self {
        Mutex::with_origin(t, Origin::Name(name))
    }

    const fn with_origin(t: T, origin: Origin) -> Self {
        Mutex { raw: Raw::new(1, Kind::Mutex, origin), value: UnsafeCell::new(t) }
    }

    /// The value, the mutex being gone.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Locks the mutex, the task waiting until it is free. First come, first served.
    ///
    /// # Cancel safety
    /// Whoever drops the future has not locked, and loses its place in the queue.
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> impl Future<Output = MutexGuard<'_, T>> {
        let site = Location::caller();
        Exclusive::acquire(self, site, MutexGuard::new)
    }

    /// As [`lock`](Mutex::lock), by a thread outside of the runtime.
    ///
    /// # Panics
    /// If called where tasks run.
    #[track_caller]
    pub fn blocking_lock(&self) -> MutexGuard<'_, T> {
        MutexGuard::new(Exclusive::block(self))
    }

    /// As [`lock_owned`](Mutex::lock_owned), by a thread outside of the runtime.
    ///
    /// # Panics
    /// If called where tasks run.
    #[track_caller]
    pub fn blocking_lock_owned(self: Arc<Self>) -> OwnedMutexGuard<T> {
        OwnedMutexGuard::new(Exclusive::block(self))
    }

    /// As [`lock`](Mutex::lock); the guard keeps the mutex alive instead of borrowing it.
    #[inline]
    #[track_caller]
    pub fn lock_owned(self: Arc<Self>) -> impl Future<Output = OwnedMutexGuard<T>> {
        let site = Location::caller();
        async move { OwnedMutexGuard::new(Exclusive::acquire_owned(self, site).await) }
    }

    /// Locks the mutex if it is free now. Never recorded: it does not wait.
    ///
    /// # Errors
    /// If it is not free.
    #[track_caller]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        Exclusive::try_acquire(self).map(MutexGuard::new)
    }

    /// As [`try_lock`](Mutex::try_lock); the guard keeps the mutex alive instead of borrowing it.
    ///
    /// # Errors
    /// If it is not free.
    #[track_caller]
    pub fn try_lock_owned(self: Arc<Self>) -> Result<OwnedMutexGuard<T>, TryLockError> {
        Exclusive::try_acquire(self).map(OwnedMutexGuard::new)
    }

    /// The value, without locking: the borrow proves that nobody else has it.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// Where the value is; whoever looks there holds the lock.
    #[inline]
    pub(super) fn value(&self) -> *mut T {
        self.value.get()
    }
}

impl<T> From<T> for Mutex<T> {
    #[track_caller]
    fn from(t: T) -> Self {
        Mutex::new(t)
    }
}

impl<T: Default> Default for Mutex<T> {
    #[track_caller]
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Mutex");
        match self.try_lock() {
            Ok(guard) => shown.field("data", &&*guard),
            Err(_) => shown.field("data", &format_args!("<locked>")),
        };
        shown.finish()
    }
}
