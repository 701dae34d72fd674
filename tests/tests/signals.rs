//! Other users of SIGPROF: whenever they installed their handlers, they get their signals, and we get ours. One test: handlers
//! are the process's.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use pprof_runtime::cpu;
use pprof_tests::{cpu_time, has_burnt, sum};

static EARLY: AtomicU32 = AtomicU32::new(0);
/// What the early handler ran into.
static FAULTS: AtomicU32 = AtomicU32::new(0);
static LATE: AtomicU32 = AtomicU32::new(0);
/// What the late handler replaced: ours.
static REPLACED: AtomicUsize = AtomicUsize::new(0);

/// Counts, and runs into a fault, as who looks at memory that may not be there does.
extern "C" fn early(_signal: libc::c_int) {
    EARLY.fetch_add(1, Ordering::Relaxed);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: goes on behind it.
    unsafe {
        std::arch::asm!("int3")
    };
}

extern "C" fn fault(_signal: libc::c_int) {
    FAULTS.fetch_add(1, Ordering::Relaxed);
}

/// Counts signals that no timer sent, and passes all on.
extern "C" fn late(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: as the kernel passed it.
    if unsafe { (*info).si_code } != libc::SI_TIMER {
        LATE.fetch_add(1, Ordering::Relaxed);
    }
    type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
    // SAFETY: ours is installed with SA_SIGINFO.
    let replaced: Handler = unsafe { std::mem::transmute(REPLACED.load(Ordering::Relaxed)) };
    replaced(signal, info, context);
}

fn install(signal: libc::c_int, handler: usize, flags: libc::c_int) -> usize {
    // SAFETY: all-zero is a valid sigaction.
    let mut new: libc::sigaction = unsafe { std::mem::zeroed() };
    let mut old = new;
    new.sa_sigaction = handler;
    new.sa_flags = flags;
    // SAFETY: both are valid, and the handlers above only count and call.
    assert_eq!(unsafe { libc::sigaction(signal, &new, &mut old) }, 0);
    old.sa_sigaction
}

/// Counts of one raised signal.
fn raise() -> (u32, u32) {
    let before = (EARLY.load(Ordering::Relaxed), LATE.load(Ordering::Relaxed));
    // SAFETY: handled.
    assert_eq!(unsafe { libc::raise(libc::SIGPROF) }, 0);
    (EARLY.load(Ordering::Relaxed) - before.0, LATE.load(Ordering::Relaxed) - before.1)
}

#[inline(never)]
fn burn() {
    let start = cpu_time(libc::CLOCK_THREAD_CPUTIME_ID);
    while !has_burnt(start, Duration::from_millis(300)) {}
}

/// Nanoseconds sampled in `burn`, of 300 000 000.
fn sampled(guard: cpu::Guard) -> i64 {
    burn();
    let profile = guard.stop().expect("not forked");
    sum(profile.proto(), 1, |names| names.iter().any(|n| n.ends_with("::burn")))
}

#[test]
fn every_handler_gets_its_signals() {
    install(libc::SIGTRAP, fault as *const () as usize, 0);
    install(libc::SIGPROF, early as *const () as usize, 0);
    let guard = cpu::start().expect("nobody else profiles");
    assert_eq!(raise(), (1, 0), "installed before ours");
    let alone = sampled(guard);
    assert!(alone > 200_000_000, "{alone}");
    assert_eq!(raise(), (1, 0), "and after the profile");

    REPLACED.store(
        install(libc::SIGPROF, late as *const () as usize, libc::SA_SIGINFO),
        Ordering::Relaxed,
    );
    assert_eq!(raise(), (1, 1), "installed over ours, and passes on to it");
    for _ in 0..20 {
        let guard = cpu::start().expect("nobody else profiles");
        assert_eq!(raise(), (1, 1), "replaced by ours, whose signals it passes back");
        drop(guard);
    }
    let guard = cpu::start().expect("nobody else profiles");
    let replaced = install(libc::SIGPROF, late as *const () as usize, libc::SA_SIGINFO);
    REPLACED.store(replaced, Ordering::Relaxed);
    assert_eq!(raise(), (1, 1), "once more over ours: the two now know each other");
    let through = sampled(guard);
    assert!(through > 200_000_000, "{through} through a handler that passes ours on");
    let guard = cpu::start().expect("nobody else profiles");
    assert_eq!(raise(), (1, 1));
    assert!(sampled(guard) > 200_000_000);
    let count = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
    assert_eq!(
        count(&FAULTS),
        count(&EARLY),
        "the early one goes on behind its faults, under ours too"
    );
}
