//! `Mutex`: the raw mutex that all mutexes of this module are made of.

use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

use lock_api::{RawMutex as _, RawMutexTimed as _};

use super::account::{Account, replace, until};
use super::{Marker, deadline};
use crate::source::contention::{Kind, Origin, Site};

/// A mutual exclusion lock, drop-in for [`parking_lot::Mutex`](parking_lot_0_13::Mutex).
///
/// # Examples
/// ```
/// use pprof_runtime::parking_lot::{Mutex, MutexGuard};
///
/// static TOTAL: Mutex<(u64, u64)> = Mutex::new((0, 0));
/// *MutexGuard::map(TOTAL.lock(), |total| &mut total.1) += 3;
/// assert_eq!(*TOTAL.lock(), (0, 3));
/// ```
pub type Mutex<T> = lock_api::Mutex<RawMutex, T>;

/// Access to the data of a [`Mutex`]; releases the lock on drop.
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawMutex, T>;

/// Access to part of the data of a [`Mutex`]; releases the lock on drop.
pub type MappedMutexGuard<'a, T> = lock_api::MappedMutexGuard<'a, RawMutex, T>;

/// The original's raw mutex with an account of its waiters.
pub struct RawMutex {
    pub(super) account: Account<parking_lot_0_13::RawMutex>,
}

impl RawMutex {
    /// A mutex that profiles show by where this is called.
    ///
    /// Not in the original, whose `INIT` makes one that they show by where it is first locked.
    #[must_use]
    #[track_caller]
    pub const fn here() -> RawMutex {
        RawMutex { account: Account::new(parking_lot_0_13::RawMutex::INIT, Origin::here()) }
    }

    /// A mutex that profiles show as `name`.
    ///
    /// Not in the original.
    #[must_use]
    pub const fn named(name: &'static str) -> RawMutex {
        RawMutex { account: Account::new(parking_lot_0_13::RawMutex::INIT, Origin::Name(name)) }
    }

    /// A mutex that hands itself on.
    pub(super) const fn handing_on(self) -> RawMutex {
        RawMutex { account: self.account.handing_on() }
    }

    #[cold]
    fn lock_contended(&self, site: Site, deadline: Option<Instant>) -> Option<Marker> {
        if let Some(marker) = self.account.spin(|| self.account.inner.try_lock()) {
            return Some(marker);
        }
        self.account.wait(Kind::Mutex, site, deadline, || {
            until(
                deadline,
                |at| self.account.inner.try_lock_until(at),
                || self.account.inner.lock(),
            )
        })
    }

    #[cold]
    fn lock_contended_for(&self, site: Site, timeout: Duration) -> Option<Marker> {
        self.lock_contended(site, deadline(timeout))
    }
}

impl fmt::Debug for RawMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawMutex").finish_non_exhaustive()
    }
}

// SAFETY: whether the lock is held, and by whom, is decided by the original alone.
unsafe impl lock_api::RawMutex for RawMutex {
    #[allow(clippy::declare_interior_mutable_const, reason = "what the trait asks for")]
    const INIT: RawMutex = RawMutex { account: Account::unnamed(parking_lot_0_13::RawMutex::INIT) };

    type Guard = Marker;

    #[inline]
    #[track_caller]
    fn lock(&self) -> Marker {
        let site = Location::caller();
        let marker = match self.account.inner.try_lock() {
            Some(marker) => marker,
            None => self.lock_contended(site, None).expect("nothing else ends it"),
        };
        self.account.acquired(site);
        marker
    }

    #[inline]
    #[track_caller]
    fn try_lock(&self) -> Option<Marker> {
        let marker = self.account.inner.try_lock()?;
        self.account.acquired(Location::caller());
        Some(marker)
    }

    #[inline]
    unsafe fn unlock(&self, marker: Marker) {
        self.account.release(Kind::Mutex, || {
            // SAFETY: the caller's promise is the same.
            unsafe { self.account.inner.unlock(marker) }
        });
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.account.inner.is_locked()
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawMutexFair for RawMutex {
    #[inline]
    unsafe fn unlock_fair(&self, marker: Marker) {
        self.account.release(Kind::Mutex, || {
            // SAFETY: the caller's promise is the same.
            unsafe { self.account.inner.unlock_fair(marker) }
        });
    }

    #[inline]
    #[track_caller]
    unsafe fn bump(&self, marker: &mut Marker) {
        // Not by the original's own, whose wait would not be seen.
        if self.account.has_sleepers() {
            let site = Location::caller();
            replace(marker, |marker| {
                // SAFETY: the caller's promise is the same.
                unsafe { self.unlock_fair(marker) };
                let marker = match self.account.inner.try_lock() {
                    Some(marker) => marker,
                    None => self.lock_contended(site, None).expect("nothing else ends it"),
                };
                self.account.acquired(site);
                marker
            });
        }
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawMutexTimed for RawMutex {
    type Duration = Duration;
    type Instant = Instant;

    #[inline]
    #[track_caller]
    fn try_lock_for(&self, timeout: Duration) -> Option<Marker> {
        let site = Location::caller();
        let marker = match self.account.inner.try_lock() {
            Some(marker) => marker,
            None => self.lock_contended_for(site, timeout)?,
        };
        self.account.acquired(site);
        Some(marker)
    }

    #[inline]
    #[track_caller]
    fn try_lock_until(&self, deadline: Instant) -> Option<Marker> {
        let site = Location::caller();
        let marker = match self.account.inner.try_lock() {
            Some(marker) => marker,
            None => self.lock_contended(site, Some(deadline))?,
        };
        self.account.acquired(site);
        Some(marker)
    }
}
