//! Little room: on the stacks of threads, and on those that signal handlers run on. One test: handlers are the process's.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use std::{ptr, thread};

use pprof_runtime::{cpu, futex};
use pprof_tests::waits::{delay, snapshot};
use pprof_tests::{cpu_time, has_burnt};

/// The least that glibc gives a thread; code that is not optimised takes more.
const STACK_BYTES: usize = if cfg!(debug_assertions) { 32 << 10 } else { 16 << 10 };

/// Seen by the kernel's clock of a thread, or of the process.
const LONG: Duration = Duration::from_millis(800);

#[test]
fn little_room_is_enough() {
    pprof_runtime::set_mutex_profile_fraction(1);
    pprof_runtime::set_block_profile_rate(1);
    let profile = cpu::Builder::new().rate_hz(1000).start().expect("nobody else profiles");
    a_thread_of_a_small_stack_waits();
    a_handler_that_takes_much_interrupts();
    profile.stop().expect("not forked");
}

extern "C" fn waits_and_works(_: *mut libc::c_void) -> *mut libc::c_void {
    static WORD: AtomicU32 = AtomicU32::new(0);
    let time = libc::timespec { tv_sec: 0, tv_nsec: 1 };
    let wait = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    let start = cpu_time(libc::CLOCK_THREAD_CPUTIME_ID);
    while !has_burnt(start, LONG) {
        // SAFETY: waits for a word of ours, and a moment at most.
        unsafe { libc::syscall(libc::SYS_futex, WORD.as_ptr(), wait, 0, &raw const time, 0, 0) };
    }
    ptr::null_mut()
}

/// At level 0, which has to make do with the stack of whoever waits, as has the handler that the CPU profile interrupts that with.
fn a_thread_of_a_small_stack_waits() {
    futex::start().expect("supported here");
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: initialises them.
    assert_eq!(unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) }, 0);
    // SAFETY: initialised above.
    let sized = unsafe { libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), STACK_BYTES) };
    assert_eq!(sized, 0);
    let mut id = 0;
    // SAFETY: a function of that type, which uses no argument.
    let made = unsafe {
        libc::pthread_create(&mut id, attributes.as_ptr(), waits_and_works, ptr::null_mut())
    };
    assert_eq!(made, 0);
    // SAFETY: made above, and joined once.
    assert_eq!(unsafe { libc::pthread_join(id, ptr::null_mut()) }, 0);
    assert!(delay(&snapshot("block"), "::waits_and_works") > 0);
    futex::stop();
}

static INTERRUPTED: AtomicU64 = AtomicU64::new(0);

/// Nearly as much as an alternate stack has, which this has not asked for.
extern "C" fn takes_much(_signal: libc::c_int) {
    let mut much = [0_u8; 7000];
    much.iter_mut().for_each(|byte| *std::hint::black_box(byte) = 1);
    std::hint::black_box(&much);
    INTERRUPTED.fetch_add(1, Ordering::Relaxed);
}

fn a_handler_that_takes_much_interrupts() {
    // SAFETY: all-zero is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = takes_much as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: a valid action, whose handler counts.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &action, ptr::null_mut()) }, 0);
    let (done, busy) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let busy_one = scope.spawn(|| {
            cpu::register_thread();
            // SAFETY: always valid to call.
            busy.store(unsafe { libc::pthread_self() }, Ordering::Relaxed);
            let start = cpu_time(libc::CLOCK_THREAD_CPUTIME_ID);
            // Signals come as often as the two threads take turns, where they share a CPU.
            while INTERRUPTED.load(Ordering::Relaxed) < 1000 || !has_burnt(start, LONG) {}
            busy.store(0, Ordering::Relaxed);
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            let id = busy.load(Ordering::Relaxed);
            if id != 0 {
                // SAFETY: a thread that is joined below.
                unsafe { libc::pthread_kill(id, libc::SIGUSR1) };
            }
            (0..200).for_each(|_| std::hint::spin_loop());
        }
        busy_one.join().expect("it does not panic");
    });
}
