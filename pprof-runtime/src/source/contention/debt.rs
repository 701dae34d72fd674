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
//! charged as such: what is charged in all is the waiting that there was, to the tick. One that gives up, at a timeout or
//! cancelled, leaves its share in the account for the next charge; at the time it came, if it did not wait. All of it is in
//! one atomic word, so readers that are let in together may leave together.

use super::Debtor;
use crate::primitive::atomic::{AtomicU64, Ordering};

#[cfg(all(test, loom))]
mod model;

const COUNT_BITS: u32 = 16;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
/// Ticks are kept in units of 32, about 10 ns.
const TICK_SHIFT: u32 = 5;

/// Waiters beyond this many are not registered, so that those which arrive at one moment cannot overflow the count.
const MAX_WAITERS: u64 = 1 << (COUNT_BITS - 1);
/// Differences from here on are negative: three hours' worth.
const FIRST_NEGATIVE: u64 = (u64::MAX >> COUNT_BITS) - (1 << 40);

/// How long one who has been charged is not asked again, in units: some 10 µs, many times what asking costs.
const MOMENT: u64 = 1 << 10;

/// A lock's account of its waiters. 24 bytes; nobody waits and nothing is owed when `word` is zero.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Debt {
    word: AtomicU64,
    /// When somebody last unlocked in view of waiters, in units.
    released: AtomicU64,
    /// The [`Debtor`] of that time.
    debtor: AtomicU64,
}

/// What one who got the lock found owed, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owed {
    /// Because of whoever unlocked last.
    pub(crate) known: (Debtor, i64),
    /// Because of an unlock that did not see the waiter; at least zero.
    pub(crate) unseen: i64,
    /// The waiter's time since the unlock that let it in; zero if that did not see it.
    pub(crate) wake_up: u64,
}

impl Debt {
    pub(crate) const fn new() -> Self {
        Debt { word: AtomicU64::new(0), released: AtomicU64::new(0), debtor: AtomicU64::new(0) }
    }

