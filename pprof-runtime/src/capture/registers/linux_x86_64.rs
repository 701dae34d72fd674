//! x86_64 Linux: rip, rsp, rbp.

use std::arch::asm;

use super::Registers;

/// Whether stacks can be captured on this platform.
pub(crate) const SUPPORTED: bool = true;

/// The registers of the calling function, at a pc inside it.
#[inline(always)]
pub(crate) fn current() -> Registers {
    let (pc, sp, fp): (u64, u64, u64);
    // SAFETY: reads three registers; touches neither memory, stack nor flags.
    unsafe {
        asm!(
            "lea {pc}, [rip]",
            "mov {sp}, rsp",
            "mov {fp}, rbp",
            pc = out(reg) pc,
            sp = out(reg) sp,
            fp = out(reg) fp,
            options(nomem, nostack, preserves_flags)
        );
    }
    Registers { pc, sp, fp }
}

/// An address inside the calling function.
#[inline(always)]
pub(crate) fn pc() -> u64 {
    let pc;
    // SAFETY: reads one register; touches neither memory, stack nor flags.
    unsafe { asm!("lea {pc}, [rip]", pc = out(reg) pc, options(nomem, nostack, preserves_flags)) };
    pc
}

/// What tells the calling thread from others: the address that its thread-locals are found by.
///
/// # Signal safety
/// One load from memory that every thread has.
#[inline(always)]
pub(crate) fn thread_pointer() -> usize {
    let pointer;
    // SAFETY: the psABI has the thread control block begin with its own address; touches neither stack nor flags.
    unsafe {
        asm!("mov {}, fs:0", out(reg) pointer, options(pure, readonly, nostack, preserves_flags));
    }
    pointer
}

/// The interrupted registers of a signal's `ucontext`.
///
/// # Safety
/// - `context` is the third argument the kernel passed to the `SA_SIGINFO` handler now running.
///
/// # Signal safety
/// Three loads from the kernel's signal frame.
pub(crate) unsafe fn from_ucontext(context: *const libc::c_void) -> Registers {
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: the kernel's `ucontext` outlives the handler (caller's promise) and is aligned for its type.
    let registers = unsafe { &(*context).uc_mcontext.gregs };
    let read = |index: libc::c_int| registers.get(index as usize).map_or(0, |v| *v as u64);
    Registers { pc: read(libc::REG_RIP), sp: read(libc::REG_RSP), fp: read(libc::REG_RBP) }
}

/// Makes `stack` the thread's alternate stack, also from a handler that runs on the one before: the kernel refuses that while the stack pointer lies
/// there, so that it is `sp` meanwhile. Whether it is done.
///
/// # Safety
/// - `stack` is mapped, and stays so while it is the thread's.
/// - Nobody is to be interrupted by a signal that is not blocked.
///
/// # Signal safety
/// A bare system call, in which nothing touches the stack.
pub(crate) unsafe fn replace_signal_stack(stack: &libc::stack_t, sp: u64) -> bool {
    let result: isize;
    // SAFETY: the stack pointer is as it was when this is over, and nothing is pushed in between; the kernel reads `stack`.
    unsafe {
        asm!(
            "mov {saved}, rsp",
            "mov rsp, {sp}",
            "syscall",
            "mov rsp, {saved}",
            saved = out(reg) _,
            sp = in(reg) sp,
            inlateout("rax") libc::SYS_sigaltstack as isize => result,
            in("rdi") stack,
            in("rsi") 0_usize,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result == 0
}
