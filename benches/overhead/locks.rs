//! Mutexes and readers-writer locks: std's, plain and watched, ours with profiles off and on, hotpath's.

use std::hint::{black_box, spin_loop};
use std::time::{Duration, Instant};

use pprof_benches::contender::{Contender, Figures, ns};
use pprof_benches::measure;

/// A `Mutex<u64>` or `RwLock<u64>` of any make, put to `$measure`.
macro_rules! contenders {
    ($lock:ident, $hotpath:ident, $measure:ident) => {{
        #[allow(unused_mut)]
        let mut contenders = vec![
            ns("std", || $measure!(std::sync::$lock::new(0_u64))),
            ns("std, futexes watched, fraction 100, rate 10 us", || {
                watch(100, 10_000);
                $measure!(std::sync::$lock::new(0_u64))
            }),
            ns("std, futexes watched, fraction 1, rate 1 ns (everything)", || {
                watch(1, 1);
                $measure!(std::sync::$lock::new(0_u64))
            }),
            ns("ours, profiles off", || $measure!(pprof_runtime::sync::$lock::new(0_u64))),
            ns("ours, fraction 100, rate 10 us", || {
                profiles_on(100, 10_000);
                $measure!(pprof_runtime::sync::$lock::new(0_u64))
            }),
            ns("ours, fraction 1, rate 1 ns (everything)", || {
                profiles_on(1, 1);
                $measure!(pprof_runtime::sync::$lock::new(0_u64))
            }),
        ];
        #[cfg(feature = "peers")]
        contenders.push(ns("hotpath", || {
            let _guard = hotpath::HotpathGuardBuilder::new("bench").build();
            let figures = $measure!(hotpath::$hotpath!(std::sync::$lock::new(0_u64)));
            // Its report would be printed at the end.
            println!("{}", figures.to_line());
            std::process::exit(0)
        }));
        contenders
    }};
}

fn profiles_on(fraction: i64, rate_ns: i64) {
    pprof_runtime::set_mutex_profile_fraction(fraction);
    pprof_runtime::set_block_profile_rate(rate_ns);
}

fn watch(fraction: i64, rate_ns: i64) {
    profiles_on(fraction, rate_ns);
    pprof_runtime::futex::start().expect("this is an executable");
}

macro_rules! measure_uncontended {
    ($mutex:expr) => {{
        let mutex = $mutex;
        Figures::new(measure::one_thread(|i| {
            *black_box(&mutex).lock().unwrap() += i;
        }))
    }};
}

macro_rules! measure_contended {
    ($mutex:expr) => {{
        let mutex = $mutex;
        Figures::new(measure::two_threads(1_000_000, |i| {
            *black_box(&mutex).lock().unwrap() += i;
        }))
    }};
}

macro_rules! measure_worked {
    ($mutex:expr) => {{
        let mutex = $mutex;
        Figures::new(measure::two_threads(6_000, |i| {
            let mut value = black_box(&mutex).lock().unwrap();
            *value += i;
            work();
            drop(value);
            work();
        }))
    }};
}

macro_rules! measure_read {
    ($lock:expr) => {{
        let lock = $lock;
        Figures::new(measure::one_thread(|_| {
            black_box(*black_box(&lock).read().unwrap());
        }))
    }};
}

macro_rules! measure_write {
    ($lock:expr) => {{
        let lock = $lock;
        Figures::new(measure::one_thread(|i| {
            *black_box(&lock).write().unwrap() += i;
        }))
    }};
}

macro_rules! measure_readers {
    ($lock:expr) => {{
        let lock = $lock;
        Figures::new(measure::two_threads(1_000_000, |_| {
            black_box(*black_box(&lock).read().unwrap());
        }))
    }};
}

macro_rules! measure_mixed {
    ($lock:expr) => {{
        let lock = $lock;
        Figures::new(measure::two_threads(1_000_000, |i| {
            if i % 8 == 0 {
                *black_box(&lock).write().unwrap() += i;
            } else {
                black_box(*black_box(&lock).read().unwrap());
            }
        }))
    }};
}

macro_rules! measure_mixed_work {
    ($lock:expr) => {{
        let lock = $lock;
        Figures::new(measure::two_threads(6_000, |i| {
            if i % 4 == 0 {
                let mut value = black_box(&lock).write().unwrap();
                *value += i;
                work();
                drop(value);
            } else {
                let value = black_box(&lock).read().unwrap();
                black_box(*value);
                work();
                drop(value);
            }
            work();
        }))
    }};
}

/// A microsecond.
fn work() {
    let start = Instant::now();
    while start.elapsed() < Duration::from_micros(1) {
        spin_loop();
    }
}

pub(crate) fn uncontended() -> Vec<Contender> {
    contenders!(Mutex, mutex, measure_uncontended)
}

pub(crate) fn contended() -> Vec<Contender> {
    contenders!(Mutex, mutex, measure_contended)
}

pub(crate) fn worked() -> Vec<Contender> {
    contenders!(Mutex, mutex, measure_worked)
}

pub(crate) fn read() -> Vec<Contender> {
    contenders!(RwLock, rw_lock, measure_read)
}

pub(crate) fn write() -> Vec<Contender> {
    contenders!(RwLock, rw_lock, measure_write)
}

pub(crate) fn readers() -> Vec<Contender> {
    contenders!(RwLock, rw_lock, measure_readers)
}

pub(crate) fn mixed() -> Vec<Contender> {
    contenders!(RwLock, rw_lock, measure_mixed)
}

pub(crate) fn mixed_work() -> Vec<Contender> {
    contenders!(RwLock, rw_lock, measure_mixed_work)
}
