//! Put to the locks of this system and to those of the others, which work here too.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::Woken;

/// The other systems' files.
#[path = "."]
mod other {
    use super::Woken;

    #[path = "condvar_parking_lot_other.rs"]
    pub(super) mod condvar;
    #[path = "parking_lot_other.rs"]
    pub(super) mod lock;
    #[path = "rwlock_parking_lot_other.rs"]
    pub(super) mod rwlock;
}

/// A value that a lock guards.
struct Shared<L>(L, UnsafeCell<u64>);

// SAFETY: the cell is touched only under the lock.
unsafe impl<L: Sync> Sync for Shared<L> {}

impl<L> Shared<L> {
    fn new(lock: L) -> Self {
        Shared(lock, UnsafeCell::new(0))
    }

    /// The lock is held.
    fn get(&self) -> u64 {
        // SAFETY: nobody writes while it is held.
        unsafe { *self.1.get() }
    }

    /// The lock is held, by nobody else.
    fn increment(&self) {
        // SAFETY: nobody else has the lock.
        unsafe { *self.1.get() += 1 };
    }
}

/// The other thread has a moment to fall asleep, which may prove too short, but not each time.
fn sooner_or_later(attempt: impl Fn() -> bool) {
    assert!((0..100).any(|_| attempt()));
}

fn a_moment() {
    thread::sleep(Duration::from_millis(5));
}

macro_rules! mutex_tests {
    ($name:ident, $RawMutex:path) => {
        mod $name {
            use super::*;
            use $RawMutex as RawMutex;

            fn unlock(lock: &RawMutex) {
                if !lock.unlock_if_nobody_sleeps() {
                    lock.unlock_and_wake();
                }
            }

            #[test]
            fn excludes_and_wakes() {
                const ROUNDS: u64 = if cfg!(miri) { 30 } else { 50_000 };
                let shared = &Shared::new(RawMutex::new());
                thread::scope(|scope| {
                    for _ in 0..4 {
                        scope.spawn(move || {
                            for _ in 0..ROUNDS {
                                if !shared.0.try_lock() && !shared.0.spin() {
                                    shared.0.sleep();
                                }
                                shared.increment();
                                unlock(&shared.0);
                            }
                        });
                    }
                });
                assert!(shared.0.try_lock());
                assert!(!shared.0.try_lock());
                assert_eq!(shared.get(), 4 * ROUNDS);
            }

            #[test]
            fn tells_its_holder_of_sleepers() {
                sooner_or_later(|| {
                    let lock = &RawMutex::new();
                    assert!(lock.try_lock());
                    let told = thread::scope(|scope| {
                        let sleeper = scope.spawn(move || {
                            let slept = lock.sleep();
                            unlock(lock);
                            slept
                        });
                        a_moment();
                        let told = !lock.unlock_if_nobody_sleeps();
                        if told {
                            lock.unlock_and_wake();
                        }
                        assert!(sleeper.join().unwrap() || !told, "told of nobody");
                        told
                    });
                    assert!(lock.try_lock());
                    told
                });
            }
        }
    };
}

