//! Models of accounts: with every order in which threads may come, go and give up, what is charged is what was waited.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use loom::sync::{Mutex, RwLock};
use loom::thread;

use super::*;
use crate::primitive::{check, shared};

/// What happens outside loom's view: a clock that goes on with each look, and who has counted what.
#[derive(Debug, Default)]
struct Truth {
    clock: AtomicU64,
    waited: AtomicI64,
    charged: AtomicI64,
    unlocks: AtomicU64,
    /// Whether somebody gives up.
    impatient: AtomicBool,
}

const UNIT: u64 = 1 << TICK_SHIFT;

impl Truth {
    fn now(&self) -> u64 {
        (self.clock.fetch_add(1, Ordering::Relaxed) + 1) * UNIT
    }

    /// Whoever is seen waiting came before the clock was looked at: so nothing that is charged is negative, save after giving up.
    fn charge(&self, ticks: i64) {
        assert!(ticks >= 0 || self.impatient.load(Ordering::Relaxed));
        self.charged.fetch_add(ticks, Ordering::Relaxed);
    }

    fn waited(&self, from: u64, to: u64) {
        self.waited.fetch_add((to - from) as i64, Ordering::Relaxed);
    }

    /// Somebody new to charge.
    fn debtor(&self) -> Debtor {
        Debtor::from_bits(100 + self.unlocks.fetch_add(1, Ordering::Relaxed))
    }

    fn assert_settled(&self, debt: &Debt) {
        let debt = debt.word.load(Ordering::Relaxed);
        assert_eq!(debt, 0, "nobody waits and nothing is left");
        let [waited, charged] = [&self.waited, &self.charged].map(|n| n.load(Ordering::Relaxed));
        assert_eq!(waited, charged);
    }
}

/// A lock with an account, as `Monitor` uses it. The value is whom the last unlock that saw waiters has told to be charged.
#[derive(Debug)]
struct Lock {
    lock: Mutex<Debtor>,
    debt: Debt,
    truth: Truth,
}

impl Lock {
    fn new() -> Arc<Lock> {
        let lock = Mutex::new(Debtor::UNKNOWN);
        shared(Lock { lock, debt: Debt::new(), truth: Truth::default() })
    }

    /// Waits, holds and unlocks.
    fn wait_and_unlock(&self) {
        let Lock { lock, debt, truth } = self;
        let arrival = truth.now();
        assert!(debt.arrive(arrival));
        let guard = lock.lock().unwrap();
        let mut end = 0;
        let owed = debt.leave(arrival, || {
            end = truth.now();
            end
        });
        truth.waited(arrival, end);
        assert_eq!(owed.known.0, *guard, "the last unlock that saw a waiter is charged");
        assert!(owed.unseen >= 0 && owed.wake_up <= end - arrival);
        assert!(owed.unseen == 0 || owed.wake_up == 0);
        truth.charge(owed.known.1);
        truth.charge(owed.unseen);
        self.unlock(guard);
    }

    fn unlock(&self, mut guard: loom::sync::MutexGuard<'_, Debtor>) {
        let Lock { debt, truth, .. } = self;
        if debt.is_owed() {
            truth.charge(debt.settle(|| truth.now()));
            *guard = truth.debtor();
            debt.set_debtor(*guard);
        }
    }
}

#[test]
fn a_mutex_charges_every_wait_once() {
    check(4, || {
        let lock = Lock::new();
        let held = lock.lock.lock().unwrap();
        let waiters = [(); 2].map(|()| {
            let lock = lock.clone();
            thread::spawn(move || lock.wait_and_unlock())
        });
        lock.unlock(held);
        for waiter in waiters {
            waiter.join().unwrap();
        }
        lock.truth.assert_settled(&lock.debt);
    });
}

#[test]
fn who_gives_up_is_charged_to_the_next_unlock() {
    check(4, || {
        let lock = Lock::new();
        lock.truth.impatient.store(true, Ordering::Relaxed);
        let held = lock.lock.lock().unwrap();
        let waiter = thread::spawn({
            let lock = lock.clone();
            move || lock.wait_and_unlock()
        });
        let impatient = thread::spawn({
            let lock = lock.clone();
            move || {
                let Lock { debt, truth, .. } = &*lock;
                let arrival = truth.now();
                assert!(debt.arrive(arrival));
                thread::yield_now();
                let end = truth.now();
                debt.give_up(end);
                truth.waited(arrival, end);
            }
        });
        lock.unlock(held);
        waiter.join().unwrap();
        impatient.join().unwrap();
        // Nobody waits; what was left by who gave up last is for the next unlock.
        lock.unlock(lock.lock.lock().unwrap());
        lock.truth.assert_settled(&lock.debt);
    });
}

#[test]
fn readers_that_leave_together_leave_nothing() {
    check(4, || {
        let lock = shared((RwLock::new(()), Debt::new(), Truth::default()));
        let contentions = Arc::new(AtomicU64::new(0));
        let held = lock.0.write().unwrap();
        let readers = [(); 2].map(|()| {
            let (lock, contentions) = (lock.clone(), contentions.clone());
            thread::spawn(move || {
                let (lock, debt, truth) = &*lock;
                let arrival = truth.now();
                assert!(debt.arrive(arrival));
                let guard = lock.read().unwrap();
                let mut end = 0;
                let owed = debt.leave(arrival, || {
                    end = truth.now();
                    end
                });
                truth.waited(arrival, end);
                // What another reader has charged of this one's wait to an unlock that did not see it is taken back.
                truth.charge(owed.known.1 + owed.unseen);
                if debt.count(owed.known.0) {
                    contentions.fetch_add(1, Ordering::Relaxed);
                }
                drop(guard);
            })
        });
        let (_, debt, truth) = &*lock;
        let seen = debt.is_owed();
        if seen {
            debt.released_at(truth.now());
            debt.set_debtor(truth.debtor().uncounted());
        }
        drop(held);
        for reader in readers {
            reader.join().unwrap();
        }
        truth.assert_settled(debt);
        // Whoever comes first is the one contention, of an unlock that saw somebody.
        assert_eq!(contentions.load(Ordering::Relaxed), u64::from(seen));
    });
}
