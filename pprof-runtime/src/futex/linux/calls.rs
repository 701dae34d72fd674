//! Calls of `syscall(SYS_futex, ...)`: which of them wait, and which wake.

use std::ffi::{c_int, c_long};

use super::probe;
use super::syscall::raw;
use crate::futex::switch::{self, FUTEX, PROBING};
use crate::source::contention::foreign::{self, Outcome, Unlock};
use crate::source::contention::{Kind, nesting};

/// Arguments of the system call. Callers may have passed fewer: the rest is noise, of which the kernel looks at what the operation needs.
type Arguments = [usize; 6];

/// What `syscall` does if it is called with `SYS_futex`.
///
/// # Safety
/// - the arguments are what the system call asks for.
pub(super) unsafe extern "C" fn futex(
    _number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    let flags = switch::flags();
    let arguments = [a, b, c, d, e, f];
    let result = if flags & (FUTEX | PROBING) == 0 {
        // SAFETY: the caller's promise.
        unsafe { raw(libc::SYS_futex, arguments) }
    } else {
        // SAFETY: the caller's promise.
        unsafe { watched(flags, arguments) }
    };
    to_libc(result)
}

/// The kernel's answer as libc's functions give it.
fn to_libc(result: isize) -> c_long {
    const MAX_ERRNO: isize = 4095;
    if (-MAX_ERRNO..0).contains(&result) { fail(-result as c_long) } else { result as c_long }
}

/// Sets `errno`; returns -1.
pub(super) extern "C" fn fail(code: c_long) -> c_long {
    set_errno(code as c_int);
    -1
}

pub(super) fn errno() -> c_int {
    // SAFETY: always valid to call.
    let location = unsafe { libc::__errno_location() };
    // SAFETY: the calling thread's own.
    unsafe { *location }
}

pub(super) fn set_errno(code: c_int) {
    // SAFETY: always valid to call.
    let location = unsafe { libc::__errno_location() };
    // SAFETY: the calling thread's own.
    unsafe { *location = code };
}

/// # Safety
/// As [`futex`].
#[cold]
unsafe fn watched(flags: u8, arguments: Arguments) -> isize {
    if flags & PROBING != 0 {
        probe::seen();
    }
    if flags & FUTEX == 0 || nesting::is_nested() {
        // SAFETY: the caller's promise.
        return unsafe { raw(libc::SYS_futex, arguments) };
    }
    let [address, operation, .., second, _] = arguments;
    let before = errno();
    let result = match operation as c_int & libc::FUTEX_CMD_MASK {
        libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET | libc::FUTEX_LOCK_PI | FUTEX_LOCK_PI2 => {
            // SAFETY: the caller's promise.
            unsafe { wait(address, arguments) }
        }
        command => {
            let unlocks = match command {
                libc::FUTEX_WAKE
                | libc::FUTEX_WAKE_BITSET
                | libc::FUTEX_REQUEUE
                | libc::FUTEX_CMP_REQUEUE
                | libc::FUTEX_UNLOCK_PI => [foreign::wake(address), None],
                libc::FUTEX_WAKE_OP => [foreign::wake(address), foreign::wake(second)],
                _ => [None, None],
            };
            // SAFETY: the caller's promise.
            let result = unsafe { raw(libc::SYS_futex, arguments) };
            // The number of those who are woken; `UNLOCK_PI`, which is called if there are any, says whether it failed.
            if result > 0 || result == 0 && command == libc::FUTEX_UNLOCK_PI {
                unlocks.into_iter().flatten().for_each(Unlock::woke);
            }
            result
        }
    };
    // Recording makes system calls of its own, by libc's functions.
    set_errno(before);
    result
}

/// linux/futex.h
const FUTEX_LOCK_PI2: c_int = 13;

/// # Safety
/// As [`futex`].
#[inline(never)]
unsafe fn wait(address: usize, arguments: Arguments) -> isize {
    let wait = foreign::wait(Kind::Futex, Some(address));
    // SAFETY: the caller's promise.
    let result = unsafe { raw(libc::SYS_futex, arguments) };
    wait.end(match result {
        0 => Outcome::Woken,
        error if error == -libc::ETIMEDOUT as isize || error == -libc::EINTR as isize => {
            Outcome::GaveUp
        }
        // The word had changed (EAGAIN), or the call was in error.
        _ => Outcome::NotSlept,
    });
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_libcs() {
        set_errno(7);
        assert_eq!((to_libc(3), errno()), (3, 7));
        assert_eq!((to_libc(-libc::EAGAIN as isize), errno()), (-1, libc::EAGAIN));
        // Addresses that look negative are no errors.
        assert_eq!((to_libc(-4096), errno()), (-4096, libc::EAGAIN));
    }
}
