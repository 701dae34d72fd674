//! `RwLock` and `RecursiveRwLock`: many readers, one of whom may be about to write, or one writer.
//!
//! | held as    | its holder in the monitor                          | who is charged when it is released            |
//! |------------|----------------------------------------------------|-----------------------------------------------|
//! | exclusive  | the only one                                       | it, at once                                   |
//! | shared     | one of several: the last to come, while it is there | the last to release, when somebody is let in |
//! | upgradable | as shared                                          | as shared                                     |
//!
//! Upgrading is waiting, while the lock is held, for those who read.

use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

use lock_api::{
    RawRwLock as _, RawRwLockTimed as _, RawRwLockUpgrade as _, RawRwLockUpgradeTimed as _,
};

use super::account::{Account, replace, until};
use super::{Marker, deadline, guards_move};
use crate::source::contention::{Actor, Held, Kind, Origin, Site};

/// A reader-writer lock, drop-in for [`parking_lot::RwLock`](parking_lot_0_13::RwLock).
///
/// # Examples
/// ```
/// use pprof_runtime::parking_lot::{RwLock, RwLockUpgradableReadGuard};
///
/// static TABLE: RwLock<Vec<u32>> = RwLock::new(Vec::new());
///
/// let table = TABLE.upgradable_read();
/// if table.is_empty() {
///     RwLockUpgradableReadGuard::upgrade(table).push(1);
/// }
/// assert_eq!(TABLE.read().len(), 1);
/// ```
pub type RwLock<T> = lock_api::RwLock<RawRwLock, T>;

/// Shared access to the data of a [`RwLock`]; releases the lock on drop.
pub type RwLockReadGuard<'a, T> = lock_api::RwLockReadGuard<'a, RawRwLock, T>;

/// Exclusive access to the data of a [`RwLock`]; releases the lock on drop.
pub type RwLockWriteGuard<'a, T> = lock_api::RwLockWriteGuard<'a, RawRwLock, T>;

/// Shared access to the data of a [`RwLock`] that may become exclusive; releases the lock on drop.
pub type RwLockUpgradableReadGuard<'a, T> = lock_api::RwLockUpgradableReadGuard<'a, RawRwLock, T>;

/// Shared access to part of the data of a [`RwLock`]; releases the lock on drop.
pub type MappedRwLockReadGuard<'a, T> = lock_api::MappedRwLockReadGuard<'a, RawRwLock, T>;

/// Exclusive access to part of the data of a [`RwLock`]; releases the lock on drop.
pub type MappedRwLockWriteGuard<'a, T> = lock_api::MappedRwLockWriteGuard<'a, RawRwLock, T>;

/// A reader-writer lock that a thread may read while it reads it already, drop-in for
/// [`parking_lot::RecursiveRwLock`](parking_lot_0_13::RecursiveRwLock).
///
/// # Examples
/// ```
/// use pprof_runtime::parking_lot::RecursiveRwLock;
///
/// let lock = RecursiveRwLock::new(5);
/// let first = lock.read();
/// assert_eq!(*first, *lock.read());
/// ```
pub type RecursiveRwLock<T> = lock_api::RwLock<RawRwLockRecursive, T>;

/// Shared access to the data of a [`RecursiveRwLock`]; releases the lock on drop.
pub type RecursiveRwLockReadGuard<'a, T> = lock_api::RwLockReadGuard<'a, RawRwLockRecursive, T>;

/// Exclusive access to the data of a [`RecursiveRwLock`]; releases the lock on drop.
pub type RecursiveRwLockWriteGuard<'a, T> = lock_api::RwLockWriteGuard<'a, RawRwLockRecursive, T>;

/// Shared access to the data of a [`RecursiveRwLock`] that may become exclusive; releases the lock on drop.
pub type RecursiveRwLockUpgradableReadGuard<'a, T> =
    lock_api::RwLockUpgradableReadGuard<'a, RawRwLockRecursive, T>;

/// Shared access to part of the data of a [`RecursiveRwLock`]; releases the lock on drop.
pub type MappedRecursiveRwLockReadGuard<'a, T> =
    lock_api::MappedRwLockReadGuard<'a, RawRwLockRecursive, T>;

/// Exclusive access to part of the data of a [`RecursiveRwLock`]; releases the lock on drop.
pub type MappedRecursiveRwLockWriteGuard<'a, T> =
    lock_api::MappedRwLockWriteGuard<'a, RawRwLockRecursive, T>;

