//! When a future that is pending was woken.
//!
//! Who wakes it has a waker of ours around the runtime's. A runtime knows tasks only, and what is inside of one is woken with it: so the
//! outermost annotated future of a task puts it there, for all inside.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Wake, Waker};

use super::super::heap;
use crate::clock;

static WATCHED: AtomicBool = AtomicBool::new(false);

/// See [`crate::set_function_wakes`].
pub(crate) fn set_wakes(on: bool) -> bool {
    // ORDERING: Relaxed: a switch.
    WATCHED.swap(on, Ordering::Relaxed)
}

#[inline(always)]
pub(super) fn is_watched() -> bool {
    // ORDERING: Relaxed: a switch.
    WATCHED.load(Ordering::Relaxed)
}

/// The first wake-up since the last poll, in ticks; zero if there was none.
#[derive(Clone, Debug, Default)]
pub(super) struct WokenAt(Arc<AtomicU64>);

impl WokenAt {
    /// What wakes as `waker` does, and is noted here.
    ///
    /// Made for each poll. Were it kept, a future would hold its own task, which is then never dropped by a runtime that drops tasks
    /// which nobody can wake.
    pub(super) fn noting(&self, waker: &Waker) -> Waker {
        let noting = Noting { at: self.clone(), waker: waker.clone() };
        heap::unobserved(|| Arc::new(noting)).into()
    }

    /// For the poll that begins: later ones are for the next.
    pub(super) fn take(&self) -> u64 {
        // ORDERING: Relaxed: a number; what is polled because of a wake-up is polled after it.
        self.0.swap(0, Ordering::Relaxed)
    }

    fn note(&self) {
        // ORDERING: Relaxed: as above.
        if self.0.load(Ordering::Relaxed) == 0 {
            let _ =
                self.0.compare_exchange(0, clock::ticks(), Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

struct Noting {
    at: WokenAt,
    waker: Waker,
}

impl Wake for Noting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.at.note();
        self.waker.wake_by_ref();
    }
}

impl fmt::Debug for Noting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Noting").finish_non_exhaustive()
    }
}

/// When a task that runs could have run, in ticks: what the futures inside of it were kept waiting for a thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scheduled {
    from: u64,
    to: u64,
}

impl Scheduled {
    pub(super) const NEVER: Scheduled = Scheduled { from: 0, to: 0 };

    /// From `from` on, if that is not zero, to `polled`, or now if that is not known.
    pub(super) fn new(from: u64, polled: u64) -> Scheduled {
        match (from, polled) {
            (0, _) => Scheduled::NEVER,
            (from, 0) => Scheduled { from, to: clock::ticks() },
            (from, to) => Scheduled { from, to },
        }
    }

    /// How much of that was since `idle_since`. What was left pending in the poll that runs has not been woken yet, as it is seen here.
    #[inline(always)]
    pub(super) fn since(self, idle_since: u64) -> u64 {
        self.to.saturating_sub(self.from.max(idle_since))
    }
}
