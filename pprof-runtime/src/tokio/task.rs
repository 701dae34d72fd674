//! [`tokio::task`], with tasks that have the [labels](mod@crate::labels) of whoever starts them, as a goroutine has those of its
//! creator.
//!
//! A task that something else starts (`JoinSet`, `Handle::spawn`) has those of whoever polls it: mostly none. Give it some with
//! [`labelled`](crate::labelled).
//!
//! ```
//! use pprof_runtime::{Labels, labelled, labels, tokio};
//!
//! # ::tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(
//! labelled(labels! { "request" => 42 }, async {
//!     let route = || Labels::current().get("request").map(str::to_owned);
//!     assert_eq!(tokio::spawn(async move { route() }).await.unwrap().as_deref(), Some("42"));
//!     assert_eq!(tokio::task::spawn_blocking(route).await.unwrap().as_deref(), Some("42"));
//! })
//! # );
//! ```

use std::future::Future;

pub use ::tokio::task::*;

use crate::labels::{Labelled, Labels, with_only};

/// Starts a task, as [`tokio::spawn`] does, with the labels of the caller.
///
/// # Panics
/// Outside of a runtime.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    ::tokio::task::spawn(inheriting(future))
}

/// Starts a task on this thread, as [`tokio::task::spawn_local`] does, with the labels of the caller.
///
/// # Panics
/// Outside of a `LocalSet` or a local runtime.
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    ::tokio::task::spawn_local(inheriting(future))
}

/// Runs what blocks on a thread for that, as [`tokio::task::spawn_blocking`] does, with the labels of the
/// caller.
///
/// # Panics
/// Outside of a runtime.
#[track_caller]
pub fn spawn_blocking<F, R>(f: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let labels = Labels::current();
    ::tokio::task::spawn_blocking(move || with_only(&labels, f))
}

fn inheriting<F: Future>(future: F) -> Labelled<F> {
    Labelled::only(Labels::current(), future)
}