/// The original's raw reader-writer lock with an account of its waiters.
pub struct RawRwLock<const RECURSIVE: bool = false> {
    account: Account<parking_lot_0_13::RawRwLock<RECURSIVE>>,
}

/// A raw reader-writer lock that a thread may read while it reads it already.
pub type RawRwLockRecursive = RawRwLock<true>;

/// What the guard of a reader knows: where, when and by whom the lock was taken.
///
/// Not in the original.
pub struct SharedGuard {
    marker: Marker,
    /// Who took it, as guards may move between threads if the original is built so.
    taken: (Actor, Held),
}

impl fmt::Debug for SharedGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedGuard").finish_non_exhaustive()
    }
}

impl<const RECURSIVE: bool> fmt::Debug for RawRwLock<RECURSIVE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawRwLock").finish_non_exhaustive()
    }
}

impl<const RECURSIVE: bool> RawRwLock<RECURSIVE> {
    /// A lock that profiles show by where this is called.
    ///
    /// Not in the original, whose `INIT` makes one that they show by where it is first locked.
    #[must_use]
    #[track_caller]
    pub const fn here() -> Self {
        RawRwLock { account: Account::new(parking_lot_0_13::RawRwLock::INIT, Origin::here()) }
    }

    /// A lock that profiles show as `name`.
    ///
    /// Not in the original.
    #[must_use]
    pub const fn named(name: &'static str) -> Self {
        RawRwLock { account: Account::new(parking_lot_0_13::RawRwLock::INIT, Origin::Name(name)) }
    }

    /// The guard of a shared lock just taken.
    #[inline]
    fn shared(&self, marker: Marker, site: Site) -> SharedGuard {
        SharedGuard {
            marker,
            taken: self.account.monitor.acquired_shared_named(site, guards_move()),
        }
    }

    #[cold]
    fn read_contended(&self, site: Site, deadline: Option<Instant>) -> Option<Marker> {
        if let Some(marker) = self.account.spin(|| self.account.inner.try_lock_shared()) {
            return Some(marker);
        }
        self.account.wait(Kind::RwLockRead, site, deadline, || {
            until(
                deadline,
                |at| self.account.inner.try_lock_shared_until(at),
                || self.account.inner.lock_shared(),
            )
        })
    }

    #[cold]
    fn read_contended_for(&self, site: Site, timeout: Duration) -> Option<Marker> {
        self.read_contended(site, deadline(timeout))
    }

    #[cold]
    fn write_contended(&self, site: Site, deadline: Option<Instant>) -> Option<Marker> {
        // A look first: trying writes to the word that others are to change.
        let spun = self.account.spin(|| {
            if self.account.inner.is_locked() {
                None
            } else {
                self.account.inner.try_lock_exclusive()
            }
        });
        if let Some(marker) = spun {
            return Some(marker);
        }
        self.account.wait(Kind::RwLockWrite, site, deadline, || {
            until(
                deadline,
                |at| self.account.inner.try_lock_exclusive_until(at),
                || self.account.inner.lock_exclusive(),
            )
        })
    }

    #[cold]
    fn write_contended_for(&self, site: Site, timeout: Duration) -> Option<Marker> {
        self.write_contended(site, deadline(timeout))
    }

    #[cold]
    fn upgradable_contended(&self, site: Site, deadline: Option<Instant>) -> Option<Marker> {
        if let Some(marker) = self.account.spin(|| self.account.inner.try_lock_upgradable()) {
            return Some(marker);
        }
        self.account.wait(Kind::RwLockUpgradable, site, deadline, || {
            until(
                deadline,
                |at| self.account.inner.try_lock_upgradable_until(at),
                || self.account.inner.lock_upgradable(),
            )
        })
    }

    #[cold]
    fn upgradable_contended_for(&self, site: Site, timeout: Duration) -> Option<Marker> {
        self.upgradable_contended(site, deadline(timeout))
    }

