//! A thread of our own that does something at intervals, until it is dropped.

use std::os::unix::thread::JoinHandleExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::contention::nesting;
use super::heap::unobserved;

/// Stops and joins its thread on drop.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Where the thread is: a forked child has none.
    pid: u32,
}

/// std's, not parking_lot's: that keeps those who sleep in a table of the process, where a forked child would find threads that it has not.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stopping: bool,
}

impl Ticker {
    /// Starts a thread that calls `tick` after `first`, and then each time after the interval that the last call
    /// returned. All signals are blocked in it: those of the program are meant for the program's threads.
    pub(crate) fn start(
        name: &str,
        first: Duration,
        tick: impl FnMut() -> Duration + Send + 'static,
    ) -> std::io::Result<Ticker> {
        unobserved(|| Ticker::start_unobserved(name, first, tick))
    }

    fn start_unobserved(
        name: &str,
        first: Duration,
        mut tick: impl FnMut() -> Duration + Send + 'static,
    ) -> std::io::Result<Ticker> {
        let shared = Arc::new(Shared::default());
        let inner = Arc::clone(&shared);
        let body = move || {
            nesting::own_thread();
            // What is allocated here is not the program's.
            unobserved(|| {
                let mut interval = first;
                while !inner.stopped_within(interval) {
                    interval = tick();
                }
            });
        };
        let thread =
            with_signals_blocked(|| std::thread::Builder::new().name(name.to_owned()).spawn(body))?;
        Ok(Ticker { shared, thread: Some(thread), pid: std::process::id() })
    }
}

impl Shared {
    /// Never poisoned: nothing panics with it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `interval`, or until it is to stop.
    fn stopped_within(&self, interval: Duration) -> bool {
        let runs = |state: &mut State| !state.stopping;
        let waited = self.changed.wait_timeout_while(self.state(), interval, runs);
        waited.unwrap_or_else(PoisonError::into_inner).0.stopping
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        if self.pid != std::process::id() {
            // To be joined by nobody; and what it held at the fork it holds for ever.
            std::mem::forget(self.thread.take());
            return;
        }
        self.shared.state().stopping = true;
        self.shared.changed.notify_all();
        // Dropped by `tick` itself, it ends once that returns. At the end of the process `std::thread::current` panics.
        // SAFETY: always valid to call.
        let this = unsafe { libc::pthread_self() };
        // A number or a pointer, as the platform has it.
        #[allow(clippy::unnecessary_cast)]
        let others = |thread: &JoinHandle<()>| thread.as_pthread_t() as usize != this as usize;
        if let Some(thread) = self.thread.take().filter(others) {
            // A panic of `tick` has been reported by the panic hook; there is nothing to add.
            let _ = thread.join();
        }
    }
}

/// A new thread inherits its creator's signal mask, so there is no moment at which it could take a signal.
fn with_signals_blocked<T>(spawn: impl FnOnce() -> T) -> T {
    // SAFETY: all-zero is a valid set; the calls below fill both.
    let (mut all, mut old): (libc::sigset_t, libc::sigset_t) = unsafe { std::mem::zeroed() };
    // SAFETY: `all` is ours.
    unsafe { libc::sigfillset(&mut all) };
    // SAFETY: as above.
    unsafe { libc::sigdelset(&mut all, libc::SIGPROF) };
    // SAFETY: both sets are ours; changes the calling thread's mask only.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &all, &mut old) };
    let result = spawn();
    // SAFETY: restores what the call above saved.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &old, std::ptr::null_mut()) };
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn ticks_until_dropped() {
        let count = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&count);
        let ticker = Ticker::start("ticker-test", Duration::from_millis(1), move || {
            seen.fetch_add(1, Ordering::Relaxed);
            Duration::from_millis(1)
        })
        .expect("spawns");
        while count.load(Ordering::Relaxed) < 3 {
            std::thread::yield_now();
        }
        drop(ticker);
        assert_eq!(Arc::strong_count(&count), 1, "the thread is gone");
    }
}
