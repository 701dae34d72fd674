//! The lock of what an allocator looks at: it allocates nothing, and the thread that forks has all of them.
//!
//! Held for some hundred nanoseconds; a page fault or a turn of the scheduler aside. Nothing is called under it but the system, for memory.

use std::cell::Cell;
use std::sync::atomic::compiler_fence;
use std::time::Duration;

use crate::primitive::atomic::{AtomicBool, Ordering};
use crate::primitive::spin_loop;
use crate::source::contention::nesting;

/// Looks at a lock that is taken, then turns given to others, before the thread sleeps in between.
const SPINS: u32 = 64;
const YIELDS: u32 = 64;
const NAP: Duration = Duration::from_micros(50);

#[derive(Debug)]
pub(super) struct Lock(AtomicBool);

/// Unlocks on drop.
#[derive(Debug)]
pub(super) struct Held<'l>(Option<&'l Lock>);

thread_local! {
    // No destructor: usable while the thread is being torn down.
    static STATE: Cell<State> = const { Cell::new(State::Outside) };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Outside,
    /// The thread has a lock.
    Inside,
    /// The thread forks, and has all of them.
    Forking,
}

impl Lock {
    pub(super) const fn new() -> Lock {
        Lock(AtomicBool::new(false))
    }

    pub(super) fn lock(&self) -> Held<'_> {
        // What else is called at a fork may allocate.
        if STATE.get() == State::Forking {
            return Held(None);
        }
        // First: a handler that forks in between must not wait for this thread.
        STATE.set(State::Inside);
        compiler_fence(Ordering::SeqCst);
        self.take();
        Held(Some(self))
    }

    fn take(&self) {
        let mut tries = 0;
        // ORDERING: Acquire pairs with the Release in `release`.
        while self.0.swap(true, Ordering::Acquire) {
            #[cfg(all(test, loom))]
            crate::primitive::skip();
            loop {
                wait(tries);
                tries += 1;
                // A model's may see for ever what was.
                if cfg!(loom) || !self.0.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
    }

    fn release(&self) {
        // ORDERING: Release pairs with the Acquire in `take`.
        self.0.store(false, Ordering::Release);
    }
}

#[cold]
fn wait(tries: u32) {
    if tries < SPINS {
        spin_loop();
    } else if tries < SPINS + YIELDS {
        std::thread::yield_now();
    } else {
        // Not a wait of the program's.
        nesting::enter();
        std::thread::sleep(NAP);
        nesting::leave();
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(lock) = self.0 {
            lock.release();
            compiler_fence(Ordering::SeqCst);
            STATE.set(State::Outside);
        }
    }
}

/// Before a fork: so that the child finds nothing half done. Not by a handler that interrupts what is done under a lock: in its child that
/// lock stays taken.
pub(super) fn before_fork<'l>(locks: impl Iterator<Item = &'l Lock>) {
    if STATE.get() == State::Outside {
        locks.for_each(Lock::take);
        STATE.set(State::Forking);
    }
}

/// After it, in both processes.
pub(super) fn after_fork<'l>(locks: impl Iterator<Item = &'l Lock>) {
    if STATE.get() == State::Forking {
        locks.for_each(Lock::release);
        STATE.set(State::Outside);
    }
}
