//! Waits at a `Barrier`. One process, as rates are the process's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pprof_runtime::lookup;
use pprof_runtime::sync::Barrier;
use pprof_tests::waits::{assert_one_wait, contentions, delay, snapshot, until_waiting};

const WAIT: Duration = Duration::from_millis(30);

#[test]
fn everything_about_barriers() {
    pprof_runtime::set_mutex_profile_fraction(1);
    pprof_runtime::set_block_profile_rate(1);
    all_but_the_leader_wait();
    every_round_counts();
    waits_are_as_long_as_they_are();
    assert_eq!(contentions(&snapshot("mutex"), ""), 0, "nobody holds a barrier");
}

#[inline(never)]
fn follows(barrier: &Barrier) -> Duration {
    let began = Instant::now();
    assert!(!barrier.wait().is_leader());
    began.elapsed()
}

#[inline(never)]
fn leads(barrier: &Barrier) {
    assert!(barrier.wait().is_leader());
}

fn all_but_the_leader_wait() {
    let barrier = Barrier::new(2);
    let line = line!() - 1;
    let waited = thread::scope(|scope| {
        let follower = scope.spawn(|| follows(&barrier));
        until_waiting("::follows");
        thread::sleep(WAIT);
        leads(&barrier);
        follower.join().unwrap()
    });
    assert_eq!(contentions(&snapshot("block"), "::leads"), 0);
    let lock = format!("lock={}:{line}", file!());
    assert_one_wait("::follows", waited, &["kind=barrier", &lock]);

    leads(&Barrier::new(1));
    leads(&Barrier::new(0));
    assert_eq!(contentions(&snapshot("block"), ""), 0, "alone nobody waits");
}

fn every_round_counts() {
    const ROUNDS: usize = 3;
    let barrier = Barrier::named(2, "rounds");
    for _ in 0..ROUNDS {
        thread::scope(|scope| {
            scope.spawn(|| follows(&barrier));
            until_waiting("::follows");
            leads(&barrier);
        });
    }
    assert_eq!(contentions(&snapshot("block"), "::follows"), ROUNDS as i64);
    lookup("block").unwrap().reset();
}

/// The machine may stop a thread between its clock and ours, which spoils a round, but not every round.
fn waits_are_as_long_as_they_are() {
    const FOLLOWERS: usize = 4;
    let round = || {
        let (barrier, waited) = (Barrier::new(FOLLOWERS + 1), AtomicU64::new(0));
        let come = std::sync::Barrier::new(FOLLOWERS + 1);
        thread::scope(|scope| {
            for _ in 0..FOLLOWERS {
                scope.spawn(|| {
                    come.wait();
                    waited.fetch_add(follows(&barrier).as_nanos() as u64, Ordering::Relaxed);
                });
            }
            come.wait();
            thread::sleep(WAIT);
            leads(&barrier);
        });
        let profile = snapshot("block");
        lookup("block").unwrap().reset();
        let (count, ns) = (contentions(&profile, "::follows"), delay(&profile, "::follows"));
        let truth = waited.into_inner();
        let right = count == FOLLOWERS as i64 && (ns as f64 / truth as f64 - 1.0).abs() < 0.05;
        if right { Ok(()) } else { Err(format!("{count} waits, {ns} ns, in truth {truth}")) }
    };
    let wrong: Vec<_> = (0..10).map_while(|_| round().err()).collect();
    assert!(wrong.len() < 10, "{wrong:#?}");
}
