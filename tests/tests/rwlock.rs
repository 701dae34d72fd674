//! `RwLock`: what waits cost, and who is charged, is exact at rate 1. One process, as rates are the process's.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use pprof_runtime::sync::{RwLock, RwLockWriteGuard};
use pprof_tests::waits::{Truth, assert_one_wait, contentions, delay, labels, snapshot};
use pprof_tests::{stacks, sum};

const TIME: Duration = Duration::from_millis(30);

#[test]
fn everything_about_waits() {
    pprof_runtime::set_mutex_profile_fraction(1);
    pprof_runtime::set_block_profile_rate(1);
    // The first look at a profile reads the program's debug information, which takes longer than a wait.
    let _ = readers_behind_a_writer(1);
    begin();
    one_wait_is_one_sample();
    waits_in_progress_are_shown();
    for waiters in 1..=8 {
        until_right(&format!("{waiters} readers behind a writer"), || {
            readers_behind_a_writer(waiters)
        });
        until_right(&format!("{waiters} writers behind a writer"), || {
            writers_behind_a_writer(waiters)
        });
        until_right(&format!("a writer behind {waiters} readers"), || {
            a_writer_behind_readers(waiters)
        });
        until_right(&format!("{waiters} readers let in by a downgrade"), || {
            readers_behind_a_downgrade(waiters)
        });
    }
    until_right("a mixture", a_mixture);
    until_right("a writer behind a downgrade", a_writer_behind_a_downgrade);
    until_right("thousands of waits", thousands_of_waits);
    holds_are_profiled_on_request();
    waits_that_did_not_happen_are_not_recorded();
}

/// The machine may stop a thread between its clock and ours, which spoils a round, but not every round.
fn until_right(what: &str, round: impl Fn() -> Result<(), String>) {
    const ROUNDS: usize = 10;
    let wrong: Vec<_> = (0..ROUNDS).map_while(|_| round().err()).collect();
    assert!(wrong.len() < ROUNDS, "{what}: {wrong:#?}");
}

/// Forgets what the profiles have seen so far.
fn begin() -> Truth {
    for name in ["mutex", "block"] {
        pprof_runtime::lookup(name).unwrap().reset();
    }
    Truth::default()
}

/// That so many waits were seen, that both profiles have all of the time, and the mutex profile has it on the stacks of `charged`.
fn check(truth: &Truth, waits: usize, charged: &[&str]) -> Result<(), String> {
    let (mutex, block) = (snapshot("mutex"), snapshot("block"));
    let truth = truth.waited() as i64;
    let all = |profile: &_, index| sum(profile, index, |_| true);
    let on_charged = charged.iter().map(|function| delay(&mutex, function)).sum();
    for (what, value) in [
        ("block", all(&block, 1)),
        ("mutex", all(&mutex, 1)),
        ("mutex, on those who let in", on_charged),
    ] {
        if (value - truth).abs() > truth / 20 {
            let stacks = stacks(&mutex);
            let seen: Vec<_> =
                stacks.iter().map(|(names, values)| (names.first(), values)).collect();
            return Err(format!("{what}: {value} ns, in truth {truth}; mutex: {seen:?}"));
        }
    }
    match all(&block, 0) {
        seen if seen == waits as i64 => Ok(()),
        seen => Err(format!("{seen} waits of {waits}")),
    }
}

#[inline(never)]
fn waits_to_read(lock: &RwLock<()>) {
    drop(lock.read().unwrap());
}

#[inline(never)]
fn waits_to_write(lock: &RwLock<()>) {
    drop(lock.write().unwrap());
}

type Waiter = fn(&RwLock<()>);

/// Runs `waiter`, which waits until `guard` is dropped, for `TIME` or a little more if the machine stops it before it waits.
fn while_held<G>(guard: G, lock: &RwLock<()>, waiter: Waiter) {
    let begins = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            begins.wait();
            waiter(lock);
        });
        begins.wait();
        std::thread::sleep(TIME * 2);
        drop(guard);
    });
}