    /// A waiter begins to wait at `now`. False if there is no room for it: it must neither leave nor give up, then.
    pub(crate) fn arrive(&self, now: u64) -> bool {
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
    pub(crate) fn leave(&self, arrival: u64, clock: impl FnMut() -> u64) -> Owed {
        let arrival = arrival >> TICK_SHIFT;
        // ORDERING: Relaxed, both: written by former holders, whose unlock happens before our lock.
        let released = self.released.load(Ordering::Relaxed);
        let debtor = Debtor::from_bits(self.debtor.load(Ordering::Relaxed));
        let (owed, now) = self.charge_until(clock, 1);
        let ticks = |units: u64| units << TICK_SHIFT;
        let seen = released >= arrival;
        let unseen = if seen { 0 } else { ticks(now.saturating_sub(arrival)) as i64 };
        let wake_up = if seen { ticks(now.saturating_sub(released)) } else { 0 };
        Owed { known: (debtor, owed - unseen), unseen, wake_up }
    }

    /// A waiter stops waiting at `now`, without the lock. What it waited so far is charged to whoever unlocks next.
    pub(crate) fn give_up(&self, now: u64) {
        // The waiter's share of n * t - sum at any later t stays what it is now.
        // ORDERING: Relaxed: see `arrive`.
        self.word.fetch_sub((now >> TICK_SHIFT) << COUNT_BITS | 1, Ordering::Relaxed);
    }

    /// Whether anybody waits, or has given up since the last charge.
    #[inline]
    pub(crate) fn is_owed(&self) -> bool {
        // ORDERING: Relaxed: see `arrive`.
        self.word.load(Ordering::Relaxed) != 0
    }

    /// Whether everything up to the last unlock has been charged, a moment ago, and nobody has come since: what is owed is that debtor's,
    /// save that moment at most.
    #[inline]
    pub(crate) fn is_settled(&self, clock: impl FnOnce() -> u64) -> bool {
        // ORDERING: Relaxed, both: one who comes meanwhile is charged for later.
        let released = self.released.load(Ordering::Relaxed);
        let word = self.word.load(Ordering::Relaxed);
        let waiters = word & COUNT_MASK;
        word == waiters.wrapping_mul(released) << COUNT_BITS | waiters
            && (clock() >> TICK_SHIFT).wrapping_sub(released) < MOMENT
    }

    /// Whether anybody waits.
    pub(crate) fn is_waited_for(&self) -> bool {
        // ORDERING: Relaxed: see `arrive`.
        self.word.load(Ordering::Relaxed) & COUNT_MASK != 0
    }

    /// Whom to charge for what comes. The caller holds the lock and is about to release it.
    pub(crate) fn set_debtor(&self, debtor: Debtor) {
        // ORDERING: Relaxed: handed on by the lock itself.
        self.debtor.store(debtor.to_bits(), Ordering::Relaxed);
    }

    /// Whether the caller is the first to be let in by an [uncounted](Debtor::uncounted) debtor, which is counted by it.
    pub(crate) fn count(&self, debtor: Debtor) -> bool {
        // ORDERING: Relaxed: one of several readers let in wins; nothing else is ordered by it.
        debtor.is_uncounted()
            && self
                .debtor
                .compare_exchange(
                    debtor.to_bits(),
                    debtor.counted().to_bits(),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }

    /// What all waiters waited since the last charge, in ticks. The caller holds the lock and is about to release it.
    pub(crate) fn settle(&self, clock: impl FnMut() -> u64) -> i64 {
        let (owed, now) = self.charge_until(clock, 0);
        self.released_at(now << TICK_SHIFT);
        owed
    }

    /// An unlock at `now`, in ticks, that leaves the charge to whoever is let in.
    pub(crate) fn released_at(&self, now: u64) {
        // ORDERING: Relaxed: handed on by the lock itself.
        self.released.store(now >> TICK_SHIFT, Ordering::Relaxed);
    }

    /// What is owed, in ticks, and until when, in units. `leaving` of the waiters no longer wait.
    ///
    /// The clock is looked at after the waiters, and again if more have come: whoever is seen arrived before.
    fn charge_until(&self, mut clock: impl FnMut() -> u64, leaving: u64) -> (i64, u64) {
        let mut now = 0;
        let sum = |waiters: u64, now: u64| waiters.wrapping_mul(now) << COUNT_BITS;
        // ORDERING: Relaxed: see `arrive`.
        let word = self
            .word
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                now = clock() >> TICK_SHIFT;
                let waiters = (word & COUNT_MASK).wrapping_sub(leaving);
                Some(sum(waiters, now) | waiters & COUNT_MASK)
            })
            .unwrap_or_default();
        let owed = (sum(word & COUNT_MASK, now) >> COUNT_BITS).wrapping_sub(word >> COUNT_BITS);
        (signed_ticks(owed), now)
    }

    /// Begins anew for another lock. Nobody waits any more; whoever unlocked last, and what those left that gave up since the last
    /// charge, in ticks, are returned.
    pub(crate) fn close(&self) -> (Debtor, i64) {
        // ORDERING: Relaxed, both: the account is the caller's alone.
        let debtor = self.debtor.swap(Debtor::UNKNOWN.to_bits(), Ordering::Relaxed);
        let sum = self.word.swap(0, Ordering::Relaxed) >> COUNT_BITS;
        (Debtor::from_bits(debtor), signed_ticks(sum.wrapping_neg()))
    }
}

