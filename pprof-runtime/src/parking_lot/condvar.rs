//! `Condvar`: waits for a notification, the mutex being released meanwhile.
//!
//! A wait lasts until the mutex is held again: `notify_all` lets those who wait get the mutex one after the other without waking
//! them in between, so where the one ends and the other begins nobody knows. It is the condition variable's time, counted once, and
//! nobody is charged with it in the `mutex` profile.

use std::fmt;
use std::ops::Deref;
use std::panic::Location;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::{Marker, MutexGuard, RawMutex};
use crate::source::contention::{Kind, Origin, Site, wait_timed};

pub use lock_api::WaitTimeoutResult;

/// A condition variable for [`Mutex`](super::Mutex), drop-in for [`parking_lot::Condvar`](parking_lot_0_13::Condvar).
///
/// Waits appear in the `block` profile until the mutex is held again.
///
/// A type of its own, so that it knows where it was made and where it is waited on; it derefs to what the original is an alias of.
///
/// # Examples
/// ```
/// use pprof_runtime::parking_lot::{Condvar, Mutex};
/// use std::time::Duration;
///
/// static READY: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
///
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         *READY.0.lock() = true;
///         READY.1.notify_one();
///     });
///     READY.1.wait_while(&mut READY.0.lock(), |ready| !*ready);
/// });
/// assert!(READY.1.wait_for(&mut READY.0.lock(), Duration::ZERO).timed_out());
/// ```
pub struct Condvar {
    inner: lock_api::Condvar<RawCondvar>,
    origin: Origin,
}

impl Condvar {
    /// A condition variable that nobody waits on.
    #[inline]
    #[must_use]
    #[track_caller]
    pub const fn new() -> Condvar {
        Condvar { inner: lock_api::Condvar::new(), origin: Origin::here() }
    }

    /// A condition variable that profiles show as `name`; others by where they were made.
    ///
    /// Not in the original.
    #[must_use]
    pub const fn named(name: &'static str) -> Condvar {
        Condvar { inner: lock_api::Condvar::new(), origin: Origin::Name(name) }
    }

    /// The raw condition variable.
    #[inline]
    pub fn raw(&self) -> &RawCondvar {
        self.inner.raw()
    }

    /// Wakes one that waits; whether there was one.
    #[inline]
    pub fn notify_one(&self) -> bool {
        self.inner.notify_one()
    }

    /// Wakes all that wait, and says how many.
    #[inline]
    pub fn notify_all(&self) -> usize {
        self.inner.notify_all()
    }

    /// Releases the mutex, waits to be notified, and locks it again.
    ///
    /// # Panics
    /// If others wait with another mutex.
    #[inline]
    #[track_caller]
    pub fn wait<T: ?Sized>(&self, mutex_guard: &mut MutexGuard<'_, T>) {
        self.told(mutex_guard, Location::caller()).wait(mutex_guard);
    }

    /// As [`wait`](Condvar::wait), until `timeout` at the latest.
    ///
    /// # Panics
    /// If others wait with another mutex.
    #[inline]
    #[track_caller]
    pub fn wait_until<T: ?Sized>(
        &self,
        mutex_guard: &mut MutexGuard<'_, T>,
        timeout: Instant,
    ) -> WaitTimeoutResult {
        self.told(mutex_guard, Location::caller()).wait_until(mutex_guard, timeout)
    }

    /// As [`wait`](Condvar::wait), for `timeout` at most.
    ///
    /// # Panics
    /// If others wait with another mutex.
    #[inline]
    #[track_caller]
    pub fn wait_for<T: ?Sized>(
        &self,
        mutex_guard: &mut MutexGuard<'_, T>,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        self.told(mutex_guard, Location::caller()).wait_for(mutex_guard, timeout)
    }

