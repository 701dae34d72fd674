//! The CPU profile: where the program's CPU time goes.
//!
//! Each thread is interrupted at intervals of its own CPU time and its stack recorded. One profile at a time.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let guard = pprof_runtime::cpu::start()?;
//! // ... work ...
//! guard.stop()?.write_to(std::fs::File::create("cpu.pb.gz")?)?;
//! # Ok(()) }
//! ```

use std::time::Duration;

use crate::config::DEFAULT_CPU_RATE_HZ;
use crate::encode;
use crate::error::Error;
use crate::profile::{Profile, wait};
use crate::source::cpu::{self as source, Session};
use crate::source::heap::unobserved;

/// Starts a CPU profile at 100 samples per second of CPU time.
///
/// # Errors
/// As [`Builder::start`].
pub fn start() -> Result<Guard, Error> {
    Builder::new().start()
}

/// Samples the calling thread from now on, if a profile is being taken.
///
/// All threads are found without it, but only 10 to 100 ms after they start: call it first in threads that live shorter,
/// as from a pool's hook for new threads. A thread's first call of a function annotated with
/// [`#[profile]`](macro@crate::profile) does it, too, while that profile is on. Waits for the sampler for 10 ms at most.
///
/// What a thread does after the last tick of the kernel's clock in its life (1 to 4 ms) is not seen even so. The
/// profile's comments tell how much of the process's CPU time is not in it.
///
/// # Examples
/// ```
/// std::thread::spawn(|| {
///     pprof_runtime::cpu::register_thread();
///     // ... a few milliseconds of work ...
/// });
/// ```
pub fn register_thread() {
    source::register_thread(Duration::from_millis(10));
}

/// How to take a CPU profile.
#[derive(Clone, Debug)]
pub struct Builder {
    rate_hz: u32,
}

impl Default for Builder {
    fn default() -> Self {
        Builder { rate_hz: DEFAULT_CPU_RATE_HZ }
    }
}

impl Builder {
    /// 100 samples per second of CPU time.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Samples per second of CPU time, of each thread; 1..=10 000.
    ///
    /// Above the kernel's tick rate (CONFIG_HZ, mostly 250 or 1000) a sample carries the weight of
    /// several periods: totals stay right, detail does not grow.
    #[must_use]
    pub fn rate_hz(mut self, rate_hz: u32) -> Self {
        self.rate_hz = rate_hz;
        self
    }

    /// Starts sampling all threads of the process, those still to come included.
    ///
    /// # Errors
    /// `AlreadyRunning` while another CPU profile is being taken, `InvalidInput` for a rate out of range, `System` if the kernel
    /// refuses a timer, `Unsupported` where there is no engine for this platform.
    pub fn start(self) -> Result<Guard, Error> {
        unobserved(|| Session::start(self.rate_hz)).map(|session| Guard { session })
    }

    /// Takes a profile of `duration` from now; blocks for that long, or until `cancelled` says so.
    ///
    /// # Errors
    /// `Cancelled` if it was; otherwise as [`Builder::start`].
    pub fn collect(
        self,
        duration: Duration,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Profile, Error> {
        let guard = self.start()?;
        wait(duration, cancelled)?;
        guard.stop()
    }
}

/// A CPU profile being taken. Dropping it ends the sampling and discards what was seen.
#[derive(Debug)]
#[must_use = "dropping the guard ends the profile at once"]
pub struct Guard {
    session: Session,
}

impl Guard {
    /// Ends the sampling and returns the profile.
    ///
    /// Sample types `samples/count` and `cpu/nanoseconds`, as Go's. Lost samples are in it, on functions named
    /// `pprof_runtime::lost_samples (…)`; its comments tell how much of the process's CPU time was sampled.
    ///
    /// # Errors
    /// `Unsupported` in a forked child of the process that started it.
    pub fn stop(self) -> Result<Profile, Error> {
        let rate_hz = self.session.rate_hz();
        unobserved(|| {
            let snapshot = self.session.stop()?;
            Ok(Profile::new("cpu", encode::stacks(&encode::cpu(rate_hz), &snapshot)?))
        })
    }
}
