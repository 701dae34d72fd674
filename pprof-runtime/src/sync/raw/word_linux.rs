//! An atomic word that threads can sleep on: a futex.

use std::sync::atomic::AtomicU32;

use crate::sync::raw::futex;

#[derive(Debug)]
pub(crate) struct Word(AtomicU32);

impl Word {
    pub(crate) const fn new(value: u32) -> Self {
        Word(AtomicU32::new(value))
    }

    /// The value, for looking at it and changing it.
    #[inline]
    pub(crate) fn atomic(&self) -> &AtomicU32 {
        &self.0
    }

    pub(crate) fn get_mut(&mut self) -> &mut u32 {
        self.0.get_mut()
    }

    /// Sleeps while the value is `seen`; may return early, so look again.
    pub(crate) fn sleep(&self, seen: u32) {
        futex::wait(&self.0, seen);
    }

    /// Wakes all that sleep on it. Whoever began to sleep after the value was changed does not sleep.
    pub(crate) fn wake_all(&self) {
        futex::wake_all(&self.0);
    }
}
