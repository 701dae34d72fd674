//! One graph over locks of every make: a deadlock through three libraries is found, and ordered use of all of them is none. One process, as
//! in `deadlock.rs`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Waker};
use std::time::Duration;

use pprof_runtime::deadlock::{self, Deadlock};
use pprof_runtime::{parking_lot, sync, tokio as profiled};

#[test]
fn locks_of_every_make_are_in_one_graph() {
    ordered_operations_are_no_deadlock();
    a_cycle_through_three_libraries_is_found();
    an_upgrade_that_waits_for_a_reader_is_found();
    more_waits_than_there_is_room_for_hide_no_other();
}

enum Lock {
    Mutex(sync::Mutex<u64>),
    Shared(sync::RwLock<u64>),
    Parking(parking_lot::Mutex<u64>),
    ParkingShared(parking_lot::RwLock<u64>),
    Task(profiled::sync::Mutex<u64>),
    TaskShared(profiled::sync::RwLock<u64>),
}

impl Lock {
    fn all() -> Vec<Lock> {
        vec![
            Lock::Mutex(sync::Mutex::new(0)),
            Lock::Parking(parking_lot::Mutex::new(0)),
            Lock::Task(profiled::sync::Mutex::new(0)),
            Lock::Shared(sync::RwLock::new(0)),
            Lock::ParkingShared(parking_lot::RwLock::new(0)),
            Lock::TaskShared(profiled::sync::RwLock::new(0)),
        ]
    }

    /// Runs `inside` with the lock held, by a reader if it can be and `read` says so.
    fn with(&self, read: bool, inside: impl FnOnce()) {
        match self {
            Lock::Mutex(lock) => {
                let _held = lock.lock().unwrap();
                inside();
            }
            Lock::Shared(lock) if read => {
                let _held = lock.read().unwrap();
                inside();
            }
            Lock::Shared(lock) => {
                let _held = lock.write().unwrap();
                inside();
            }
            Lock::Parking(lock) => {
                let _held = lock.lock();
                inside();
            }
            Lock::ParkingShared(lock) if read => {
                let _held = lock.read();
                inside();
            }
            Lock::ParkingShared(lock) => {
                let _held = lock.write();
                inside();
            }
            Lock::Task(lock) => {
                let _held = lock.blocking_lock();
                inside();
            }
            Lock::TaskShared(lock) if read => {
                let _held = lock.blocking_read();
                inside();
            }
            Lock::TaskShared(lock) => {
                let _held = lock.blocking_write();
                inside();
            }
        }
    }
}

const OPERATIONS: u64 = 400_000;

fn operate(locks: &[Lock], done: &AtomicU64, mut random: u64) {
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) as usize % below
    };
    while done.fetch_add(1, Ordering::Relaxed) < OPERATIONS {
        let (first, second) = (next(locks.len()), next(locks.len()));
        let (read_first, read_second, pause) = (next(2) == 0, next(2) == 0, next(2048) == 0);
        locks[first].with(read_first, || {
            if second > first {
                locks[second].with(read_second, || ());
            }
            if pause {
                std::thread::sleep(Duration::from_micros(20));
            }
        });
    }
}

