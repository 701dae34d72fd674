//! The SIGPROF handler.
//!
//! Installed once and never removed: a signal may still be pending when a profile stops, and the default action of
//! SIGPROF ends the process. It acts on signals of our own timers alone; any other is passed to the handler that it replaced.

mod foreign;
#[cfg_attr(target_os = "linux", path = "signal/main_stack_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "signal/main_stack_unsupported.rs")]
mod main_stack;
#[cfg_attr(target_os = "linux", path = "signal/siginfo_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "signal/siginfo_unsupported.rs")]
mod siginfo;

use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use super::labels;
use super::memory::StackMemory;
use super::registers;
use super::ring::Pool;
use super::unwind::{self, Reader};

/// The signal used for CPU samples, as Go and gperftools do: debuggers pass it on without stopping.
pub(crate) const SIGNAL: libc::c_int = libc::SIGPROF;

/// What code runs into by itself, which its handlers mend or report: while one of these is blocked, the kernel ends the process instead.
const FAULTS: [libc::c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS];

/// Marks our timers' values: signals with another value are somebody else's.
const MAGIC: usize = 0x7070_726f;

static POOL: AtomicPtr<Pool> = AtomicPtr::new(std::ptr::null_mut());
/// Generation of the running session; zero when there is none.
static SESSION: AtomicU32 = AtomicU32::new(0);
/// A weight above this many periods is a signal that was held back; the excess is counted as lost.
static WEIGHT_CAP: AtomicU32 = AtomicU32::new(u32::MAX);

/// The value a session's timers carry in `si_value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerValue(usize);

impl TimerValue {
    pub(crate) fn new(session: u32) -> Self {
        TimerValue(MAGIC << 32 | session as usize)
    }

    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    pub(crate) fn as_sigval(self) -> libc::sigval {
        libc::sigval { sival_ptr: self.0 as *mut libc::c_void }
    }
}

/// The pool that handlers write to, made on first use and kept for the life of the process.
pub(crate) fn pool() -> &'static Pool {
    // ORDERING: Acquire pairs with the Release below: the pool is initialised.
    let existing = POOL.load(Ordering::Acquire);
    // SAFETY: null or from `Box::into_raw` below, and never freed.
    if let Some(pool) = unsafe { existing.as_ref() } {
        return pool;
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let fresh = Box::into_raw(Box::new(Pool::new(processors)));
    // ORDERING: Release publishes the pool's content; Acquire on failure reads the winner's.
    match POOL.compare_exchange(std::ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: just made, now published and never freed.
        Ok(_) => unsafe { &*fresh },
        Err(winner) => {
            // SAFETY: `fresh` was not published.
            drop(unsafe { Box::from_raw(fresh) });
            // SAFETY: published by another thread, never freed.
            unsafe { &*winner }
        }
    }
}

/// Accepts signals of `session` from now on.
pub(crate) fn open(session: u32, weight_cap: u32) {
    // ORDERING: Relaxed: a late reader applies the former cap to one sample.
    WEIGHT_CAP.store(weight_cap.max(1), Ordering::Relaxed);
    // ORDERING: Release pairs with the Acquire in the handler: the pool is there.
    SESSION.store(session, Ordering::Release);
}

/// Ignores our timers' signals from now on.
pub(crate) fn close() {
    // ORDERING: Release keeps it after what the session did; a handler already running finishes its sample.
    SESSION.store(0, Ordering::Release);
}

/// Installs the handler, unless it is there already. One that was installed over it since goes on getting its signals through it.
pub(crate) fn install() -> std::io::Result<()> {
    static INSTALL: parking_lot::Mutex<()> = parking_lot::Mutex::new(());
    let _one_at_a_time = INSTALL.lock();
    main_stack::prepare();
    let ours = handler as *const () as usize;
    let current = foreign::installed()?;
    if current.sa_sigaction == ours {
        return Ok(());
    }
    foreign::keep(current);
    // SAFETY: all-zero is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = ours;
    // ONSTACK: coroutine stacks may be too small for a signal frame. RESTART: spare callers EINTR where the
    // kernel can.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    // No other handler on top of this one: it would run on the same alternate stack, which is a small one, whatever it needs. Go's does
    // the same.
    // SAFETY: writes the mask that it is given.
    unsafe { libc::sigfillset(&mut action.sa_mask) };
    for fault in FAULTS {
        // SAFETY: as above.
        unsafe { libc::sigdelset(&mut action.sa_mask, fault) };
    }
    // SAFETY: a valid action whose handler is async-signal-safe.
    if unsafe { libc::sigaction(SIGNAL, &action, std::ptr::null_mut()) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

/// # Signal safety
/// Saves and restores errno; everything called is marked.
unsafe extern "C" fn handler(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    siginfo::keeping_errno(|| {
        // SAFETY: as the kernel passed it.
        match unsafe { siginfo::expiration(info) } {
            Some((overrun, value)) if value >> 32 == MAGIC => {
                // SAFETY: the kernel's context for this delivery.
                unsafe { main_stack::keep(context) };
                // SAFETY: as above.
                unsafe { sample(overrun, value as u32, context) };
            }
            // SAFETY: passed on as received.
            _ => unsafe { foreign::pass_on(signal, info, context) },
        }
    });
}

/// # Safety
/// - `context` is the one passed to the running handler.
///
/// # Signal safety
/// Atomics, the pool's memory, table look-ups and guarded reads.
unsafe fn sample(overrun: libc::c_int, of_session: u32, context: *const libc::c_void) {
    // ORDERING: Acquire pairs with the Release in `open`.
    let session = SESSION.load(Ordering::Acquire);
    if session == 0 || of_session != session {
        return;
    }
    // ORDERING: Acquire pairs with the Release in `pool`.
    let pool = POOL.load(Ordering::Acquire);
    // SAFETY: null or published for the life of the process.
    let Some(pool) = (unsafe { pool.as_ref() }) else { return };
    // The kernel merges expirations it could not deliver: each counts as one more period.
    let weight = u32::try_from(overrun).unwrap_or(0).saturating_add(1);
    // ORDERING: Relaxed, see `open`.
    let cap = WEIGHT_CAP.load(Ordering::Relaxed);
    if let Some(excess) = weight.checked_sub(cap).filter(|e| *e > 0) {
        // ORDERING: Relaxed: a counter that orders nothing.
        pool.lost.delayed.fetch_add(u64::from(excess), Ordering::Relaxed);
    }
    // SAFETY: the caller's promise.
    let start = unsafe { registers::from_ucontext(context) };
    // Threads' stacks lie far apart: their address tells threads apart as well as a thread id, for free.
    let thread = (start.sp >> 16) as usize;
    pool.sample(thread, weight.min(cap), |scratch| {
        let reader = Reader::enter(start.sp)?;
        // SAFETY: the interrupted thread keeps the set in use alive, and does not go on before this has returned.
        let labels = unsafe { labels::SAMPLED.keep(labels::current_in_handler(), || true) };
        scratch.labels = labels::SAMPLED.count(labels);
        // SAFETY: no bounds are claimed.
        let mut memory = unsafe { StackMemory::new(None, &mut scratch.window) };
        Some(unwind::walk(reader.tables(), start, &mut memory, &mut scratch.frames))
    });
}
