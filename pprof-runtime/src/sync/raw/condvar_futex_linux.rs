//! A condition variable in one futex word, the number of notifications so far: who has seen a number sleeps while it is the same, so that
//! no notification after that is missed.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{Woken, futex};

#[derive(Debug)]
pub(in crate::sync) struct RawCondvar(AtomicU32);

impl RawCondvar {
    pub(in crate::sync) const fn new() -> Self {
        RawCondvar(AtomicU32::new(0))
    }

    /// The number of notifications so far. To be looked at before the mutex is released.
    #[inline]
    pub(in crate::sync) fn number(&self) -> u32 {
        // ORDERING: Relaxed, here and below: what is notified of is ordered by the mutex.
        self.0.load(Ordering::Relaxed)
    }

    /// Sleeps until the next notification after `number`, or for `timeout`; may return early.
    pub(in crate::sync) fn sleep(&self, number: u32, timeout: Option<Duration>) -> Woken {
        futex::wait_for(&self.0, number, timeout)
    }

    pub(in crate::sync) fn notify_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        futex::wake_one(&self.0);
    }

    pub(in crate::sync) fn notify_all(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        futex::wake_all(&self.0);
    }
}