/// A difference of sums, in units modulo 2^48, as ticks.
fn signed_ticks(owed: u64) -> i64 {
    let owed = owed & (u64::MAX >> COUNT_BITS);
    let sign = if owed >= FIRST_NEGATIVE { u64::MAX << (u64::BITS - COUNT_BITS) } else { 0 };
    ((sign | owed) << TICK_SHIFT) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1 << TICK_SHIFT;
    const UNITS: i64 = T as i64;

    fn known(debtor: Debtor, units: i64, wake_up: u64) -> Owed {
        Owed { known: (debtor, units * UNITS), unseen: 0, wake_up: wake_up * T }
    }

    #[test]
    fn a_stack_owes_what_waiters_waited_because_of_it() {
        let debt = Debt::new();
        let (first, second) = (Debtor::from_bits(7), Debtor::from_bits(8));
        assert!(!debt.is_owed());
        debt.arrive(100 * T);
        debt.arrive(150 * T);
        assert!(debt.is_owed());
        assert!(!debt.is_settled(|| 200 * T));
        assert_eq!(debt.settle(|| 200 * T), (100 + 50) * UNITS);
        debt.set_debtor(first);
        assert!(debt.is_settled(|| 202 * T));
        assert!(!debt.is_settled(|| (200 + MOMENT) * T), "that is another's time by now");
        // The first waiter gets the lock after 3 units, which both waited; the second waits on, because of it now.
        assert_eq!(debt.leave(100 * T, || 203 * T), known(first, 2 * 3, 3));
        debt.arrive(230 * T);
        assert!(!debt.is_settled(|| 230 * T));
        assert_eq!(debt.settle(|| 250 * T), (47 + 20) * UNITS);
        debt.set_debtor(second);
        assert_eq!(debt.leave(150 * T, || 251 * T), known(second, 2, 1));
        assert_eq!(debt.leave(230 * T, || 261 * T), known(second, 10, 11));
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
        assert_eq!(owed, Owed { known: (debtor, 3 * UNITS), unseen: 2 * UNITS, wake_up: 0 });
        assert_eq!(debt.leave(90 * T, || 112 * T), known(debtor, 9, 12));
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
            assert_eq!(owed, known(Debtor::UNKNOWN, 50 - i as i64, i + 1));
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

    #[test]
    fn who_gives_up_leaves_its_wait_to_the_next_unlock() {
        let debt = Debt::new();
        debt.arrive(100 * T);
        debt.arrive(110 * T);
        debt.give_up(130 * T);
        assert_eq!(debt.settle(|| 150 * T), (30 + 40) * UNITS);
        debt.give_up(155 * T);
        assert!(debt.is_owed(), "five units, by nobody who still waits");
        assert_eq!(debt.settle(|| 400 * T), 5 * UNITS);
        assert!(!debt.is_owed());
        debt.arrive(500 * T);
        debt.give_up(507 * T);
        debt.set_debtor(Debtor::from_bits(7));
        assert_eq!(debt.close(), (Debtor::from_bits(7), 7 * UNITS));
        assert_eq!(debt.close(), (Debtor::UNKNOWN, 0));
    }

    #[test]
    fn who_gives_up_when_it_came_has_waited_for_nothing() {
        let debt = Debt::new();
        debt.arrive(100 * T);
        debt.arrive(110 * T);
        assert_eq!(debt.settle(|| 150 * T), (50 + 40) * UNITS);
        debt.give_up(110 * T);
        assert_eq!(debt.settle(|| 200 * T), (50 - 40) * UNITS);
        debt.give_up(100 * T);
        assert_eq!(debt.close().1, -100 * UNITS, "what was charged in all");
    }

    #[test]
    fn readers_let_in_together_leave_nothing() {
        let debt = Debt::new();
        for _ in 0..4 {
            debt.arrive(100 * T);
        }
        let mut sum = debt.settle(|| 200 * T);
        for now in [203, 201, 204, 202] {
            sum += debt.leave(100 * T, || now * T).known.1;
        }
        assert_eq!(sum, (103 + 101 + 104 + 102) * UNITS);
        assert_eq!(debt.word.load(Ordering::Relaxed), 0);
    }
}
