use std::panic::Location;

use std::time::Duration;

use parking_lot::Mutex;

use super::*;
use crate::clock::fake;

/// Rates are the process's: who sets them goes alone.
pub(super) static RATES: Mutex<()> = Mutex::new(());

fn with_rates<R>(fraction: i64, rate: i64, run: impl FnOnce() -> R) -> R {
    set_mutex_fraction(fraction);
    set_block_rate(rate);
    let result = run();
    set_mutex_fraction(0);
    set_block_rate(0);
    result
}

/// Contentions and delay of waits for what is called `name`.
fn recorded(name: &str) -> [f64; 2] {
    let snapshot = block_snapshot().unwrap();
    let named = snapshot
        .stacks
        .iter()
        .filter(|s| s.labels.iter().any(|(key, value)| *key == "lock" && **value == *name));
    named.fold([0.0, 0.0], |sum, s| [sum[0] + s.values[0] as f64, sum[1] + s.values[1] as f64])
}

#[inline(never)]
fn wait_of(name: &'static str, ns: u64) {
    let wait = wait(Kind::ChannelRecv, Some(Origin::Name(name)), Location::caller());
    fake::advance(ns);
    wait.acquired();
}

#[test]
fn counts_round_to_the_nearest_and_never_to_nothing() {
    assert_eq!(whole([(1 << COUNT_SHIFT) * 5 / 2, 7]), [3, 7]);
    assert_eq!(whole([1, 7]), [1, 7]);
}

#[test]
#[cfg_attr(not(all(target_os = "linux", target_arch = "x86_64")), ignore = "no stacks there")]
fn short_waits_and_long_ones_weigh_what_they_last() {
    let _alone = RATES.lock();
    let (mut waits, mut delay) = (0.0, 0.0);
    for rate in [1_000_u64, 100_000, 10_000, 10_000_000] {
        with_rates(0, rate as i64, || {
            fake::advance(1);
            for i in 0..110_000 {
                let ns = if i % 11 == 0 { rate } else { rate / 10 };
                wait_of("short and long", ns);
                (waits, delay) = (waits + 1.0, delay + ns as f64);
            }
        });
        // Of 100 000, a tenth is kept, each standing for ten: a standard deviation of 0.9 %, of the time a half of that.
        let [counted, summed] = recorded("short and long");
        assert!((counted / waits - 1.0).abs() < 0.05, "{counted} of {waits} up to rate {rate}");
        assert!((summed / delay - 1.0).abs() < 0.05, "{summed} of {delay} ns up to rate {rate}");
    }
}

#[test]
fn nobody_looks_at_the_clock_while_profiles_are_off() {
    let _alone = RATES.lock();
    let looks = |contend: &dyn Fn()| {
        let before = fake::looks();
        contend();
        fake::looks() - before
    };
    let lock = Monitor::new(Origin::here());
    let free = || {
        lock.acquired(Location::caller());
        lock.releasing(Kind::Mutex).record();
    };
    // As if somebody slept: both ends of a wait, and the unlock that lets it in.
    let contend = || {
        let monitor = Monitor::new(Origin::here());
        let wait = monitor.wait(Kind::Mutex, Location::caller());
        monitor.unlocking(Kind::Mutex);
        wait.acquired();
        monitor.wait(Kind::Mutex, Location::caller()).gave_up();
        wait_of_nothing();
        free();
    };
    assert_eq!(looks(&contend), 0);
    let looked = with_rates(1, 1, || looks(&contend));
    assert!(looked >= 6, "what is counted is there: {looked}");
    set_hold_rate(1);
    assert_eq!(looks(&free), 2, "one at each end of a hold");
    set_hold_rate(0);
}

#[test]
#[cfg_attr(not(all(target_os = "linux", target_arch = "x86_64")), ignore = "no stacks there")]
fn whoever_unlocks_is_counted_once_somebody_is_let_in() {
    let _alone = RATES.lock();
    let (site, origin) = (Location::caller(), Origin::Name("let in"));
    let lock = Monitor::new(origin);
    let counted = || -> i64 {
        let table = MUTEX.table.get();
        let tag = Tag::new(Kind::Mutex, Some(origin), None).to_bits();
        let of = |r: &Recorded<2>| if r.tag == tag { r.values[0] } else { 0 };
        table.map_or(0, |table| table.recorded().iter().map(of).sum::<i64>()) >> COUNT_SHIFT
    };
    with_rates(1, 1, || {
        let (first, second) = (lock.wait(Kind::Mutex, site), lock.wait(Kind::Mutex, site));
        for _ in 0..10 {
            fake::advance(100);
            lock.unlocking(Kind::Mutex);
        }
        assert_eq!(counted(), 0);
        first.acquired();
        assert_eq!(counted(), 1);
        second.gave_up();
        lock.unlocking(Kind::Mutex);
        assert_eq!(counted(), 1);
    });
}

#[test]
fn who_finds_no_room_in_an_account_is_charged_to_nobody() {
    let _alone = RATES.lock();
    let lock = Monitor::new(Origin::here());
    with_rates(1, 1, || {
        lock.fill(clock::ticks());
        let unseen = || UNSEEN.read()[1];
        for end in [Wait::acquired, Wait::gave_up] {
            let before = unseen();
            let wait = lock.wait(Kind::Mutex, Location::caller());
            fake::advance(5_000);
            end(wait);
            // Others' waits may have been added.
            assert!(unseen() - before >= 5_000);
        }
    });
}

fn wait_of_nothing() {
    wait(Kind::Join, None, Location::caller()).acquired();
}

#[test]
#[cfg(feature = "instrument")]
fn joins_say_whose_end_they_wait_for() {
    use crate::thread;
    use std::sync::mpsc::channel;

    let until_waiting = |actor: Actor, target: Actor| {
        while !live::waits().any(|w| w.entry.actor == actor && w.entry.target == target) {
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let worker = || {
        let (end, ends) = channel::<()>();
        let run = move || {
            let _ = ends.recv();
            Actor::thread()
        };
        (run, end)
    };
    let (run, end) = worker();
    let joined = thread::spawn(run);
    let target = joined.actor();
    let (tell, told) = channel();
    let joiner = thread::spawn(move || {
        tell.send(Actor::thread()).unwrap();
        joined.join().unwrap()
    });
    until_waiting(told.recv().unwrap(), target);
    drop(end);
    assert_eq!(joiner.join().unwrap(), target);

    // The end of a scope waits for one after the other, whichever ends first.
    let ((first, end_first), (second, end_second)) = (worker(), worker());
    let (tell, told) = channel();
    let waiter = thread::spawn(move || {
        thread::scope(|scope| {
            let threads = [scope.spawn(first), scope.spawn(second)];
            tell.send((Actor::thread(), threads.map(|thread| thread.actor()))).unwrap();
        });
    });
    let (here, [first, second]) = told.recv().unwrap();
    until_waiting(here, first);
    drop(end_first);
    until_waiting(here, second);
    drop(end_second);
    waiter.join().unwrap();
}
