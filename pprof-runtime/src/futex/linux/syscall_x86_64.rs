//! `syscall` on x86_64 Linux (System V ABI, AMD64 supplement, A.2.1).

use std::arch::{asm, naked_asm};
use std::ffi::c_long;

use super::calls;

/// libc's `syscall(number, ...)`, for all of the program that is linked after this crate, std first of all.
///
/// In assembly, and without a frame as libc's: so callers may pass as many arguments as they like, and a `clone` that comes back on another
/// stack finds there what it expects.
///
/// # Safety
/// - the arguments are what that system call asks for.
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn syscall(number: c_long) -> c_long {
    naked_asm!(
        ".cfi_startproc",
        "cmp rdi, {futex_number}",
        "je 2f",
        "mov rax, rdi",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "mov rdx, rcx",
        "mov r10, r8",
        "mov r8, r9",
        "mov r9, [rsp + 8]",
        "syscall",
        "cmp rax, -4095",
        "jae 3f",
        "ret",
        // With all arguments where they are.
        "2:",
        "jmp {futex}",
        "3:",
        "neg rax",
        "mov rdi, rax",
        "jmp {fail}",
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
    // SAFETY: what the kernel does with memory is the caller's promise; it changes no registers but these and the flags.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            in("r9") f,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack)
        );
    }
    result
}
