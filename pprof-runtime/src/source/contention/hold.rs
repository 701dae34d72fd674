//! How long locks are held: the `hold` profile.
//!
//! A hold of `d` ns is kept with probability min(1, d / rate) and weighted accordingly, as waits are. Its stack is the one that
//! releases the lock, walked after the release, so that it makes nobody wait.

use std::sync::atomic::{AtomicI64, Ordering};

use super::sampling::{is_chosen, random, weigh};
use super::tag::Tag;
use super::{Recorder, clock};

static RATE_NS: AtomicI64 = AtomicI64::new(0);

pub(super) static HOLD: Recorder<2> = Recorder::new();

/// See [`crate::set_hold_profile_rate`].
pub(crate) fn set_rate(ns: i64) {
    if ns > 0 {
        super::prepare(&HOLD);
    }
    // ORDERING: Release pairs with the Acquire in `end`: the table is there.
    RATE_NS.store(ns.max(0), Ordering::Release);
}

pub(super) fn rate() -> i64 {
    // ORDERING: Acquire pairs with the Release in `set_rate`.
    RATE_NS.load(Ordering::Acquire)
}

/// Whether holds are profiled.
#[inline]
pub(super) fn enabled() -> bool {
    // ORDERING: Relaxed: a hint; what matters is looked at by `end`.
    RATE_NS.load(Ordering::Relaxed) > 0
}

/// The stamp of a hold that begins; never zero.
#[cold]
pub(super) fn begin() -> u64 {
    clock::ticks().max(1)
}

/// The end of a hold that began at `since`.
#[cold]
pub(super) fn end(since: u64, tag: impl FnOnce() -> Tag) -> Hold {
    let ns = clock::ticks_to_ns(clock::ticks().saturating_sub(since));
    let ns = i64::try_from(ns).unwrap_or(i64::MAX).max(1);
    if is_chosen(ns, rate(), random()) { Hold { tag: tag(), ns } } else { Hold::NONE }
}

/// A hold that has ended, if it was chosen. Two words, so that it travels in registers.
#[derive(Clone, Copy, Debug)]
#[must_use = "to be recorded once the lock is released"]
pub(crate) struct Hold {
    tag: Tag,
    /// Zero if it was not.
    ns: i64,
}

impl Hold {
    pub(crate) const NONE: Hold = Hold { tag: Tag::NONE, ns: 0 };

    /// Adds it to the calling stack.
    #[inline]
    pub(crate) fn record(self) {
        if self.ns != 0 {
            record(self);
            // Work left after the call: as a jump it would run when the frame to charge is gone.
            std::hint::black_box(());
        }
    }
}

#[cold]
fn record(Hold { tag, ns }: Hold) {
    if let Some(counters) = HOLD.here(tag) {
        counters.add(weigh(ns, rate()));
    }
}
