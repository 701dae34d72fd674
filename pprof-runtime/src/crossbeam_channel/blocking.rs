//! Waits as block events.

use std::time::{Duration, Instant};

use crate::source::contention::{self, Event};

/// Until when an operation may wait.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    /// For as long as it takes.
    None,
    For(Duration),
    Until(Instant),
}

impl Limit {
    /// Whether it leaves no time to wait: a poll in disguise. At rate 1 a loop of them would bury the real waits under events of no
    /// length.
    pub(super) fn is_over(self) -> bool {
        match self {
            Limit::None => false,
            Limit::For(timeout) => timeout.is_zero(),
            Limit::Until(deadline) => deadline <= Instant::now(),
        }
    }
}

/// Runs `operation`, which has just been tried in vain, as one block event of the function this is inlined into, if it may wait.
#[inline(always)]
pub(super) fn blocked<R>(limit: Limit, event: Event, operation: impl FnOnce() -> R) -> R {
    match limit {
        Limit::None => contention::blocked(event, operation),
        _ if limit.is_over() => operation(),
        _ => contention::blocked(event.timed(), operation),
    }
}
