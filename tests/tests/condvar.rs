//! `Condvar`: each way to wait for a notification is one wait, and none of the mutex's time gets lost. One process, as rates are the
//! process's.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pprof_runtime::sync::{Condvar, Mutex, MutexGuard};
use pprof_tests::waits::{Truth, assert_one_wait, contentions, delay, labels, snapshot};
use pprof_tests::{stacks, sum};

const TIME: Duration = Duration::from_millis(30);

static READY: Mutex<bool> = Mutex::named(false, "readiness");
static CHANGED: Condvar = Condvar::named("the change");

#[test]
fn everything_about_waits() {
    pprof_runtime::set_mutex_profile_fraction(1);
    pprof_runtime::set_block_profile_rate(1);
    // The first look at a profile reads the program's debug information, which takes longer than a wait.
    waits_in_vain(READY.lock().unwrap());
    let _ = snapshot("block");
    reset();
    each_way_to_wait_is_one_wait();
    no_time_is_no_wait();
    conditions_are_called_after_where_they_were_made();
    notify_one_lets_one_go();
    until_right("several waiters", || notify_all_lets_all_go(5));
    until_right("an unlock by waiting", waiting_unlocks);
    until_right("a mutex held on", locking_again_is_a_wait_of_its_own);
    holds_end_where_waits_begin();
}

/// The machine may stop a thread between its clock and ours, which spoils a round, but not every round.
fn until_right(what: &str, round: impl Fn() -> Result<(), String>) {
    const ROUNDS: usize = 10;
    let wrong: Vec<_> = (0..ROUNDS).map_while(|_| round().err()).collect();
    assert!(wrong.len() < ROUNDS, "{what}: {wrong:#?}");
}

fn reset() {
    for name in ["mutex", "block"] {
        pprof_runtime::lookup(name).unwrap().reset();
    }
}

/// Nothing is left in the mutex profile of waits for a condition.
fn assert_mutex_profile_empty() {
    let profile = snapshot("mutex");
    assert_eq!(sum(&profile, 1, |_| true), 0, "{:?}", stacks(&profile));
}

#[inline(never)]
fn waits(guard: MutexGuard<'_, bool>) {
    drop(CHANGED.wait(guard).unwrap());
}

#[inline(never)]
fn waits_while(guard: MutexGuard<'_, bool>) {
    drop(CHANGED.wait_while(guard, |ready| !*ready).unwrap());
}

#[inline(never)]
fn waits_for_long(guard: MutexGuard<'_, bool>) {
    assert!(!CHANGED.wait_timeout(guard, 1000 * TIME).unwrap().1.timed_out());
}

#[inline(never)]
fn waits_in_ms_for_long(guard: MutexGuard<'_, bool>) {
    #[allow(deprecated, reason = "still there")]
    let notified = CHANGED.wait_timeout_ms(guard, 30_000).unwrap().1;
    assert!(notified);
}

#[inline(never)]
fn waits_for_long_while(guard: MutexGuard<'_, bool>) {
    let (guard, result) = CHANGED.wait_timeout_while(guard, 1000 * TIME, |ready| !*ready).unwrap();
    assert!(*guard && !result.timed_out());
}

#[inline(never)]
fn waits_in_vain(guard: MutexGuard<'_, bool>) {
    assert!(CHANGED.wait_timeout(guard, TIME).unwrap().1.timed_out());
}

#[inline(never)]
fn waits_in_ms_in_vain(guard: MutexGuard<'_, bool>) {
    #[allow(deprecated, reason = "still there")]
    let notified = CHANGED.wait_timeout_ms(guard, TIME.as_millis() as u32).unwrap().1;
    assert!(!notified);
}

#[inline(never)]
fn waits_in_vain_while(guard: MutexGuard<'_, bool>) {
    assert!(CHANGED.wait_timeout_while(guard, TIME, |ready| !*ready).unwrap().1.timed_out());
}

