//! Threads that wait to be unparked, by std's own [`Thread::unpark`](std::thread::Thread::unpark).

use std::hint::black_box;
use std::panic::Location;
use std::thread;
use std::time::Duration;

use crate::clock;
use crate::source::contention::{Kind, Site, wait_timed};

/// What nobody can fall asleep and be woken in. Only std knows whether it found the thread unparked already; by the time it took we can
/// tell.
const SLEEPLESS_NS: u64 = 1_000;

/// Waits until the thread is unparked, as [`std::thread::park`] does; not at all if it was since it parked last.
#[inline(always)]
#[track_caller]
pub fn park() {
    parked(Location::caller(), true, thread::park);
}

/// Waits until the thread is unparked, at most for `dur`, as [`std::thread::park_timeout`] does.
///
/// The wait is a block event however it ends. With a `dur` of zero there is none.
#[inline(always)]
#[track_caller]
pub fn park_timeout(dur: Duration) {
    if dur.is_zero() {
        thread::park_timeout(dur);
    } else {
        parked(Location::caller(), false, || thread::park_timeout(dur));
    }
}

/// [`park_timeout`] in milliseconds.
#[inline(always)]
#[track_caller]
#[deprecated(since = "0.1.0", note = "use `park_timeout`, as std says of its own")]
pub fn park_timeout_ms(ms: u32) {
    park_timeout(Duration::from_millis(ms.into()));
}

/// One block event of the function this is inlined into.
#[inline(always)]
fn parked(site: Site, until_told: bool, park: impl FnOnce()) {
    timed(site, until_told, park);
    // Work left after the call: as a jump it would run when the frame of the function to charge is gone.
    black_box(());
}

#[inline(never)]
fn timed(site: Site, until_told: bool, park: impl FnOnce()) {
    let wait = wait_timed(Kind::Park, None, site, !until_told);
    if !wait.is_timed() {
        park();
        return wait.acquired();
    }
    let began = clock::ticks();
    park();
    if clock::ticks_to_ns(clock::ticks().saturating_sub(began)) < SLEEPLESS_NS {
        wait.did_not_sleep();
    } else {
        wait.acquired();
    }
}