fn ordered_operations_are_no_deadlock() {
    let locks = Lock::all();
    let (done, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let searches = std::thread::scope(|scope| {
        let searcher = scope.spawn(|| {
            let mut searches = 0;
            while !stop.load(Ordering::Relaxed) {
                let deadlocks = deadlock::find();
                assert!(deadlocks.is_empty(), "{}", deadlocks[0]);
                searches += 1;
            }
            searches
        });
        let (locks, done) = (&locks, &done);
        let threads: Vec<_> = (0..4)
            .map(|i| scope.spawn(move || operate(locks, done, 0x9e37_79b9_7f4a_7c15 ^ (i + 1))))
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        stop.store(true, Ordering::Relaxed);
        searcher.join().unwrap()
    });
    assert!(searches > 10, "{searches} searches");
}

struct Locks {
    accounts: sync::Mutex<()>,
    orders: parking_lot::Mutex<()>,
    stock: profiled::sync::Mutex<()>,
    all_hold: Barrier,
}

#[inline(never)]
fn takes_accounts_then_orders(locks: &Locks) {
    let _held = locks.accounts.lock().unwrap();
    locks.all_hold.wait();
    drop(locks.orders.lock());
}

#[inline(never)]
fn takes_orders_then_stock(locks: &Locks) {
    let _held = locks.orders.lock();
    locks.all_hold.wait();
    drop(locks.stock.blocking_lock());
}

async fn takes_stock_then_accounts(locks: Arc<Locks>) {
    let _held = locks.stock.lock().await;
    locks.all_hold.wait();
    drop(locks.accounts.lock().unwrap());
}

fn a_cycle_through_three_libraries_is_found() {
    let locks = Arc::new(Locks {
        accounts: sync::Mutex::named((), "accounts"),
        orders: parking_lot::Mutex::from_raw(parking_lot::RawMutex::named("orders"), ()),
        stock: profiled::sync::Mutex::named((), "stock"),
        all_hold: Barrier::new(3),
    });
    let spawn = |name: &str, run: fn(&Locks)| {
        let locks = Arc::clone(&locks);
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread.spawn(move || run(&locks)).unwrap();
    };
    spawn("clerk", takes_accounts_then_orders);
    spawn("packer", takes_orders_then_stock);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    runtime.spawn(takes_stock_then_accounts(Arc::clone(&locks)));
    // Its worker waits for ever.
    std::mem::forget(runtime);

    let deadlock: Deadlock = (0..20_000)
        .find_map(|_| {
            std::thread::sleep(Duration::from_millis(5));
            deadlock::find().pop()
        })
        .expect("a deadlock");
    println!("{deadlock}");
    let mut waits: Vec<_> = deadlock.waits().iter().collect();
    assert_eq!(waits.len(), 3, "{deadlock}");
    waits.sort_by_key(|wait| wait.lock().unwrap());
    let told: Vec<_> = waits.iter().map(|w| (w.lock().unwrap(), w.kind())).collect();
    assert_eq!(told, [("accounts", "mutex"), ("orders", "mutex"), ("stock", "mutex")]);
    // Who waits: for the accounts the task, by the thread that runs it.
    assert!(waits[0].task().is_some(), "{deadlock}");
    assert_eq!([waits[1].waiter().name(), waits[2].waiter().name()], ["clerk", "packer"]);
    // Who holds, and where it was taken.
    let holders = waits.iter().map(|wait| wait.holder().expect("a holder"));
    let holders: Vec<_> = holders.collect();
    assert_eq!([holders[0].actor().name(), holders[1].actor().name()], ["clerk", "packer"]);
    assert!(holders[2].actor().task_id().is_some(), "{deadlock}");
    for (wait, holder) in waits.iter().zip(&holders) {
        for site in [wait.site(), holder.site()] {
            assert_eq!(site.expect("a site").file(), file!(), "{deadlock}");
        }
    }
    // Stacks of the threads.
    for (wait, function) in
        waits.iter().zip(["takes_stock_then", "takes_accounts_then", "takes_orders_then"])
    {
        let on_stack =
            wait.stack().iter().any(|f| f.function().is_some_and(|name| name.contains(function)));
        assert!(on_stack, "{function}: {deadlock}");
    }
}

/// Waits until so many deadlocks are known.
fn until_found(count: usize) -> Vec<Deadlock> {
    let mut found = (0..200).map(|_| {
        std::thread::sleep(Duration::from_millis(50));
        deadlock::find()
    });
    found.find(|found| found.len() == count).expect("a deadlock more")
}

/// Threads of these wait until the process ends.
fn leaked<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn an_upgrade_that_waits_for_a_reader_is_found() {
    let before = deadlock::find().len();
    let (mutex, lock) = (leaked(parking_lot::Mutex::new(())), leaked(parking_lot::RwLock::new(())));
    // Of readers the one that locks last is known: that is to be the other one.
    let [is_upgradable, both_hold] = [Barrier::new(2), Barrier::new(2)].map(leaked);
    std::thread::spawn(|| {
        let _held = mutex.lock();
        let guard = lock.upgradable_read();
        is_upgradable.wait();
        both_hold.wait();
        drop(parking_lot::RwLockUpgradableReadGuard::upgrade(guard));
    });
    std::thread::spawn(|| {
        is_upgradable.wait();
        let _held = lock.read();
        both_hold.wait();
        drop(mutex.lock());
    });
    let found = until_found(before + 1);
    let kinds = |deadlock: &Deadlock| deadlock.waits().iter().any(|w| w.kind() == "rwlock-write");
    assert!(found.iter().any(|deadlock| deadlock.is_certain() && kinds(deadlock)), "{found:?}");
}

/// A thread that polls futures waits for as many things as it likes, here for more than are kept.
fn more_waits_than_there_is_room_for_hide_no_other() {
    let before = deadlock::find().len();
    let wanted = leaked(profiled::sync::Mutex::new(()));
    // By a thread that waits for nothing.
    std::thread::spawn(|| std::mem::forget(wanted.try_lock().unwrap())).join().unwrap();
    let poll_all = |count: usize| {
        let mut waits: Vec<_> = (0..count).map(|_| Box::pin(wanted.lock())).collect();
        let mut context = Context::from_waker(Waker::noop());
        assert!(waits.iter_mut().all(|wait| wait.as_mut().poll(&mut context).is_pending()));
        waits
    };
    drop(poll_all(20_000));
    let untracked = deadlock::snapshot().untracked();
    assert!(untracked > 0);
    // Few enough to be kept, and more than there are places beside each other.
    let waits = poll_all(1_000);
    let (first, second) = (leaked(sync::Mutex::new(())), leaked(sync::Mutex::new(())));
    let both_hold = leaked(Barrier::new(2));
    for (held, wanted) in [(first, second), (second, first)] {
        std::thread::spawn(|| {
            let _held = held.lock().unwrap();
            both_hold.wait();
            drop(wanted.lock().unwrap());
        });
    }
    until_found(before + 1);
    let snapshot = deadlock::snapshot();
    assert_eq!(snapshot.untracked(), untracked);
    assert!(snapshot.waits().len() > waits.len(), "{}", snapshot.waits().len());
    drop(waits);
}
