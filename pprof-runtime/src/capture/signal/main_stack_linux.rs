//! The alternate stack of the main thread, on which its signals are handled.
//!
//! std gives every thread one, and takes the main thread's away when the process is told to exit, by whatever thread: the main thread, if that is another
//! one, goes on with a stack that is not mapped, and its next signal ends the process by SIGSEGV (rust-lang/rust#111272). So the main thread gets
//! one of ours, which stays: at once where it starts the profile itself, else in the handler of its first signal. A stack of anybody else's, whose size is
//! another, is left alone.

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use super::super::registers;
use super::siginfo::thread_id;

/// What handlers may need: as std's, and more.
const SIZE: usize = 64 << 10;

/// Null before `prepare`, and where there is no memory.
static OURS: AtomicPtr<libc::c_void> = AtomicPtr::new(ptr::null_mut());

/// Bytes of the stacks that std makes.
static STDS_SIZE: AtomicUsize = AtomicUsize::new(0);

/// The main thread has ours, or one that is not std's.
static IS_SETTLED: AtomicBool = AtomicBool::new(false);

/// Makes the stack, once, and gives it to the main thread if that is the calling one. Not from a handler, nor by two threads at once.
pub(super) fn prepare() {
    // ORDERING: Relaxed: one thread at a time.
    if OURS.load(Ordering::Relaxed).is_null() {
        // SAFETY: takes a number.
        let least = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
        if least > SIZE / 2 {
            return;
        }
        // ORDERING: Relaxed: published with `OURS`.
        STDS_SIZE.store(least.max(libc::SIGSTKSZ), Ordering::Relaxed);
        let (read_write, private) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let size = SIZE;
        // SAFETY: new memory, wherever there is room.
        let made = unsafe { libc::mmap(ptr::null_mut(), size, read_write, private, -1, 0) };
        if made == libc::MAP_FAILED {
            return;
        }
        // ORDERING: Release pairs with the Acquire in `settle`.
        OURS.store(made, Ordering::Release);
    }
    let mut current = MaybeUninit::<libc::stack_t>::uninit();
    // SAFETY: asks only, and fills `current`.
    if is_main() && unsafe { libc::sigaltstack(ptr::null(), current.as_mut_ptr()) } == 0 {
        // SAFETY: filled.
        let mut stack = unsafe { current.assume_init() };
        if settle(&mut stack) {
            // SAFETY: memory of ours, which stays. On an alternate stack it fails, and the former one stays.
            unsafe { libc::sigaltstack(&stack, ptr::null_mut()) };
        }
    }
}

/// Has the main thread's next signal handled on our stack, if this is the main thread and its stack is std's. The handler that runs ends on that.
///
/// # Safety
/// - `context` is the one passed to the running handler, for which all signals but faults are blocked.
///
/// # Signal safety
/// Atomics, three system calls at most until the main thread had its first signal, and a write to the context.
pub(super) unsafe fn keep(context: *mut libc::c_void) {
    // ORDERING: Relaxed: who comes late asks once more.
    if IS_SETTLED.load(Ordering::Relaxed) || !is_main() {
        return;
    }
    // SAFETY: the caller's promise.
    let interrupted = unsafe { registers::from_ucontext(context) };
    // What the kernel sets when the handler returns: with it alone some kernels would have it, others look at the stack pointer first.
    // SAFETY: the caller's promise.
    let stack = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_stack };
    let before = *stack;
    // SAFETY: memory of ours, which stays; and the caller's promise.
    if settle(stack) && !unsafe { registers::replace_signal_stack(stack, interrupted.sp) } {
        *stack = before;
    }
}

/// Puts our stack in the place of std's; whether it did. Whose it is does not change any more.
fn settle(stack: &mut libc::stack_t) -> bool {
    // ORDERING: Acquire pairs with the Release in `prepare`.
    let ours = OURS.load(Ordering::Acquire);
    // ORDERING: Relaxed: published with `OURS`; and a note.
    let is_stds = stack.ss_size == STDS_SIZE.load(Ordering::Relaxed);
    IS_SETTLED.store(!ours.is_null(), Ordering::Relaxed);
    let is_to_be_ours = !ours.is_null() && is_stds && stack.ss_flags & libc::SS_DISABLE == 0;
    if is_to_be_ours {
        (stack.ss_sp, stack.ss_size, stack.ss_flags) = (ours, SIZE, 0);
    }
    is_to_be_ours
}

fn is_main() -> bool {
    // SAFETY: SIGNAL-SAFE: takes nothing and cannot fail.
    thread_id() == unsafe { libc::getpid() }
}
