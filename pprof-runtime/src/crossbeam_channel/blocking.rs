//! Waits as block events.

use std::hint;
use std::time::{Duration, Instant};

use crate::source::contention::{Kind, Origin, Site, wait_timed};

/// What a wait is recorded as.
pub(super) type Event = (Kind, Option<Origin>, Site);

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
    let result = timed(limit, event, operation);
    // Work left after the call: without it `rx.recv()` at the end of a function compiles to a jump, and by the time the event is
    // recorded the frame of that function, the very one to charge, is gone.
    hint::black_box(());
    result
}

#[cold]
#[inline(never)]
fn timed<R>(limit: Limit, (kind, origin, site): Event, operation: impl FnOnce() -> R) -> R {
    if limit.is_over() {
        return operation();
    }
    // Recorded on drop too: unwinding out of the wait ends it.
    let wait = wait_timed(kind, origin, site, !matches!(limit, Limit::None));
    let result = operation();
    wait.acquired();
    result
}