/// Sleeps while another thread, which has `mutex` from `holding` until it waits, waits for `TIME`, or a little more.
fn while_it_waits<T>(mutex: &Mutex<T>, holding: &Barrier) {
    holding.wait();
    // Not by waiting for it, which would be a wait.
    while mutex.try_lock().is_err() {
        std::thread::sleep(TIME / 10);
    }
    std::thread::sleep(TIME * 2);
}

type Waiter = fn(MutexGuard<'_, bool>);

fn each_way_to_wait_is_one_wait() {
    let words = ["kind=condvar", "lock=the", "change"];
    let notified: [(&str, Waiter, fn()); 8] = [
        ("::waits", waits, || CHANGED.notify_one()),
        ("::waits", waits, || CHANGED.notify_all()),
        ("::waits_while", waits_while, || CHANGED.notify_one()),
        ("::waits_while", waits_while, || CHANGED.notify_all()),
        ("::waits_for_long", waits_for_long, || CHANGED.notify_one()),
        ("::waits_in_ms_for_long", waits_in_ms_for_long, || CHANGED.notify_one()),
        ("::waits_for_long_while", waits_for_long_while, || CHANGED.notify_one()),
        ("::waits_for_long_while", waits_for_long_while, || CHANGED.notify_all()),
    ];
    for (name, waiter, notify) in notified {
        let holding = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let guard = READY.lock().unwrap();
                holding.wait();
                waiter(guard);
            });
            while_it_waits(&READY, &holding);
            *READY.lock().unwrap() = true;
            notify();
        });
        assert_one_wait(name, TIME, &words);
        *READY.lock().unwrap() = false;
    }
    let in_vain: [(&str, Waiter); 3] = [
        ("::waits_in_vain", waits_in_vain),
        ("::waits_in_ms_in_vain", waits_in_ms_in_vain),
        ("::waits_in_vain_while", waits_in_vain_while),
    ];
    for (name, waiter) in in_vain {
        waiter(READY.lock().unwrap());
        assert_one_wait(name, TIME, &words);
    }
    assert_mutex_profile_empty();
}

fn no_time_is_no_wait() {
    let guard = READY.lock().unwrap();
    let (guard, result) = CHANGED.wait_timeout(guard, Duration::ZERO).unwrap();
    assert!(result.timed_out());
    let guard = CHANGED.wait_while(guard, |ready| *ready).unwrap();
    drop(CHANGED.wait_timeout_while(guard, TIME, |ready| *ready).unwrap());
    CHANGED.notify_all();
    let profile = snapshot("block");
    assert_eq!(sum(&profile, 0, |_| true), 0, "{:?}", stacks(&profile));
}

#[inline(never)]
fn waits_for_nameless(condvar: &Condvar) {
    let guard = READY.lock().unwrap();
    assert!(condvar.wait_timeout(guard, TIME).unwrap().1.timed_out());
}

fn conditions_are_called_after_where_they_were_made() {
    let (condvar, line) = (Condvar::new(), line!());
    waits_for_nameless(&condvar);
    let lock = format!("lock={}:{line}", file!());
    assert_one_wait("::waits_for_nameless", TIME, &["kind=condvar", &lock]);
}

/// Waits once, and counts.
#[inline(never)]
fn one_of_several(waiting: &AtomicUsize, gone: &AtomicUsize) {
    let guard = READY.lock().unwrap();
    waiting.fetch_add(1, Ordering::Relaxed);
    drop(CHANGED.wait(guard).unwrap());
    gone.fetch_add(1, Ordering::Relaxed);
}

fn notify_one_lets_one_go() {
    reset();
    let (waiting, gone) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let until = |count: &AtomicUsize, number| {
        while count.load(Ordering::Relaxed) < number {
            std::thread::sleep(TIME / 10);
        }
        // All that counted themselves waited before this, or will.
        drop(READY.lock().unwrap());
        std::thread::sleep(TIME);
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| one_of_several(&waiting, &gone));
        }
        until(&waiting, 3);
        CHANGED.notify_one();
        until(&gone, 1);
        assert_eq!(gone.load(Ordering::Relaxed), 1);
        let seen = labels(&snapshot("block"), "::one_of_several");
        let waits = |goes_on| {
            let chosen = seen.iter().filter(|(text, _)| text.ends_with("state=waiting") == goes_on);
            let condvar = chosen.filter(|(text, _)| text.starts_with("kind=condvar "));
            condvar.map(|(_, values)| values[0]).sum::<i64>()
        };
        assert_eq!((waits(false), waits(true)), (1, 2), "{seen:?}");
        CHANGED.notify_all();
    });
    assert_eq!(gone.load(Ordering::Relaxed), 3);
}

