//! Locks of `parking_lot`, each way to wait for them, and that nothing of it is lost or counted twice. One process, as rates are the
//! process's.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use pprof_runtime::parking_lot::{
    Condvar, FairMutex, Mutex, MutexGuard, Once, OnceState, RawMutex, RawRwLock, RawThreadId,
    RecursiveRwLock, RecursiveRwLockReadGuard, ReentrantMutex, ReentrantMutexGuard, RwLock,
    RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard, lock_api,
};
use pprof_tests::waits::{Truth, assert_one_wait, contentions, delay, labels, snapshot};
use pprof_tests::{stacks, sum};

const WAIT: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_secs(60);

#[test]
fn everything_about_waits() {
    pprof_runtime::set_mutex_profile_fraction(1);
    pprof_runtime::set_block_profile_rate(1);
    mutexes();
    mutexes_with_a_deadline();
    mutexes_unlocked_for_a_while();
    fair_and_reentrant_mutexes();
    readers_and_writers();
    readers_and_writers_with_a_deadline();
    upgrades();
    downgrades();
    locks_bumped();
    condition_variables();
    condition_variables_with_a_deadline();
    notified_together();
    things_done_once();
    names_and_holders();
    nothing_is_lost();
    contentions_are_of_those_let_in();
    the_last_reader_is_charged();
    who_comes_first_again_is_charged();
    who_holds_it_long_is_charged();
    who_gives_up_is_charged_to_the_next_unlock();
    holds();
}

fn reset() {
    pprof_runtime::lookup("block").unwrap().reset();
    pprof_runtime::lookup("mutex").unwrap().reset();
}

/// Returns once a thread has waited for `time`.
fn until_somebody_waits(time: Duration) {
    let long_enough = |(text, values): &(String, [i64; 2])| {
        text.ends_with("state=waiting") && values[1] >= time.as_nanos() as i64
    };
    // A snapshot takes longer than that.
    std::thread::sleep(time + Duration::from_millis(3));
    while !labels(&snapshot("block"), "").iter().any(long_enough) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// `waiter` waits, for `WAIT`, for what `release` does: one wait of `function`.
fn one_wait(function: &str, words: &[&str], waiter: impl FnOnce() + Send, release: impl FnOnce()) {
    reset();
    std::thread::scope(|scope| {
        scope.spawn(waiter);
        until_somebody_waits(WAIT);
        release();
    });
    assert_one_wait(function, WAIT, words);
}

/// As `one_wait`, on which nobody's unlocking has an influence.
fn one_timeout(function: &str, words: &[&str], waiter: impl FnOnce() + Send) {
    reset();
    std::thread::scope(|scope| scope.spawn(waiter).join().unwrap());
    assert_one_wait(function, WAIT, words);
}

// Mutexes

#[inline(never)]
fn locks(mutex: &Mutex<()>) {
    drop(mutex.lock());
}

#[inline(never)]
fn locks_by_arc(mutex: &Arc<Mutex<()>>) {
    drop(mutex.lock_arc());
}

#[inline(never)]
fn unlocks(guard: MutexGuard<'_, ()>) {
    drop(guard);
}

fn mutexes() {
    let mutex = Mutex::from_raw(RawMutex::named("a mutex"), ());
    let words = ["kind=mutex"];
    let guard = mutex.lock();
    one_wait("::locks", &words, || locks(&mutex), || unlocks(guard));
    let charged = labels(&snapshot("mutex"), "::unlocks");
    assert_eq!(charged.len(), 1, "{charged:?}");
    assert_eq!((charged[0].0.as_str(), charged[0].1[0]), ("kind=mutex lock=a mutex", 1));
    assert!(charged[0].1[1] > WAIT.as_nanos() as i64, "{charged:?}");
    let leaves = sum(&snapshot("mutex"), 0, |names| names[0].ends_with("::unlocks"));
    assert_eq!(leaves, 1, "{:?}", stacks(&snapshot("mutex")));

    let mutex = Arc::new(Mutex::new(()));
    let guard = mutex.lock_arc();
    one_wait("::locks_by_arc", &words, || locks_by_arc(&mutex), || drop(guard));
    // A part of it is unlocked like the whole.
    let mutex = Mutex::new(());
    let guard = MutexGuard::map(mutex.lock(), |whole| whole);
    one_wait("::locks", &words, || locks(&mutex), || drop(guard));
    let guard = mutex.lock();
    one_wait("::locks", &words, || locks(&mutex), || MutexGuard::unlock_fair(guard));
    assert!(delay(&snapshot("mutex"), "::mutexes") > WAIT.as_nanos() as i64);

    // What does not wait is not there.
    reset();
    let guard = mutex.lock();
    assert!(mutex.try_lock().is_none());
    drop(guard);
    (0..100).for_each(|_| drop(mutex.lock()));
    assert_eq!(snapshot("block").sample.len(), 0);
    assert_eq!(snapshot("mutex").sample.len(), 0);
}

#[inline(never)]
fn locks_for(mutex: &Mutex<()>, timeout: Duration) -> bool {
    mutex.try_lock_for(timeout).is_some()
}

#[inline(never)]
fn locks_until(mutex: &Mutex<()>, deadline: Instant) -> bool {
    mutex.try_lock_until(deadline).is_some()
}

fn mutexes_with_a_deadline() {
    let mutex = Mutex::new(());
    let words = ["kind=mutex"];
    let later = || Instant::now() + LONG;
    let guard = mutex.lock();
    one_wait("::locks_for", &words, || assert!(locks_for(&mutex, LONG)), || drop(guard));
    let guard = mutex.lock();
    // A deadline beyond what the clock can say is none.
    one_wait("::locks_for", &words, || assert!(locks_for(&mutex, Duration::MAX)), || drop(guard));
    let guard = mutex.lock();
    one_wait("::locks_until", &words, || assert!(locks_until(&mutex, later())), || drop(guard));

    let guard = mutex.lock();
    one_timeout("::locks_for", &words, || assert!(!locks_for(&mutex, WAIT)));
    // It is owed all the same.
    unlocks(guard);
    assert!(delay(&snapshot("mutex"), "::unlocks") >= WAIT.as_nanos() as i64);
    let _guard = mutex.lock();
    one_timeout("::locks_until", &words, || {
        assert!(!locks_until(&mutex, Instant::now() + WAIT));
    });

    // A deadline that has passed leaves nothing to wait for.
    reset();
    assert!(!locks_for(&mutex, Duration::ZERO) && !locks_until(&mutex, Instant::now()));
    assert!(stacks(&snapshot("block")).is_empty());
}

#[inline(never)]
fn relocks(guard: &mut MutexGuard<'_, ()>, meanwhile: impl FnOnce()) {
    MutexGuard::unlocked(guard, meanwhile);
}

fn mutexes_unlocked_for_a_while() {
    let mutex = Mutex::new(());
    let (taken, ready) = (AtomicBool::new(false), Barrier::new(2));
    reset();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut guard = mutex.lock();
            relocks(&mut guard, || {
                ready.wait();
                while !taken.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
            });
        });
        ready.wait();
        let guard = mutex.lock();
        taken.store(true, Ordering::Release);
        until_somebody_waits(WAIT);
        drop(guard);
    });
    let waits = labels(&snapshot("block"), "");
    assert_eq!(waits.iter().map(|(_, values)| values[0]).sum::<i64>(), 1, "{waits:?}");
    let at_leaf = sum(&snapshot("block"), 0, |names| names[0].contains("::relocks"));
    assert_eq!(at_leaf, 1, "{:?}", stacks(&snapshot("block")));
}

