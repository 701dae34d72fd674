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
//! 2^53 ticks, some 800 hours at 3 GHz. Where stamps of different threads are out of order a difference is negative, and is
//! charged as such: what is charged in all is the waiting that there was, to the tick.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::source::contention::Debtor;

const COUNT_BITS: u32 = 16;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
/// Ticks are kept in units of 32, about 10 ns.
const TICK_SHIFT: u32 = 5;

/// Waiters beyond this many are not registered, so that those which arrive at one moment cannot overflow the count.
const MAX_WAITERS: u64 = 1 << (COUNT_BITS - 1);
/// Differences from here on are negative: three hours' worth.
const FIRST_NEGATIVE: u64 = (u64::MAX >> COUNT_BITS) - (1 << 40);

/// A lock's account of its waiters. 24 bytes; no waiters when zero.
#[derive(Debug, Default)]
pub(super) struct Debt {
    word: AtomicU64,
    /// When the waiters were last charged for, in units. Read and written by the lock's holder alone.
    settled: AtomicU64,
    /// The [`Debtor`] of that time. As above.
    debtor: AtomicU64,
}

/// What one who got the lock found owed, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owed {
    /// Because of whoever unlocked last.
    pub(super) known: (Debtor, i64),
    /// Because of an unlock that did not see the waiter; at least zero.
    pub(super) unseen: i64,
}

impl Debt {
    pub(super) const fn new() -> Self {
        Debt { word: AtomicU64::new(0), settled: AtomicU64::new(0), debtor: AtomicU64::new(0) }
    }

    /// A waiter begins to wait at `now`. False if there is no room for it: it must not leave, then.
    pub(super) fn arrive(&self, now: u64) -> bool {
        // ORDERING: Relaxed: a guess is enough, see `MAX_WAITERS`.
        if self.word.load(Ordering::Relaxed) & COUNT_MASK >= MAX_WAITERS {
            return false;
        }
        // ORDERING: Relaxed: an arrival that an unlock does not see yet is charged for later.
        self.word.fetch_add((now >> TICK_SHIFT) << COUNT_BITS | 1, Ordering::Relaxed);
        true
    }

    /// The waiter that arrived at `arrival` has got the lock, at the time that `clock` tells. Whoever unlocked last owes what all
    /// waiters waited since, save this one's wait if the unlock came before it did.
    pub(super) fn leave(&self, arrival: u64, clock: impl FnMut() -> u64) -> Owed {
        let arrival = arrival >> TICK_SHIFT;
        // ORDERING: Relaxed: `settled` and `debtor` were written by former holders, whose unlock happens before our lock.
        let seen = self.settled.load(Ordering::Relaxed) >= arrival;
        let debtor = Debtor::from_bits(self.debtor.load(Ordering::Relaxed));
        let owed = self.settle(clock);
        // ORDERING: Relaxed: written by the call above.
        let now = self.settled.load(Ordering::Relaxed);
        // ORDERING: Relaxed: see `arrive`.
        self.word.fetch_sub(now << COUNT_BITS | 1, Ordering::Relaxed);
        let own = (now.saturating_sub(arrival) << TICK_SHIFT) as i64;
        let unseen = if seen { 0 } else { own };
        Owed { known: (debtor, owed - unseen), unseen }
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
    ///
    /// The clock is looked at after the waiters, and again if more have come: whoever is seen arrived before `settled`.
    pub(super) fn settle(&self, mut clock: impl FnMut() -> u64) -> i64 {
        let mut now = 0;
        let after = |word: u64, now: u64| {
            let waiters = word & COUNT_MASK;
            waiters.wrapping_mul(now) << COUNT_BITS | waiters
        };
        // ORDERING: Relaxed: see `arrive`; `settled` below is handed on by the lock itself.
        let word = self
            .word
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                now = clock() >> TICK_SHIFT;
                Some(after(word, now))
            })
            .unwrap_or_default();
        self.settled.store(now, Ordering::Relaxed);
        let owed = (after(word, now) >> COUNT_BITS).wrapping_sub(word >> COUNT_BITS);
        let owed = owed & (u64::MAX >> COUNT_BITS);
        let sign = if owed >= FIRST_NEGATIVE { u64::MAX << (u64::BITS - COUNT_BITS) } else { 0 };
        ((sign | owed) << TICK_SHIFT) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1 << TICK_SHIFT;
    const UNITS: i64 = T as i64;

