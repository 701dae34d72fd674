//! `syscall` on aarch64 Linux.

use std::arch::{asm, naked_asm};
use std::ffi::c_long;

use super::calls;

/// libc's `syscall(number, ...)`; see the x86_64 one.
///
/// # Safety
/// - the arguments are what that system call asks for.
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn syscall(number: c_long) -> c_long {
    naked_asm!(
        ".cfi_startproc",
        "cmp x0, #{futex_number}",
        "b.eq 2f",
        "mov x8, x0",
        "mov x0, x1",
        "mov x1, x2",
        "mov x2, x3",
        "mov x3, x4",
        "mov x4, x5",
        "mov x5, x6",
        "svc #0",
        "cmn x0, #4095",
        "b.cs 3f",
        "ret",
        "2:",
        "b {futex}",
        "3:",
        "neg x0, x0",
        "b {fail}",
        ".cfi_endproc",
        futex_number = const libc::SYS_futex,
        futex = sym calls::futex,
        fail = sym calls::fail,
    )
}

/// The kernel's answer: a value, or an error's number negated.
///
/// # Safety
/// - the arguments are what that system call asks for.
#[inline(always)]
pub(super) unsafe fn raw(number: c_long, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: what the kernel does with memory is the caller's promise; it changes no other registers.
    unsafe {
        asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b,
            in("x2") c,
            in("x3") d,
            in("x4") e,
            in("x5") f,
            options(nostack)
        );
    }
    result
}
