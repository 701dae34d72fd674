//! What waiting on a lock has cost so far, and whom to charge for it: exactly, in constant time.
//!
//! Each unlock is charged for the waiting that went on since the unlock before: with n waiters whose waits (or last charges)
//! began at a_1 .. a_n, an unlock at `now` owes
//!
//! ```text
//! (now - a_1) + ... + (now - a_n)  =  n * now - sum(a_i)
//! ```
//!
//! so a count and a sum suffice; afterwards every a_i becomes `now`, that is the sum becomes n * now. A waiter that gets the lock
//! takes its own a_i out again: its arrival, or the last charge if that came later.
//!
//! | bits of `word` | content                                             |
//! |----------------|-----------------------------------------------------|
//! | 0..16          | n, the waiters                                      |
//! | 16..64         | sum(a_i) modulo 2^48, in ticks / 32                 |
//!
//! The sum may wrap: only differences are used, and those are right while the waiting owed at one time stays under
//! 2^53 ticks, some 800 hours at 3 GHz. Go charges an estimate instead, off by up to a fifth (golang/go#73760).

use std::sync::atomic::{AtomicU64, Ordering};

const COUNT_BITS: u32 = 16;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
/// Ticks are kept in units of 32, about 10 ns.
const TICK_SHIFT: u32 = 5;

/// A lock's account of its waiters. 16 bytes; no waiters when zero.
#[derive(Debug, Default)]
pub(super) struct Debt {
    word: AtomicU64,
    /// When an unlock last charged the waiters, in units. Read and written by the lock's holder alone.
    settled: AtomicU64,
}

impl Debt {
    pub(super) const fn new() -> Self {
        Debt { word: AtomicU64::new(0), settled: AtomicU64::new(0) }
    }

    /// A waiter begins to wait at `now`.
    pub(super) fn arrive(&self, now: u64) {
        // ORDERING: Relaxed: an arrival that an unlock does not see yet is charged to the next one.
        self.word.fetch_add((now >> TICK_SHIFT) << COUNT_BITS | 1, Ordering::Relaxed);
    }

    /// The waiter that arrived at `arrival` has got the lock, and holds it.
    pub(super) fn leave(&self, arrival: u64) {
        // ORDERING: Relaxed: written by former holders, whose unlock happens before our lock.
        let since = (arrival >> TICK_SHIFT).max(self.settled.load(Ordering::Relaxed));
        // ORDERING: Relaxed: see `arrive`.
        self.word.fetch_sub(since << COUNT_BITS | 1, Ordering::Relaxed);
    }

    /// Whether anybody waits. The one thing an uncontended unlock asks.
    #[inline]
    pub(super) fn is_owed(&self) -> bool {
        // ORDERING: Relaxed: see `arrive`.
        self.word.load(Ordering::Relaxed) & COUNT_MASK != 0
    }

    /// Charges all waiters' delay up to `now` and returns it in ticks. The caller holds the lock and is about to release it.
    pub(super) fn settle(&self, now: u64) -> u64 {
        let now = now >> TICK_SHIFT;
        let after = |word: u64| {
            let waiters = word & COUNT_MASK;
            waiters.wrapping_mul(now) << COUNT_BITS | waiters
        };
        // ORDERING: Relaxed: see `arrive`; `settled` below is handed on by the lock itself.
        let word = self
            .word
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| Some(after(word)))
            .unwrap_or_default();
        self.settled.store(now, Ordering::Relaxed);
        let owed = (after(word) >> COUNT_BITS).wrapping_sub(word >> COUNT_BITS);
        let owed = owed & (u64::MAX >> COUNT_BITS);
        // A waiter whose stamp is a moment later than ours (it arrived between) makes the difference negative.
        if owed >> (63 - COUNT_BITS) != 0 { 0 } else { owed << TICK_SHIFT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1 << TICK_SHIFT;

    #[test]
    fn an_unlock_owes_what_its_waiters_waited_since_the_last_one() {
        let debt = Debt::new();
        assert!(!debt.is_owed());
        debt.arrive(100 * T);
        debt.arrive(150 * T);
        assert!(debt.is_owed());
        assert_eq!(debt.settle(200 * T), (100 + 50) * T);
        // The first waiter gets the lock; the second waits on and is charged to it from the last unlock.
        debt.leave(100 * T);
        debt.arrive(230 * T);
        assert_eq!(debt.settle(250 * T), (50 + 20) * T);
        debt.leave(150 * T);
        debt.leave(230 * T);
        assert!(!debt.is_owed());
        assert_eq!(debt.settle(900 * T), 0);
    }

    #[test]
    fn sums_survive_wrapping() {
        let debt = Debt::new();
        let base = u64::MAX - 1000 * T;
        for i in 0..50 {
            debt.arrive(base + i * T);
        }
        let total: u64 = (0..50).map(|i| 500 - i).sum();
        assert_eq!(debt.settle(base + 500 * T), total * T);
        for i in 0..50 {
            debt.leave(base + i * T);
        }
        assert!(!debt.is_owed());
        assert_eq!(debt.word.load(Ordering::Relaxed), 0, "nothing is left of the sum");
    }

    #[test]
    fn a_stamp_from_the_future_owes_nothing() {
        let debt = Debt::new();
        debt.arrive(300 * T);
        assert_eq!(debt.settle(299 * T), 0);
    }
}