fn one_wait_is_one_sample() {
    static LOCK: RwLock<()> = RwLock::named((), "the routes");
    let waiters: [(&str, &str, Waiter); 2] = [
        ("::waits_to_read", "kind=rwlock-read", waits_to_read),
        ("::waits_to_write", "kind=rwlock-write", waits_to_write),
    ];
    for (function, kind, waiter) in waiters {
        let (guard, line) = (LOCK.write().unwrap(), line!());
        while_held(guard, &LOCK, waiter);
        let text = labels(&snapshot("block"), function).remove(0).0;
        assert!(text.contains(&format!(" at {}:{line} ", file!())), "the holder's site: {text}");
        assert_one_wait(function, TIME, &[kind, "lock=the"]);
    }
    while_held(LOCK.read().unwrap(), &LOCK, waits_to_write);
    assert_one_wait("::waits_to_write", TIME, &["kind=rwlock-write"]);
    let unlocked = labels(&snapshot("mutex"), "::one_wait_is_one_sample");
    let kinds = ["kind=rwlock-read lock=the routes", "kind=rwlock-write lock=the routes"];
    assert!(unlocked.iter().all(|(text, _)| kinds.contains(&text.as_str())), "{unlocked:?}");
    assert!(kinds.iter().all(|kind| unlocked.iter().any(|(text, _)| text == kind)), "{unlocked:?}");
}

fn waits_in_progress_are_shown() {
    let lock = RwLock::new(());
    for (function, waiter) in
        [("::waits_to_read", waits_to_read as Waiter), ("::waits_to_write", waits_to_write)]
    {
        begin();
        std::thread::scope(|scope| {
            let guard = lock.write().unwrap();
            scope.spawn(|| waiter(&lock));
            while labels(&snapshot("block"), function).is_empty() {
                std::thread::sleep(TIME / 10);
            }
            let seen = labels(&snapshot("block"), function);
            assert!(seen[0].0.ends_with(" state=waiting") && seen[0].1[0] == 1, "{seen:?}");
            drop(guard);
        });
        let seen = labels(&snapshot("block"), function);
        assert!(seen.iter().all(|(text, _)| !text.ends_with(" state=waiting")), "{seen:?}");
    }
}

#[inline(never)]
fn holds_as_writer(lock: &RwLock<()>, ready: &Barrier) {
    let guard = lock.write().unwrap();
    ready.wait();
    std::thread::sleep(TIME);
    drop(guard);
}

#[inline(never)]
fn reader(lock: &RwLock<()>, ready: &Barrier, truth: &Truth) {
    ready.wait();
    drop(truth.time(|| lock.read().unwrap()));
}

#[inline(never)]
fn writer(lock: &RwLock<()>, ready: &Barrier, truth: &Truth) {
    ready.wait();
    drop(truth.time(|| lock.write().unwrap()));
}

/// Let in together: all of it is the writer's fault, up to when each has the lock.
fn readers_behind_a_writer(waiters: usize) -> Result<(), String> {
    let (lock, ready, truth) = (RwLock::new(()), Barrier::new(waiters + 1), begin());
    std::thread::scope(|scope| {
        scope.spawn(|| holds_as_writer(&lock, &ready));
        (0..waiters).for_each(|_| {
            scope.spawn(|| reader(&lock, &ready, &truth));
        });
    });
    check(&truth, waiters, &["::holds_as_writer"])
}

/// They let each other in one by one, on a busy machine not at once: that part is on them.
fn writers_behind_a_writer(waiters: usize) -> Result<(), String> {
    let (lock, ready, truth) = (RwLock::new(()), Barrier::new(waiters + 1), begin());
    std::thread::scope(|scope| {
        scope.spawn(|| holds_as_writer(&lock, &ready));
        (0..waiters).for_each(|_| {
            scope.spawn(|| writer(&lock, &ready, &truth));
        });
    });
    check(&truth, waiters, &["::holds_as_writer", "::writer"])
}

#[inline(never)]
fn leaves_early(lock: &RwLock<()>, ready: &Barrier, left: &Barrier) {
    let guard = lock.read().unwrap();
    ready.wait();
    std::thread::sleep(TIME / 3);
    drop(guard);
    left.wait();
}

#[inline(never)]
fn leaves_last(lock: &RwLock<()>, ready: &Barrier, left: &Barrier) {
    let guard = lock.read().unwrap();
    ready.wait();
    left.wait();
    std::thread::sleep(TIME / 3);
    drop(guard);
}

fn a_writer_behind_readers(readers: usize) -> Result<(), String> {
    let (lock, truth) = (RwLock::new(()), begin());
    let (ready, left) = (Barrier::new(readers + 1), Barrier::new(readers));
    std::thread::scope(|scope| {
        scope.spawn(|| leaves_last(&lock, &ready, &left));
        (1..readers).for_each(|_| {
            scope.spawn(|| leaves_early(&lock, &ready, &left));
        });
        scope.spawn(|| writer(&lock, &ready, &truth));
    });
    check(&truth, 1, &["::leaves_last"])?;
    let mutex = snapshot("mutex");
    assert_eq!(contentions(&mutex, "::leaves_early"), 0, "{:?}", stacks(&mutex));
    assert_eq!(contentions(&mutex, "::leaves_last"), 1, "{:?}", stacks(&mutex));
    Ok(())
}

