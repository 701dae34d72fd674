//! What makes a thread sample itself: one file per engine.

#[cfg_attr(target_os = "linux", path = "thread_timer_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "thread_timer_unsupported.rs")]
mod thread_timer;

pub(crate) use thread_timer::ThreadTimers;

/// A source of CPU sampling signals for the threads of this process.
///
/// Made armed, disarmed by `stop` or drop. Called by one thread at a time, never from a handler.
pub(crate) trait Engine: Send {
    /// For the profile's comments.
    fn name(&self) -> &'static str;

    /// Finds threads that came and went since the last call; returns whether any came, registered ones included.
    fn scan(&mut self) -> bool;

    /// Samples the calling thread from now on, before a scan finds it.
    fn register(&mut self);

    /// What has been reached so far.
    fn coverage(&self) -> Coverage;

    /// Ends all signals; pending ones may still arrive.
    fn stop(&mut self);
}

/// How many threads are sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// Threads that were given a timer, ended ones included.
    pub(crate) threads: u64,
    /// Threads that could not be given one.
    pub(crate) refused: u64,
    /// CPU time that threads had used before they were found, in nanoseconds.
    pub(crate) missed_ns: u64,
}
