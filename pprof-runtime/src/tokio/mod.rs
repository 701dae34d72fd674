//! Locks and channels of `tokio` whose waits are profiled, and tasks that have labels.
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
//! See [`sync`] for what is counted as a wait, and [`task`] for labels.

pub mod sync;
pub mod task;

mod running;
mod waiting;

pub use task::spawn;

pub(crate) use running::{known_task, running_task};