#[inline(never)]
fn locks_fairly(mutex: &FairMutex<()>) {
    drop(mutex.lock());
}

#[inline(never)]
fn locks_fairly_for(mutex: &FairMutex<()>, timeout: Duration) -> bool {
    mutex.try_lock_for(timeout).is_some()
}

#[inline(never)]
fn locks_twice(mutex: &ReentrantMutex<Cell<u32>>) {
    let outer = mutex.lock();
    let inner = mutex.lock();
    inner.set(outer.get() + 1);
}

#[inline(never)]
fn locks_twice_for(mutex: &ReentrantMutex<Cell<u32>>, timeout: Duration) -> bool {
    mutex.try_lock_for(timeout).is_some()
}

fn fair_and_reentrant_mutexes() {
    let words = ["kind=mutex"];
    let mutex = FairMutex::new(());
    let guard = mutex.lock();
    one_wait("::locks_fairly", &words, || locks_fairly(&mutex), || drop(guard));
    let _guard = mutex.lock();
    one_timeout("::locks_fairly_for", &words, || assert!(!locks_fairly_for(&mutex, WAIT)));

    let mutex = ReentrantMutex::new(Cell::new(0));
    let guard = mutex.lock();
    one_wait(
        "::locks_twice",
        &words,
        || locks_twice(&mutex),
        || {
            // Neither of these lets anybody in.
            drop(mutex.lock());
            assert!(mutex.try_lock().is_some());
            drop(guard);
        },
    );
    assert_eq!(contentions(&snapshot("mutex"), "::fair_and_reentrant_mutexes"), 1);
    assert_eq!(mutex.lock().get(), 1);
    let _guard = mutex.lock();
    one_timeout("::locks_twice_for", &words, || assert!(!locks_twice_for(&mutex, WAIT)));
}

// Readers and writers

#[inline(never)]
fn reads(lock: &RwLock<()>) {
    drop(lock.read());
}

#[inline(never)]
fn writes(lock: &RwLock<()>) {
    drop(lock.write());
}

#[inline(never)]
fn reads_upgradably(lock: &RwLock<()>) {
    drop(lock.upgradable_read());
}

#[inline(never)]
fn writes_recursively(lock: &RecursiveRwLock<()>) {
    drop(lock.write());
}

fn readers_and_writers() {
    let lock = RwLock::new(());
    let guard = lock.write();
    one_wait("::reads", &["kind=rwlock-read"], || reads(&lock), || drop(guard));
    let guard = lock.write();
    one_wait("::writes", &["kind=rwlock-write"], || writes(&lock), || drop(guard));
    let guard = lock.read();
    one_wait("::writes", &["kind=rwlock-write"], || writes(&lock), || drop(guard));
    let guard = RwLockReadGuard::map(lock.read(), |whole| whole);
    one_wait("::writes", &["kind=rwlock-write"], || writes(&lock), || drop(guard));
    let guard = lock.read();
    one_wait(
        "::writes",
        &["kind=rwlock-write"],
        || writes(&lock),
        || RwLockReadGuard::unlock_fair(guard),
    );
    let guard = lock.write();
    one_wait(
        "::reads",
        &["kind=rwlock-read"],
        || reads(&lock),
        || RwLockWriteGuard::unlock_fair(guard),
    );
    let words = ["kind=rwlock-upgradable"];
    let guard = lock.write();
    one_wait("::reads_upgradably", &words, || reads_upgradably(&lock), || drop(guard));
    let guard = lock.upgradable_read();
    one_wait("::reads_upgradably", &words, || reads_upgradably(&lock), || drop(guard));
    let guard = lock.upgradable_read();
    one_wait(
        "::reads_upgradably",
        &words,
        || reads_upgradably(&lock),
        || RwLockUpgradableReadGuard::unlock_fair(guard),
    );
    assert!(delay(&snapshot("mutex"), "::readers_and_writers") > WAIT.as_nanos() as i64);
    let lock = Arc::new(lock);
    let guard = lock.read_arc();
    one_wait("::writes", &["kind=rwlock-write"], || writes(&lock), || drop(guard));
    let guard = lock.write_arc();
    one_wait("::reads", &["kind=rwlock-read"], || reads(&lock), || drop(guard));

    let lock = RecursiveRwLock::new(());
    let first = lock.read();
    one_wait(
        "::writes_recursively",
        &["kind=rwlock-write"],
        || writes_recursively(&lock),
        || {
            // The writer that waits is no obstacle, and is not let in by this.
            let mut second = lock.read();
            RecursiveRwLockReadGuard::bump(&mut second);
            drop((second, first));
        },
    );
}