    /// The upgradable lock that `guard` is of becomes exclusive, or, at the deadline, is what it was.
    ///
    /// # Safety
    /// `guard` is of an upgradable lock that is held.
    #[inline]
    unsafe fn upgrade_until(
        &self,
        guard: SharedGuard,
        site: Site,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> Result<Marker, SharedGuard> {
        let SharedGuard { marker, taken } = guard;
        let (actor, held) = taken;
        // Before a wait, which would else be shown as one for the thread itself.
        let hold = self.account.monitor.releasing_shared(actor, Kind::RwLockUpgradable, held);
        // SAFETY: the caller's promise is the same.
        let upgraded = match unsafe { self.account.inner.try_upgrade(marker) } {
            Ok(marker) => Ok(marker),
            // SAFETY: as above, the attempt having changed nothing.
            Err(marker) => unsafe { self.upgrade_contended(marker, site, deadline()) },
        };
        match upgraded {
            Ok(marker) => {
                self.account.acquired(site);
                hold.record();
                Ok(marker)
            }
            Err(marker) => {
                // Shown as a holder again; it has been one since `held` says.
                self.account.monitor.held_still(actor, held, guards_move());
                Err(SharedGuard { marker, taken })
            }
        }
    }

    /// # Safety
    /// `marker` is of an upgradable lock that is held.
    #[cold]
    unsafe fn upgrade_contended(
        &self,
        marker: Marker,
        site: Site,
        deadline: Option<Instant>,
    ) -> Result<Marker, Marker> {
        let mut kept = None;
        let upgraded = self.account.wait(Kind::RwLockWrite, site, deadline, || match deadline {
            // SAFETY: the caller's promise is the same.
            None => Some(unsafe { self.account.inner.upgrade(marker) }),
            Some(at) => {
                // SAFETY: as above.
                let result = unsafe { self.account.inner.try_upgrade_until(marker, at) };
                result.map_err(|marker| kept = Some(marker)).ok()
            }
        });
        match (upgraded, kept) {
            (Some(marker), _) => Ok(marker),
            (None, kept) => Err(kept.expect("given back where there is no upgrade")),
        }
    }
}

// SAFETY: whether the lock is held, and by whom, is decided by the original alone.
unsafe impl<const RECURSIVE: bool> lock_api::RawRwLock for RawRwLock<RECURSIVE> {
    #[allow(clippy::declare_interior_mutable_const, reason = "what the trait asks for")]
    const INIT: Self = RawRwLock { account: Account::unnamed(parking_lot_0_13::RawRwLock::INIT) };

    type SharedGuard = SharedGuard;
    type ExclusiveGuard = Marker;

    #[inline]
    #[track_caller]
    fn lock_shared(&self) -> SharedGuard {
        let site = Location::caller();
        let marker = match self.account.inner.try_lock_shared() {
            Some(marker) => marker,
            None => self.read_contended(site, None).expect("nothing else ends it"),
        };
        self.shared(marker, site)
    }

    #[inline]
    #[track_caller]
    fn try_lock_shared(&self) -> Option<SharedGuard> {
        let marker = self.account.inner.try_lock_shared()?;
        Some(self.shared(marker, Location::caller()))
    }

    #[inline]
    unsafe fn unlock_shared(&self, guard: SharedGuard) {
        let SharedGuard { marker, taken } = guard;
        self.account.release_shared(Kind::RwLockRead, taken, || {
            // SAFETY: the caller's promise is the same.
            unsafe { self.account.inner.unlock_shared(marker) }
        });
    }

    #[inline]
    #[track_caller]
    fn lock_exclusive(&self) -> Marker {
        let site = Location::caller();
        let marker = match self.account.inner.try_lock_exclusive() {
            Some(marker) => marker,
            None => self.write_contended(site, None).expect("nothing else ends it"),
        };
        self.account.acquired(site);
        marker
    }

    #[inline]
    #[track_caller]
    fn try_lock_exclusive(&self) -> Option<Marker> {
        let marker = self.account.inner.try_lock_exclusive()?;
        self.account.acquired(Location::caller());
        Some(marker)
    }

    #[inline]
    unsafe fn unlock_exclusive(&self, marker: Marker) {
        self.account.release(Kind::RwLockWrite, || {
            // SAFETY: the caller's promise is the same.
            unsafe { self.account.inner.unlock_exclusive(marker) }
        });
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.account.inner.is_locked()
    }

    #[inline]
    fn is_locked_exclusive(&self) -> bool {
        self.account.inner.is_locked_exclusive()
    }
}

// SAFETY: as above. Not by the original's own `bump`s, whose waits would not be seen.
unsafe impl<const RECURSIVE: bool> lock_api::RawRwLockFair for RawRwLock<RECURSIVE> {
    #[inline]
    unsafe fn unlock_shared_fair(&self, guard: SharedGuard) {
        let SharedGuard { marker, taken } = guard;
        self.account.release_shared(Kind::RwLockRead, taken, || {
            // SAFETY: the caller's promise is the same.
            unsafe { self.account.inner.unlock_shared_fair(marker) }
        });
    }

