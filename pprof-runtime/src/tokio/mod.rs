//! Locks and channels of `tokio` whose waits are profiled.
//!
//! Swap the import, keep the code:
//!
//! ```
//! use pprof_runtime::tokio::sync::Mutex; // was tokio::sync::Mutex
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let counter = Mutex::new(0);
//! *counter.lock().await += 1;
//! assert_eq!(counter.into_inner(), 1);
//! # });
//! ```
//!
//! See [`sync`] for what is counted as a wait.

pub mod sync;

mod task;
mod waiting;

pub(crate) use task::{known_task, running_task};
