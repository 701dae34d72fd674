//! The mutex and block profiles are exact at rate 1 and unbiased at others. One process, as rates are the process's.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use pprof_runtime::sync::{Mutex, mpsc};
use pprof_tests::waits::{Truth, contentions, delay, labels, snapshot};
use pprof_tests::{stacks, sum};

#[inline(never)]
fn holder(mutex: &Mutex<()>, ready: &Barrier, hold: Duration) {
    let guard = mutex.lock().unwrap();
    ready.wait();
    std::thread::sleep(hold);
    drop(guard);
}

#[inline(never)]
fn waiter(mutex: &Mutex<()>, ready: &Barrier, truth: &Truth) {
    ready.wait();
    let began = truth.now();
    let guard = mutex.lock().unwrap();
    truth.got(began);
    drop(guard);
}

#[inline(never)]
fn receiver(channel: &mpsc::Receiver<u32>) -> Option<u32> {
    channel.recv().ok()
}

#[inline(never)]
fn sender(channel: &mpsc::SyncSender<u32>) {
    channel.send(2).unwrap();
}

#[test]
fn everything_about_waits() {
    delays_are_exact_and_on_the_right_side();
    channels_are_in_the_block_profile();
    waits_have_labels_and_show_while_they_last();
    fractions_and_rates_are_unbiased();
    nothing_is_recorded_when_off();
    holds_are_profiled_on_request();
}

/// The machine may stop a thread between its clock and ours, which spoils a round, but not every round.
const ROUNDS: usize = 10;

fn delays_are_exact_and_on_the_right_side() {
    pprof_runtime::set_mutex_profile_fraction(1);
    pprof_runtime::set_block_profile_rate(1);
    for waiters in 1..=8 {
        let rounds: Vec<_> = (0..ROUNDS).map_while(|_| hold_20_ms(waiters).err()).collect();
        assert!(rounds.len() < ROUNDS, "{waiters} waiters: {rounds:#?}");
    }
    assert_eq!(delay(&snapshot("block"), "::holder"), 0, "the holder never waited for the lock");
    // Nothing of ours is below the user's own code.
    let leaves = |name, function: &str| {
        sum(&snapshot(name), 0, |names| names.first().is_some_and(|n| n.ends_with(function)))
    };
    assert_eq!(leaves("mutex", "::holder"), contentions(&snapshot("mutex"), "::holder"));
    assert_eq!(leaves("block", "::waiter"), contentions(&snapshot("block"), "::waiter"));
}

fn hold_20_ms(waiters: usize) -> Result<(), String> {
    let (mutex, ready, truth) = (Mutex::new(()), Barrier::new(waiters + 1), Truth::default());
    let before = (snapshot("mutex"), snapshot("block"));
    std::thread::scope(|scope| {
        scope.spawn(|| holder(&mutex, &ready, Duration::from_millis(20)));
        for _ in 0..waiters {
            scope.spawn(|| waiter(&mutex, &ready, &truth));
        }
    });
    let after = (snapshot("mutex"), snapshot("block"));
    let grown = |function| (delay(&after.0, function) - delay(&before.0, function)) as f64;
    let blocked = (delay(&after.1, "::waiter") - delay(&before.1, "::waiter")) as f64;
    let waits = contentions(&after.1, "::waiter") - contentions(&before.1, "::waiter");
    let check = |what: &str, value: f64, truth: u64| {
        let right = (value / truth as f64 - 1.0).abs() < 0.05;
        if right { Ok(()) } else { Err(format!("{what}: {value} ns, in truth {truth}")) }
    };
    check("mutex, on the holder", grown("::holder"), truth.by_holder())?;
    // Waiters let each other in one by one, on a busy machine not at once: that part is on them.
    check("mutex", grown("::holder") + grown("::waiter"), truth.waited())?;
    check("block, on the waiters", blocked, truth.waited())?;
    if waits == waiters as i64 { Ok(()) } else { Err(format!("{waits} waits of {waiters}")) }
}

fn channels_are_in_the_block_profile() {
    let (tx, rx) = mpsc::sync_channel(1);
    let rx = std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            assert_eq!(receiver(&rx), Some(1));
            rx
        });
        std::thread::sleep(Duration::from_millis(30));
        tx.send(1).unwrap();
        thread.join().unwrap()
    });
    let profile = snapshot("block");
    assert_eq!(contentions(&profile, "::receiver"), 1);
    assert!(delay(&profile, "::receiver") >= 20_000_000, "{:?}", stacks(&profile));
    tx.send(1).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| sender(&tx));
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(rx.recv(), Ok(1));
    });
    let profile = snapshot("block");
    assert_eq!(contentions(&profile, "::sender"), 1);
    assert!(delay(&profile, "::sender") >= 20_000_000, "{:?}", stacks(&profile));
}

