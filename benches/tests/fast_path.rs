//! What an uncontended lock executes: no call, and no look at the clock. Seen instruction by instruction, by the processor's trap flag; built
//! optimised, see the workspace's profiles.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::arch::asm;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const MAX_STEPS: usize = 4096;

static STEPS: AtomicUsize = AtomicUsize::new(0);
static ADDRESSES: [AtomicU64; MAX_STEPS] = [const { AtomicU64::new(0) }; MAX_STEPS];

/// # Signal safety
/// Stores to statics alone.
extern "C" fn on_trap(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes the context of the trap.
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let step = STEPS.fetch_add(1, Ordering::Relaxed);
    if let Some(address) = ADDRESSES.get(step) {
        address.store(registers[libc::REG_RIP as usize] as u64, Ordering::Relaxed);
    }
}

/// What `run` executes between two of its own instructions that the processor is told to trap by.
#[inline(never)]
fn trace(run: &dyn Fn()) -> Vec<u64> {
    // SAFETY: all of it may be zero.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_trap as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: the handler only stores.
    assert_eq!(unsafe { libc::sigaction(libc::SIGTRAP, &action, std::ptr::null_mut()) }, 0);
    // What is done once is done before.
    (0..3).for_each(|_| run());
    STEPS.store(0, Ordering::Relaxed);
    // The first trap comes after the `nop`.
    // SAFETY: sets the trap flag, which the kernel clears for the handler and restores after it; the block may push, so that there is
    // no red zone in use.
    unsafe { asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq", "nop") };
    run();
    // SAFETY: clears it again.
    unsafe { asm!("pushfq", "and qword ptr [rsp], -0x101", "popfq") };
    let steps = STEPS.load(Ordering::Relaxed);
    assert!((10..MAX_STEPS).contains(&steps), "{steps} steps");
    ADDRESSES[..steps].iter().map(|a| a.load(Ordering::Relaxed)).collect()
}

/// Calls, and looks at the time stamp counter.
#[derive(Debug)]
struct Executed {
    calls: usize,
    clock: usize,
}

/// What `run` executes, the call of it left out.
fn executed(run: &dyn Fn()) -> Executed {
    let addresses = trace(run);
    let bytes = |address: &u64| {
        // SAFETY: the program was there to be executed, and no instruction ends a mapping.
        unsafe { std::ptr::read_unaligned(*address as *const [u8; 3]) }
    };
    let is_call = |code: [u8; 3]| match code {
        [0xe8, ..] => true,
        // FF /2, with a prefix for the upper registers perhaps.
        [0xff, modrm, _] | [0x41, 0xff, modrm] => modrm >> 3 & 7 == 2,
        _ => false,
    };
    let count = |is: &dyn Fn([u8; 3]) -> bool| addresses.iter().filter(|a| is(bytes(a))).count();
    Executed {
        calls: count(&is_call) - 1,
        clock: count(&|code| code[..2] == [0x0f, 0x31] || code == [0x0f, 0x01, 0xf9]),
    }
}

/// Ours and the original, which shows that what is counted is there to be counted.
fn compare(name: &str, ours: &dyn Fn(), original: &dyn Fn()) {
    let (ours, original) = (executed(ours), executed(original));
    println!("{name}: {ours:?}, original {original:?}");
    assert_eq!(ours.clock, 0, "{name}: {ours:?}");
    assert!(ours.calls <= original.calls, "{name}: {ours:?}, original {original:?}");
}

#[test]
fn uncontended_locks_call_nothing() {
    counts_what_is_there();
    locks("profiles off");
    pprof_runtime::set_mutex_profile_fraction(1);
    pprof_runtime::set_block_profile_rate(1);
    locks("profiles on");
}

fn locks(profiles: &str) {
    use pprof_runtime::{parking_lot as ours_too, sync as ours};
    use {parking_lot_0_13 as theirs, std::sync as stds};

    let compare = |name: &str, one: &dyn Fn(), other: &dyn Fn()| {
        compare(&format!("{name}, {profiles}"), one, other);
    };
    macro_rules! same {
        ($name:literal, $ours:expr, $original:expr, |$lock:ident| $use:expr) => {{
            let (one, other) = ($ours, $original);
            compare(
                $name,
                &|| {
                    let $lock = black_box(&one);
                    $use
                },
                &|| {
                    let $lock = black_box(&other);
                    $use
                },
            );
        }};
    }
    same!("Mutex", ours::Mutex::new(0), stds::Mutex::new(0), |m| *m.lock().unwrap() += 1);
    same!("RwLock::read", ours::RwLock::new(0), stds::RwLock::new(0), |l| {
        black_box(*l.read().unwrap());
    });
    same!("RwLock::write", ours::RwLock::new(0), stds::RwLock::new(0), |l| {
        *l.write().unwrap() += 1;
    });
    let initialised = (ours::OnceLock::from(1), stds::OnceLock::from(1));
    same!("OnceLock::get_or_init", initialised.0, initialised.1, |cell| {
        black_box(cell.get_or_init(|| 2));
    });
    same!("parking_lot::Mutex", ours_too::Mutex::new(0), theirs::Mutex::new(0), |m| *m.lock() += 1);
    same!("parking_lot::FairMutex", ours_too::FairMutex::new(0), theirs::FairMutex::new(0), |m| {
        *m.lock() += 1;
    });
    same!("parking_lot::RwLock::read", ours_too::RwLock::new(0), theirs::RwLock::new(0), |l| {
        black_box(*l.read());
    });
    same!("parking_lot::RwLock::write", ours_too::RwLock::new(0), theirs::RwLock::new(0), |l| {
        *l.write() += 1;
    });
}

fn counts_what_is_there() {
    #[inline(never)]
    fn call() {
        black_box(());
    }
    // SAFETY: every x86_64 processor has the instruction.
    let clock = || unsafe { black_box(std::arch::x86_64::_rdtsc()) };
    let seen = executed(&|| {
        call();
        clock();
    });
    assert_eq!((seen.calls, seen.clock), (1, 1), "{seen:?}");
}
