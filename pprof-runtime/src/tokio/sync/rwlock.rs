//! `RwLock`: a fair lock of one writer or many readers, whose guards may be held across an await.

use std::cell::UnsafeCell;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use ::tokio::sync::TryLockError;

use super::raw::{Exclusive, Lock, Raw, Shared};
use super::rwlock_guard::{
    OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLockReadGuard, RwLockWriteGuard,
};
use crate::source::contention::{Kind, Origin};

/// As many readers at a time as tokio allows.
const MAX_READS: u32 = u32::MAX >> 3;

/// An asynchronous reader-writer lock, drop-in for [`tokio::sync::RwLock`](::tokio::sync::RwLock).
///
/// Waits appear in the `block` profile, charged to the chain of futures that waited, and in the `mutex` profile, charged to
/// the stack that dropped the write guard, or the last of the read guards.
///
/// # Examples
/// ```
/// use pprof_runtime::tokio::sync::RwLock;
///
/// static LIMIT: RwLock<u32> = RwLock::const_new(5);
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// {
///     let (one, other) = (LIMIT.read().await, LIMIT.read().await);
///     assert_eq!(*one + *other, 10);
/// }
/// *LIMIT.write().await += 1;
/// # assert_eq!(*LIMIT.read().await, 6);
/// # });
/// ```
pub struct RwLock<T: ?Sized> {
    raw: Raw,
    // Last, so that a lock of a sized type coerces to one of an unsized type.
    value: UnsafeCell<T>,
}

// SAFETY: who owns the lock owns the value.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: the lock gives out the value to one writer, or shared to readers, of any threads.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

impl<T: ?Sized> Lock for RwLock<T> {
    #[inline]
    fn raw(&self) -> &Raw {
        &self.raw
    }
}

impl<T> RwLock<T> {
    /// An unlocked lock holding `value`.
    #[track_caller]
    pub fn new(value: T) -> RwLock<T> {
        RwLock::with_origin(value, MAX_READS, Origin::here())
    }

    /// As [`new`](RwLock::new), of at most `max_reads` readers at a time.
    ///
    /// # Panics
    /// If `max_reads` is zero, or more than `u32::MAX >> 3`.
    #[track_caller]
    pub fn with_max_readers(value: T, max_reads: u32) -> RwLock<T> {
        RwLock::const_with_max_readers(value, max_reads)
    }

    /// As [`new`](RwLock::new), for a `static`.
    #[track_caller]
    pub const fn const_new(value: T) -> RwLock<T> {
        RwLock::with_origin(value, MAX_READS, Origin::here())
    }

    /// As [`with_max_readers`](RwLock::with_max_readers), for a `static`.
    ///
    /// # Panics
    /// As that.
    #[track_caller]
    pub const fn const_with_max_readers(value: T, max_reads: u32) -> RwLock<T> {
        assert!(max_reads != 0, "a RwLock may not be created with 0 readers");
        assert!(max_reads <= MAX_READS, "a RwLock may not be created with that many readers");
        RwLock::with_origin(value, max_reads, Origin::here())
    }

    /// An unlocked lock holding `value`, which profiles show as `name`; others by where they were made.
    ///
    /// Not in tokio.
    pub const fn named(value: T, name: &'static str) -> RwLock<T> {
        RwLock::with_origin(value, MAX_READS, Origin::Name(name))
    }

    const fn with_origin(value: T, max_reads: u32, origin: Origin) -> RwLock<T> {
        let raw = Raw::new(max_reads, Kind::RwLockWrite, origin);
        RwLock { raw, value: UnsafeCell::new(value) }
    }

