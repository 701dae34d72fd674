//! Elsewhere: parking_lot's lock, which sleeps by each system's own means.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::lock_api::RawMutex as _;

pub(in crate::sync) struct RawMutex {
    inner: parking_lot::RawMutex,
    sleepers: AtomicUsize,
}

impl std::fmt::Debug for RawMutex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RawMutex")
    }
}

impl RawMutex {
    pub(in crate::sync) const fn new() -> Self {
        RawMutex { inner: parking_lot::RawMutex::INIT, sleepers: AtomicUsize::new(0) }
    }

    /// Acquires the lock if it is free.
    #[inline]
    pub(in crate::sync) fn try_lock(&self) -> bool {
        self.inner.try_lock()
    }

    /// Waits a moment for a holder about to leave; false if it stays.
    pub(in crate::sync) fn spin(&self) -> bool {
        for round in 0..5 {
            for _ in 0..1 << round {
                spin_loop();
            }
            if self.inner.try_lock() {
                return true;
            }
        }
        false
    }

    /// Acquires the lock, asleep while it is held; false if it was free after all.
    pub(in crate::sync) fn sleep(&self) -> bool {
        // ORDERING: Relaxed: a hint to the holder.
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        let free = self.inner.try_lock();
        if !free {
            self.inner.lock();
        }
        self.sleepers.fetch_sub(1, Ordering::Relaxed);
        !free
    }

    /// Releases the lock, which the caller holds, unless somebody sleeps, or may: then it is still held, and has to be
    /// released by `unlock_and_wake`.
    #[inline]
    pub(in crate::sync) fn unlock_if_nobody_sleeps(&self) -> bool {
        // ORDERING: Relaxed: a hint; who is not seen yet is let in all the same.
        let nobody = self.sleepers.load(Ordering::Relaxed) == 0;
        if nobody {
            self.unlock_and_wake();
        }
        nobody
    }

    /// Releases the lock, which the caller holds.
    #[inline]
    pub(in crate::sync) fn unlock_and_wake(&self) {
        // SAFETY: the caller holds the lock.
        unsafe { self.inner.unlock() };
    }
}
