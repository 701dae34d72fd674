//! Who runs: the number of the task that a thread polls.

use std::cell::Cell;
use std::hash::{Hash, Hasher};

use ::tokio::task;

use crate::source::contention::Actor;

thread_local! {
    // No destructor: looked at in signal handlers.
    static ASKED: Cell<bool> = const { Cell::new(false) };
}

/// The task that the calling thread runs. At a thread's first call libc allocates, to tear down what tokio knows of the thread.
pub(crate) fn running_task() -> Option<Actor> {
    ASKED.set(true);
    // `None` as well while the thread is being torn down.
    task::try_id().map(|id| Actor::task(number(id)))
}

/// As `running_task`, for those who must not allocate: `None` before the thread has first used one of our types, which is how a task
/// comes to be waited for.
pub(crate) fn known_task() -> Option<Actor> {
    if ASKED.get() { running_task() } else { None }
}

/// The running task; outside of tasks, as in `block_on`, the thread.
#[inline]
pub(super) fn actor() -> Actor {
    running_task().unwrap_or_else(Actor::thread)
}

/// An id's number, as its `Display` shows it, without formatting it. It is the one thing in it to hash.
#[inline]
fn number(id: task::Id) -> u64 {
    let mut number = Number(0);
    id.hash(&mut number);
    number.finish()
}

/// Keeps the last number that it was fed.
struct Number(u64);

impl Hasher for Number {
    fn write(&mut self, bytes: &[u8]) {
        for eight in bytes.chunks(8) {
            self.0 = eight.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        }
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tokio::runtime::Builder;

    #[test]
    fn tasks_are_known_by_the_numbers_that_tokio_shows() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let (inside, outside) = runtime.block_on(async {
            let inside = ::tokio::spawn(async {
                assert_eq!(known_task(), None, "not asked for yet");
                let inside = (actor(), task::id().to_string());
                assert_eq!(known_task(), Some(inside.0));
                inside
            });
            (inside.await.unwrap(), actor())
        });
        assert_eq!(outside, Actor::thread());
        assert!(inside.0.is_task());
        assert_eq!(inside.0.number().to_string(), inside.1);
        assert_eq!(running_task(), None);
    }

    #[test]
    fn numbers_are_read_however_they_are_fed() {
        let mut hasher = Number(0);
        hasher.write(&0x1234_5678_9abc_def0_u64.to_le_bytes());
        assert_eq!(hasher.finish(), 0x1234_5678_9abc_def0);
    }
}