#[inline(never)]
fn reads_for(lock: &RwLock<()>, timeout: Duration) -> bool {
    lock.try_read_for(timeout).is_some()
}

#[inline(never)]
fn reads_until(lock: &RwLock<()>, deadline: Instant) -> bool {
    lock.try_read_until(deadline).is_some()
}

#[inline(never)]
fn writes_for(lock: &RwLock<()>, timeout: Duration) -> bool {
    lock.try_write_for(timeout).is_some()
}

#[inline(never)]
fn writes_until(lock: &RwLock<()>, deadline: Instant) -> bool {
    lock.try_write_until(deadline).is_some()
}

#[inline(never)]
fn reads_upgradably_for(lock: &RwLock<()>, timeout: Duration) -> bool {
    lock.try_upgradable_read_for(timeout).is_some()
}

#[inline(never)]
fn reads_upgradably_until(lock: &RwLock<()>, deadline: Instant) -> bool {
    lock.try_upgradable_read_until(deadline).is_some()
}

fn readers_and_writers_with_a_deadline() {
    let lock = RwLock::new(());
    let soon = || Instant::now() + WAIT;
    let later = || Instant::now() + LONG;
    let (read, write, upgradable) =
        (["kind=rwlock-read"], ["kind=rwlock-write"], ["kind=rwlock-upgradable"]);

    let guard = lock.write();
    one_wait("::reads_for", &read, || assert!(reads_for(&lock, LONG)), || drop(guard));
    let guard = lock.write();
    one_wait("::reads_until", &read, || assert!(reads_until(&lock, later())), || drop(guard));
    let guard = lock.read();
    one_wait("::writes_for", &write, || assert!(writes_for(&lock, LONG)), || drop(guard));
    let guard = lock.read();
    one_wait("::writes_until", &write, || assert!(writes_until(&lock, later())), || drop(guard));
    let guard = lock.write();
    one_wait(
        "::reads_upgradably_for",
        &upgradable,
        || assert!(reads_upgradably_for(&lock, LONG)),
        || drop(guard),
    );
    let guard = lock.write();
    one_wait(
        "::reads_upgradably_until",
        &upgradable,
        || assert!(reads_upgradably_until(&lock, later())),
        || drop(guard),
    );

    let guard = lock.write();
    one_timeout("::reads_for", &read, || assert!(!reads_for(&lock, WAIT)));
    one_timeout("::reads_until", &read, || assert!(!reads_until(&lock, soon())));
    one_timeout("::writes_for", &write, || assert!(!writes_for(&lock, WAIT)));
    one_timeout("::writes_until", &write, || assert!(!writes_until(&lock, soon())));
    one_timeout("::reads_upgradably_for", &upgradable, || {
        assert!(!reads_upgradably_for(&lock, WAIT));
    });
    one_timeout("::reads_upgradably_until", &upgradable, || {
        assert!(!reads_upgradably_until(&lock, soon()));
    });
    drop(guard);
    assert!(delay(&snapshot("mutex"), "::readers_and_writers_with_a_deadline") > 0);
}

#[inline(never)]
fn upgrades_one(lock: &RwLock<()>) {
    let guard = lock.upgradable_read();
    drop(RwLockUpgradableReadGuard::upgrade(guard));
}

#[inline(never)]
fn upgrades_for(lock: &RwLock<()>, timeout: Duration) -> bool {
    RwLockUpgradableReadGuard::try_upgrade_for(lock.upgradable_read(), timeout).is_ok()
}

#[inline(never)]
fn upgrades_until(lock: &RwLock<()>, deadline: Instant) -> bool {
    RwLockUpgradableReadGuard::try_upgrade_until(lock.upgradable_read(), deadline).is_ok()
}

fn upgrades() {
    let lock = RwLock::new(());
    let words = ["kind=rwlock-write"];
    let guard = lock.read();
    one_wait("::upgrades_one", &words, || upgrades_one(&lock), || drop(guard));
    assert!(delay(&snapshot("mutex"), "::upgrades") > WAIT.as_nanos() as i64);
    let guard = lock.read();
    one_wait("::upgrades_for", &words, || assert!(upgrades_for(&lock, LONG)), || drop(guard));
    let guard = lock.read();
    one_wait(
        "::upgrades_until",
        &words,
        || assert!(upgrades_until(&lock, Instant::now() + LONG)),
        || drop(guard),
    );
    let guard = lock.read();
    one_timeout("::upgrades_for", &words, || assert!(!upgrades_for(&lock, WAIT)));
    one_timeout("::upgrades_until", &words, || {
        assert!(!upgrades_until(&lock, Instant::now() + WAIT));
    });
    let upgradable = lock.upgradable_read();
    let Err(upgradable) = RwLockUpgradableReadGuard::try_upgrade(upgradable) else {
        panic!("upgraded beside a reader")
    };
    drop(guard);
    // One that holds on to what it may upgrade lets nobody else do so.
    let words = ["kind=rwlock-upgradable"];
    one_wait("::upgrades_one", &words, || upgrades_one(&lock), || drop(upgradable));
    let Ok(guard) = RwLockUpgradableReadGuard::try_upgrade(lock.upgradable_read()) else {
        panic!("not upgraded though alone")
    };
    one_wait("::reads", &["kind=rwlock-read"], || reads(&lock), || drop(guard));
}

