//! A thread of our own that does something at intervals, until it is dropped.

use std::ffi::CStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::contention::nesting;
use super::heap::unobserved;
use crate::own_thread::OwnThread;

/// Stops and joins its thread on drop.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<OwnThread>,
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
    /// returned.
    pub(crate) fn start(
        name: &'static CStr,
        first: Duration,
        tick: impl FnMut() -> Duration + Send + 'static,
    ) -> std::io::Result<Ticker> {
        unobserved(|| Ticker::start_unobserved(name, first, tick))
    }

    fn start_unobserved(
        name: &'static CStr,
        first: Duration,
        mut tick: impl FnMut() -> Duration + Send + 'static,
    ) -> std::io::Result<Ticker> {
        let shared = Arc::new(Shared::default());
        let inner = Arc::clone(&shared);
        let body = move || {
            nesting::enter_for_good();
            // What is allocated here is not the program's.
            unobserved(|| {
                let mut interval = first;
                while !inner.stopped_within(interval) {
                    interval = tick();
                }
            });
        };
        let thread = OwnThread::spawn(name, body)?;
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
        let Some(thread) = self.thread.take() else { return };
        if self.pid != std::process::id() {
            // What it held at the fork it holds for ever.
            thread.forget();
            return;
        }
        self.shared.state().stopping = true;
        self.shared.changed.notify_all();
        // Dropped by `tick` itself, it ends once that returns.
        if !thread.is_current() {
            thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn ticks_until_dropped() {
        let count = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&count);
        let ticker = Ticker::start(c"ticker-test", Duration::from_millis(1), move || {
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
