//! What waiting on a lock has cost so far, and whom to charge for it: exactly, in constant time.
//!
//! A stack is charged for the waiting that went on since the charge before: with n waiters whose waits (or last charges) began
//! at a_1 .. a_n, at `now` it owes
//!
//! ```text
//! (now - a_1) + ... + (now - a_n)  =  n * now - sum(a_i)
//! ```
//!
//! so a count and a sum suffice; afterwards every a_i becomes `now`, that is the sum becomes n * now. Accounts are settled
//! twice for each thread let in: when the holder unlocks, and when a waiter has got the lock, which is the same stack's
//! fault still: the waiter slept because of it, and now has to be woken. So all of a wait is charged, as
//! the block profile counts it. Go charges an estimate, off by up to a fifth (golang/go#73760), and leaves the wake-up out.
//!
//! | bits of `word` | content                                             |
//! |----------------|-----------------------------------------------------|
//! | 0..16          | n, the waiters                                      |
//! | 16..64         | sum(a_i) modulo 2^48, in ticks / 32                 |
//!
//! The sum may wrap: only differences are used, and those are right while the waiting owed at one time stays under
//! 2^53 ticks, some 800 hours at 3 GHz.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::source::contention::Debtor;

const COUNT_BITS: u32 = 16;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
/// Ticks are kept in units of 32, about 10 ns.
const TICK_SHIFT: u32 = 5;

/// A lock's account of its waiters. 24 bytes; no waiters when zero.
#[derive(Debug, Default)]
pub(super) struct Debt {
    word: AtomicU64,
    /// When the waiters were last charged for, in units. Read and written by the lock's holder alone.
    settled: AtomicU64,
    /// The [`Debtor`] of that time. As above.
    debtor: AtomicU32,
}

impl Debt {
    pub(super) const fn new() -> Self {
        Debt { word: AtomicU64::new(0), settled: AtomicU64::new(0), debtor: AtomicU32::new(0) }
    }

    /// A waiter begins to wait at `now`.
    pub(super) fn arrive(&self, now: u64) {
        // ORDERING: Relaxed: an arrival that an unlock does not see yet is charged for later.
        self.word.fetch_add((now >> TICK_SHIFT) << COUNT_BITS | 1, Ordering::Relaxed);
    }

    /// The waiter that arrived at `arrival` has got the lock `now`. Who owes how many ticks: the stack charged last, or
    /// nobody known if it came before the waiter.
    pub(super) fn leave(&self, arrival: u64, now: u64) -> (Debtor, u64) {
        let arrival = arrival >> TICK_SHIFT;
        // ORDERING: Relaxed: `settled` and `debtor` were written by former holders, whose unlock happens before our lock.
        if self.settled.load(Ordering::Relaxed) < arrival {
            // ORDERING: Relaxed: see `arrive`.
            self.word.fetch_sub(arrival << COUNT_BITS | 1, Ordering::Relaxed);
            let waited = (now >> TICK_SHIFT).saturating_sub(arrival);
            return (Debtor::UNKNOWN, waited << TICK_SHIFT);
        }
        let owed = self.settle(now);
        // ORDERING: Relaxed: see `arrive`.
        self.word.fetch_sub((now >> TICK_SHIFT) << COUNT_BITS | 1, Ordering::Relaxed);
        (Debtor::from_bits(self.debtor.load(Ordering::Relaxed)), owed)
    }

    /// Whether anybody waits.
    #[inline]
    pub(super) fn is_owed(&self) -> bool {
        // ORDERING: Relaxed: see `arrive`.
        self.word.load(Ordering::Relaxed) & COUNT_MASK != 0
    }

    /// Whom to charge for what comes. The caller holds the lock and is about to release it.
    pub(super) fn set_debtor(&self, debtor: Debtor) {
        // ORDERING: Relaxed: handed on by the lock itself.
        self.debtor.store(debtor.to_bits(), Ordering::Relaxed);
    }

    /// What all waiters waited since the last call, in ticks. The caller holds the lock.
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
    fn a_stack_owes_what_waiters_waited_because_of_it() {
        let debt = Debt::new();
        let (first, second) = (Debtor::from_bits(7), Debtor::from_bits(8));
        assert!(!debt.is_owed());
        debt.arrive(100 * T);
        debt.arrive(150 * T);
        assert!(debt.is_owed());
        assert_eq!(debt.settle(200 * T), (100 + 50) * T);
        debt.set_debtor(first);
        // The first waiter gets the lock after 3 units, which both waited; the second waits on, because of it now.
        assert_eq!(debt.leave(100 * T, 203 * T), (first, 2 * 3 * T));
        debt.arrive(230 * T);
        assert_eq!(debt.settle(250 * T), (47 + 20) * T);
        debt.set_debtor(second);
        assert_eq!(debt.leave(150 * T, 251 * T), (second, 2 * T));
        assert_eq!(debt.leave(230 * T, 261 * T), (second, 10 * T));
        assert!(!debt.is_owed());
        assert_eq!(debt.settle(900 * T), 0);
    }

    #[test]
    fn who_unlocked_before_a_waiter_came_owes_it_nothing() {
        let debt = Debt::new();
        debt.settle(100 * T);
        debt.set_debtor(Debtor::from_bits(7));
        debt.arrive(101 * T);
        debt.arrive(102 * T);
        assert_eq!(debt.leave(101 * T, 103 * T), (Debtor::UNKNOWN, 2 * T));
        assert_eq!(debt.settle(112 * T), 10 * T);
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
            let others = 50 - i;
            assert_eq!(debt.leave(base + i * T, base + (501 + i) * T).1, others * T);
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