fn downgrades() {
    let lock = RwLock::new(());
    let guard = lock.write();
    let mut kept = None;
    one_wait(
        "::reads",
        &["kind=rwlock-read"],
        || reads(&lock),
        || kept = Some(RwLockWriteGuard::downgrade(guard)),
    );
    assert!(delay(&snapshot("mutex"), "::downgrades") > WAIT.as_nanos() as i64);
    assert!(lock.try_read().is_some() && lock.try_write().is_none());
    drop(kept);
    let guard = lock.write();
    let mut kept = None;
    one_wait(
        "::reads",
        &["kind=rwlock-read"],
        || reads(&lock),
        || kept = Some(RwLockWriteGuard::downgrade_to_upgradable(guard)),
    );
    let guard = kept.unwrap();
    let mut kept = None;
    one_wait(
        "::reads_upgradably",
        &["kind=rwlock-upgradable"],
        || reads_upgradably(&lock),
        || kept = Some(RwLockUpgradableReadGuard::downgrade(guard)),
    );
    assert!(delay(&snapshot("mutex"), "::downgrades") > WAIT.as_nanos() as i64);
}

// Bumped locks: given to whoever waits, and waited for.

#[inline(never)]
fn bumps_mutex(guard: &mut MutexGuard<'_, Duration>) {
    MutexGuard::bump(guard);
}

#[inline(never)]
fn bumps_reentrant(guard: &mut ReentrantMutexGuard<'_, Duration>) {
    ReentrantMutexGuard::bump(guard);
}

#[inline(never)]
fn bumps_read(guard: &mut RwLockReadGuard<'_, Duration>) {
    RwLockReadGuard::bump(guard);
}

#[inline(never)]
fn bumps_write(guard: &mut RwLockWriteGuard<'_, Duration>) {
    RwLockWriteGuard::bump(guard);
}

#[inline(never)]
fn bumps_upgradable(guard: &mut RwLockUpgradableReadGuard<'_, Duration>) {
    RwLockUpgradableReadGuard::bump(guard);
}

fn locks_bumped() {
    let mutex = Mutex::new(WAIT);
    let mut guard = mutex.lock();
    bump("::bumps_mutex", || std::thread::sleep(*mutex.lock()), || bumps_mutex(&mut guard));
    let mutex = ReentrantMutex::new(WAIT);
    let mut guard = mutex.lock();
    bump("::bumps_reentrant", || std::thread::sleep(*mutex.lock()), || bumps_reentrant(&mut guard));
    let lock = RwLock::new(WAIT);
    let mut guard = lock.read();
    bump("::bumps_read", || std::thread::sleep(*lock.write()), || bumps_read(&mut guard));
    drop(guard);
    let mut guard = lock.write();
    bump("::bumps_write", || std::thread::sleep(*lock.write()), || bumps_write(&mut guard));
    drop(guard);
    let mut guard = lock.upgradable_read();
    bump(
        "::bumps_upgradable",
        || std::thread::sleep(*lock.upgradable_read()),
        || bumps_upgradable(&mut guard),
    );
}

/// Both wait: `other` for the holder, and the holder in `bump` for `other`, which keeps the lock for `WAIT`.
fn bump(function: &str, other: impl FnOnce() + Send, mut bump: impl FnMut()) {
    reset();
    std::thread::scope(|scope| {
        scope.spawn(other);
        until_somebody_waits(Duration::ZERO);
        // A thread that is about to sleep is handed nothing, and finds the lock held again: then there was nothing to wait for.
        let give_up = Instant::now() + Duration::from_secs(60);
        while delay(&snapshot("block"), function) < WAIT.as_nanos() as i64 {
            assert!(Instant::now() < give_up, "{:?}", stacks(&snapshot("block")));
            bump();
        }
    });
    let profile = snapshot("block");
    assert!(contentions(&profile, function) >= 1, "{function}: {:?}", stacks(&profile));
    let at_leaf = sum(&profile, 1, |names| names[0].ends_with(function));
    assert_eq!(at_leaf, delay(&profile, function), "{:?}", stacks(&profile));
    // `other` was let in by the bump, and the holder by `other`.
    let profile = snapshot("mutex");
    let by_bump = delay(&profile, function);
    let by_other = sum(&profile, 1, |_| true) - by_bump;
    assert!(by_bump > 0 && by_other > WAIT.as_nanos() as i64 * 9 / 10, "{:?}", stacks(&profile));
}

// Condition variables

#[inline(never)]
fn waits(pair: &(Mutex<bool>, Condvar)) {
    let mut guard = pair.0.lock();
    pair.1.wait(&mut guard);
}

#[inline(never)]
fn waits_while(pair: &(Mutex<bool>, Condvar)) {
    pair.1.wait_while(&mut pair.0.lock(), |ready| !*ready);
}

#[inline(never)]
fn waits_for(pair: &(Mutex<bool>, Condvar), timeout: Duration) -> bool {
    !pair.1.wait_for(&mut pair.0.lock(), timeout).timed_out()
}

#[inline(never)]
fn waits_until(pair: &(Mutex<bool>, Condvar), deadline: Instant) -> bool {
    !pair.1.wait_until(&mut pair.0.lock(), deadline).timed_out()
}

#[inline(never)]
fn waits_while_for(pair: &(Mutex<bool>, Condvar), timeout: Duration) -> bool {
    !pair.1.wait_while_for(&mut pair.0.lock(), |ready| !*ready, timeout).timed_out()
}

#[inline(never)]
fn waits_while_until(pair: &(Mutex<bool>, Condvar), deadline: Instant) -> bool {
    !pair.1.wait_while_until(&mut pair.0.lock(), |ready| !*ready, deadline).timed_out()
}

