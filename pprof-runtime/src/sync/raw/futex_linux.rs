//! A lock in one futex word (Ulrich Drepper, "Futexes Are Tricky", the third mutex).
//!
//! | word     | meaning                                | leaves it                                   |
//! |----------|----------------------------------------|---------------------------------------------|
//! | FREE     | nobody holds it                        | any thread, by compare-exchange to HELD     |
//! | HELD     | held, nobody sleeps                    | its holder to FREE; a sleeper to be to SLEPT_ON |
//! | SLEPT_ON | held, and somebody sleeps or may       | its holder to HELD, then to FREE, waking one |

#[cfg(not(all(test, loom)))]
use super::futex;
use crate::primitive::atomic::{AtomicU32, Ordering};
#[cfg(all(test, loom))]
use crate::primitive::futex;
use crate::primitive::spin_loop;

#[cfg(all(test, loom))]
#[path = "futex_linux/model.rs"]
mod model;

const FREE: u32 = 0;
const HELD: u32 = 1;
const SLEPT_ON: u32 = 2;

/// Looks at the word before a sleep: about a microsecond, the cost of the sleep avoided.
#[cfg(not(all(test, loom)))]
const SPINS: u32 = 100;
#[cfg(all(test, loom))]
const SPINS: u32 = 1;

#[derive(Debug)]
pub(in crate::sync) struct RawMutex(AtomicU32);

impl RawMutex {
    pub(in crate::sync) const fn new() -> Self {
        RawMutex(AtomicU32::new(FREE))
    }

    /// Acquires the lock if it is free.
    #[inline]
    pub(in crate::sync) fn try_lock(&self) -> bool {
        // ORDERING: Acquire pairs with the Release of whoever unlocked.
        self.0.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Waits a moment for a holder about to leave; false if it stays, or others sleep already.
    pub(in crate::sync) fn spin(&self) -> bool {
        for _ in 0..SPINS {
            // ORDERING: Relaxed: a look; `try_lock` acquires.
            match self.0.load(Ordering::Relaxed) {
                FREE => return self.try_lock(),
                HELD => spin_loop(),
                _ => return false,
            }
        }
        false
    }

    /// Acquires the lock, asleep while it is held; false if it was free after all.
    ///
    /// It is held as slept on: others may sleep too, and this thread cannot know. At worst one wake-up is in vain.
    pub(in crate::sync) fn sleep(&self) -> bool {
        let mut slept = false;
        // ORDERING: Acquire pairs with the Release of whoever unlocked.
        while self.0.swap(SLEPT_ON, Ordering::Acquire) != FREE {
            futex::wait(&self.0, SLEPT_ON);
            slept = true;
            if self.spin_awake() {
                break;
            }
        }
        slept
    }

    /// After a wake-up: the lock may be free, or another thread may have been quicker but brief.
    fn spin_awake(&self) -> bool {
        for _ in 0..SPINS {
            // ORDERING: Relaxed: a look only.
            match self.0.load(Ordering::Relaxed) {
                HELD => spin_loop(),
                FREE => {
                    // ORDERING: Acquire pairs with the Release of whoever unlocked.
                    return self
                        .0
                        .compare_exchange(FREE, SLEPT_ON, Ordering::Acquire, Ordering::Relaxed)
                        .is_ok();
                }
                _ => return false,
            }
        }
        false
    }

    /// Releases the lock, which the caller holds, unless somebody sleeps, or may: then it is still held, and has to be
    /// released by `unlock_and_wake`.
    #[inline]
    pub(in crate::sync) fn unlock_if_nobody_sleeps(&self) -> bool {
        // SLEPT_ON becomes HELD. A decrement costs what std's swap costs; a compare-exchange would take a cycle more.
        // ORDERING: Release pairs with the Acquire of whoever locks next.
        self.0.fetch_sub(1, Ordering::Release) == HELD
    }

    /// Releases the lock after `unlock_if_nobody_sleeps` has not.
    pub(in crate::sync) fn unlock_and_wake(&self) {
        // ORDERING: Release, as above, both.
        if cfg!(all(test, loom)) {
            // Of a store loom thinks that it may come before a sleeper's swap, which has read what the decrement left.
            self.0.swap(FREE, Ordering::Release);
        } else {
            self.0.store(FREE, Ordering::Release);
        }
        futex::wake_one(&self.0);
    }
}