fn check(truth: &Truth, what: &str, value: i64) -> Result<(), String> {
    let truth = truth.waited() as i64;
    if (value - truth).abs() <= truth / 20 {
        return Ok(());
    }
    let (block, mutex) = (snapshot("block"), snapshot("mutex"));
    let (block, mutex) = (stacks(&block), stacks(&mutex));
    Err(format!("{what}: {value} ns, in truth {truth}; block {block:?}, mutex {mutex:?}"))
}

/// Delay and contentions of the block profile, of one kind.
fn of_kind(kind: &str) -> [i64; 2] {
    let seen = labels(&snapshot("block"), "");
    let chosen = seen.iter().filter(|(text, _)| text.split(' ').any(|word| word == kind));
    chosen.fold([0, 0], |sum, (_, values)| [sum[0] + values[0], sum[1] + values[1]])
}

/// Each waits once for the notification; then all want the mutex, and what that takes is the mutex's.
fn notify_all_lets_all_go(waiters: usize) -> Result<(), String> {
    reset();
    let (mutex, condvar) = (Mutex::new(0), Condvar::new());
    let truth = Truth::default();
    let for_mutex = Truth::default();
    std::thread::scope(|scope| {
        for _ in 0..waiters {
            scope.spawn(|| {
                let mut guard = mutex.lock().unwrap();
                *guard += 1;
                let guard = truth.time(|| condvar.wait(guard).unwrap());
                // The others come into each other's way.
                std::thread::sleep(TIME / 5);
                drop(guard);
            });
        }
        while *for_mutex.time(|| mutex.lock().unwrap()) < waiters {
            std::thread::sleep(TIME / 10);
        }
        std::thread::sleep(TIME);
        condvar.notify_all();
    });
    let ([waits, for_condvar], [_, blocked]) = (of_kind("kind=condvar"), of_kind("kind=mutex"));
    if waits != waiters as i64 {
        return Err(format!("{waits} waits of {waiters}"));
    }
    check(&truth, "block", for_condvar + blocked)?;
    let charged = sum(&snapshot("mutex"), 1, |_| true);
    if (charged - blocked).abs() > blocked / 20 {
        return Err(format!("{charged} ns charged for waits of {blocked}"));
    }
    // The second of them waits for the first, the third for both: 1 + 2 + 3 + 4 fifths.
    let expected = (waiters * (waiters - 1) / 2) as i64 * TIME.as_nanos() as i64 / 5;
    if blocked > expected * 9 / 10 { Ok(()) } else { Err(format!("{blocked} of {expected} ns")) }
}

#[inline(never)]
fn unlocks_by_waiting(mutex: &Mutex<bool>, condvar: &Condvar, holding: &Barrier) {
    let guard = mutex.lock().unwrap();
    holding.wait();
    std::thread::sleep(TIME);
    drop(condvar.wait_while(guard, |ready| !*ready).unwrap());
}

#[inline(never)]
fn lets_go_on(mutex: &Mutex<bool>, condvar: &Condvar, holding: &Barrier, truth: &Truth) {
    holding.wait();
    let mut guard = truth.time(|| mutex.lock().unwrap());
    std::thread::sleep(TIME);
    *guard = true;
    drop(guard);
    condvar.notify_one();
}