    /// Waits for as long as `condition` holds; each notification is one wait.
    ///
    /// # Panics
    /// If others wait with another mutex.
    #[inline]
    #[track_caller]
    pub fn wait_while<T, F>(&self, mutex_guard: &mut MutexGuard<'_, T>, condition: F)
    where
        T: ?Sized,
        F: FnMut(&mut T) -> bool,
    {
        self.told(mutex_guard, Location::caller()).wait_while(mutex_guard, condition);
    }

    /// As [`wait_while`](Condvar::wait_while), until `timeout` at the latest. The result says whether the condition held to the end.
    ///
    /// # Panics
    /// If others wait with another mutex.
    #[inline]
    #[track_caller]
    pub fn wait_while_until<T, F>(
        &self,
        mutex_guard: &mut MutexGuard<'_, T>,
        condition: F,
        timeout: Instant,
    ) -> WaitTimeoutResult
    where
        T: ?Sized,
        F: FnMut(&mut T) -> bool,
    {
        let inner = self.told(mutex_guard, Location::caller());
        inner.wait_while_until(mutex_guard, condition, timeout)
    }

    /// As [`wait_while`](Condvar::wait_while), for `timeout` at most. The result says whether the condition held to the end.
    ///
    /// # Panics
    /// If others wait with another mutex.
    #[inline]
    #[track_caller]
    pub fn wait_while_for<T, F>(
        &self,
        mutex_guard: &mut MutexGuard<'_, T>,
        condition: F,
        timeout: Duration,
    ) -> WaitTimeoutResult
    where
        T: ?Sized,
        F: FnMut(&mut T) -> bool,
    {
        let inner = self.told(mutex_guard, Location::caller());
        inner.wait_while_for(mutex_guard, condition, timeout)
    }

    /// lock_api does not hand on who calls it: the mutex, which the caller holds, is marked with it, as it will have been locked there.
    fn told<T: ?Sized>(
        &self,
        mutex_guard: &MutexGuard<'_, T>,
        site: Site,
    ) -> &lock_api::Condvar<RawCondvar> {
        // SAFETY: nothing is done to the lock.
        let mutex = unsafe { MutexGuard::mutex(mutex_guard).raw() };
        mutex.account.monitor.set_site(site);
        self.inner.raw().origin.get_or_init(|| self.origin);
        &self.inner
    }
}

impl Deref for Condvar {
    type Target = lock_api::Condvar<RawCondvar>;

    #[inline]
    fn deref(&self) -> &lock_api::Condvar<RawCondvar> {
        &self.inner
    }
}

impl Default for Condvar {
    #[inline]
    #[track_caller]
    fn default() -> Condvar {
        Condvar::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// The original's raw condition variable, whose waits are seen.
pub struct RawCondvar {
    inner: parking_lot_0_13::RawCondvar,
    /// Empty until a [`Condvar`] tells it.
    origin: OnceLock<Origin>,
}

impl fmt::Debug for RawCondvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawCondvar").finish_non_exhaustive()
    }
}

/// The mutex is held, or will be when this is dropped, also by a panic.
struct Relocked<'m> {
    mutex: &'m RawMutex,
    site: Site,
}

impl Drop for Relocked<'_> {
    fn drop(&mut self) {
        self.mutex.account.acquired(self.site);
    }
}

impl RawCondvar {
    /// `sleep` is the original's wait, and returns whether it was told by the clock.
    #[inline(always)]
    fn sleep(&self, mutex: &RawMutex, timed: bool, sleep: impl FnOnce() -> bool) -> bool {
        let account = &mutex.account;
        let site = account.monitor.site().unwrap_or(Location::caller());
        let relocked = Relocked { mutex, site };
        // The mutex is released by `sleep` only, but held again after that: this is as good a moment to record its hold.
        account.release(Kind::Mutex, || ());
        // A fair unlock of the mutex may be for those who have been notified.
        let sleeping = account.sleeping();
        let waiting = wait_timed(Kind::Condvar, self.origin.get().copied(), site, timed);
        let timed_out = sleep();
        if timed_out {
            waiting.gave_up();
        } else {
            waiting.acquired();
        }
        drop(sleeping);
        drop(relocked);
        timed_out
    }
}

// SAFETY: the original does the waiting, and unlocks and locks the mutex that ours is made of.
unsafe impl lock_api::RawCondvar for RawCondvar {
    #[allow(clippy::declare_interior_mutable_const, reason = "what the trait asks for")]
    const INIT: RawCondvar =
        RawCondvar { inner: parking_lot_0_13::RawCondvar::INIT, origin: OnceLock::new() };

    type RawMutex = RawMutex;

    #[inline(never)]
    unsafe fn wait(&self, mutex: &RawMutex, marker: &mut Marker) {
        self.sleep(mutex, false, || {
            // SAFETY: the caller's promise is the same.
            unsafe { self.inner.wait(&mutex.account.inner, marker) };
            false
        });
    }

    #[inline]
    fn notify_one(&self) -> bool {
        self.inner.notify_one()
    }

    #[inline]
    fn notify_all(&self) -> usize {
        self.inner.notify_all()
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawCondvarTimed for RawCondvar {
    fn checked_duration_to_instant(timeout: &Duration) -> Option<Instant> {
        super::deadline(*timeout)
    }

    #[inline(never)]
    unsafe fn wait_until(&self, mutex: &RawMutex, marker: &mut Marker, timeout: &Instant) -> bool {
        self.sleep(mutex, true, || {
            // SAFETY: the caller's promise is the same.
            unsafe { self.inner.wait_until(&mutex.account.inner, marker, timeout) }
        })
    }

    #[inline(never)]
    unsafe fn wait_for(&self, mutex: &RawMutex, marker: &mut Marker, timeout: &Duration) -> bool {
        self.sleep(mutex, true, || {
            // SAFETY: the caller's promise is the same.
            unsafe { self.inner.wait_for(&mutex.account.inner, marker, timeout) }
        })
    }
}
