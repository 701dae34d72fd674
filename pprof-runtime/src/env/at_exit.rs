//! The one recording of the process, and that it is written once: by its guard, or by the handler that runs at the end of the process.
//!
//! ```text
//!    guard dropped (any thread) ──┐
//!                                 ├── lock ── take it ── write ── unlock
//!    exit() ── handler ───────────┘   a second one waits here, finds nothing, and goes on
//! ```
//!
//! Whoever waits for a writer does so for a time only, and the writer itself not at all: an exit from inside of it (a panic hook that ends the
//! process, say) would wait for itself.

use std::mem;
use std::panic;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use super::recording::{Outcome, Recording, tell};
use crate::error::{Error, ErrorKind};

/// std's, not parking_lot's: that keeps those who sleep in a table of the process, where a forked child would find threads that it has not.
static RECORDING: Mutex<Option<Recording>> = Mutex::new(None);

/// The process that the recording is of; 0 if there is none. A forked child has its parent's.
static OWNER_PID: AtomicU32 = AtomicU32::new(0);

/// The thread that holds the lock; 0 if none does.
static HOLDER: AtomicUsize = AtomicUsize::new(0);

/// How long the end of the process is put off for another thread that writes: longer than the symbols of a large program take to be read.
const PATIENCE: Duration = Duration::from_secs(60);

/// The lock, held.
pub(super) struct Held(MutexGuard<'static, Option<Recording>>);

impl Held {
    /// # Errors
    /// `System` if this thread holds it, or another one for longer than anybody should.
    fn take() -> Result<Held, Error> {
        let busy = |message| Err(Error::new(ErrorKind::System, message));
        // ORDERING: Relaxed: equal only if this thread has set it.
        if HOLDER.load(Ordering::Relaxed) == this_thread() {
            return busy("the program ended while its profiles were being written");
        }
        let start = Instant::now();
        let guard = loop {
            match RECORDING.try_lock() {
                Ok(guard) => break guard,
                Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
                Err(TryLockError::WouldBlock) if start.elapsed() > PATIENCE => {
                    return busy("another thread has been writing the profiles for a minute");
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        // ORDERING: Relaxed: as above.
        HOLDER.store(this_thread(), Ordering::Relaxed);
        Ok(Held(guard))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // ORDERING: Relaxed: as in `take`.
        HOLDER.store(0, Ordering::Relaxed);
    }
}

fn this_thread() -> usize {
    // SAFETY: always valid to call. `std::thread::current` is not once the thread's locals are gone, as in a handler at exit.
    unsafe { libc::pthread_self() as usize }
}

/// The place for a recording.
///
/// # Errors
/// `AlreadyRunning` if there is one.
pub(super) fn vacant() -> Result<Held, Error> {
    let mut held = Held::take()?;
    // ORDERING: Relaxed: written under the lock that is held, or before the fork.
    if held.0.is_some() && OWNER_PID.load(Ordering::Relaxed) != std::process::id() {
        // The parent's, with threads that are not in this process.
        mem::forget(held.0.take());
    }
    if held.0.is_some() {
        let message = "the profiles that the environment asks for have been started already: start them once, by \
                       #[pprof_runtime::main] or by env::start";
        return Err(Error::new(ErrorKind::AlreadyRunning, message));
    }
    Ok(held)
}

/// Puts a recording there, to be finished at the end of the process at the latest.
///
/// # Errors
/// `System` if no handler can be registered; it has been cancelled, then.
pub(super) fn fill(vacant: &mut Held, recording: Recording) -> Result<(), Error> {
    // ORDERING: Relaxed: both are written under the lock.
    if !REGISTERED.load(Ordering::Relaxed) {
        // SAFETY: a function that may be called at any time; this code is not unloaded without its handlers being run.
        if unsafe { libc::atexit(at_exit) } != 0 {
            recording.cancel();
            let message = "cannot register a handler for the end of the program (atexit)";
            return Err(Error::new(ErrorKind::System, message));
        }
        // ORDERING: Relaxed: as above.
        REGISTERED.store(true, Ordering::Relaxed);
    }
    // ORDERING: Relaxed: a child gets it by the fork; other threads use it together with the lock.
    OWNER_PID.store(std::process::id(), Ordering::Relaxed);
    *vacant.0 = Some(recording);
    Ok(())
}

static REGISTERED: AtomicBool = AtomicBool::new(false);

/// Ends the recording and writes it; `None` if that has been done.
///
/// # Errors
/// `System` if it is being done, and not to be waited for.
pub(super) fn finish(stop_server: bool) -> Result<Option<Outcome>, Error> {
    let mut held = Held::take()?;
    // With the lock held: whoever ends the process waits until all is written.
    Ok(held.0.take().map(|recording| recording.finish(stop_server)))
}

/// The program's locals, and this thread's, are gone; other threads run.
extern "C" fn at_exit() {
    // First: in a forked child the lock may be held by a thread that is not there.
    // ORDERING: Relaxed: see `fill`.
    if OWNER_PID.load(Ordering::Relaxed) != std::process::id() {
        return;
    }
    // Unwinding out of here would be an abort, and change how the program ends. The panic hook has reported it.
    let _ = panic::catch_unwind(|| {
        if let Err(mistake) = finish(false) {
            tell(&mistake);
        }
    });
}
