use super::*;
use crate::capture::memory::{Bounds, StackMemory, Window, current_bounds};
use crate::capture::registers;

fn walk_here(bounds: bool) -> (Vec<u64>, End) {
    refresh();
    let start = registers::current();
    let reader = Reader::enter(start.sp).expect("refreshed above");
    let mut window = Window::<1024>::new();
    let known: Option<Bounds> = if bounds { current_bounds(start.sp) } else { None };
    // SAFETY: the bounds are this thread's stack, from a live stack pointer up.
    let mut memory = unsafe { StackMemory::new(known, &mut window) };
    let mut frames = Frames::new();
    let end = walk(reader.tables(), start, &mut memory, &mut frames);
    (frames.as_slice().to_vec(), end)
}

#[inline(never)]
fn recurse(depth: u32, bounds: bool) -> (Vec<u64>, End) {
    if depth == 0 {
        return walk_here(bounds);
    }
    let result = recurse(depth - 1, bounds);
    std::hint::black_box(&result);
    result
}

#[test]
fn a_stack_is_whole_with_and_without_bounds() {
    let (with, end) = recurse(20, true);
    assert_eq!(end, End::Complete);
    let (without, end) = recurse(20, false);
    assert_eq!(end, End::Complete);
    assert_eq!(with.len(), without.len());
    // The twenty recursive calls all return to the same instruction.
    let inner = with[3];
    assert!(with.iter().filter(|a| **a == inner).count() >= 19, "{with:x?}");
}

#[test]
fn a_stack_deeper_than_the_limit_is_cut_and_says_so() {
    let (frames, end) = recurse(MAX_DEPTH_FRAMES as u32 + 40, true);
    assert_eq!(end, End::DepthLimit);
    assert_eq!(frames.len(), MAX_DEPTH_FRAMES);
}

#[test]
fn agrees_with_the_system_unwinder() {
    // `backtrace` in std walks the same frames through libgcc: compare their return addresses.
    unsafe extern "C" {
        fn backtrace(buffer: *mut *mut libc::c_void, size: libc::c_int) -> libc::c_int;
    }
    let mut buffer = [std::ptr::null_mut(); 100];
    let (ours, _) = walk_here(true);
    // SAFETY: glibc's `backtrace` writes at most `size` pointers.
    let n = unsafe { backtrace(buffer.as_mut_ptr(), 100) } as usize;
    let theirs: Vec<u64> = buffer[..n].iter().map(|p| *p as u64 - 1).collect();
    // Ours begins in `walk_here`, theirs in this function; calls differ for the innermost shared frame.
    let common = ours.len().min(theirs.len()) - 2;
    assert!(common >= 5, "{common}");
    assert_eq!(ours[ours.len() - common..], theirs[theirs.len() - common..]);
}

#[test]
fn hostile_registers_end_the_walk_with_a_reason() {
    refresh();
    let good = registers::current();
    let reader = Reader::enter(good.sp).expect("refreshed above");
    let mut window = Window::<1024>::new();
    let wild =
        [0, 1, 7, 8, 4096, u64::MAX, u64::MAX - 7, 1 << 47, 1 << 63, good.sp, good.fp, good.sp - 8];
    for pc in wild.into_iter().chain([good.pc]) {
        for sp in wild {
            for fp in wild {
                // SAFETY: no bounds are claimed.
                let mut memory = unsafe { StackMemory::new(None, &mut window) };
                let mut frames = Frames::new();
                walk(reader.tables(), Registers { pc, sp, fp }, &mut memory, &mut frames);
                assert!(!frames.as_slice().is_empty(), "the leaf is never lost");
            }
        }
    }
}

#[test]
fn a_frame_that_points_at_itself_does_not_loop() {
    refresh();
    let stack = [0u64; 64];
    let sp = stack.as_ptr() as u64;
    let reader = Reader::enter(sp).expect("refreshed above");
    let mut window = Window::<1024>::new();
    // SAFETY: no bounds are claimed.
    let mut memory = unsafe { StackMemory::new(None, &mut window) };
    let mut frames = Frames::new();
    let end = walk(reader.tables(), Registers { pc: 16, sp, fp: sp }, &mut memory, &mut frames);
    assert_ne!(end, End::DepthLimit);
    assert_eq!(frames.as_slice(), [16]);
}

