//! Ticks: the cheapest clock that runs at one rate on every core.
//!
//! A wait or a call is timed by two looks at this clock; nanoseconds are made of ticks only where values are recorded or read.

#[cfg_attr(target_arch = "x86_64", path = "tsc_x86_64.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "monotonic.rs")]
mod counter;
#[cfg(target_arch = "x86_64")]
mod monotonic;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[cfg(not(test))]
pub(crate) use counter::ticks;
#[cfg(test)]
pub(crate) use fake::ticks;

/// Nanoseconds per tick, as a fraction of 2^32. One to one until `calibrate`.
static SCALE: AtomicU64 = AtomicU64::new(1 << 32);

/// Time between the two looks that relate ticks to nanoseconds: each is good to about 0.1 µs, so the scale to 0.01 %.
const CALIBRATION: Duration = Duration::from_millis(2);

/// Chooses the counter and measures its rate, once per process; sleeps 2 ms the first time. To be called before anything is
/// timed, outside every hot path.
pub(crate) fn calibrate() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        if !counter::choose() {
            return;
        }
        let (tick0, ns0) = both();
        std::thread::sleep(CALIBRATION);
        let (tick1, ns1) = both();
        let (ticks, ns) = (tick1.saturating_sub(tick0), ns1.saturating_sub(ns0));
        let scale = (u128::from(ns) << 32).checked_div(u128::from(ticks)).unwrap_or(1 << 32);
        // ORDERING: Relaxed: `Once` orders it before whoever returns from `calibrate`.
        SCALE.store(u64::try_from(scale).unwrap_or(1 << 32), Ordering::Relaxed);
    });
}

/// `ticks` as nanoseconds.
pub(crate) fn ticks_to_ns(ticks: u64) -> u64 {
    // ORDERING: Relaxed: written once, before anything was timed.
    let scale = SCALE.load(Ordering::Relaxed);
    u64::try_from((u128::from(ticks) * u128::from(scale)) >> 32).unwrap_or(u64::MAX)
}

/// CPU time that the thread has used, in nanoseconds; a system call. Zero where it cannot be read.
pub(crate) fn thread_cpu_ns() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a local for the call to fill.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec.wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec)
}

/// Both clocks at one moment: the best of a few tries, in case the thread is interrupted between them.
fn both() -> (u64, u64) {
    let attempt = || {
        let before = ticks();
        let ns = monotonic_ns();
        let after = ticks();
        (after.saturating_sub(before), before + after.saturating_sub(before) / 2, ns)
    };
    let best = (0..8).map(|_| attempt()).min().unwrap_or_else(attempt);
    (best.1, best.2)
}

/// CLOCK_MONOTONIC in nanoseconds; zero where it cannot be read.
fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a local for the call to fill.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// A clock for tests: counts who looks, and shows what the test says, both for the calling thread alone.
#[cfg(test)]
pub(crate) mod fake {
    use std::cell::Cell;

    thread_local! {
        static LOOKS: Cell<u64> = const { Cell::new(0) };
        static NOW: Cell<Option<u64>> = const { Cell::new(None) };
    }

    pub(crate) fn ticks() -> u64 {
        LOOKS.set(LOOKS.get() + 1);
        NOW.get().unwrap_or_else(super::counter::ticks)
    }

    /// Looks of this thread so far.
    pub(crate) fn looks() -> u64 {
        LOOKS.get()
    }

    /// From now on it is `ns` later for this thread than the last time that it asked for that, and no time passes by itself.
    pub(crate) fn advance(ns: u64) {
        // ORDERING: Relaxed: tests calibrate first.
        let scale = u128::from(super::SCALE.load(super::Ordering::Relaxed));
        let ticks = (u128::from(ns) << 32).div_ceil(scale);
        NOW.set(Some(NOW.get().unwrap_or_else(super::counter::ticks) + ticks as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn ticks_agree_with_the_system_clock() {
        calibrate();
        let start = Instant::now();
        let before = ticks();
        std::thread::sleep(Duration::from_millis(50));
        let ns = ticks_to_ns(ticks().saturating_sub(before));
        let truth = start.elapsed().as_nanos() as u64;
        // The looks at the two clocks may lie apart on a busy machine, always in one direction.
        assert!(ns <= truth + truth / 500, "{ns} ns in {truth}");
        assert!(ns >= 50_000_000 - 50_000_000 / 500, "{ns} ns in {truth}");
    }
}
