//! What Linux tells a handler about an expired timer.

/// The part of `siginfo_t` that a timer fills in (asm-generic/siginfo.h, `_timer`).
#[repr(C)]
struct TimerInfo {
    si_signo: libc::c_int,
    si_errno: libc::c_int,
    si_code: libc::c_int,
    _pad: libc::c_int,
    si_timerid: libc::c_int,
    si_overrun: libc::c_int,
    si_value: usize,
}

/// The timer's overrun and the value it carries, if a timer sent the signal.
///
/// # Safety
/// - `info` is the one passed to the running handler.
///
/// # Signal safety
/// One read.
pub(super) unsafe fn expiration(info: *const libc::siginfo_t) -> Option<(libc::c_int, usize)> {
    // SAFETY: with SA_SIGINFO the kernel passes a valid siginfo, at least as large as `TimerInfo`.
    let timer = unsafe { &*info.cast::<TimerInfo>() };
    (timer.si_code == libc::SI_TIMER).then_some((timer.si_overrun, timer.si_value))
}

/// Runs `body` and leaves errno as it was.
///
/// # Signal safety
/// As `body`.
pub(super) fn keeping_errno(body: impl FnOnce()) {
    // SAFETY: SIGNAL-SAFE: returns the address of this thread's errno.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: always valid for the running thread.
    let saved = unsafe { *errno };
    body();
    // SAFETY: as above.
    unsafe { *errno = saved };
}

/// The running thread.
///
/// # Signal safety
/// One system call.
pub(super) fn thread_id() -> libc::pid_t {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::syscall(libc::SYS_gettid) as libc::pid_t }
}
