//! Handlers that ours replaced, and the signals that are theirs.
//!
//! A handler installed over ours may itself pass on, to ours, what it does not know: the two would call each other without end.
//! So a signal is passed on once per thread at a time, to the latest handler; what comes back, or came from that handler in the first
//! place, goes to the first, which knew nothing of ours.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use super::{SIGNAL, siginfo};

/// Distinct handlers kept; one that comes when there are as many gets no signals.
const MAX_KEPT: usize = 8;
/// Threads that may be inside foreign handlers at one time; a signal to one more is dropped.
const MAX_INSIDE: usize = 64;

/// Of `KEPT`, how many are set.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Of `KEPT`, the one that ours replaced last.
static LATEST: AtomicUsize = AtomicUsize::new(0);
static KEPT: [Kept; MAX_KEPT] = [const { Kept(UnsafeCell::new(MaybeUninit::uninit())) }; MAX_KEPT];

/// Ids of the threads that are inside a foreign handler; zero where free. Not a thread-local: the first look at one may allocate.
static INSIDE: [AtomicI32; MAX_INSIDE] = [const { AtomicI32::new(0) }; MAX_INSIDE];

struct Kept(UnsafeCell<MaybeUninit<libc::sigaction>>);

// SAFETY: written once, before `COUNT` takes it in, and only read afterwards.
unsafe impl Sync for Kept {}

/// # Signal safety
/// Two loads.
fn kept(index: usize) -> Option<&'static libc::sigaction> {
    // ORDERING: Acquire pairs with the Release in `keep`.
    if index >= COUNT.load(Ordering::Acquire) {
        return None;
    }
    let slot = KEPT.get(index)?;
    // SAFETY: below `COUNT`: not written again.
    let slot = unsafe { &*slot.0.get() };
    // SAFETY: as above, and written.
    Some(unsafe { slot.assume_init_ref() })
}

/// What handles the signal now.
///
/// # Signal safety
/// One system call.
pub(super) fn installed() -> std::io::Result<libc::sigaction> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null new action only asks; `action` is ours to write.
    if unsafe { libc::sigaction(SIGNAL, std::ptr::null(), action.as_mut_ptr()) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: filled by the successful call above.
    Ok(unsafe { action.assume_init() })
}

/// Remembers what ours is about to replace. Called by one thread at a time.
pub(super) fn keep(replaced: libc::sigaction) {
    let is_same = |other: &libc::sigaction| {
        other.sa_sigaction == replaced.sa_sigaction && other.sa_flags == replaced.sa_flags
    };
    // ORDERING: Relaxed: written by callers alone, who take turns.
    let count = COUNT.load(Ordering::Relaxed);
    let known = (0..count).find(|index| kept(*index).is_some_and(is_same));
    let index = known.unwrap_or(count);
    if known.is_none() {
        let Some(slot) = KEPT.get(index) else { return };
        // SAFETY: nobody reads at or above `COUNT`, and there is no other writer.
        unsafe { (*slot.0.get()).write(replaced) };
        // ORDERING: Release publishes the slot to `kept`.
        COUNT.store(count + 1, Ordering::Release);
    }
    // ORDERING: Release: whoever sees the index sees the count above it.
    LATEST.store(index, Ordering::Release);
}

/// Passes a signal that is not ours to a handler that ours replaced.
///
/// The default action, ending the process, is not passed on: as in Go, a late signal of another profiler's
/// timer must not kill the program.
///
/// # Safety
/// - the arguments are those of the running handler.
///
/// # Signal safety
/// Atomics and two system calls, besides what the other handler does.
pub(super) unsafe fn pass_on(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // ORDERING: Acquire pairs with the Release in `keep`.
    let latest = LATEST.load(Ordering::Acquire);
    let Some(action) = kept(latest) else { return };
    let thread = siginfo::thread_id();
    // ORDERING: Relaxed, here and below: an entry with this thread's id is written by this thread alone.
    let came_back = INSIDE.iter().any(|id| id.load(Ordering::Relaxed) == thread);
    if came_back || installed().is_ok_and(|top| top.sa_sigaction == action.sa_sigaction) {
        if let Some(first) = kept(0).filter(|_| latest != 0) {
            // SAFETY: the caller's promise.
            unsafe { call(first, signal, info, context) };
        }
        return;
    }
    let free = |id: &&AtomicI32| {
        id.compare_exchange(0, thread, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    };
    let Some(entry) = INSIDE.iter().find(free) else { return };
    // SAFETY: the caller's promise.
    unsafe { call(action, signal, info, context) };
    entry.store(0, Ordering::Relaxed);
}

/// Calls a handler as the kernel would have.
///
/// # Safety
/// - the arguments are those of the running handler;
/// - `action` was installed for the signal.
unsafe fn call(
    action: &libc::sigaction,
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    match action.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => {}
        address if action.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: registered with SA_SIGINFO, so the function has this signature.
            let function = unsafe {
                std::mem::transmute::<
                    usize,
                    unsafe extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void),
                >(address)
            };
            // SAFETY: SIGNAL-SAFE as far as its owner made it so.
            unsafe { function(signal, info, context) };
        }
        address => {
            // SAFETY: registered without SA_SIGINFO, so the function takes the signal alone.
            let function =
                unsafe { std::mem::transmute::<usize, unsafe extern "C" fn(libc::c_int)>(address) };
            // SAFETY: as above.
            unsafe { function(signal) };
        }
    }
}
