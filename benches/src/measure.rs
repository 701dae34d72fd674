//! Clocks and counts.

use std::sync::Barrier;
use std::time::{Duration, Instant};

/// CPU time of the process so far.
pub(crate) fn process_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a local for the call to fill.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The most memory that the process ever had in use.
pub(crate) fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kb.unwrap_or(f64::NAN) / 1024.0
}

/// Nanoseconds for each `operation`, of one thread: the lower quartile of many short stretches, as on a machine that others
/// use too most disturbances are longer than a stretch.
pub(crate) fn one_thread(mut operation: impl FnMut(u64)) -> f64 {
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
pub(crate) fn two_threads(stretch: u64, operation: impl Fn(u64) + Sync) -> f64 {
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
