//! Waits of primitives that nobody edited: each is in the block profile once, with its user's function as leaf and its kind; and
//! locks are in the mutex profile. One process, as what is watched is the process's.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{self, Arc, Barrier, LazyLock, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use pprof_runtime::futex;
use pprof_tests::waits::{Truth, assert_one_wait, contentions, delay, labels, snapshot};
use pprof_tests::{stacks, sum};

/// What each wait takes.
const TIME: Duration = Duration::from_millis(30);

/// The thread that is about to wait, by the kernel's number; zero if none is.
static WAITER: AtomicU64 = AtomicU64::new(0);

/// Returns when that thread has slept for that time, however late it began.
fn let_wait() {
    let sleeps = || {
        let thread = WAITER.load(Ordering::Relaxed);
        let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat"));
        stat.is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S')))
    };
    while !sleeps() {
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(TIME);
}

/// Ends a wait.
fn later<'scope, 'env>(
    scope: &'scope thread::Scope<'scope, 'env>,
    wake: impl FnOnce() + Send + 'scope,
) {
    scope.spawn(move || {
        let_wait();
        wake();
    });
}

/// A function to wait in. What is left to do after the body makes sure that nothing in it is a jump.
macro_rules! waiting {
    ($($name:ident($($argument:ident: $type:ty),*) $body:block)*) => {
        $(#[inline(never)]
        fn $name($($argument: $type),*) {
            // SAFETY: a system call without arguments.
            WAITER.store(unsafe { libc::gettid() } as u64, Ordering::Relaxed);
            $body
            WAITER.store(0, Ordering::Relaxed);
        })*
    };
}

waiting! {
    std_mutex(lock: &sync::Mutex<u32>) { *lock.lock().unwrap() += 1; }
    std_read(lock: &sync::RwLock<u32>) { std::hint::black_box(*lock.read().unwrap()); }
    std_write(lock: &sync::RwLock<u32>) { *lock.write().unwrap() += 1; }
    std_condvar(lock: &sync::Mutex<bool>, condvar: &sync::Condvar) {
        drop(condvar.wait_while(lock.lock().unwrap(), |ready| !*ready).unwrap());
    }
    std_condvar_timeout(lock: &sync::Mutex<bool>, condvar: &sync::Condvar) {
        assert!(condvar.wait_timeout(lock.lock().unwrap(), TIME).unwrap().1.timed_out());
    }
    std_call_once(once: &sync::Once) { once.call_once(|| panic!("another thread does it")); }
    std_once_lock(once: &OnceLock<u32>) { assert_eq!(*once.get_or_init(|| 0), 1); }
    std_lazy_lock(lazy: &LazyLock<u32>) { assert_eq!(**lazy, 1); }
    std_barrier(barrier: &Barrier) { barrier.wait(); }
    std_recv(channel: &mpsc::Receiver<u32>) { assert_eq!(channel.recv(), Ok(1)); }
    std_recv_disconnected(channel: &mpsc::Receiver<u32>) { assert!(channel.recv().is_err()); }
    std_recv_timeout(channel: &mpsc::Receiver<u32>) { assert!(channel.recv_timeout(TIME).is_err()); }
    std_send(channel: &mpsc::SyncSender<u32>) { channel.send(2).unwrap(); }
    std_rendezvous(channel: &mpsc::SyncSender<u32>) { channel.send(3).unwrap(); }
    std_park(flag: &AtomicBool) {
        while !flag.load(Ordering::Relaxed) {
            thread::park();
        }
    }
    std_park_timeout() { thread::park_timeout(TIME); }
    std_join(thread: thread::JoinHandle<()>) { thread.join().unwrap(); }
    std_scope(done: &AtomicBool) {
        thread::scope(|scope| {
            scope.spawn(|| {
                let_wait();
                done.store(true, Ordering::Relaxed);
            });
        });
    }

    pl_mutex(lock: &parking_lot::Mutex<u32>) { *lock.lock() += 1; }
    pl_mutex_timeout(lock: &parking_lot::Mutex<u32>) { assert!(lock.try_lock_for(TIME).is_none()); }
    pl_fair(lock: &parking_lot::FairMutex<u32>) { *lock.lock() += 1; }
    pl_reentrant(lock: &parking_lot::ReentrantMutex<u32>) { std::hint::black_box(*lock.lock()); }
    pl_read(lock: &parking_lot::RwLock<u32>) { std::hint::black_box(*lock.read()); }
    pl_write(lock: &parking_lot::RwLock<u32>) { *lock.write() += 1; }
    pl_upgradable(lock: &parking_lot::RwLock<u32>) { std::hint::black_box(*lock.upgradable_read()); }
    pl_upgrade(lock: &parking_lot::RwLock<u32>) {
        let guard = lock.upgradable_read();
        *parking_lot::RwLockUpgradableReadGuard::upgrade(guard) += 1;
    }
    pl_condvar(lock: &parking_lot::Mutex<bool>, condvar: &parking_lot::Condvar) {
        condvar.wait_while(&mut lock.lock(), |ready| !*ready);
    }
    pl_condvar_timeout(lock: &parking_lot::Mutex<bool>, condvar: &parking_lot::Condvar) {
        assert!(condvar.wait_for(&mut lock.lock(), TIME).timed_out());
    }
    pl_once(once: &parking_lot::Once) { once.call_once(|| panic!("another thread does it")); }

    cb_recv(channel: &crossbeam_channel::Receiver<u32>) { assert_eq!(channel.recv(), Ok(1)); }
    cb_send(channel: &crossbeam_channel::Sender<u32>) { channel.send(2).unwrap(); }
    cb_select(one: &crossbeam_channel::Receiver<u32>, other: &crossbeam_channel::Receiver<u32>) {
        crossbeam_channel::select! {
            recv(one) -> message => assert_eq!(message, Ok(1)),
            recv(other) -> _ => panic!("nobody sends there"),
        }
    }
    cb_park(parker: &crossbeam_utils::sync::Parker) { parker.park(); }
    cb_wait_group(group: crossbeam_utils::sync::WaitGroup) { group.wait(); }
    cb_sharded(lock: &crossbeam_utils::sync::ShardedLock<u32>) { *lock.write().unwrap() += 1; }
}

#[test]
fn unmodified_primitives() {
    pprof_runtime::set_mutex_profile_fraction(1);
    pprof_runtime::set_block_profile_rate(1);
    assert!(!futex::is_running());
    nothing_is_seen_before_the_start();
    futex::start().unwrap();
    futex::start().unwrap();
    assert!(futex::is_running());
    std_locks();
    std_others();
    parking_lots();
    crossbeams();
    a_wait_of_ours_is_counted_once();
    waits_in_progress_are_shown();
    unlocks_are_charged_in_full();
    readers_are_charged_for_a_writer();
    unlocks_that_wake_nobody_are_no_contentions();
    calls_that_do_not_sleep_are_charged_to_nobody();
    condvars_are_not_in_the_mutex_profile();
    labels_can_be_off();
    errors_are_the_callers();
    raw_locks_of_other_crates();
    futex::stop();
    nothing_is_seen_before_the_start();
}

fn one(function: &str, kind: &str) {
    assert_one_wait(function, TIME, &[&format!("kind={kind}")]);
}

/// As `one`, of what has a lock inside, for which the thread may have had to wait as well: who wakes it may hold that still.
fn one_besides_its_lock(function: &str, kind: &str) {
    let profile = snapshot("block");
    let (own, locks): (Vec<_>, Vec<_>) = labels(&profile, function)
        .into_iter()
        .partition(|(text, _)| *text == format!("kind={kind}"));
    assert!(matches!(&own[..], [(_, [1, _])]), "{function}: {:?}", stacks(&profile));
    assert!(own[0].1[1] > TIME.as_nanos() as i64 * 8 / 10, "{function}: {own:?}");
    assert!(locks.iter().all(|(text, _)| text.starts_with("kind=mutex")), "{function}: {locks:?}");
    let leaf = sum(&profile, 1, |names| names[0].ends_with(function));
    assert_eq!(leaf, delay(&profile, function), "{function} is the leaf: {:?}", stacks(&profile));
    pprof_runtime::lookup("block").unwrap().reset();
}

fn nothing_is_seen_before_the_start() {
    pprof_runtime::lookup("block").unwrap().reset();
    std_park_timeout();
    assert_eq!(snapshot("block").sample.len(), 0);
}

fn std_locks() {
    let lock = sync::Mutex::new(0);
    let held = lock.lock().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| std_mutex(&lock));
        let_wait();
        drop(held);
    });
    one("::std_mutex", "mutex");
    let lock = sync::RwLock::new(0);
    let held = lock.write().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| std_read(&lock));
        let_wait();
        drop(held);
    });
    one("::std_read", "rwlock-read");
    let held = lock.read().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| std_write(&lock));
        let_wait();
        drop(held);
    });
    one("::std_write", "rwlock-write");

    let once = sync::Once::new();
    let started = Barrier::new(2);
    let slowly = || {
        started.wait();
        let_wait();
    };
    thread::scope(|scope| {
        scope.spawn(|| once.call_once(slowly));
        started.wait();
        std_call_once(&once);
    });
    one("::std_call_once", "once");
    let once = OnceLock::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            once.get_or_init(|| {
                slowly();
                1
            })
        });
        started.wait();
        std_once_lock(&once);
    });
    one("::std_once_lock", "once");
    static STARTED: Barrier = Barrier::new(2);
    static LAZY: LazyLock<u32> = LazyLock::new(|| {
        STARTED.wait();
        let_wait();
        1
    });
    thread::scope(|scope| {
        scope.spawn(|| LazyLock::force(&LAZY));
        STARTED.wait();
        std_lazy_lock(&LAZY);
    });
    one("::std_lazy_lock", "once");
}

