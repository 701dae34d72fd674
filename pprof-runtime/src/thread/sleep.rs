//! Sleeps, which are profiled on request.

use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::source::contention::{Event, Kind, blocked};

static PROFILED: AtomicBool = AtomicBool::new(false);

/// Chooses whether [`sleep`] is in the `block` profile, with the kind `sleep`, and returns the former setting.
///
/// Off initially: Go leaves sleeps out, and timers would hide what waits for others.
pub fn set_sleep_profile(on: bool) -> bool {
    // ORDERING: Relaxed: a setting read for its value.
    PROFILED.swap(on, Ordering::Relaxed)
}

/// Sleeps for at least `dur`, as [`std::thread::sleep`] does; a block event only after [`set_sleep_profile`]`(true)`.
#[inline(always)]
#[track_caller]
pub fn sleep(dur: Duration) {
    // ORDERING: Relaxed: a setting read for its value.
    if PROFILED.load(Ordering::Relaxed) && !dur.is_zero() {
        let event = Event::new(Kind::Sleep, None, Location::caller()).timed();
        blocked(event, || thread::sleep(dur));
    } else {
        thread::sleep(dur);
    }
}

/// [`sleep`] in milliseconds.
#[inline(always)]
#[track_caller]
#[deprecated(since = "0.1.0", note = "use `sleep`, as std says of its own")]
pub fn sleep_ms(ms: u32) {
    sleep(Duration::from_millis(ms.into()));
}