#[inline(never)]
fn downgrades(lock: &RwLock<()>, ready: &Barrier, read: &Barrier) {
    let guard = lock.write().unwrap();
    ready.wait();
    std::thread::sleep(TIME);
    let guard = RwLockWriteGuard::downgrade(guard);
    // The others read while this one still does.
    read.wait();
    drop(guard);
}

#[inline(never)]
fn reads_after_downgrade(lock: &RwLock<()>, ready: &Barrier, read: &Barrier, truth: &Truth) {
    ready.wait();
    let guard = truth.time(|| lock.read().unwrap());
    read.wait();
    drop(guard);
}

fn readers_behind_a_downgrade(readers: usize) -> Result<(), String> {
    let (lock, truth) = (RwLock::new(()), begin());
    let barriers = [Barrier::new(readers + 1), Barrier::new(readers + 1)];
    let [ready, read] = &barriers;
    std::thread::scope(|scope| {
        scope.spawn(|| downgrades(&lock, ready, read));
        (0..readers).for_each(|_| {
            scope.spawn(|| reads_after_downgrade(&lock, ready, read, &truth));
        });
    });
    check(&truth, readers, &["::downgrades"])?;
    let seen = labels(&snapshot("mutex"), "::downgrades");
    assert!(seen.iter().all(|(text, _)| text.starts_with("kind=rwlock-write ")), "{seen:?}");
    let mutex = snapshot("mutex");
    let at_leaf = sum(&mutex, 1, |names| names[0].ends_with("::downgrades"));
    assert_eq!(at_leaf, delay(&mutex, "::downgrades"), "{:?}", stacks(&mutex));
    Ok(())
}

#[inline(never)]
fn downgrades_and_leaves(lock: &RwLock<()>, ready: &Barrier) {
    let guard = lock.write().unwrap();
    ready.wait();
    std::thread::sleep(TIME);
    let guard = RwLockWriteGuard::downgrade(guard);
    drop(guard);
}

/// Readers are let in by the downgrade, though a writer waits; the writer by whoever of them leaves last.
fn a_writer_behind_a_downgrade() -> Result<(), String> {
    let (lock, ready, truth) = (RwLock::new(()), Barrier::new(4), begin());
    std::thread::scope(|scope| {
        scope.spawn(|| downgrades_and_leaves(&lock, &ready));
        for writes in [true, false, false] {
            let (lock, ready, truth) = (&lock, &ready, &truth);
            scope.spawn(move || takes_part(lock, ready, truth, writes));
        }
    });
    check(&truth, 3, &["::downgrades_and_leaves", "::takes_part"])?;
    // All three waited for the downgrade, the writer for readers as well.
    let mutex = snapshot("mutex");
    let on_downgrade = delay(&mutex, "::downgrades_and_leaves");
    let on_readers = delay(&mutex, "::takes_part");
    let time = TIME.as_nanos() as i64;
    if on_downgrade > 3 * time * 9 / 10 && on_readers > time / 10 * 9 / 10 {
        Ok(())
    } else {
        Err(format!("{on_downgrade} ns on the downgrade, {on_readers} ns on the readers"))
    }
}

/// Holds it long enough for those behind to go to sleep again.
#[inline(never)]
fn takes_part(lock: &RwLock<()>, ready: &Barrier, truth: &Truth, writes: bool) {
    ready.wait();
    if writes {
        let guard = truth.time(|| lock.write().unwrap());
        std::thread::sleep(TIME / 10);
        drop(guard);
    } else {
        let guard = truth.time(|| lock.read().unwrap());
        std::thread::sleep(TIME / 10);
        drop(guard);
    }
}

fn a_mixture() -> Result<(), String> {
    let (lock, ready, truth) = (RwLock::new(()), Barrier::new(9), begin());
    std::thread::scope(|scope| {
        scope.spawn(|| holds_as_writer(&lock, &ready));
        for writes in [true, false, true, false, true, false, true, false] {
            let (lock, ready, truth) = (&lock, &ready, &truth);
            scope.spawn(move || takes_part(lock, ready, truth, writes));
        }
    });
    check(&truth, 8, &["::holds_as_writer", "::takes_part"])
}

