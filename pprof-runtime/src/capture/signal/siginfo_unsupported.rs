//! Platforms without per-thread timers: the handler is never installed, and no signal is ours.

/// # Safety
/// None asked: nothing is read.
pub(super) unsafe fn expiration(_info: *const libc::siginfo_t) -> Option<(libc::c_int, usize)> {
    None
}

pub(super) fn keeping_errno(body: impl FnOnce()) {
    body();
}

pub(super) fn thread_id() -> libc::pid_t {
    // SAFETY: takes nothing and cannot fail. One thread at a time will do: there are no signals.
    unsafe { libc::getpid() }
}