fn condition_variables() {
    let pair = (Mutex::new(false), Condvar::named("a condition"));
    let words = ["kind=condvar"];
    one_wait("::waits", &words, || waits(&pair), || assert!(pair.1.notify_one()));
    one_wait("::waits", &words, || waits(&pair), || assert_eq!(pair.1.notify_all(), 1));
    assert_eq!(snapshot("mutex").sample.len(), 0, "nobody kept it from the mutex");
    let set = |value| *pair.0.lock() = value;
    let notify = || {
        set(true);
        pair.1.notify_one();
    };
    one_wait("::waits_while", &words, || waits_while(&pair), notify);
    set(false);
    // The mutex is waited for as well, in the same wait.
    let guard = Cell::new(None);
    one_wait(
        "::waits",
        &words,
        || waits(&pair),
        || {
            guard.set(Some(pair.0.lock()));
            pair.1.notify_one();
            std::thread::sleep(WAIT);
            guard.set(None);
        },
    );

    // Meanwhile the mutex is free, and is not shown as held by whoever waits.
    reset();
    std::thread::scope(|scope| {
        scope.spawn(|| waits(&pair));
        until_somebody_waits(Duration::ZERO);
        let guard = pair.0.lock();
        let waiting = labels(&snapshot("block"), "::waits");
        let [(text, [1, _])] = &waiting[..] else { panic!("{waiting:?}") };
        assert_eq!(text, "kind=condvar lock=a condition state=waiting");
        pair.1.notify_one();
        drop(guard);
    });

    // A panic of the original leaves everything as it was.
    let other = Mutex::new(false);
    one_wait(
        "::waits",
        &words,
        || waits(&pair),
        || {
            let two = || pair.1.wait(&mut other.lock());
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(two)).is_err());
            assert!(other.try_lock().is_some());
            pair.1.notify_one();
        },
    );
}

fn condition_variables_with_a_deadline() {
    let pair = (Mutex::new(false), Condvar::new());
    let words = ["kind=condvar"];
    let (soon, later) = (|| Instant::now() + WAIT, || Instant::now() + LONG);
    let notify = || {
        *pair.0.lock() = true;
        assert!(pair.1.notify_one());
    };
    one_wait("::waits_for", &words, || assert!(waits_for(&pair, LONG)), notify);
    one_wait("::waits_until", &words, || assert!(waits_until(&pair, later())), notify);
    *pair.0.lock() = false;
    one_wait("::waits_while_for", &words, || assert!(waits_while_for(&pair, LONG)), notify);
    *pair.0.lock() = false;
    one_wait("::waits_while_until", &words, || assert!(waits_while_until(&pair, later())), notify);
    *pair.0.lock() = false;
    one_timeout("::waits_for", &words, || assert!(!waits_for(&pair, WAIT)));
    one_timeout("::waits_until", &words, || assert!(!waits_until(&pair, soon())));
    one_timeout("::waits_while_for", &words, || assert!(!waits_while_for(&pair, WAIT)));
    one_timeout("::waits_while_until", &words, || {
        assert!(!waits_while_until(&pair, soon()));
    });
}

/// `notify_all` makes those who wait wait for the mutex: none of it is lost, nor counted for both.
fn notified_together() {
    let rounds: Vec<_> = (0..ROUNDS).map_while(|_| notify_together().err()).collect();
    assert!(rounds.len() < ROUNDS, "{rounds:#?}");
}

#[inline(never)]
fn waits_in_company(pair: &(Mutex<usize>, Condvar), waited: &AtomicU64) {
    let mut guard = pair.0.lock();
    *guard += 1;
    let began = Instant::now();
    pair.1.wait(&mut guard);
    waited.fetch_add(began.elapsed().as_nanos() as u64, Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(3));
}

fn notify_together() -> Result<(), String> {
    const WAITERS: usize = 5;
    let (pair, waited) = ((Mutex::new(0), Condvar::new()), AtomicU64::new(0));
    reset();
    std::thread::scope(|scope| {
        for _ in 0..WAITERS {
            scope.spawn(|| waits_in_company(&pair, &waited));
        }
        while *pair.0.lock() < WAITERS {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(WAIT);
        let guard = pair.0.lock();
        assert_eq!(pair.1.notify_all(), WAITERS);
        std::thread::sleep(Duration::from_millis(3));
        drop(guard);
    });
    // Without those of threads that came when another looked, which are waits for a mutex.
    let of_condvar: Vec<_> = labels(&snapshot("block"), "::waits_in_company")
        .into_iter()
        .filter(|(text, _)| text.contains("kind=condvar"))
        .collect();
    let count: i64 = of_condvar.iter().map(|(_, values)| values[0]).sum();
    let blocked: i64 = of_condvar.iter().map(|(_, values)| values[1]).sum();
    if count != WAITERS as i64 {
        return Err(format!("{count} waits of {WAITERS}"));
    }
    near("block", blocked, waited.load(Ordering::Relaxed))
}

// Once

#[inline(never)]
fn calls_once(once: &Once) {
    once.call_once(|| unreachable!("done by the other"));
}

#[inline(never)]
fn calls_once_force(once: &Once) {
    once.call_once_force(|_| unreachable!("done by the other"));
}

#[inline(never)]
fn waits_for_it(once: &Once) {
    once.wait();
}

#[inline(never)]
fn waits_for_it_forcibly(once: &Once) {
    once.wait_force();
}

#[inline(never)]
fn does_it(once: &Once, begun: &AtomicBool) {
    once.call_once(|| {
        begun.store(true, Ordering::Release);
        until_somebody_waits(WAIT);
    });
}

fn things_done_once() {
    fn run(function: &str, waiter: fn(&Once)) {
        let (once, begun) = (Once::named("the start"), AtomicBool::new(false));
        reset();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !begun.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
                // What the doer recorded of its own beginning is no wait.
                waiter(&once);
            });
            does_it(&once, &begun);
        });
        assert_eq!(contentions(&snapshot("block"), "::does_it"), 0);
        assert_one_wait(function, WAIT, &["kind=once"]);
        let charged = labels(&snapshot("mutex"), "::does_it");
        assert_eq!(charged.len(), 1, "{charged:?}");
        assert_eq!((charged[0].0.as_str(), charged[0].1[0]), ("kind=once lock=the start", 1));
        let at_leaf = sum(&snapshot("mutex"), 0, |names| names[0].ends_with("::does_it"));
        assert_eq!(at_leaf, 1, "{:?}", stacks(&snapshot("mutex")));
        assert_eq!(once.state(), OnceState::Done);
    }
    run("::calls_once", calls_once);
    run("::calls_once_force", calls_once_force);
    run("::waits_for_it", waits_for_it);
    run("::waits_for_it_forcibly", waits_for_it_forcibly);

    // One that waits for something that nobody does yet, and that fails at first.
    let once = Once::new();
    one_wait(
        "::waits_for_it_forcibly",
        &["kind=once"],
        || waits_for_it_forcibly(&once),
        || {
            let fails = || once.call_once(|| panic!("on purpose"));
            assert!(std::panic::catch_unwind(fails).is_err());
            assert_eq!(once.state(), OnceState::Poisoned);
            std::thread::sleep(WAIT);
            once.call_once_force(|state| assert!(state.is_poisoned()));
        },
    );
    assert!(delay(&snapshot("mutex"), "::things_done_once") > WAIT.as_nanos() as i64);
}