    /// The value, the lock being gone.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Locks for reading, the task waiting while there is a writer, be it one that waits itself.
    ///
    /// # Cancel safety
    /// Whoever drops the future has not locked, and loses its place in the queue.
    #[inline]
    #[track_caller]
    pub fn read(&self) -> impl Future<Output = RwLockReadGuard<'_, T>> {
        let site = Location::caller();
        Shared::acquire(&self.raw, site, |access| RwLockReadGuard::new(access, self.value()))
    }

    /// As [`read`](RwLock::read), by a thread outside of the runtime.
    ///
    /// # Panics
    /// If called where tasks run.
    #[track_caller]
    pub fn blocking_read(&self) -> RwLockReadGuard<'_, T> {
        RwLockReadGuard::new(Shared::block(&self.raw), self.value())
    }

    /// As [`read`](RwLock::read); the guard keeps the lock alive instead of borrowing it.
    #[inline]
    #[track_caller]
    pub fn read_owned(self: Arc<Self>) -> impl Future<Output = OwnedRwLockReadGuard<T>> {
        let site = Location::caller();
        async move { OwnedRwLockReadGuard::new(Shared::acquire_owned(self, site).await) }
    }

    /// Locks for reading if that is possible now. Never recorded: it does not wait.
    ///
    /// # Errors
    /// If it is not possible.
    #[track_caller]
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, TryLockError> {
        Ok(RwLockReadGuard::new(Shared::try_acquire(&self.raw)?, self.value()))
    }

    /// As [`try_read`](RwLock::try_read); the guard keeps the lock alive instead of borrowing it.
    ///
    /// # Errors
    /// If it is not possible.
    #[track_caller]
    pub fn try_read_owned(self: Arc<Self>) -> Result<OwnedRwLockReadGuard<T>, TryLockError> {
        Shared::try_acquire(self).map(OwnedRwLockReadGuard::new)
    }

    /// Locks for writing, the task waiting until nobody else has access.
    ///
    /// # Cancel safety
    /// Whoever drops the future has not locked, and loses its place in the queue.
    #[inline]
    #[track_caller]
    pub fn write(&self) -> impl Future<Output = RwLockWriteGuard<'_, T>> {
        let site = Location::caller();
        Exclusive::acquire(&self.raw, site, |access| RwLockWriteGuard::new(access, self.value()))
    }

    /// As [`write`](RwLock::write), by a thread outside of the runtime.
    ///
    /// # Panics
    /// If called where tasks run.
    #[track_caller]
    pub fn blocking_write(&self) -> RwLockWriteGuard<'_, T> {
        RwLockWriteGuard::new(Exclusive::block(&self.raw), self.value())
    }

    /// As [`write`](RwLock::write); the guard keeps the lock alive instead of borrowing it.
    #[inline]
    #[track_caller]
    pub fn write_owned(self: Arc<Self>) -> impl Future<Output = OwnedRwLockWriteGuard<T>> {
        let site = Location::caller();
        async move { OwnedRwLockWriteGuard::new(Exclusive::acquire_owned(self, site).await) }
    }

    /// Locks for writing if that is possible now. Never recorded: it does not wait.
    ///
    /// # Errors
    /// If it is not possible.
    #[track_caller]
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, TryLockError> {
        Ok(RwLockWriteGuard::new(Exclusive::try_acquire(&self.raw)?, self.value()))
    }

    /// As [`try_write`](RwLock::try_write); the guard keeps the lock alive instead of borrowing it.
    ///
    /// # Errors
    /// If it is not possible.
    #[track_caller]
    pub fn try_write_owned(self: Arc<Self>) -> Result<OwnedRwLockWriteGuard<T>, TryLockError> {
        Exclusive::try_acquire(self).map(OwnedRwLockWriteGuard::new)
    }

    /// The value, without locking: the borrow proves that nobody else has it.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// Where the value is; whoever looks there has access.
    #[inline]
    pub(super) fn value(&self) -> *mut T {
        self.value.get()
    }
}

impl<T> From<T> for RwLock<T> {
    #[track_caller]
    fn from(value: T) -> Self {
        RwLock::new(value)
    }
}

impl<T: Default> Default for RwLock<T> {
    #[track_caller]
    fn default() -> Self {
        RwLock::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RwLock");
        match self.try_read() {
            Ok(guard) => shown.field("data", &&*guard),
            Err(_) => shown.field("data", &format_args!("<locked>")),
        };
        shown.finish()
    }
}