fn std_others() {
    let (lock, condvar) = (sync::Mutex::new(false), sync::Condvar::new());
    thread::scope(|scope| {
        later(scope, || {
            *lock.lock().unwrap() = true;
            condvar.notify_all();
        });
        std_condvar(&lock, &condvar);
    });
    one("::std_condvar", "condvar");
    std_condvar_timeout(&lock, &condvar);
    one("::std_condvar_timeout", "condvar");
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        later(scope, || {
            barrier.wait();
        });
        std_barrier(&barrier);
    });
    one_besides_its_lock("::std_barrier", "barrier");

    let (tx, rx) = mpsc::channel();
    thread::scope(|scope| {
        later(scope, || tx.send(1).unwrap());
        std_recv(&rx);
    });
    one_besides_its_lock("::std_recv", "channel-recv");
    std_recv_timeout(&rx);
    one_besides_its_lock("::std_recv_timeout", "channel-recv");
    thread::scope(|scope| {
        later(scope, move || drop(tx));
        std_recv_disconnected(&rx);
    });
    one_besides_its_lock("::std_recv_disconnected", "channel-recv");
    let (tx, rx) = mpsc::sync_channel(1);
    tx.send(1).unwrap();
    let rx = Arc::new(sync::Mutex::new(rx));
    thread::scope(|scope| {
        later(scope, || assert_eq!(rx.lock().unwrap().recv(), Ok(1)));
        std_send(&tx);
    });
    one_besides_its_lock("::std_send", "channel-send");
    let (tx, rx) = mpsc::sync_channel(0);
    let rx = Arc::new(sync::Mutex::new(rx));
    thread::scope(|scope| {
        later(scope, || assert_eq!(rx.lock().unwrap().recv(), Ok(3)));
        std_rendezvous(&tx);
    });
    one_besides_its_lock("::std_rendezvous", "channel-send");

    let (flag, here) = (AtomicBool::new(false), thread::current());
    thread::scope(|scope| {
        later(scope, || {
            flag.store(true, Ordering::Relaxed);
            here.unpark();
        });
        std_park(&flag);
    });
    one("::std_park", "park");
    std_park_timeout();
    one("::std_park_timeout", "park");
    std_join(thread::spawn(let_wait));
    one("::std_join", "join");
    let done = AtomicBool::new(false);
    std_scope(&done);
    assert!(done.load(Ordering::Relaxed));
    one("::std_scope", "join");
}

