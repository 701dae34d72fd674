//! An atomic word that threads can sleep on: elsewhere by way of parking_lot, which sleeps by each system's own means.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::{Condvar, Mutex};

#[derive(Debug)]
pub(crate) struct Word {
    value: AtomicU32,
    /// Held while one looks before falling asleep, and by whoever wakes: no wake-up falls in between.
    asleep: Mutex<()>,
    changed: Condvar,
}

// There is nothing in it that a panic could leave half changed; elsewhere it is a bare atomic.
impl UnwindSafe for Word {}
impl RefUnwindSafe for Word {}

impl Word {
    pub(crate) const fn new(value: u32) -> Self {
        Word { value: AtomicU32::new(value), asleep: Mutex::new(()), changed: Condvar::new() }
    }

    /// The value, for looking at it and changing it.
    #[inline]
    pub(crate) fn atomic(&self) -> &AtomicU32 {
        &self.value
    }

    pub(crate) fn get_mut(&mut self) -> &mut u32 {
        self.value.get_mut()
    }

    /// Sleeps while the value is `seen`; may return early, so look again.
    pub(crate) fn sleep(&self, seen: u32) {
        let mut asleep = self.asleep.lock();
        // ORDERING: Relaxed: a change is followed by `wake_all`, which takes the lock.
        if self.value.load(Ordering::Relaxed) == seen {
            self.changed.wait(&mut asleep);
        }
    }

    /// Wakes all that sleep on it. Whoever began to sleep after the value was changed does not sleep.
    pub(crate) fn wake_all(&self) {
        let _asleep = self.asleep.lock();
        self.changed.notify_all();
    }
}
