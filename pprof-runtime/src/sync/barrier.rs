//! `Barrier`: threads that wait for each other.

use std::fmt;
use std::hint::black_box;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};

use super::word::Word;
use crate::source::contention::{Kind, Origin, Site, wait};

/// Lets threads wait until all of them have come, drop-in for [`std::sync::Barrier`].
///
/// All but the last to come wait: in the `block` profile, on the stack that waits. Nobody holds a barrier, so the `mutex` profile has
/// nothing of it.
///
/// # Examples
/// ```
/// use pprof_runtime::sync::Barrier;
/// use pprof_runtime::thread;
///
/// let barrier = Barrier::new(2);
/// let leaders = thread::scope(|scope| {
///     let other = scope.spawn(|| barrier.wait().is_leader());
///     usize::from(barrier.wait().is_leader()) + usize::from(other.join().unwrap())
/// });
/// assert_eq!(leaders, 1);
/// ```
pub struct Barrier {
    /// | bits   | content                                          |
    /// |--------|--------------------------------------------------|
    /// | 0..32  | threads that have come and wait                  |
    /// | 32..64 | the round, modulo 2^32                           |
    state: AtomicU64,
    /// Of the threads of all rounds.
    sleepers: Word,
    threads: u32,
    origin: Origin,
}

impl UnwindSafe for Barrier {}
impl RefUnwindSafe for Barrier {}

const ROUND_SHIFT: u32 = 32;
const COUNT_MASK: u64 = (1 << ROUND_SHIFT) - 1;

impl Barrier {
    /// A barrier for `n` threads. With zero nobody waits, as with one.
    #[inline]
    #[must_use]
    #[track_caller]
    pub const fn new(n: usize) -> Barrier {
        Barrier::with_origin(n, Origin::here())
    }

    /// A barrier for `n` threads, which profiles show as `name`; others by where they were made.
    ///
    /// Not in std.
    #[inline]
    #[must_use]
    pub const fn named(n: usize, name: &'static str) -> Barrier {
        Barrier::with_origin(n, Origin::Name(name))
    }

    const fn with_origin(n: usize, origin: Origin) -> Barrier {
        // No system has as many threads as would tell the difference.
        let threads = if n > u32::MAX as usize { u32::MAX } else { n as u32 };
        Barrier { state: AtomicU64::new(0), sleepers: Word::new(0), threads, origin }
    }

    /// Waits until all threads have come. The last to come is the leader, and the next round begins.
    #[inline(always)]
    #[track_caller]
    pub fn wait(&self) -> BarrierWaitResult {
        let leads = match self.arrive() {
            Ok(()) => true,
            Err(round) => {
                self.wait_for_others(round, Location::caller());
                // Work left after the call: as a jump it would run when the caller's frame is gone.
                black_box(false)
            }
        };
        BarrierWaitResult(leads)
    }

    /// Ok if it is the last; else the round to wait for.
    fn arrive(&self) -> Result<(), u64> {
        let mut round = None;
        let come = |state: u64| {
            round = Some(state >> ROUND_SHIFT);
            if (state & COUNT_MASK) + 1 < u64::from(self.threads) {
                Some(state + 1)
            } else {
                round = None;
                // The count back to zero. The round wraps.
                Some(((state >> ROUND_SHIFT) + 1) << ROUND_SHIFT)
            }
        };
        // ORDERING: AcqRel: what each thread did before it came happens before the last one's return; and, by way of the round, before that
        // of the others: pairs with itself and with the Acquire in `wait_for_others`.
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Relaxed, come);
        match round {
            Some(round) => Err(round),
            None => {
                if self.threads > 1 {
                    self.sleepers.signal();
                }
                Ok(())
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn wait_for_others(&self, round: u64, site: Site) {
        let wait = wait(Kind::Barrier, Some(self.origin), site);
        // ORDERING: Acquire pairs with the AcqRel in `arrive`.
        let done = || self.state.load(Ordering::Acquire) >> ROUND_SHIFT != round;
        if self.sleepers.sleep_until(done) {
            wait.acquired();
        } else {
            wait.did_not_sleep();
        }
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").finish_non_exhaustive()
    }
}

/// Whether a thread was the last to come to a [`Barrier`].
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// Whether it was: so is one thread in each round.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

impl fmt::Debug for BarrierWaitResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierWaitResult").field("is_leader", &self.is_leader()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::shape::same_auto_traits;
    use std::sync;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    #[test]
    fn follows_std() {
        macro_rules! run {
            ($sync:path) => {{
                use $sync as sync;
                static BARRIER: sync::Barrier = sync::Barrier::new(1);
                let zero = sync::Barrier::new(0);
                format!(
                    "{BARRIER:?} {:?} {:?} {zero:?} {:?}",
                    BARRIER.wait(),
                    BARRIER.wait(),
                    zero.wait()
                )
            }};
        }
        assert_eq!(run!(crate::sync), run!(sync));
        same_auto_traits!(sync::Barrier, Barrier);
        same_auto_traits!(sync::BarrierWaitResult, BarrierWaitResult);
        assert_eq!(Barrier::new(usize::MAX).threads, u32::MAX);
    }

    #[test]
    fn each_round_has_one_leader_and_waits_for_all() {
        const THREADS: usize = 4;
        const ROUNDS: usize = 500;
        let (barrier, come, leaders) =
            (Barrier::named(THREADS, "rounds"), AtomicUsize::new(0), AtomicUsize::new(0));
        // The round wraps in between.
        barrier.state.store((COUNT_MASK - 100) << ROUND_SHIFT, Ordering::Relaxed);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for round in 1..=ROUNDS {
                        come.fetch_add(1, Ordering::Relaxed);
                        if barrier.wait().is_leader() {
                            leaders.fetch_add(1, Ordering::Relaxed);
                        }
                        assert!(come.load(Ordering::Relaxed) >= round * THREADS);
                    }
                });
            }
        });
        assert_eq!(leaders.into_inner(), ROUNDS);
    }

    #[test]
    fn more_threads_than_it_is_for_make_rounds_of_their_own() {
        let (barrier, leaders) = (Barrier::new(2), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    leaders.fetch_add(barrier.wait().is_leader().into(), Ordering::Relaxed);
                });
            }
        });
        assert_eq!(leaders.into_inner(), 3);
    }
}