fn parking_lots() {
    let lock = parking_lot::Mutex::new(0);
    let held = lock.lock();
    thread::scope(|scope| {
        scope.spawn(|| pl_mutex(&lock));
        let_wait();
        drop(held);
    });
    one("::pl_mutex", "mutex");
    let held = lock.lock();
    thread::scope(|scope| {
        scope.spawn(|| pl_mutex_timeout(&lock));
    });
    drop(held);
    one("::pl_mutex_timeout", "mutex");
    let lock = parking_lot::FairMutex::new(0);
    let held = lock.lock();
    thread::scope(|scope| {
        scope.spawn(|| pl_fair(&lock));
        let_wait();
        drop(held);
    });
    one("::pl_fair", "mutex");
    let lock = parking_lot::ReentrantMutex::new(0);
    thread::scope(|scope| {
        let held = lock.lock();
        scope.spawn(|| pl_reentrant(&lock));
        let_wait();
        drop(held);
    });
    one("::pl_reentrant", "mutex");

    let lock = parking_lot::RwLock::new(0);
    for (wait, kind, function) in [
        (pl_read as fn(&_), "rwlock-read", "::pl_read"),
        (pl_write, "rwlock-write", "::pl_write"),
        (pl_upgradable, "rwlock-upgradable", "::pl_upgradable"),
    ] {
        let held = lock.write();
        thread::scope(|scope| {
            scope.spawn(|| wait(&lock));
            let_wait();
            drop(held);
        });
        one(function, kind);
    }
    let held = lock.read();
    thread::scope(|scope| {
        scope.spawn(|| pl_upgrade(&lock));
        let_wait();
        drop(held);
    });
    one("::pl_upgrade", "rwlock-write");

    let (lock, condvar) = (parking_lot::Mutex::new(false), parking_lot::Condvar::new());
    thread::scope(|scope| {
        later(scope, || {
            *lock.lock() = true;
            condvar.notify_one();
        });
        pl_condvar(&lock, &condvar);
    });
    one("::pl_condvar", "condvar");
    pl_condvar_timeout(&lock, &condvar);
    one("::pl_condvar_timeout", "condvar");
    let (once, started) = (parking_lot::Once::new(), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            once.call_once(|| {
                started.wait();
                let_wait();
            });
        });
        started.wait();
        pl_once(&once);
    });
    one("::pl_once", "once");
}

