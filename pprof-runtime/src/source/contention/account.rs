//! Accounts lent to locks that have none of their own, by address, for as long as somebody waits there.
//!
//! | bits of a key | meaning                                                                          |
//! |---------------|----------------------------------------------------------------------------------|
//! | 0..16         | users: waiters, and wakers at work; `CLOSING` while the last of them clears up    |
//! | 16..64        | the address / 4; zero with no users: free                                        |
//!
//! Every user counts itself in before it touches the account, so an account never changes hands under one. Two waiters that come at one
//! moment may be lent an account each for the same address: a waker looks at all there are.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::Debtor;
use super::debt::Debt;
use super::probes::{probes, spread};
use crate::capture::thread::wipe_on_fork;

/// Addresses that are waited at at one time; waits at further ones are charged to no unlock, and counted.
const MAX_ACCOUNTS: usize = if cfg!(miri) { 64 } else { 2048 };

/// Places looked at for an address: two cache lines of keys.
const MAX_PROBES: usize = 16;

const USERS_BITS: u32 = 16;
const USERS_MASK: u64 = (1 << USERS_BITS) - 1;
const CLOSING: u64 = USERS_MASK;
const MAX_USERS: u64 = 1 << (USERS_BITS - 1);

/// Whole pages, so that a forked child, which has none of these waiters, starts with an empty table.
#[repr(C, align(4096))]
struct Table {
    keys: [AtomicU64; MAX_ACCOUNTS],
    accounts: [Account; MAX_ACCOUNTS],
}

static TABLE: Table = Table {
    keys: [const { AtomicU64::new(0) }; MAX_ACCOUNTS],
    accounts: [const { Account::new() }; MAX_ACCOUNTS],
};

static TURNED_AWAY: AtomicU64 = AtomicU64::new(0);

/// What is known of those who wait at one address.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) debt: Debt,
    /// The number of the latest waiter, plus one.
    waiter: AtomicU32,
}

impl Account {
    const fn new() -> Self {
        Account { debt: Debt::new(), waiter: AtomicU32::new(0) }
    }

    /// Remembers who waits, for those who wake it. One for all: what waits at one address is of one kind.
    pub(super) fn set_waiter(&self, waiter: Option<u32>) {
        // ORDERING: Relaxed: a label.
        self.waiter.store(waiter.map_or(0, |w| w.wrapping_add(1)), Ordering::Relaxed);
    }

    pub(super) fn waiter(&self) -> Option<u32> {
        // ORDERING: Relaxed: a label.
        self.waiter.load(Ordering::Relaxed).checked_sub(1)
    }
}

/// An account in use. To be given back by `close`: it has no destructor, so that a frame with one can be unwound by anybody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loan {
    index: usize,
    key: u64,
}

impl Loan {
    pub(super) fn account(&self) -> Option<&'static Account> {
        TABLE.accounts.get(self.index)
    }

    /// Gives it back. `left` is told what is still owed, by whom and in ticks, if nobody else uses it.
    pub(super) fn close(self, left: impl FnOnce(&Account, Debtor, i64)) {
        let (Some(key), Some(account)) = (TABLE.keys.get(self.index), self.account()) else {
            return;
        };
        // ORDERING: Relaxed: a look; the exchange below orders.
        let mut state = key.load(Ordering::Relaxed);
        loop {
            if state & !USERS_MASK != self.key {
                // A forked child of a thread that waits, in a signal handler: the table was wiped.
                return;
            }
            let last = state & USERS_MASK == 1;
            let next = if last { self.key | CLOSING } else { state - 1 };
            // ORDERING: Acquire, for what the others did to the account before they left; Release, for who comes after us.
            match key.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) if last => break,
                Ok(_) => return,
                Err(now) => state = now,
            }
        }
        let (debtor, ticks) = account.debt.close();
        left(account, debtor, ticks);
        account.set_waiter(None);
        // ORDERING: Release pairs with the Acquire in `enter`.
        key.store(0, Ordering::Release);
    }
}