    #[inline]
    unsafe fn unlock_exclusive_fair(&self, marker: Marker) {
        self.account.release(Kind::RwLockWrite, || {
            // SAFETY: the caller's promise is the same.
            unsafe { self.account.inner.unlock_exclusive_fair(marker) }
        });
    }

    #[inline]
    #[track_caller]
    unsafe fn bump_shared(&self, guard: &mut SharedGuard) {
        if self.account.has_sleepers() {
            replace(guard, |guard| {
                // SAFETY: the caller's promise is the same.
                unsafe { self.unlock_shared_fair(guard) };
                self.lock_shared()
            });
        }
    }

    #[inline]
    #[track_caller]
    unsafe fn bump_exclusive(&self, marker: &mut Marker) {
        if self.account.has_sleepers() {
            replace(marker, |marker| {
                // SAFETY: the caller's promise is the same.
                unsafe { self.unlock_exclusive_fair(marker) };
                self.lock_exclusive()
            });
        }
    }
}

// SAFETY: as above.
unsafe impl<const RECURSIVE: bool> lock_api::RawRwLockDowngrade for RawRwLock<RECURSIVE> {
    #[inline]
    #[track_caller]
    unsafe fn downgrade(&self, marker: Marker) -> SharedGuard {
        let marker = self.account.release(Kind::RwLockWrite, || {
            // SAFETY: the caller's promise is the same.
            unsafe { self.account.inner.downgrade(marker) }
        });
        self.shared(marker, Location::caller())
    }
}

// SAFETY: as above.
unsafe impl<const RECURSIVE: bool> lock_api::RawRwLockTimed for RawRwLock<RECURSIVE> {
    type Duration = Duration;
    type Instant = Instant;

    #[inline]
    #[track_caller]
    fn try_lock_shared_for(&self, timeout: Duration) -> Option<SharedGuard> {
        let site = Location::caller();
        let marker = match self.account.inner.try_lock_shared() {
            Some(marker) => marker,
            None => self.read_contended_for(site, timeout)?,
        };
        Some(self.shared(marker, site))
    }

    #[inline]
    #[track_caller]
    fn try_lock_shared_until(&self, deadline: Instant) -> Option<SharedGuard> {
        let site = Location::caller();
        let marker = match self.account.inner.try_lock_shared() {
            Some(marker) => marker,
            None => self.read_contended(site, Some(deadline))?,
        };
        Some(self.shared(marker, site))
    }

    #[inline]
    #[track_caller]
    fn try_lock_exclusive_for(&self, timeout: Duration) -> Option<Marker> {
        let site = Location::caller();
        let marker = match self.account.inner.try_lock_exclusive() {
            Some(marker) => marker,
            None => self.write_contended_for(site, timeout)?,
        };
        self.account.acquired(site);
        Some(marker)
    }

    #[inline]
    #[track_caller]
    fn try_lock_exclusive_until(&self, deadline: Instant) -> Option<Marker> {
        let site = Location::caller();
        let marker = match self.account.inner.try_lock_exclusive() {
            Some(marker) => marker,
            None => self.write_contended(site, Some(deadline))?,
        };
        self.account.acquired(site);
        Some(marker)
    }
}

// SAFETY: as above.
unsafe impl<const RECURSIVE: bool> lock_api::RawRwLockUpgrade for RawRwLock<RECURSIVE> {
    type UpgradableGuard = SharedGuard;

    #[inline]
    #[track_caller]
    fn lock_upgradable(&self) -> SharedGuard {
        let site = Location::caller();
        let marker = match self.account.inner.try_lock_upgradable() {
            Some(marker) => marker,
            None => self.upgradable_contended(site, None).expect("nothing else ends it"),
        };
        self.shared(marker, site)
    }

    #[inline]
    #[track_caller]
    fn try_lock_upgradable(&self) -> Option<SharedGuard> {
        let marker = self.account.inner.try_lock_upgradable()?;
        Some(self.shared(marker, Location::caller()))
    }

    #[inline]
    unsafe fn unlock_upgradable(&self, guard: SharedGuard) {
        let SharedGuard { marker, taken } = guard;
        self.account.release_shared(Kind::RwLockUpgradable, taken, || {
            // SAFETY: the caller's promise is the same.
            unsafe { self.account.inner.unlock_upgradable(marker) }
        });
    }