    fn known(debtor: Debtor, units: i64) -> Owed {
        Owed { known: (debtor, units * UNITS), unseen: 0 }
    }

    #[test]
    fn a_stack_owes_what_waiters_waited_because_of_it() {
        let debt = Debt::new();
        let (first, second) = (Debtor::from_bits(7), Debtor::from_bits(8));
        assert!(!debt.is_owed());
        debt.arrive(100 * T);
        debt.arrive(150 * T);
        assert!(debt.is_owed());
        assert_eq!(debt.settle(|| 200 * T), (100 + 50) * UNITS);
        debt.set_debtor(first);
        // The first waiter gets the lock after 3 units, which both waited; the second waits on, because of it now.
        assert_eq!(debt.leave(100 * T, || 203 * T), known(first, 2 * 3));
        debt.arrive(230 * T);
        assert_eq!(debt.settle(|| 250 * T), (47 + 20) * UNITS);
        debt.set_debtor(second);
        assert_eq!(debt.leave(150 * T, || 251 * T), known(second, 2));
        assert_eq!(debt.leave(230 * T, || 261 * T), known(second, 10));
        assert!(!debt.is_owed());
        assert_eq!(debt.settle(|| 900 * T), 0);
    }

    #[test]
    fn who_unlocked_before_a_waiter_came_owes_it_nothing() {
        let debt = Debt::new();
        let debtor = Debtor::from_bits(7);
        debt.arrive(90 * T);
        debt.settle(|| 100 * T);
        debt.set_debtor(debtor);
        debt.arrive(101 * T);
        // The unlock saw one of the two.
        let owed = debt.leave(101 * T, || 103 * T);
        assert_eq!(owed, Owed { known: (debtor, 3 * UNITS), unseen: 2 * UNITS });
        assert_eq!(debt.leave(90 * T, || 112 * T), known(debtor, 9));
        assert_eq!(debt.word.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn sums_survive_wrapping() {
        let debt = Debt::new();
        let base = u64::MAX - 1000 * T;
        for i in 0..50 {
            debt.arrive(base + i * T);
        }
        let total: i64 = (0..50).map(|i| 500 - i).sum();
        assert_eq!(debt.settle(|| base + 500 * T), total * UNITS);
        for i in 0..50 {
            let owed = debt.leave(base + i * T, || base + (501 + i) * T);
            assert_eq!(owed, known(Debtor::UNKNOWN, 50 - i as i64));
        }
        assert!(!debt.is_owed());
        assert_eq!(debt.word.load(Ordering::Relaxed), 0, "nothing is left of the sum");
    }

    #[test]
    fn stamps_out_of_order_cancel_out() {
        let debt = Debt::new();
        debt.arrive(300 * T);
        debt.arrive(303 * T);
        let mut sum = debt.settle(|| 299 * T);
        assert_eq!(sum, -5 * UNITS);
        for arrival in [300, 303] {
            let owed = debt.leave(arrival * T, || 310 * T);
            sum += owed.known.1 + owed.unseen;
        }
        assert_eq!(sum, (10 + 7) * UNITS);
        assert_eq!(debt.word.load(Ordering::Relaxed), 0, "nothing is left of the sum");
    }

    #[test]
    fn waiters_beyond_the_count_are_turned_away() {
        let debt = Debt::new();
        for _ in 0..MAX_WAITERS {
            assert!(debt.arrive(100 * T));
        }
        assert!(!debt.arrive(100 * T));
        assert_eq!(debt.settle(|| 101 * T), MAX_WAITERS as i64 * UNITS);
    }
}
