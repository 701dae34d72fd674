//! `Barrier`: tasks that wait for each other.

use std::fmt;
use std::panic::Location;

use ::tokio::sync::{Barrier as Inner, BarrierWaitResult};

use crate::source::contention::{Kind, Origin};
use crate::tokio::waiting::{Event, Waiting};

/// Lets tasks go on once there are `n` of them, drop-in for [`tokio::sync::Barrier`](::tokio::sync::Barrier).
///
/// Waits appear in the `block` profile.
pub struct Barrier {
    inner: Inner,
    origin: Origin,
}

impl Barrier {
    /// A barrier for `n` tasks at a time; zero is one.
    #[track_caller]
    pub fn new(n: usize) -> Barrier {
        Barrier { inner: Inner::new(n), origin: Origin::here() }
    }

    /// As [`new`](Barrier::new); profiles show it as `name`, others by where they were made.
    ///
    /// Not in tokio.
    pub fn named(n: usize, name: &'static str) -> Barrier {
        Barrier { inner: Inner::new(n), origin: Origin::Name(name) }
    }

    /// Waits for the others. The last to come does not wait, and is the leader.
    ///
    /// # Cancel safety
    /// None: whoever drops the future has come all the same.
    #[inline]
    #[track_caller]
    pub fn wait(&self) -> impl Future<Output = BarrierWaitResult> {
        // It has come before it asks for budget.
        let event = Event::new(&self.origin, Kind::Barrier, Location::caller()).budget_last();
        Waiting::new(self.inner.wait(), event)
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
