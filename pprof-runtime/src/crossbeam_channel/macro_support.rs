//! What `select!` expands to. Not part of the public API: no stability is promised.

use std::fmt;
use std::panic::Location;

pub use ::crossbeam_channel::{select as select_original, select_biased as select_biased_original};
pub use pprof_macros::crossbeam_select as select;

use super::{Receiver, Sender};
use crate::clock;
use crate::source::contention::{Kind, Origin, Wait, block_enabled, wait};

/// A thread that has slept is not back before this: it takes two system calls and a switch. Shorter than that were operations whose
/// readiness cannot be seen in advance: on disconnected channels, and on those without a buffer where the other side waited.
const SHORTEST_SLEEP_NS: u64 = 1_000;

/// One half of a channel, as an operand.
pub trait Half {
    /// Whether it can be used without waiting, as far as its buffer tells.
    fn is_ready(&self) -> bool;
    /// The channel.
    fn lock(&self) -> Lock;
}

impl<T> Half for Sender<T> {
    #[inline]
    fn is_ready(&self) -> bool {
        !self.is_full()
    }

    #[inline]
    fn lock(&self) -> Lock {
        Lock(Some(self.origin))
    }
}

impl<T> Half for Receiver<T> {
    #[inline]
    fn is_ready(&self) -> bool {
        !self.is_empty()
    }

    #[inline]
    fn lock(&self) -> Lock {
        Lock(Some(self.origin))
    }
}

/// Whether waits are to be told at all: that of a `select!` is of no use but to the block profile.
#[inline]
#[must_use]
pub fn is_profiled() -> bool {
    block_enabled()
}

/// What is waited for, if it is one thing.
#[derive(Clone, Copy, Debug)]
pub struct Lock(Option<Origin>);

impl Lock {
    /// Several things.
    #[inline]
    #[must_use]
    pub const fn none() -> Lock {
        Lock(None)
    }
}

/// A `select!` that waits, as it seems.
#[must_use]
pub struct Waiting(Option<Began>);

struct Began {
    wait: Wait<'static>,
    ticks: u64,
}

impl Waiting {
    /// Inlined, as [`wait`] must be.
    #[inline(always)]
    #[track_caller]
    pub fn begin(possible: bool, lock: Lock) -> Waiting {
        if !possible {
            return Waiting(None);
        }
        let wait = wait(Kind::Select, lock.0, Location::caller());
        Waiting(Some(Began { wait, ticks: clock::ticks() }))
    }

    /// An operation was chosen, or the time was up. Does nothing the second time.
    #[inline]
    pub fn end(&mut self) {
        if let Some(began) = self.0.take() {
            began.end();
        }
    }
}

impl Began {
    #[cold]
    #[inline(never)]
    fn end(self) {
        if clock::ticks_to_ns(clock::ticks().saturating_sub(self.ticks)) < SHORTEST_SLEEP_NS {
            self.wait.did_not_sleep();
        } else {
            self.wait.acquired();
        }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}