// What is shown

fn names_and_holders() {
    static NAMED: Mutex<()> = Mutex::from_raw(RawMutex::named("the cache"), ());
    static REENTRANT: ReentrantMutex<()> = ReentrantMutex::new(());
    let here = format!("{}:{}", file!(), line!() + 1);
    static HERE: RwLock<()> = RwLock::from_raw(RawRwLock::here(), ());
    static UNNAMED: RwLock<()> = RwLock::new(());

    // On a thread whose name is known.
    let run = move || {
        let at = |line: u32| format!("{}:{line}", file!());
        let show = |waiter: fn(), release: &mut dyn FnMut()| {
            reset();
            std::thread::scope(|scope| {
                scope.spawn(waiter);
                until_somebody_waits(Duration::ZERO);
                release();
            });
            labels(&snapshot("block"), "").remove(0).0
        };
        let (guard, line) = (NAMED.lock(), line!());
        let mut guard = Some(guard);
        let text = show(|| locks(&NAMED), &mut || guard = None);
        let holder = format!("holder=a holder at {}", at(line));
        assert!(text.starts_with(&format!("kind=mutex lock=the cache {holder}")), "{text}");

        let (guard, line) = (HERE.write(), line!());
        let mut guard = Some(guard);
        let text = show(|| reads(&HERE), &mut || guard = None);
        let expected = format!("kind=rwlock-read lock={here} holder=a holder at {}", at(line));
        assert!(text.starts_with(&expected), "{text}");

        let first = line!() + 1;
        drop(UNNAMED.read());
        let (guard, line) = (UNNAMED.read(), line!());
        let mut guard = Some(guard);
        let text = show(|| writes(&UNNAMED), &mut || guard = None);
        let expected = format!(
            "kind=rwlock-write lock=first locked at {} holder=a holder at {}",
            at(first),
            at(line)
        );
        assert!(text.starts_with(&expected), "{text}");

        let mut guard = Some(REENTRANT.lock());
        let text = show(|| drop(REENTRANT.lock()), &mut || guard = None);
        assert!(text.starts_with("kind=mutex holder=a holder phase="), "{text}");
    };
    std::thread::Builder::new().name("a holder".into()).spawn(run).unwrap().join().unwrap();
    let named: ReentrantMutex<u32> =
        ReentrantMutex::from_raw(RawMutex::named("again"), RawThreadId, 5);
    assert_eq!(*named.lock(), 5);
}

// Conservation

/// The machine may stop a thread between its clock and ours, which spoils a round, but not every round.
const ROUNDS: usize = 10;

/// A lock of some kind: a way to hold it, and a way to wait for it.
trait Contended: Sync {
    /// Runs `inside` with the lock held as by whom others wait for.
    fn hold(&self, inside: &mut dyn FnMut());
    /// Runs `inside` with the lock held as by who waits.
    fn wait(&self, inside: &mut dyn FnMut());
}

macro_rules! contended {
    ($name:ident($lock:ty), $hold:ident, $wait:ident, $release:path) => {
        struct $name($lock);

        impl Contended for $name {
            fn hold(&self, inside: &mut dyn FnMut()) {
                let guard = self.0.$hold();
                inside();
                $release(guard);
            }

            fn wait(&self, inside: &mut dyn FnMut()) {
                let guard = self.0.$wait();
                inside();
                drop(guard);
            }
        }
    };
}

contended!(Plain(Mutex<()>), lock, lock, drop);
contended!(HandedOver(Mutex<()>), lock, lock, MutexGuard::unlock_fair);
contended!(Fair(FairMutex<()>), lock, lock, drop);
contended!(Reentrant(ReentrantMutex<()>), lock, lock, drop);
contended!(ReadersOfWriter(RwLock<()>), write, read, drop);
contended!(WritersOfWriter(RwLock<()>), write, write, drop);
contended!(WritersOfReader(RwLock<()>), read, write, drop);
contended!(WritersHandedOver(RwLock<()>), write, write, RwLockWriteGuard::unlock_fair);
contended!(UpgradablesOfUpgradable(RwLock<()>), upgradable_read, upgradable_read, drop);
contended!(Recursive(RecursiveRwLock<()>), write, read, drop);

#[inline(never)]
fn holder(lock: &dyn Contended, ready: &Barrier) {
    lock.hold(&mut || {
        ready.wait();
        std::thread::sleep(Duration::from_millis(20));
    });
}

#[inline(never)]
fn waiter(lock: &dyn Contended, ready: &Barrier, truth: &Truth) {
    ready.wait();
    let began = truth.now();
    lock.wait(&mut || truth.got(began));
}

fn near(what: &str, value: i64, truth: u64) -> Result<(), String> {
    let right = (value as f64 / truth as f64 - 1.0).abs() < 0.05;
    if right { Ok(()) } else { Err(format!("{what}: {value} ns, in truth {truth}")) }
}