/// The account of an address, for one who is about to wait there; `None` if there is none left.
pub(super) fn enter(address: usize) -> Option<Loan> {
    prepare();
    let wanted = key_of(address)?;
    // Each turn fails only because another thread took the place.
    for _ in 0..4 {
        let mut free = None;
        for index in places(wanted) {
            let Some(key) = TABLE.keys.get(index) else { continue };
            // ORDERING: Relaxed: a look.
            let state = key.load(Ordering::Relaxed);
            if state == 0 {
                free = free.or(Some(index));
            } else if join(key, wanted) {
                return Some(Loan { index, key: wanted });
            }
        }
        let Some(index) = free else { break };
        // ORDERING: Acquire pairs with the Release in `close`: the account is as new.
        let claim = |key: &AtomicU64| {
            key.compare_exchange(0, wanted | 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        if TABLE.keys.get(index).is_some_and(claim) {
            return Some(Loan { index, key: wanted });
        }
    }
    // ORDERING: Relaxed: a counter that orders nothing.
    TURNED_AWAY.fetch_add(1, Ordering::Relaxed);
    None
}

/// The accounts of an address that somebody waits at, for one who is about to wake.
pub(super) fn find(address: usize) -> impl Iterator<Item = Loan> {
    let wanted = key_of(address).unwrap_or(0);
    places(wanted).filter_map(move |index| {
        let key = TABLE.keys.get(index)?;
        join(key, wanted).then_some(Loan { index, key: wanted })
    })
}

/// Waits that found no account.
pub(super) fn turned_away() -> u64 {
    // ORDERING: Relaxed: a counter that orders nothing.
    TURNED_AWAY.load(Ordering::Relaxed)
}

/// Counts the caller in, if the account is that of `wanted` and stays so.
fn join(key: &AtomicU64, wanted: u64) -> bool {
    // ORDERING: Relaxed: a look.
    let mut state = key.load(Ordering::Relaxed);
    while state & !USERS_MASK == wanted && matches!(state & USERS_MASK, 1..MAX_USERS) {
        // ORDERING: Acquire pairs with the Release in `enter`'s and `close`'s exchanges.
        match key.compare_exchange_weak(state, state + 1, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => return true,
            Err(now) => state = now,
        }
    }
    false
}

/// `None` for addresses that no futex can have: not of four bytes, or beyond 2^50.
fn key_of(address: usize) -> Option<u64> {
    let address = address as u64;
    let fits = address != 0 && address.is_multiple_of(4) && address >> (64 - USERS_BITS + 2) == 0;
    fits.then_some(address << (USERS_BITS - 2))
}

fn places(key: u64) -> impl Iterator<Item = usize> {
    probes(spread(key >> USERS_BITS), MAX_PROBES, MAX_ACCOUNTS)
}

fn prepare() {
    static PREPARED: AtomicBool = AtomicBool::new(false);
    // ORDERING: Relaxed: whoever is first, once is enough, and nothing is ordered by it.
    if !PREPARED.load(Ordering::Relaxed) && !PREPARED.swap(true, Ordering::Relaxed) {
        wipe_on_fork(&TABLE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test fills the table.
    static ALONE: parking_lot::Mutex<()> = parking_lot::Mutex::new(());

    /// Addresses of this test's own.
    fn address(n: usize) -> usize {
        (1 << 48) + n * 4
    }

    fn nothing_left(_: &Account, _: Debtor, left: i64) {
        assert_eq!(left, 0);
    }

    #[test]
    fn an_account_is_lent_while_somebody_waits() {
        let _alone = ALONE.lock();
        assert_eq!(find(address(0)).count(), 0);
        let first = enter(address(0)).unwrap();
        let second = enter(address(0)).unwrap();
        assert_eq!(first.index, second.index);
        first.account().unwrap().set_waiter(Some(7));
        let found: Vec<Loan> = find(address(0)).collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].account().unwrap().waiter(), Some(7));
        found[0].close(|_, _, _| panic!("others use it"));
        assert_eq!(find(address(1)).count(), 0, "another address");
        first.close(|_, _, _| panic!("the second waits"));
        second.account().unwrap().debt.arrive(3200);
        second.account().unwrap().debt.give_up(6400);
        second.close(|account, debtor, left| {
            assert_eq!((account.waiter(), debtor, left), (Some(7), Debtor::UNKNOWN, 3200));
        });
        assert_eq!(find(address(0)).count(), 0);
        let again = enter(address(0)).unwrap();
        assert_eq!(again.account().unwrap().waiter(), None);
        again.close(nothing_left);
    }

    #[test]
    fn addresses_that_no_futex_has_get_none() {
        for address in [0, 1, 6, 1 << 50, usize::MAX & !3] {
            assert!(enter(address).is_none() && find(address).count() == 0, "{address:#x}");
        }
    }

    #[test]
    fn a_full_neighbourhood_is_counted_and_others_are_not_harmed() {
        let _alone = ALONE.lock();
        let before = turned_away();
        let loans: Vec<Loan> =
            (0..4 * MAX_ACCOUNTS).filter_map(|n| enter(address(100 + n))).collect();
        assert!(loans.len() > MAX_ACCOUNTS / 2 && loans.len() <= MAX_ACCOUNTS, "{}", loans.len());
        assert!(turned_away() - before >= (4 * MAX_ACCOUNTS - loans.len()) as u64);
        loans.iter().for_each(|loan| loan.close(nothing_left));
        let used = (0..4 * MAX_ACCOUNTS).filter(|n| find(address(100 + n)).count() > 0).count();
        assert_eq!(used, 0);
    }

    #[test]
    fn what_is_owed_at_one_address_is_never_another_ones() {
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                scope.spawn(move || {
                    for round in 0..if cfg!(miri) { 100 } else { 20_000 } {
                        // Few addresses, so that they are shared, closed and claimed all the time.
                        let address = address(1 << 20 | (round % 3) << 4);
                        let mut left = 0;
                        if let Some(loan) = enter(address) {
                            let debt = &loan.account().unwrap().debt;
                            debt.arrive(thread * 32);
                            find(address).for_each(|loan| loan.close(|_, _, _| {}));
                            debt.give_up(thread * 32);
                            loan.close(|_, _, ticks| left = ticks);
                        }
                        assert_eq!(left, 0);
                    }
                });
            }
        });
    }
}
