//! Elsewhere: parking_lot's readers-writer lock, which sleeps by each system's own means.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::lock_api::{RawRwLock as _, RawRwLockDowngrade as _};

pub(in crate::sync) struct RawRwLock {
    inner: parking_lot::RawRwLock,
    sleepers: AtomicUsize,
}

impl std::fmt::Debug for RawRwLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RawRwLock")
    }
}

impl RawRwLock {
    /// Whether a reader that has to be let somebody in is known to be the last one.
    pub(in crate::sync) const KNOWS_LAST_READER: bool = false;

    pub(in crate::sync) const fn new() -> Self {
        RawRwLock { inner: parking_lot::RawRwLock::INIT, sleepers: AtomicUsize::new(0) }
    }

    /// Enters as a reader, perhaps not though it could: then `spin_read` will.
    #[inline]
    pub(in crate::sync) fn read_quickly(&self) -> bool {
        self.inner.try_lock_shared()
    }

    /// Enters as a writer, perhaps not though it could: then `spin_write` will.
    #[inline]
    pub(in crate::sync) fn write_quickly(&self) -> bool {
        self.inner.try_lock_exclusive()
    }

    /// Enters as a reader if no writer has it or sleeps.
    #[inline]
    pub(in crate::sync) fn try_read(&self) -> bool {
        self.inner.try_lock_shared()
    }

    /// Enters as the writer if nobody has it.
    #[inline]
    pub(in crate::sync) fn try_write(&self) -> bool {
        self.inner.try_lock_exclusive()
    }

    /// Waits a moment for a writer about to leave; false if it stays.
    pub(in crate::sync) fn spin_read(&self) -> bool {
        spin(|| self.inner.try_lock_shared())
    }

    /// Waits a moment for others about to leave; false if they stay.
    pub(in crate::sync) fn spin_write(&self) -> bool {
        spin(|| self.inner.try_lock_exclusive())
    }

    /// Enters as a reader, asleep while it may not; false if it could at once.
    pub(in crate::sync) fn sleep_read(&self) -> bool {
        self.sleep(|| self.inner.try_lock_shared(), || self.inner.lock_shared())
    }

    /// Enters as the writer, asleep while others have it; false if it could at once.
    pub(in crate::sync) fn sleep_write(&self) -> bool {
        self.sleep(|| self.inner.try_lock_exclusive(), || self.inner.lock_exclusive())
    }

    fn sleep(&self, enter: impl Fn() -> bool, wait: impl Fn()) -> bool {
        // ORDERING: Relaxed: a hint to the holders.
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        let free = enter();
        if !free {
            wait();
        }
        self.sleepers.fetch_sub(1, Ordering::Relaxed);
        !free
    }

    fn nobody_sleeps(&self) -> bool {
        // ORDERING: Relaxed: a hint; who is not seen yet is let in all the same.
        self.sleepers.load(Ordering::Relaxed) == 0
    }

    /// Leaves, as one of the readers, unless others sleep, or may: then it still has the lock, with others perhaps, and has to call
    /// `unlock_read_and_wake`.
    #[inline]
    pub(in crate::sync) fn unlock_read_unless_awaited(&self) -> bool {
        let nobody = self.nobody_sleeps();
        if nobody {
            self.unlock_read_and_wake();
        }
        nobody
    }

    /// Leaves, as the writer, unless others sleep, or may: then it has the lock still, and has to call `unlock_write_and_wake`.
    #[inline]
    pub(in crate::sync) fn unlock_write_unless_awaited(&self) -> bool {
        let nobody = self.nobody_sleeps();
        if nobody {
            self.unlock_write_and_wake();
        }
        nobody
    }

    /// Becomes a reader, and lets in others, unless some sleep, or may: then it still is alone, and has to call `downgrade_and_wake`.
    #[inline]
    pub(in crate::sync) fn downgrade_unless_awaited(&self) -> bool {
        let nobody = self.nobody_sleeps();
        if nobody {
            self.downgrade_and_wake();
        }
        nobody
    }

    /// Becomes a reader, as the caller is the writer.
    #[inline]
    pub(in crate::sync) fn downgrade_and_wake(&self) {
        // SAFETY: the caller is the writer.
        unsafe { self.inner.downgrade() };
    }

    /// Leaves, as one of the readers, which the caller is.
    #[inline]
    pub(in crate::sync) fn unlock_read_and_wake(&self) {
        // SAFETY: the caller is a reader.
        unsafe { self.inner.unlock_shared() };
    }

    /// Leaves, as the writer, which the caller is.
    #[inline]
    pub(in crate::sync) fn unlock_write_and_wake(&self) {
        // SAFETY: the caller is the writer.
        unsafe { self.inner.unlock_exclusive() };
    }
}

fn spin(enter: impl Fn() -> bool) -> bool {
    for round in 0..5 {
        for _ in 0..1 << round {
            spin_loop();
        }
        if enter() {
            return true;
        }
    }
    false
}