fn nothing_is_lost() {
    type Make = fn() -> Box<dyn Contended>;
    let locks: [(&str, Make); 10] = [
        ("mutex", || Box::new(Plain(Mutex::new(())))),
        ("mutex, handed over", || Box::new(HandedOver(Mutex::new(())))),
        ("fair mutex", || Box::new(Fair(FairMutex::new(())))),
        ("reentrant mutex", || Box::new(Reentrant(ReentrantMutex::new(())))),
        ("readers of writer", || Box::new(ReadersOfWriter(RwLock::new(())))),
        ("writers of writer", || Box::new(WritersOfWriter(RwLock::new(())))),
        ("writers of reader", || Box::new(WritersOfReader(RwLock::new(())))),
        ("writers, handed over", || Box::new(WritersHandedOver(RwLock::new(())))),
        ("upgradables", || Box::new(UpgradablesOfUpgradable(RwLock::new(())))),
        ("recursive", || Box::new(Recursive(RecursiveRwLock::new(())))),
    ];
    for (name, make) in locks {
        for waiters in 1..=8 {
            let rounds: Vec<_> =
                (0..ROUNDS).map_while(|_| hold_20_ms(&*make(), waiters).err()).collect();
            assert!(rounds.len() < ROUNDS, "{name}, {waiters} waiters: {rounds:#?}");
        }
    }
}

fn hold_20_ms(lock: &dyn Contended, waiters: usize) -> Result<(), String> {
    let (ready, truth) = (Barrier::new(waiters + 1), Truth::default());
    reset();
    std::thread::scope(|scope| {
        scope.spawn(|| holder(lock, &ready));
        for _ in 0..waiters {
            scope.spawn(|| waiter(lock, &ready, &truth));
        }
    });
    let (mutex, block) = (snapshot("mutex"), snapshot("block"));
    near("mutex, on the holder", delay(&mutex, "::holder"), truth.by_holder())?;
    near("mutex", delay(&mutex, "::holder") + delay(&mutex, "::waiter"), truth.waited())?;
    near("block", delay(&block, "::waiter"), truth.waited())?;
    let waits = contentions(&block, "::waiter");
    if waits == waiters as i64 { Ok(()) } else { Err(format!("{waits} waits of {waiters}")) }
}

/// Those who are awake take a lock from under those who have just been woken, again and again: each unlock has waiters in view.
fn contentions_are_of_those_let_in() {
    reset();
    let (mutex, ready) = (Mutex::new(()), Barrier::new(4));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                ready.wait();
                for i in 0..10_000 {
                    let mut guard = mutex.lock();
                    (0..200).for_each(|_| std::hint::spin_loop());
                    if i % 3 == 0 {
                        MutexGuard::bump(&mut guard);
                    }
                }
            });
        }
    });
    let [mutex, block] = ["mutex", "block"].map(snapshot);
    let [counted, waits] = [&mutex, &block].map(|profile| sum(profile, 0, |_| true));
    // A stack with less than one is shown with one.
    let slack = stacks(&mutex).len() as i64;
    assert!(waits > 0 && counted <= waits + slack, "{counted} contentions of {waits} waits");
    println!("{counted} contentions of {waits} waits");
}

#[inline(never)]
fn early_reader(lock: &RwLock<()>, readers: &Barrier, left: &AtomicUsize) {
    let guard = lock.read();
    readers.wait();
    std::thread::sleep(Duration::from_millis(10));
    drop(guard);
    left.fetch_sub(1, Ordering::Release);
}

#[inline(never)]
fn last_reader(lock: &RwLock<()>, readers: &Barrier, left: &AtomicUsize) {
    let guard = lock.read();
    readers.wait();
    while left.load(Ordering::Acquire) > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(5));
    drop(guard);
}

#[inline(never)]
fn writer(lock: &RwLock<()>, readers: &Barrier) -> u64 {
    readers.wait();
    let began = Instant::now();
    let guard = lock.write();
    let waited = began.elapsed().as_nanos() as u64;
    drop(guard);
    waited
}

fn the_last_reader_is_charged() {
    for early in 0..=7 {
        let round = || {
            let (lock, left) = (RwLock::new(()), AtomicUsize::new(early));
            let readers = Barrier::new(early + 2);
            reset();
            let waited = std::thread::scope(|scope| {
                for _ in 0..early {
                    scope.spawn(|| early_reader(&lock, &readers, &left));
                }
                scope.spawn(|| last_reader(&lock, &readers, &left));
                scope.spawn(|| writer(&lock, &readers)).join().unwrap()
            });
            let (mutex, block) = (snapshot("mutex"), snapshot("block"));
            near("mutex", delay(&mutex, "::last_reader"), waited)?;
            near("block", delay(&block, "::writer"), waited)?;
            let of_last = contentions(&mutex, "::last_reader");
            let of_early = delay(&mutex, "::early_reader");
            // A sampled unlock that nobody was let in by counts for nothing.
            if (of_last, of_early) == (1, 0) {
                Ok(())
            } else {
                Err(format!("{of_last} by the last, {of_early} ns by others"))
            }
        };
        let rounds: Vec<_> = (0..ROUNDS).map_while(|_| round().err()).collect();
        assert!(rounds.len() < ROUNDS, "{early} others: {rounds:#?}");
    }
}

/// Locks again before the waiter, which has been let in, is awake.
#[inline(never)]
fn barger(mutex: &Mutex<bool>) {
    for _ in 0..10 {
        let done = mutex.lock();
        if *done {
            break;
        }
        std::thread::sleep(Duration::from_millis(3));
        drop(done);
    }
}

#[inline(never)]
fn victim(mutex: &Mutex<bool>) -> u64 {
    let began = Instant::now();
    let mut done = mutex.lock();
    *done = true;
    began.elapsed().as_nanos() as u64
}

