//! The kernel's part of a lock: threads sleep on a word of memory while it says what they expect.

use std::io;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use super::Woken;

/// Sleeps while `word` is `expected`; may return early.
pub(in crate::sync) fn wait(word: &AtomicU32, expected: u32) {
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    let forever = std::ptr::null::<libc::timespec>();
    // SAFETY: the word is valid for the call and the kernel only reads it. Any outcome (woken, changed,
    // interrupted) means: look again.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, expected, forever) };
}

/// Sleeps until somebody wakes it up, at most for `timeout`, unless `word` is not `expected`. Signals do not end it.
pub(super) fn wait_for(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Woken {
    let deadline = timeout.and_then(deadline);
    let deadline = deadline.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // The plain operation takes a time from now on, which would begin anew after a signal.
    let operation = libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG;
    let (unused, any) = (std::ptr::null::<u32>(), libc::FUTEX_BITSET_MATCH_ANY);
    let mut slept = false;
    loop {
        let (address, call) = (word.as_ptr(), libc::SYS_futex);
        // SAFETY: the word is valid for the call, which only reads it; the deadline is null or a local.
        let result =
            unsafe { libc::syscall(call, address, operation, expected, deadline, unused, any) };
        let error = if result == 0 { None } else { io::Error::last_os_error().raw_os_error() };
        match error {
            Some(libc::EINTR) => slept = true,
            Some(libc::ETIMEDOUT) => return Woken::TimedOut,
            // Changed in the moment between two sleeps, or before the first.
            Some(_) if !slept => return Woken::AtOnce,
            _ => return Woken::Notified,
        }
    }
}

/// `None`, which is never, if it is beyond what the clock counts to.
fn deadline(timeout: Duration) -> Option<libc::timespec> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a local for the call to fill.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec = time.tv_sec.checked_add(timeout.as_secs().try_into().ok()?)?;
    // Below 2 000 000 000, which fits.
    time.tv_nsec += timeout.subsec_nanos() as libc::c_long;
    if time.tv_nsec >= 1_000_000_000 {
        time.tv_nsec -= 1_000_000_000;
        time.tv_sec = time.tv_sec.checked_add(1)?;
    }
    Some(time)
}

/// Wakes one thread that sleeps on `word`; false if none does.
#[cold]
pub(super) fn wake_one(word: &AtomicU32) -> bool {
    wake(word, 1) > 0
}

/// Wakes every thread that sleeps on `word`.
#[cold]
pub(in crate::sync) fn wake_all(word: &AtomicU32) {
    wake(word, i32::MAX);
}

fn wake(word: &AtomicU32, count: i32) -> libc::c_long {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the kernel uses the address as a key only; it may have been freed by the thread let in.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, count) }
}
