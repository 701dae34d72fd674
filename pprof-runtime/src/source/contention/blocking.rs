//! Waits that are one call of the original's.

use std::hint::black_box;

use super::actor::Actor;
use super::monitor::{wait_for, wait_timed};
use super::tag::{Kind, Origin, Site};

/// What a wait is recorded as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    kind: Kind,
    origin: Option<Origin>,
    site: Site,
    target: Actor,
    timed: bool,
}

impl Event {
    pub(crate) fn new(kind: Kind, origin: Option<Origin>, site: Site) -> Event {
        Event { kind, origin, site, target: Actor::NOBODY, timed: false }
    }

    /// For the end of `target`.
    pub(crate) fn of(self, target: Actor) -> Event {
        Event { target, ..self }
    }

    /// It ends by itself after a time.
    pub(crate) fn timed(self) -> Event {
        Event { timed: true, ..self }
    }
}

/// Runs `operation`, which is known to block, as one block event of the function this is inlined into.
#[inline(always)]
pub(crate) fn blocked<R>(event: Event, operation: impl FnOnce() -> R) -> R {
    let result = recorded(event, operation);
    // Work left after the call: without it `rx.recv()` at the end of a function compiles to a jump, and by the time
    // the event is recorded the frame of that function, the very one to charge, is gone.
    black_box(());
    result
}

#[cold]
#[inline(never)]
fn recorded<R>(event: Event, operation: impl FnOnce() -> R) -> R {
    let Event { kind, origin, site, target, timed } = event;
    // Recorded on drop too: unwinding out of the wait ends it.
    let wait = if timed {
        wait_timed(kind, origin, site, true)
    } else {
        wait_for(target, kind, origin, site)
    };
    let result = operation();
    wait.acquired();
    result
}