/// A thread that waits for the mutex gets it from one that begins to wait for the condition.
fn waiting_unlocks() -> Result<(), String> {
    reset();
    let (mutex, condvar) = (Mutex::new(false), Condvar::new());
    let (holding, truth) = (Barrier::new(2), Truth::default());
    std::thread::scope(|scope| {
        scope.spawn(|| unlocks_by_waiting(&mutex, &condvar, &holding));
        scope.spawn(|| lets_go_on(&mutex, &condvar, &holding, &truth));
    });
    let (mutex, block) = (snapshot("mutex"), snapshot("block"));
    check(&truth, "block", delay(&block, "::lets_go_on"))?;
    check(&truth, "mutex", delay(&mutex, "::unlocks_by_waiting"))?;
    check(&truth, "mutex, in all", sum(&mutex, 1, |_| true))?;
    assert_eq!(contentions(&mutex, "::unlocks_by_waiting"), 1);
    let at_leaf = sum(&mutex, 0, |names| names[0].ends_with("::unlocks_by_waiting"));
    assert_eq!(at_leaf, 1, "{:?}", stacks(&mutex));
    let [waits, waited] = of_kind("kind=condvar");
    if waits == 1 && waited >= TIME.as_nanos() as i64 * 9 / 10 {
        Ok(())
    } else {
        Err(format!("{waits} waits of {waited} ns for the condition"))
    }
}

#[inline(never)]
fn waits_twice(mutex: &Mutex<()>, condvar: &Condvar, holding: &Barrier, truth: &Truth) {
    let guard = mutex.lock().unwrap();
    holding.wait();
    drop(truth.time(|| condvar.wait(guard).unwrap()));
}

#[inline(never)]
fn notifies_and_holds_on(mutex: &Mutex<()>, condvar: &Condvar) {
    let guard = mutex.lock().unwrap();
    condvar.notify_one();
    std::thread::sleep(TIME);
    drop(guard);
}

fn locking_again_is_a_wait_of_its_own() -> Result<(), String> {
    reset();
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    let (holding, truth) = (Barrier::new(2), Truth::default());
    std::thread::scope(|scope| {
        scope.spawn(|| waits_twice(&mutex, &condvar, &holding, &truth));
        while_it_waits(&mutex, &holding);
        notifies_and_holds_on(&mutex, &condvar);
    });
    let ([waits, waited], [locks, locked]) = (of_kind("kind=condvar"), of_kind("kind=mutex"));
    if [waits, locks] != [1, 1] {
        return Err(format!("{waits} waits for the condition, {locks} for the mutex"));
    }
    check(&truth, "block", waited + locked)?;
    let profile = snapshot("mutex");
    let charged = delay(&profile, "::notifies_and_holds_on");
    assert_eq!(contentions(&profile, "::notifies_and_holds_on"), 1, "{:?}", stacks(&profile));
    let least = TIME.as_nanos() as i64 * 9 / 10;
    if (charged - locked).abs() <= locked / 20 && waited > least && locked > least {
        Ok(())
    } else {
        Err(format!("{charged} ns charged for {locked} ns; {waited} ns for the condition"))
    }
}

#[inline(never)]
fn holds_before_and_after(mutex: &Mutex<()>, condvar: &Condvar) {
    let guard = mutex.lock().unwrap();
    std::thread::sleep(TIME / 10);
    let (guard, _) = condvar.wait_timeout(guard, 10 * TIME).unwrap();
    std::thread::sleep(TIME / 10);
    drop(guard);
}

fn holds_end_where_waits_begin() {
    let (mutex, condvar) = (Mutex::named((), "held"), Condvar::new());
    pprof_runtime::set_hold_profile_rate(1);
    // The machine may stop for longer than the wait takes, but not each time.
    let right = (0..10).any(|_| {
        pprof_runtime::lookup("hold").unwrap().reset();
        holds_before_and_after(&mutex, &condvar);
        let seen = labels(&snapshot("hold"), "::holds_before_and_after");
        let [count, held] =
            seen.iter().fold([0, 0], |sum, (_, values)| [sum[0] + values[0], sum[1] + values[1]]);
        assert_eq!(count, 2, "{seen:?}");
        let tenth = TIME.as_nanos() as i64 / 10;
        assert!(held >= 2 * tenth, "{held}");
        held < 50 * tenth
    });
    assert!(right, "the wait is no part of a hold");
    pprof_runtime::set_hold_profile_rate(0);
}