macro_rules! rwlock_tests {
    ($name:ident, $RawRwLock:path) => {
        mod $name {
            use super::*;
            use $RawRwLock as RawRwLock;

            fn read(lock: &RawRwLock) -> bool {
                !lock.read_quickly() && !lock.spin_read() && lock.sleep_read()
            }

            fn write(lock: &RawRwLock) -> bool {
                !lock.write_quickly() && !lock.spin_write() && lock.sleep_write()
            }

            /// True if others slept.
            fn unlock_read(lock: &RawRwLock) -> bool {
                let told = !lock.unlock_read_unless_awaited();
                if told {
                    lock.unlock_read_and_wake();
                }
                told
            }

            fn unlock_write(lock: &RawRwLock) -> bool {
                let told = !lock.unlock_write_unless_awaited();
                if told {
                    lock.unlock_write_and_wake();
                }
                told
            }

            fn downgrade(lock: &RawRwLock) -> bool {
                let told = !lock.downgrade_unless_awaited();
                if told {
                    lock.downgrade_and_wake();
                }
                told
            }

            #[test]
            fn excludes_and_wakes() {
                const ROUNDS: u64 = if cfg!(miri) { 30 } else { 10_000 };
                let shared = &Shared::new(RawRwLock::new());
                let readers = &AtomicUsize::new(0);
                let lock = &shared.0;
                // Nobody writes while there are readers: it is the same before and after.
                let look = move || {
                    readers.fetch_add(1, Ordering::Relaxed);
                    let before = shared.get();
                    assert_eq!(before, shared.get());
                    readers.fetch_sub(1, Ordering::Relaxed);
                };
                let change = move || {
                    assert_eq!(readers.load(Ordering::Relaxed), 0);
                    shared.increment();
                };
                thread::scope(|scope| {
                    for thread in 0..4 {
                        scope.spawn(move || {
                            for round in 0..ROUNDS {
                                match (round + thread) % 6 {
                                    0 | 1 => {
                                        read(lock);
                                        look();
                                        unlock_read(lock);
                                    }
                                    2 if lock.try_read() => {
                                        look();
                                        unlock_read(lock);
                                    }
                                    3 if lock.try_write() => {
                                        change();
                                        shared.increment();
                                        unlock_write(lock);
                                    }
                                    4 => {
                                        write(lock);
                                        change();
                                        downgrade(lock);
                                        look();
                                        shared.get();
                                        unlock_read(lock);
                                    }
                                    _ => {
                                        write(lock);
                                        change();
                                        unlock_write(lock);
                                    }
                                }
                            }
                        });
                    }
                });
                assert!(lock.try_write());
                assert!(!lock.try_write());
                assert!(!lock.try_read());
                unlock_write(lock);
                assert!(lock.try_read() && lock.try_read() && !lock.try_write());
                unlock_read(lock);
                assert!(!lock.try_write());
                unlock_read(lock);
                assert!(lock.try_write());
                // Two of six rounds change it for certain; more where nothing was in the way of a `try_`.
                assert!(shared.get() >= 4 * ROUNDS / 3, "{}", shared.get());
            }

            #[test]
            fn writers_are_told_of_sleepers() {
                let sleepers: [fn(&RawRwLock) -> bool; 2] = [
                    |lock| {
                        let slept = read(lock);
                        unlock_read(lock);
                        slept
                    },
                    |lock| {
                        let slept = write(lock);
                        unlock_write(lock);
                        slept
                    },
                ];
                for sleeper in sleepers {
                    sooner_or_later(|| {
                        let lock = &RawRwLock::new();
                        assert!(lock.write_quickly());
                        let (told, slept) = thread::scope(|scope| {
                            let sleeper = scope.spawn(move || sleeper(lock));
                            a_moment();
                            (unlock_write(lock), sleeper.join().unwrap())
                        });
                        assert!(lock.try_write(), "free");
                        told && slept
                    });
                }
            }

            #[test]
            fn the_last_reader_is_told_of_sleepers() {
                sooner_or_later(|| {
                    let lock = &RawRwLock::new();
                    assert!(lock.read_quickly() && lock.read_quickly());
                    let (told, slept) = thread::scope(|scope| {
                        let sleeper = scope.spawn(move || {
                            let slept = write(lock);
                            unlock_write(lock);
                            slept
                        });
                        a_moment();
                        let told = [unlock_read(lock), unlock_read(lock)];
                        (told, sleeper.join().unwrap())
                    });
                    assert!(lock.try_write(), "free");
                    assert!(!RawRwLock::KNOWS_LAST_READER || !told[0], "another one has it");
                    told[1] && slept
                });
            }

            #[test]
            fn a_downgrade_lets_readers_in() {
                sooner_or_later(|| {
                    let lock = &RawRwLock::new();
                    assert!(lock.write_quickly());
                    let (told, slept) = thread::scope(|scope| {
                        let reader = scope.spawn(move || {
                            let slept = read(lock);
                            unlock_read(lock);
                            slept
                        });
                        a_moment();
                        let told = downgrade(lock);
                        // While this one reads.
                        let slept = reader.join().unwrap();
                        unlock_read(lock);
                        (told, slept)
                    });
                    assert!(lock.try_write(), "free");
                    told && slept
                });
            }
        }
    };
}

macro_rules! condvar_tests {
    ($name:ident, $RawCondvar:path) => {
        mod $name {
            use super::*;
            use $RawCondvar as RawCondvar;

            #[test]
            fn sleeps_end_as_they_should() {
                let condvar = &RawCondvar::new();
                let (before, short) = (condvar.number(), Duration::from_millis(1));
                assert_eq!(condvar.sleep(before, Some(short)), Woken::TimedOut);
                condvar.notify_one();
                assert_eq!(condvar.sleep(before, None), Woken::AtOnce);
                assert_eq!(condvar.sleep(before, Some(short)), Woken::AtOnce);
                for timeout in [None, Some(Duration::from_secs(600)), Some(Duration::MAX)] {
                    sooner_or_later(|| {
                        let number = condvar.number();
                        thread::scope(|scope| {
                            let sleeper = scope.spawn(move || condvar.sleep(number, timeout));
                            a_moment();
                            condvar.notify_one();
                            sleeper.join().unwrap() == Woken::Notified
                        })
                    });
                }
            }

            #[test]
            fn notify_all_wakes_all() {
                let condvar = &RawCondvar::new();
                let number = condvar.number();
                thread::scope(|scope| {
                    for _ in 0..3 {
                        scope.spawn(move || condvar.sleep(number, None));
                    }
                    a_moment();
                    condvar.notify_all();
                });
            }
        }
    };
}

mutex_tests!(mutex, super::super::RawMutex);
mutex_tests!(other_mutex, super::other::lock::RawMutex);
rwlock_tests!(rwlock, super::super::RawRwLock);
rwlock_tests!(other_rwlock, super::other::rwlock::RawRwLock);
condvar_tests!(condvar, super::super::RawCondvar);
condvar_tests!(other_condvar, super::other::condvar::RawCondvar);