fn crossbeams() {
    let (tx, rx) = crossbeam_channel::unbounded();
    thread::scope(|scope| {
        later(scope, || tx.send(1).unwrap());
        cb_recv(&rx);
    });
    one_besides_its_lock("::cb_recv", "channel-recv");
    let (_other_tx, other) = crossbeam_channel::bounded(0);
    thread::scope(|scope| {
        later(scope, || tx.send(1).unwrap());
        cb_select(&rx, &other);
    });
    one_besides_its_lock("::cb_select", "select");
    let (tx, rx) = crossbeam_channel::bounded(1);
    tx.send(1).unwrap();
    thread::scope(|scope| {
        later(scope, || assert_eq!(rx.recv(), Ok(1)));
        cb_send(&tx);
    });
    one_besides_its_lock("::cb_send", "channel-send");
    let parker = crossbeam_utils::sync::Parker::new();
    let unparker = parker.unparker().clone();
    thread::scope(|scope| {
        later(scope, move || unparker.unpark());
        cb_park(&parker);
    });
    one("::cb_park", "park");
    let group = crossbeam_utils::sync::WaitGroup::new();
    thread::scope(|scope| {
        let other = group.clone();
        later(scope, || drop(other));
        cb_wait_group(group);
    });
    one_besides_its_lock("::cb_wait_group", "barrier");
    let lock = crossbeam_utils::sync::ShardedLock::new(0);
    thread::scope(|scope| {
        let held = lock.read().unwrap();
        scope.spawn(|| cb_sharded(&lock));
        let_wait();
        drop(held);
    });
    one("::cb_sharded", "rwlock-write");
}