/// Unwinds at every single instruction of a piece of code: prologues, epilogues, calls into libc and the vDSO.
///
/// The trap flag makes the CPU raise SIGTRAP after each instruction; the handler walks from the interrupted registers, and
/// the walk must pass through the frame that switched stepping on, whatever has been pushed on top of it.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod single_step {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    static STEPPING: AtomicBool = AtomicBool::new(false);
    static STEPS: AtomicU64 = AtomicU64::new(0);
    static BROKEN: AtomicU64 = AtomicU64::new(0);
    /// Where stacks broke, for the message: (pc, end of walk, frames).
    static FIRST_BROKEN: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];
    /// Address range of the return into the stepping frame's caller.
    static ANCHOR: AtomicU64 = AtomicU64::new(0);

    const TRAP_FLAG: i64 = 0x100;

    unsafe extern "C" fn on_trap(
        _signal: libc::c_int,
        _info: *mut libc::siginfo_t,
        context: *mut libc::c_void,
    ) {
        // SAFETY: the kernel's context of this delivery.
        let ucontext = unsafe { &mut *context.cast::<libc::ucontext_t>() };
        if !STEPPING.load(Ordering::Relaxed) {
            ucontext.uc_mcontext.gregs[libc::REG_EFL as usize] &= !TRAP_FLAG;
            return;
        }
        ucontext.uc_mcontext.gregs[libc::REG_EFL as usize] |= TRAP_FLAG;
        // SAFETY: as above.
        let start = unsafe { registers::from_ucontext(context) };
        let mut window = Window::<1024>::new();
        let reader = Reader::enter(start.sp).expect("refreshed before stepping");
        // SAFETY: no bounds are claimed.
        let mut memory = unsafe { StackMemory::new(None, &mut window) };
        let mut frames = Frames::new();
        let end = walk(reader.tables(), start, &mut memory, &mut frames);
        STEPS.fetch_add(1, Ordering::Relaxed);
        let anchor = ANCHOR.load(Ordering::Relaxed);
        let broken = end != End::Complete || !frames.as_slice().contains(&anchor);
        if broken && BROKEN.fetch_add(1, Ordering::Relaxed) == 0 {
            FIRST_BROKEN[0].store(start.pc, Ordering::Relaxed);
            FIRST_BROKEN[1].store(end as u64, Ordering::Relaxed);
            FIRST_BROKEN[2].store(frames.as_slice().len() as u64, Ordering::Relaxed);
        }
    }

    #[inline(never)]
    fn fib(n: u32) -> u32 {
        if n < 2 { std::hint::black_box(n) } else { fib(n - 1) + fib(n - 2) }
    }

    /// Code with all sorts of frames.
    #[inline(never)]
    fn variety() -> u64 {
        let mut sum = u64::from(fib(6));
        let text = format!("{:>20}|{}", std::hint::black_box("abc"), std::hint::black_box(1.5f64));
        let mut list: Vec<u64> = text.bytes().map(u64::from).collect();
        list.sort_unstable_by(|a, b| b.cmp(a));
        sum += list.iter().sum::<u64>();
        sum += u64::from(std::time::Instant::now().elapsed().subsec_nanos() & 1);
        let mut big = [0u8; 5000];
        big.copy_from_slice(&std::hint::black_box([3; 5000]));
        sum + u64::from(big[17])
    }

    #[inline(never)]
    fn stepped() -> u64 {
        // SAFETY: sets the trap flag of this thread; SIGTRAP is handled above.
        unsafe { std::arch::asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq") };
        let result = variety();
        STEPPING.store(false, Ordering::Relaxed);
        result
    }

    #[inline(never)]
    fn anchored() -> (u64, Vec<u64>) {
        // The same call twice: once to learn the address that the walk must meet, once to step.
        let mut result = (0, Vec::new());
        for stepping in [false, true] {
            let run: fn() -> (u64, Vec<u64>) = if stepping {
                || (stepped(), Vec::new())
            } else {
                || {
                    let (frames, _) = walk_here(true);
                    (0, frames)
                }
            };
            if stepping {
                ANCHOR.store(anchor_of(&result.1), Ordering::Relaxed);
                STEPPING.store(true, Ordering::Relaxed);
            }
            let next = std::hint::black_box(run)();
            if stepping { result.0 = next.0 } else { result = next }
        }
        result
    }

    /// The return address into `anchored`. What lies next to its code may be the closure that it calls.
    fn anchor_of(frames: &[u64]) -> u64 {
        unsafe extern "C" {
            fn _Unwind_FindEnclosingFunction(pc: *mut libc::c_void) -> *mut libc::c_void;
        }
        // SAFETY: looks an address up, whatever it is.
        let function = |frame: u64| unsafe { _Unwind_FindEnclosingFunction(frame as *mut _) };
        let here = anchored as *const () as u64;
        let anchor = frames.iter().find(|frame| function(**frame - 1) as u64 == here);
        *anchor.expect("anchored is on the stack")
    }

    #[test]
    fn every_instruction_unwinds_to_the_root() {
        refresh();
        // SAFETY: all-zero is a valid sigaction.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_trap as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        // SAFETY: a valid action.
        assert_eq!(unsafe { libc::sigaction(libc::SIGTRAP, &action, std::ptr::null_mut()) }, 0);
        let (result, _) = anchored();
        assert!(result > 0);
        let (steps, broken) = (STEPS.load(Ordering::Relaxed), BROKEN.load(Ordering::Relaxed));
        let first = FIRST_BROKEN.each_ref().map(|w| w.load(Ordering::Relaxed));
        println!("{steps} instructions, {broken} broken stacks, first at {first:#x?}");
        assert!(steps > 5_000, "{steps}");
        assert!(broken * 1000 <= steps, "{broken} of {steps} stacks broken, first at {first:#x?}");
    }
}
