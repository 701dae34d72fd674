//! What a program may expect of `std::sync::mpsc`, told without naming whose channels they are: the file that
//! includes this one has `mpsc` in scope.
//!
//! A case that needs the other side to be waiting gives it `A_MOMENT` to get there. Where the moment proves too short,
//! the case checks less, but it does not fail.

mod disconnect;
mod iteration;
mod payloads;
mod rendezvous;
mod semantics;
mod timeouts;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const A_MOMENT: Duration = Duration::from_millis(15);

/// Counts how many of its kind were dropped.
#[derive(Clone, Debug, Default)]
struct Drops(Arc<AtomicUsize>);

impl Drops {
    fn message(&self) -> CountedDrop {
        CountedDrop(self.clone())
    }

    fn count(&self) -> usize {
        // ORDERING: a counter; the cases read it after joining or receiving, which orders it.
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct CountedDrop(Drops);

impl Drop for CountedDrop {
    fn drop(&mut self) {
        // ORDERING: see `Drops::count`.
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}