fn who_comes_first_again_is_charged() {
    let round = || {
        let mutex = Mutex::new(false);
        reset();
        let waited = std::thread::scope(|scope| {
            let guard = mutex.lock();
            let victim = scope.spawn(|| victim(&mutex));
            until_somebody_waits(Duration::ZERO);
            drop(guard);
            barger(&mutex);
            victim.join().unwrap()
        });
        let (mutex, block) = (snapshot("mutex"), snapshot("block"));
        // The guard was dropped by this function, which calls the other.
        near("mutex", delay(&mutex, "::who_comes_first_again_is_charged"), waited)?;
        near("block", delay(&block, "::victim"), waited)?;
        let (longest, by_barger) = (Duration::from_millis(3), delay(&mutex, "::barger"));
        if by_barger < longest.as_nanos() as i64 {
            return Err(format!("{by_barger} ns by who came first again"));
        }
        Ok(())
    };
    let rounds: Vec<_> = (0..ROUNDS).map_while(|_| round().err()).collect();
    assert!(rounds.len() < ROUNDS, "{rounds:#?}");
}

/// As programs have it: all lock in one place, and so are told apart by where they unlock alone.
#[inline(never)]
fn locked(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock()
}

#[inline(never)]
fn holds_it_shortly(mutex: &Mutex<()>) {
    let guard = locked(mutex);
    let began = Instant::now();
    while began.elapsed() < Duration::from_micros(30) {}
    drop(guard);
}

#[inline(never)]
fn holds_it_long(mutex: &Mutex<()>) {
    let guard = locked(mutex);
    std::thread::sleep(WAIT);
    drop(guard);
}

/// The waiter is woken by a short hold, too late, and goes on waiting because of a long one.
fn who_holds_it_long_is_charged() {
    reset();
    for _ in 0..20 {
        let (mutex, go) = (Mutex::new(()), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !go.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
                drop(mutex.lock());
            });
            std::thread::sleep(Duration::from_millis(3));
            go.store(true, Ordering::Relaxed);
            (0..6).for_each(|_| holds_it_shortly(&mutex));
            holds_it_long(&mutex);
        });
    }
    let profile = snapshot("mutex");
    let [shortly, long] = ["::holds_it_shortly", "::holds_it_long"].map(|f| delay(&profile, f));
    assert!(long > WAIT.as_nanos() as i64 && shortly < long / 10, "{shortly} ns, {long} ns");
}

#[inline(never)]
fn keeps_a_writer_out(lock: &RwLock<()>) {
    let guard = lock.read();
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(lock.try_write_for(WAIT).is_none()));
    });
    drop(guard);
    std::hint::black_box(());
}

fn who_gives_up_is_charged_to_the_next_unlock() {
    reset();
    let lock = RwLock::new(());
    keeps_a_writer_out(&lock);
    let [mutex, block] = ["mutex", "block"].map(snapshot);
    let blocked = sum(&block, 1, |names| names.iter().any(|n| n.contains("keeps_a_writer_out")));
    assert_eq!(delay(&mutex, "::keeps_a_writer_out") / 1_000, blocked / 1_000, "{mutex:?}");
    assert!(blocked > WAIT.as_nanos() as i64 * 9 / 10, "{blocked}");
}

// Holds

#[inline(never)]
fn holds_mutex(mutex: &Mutex<()>) {
    let _guard = mutex.lock();
    std::thread::sleep(WAIT);
}

#[inline(never)]
fn holds_read(lock: &RwLock<()>) {
    let _guard = lock.read();
    std::thread::sleep(WAIT);
}

#[inline(never)]
fn holds_write(lock: &RwLock<()>) {
    let _guard = lock.write();
    std::thread::sleep(WAIT);
}

#[inline(never)]
fn holds_upgraded(lock: &RwLock<()>) {
    let guard = lock.upgradable_read();
    std::thread::sleep(WAIT);
    let _guard = RwLockUpgradableReadGuard::upgrade(guard);
}

#[inline(never)]
fn holds_until_it_waits(pair: &(Mutex<()>, Condvar)) {
    let mut guard = pair.0.lock();
    std::thread::sleep(WAIT);
    pair.1.wait_for(&mut guard, 10 * WAIT);
}

fn holds() {
    let (mutex, lock) = (Mutex::new(()), RwLock::new(()));
    pprof_runtime::set_hold_profile_rate(1);
    holds_mutex(&mutex);
    holds_read(&lock);
    holds_write(&lock);
    holds_upgraded(&lock);
    let began = Instant::now();
    holds_until_it_waits(&(Mutex::new(()), Condvar::new()));
    let whole = began.elapsed();
    pprof_runtime::set_hold_profile_rate(0);
    let seen = |function, kind: &str| {
        let kind = format!("kind={kind} ");
        labels(&snapshot("hold"), function)
            .into_iter()
            .filter(|(text, _)| text.starts_with(&kind))
            .fold((0, Duration::ZERO), |(count, held), (_, values)| {
                (count + values[0], held + Duration::from_nanos(values[1] as u64))
            })
    };
    for (function, kind) in [
        ("::holds_mutex", "mutex"),
        ("::holds_read", "rwlock-read"),
        ("::holds_write", "rwlock-write"),
        ("::holds_upgraded", "rwlock-upgradable"),
    ] {
        let (count, held) = seen(function, kind);
        assert!(count == 1 && held >= WAIT, "{function}: {count} {held:?}");
    }
    assert_eq!(seen("::holds_upgraded", "rwlock-write").0, 1);
    // Before and after the wait, which is no hold.
    let (count, held) = seen("::holds_until_it_waits", "mutex");
    assert_eq!(count, 2);
    assert!(held >= WAIT && held <= whole - 10 * WAIT, "{held:?} of {whole:?}");
    // What the aliases are of.
    let _: fn(&lock_api::Mutex<RawMutex, ()>) = holds_mutex;
}
