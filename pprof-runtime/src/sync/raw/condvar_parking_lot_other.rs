//! Elsewhere: the number of notifications so far, under a lock of its own that parking_lot's condition variable knows.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::Woken;

#[derive(Debug)]
pub(in crate::sync) struct RawCondvar {
    number: Mutex<u32>,
    changed: Condvar,
}

impl RawCondvar {
    pub(in crate::sync) const fn new() -> Self {
        RawCondvar { number: Mutex::new(0), changed: Condvar::new() }
    }

    /// The number of notifications so far. To be looked at before the mutex is released.
    pub(in crate::sync) fn number(&self) -> u32 {
        *self.number.lock()
    }

    /// Sleeps until the next notification after `number`, or for `timeout`.
    pub(in crate::sync) fn sleep(&self, number: u32, timeout: Option<Duration>) -> Woken {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut current = self.number.lock();
        if *current != number {
            return Woken::AtOnce;
        }
        while *current == number {
            match deadline {
                None => self.changed.wait(&mut current),
                Some(deadline) => {
                    if self.changed.wait_until(&mut current, deadline).timed_out() {
                        return Woken::TimedOut;
                    }
                }
            }
        }
        Woken::Notified
    }

    pub(in crate::sync) fn notify_one(&self) {
        let mut number = self.number.lock();
        *number = number.wrapping_add(1);
        // Under the lock: everybody who sleeps has seen an earlier number, and the one woken up will not sleep again.
        self.changed.notify_one();
    }

    pub(in crate::sync) fn notify_all(&self) {
        let mut number = self.number.lock();
        *number = number.wrapping_add(1);
        self.changed.notify_all();
    }
}