waiting! {
    our_mutex(lock: &pprof_runtime::sync::Mutex<u32>) { *lock.lock().unwrap() += 1; }
    our_recv(channel: &pprof_runtime::sync::mpsc::Receiver<u32>) { channel.recv().unwrap(); }
}

fn a_wait_of_ours_is_counted_once() {
    let lock = pprof_runtime::sync::Mutex::named(0, "ours");
    let held = lock.lock().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| our_mutex(&lock));
        let_wait();
        drop(held);
    });
    assert_one_wait("::our_mutex", TIME, &["kind=mutex", "lock=ours"]);
    let (tx, rx) = pprof_runtime::sync::mpsc::channel();
    thread::scope(|scope| {
        later(scope, || tx.send(1).unwrap());
        our_recv(&rx);
    });
    one("::our_recv", "channel-recv");
}

fn waits_in_progress_are_shown() {
    let check = |function: &str, kind: &str, wait: &(dyn Fn() + Sync), unlock: &dyn Fn()| {
        thread::scope(|scope| {
            scope.spawn(wait);
            let_wait();
            let seen = labels(&snapshot("block"), function).pop();
            let (text, [count, waited]) = seen.expect("a wait in progress");
            assert_eq!((text.as_str(), count), (&*format!("kind={kind} state=waiting"), 1));
            assert!(waited > 1_000_000, "{function}: {waited}");
            unlock();
        });
        pprof_runtime::lookup("block").unwrap().reset();
    };
    let lock = sync::Mutex::new(0);
    let held = Cell::new(Some(lock.lock().unwrap()));
    check("::std_mutex", "mutex", &|| std_mutex(&lock), &|| drop(held.take()));
    let lock = parking_lot::RwLock::new(0);
    let held = Cell::new(Some(lock.write()));
    check("::pl_read", "rwlock-read", &|| pl_read(&lock), &|| drop(held.take()));
    let (tx, rx) = crossbeam_channel::unbounded();
    check("::cb_recv", "channel-recv", &|| cb_recv(&rx), &|| tx.send(1).unwrap());
}

/// Lock by a make of locks: held by `holder`, waited for by `waiter`, which holds it for no time.
macro_rules! conservation {
    ($make:ident, $lock:ty, |$held:ident| $hold:expr, |$waited:ident| $wait:expr) => {
        mod $make {
            use super::*;

            #[inline(never)]
            fn holder($held: &$lock, ready: &Barrier) {
                let guard = $hold;
                ready.wait();
                thread::sleep(Duration::from_millis(20));
                drop(guard);
                std::hint::black_box(());
            }

            #[inline(never)]
            fn waiter($waited: &$lock, ready: &Barrier, truth: &Truth) {
                ready.wait();
                let guard = truth.time(|| $wait);
                drop(guard);
                std::hint::black_box(());
            }

            fn round(waiters: usize) -> Result<(), String> {
                let (lock, truth) = (<$lock>::default(), Truth::default());
                let ready = Barrier::new(waiters + 1);
                reset();
                thread::scope(|scope| {
                    scope.spawn(|| holder(&lock, &ready));
                    for _ in 0..waiters {
                        scope.spawn(|| waiter(&lock, &ready, &truth));
                    }
                });
                let (mutex, block) = (snapshot("mutex"), snapshot("block"));
                let name = |function| concat!("::", stringify!($make), "::").to_owned() + function;
                let (holder, waiter) = (name("holder"), name("waiter"));
                let of_locks = |function| of_locks(&block, function);
                let blocked = of_locks(&waiter) + of_locks(&holder);
                let charged = delay(&mutex, &holder) + delay(&mutex, &waiter);
                let truth = truth.waited() as f64;
                for (what, value) in [("block", blocked), ("mutex", charged)] {
                    if (value as f64 / truth - 1.0).abs() > 0.05 {
                        return Err(format!("{what}: {value} ns, in truth {truth} ns"));
                    }
                }
                // Whoever holds it is to blame, and nothing of std's is below its name.
                let leaves = sum(&mutex, 1, |names| names[0].ends_with(&holder));
                if leaves < 18_000_000 {
                    return Err(format!("on the holder {leaves} ns: {:?}", stacks(&mutex)));
                }
                Ok(())
            }

            pub(super) fn check() {
                // The machine may stop a thread between its clock and ours, which spoils a round, but not every round.
                for waiters in [1, 2, 4, 8] {
                    let rounds: Vec<_> = (0..10).map_while(|_| round(waiters).err()).collect();
                    assert!(rounds.len() < 10, "{waiters} waiters: {rounds:#?}");
                }
            }
        }
    };
}

