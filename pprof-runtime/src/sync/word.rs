//! A word to sleep on, and what is made of it alike everywhere.

use std::sync::atomic::Ordering;

#[cfg_attr(any(target_os = "linux", target_os = "android"), path = "raw/word_linux.rs")]
#[cfg_attr(not(any(target_os = "linux", target_os = "android")), path = "raw/word_other.rs")]
mod sleep;

pub(crate) use sleep::Word;

impl Word {
    /// Changes the value and wakes all that sleep on it; what the caller did before happens before their return from `sleep_until`.
    pub(crate) fn signal(&self) {
        // ORDERING: Release pairs with the Acquire in `sleep_until`.
        self.atomic().fetch_add(1, Ordering::Release);
        self.wake_all();
    }

    /// Sleeps until `done`, which becomes true before somebody calls `signal`. False if it was true at once.
    pub(crate) fn sleep_until(&self, done: impl Fn() -> bool) -> bool {
        let mut slept = false;
        loop {
            // ORDERING: Acquire pairs with the Release in `signal`: if this sees the change, `done` is true; else `sleep` sees it.
            let seen = self.atomic().load(Ordering::Acquire);
            if done() {
                return slept;
            }
            self.sleep(seen);
            slept = true;
        }
    }
}
