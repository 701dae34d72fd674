//! Clocks and counts, and work to be counted.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// CPU time of the process so far.
#[must_use]
pub fn process_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a local for the call to fill.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The most memory that the process ever had in use.
#[must_use]
pub fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kb.unwrap_or(f64::NAN) / 1024.0
}

/// Nanoseconds for each `operation`, of one thread: the lower quartile of many short stretches, as on a machine that others
/// use too most disturbances are longer than a stretch.
pub fn one_thread(mut operation: impl FnMut(u64)) -> f64 {
    const STRETCH: u64 = 20_000;
    let mut stretches: Vec<f64> = (0..200)
        .map(|_| {
            let start = Instant::now();
            (0..STRETCH).for_each(&mut operation);
            start.elapsed().as_nanos() as f64 / STRETCH as f64
        })
        .collect();
    stretches.sort_by(f64::total_cmp);
    stretches[stretches.len() / 4]
}

/// Nanoseconds for each `operation`, of two threads that run it at the same time: the median of stretches. A stretch has to last much
/// longer than a thread takes to wake up, or the two run one after the other.
pub fn two_threads(stretch: u64, operation: impl Fn(u64) + Sync) -> f64 {
    let start_line = Barrier::new(2);
    let run = || -> Vec<f64> {
        (0..7)
            .map(|_| {
                start_line.wait();
                let start = Instant::now();
                (0..stretch).for_each(&operation);
                start_line.wait();
                start.elapsed().as_nanos() as f64 / (2 * stretch) as f64
            })
            .collect()
    };
    let mut stretches = std::thread::scope(|scope| {
        let other = scope.spawn(run);
        let mut mine = run();
        mine.extend(other.join().expect("the operation does not panic"));
        mine
    });
    stretches.sort_by(f64::total_cmp);
    stretches[stretches.len() / 2]
}

/// Nanoseconds between two operations of all `threads` together, over a fixed time. `operation` gets the number of its thread.
///
/// # Panics
/// If an operation does.
pub fn throughput(threads: usize, operation: impl Fn(usize) + Sync) -> f64 {
    const TIME: Duration = Duration::from_millis(300);
    let (start_line, stop) = (Barrier::new(threads + 1), AtomicBool::new(false));
    let done = AtomicU64::new(0);
    let elapsed = std::thread::scope(|scope| {
        for thread in 0..threads {
            let (start_line, stop, done, operation) = (&start_line, &stop, &done, &operation);
            scope.spawn(move || {
                let mut count = 0;
                start_line.wait();
                while !stop.load(Ordering::Relaxed) {
                    operation(thread);
                    count += 1;
                }
                done.fetch_add(count, Ordering::Relaxed);
            });
        }
        start_line.wait();
        let start = Instant::now();
        std::thread::sleep(TIME);
        stop.store(true, Ordering::Relaxed);
        start.elapsed()
    });
    elapsed.as_nanos() as f64 / done.into_inner().max(1) as f64
}

/// Work of about `microseconds`: the same for every contender, whatever the machine does.
pub fn work(microseconds: u64) {
    let mut x = black_box(88_172_645_463_325_252_u64);
    for _ in 0..microseconds * 300 {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    black_box(x);
}