/// Short ones of all kinds, by four threads at once: neither does time get lost nor is any charged twice.
fn thousands_of_waits() -> Result<(), String> {
    let (lock, truth) = (RwLock::new(()), begin());
    let hold = || {
        let began = Instant::now();
        while began.elapsed() < Duration::from_micros(20) {
            std::hint::spin_loop();
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (lock, truth, hold) = (&lock, &truth, &hold);
            scope.spawn(move || {
                for round in 0..500 {
                    match (round + thread) % 4 {
                        0 | 1 => {
                            let guard = truth.time(|| lock.read().unwrap());
                            hold();
                            drop(guard);
                        }
                        2 => {
                            let guard = truth.time(|| lock.write().unwrap());
                            hold();
                            drop(guard);
                        }
                        _ => {
                            let guard = truth.time(|| lock.write().unwrap());
                            hold();
                            let guard = RwLockWriteGuard::downgrade(guard);
                            hold();
                            drop(guard);
                        }
                    }
                    // Lets go of the CPU as well, so that the thread let in is the next to lock.
                    std::thread::sleep(Duration::from_nanos(1));
                }
            });
        }
    });
    let (mutex, block) = (snapshot("mutex"), snapshot("block"));
    let [mutex, block] = [&mutex, &block].map(|profile| sum(profile, 1, |_| true));
    let truth = truth.waited() as i64;
    println!("mutex {mutex} ns, block {block} ns, in truth {truth}");
    if (mutex - block).abs() > block / 20 {
        return Err(format!("mutex {mutex} ns, block {block}"));
    }
    // Waits too short to sleep over are in the truth alone.
    if block > truth || block < truth / 2 {
        return Err(format!("block {block} ns, in truth {truth}"));
    }
    Ok(())
}

#[inline(never)]
fn is_held(lock: &RwLock<()>) {
    let guard = lock.read().unwrap();
    let other = lock.read().unwrap();
    std::thread::sleep(TIME / 3);
    drop(guard);
    drop(other);
    let guard = lock.write().unwrap();
    std::thread::sleep(TIME / 3);
    let guard = RwLockWriteGuard::downgrade(guard);
    std::thread::sleep(TIME / 3);
    drop(guard);
}

fn holds_are_profiled_on_request() {
    static LOCK: RwLock<()> = RwLock::named((), "held");
    pprof_runtime::set_hold_profile_rate(1);
    is_held(&LOCK);
    pprof_runtime::set_hold_profile_rate(0);
    is_held(&LOCK);
    let seen = labels(&snapshot("hold"), "::is_held");
    let of = |kind: &str| {
        let chosen = seen.iter().filter(|(text, _)| text.starts_with(kind));
        chosen.fold([0, 0], |sum, (_, values)| [sum[0] + values[0], sum[1] + values[1]])
    };
    let third = TIME.as_nanos() as i64 / 3;
    let ([reads, read], [writes, written]) = (of("kind=rwlock-read"), of("kind=rwlock-write"));
    assert_eq!([reads, writes], [3, 1], "{seen:?}");
    assert!(read >= 3 * third && written >= third, "{seen:?}");
    assert!(seen.iter().all(|(text, _)| text.contains("lock=held holder=")), "{seen:?}");
}

fn waits_that_did_not_happen_are_not_recorded() {
    begin();
    let lock = RwLock::new(());
    let reader = lock.read().unwrap();
    assert!(lock.try_write().is_err());
    drop((lock.read(), lock.try_read()));
    drop(reader);
    let writer = lock.write().unwrap();
    assert!(lock.try_write().is_err() && lock.try_read().is_err());
    drop(writer);
    pprof_runtime::set_mutex_profile_fraction(0);
    pprof_runtime::set_block_profile_rate(0);
    let ready = Barrier::new(3);
    std::thread::scope(|scope| {
        scope.spawn(|| holds_as_writer(&lock, &ready));
        scope.spawn(|| reader_while_off(&lock, &ready));
        scope.spawn(|| reader_while_off(&lock, &ready));
    });
    for name in ["mutex", "block"] {
        let profile = snapshot(name);
        assert_eq!(sum(&profile, 0, |_| true), 0, "{name}: {:?}", stacks(&profile));
    }
}

fn reader_while_off(lock: &RwLock<()>, ready: &Barrier) {
    ready.wait();
    drop(lock.read().unwrap());
}