conservation!(mutex_of_std, sync::Mutex<()>, |l| l.lock().unwrap(), |l| l.lock().unwrap());
conservation!(writers_of_std, sync::RwLock<()>, |l| l.write().unwrap(), |l| l.write().unwrap());
conservation!(readers_of_std, sync::RwLock<()>, |l| l.write().unwrap(), |l| l.read().unwrap());
conservation!(mutex_of_pl, parking_lot::Mutex<()>, |l| l.lock(), |l| l.lock());
conservation!(readers_of_pl, parking_lot::RwLock<()>, |l| l.write(), |l| l.read());
conservation!(writers_of_pl, parking_lot::RwLock<()>, |l| l.write(), |l| l.write());

fn reset() {
    for name in ["block", "mutex"] {
        pprof_runtime::lookup(name).unwrap().reset();
    }
}

/// Delay of waits on locks by a function: it may have waited at the barrier too.
fn of_locks(block: &pprof_format::Profile, function: &str) -> i64 {
    let is_lock = |text: &str| text.starts_with("kind=mutex") || text.starts_with("kind=rwlock");
    let seen = labels(block, function);
    seen.iter().filter(|(text, _)| is_lock(text)).map(|(_, values)| values[1]).sum()
}

fn unlocks_are_charged_in_full() {
    mutex_of_std::check();
    writers_of_std::check();
    readers_of_std::check();
    mutex_of_pl::check();
    readers_of_pl::check();
    writers_of_pl::check();
}

#[inline(never)]
fn reader(lock: &sync::RwLock<u32>, ready: &Barrier) {
    let guard = lock.read().unwrap();
    ready.wait();
    let_wait();
    drop(guard);
    std::hint::black_box(());
}

#[inline(never)]
fn last_reader(lock: &sync::RwLock<u32>, ready: &Barrier) {
    let guard = lock.read().unwrap();
    ready.wait();
    let_wait();
    // Until the other one has certainly released it.
    thread::sleep(3 * TIME);
    drop(guard);
    std::hint::black_box(());
}

fn readers_are_charged_for_a_writer() {
    reset();
    let lock = sync::RwLock::new(0);
    let ready = Barrier::new(3);
    thread::scope(|scope| {
        scope.spawn(|| reader(&lock, &ready));
        scope.spawn(|| last_reader(&lock, &ready));
        ready.wait();
        std_write(&lock);
    });
    let mutex = snapshot("mutex");
    let charged = |function| {
        // Besides the barrier's own lock.
        let of_lock = |(text, _): &(String, _)| text.starts_with("kind=rwlock-read");
        labels(&mutex, function).iter().filter(|s| of_lock(s)).map(|(_, v)| v[1]).sum::<i64>()
    };
    assert_eq!(charged("::reader"), 0, "{:?}", stacks(&mutex));
    assert!(charged("::last_reader") > 3 * TIME.as_nanos() as i64, "{:?}", stacks(&mutex));
}

/// Busy, so that most unlocks find the lock marked while those who wait for it are on their way.
#[inline(never)]
fn increments(lock: &sync::Mutex<u64>, rounds: u32) {
    for _ in 0..rounds {
        let mut guard = lock.lock().unwrap();
        *guard += 1;
        (0..50).for_each(|_| std::hint::spin_loop());
        drop(guard);
    }
    std::hint::black_box(());
}

