//! What threads wait on that is neither lock nor channel.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::{Contender, Setup, contenders};

/// Pairs of threads that hand a token to and fro: an operation is one hand-over. The last waits are cut short when time is up.
macro_rules! run_condvar {
    ($setup:ident, $new:expr) => {{
        let pairs: Vec<_> = (0..$setup.threads / 2).map(|_| $new).collect();
        $setup.measure(|thread| {
            let (turn, changed) = &pairs[thread / 2];
            let mine = thread % 2 == 0;
            let mut token = turn.lock().unwrap();
            if *token != mine {
                // The other one may have stopped.
                token =
                    changed.wait_timeout(token, std::time::Duration::from_millis(50)).unwrap().0;
            }
            *token = !mine;
            drop(token);
            changed.notify_one();
            $setup.work();
        })
    }};
}

pub(crate) fn condvar(s: Setup) -> Vec<Contender> {
    contenders!(
        s,
        run_condvar,
        (std::sync::Mutex::new(true), std::sync::Condvar::new()),
        (pprof_runtime::sync::Mutex::new(true), pprof_runtime::sync::Condvar::new())
    )
}

macro_rules! run_once_lock {
    ($setup:ident, $new:expr) => {{
        let cell = $new;
        $setup.measure(|_| {
            black_box(black_box(&cell).get_or_init(|| 1_u64));
            $setup.work();
        })
    }};
}

/// Once it is initialised.
pub(crate) fn once_lock(s: Setup) -> Vec<Contender> {
    contenders!(s, run_once_lock, std::sync::OnceLock::new(), pprof_runtime::sync::OnceLock::new())
}

/// All meet until one of them finds the time up, and leaves the others no one to wait for but those that take its place.
macro_rules! run_barrier {
    ($setup:ident, $new:expr) => {{
        let new = $new;
        let pairs: Vec<_> = (0..$setup.threads / 2).map(|_| new(2)).collect();
        let (stopped, rounds) = (AtomicBool::new(false), AtomicU32::new(0));
        let start = std::time::Instant::now();
        std::thread::scope(|scope| {
            for thread in 0..$setup.threads {
                let (pairs, stopped, rounds) = (&pairs, &stopped, &rounds);
                scope.spawn(move || {
                    let barrier = &pairs[thread / 2];
                    loop {
                        // Whether to stop is decided between two meetings, by one of the pair, so both learn the same.
                        if barrier.wait().is_leader() {
                            rounds.fetch_add(1, Ordering::Relaxed);
                        }
                        if thread % 2 == 0 && start.elapsed().as_millis() > 300 {
                            stopped.store(true, Ordering::Relaxed);
                        }
                        barrier.wait();
                        if stopped.load(Ordering::Relaxed) {
                            break;
                        }
                        barrier.wait();
                        $setup.work();
                    }
                });
            }
        });
        let meetings = f64::from(rounds.into_inner()) * 3.0;
        crate::Figures::new(start.elapsed().as_nanos() as f64 / meetings)
    }};
}

pub(crate) fn barrier(s: Setup) -> Vec<Contender> {
    let s = Setup { threads: 2, ..s };
    contenders!(s, run_barrier, std::sync::Barrier::new, pprof_runtime::sync::Barrier::new)
}

/// As `run_condvar`, with the token in an atomic.
macro_rules! run_park {
    ($setup:ident, $park:expr) => {{
        let park = $park;
        let turns: Vec<AtomicU32> = (0..$setup.threads / 2).map(|_| AtomicU32::new(0)).collect();
        let threads: Vec<std::sync::OnceLock<std::thread::Thread>> =
            (0..$setup.threads).map(|_| std::sync::OnceLock::new()).collect();
        $setup.measure(|thread| {
            threads[thread].get_or_init(std::thread::current);
            let (turn, mine) = (&turns[thread / 2], thread as u32 % 2);
            if turn.load(Ordering::Acquire) != mine {
                park(std::time::Duration::from_millis(50));
            }
            turn.store(1 - mine, Ordering::Release);
            if let Some(other) = threads[thread ^ 1].get() {
                other.unpark();
            }
            $setup.work();
        })
    }};
}

pub(crate) fn park(s: Setup) -> Vec<Contender> {
    contenders!(s, run_park, std::thread::park_timeout, pprof_runtime::thread::park_timeout)
}

macro_rules! run_join {
    ($setup:ident, $spawn:expr) => {{
        let spawn = $spawn;
        let setup = Setup { threads: 2, ..$setup };
        let per_thread = setup.measure(|_| {
            spawn(move || $setup.work()).join().unwrap();
        });
        per_thread
    }};
}

/// Spawn and join.
pub(crate) fn join(s: Setup) -> Vec<Contender> {
    contenders!(s, run_join, std::thread::spawn::<_, ()>, pprof_runtime::thread::spawn::<_, ()>)
}