    #[inline]
    #[track_caller]
    unsafe fn upgrade(&self, guard: SharedGuard) -> Marker {
        // SAFETY: the caller's promise is the same.
        match unsafe { self.upgrade_until(guard, Location::caller(), || None) } {
            Ok(marker) => marker,
            Err(_) => unreachable!("there is no deadline"),
        }
    }

    #[inline]
    #[track_caller]
    unsafe fn try_upgrade(&self, guard: SharedGuard) -> Result<Marker, SharedGuard> {
        let SharedGuard { marker, taken: (actor, held) } = guard;
        // SAFETY: the caller's promise is the same.
        match unsafe { self.account.inner.try_upgrade(marker) } {
            Ok(marker) => {
                let monitor = &self.account.monitor;
                let hold = monitor.releasing_shared(actor, Kind::RwLockUpgradable, held);
                self.account.acquired(Location::caller());
                hold.record();
                Ok(marker)
            }
            Err(marker) => Err(SharedGuard { marker, taken: (actor, held) }),
        }
    }
}

// SAFETY: as above.
unsafe impl<const RECURSIVE: bool> lock_api::RawRwLockUpgradeFair for RawRwLock<RECURSIVE> {
    #[inline]
    unsafe fn unlock_upgradable_fair(&self, guard: SharedGuard) {
        let SharedGuard { marker, taken } = guard;
        self.account.release_shared(Kind::RwLockUpgradable, taken, || {
            // SAFETY: the caller's promise is the same.
            unsafe { self.account.inner.unlock_upgradable_fair(marker) }
        });
    }

    #[inline]
    #[track_caller]
    unsafe fn bump_upgradable(&self, guard: &mut SharedGuard) {
        if self.account.has_sleepers() {
            replace(guard, |guard| {
                // SAFETY: the caller's promise is the same.
                unsafe { self.unlock_upgradable_fair(guard) };
                self.lock_upgradable()
            });
        }
    }
}

// SAFETY: as above.
unsafe impl<const RECURSIVE: bool> lock_api::RawRwLockUpgradeDowngrade for RawRwLock<RECURSIVE> {
    #[inline]
    #[track_caller]
    unsafe fn downgrade_upgradable(&self, guard: SharedGuard) -> SharedGuard {
        let SharedGuard { marker, taken } = guard;
        let marker = self.account.release_shared(Kind::RwLockUpgradable, taken, || {
            // SAFETY: the caller's promise is the same.
            unsafe { self.account.inner.downgrade_upgradable(marker) }
        });
        self.shared(marker, Location::caller())
    }

    #[inline]
    #[track_caller]
    unsafe fn downgrade_to_upgradable(&self, marker: Marker) -> SharedGuard {
        let marker = self.account.release(Kind::RwLockWrite, || {
            // SAFETY: the caller's promise is the same.
            unsafe { self.account.inner.downgrade_to_upgradable(marker) }
        });
        self.shared(marker, Location::caller())
    }
}

// SAFETY: as above.
unsafe impl<const RECURSIVE: bool> lock_api::RawRwLockUpgradeTimed for RawRwLock<RECURSIVE> {
    #[inline]
    #[track_caller]
    fn try_lock_upgradable_for(&self, timeout: Duration) -> Option<SharedGuard> {
        let site = Location::caller();
        let marker = match self.account.inner.try_lock_upgradable() {
            Some(marker) => marker,
            None => self.upgradable_contended_for(site, timeout)?,
        };
        Some(self.shared(marker, site))
    }

    #[inline]
    #[track_caller]
    fn try_lock_upgradable_until(&self, deadline: Instant) -> Option<SharedGuard> {
        let site = Location::caller();
        let marker = match self.account.inner.try_lock_upgradable() {
            Some(marker) => marker,
            None => self.upgradable_contended(site, Some(deadline))?,
        };
        Some(self.shared(marker, site))
    }

    #[inline]
    #[track_caller]
    unsafe fn try_upgrade_for(
        &self,
        guard: SharedGuard,
        timeout: Duration,
    ) -> Result<Marker, SharedGuard> {
        // SAFETY: the caller's promise is the same.
        unsafe { self.upgrade_until(guard, Location::caller(), || deadline(timeout)) }
    }

    #[inline]
    #[track_caller]
    unsafe fn try_upgrade_until(
        &self,
        guard: SharedGuard,
        at: Instant,
    ) -> Result<Marker, SharedGuard> {
        // SAFETY: the caller's promise is the same.
        unsafe { self.upgrade_until(guard, Location::caller(), || Some(at)) }
    }
}
