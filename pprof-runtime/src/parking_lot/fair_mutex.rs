//! `FairMutex`: a mutex that is always handed to whoever waits.

use std::fmt;
use std::time::{Duration, Instant};

use lock_api::RawMutexFair as _;

use super::{Marker, RawMutex};

/// A mutual exclusion lock that is always unlocked fairly, drop-in for [`parking_lot::FairMutex`](parking_lot_0_13::FairMutex).
///
/// # Examples
/// ```
/// use pprof_runtime::parking_lot::FairMutex;
///
/// let mutex = FairMutex::new(1);
/// *mutex.lock() += 1;
/// assert_eq!(mutex.into_inner(), 2);
/// ```
pub type FairMutex<T> = lock_api::Mutex<RawFairMutex, T>;

/// Access to the data of a [`FairMutex`]; hands the lock on on drop.
pub type FairMutexGuard<'a, T> = lock_api::MutexGuard<'a, RawFairMutex, T>;

/// Access to part of the data of a [`FairMutex`]; hands the lock on on drop.
pub type MappedFairMutexGuard<'a, T> = lock_api::MappedMutexGuard<'a, RawFairMutex, T>;

/// The original's raw fair mutex with an account of its waiters.
pub struct RawFairMutex(RawMutex);

impl RawFairMutex {
    /// A mutex that profiles show by where this is called.
    ///
    /// Not in the original, whose `INIT` makes one that they show by where it is first locked.
    #[must_use]
    #[track_caller]
    pub const fn here() -> RawFairMutex {
        RawFairMutex(RawMutex::here().handing_on())
    }

    /// A mutex that profiles show as `name`.
    ///
    /// Not in the original.
    #[must_use]
    pub const fn named(name: &'static str) -> RawFairMutex {
        RawFairMutex(RawMutex::named(name).handing_on())
    }
}

impl fmt::Debug for RawFairMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawFairMutex").finish_non_exhaustive()
    }
}

// SAFETY: as of `RawMutex`, which does it all.
unsafe impl lock_api::RawMutex for RawFairMutex {
    #[allow(clippy::declare_interior_mutable_const, reason = "what the trait asks for")]
    const INIT: RawFairMutex = RawFairMutex(RawMutex::INIT.handing_on());

    type Guard = Marker;

    #[inline]
    #[track_caller]
    fn lock(&self) -> Marker {
        self.0.lock()
    }

    #[inline]
    #[track_caller]
    fn try_lock(&self) -> Option<Marker> {
        self.0.try_lock()
    }

    #[inline]
    unsafe fn unlock(&self, marker: Marker) {
        // SAFETY: the caller's promise is the same.
        unsafe { self.0.unlock_fair(marker) }
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.0.is_locked()
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawMutexFair for RawFairMutex {
    #[inline]
    unsafe fn unlock_fair(&self, marker: Marker) {
        // SAFETY: the caller's promise is the same.
        unsafe { self.0.unlock_fair(marker) }
    }

    #[inline]
    #[track_caller]
    unsafe fn bump(&self, marker: &mut Marker) {
        // SAFETY: the caller's promise is the same.
        unsafe { self.0.bump(marker) }
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawMutexTimed for RawFairMutex {
    type Duration = Duration;
    type Instant = Instant;

    #[inline]
    #[track_caller]
    fn try_lock_for(&self, timeout: Duration) -> Option<Marker> {
        self.0.try_lock_for(timeout)
    }

    #[inline]
    #[track_caller]
    fn try_lock_until(&self, deadline: Instant) -> Option<Marker> {
        self.0.try_lock_until(deadline)
    }
}