/// Returns how long it waited.
#[inline(never)]
fn take_turn(mutex: &Mutex<()>) -> f64 {
    let began = Instant::now();
    let guard = mutex.lock().unwrap();
    let entered = Instant::now();
    while entered.elapsed() < Duration::from_micros(20) {
        std::hint::spin_loop();
    }
    drop(guard);
    // Lets go of the CPU as well, so that the thread let in is the next to lock.
    std::thread::sleep(Duration::from_nanos(1));
    (entered - began).as_nanos() as f64
}

/// One profile sampled, the other one whole: of the same waits, whose total they must agree on.
fn fractions_and_rates_are_unbiased() {
    for fraction in [1, 10, 100] {
        let turns = Turns::run(fraction, 1);
        // A value d, kept with probability 1/n and then multiplied by n, has the variance (n - 1) d^2. An unlock's delay is made
        // of parts of up to three waits, so its square is at most three times theirs.
        let variance = |d: f64| (fraction - 1) as f64 * 3.0 * d * d;
        turns.check(turns.mutex, turns.block, variance, &format!("fraction {fraction}"));
    }
    for rate in [1_000, 100_000, 1_000_000, 10_000_000] {
        let turns = Turns::run(1, rate);
        // A wait d below the rate is kept with probability d / rate as one of the rate: the variance is d (rate - d).
        let variance = |d: f64| d * (rate as f64 - d).max(0.0);
        turns.check(turns.block, turns.mutex, variance, &format!("rate {rate}"));
    }
}

/// Thousands of waits of some 50 µs: the delays on `take_turn`, and the waits by the threads' own clocks.
#[derive(Default)]
struct Turns {
    mutex: f64,
    block: f64,
    waits: Vec<f64>,
}

impl Turns {
    /// Rounds until the turns are enough. One in which the machine stopped is left out: its one long wait would outweigh all
    /// others, and the stop may be between the moments at which two clocks look.
    fn run(fraction: i64, rate: i64) -> Turns {
        pprof_runtime::set_mutex_profile_fraction(fraction);
        pprof_runtime::set_block_profile_rate(rate);
        let mut turns = Turns::default();
        let mut stopped = 0;
        while turns.waits.len() < 8_000 {
            let round = Turns::round();
            if stopped < 200 && round.waits.iter().any(|wait| *wait > 3e6) {
                stopped += 1;
                continue;
            }
            turns.mutex += round.mutex;
            turns.block += round.block;
            turns.waits.extend(round.waits);
        }
        turns
    }