fn unlocks_that_wake_nobody_are_no_contentions() {
    reset();
    let lock = sync::Mutex::new(0);
    let held = lock.lock().unwrap();
    thread::scope(|scope| {
        (0..8).for_each(|_| drop(scope.spawn(|| increments(&lock, 20_000))));
        thread::sleep(TIME);
        drop(held);
    });
    let [unlocks, waits] =
        ["mutex", "block"].map(|name| contentions(&snapshot(name), "::increments"));
    // Each unlock that wakes somebody ends one wait. A stack that has no whole contention shows one.
    assert!(waits >= 1 && unlocks <= waits + 8, "{unlocks} unlocks of {waits} waits");
}

#[inline(never)]
fn wakes_until(done: &AtomicBool, word: &std::sync::atomic::AtomicU32) {
    while !done.load(Ordering::Relaxed) {
        futex_call(word, libc::FUTEX_WAKE, 1, 0);
    }
}

fn calls_that_do_not_sleep_are_charged_to_nobody() {
    reset();
    let (word, done) = (std::sync::atomic::AtomicU32::new(1), AtomicBool::new(false));
    let truth = Truth::default();
    thread::scope(|scope| {
        scope.spawn(|| wakes_until(&done, &word));
        for _ in 0..50_000 {
            let wait = || futex_call(&word, libc::FUTEX_WAIT, 0, 1_000_000);
            assert_eq!(truth.time(wait), (-1, libc::EAGAIN));
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(delay(&snapshot("block"), "::futex_call"), 0);
    let charged = delay(&snapshot("mutex"), "::wakes_until");
    let truth = truth.waited() as i64;
    assert!(charged < truth / 100, "{charged} ns of calls that took {truth} ns");
}

/// A lock of lock_api's that waits by itself, as those of dashmap and others do.
struct RawMutex(std::sync::atomic::AtomicU32);

impl RawMutex {
    #[cold]
    #[inline(never)]
    fn lock_slow(&self) {
        while self.0.swap(2, Ordering::Acquire) != 0 {
            let (wait, forever) = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, 0_usize);
            // SAFETY: a word of ours, and no time limit.
            unsafe { libc::syscall(libc::SYS_futex, self.0.as_ptr(), wait, 2, forever) };
        }
        std::hint::black_box(());
    }

    #[cold]
    #[inline(never)]
    fn unlock_slow(&self) {
        let wake = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: the kernel uses the address as a key only.
        unsafe { libc::syscall(libc::SYS_futex, self.0.as_ptr(), wake, 1) };
        std::hint::black_box(());
    }
}

// SAFETY: who swaps or exchanges zero for something holds it, until it swaps that for zero.
unsafe impl parking_lot::lock_api::RawMutex for RawMutex {
    #[allow(clippy::declare_interior_mutable_const, reason = "what the trait asks for")]
    const INIT: RawMutex = RawMutex(std::sync::atomic::AtomicU32::new(0));
    type GuardMarker = parking_lot::lock_api::GuardSend;

    fn lock(&self) {
        if !self.try_lock() {
            self.lock_slow();
        }
    }

    fn try_lock(&self) -> bool {
        self.0.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    unsafe fn unlock(&self) {
        if self.0.swap(0, Ordering::Release) == 2 {
            self.unlock_slow();
        }
    }
}

waiting! {
    raw_mutex(lock: &parking_lot::lock_api::Mutex<RawMutex, u32>) { *lock.lock() += 1; }
}

#[inline(never)]
fn unlocks_raw_mutex(held: parking_lot::lock_api::MutexGuard<'_, RawMutex, u32>) {
    drop(held);
    std::hint::black_box(());
}

fn raw_locks_of_other_crates() {
    reset();
    let lock = parking_lot::lock_api::Mutex::<RawMutex, u32>::new(0);
    let held = lock.lock();
    thread::scope(|scope| {
        scope.spawn(|| raw_mutex(&lock));
        let_wait();
        unlocks_raw_mutex(held);
    });
    let mutex = snapshot("mutex");
    let seen = labels(&mutex, "::unlocks_raw_mutex");
    assert!(matches!(&seen[..], [(text, [1, _])] if text == "kind=mutex"), "{seen:?}");
    let leaf = sum(&mutex, 1, |names| names[0].ends_with("::unlocks_raw_mutex"));
    assert_eq!(leaf, seen[0].1[1], "{:?}", stacks(&mutex));
    one("::raw_mutex", "mutex");
}

#[inline(never)]
fn notifier(lock: &parking_lot::Mutex<bool>, condvar: &parking_lot::Condvar) {
    let mut guard = lock.lock();
    *guard = true;
    // With the lock held: the waiter is handed on to the lock, and woken by the unlock.
    condvar.notify_one();
    drop(guard);
    std::hint::black_box(());
}

fn condvars_are_not_in_the_mutex_profile() {
    reset();
    let (lock, condvar) = (parking_lot::Mutex::new(false), parking_lot::Condvar::new());
    thread::scope(|scope| {
        later(scope, || notifier(&lock, &condvar));
        pl_condvar(&lock, &condvar);
    });
    let (tx, rx) = mpsc::channel();
    thread::scope(|scope| {
        later(scope, || tx.send(1).unwrap());
        std_recv(&rx);
    });
    std_park_timeout();
    let mutex = snapshot("mutex");
    assert!(sum(&mutex, 1, |_| true) < 10_000_000, "{:?}", stacks(&mutex));
    assert!(contentions(&snapshot("block"), "::std_recv") >= 1);
}

fn labels_can_be_off() {
    reset();
    pprof_runtime::set_contention_labels(false);
    std_park_timeout();
    let seen = labels(&snapshot("block"), "::std_park_timeout");
    assert!(matches!(&seen[..], [(text, [1, _])] if text.is_empty()), "{seen:?}");
    let leaf = sum(&snapshot("block"), 0, |names| names[0].ends_with("::std_park_timeout"));
    assert_eq!(leaf, 1);
    pprof_runtime::set_contention_labels(true);
    reset();
}

fn futex_call(
    word: &std::sync::atomic::AtomicU32,
    operation: i32,
    value: u32,
    ns: i64,
) -> (i64, i32) {
    let time = libc::timespec { tv_sec: 0, tv_nsec: ns };
    let operation = operation | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: always valid to call.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the calling thread's own.
    unsafe { *errno = 77 };
    // SAFETY: word and time are valid for the call.
    let result = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, &time) };
    // SAFETY: as above.
    (result, unsafe { *errno })
}

fn errors_are_the_callers() {
    let word = std::sync::atomic::AtomicU32::new(1);
    let ms = 1_000_000;
    let check = || {
        assert_eq!(futex_call(&word, libc::FUTEX_WAIT, 0, ms), (-1, libc::EAGAIN));
        assert_eq!(futex_call(&word, libc::FUTEX_WAIT, 1, ms), (-1, libc::ETIMEDOUT));
        assert_eq!(futex_call(&word, libc::FUTEX_WAKE, 1, 0), (0, 77), "errno is as it was");
        assert_eq!(futex_call(&word, 99, 1, 0), (-1, libc::ENOSYS));
        thread::scope(|scope| {
            scope.spawn(|| while futex_call(&word, libc::FUTEX_WAKE, 1, 0) == (0, 77) {});
            assert_eq!(futex_call(&word, libc::FUTEX_WAIT, 1, 900 * ms), (0, 77));
        });
        // SAFETY: a system call that fails.
        assert_eq!(unsafe { libc::syscall(libc::SYS_close, -1) }, -1);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EBADF));
        // SAFETY: as above; all six arguments arrive.
        let mapped = unsafe {
            let write = libc::PROT_READ | libc::PROT_WRITE;
            let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            libc::syscall(libc::SYS_mmap, 0, 4096, write, anonymous, -1, 0)
        };
        assert!(mapped > 0);
        // SAFETY: mapped above.
        assert_eq!(unsafe { libc::syscall(libc::SYS_munmap, mapped, 4096) }, 0);
    };
    check();
    let calls = || {
        let seen = labels(&snapshot("block"), "::errors_are_the_callers");
        // The other thread is waited for as well.
        seen.into_iter().filter(|(text, _)| text == "kind=futex").map(|(_, v)| v[0]).sum::<i64>()
    };
    assert_eq!(calls(), 2, "a changed word is no wait");
    futex::stop();
    check();
    futex::start().unwrap();
    assert_eq!(calls(), 2);
    reset();
}
