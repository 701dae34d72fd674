//! What is done before a signal ends the process: halves of files go, and the terminal is as it was.

#[cfg_attr(not(unix), path = "signals/none.rs")]
mod unix;

pub(crate) use unix::restoring_terminal;
pub use unix::watch;