    fn round() -> Turns {
        let total = |name| delay(&snapshot(name), "::take_turn") as f64;
        let before = (total("mutex"), total("block"));
        let mutex = Mutex::new(());
        let waits = std::thread::scope(|scope| {
            let threads = [(); 4]
                .map(|()| scope.spawn(|| Vec::from_iter((0..100).map(|_| take_turn(&mutex)))));
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        Turns { mutex: total("mutex") - before.0, block: total("block") - before.1, waits }
    }

    /// Five standard deviations, and 5 % as the two profiles stamp the same wait at moments a little apart.
    fn check(&self, sampled: f64, whole: f64, variance: impl Fn(f64) -> f64, what: &str) {
        let deviation = self.waits.iter().map(|d| variance(*d)).sum::<f64>().sqrt();
        let bound = 5.0 * deviation + 0.05 * whole;
        let waited: f64 = self.waits.iter().sum();
        println!("{what}: {sampled} of {whole} +- {bound} ns, waits {waited} ns");
        assert!((sampled - whole).abs() < bound, "{what}: {sampled} of {whole} +- {bound} ns");
        assert!(whole <= waited * 1.05, "{what}: {whole} of {waited} ns");
    }
}

fn nothing_is_recorded_when_off() {
    assert_eq!(pprof_runtime::set_mutex_profile_fraction(0), 1);
    assert_eq!(pprof_runtime::set_mutex_profile_fraction(-1), 0);
    pprof_runtime::set_block_profile_rate(0);
    let before = (snapshot("mutex"), snapshot("block"));
    let (mutex, ready, truth) = (Mutex::new(()), Barrier::new(2), Truth::default());
    std::thread::scope(|scope| {
        scope.spawn(|| holder(&mutex, &ready, Duration::from_millis(5)));
        scope.spawn(|| waiter(&mutex, &ready, &truth));
    });
    let after = (snapshot("mutex"), snapshot("block"));
    let total = |p: &pprof_format::Profile| (sum(p, 0, |_| true), sum(p, 1, |_| true));
    assert_eq!(total(&before.0), total(&after.0), "earlier values stay as they were");
    assert_eq!(total(&before.1), total(&after.1));
    assert!(total(&after.0).1 > 0);
}

#[inline(never)]
fn labelled_waiter(mutex: &Mutex<()>) {
    drop(mutex.lock().unwrap());
}

fn waits_have_labels_and_show_while_they_last() {
    static LOCK: Mutex<()> = Mutex::named((), "the cache");
    pprof_runtime::set_mutex_profile_fraction(1);
    pprof_runtime::set_block_profile_rate(1);
    let (locked, line) = (LOCK.lock().unwrap(), line!());
    let holder = |name: &str| format!("holder={name} at {}:{line}", file!());
    let before = pprof_runtime::lookup("block").unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| labelled_waiter(&LOCK));
        let in_progress = (0..1000).find_map(|_| {
            std::thread::sleep(Duration::from_millis(5));
            labels(&snapshot("block"), "::labelled_waiter").pop()
        });
        let (text, values) = in_progress.expect("a wait in progress");
        let name = std::thread::current().name().unwrap()[..15].to_owned();
        let expected = format!("kind=mutex lock=the cache {} state=waiting", holder(&name));
        assert_eq!(text, expected);
        assert_eq!(values[0], 1);
        assert!(values[1] > 1_000_000, "{values:?}");
        pprof_runtime::set_contention_labels(false);
        assert_eq!(labels(&snapshot("block"), "::labelled_waiter"), [], "as in Go");
        pprof_runtime::set_contention_labels(true);
        drop(locked);
    });
    let ended = labels(&snapshot("block"), "::labelled_waiter");
    assert_eq!(ended.len(), 2, "{ended:?}");
    let held = ended.iter().find(|(text, _)| text.ends_with("phase=held")).unwrap();
    let wake_up = ended.iter().find(|(text, _)| text.ends_with("phase=wake-up")).unwrap();
    assert_eq!([held.1[0], wake_up.1[0]], [1, 0]);
    assert!(held.1[1] > 1_000_000 && wake_up.1[1] > 0, "{ended:?}");
    let unlocked = labels(&snapshot("mutex"), "::waits_have_labels_and_show_while_they_last");
    assert_eq!(unlocked.len(), 1);
    assert_eq!(unlocked[0].0, "kind=mutex lock=the cache");
    let sum = held.1[1] + wake_up.1[1];
    assert!((unlocked[0].1[1] - sum).abs() < sum / 20, "{unlocked:?} {ended:?}");
    before.reset();
    assert_eq!(before.count(), 0);
    assert_eq!(snapshot("block").sample.len(), 0);
}

#[inline(never)]
fn hold(mutex: &Mutex<()>, time: Duration) {
    let guard = mutex.lock().unwrap();
    std::thread::sleep(time);
    drop(guard);
}

fn holds_are_profiled_on_request() {
    static LOCK: Mutex<()> = Mutex::named((), "held");
    let time = Duration::from_millis(20);
    hold(&LOCK, time);
    assert_eq!(snapshot("hold").sample.len(), 0, "off");
    pprof_runtime::set_hold_profile_rate(1);
    (0..2).for_each(|_| hold(&LOCK, time));
    pprof_runtime::set_hold_profile_rate(0);
    hold(&LOCK, time);
    let seen = labels(&snapshot("hold"), "::hold");
    // From one place or, with the loop unrolled, from two.
    let labelled = seen.iter().all(|(text, _)| text.starts_with("kind=mutex lock=held holder="));
    let [holds, held] = [0, 1].map(|i| seen.iter().map(|(_, values)| values[i]).sum::<i64>());
    assert!(labelled && holds == 2 && held >= 2 * time.as_nanos() as i64, "{seen:?}");
    // At a rate: 10 000 holds of about 1 µs at a tenth of it, and what they really took.
    pprof_runtime::lookup("hold").unwrap().reset();
    pprof_runtime::set_hold_profile_rate(10_000);
    let mut truth = 0;
    for _ in 0..50_000 {
        let guard = LOCK.lock().unwrap();
        let began = Instant::now();
        while began.elapsed() < Duration::from_micros(1) {}
        truth += began.elapsed().as_nanos() as i64;
        drop(guard);
    }
    pprof_runtime::set_hold_profile_rate(0);
    let profile = snapshot("hold");
    let (held, holds) = (sum(&profile, 1, |_| true), sum(&profile, 0, |_| true));
    // 5 000 of them are kept, or so: six standard deviations are 8 %; and the clocks are read at moments some 50 ns apart.
    assert!((held - truth).abs() < truth / 5, "{held} of {truth}");
    assert!((holds - 50_000).abs() < 10_000, "{holds}");
}
