//! Models of the lock: one at a time has it, sees what the one before did, and nobody sleeps on when it is free.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::thread;

use super::*;
use crate::primitive::{check, shared};

/// A lock around what loom knows the accesses of.
#[derive(Debug)]
struct Shared(RawMutex, UnsafeCell<u32>);

// SAFETY: the cell is touched under the lock, or loom says so.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

impl Shared {
    fn new() -> Arc<Shared> {
        shared(Shared(RawMutex::new(), UnsafeCell::new(0)))
    }

    /// As `Mutex` does it.
    fn add(&self) {
        if !self.0.try_lock() && !self.0.spin() {
            self.0.sleep();
        }
        self.touch_and_unlock();
    }

    fn touch_and_unlock(&self) {
        // SAFETY: locked, or loom says that it is not.
        self.1.with_mut(|value| unsafe { *value += 1 });
        if !self.0.unlock_if_nobody_sleeps() {
            self.0.unlock_and_wake();
        }
    }

    fn assert_free_after(&self, times: u32) {
        assert!(self.0.try_lock(), "it is free");
        // SAFETY: as above.
        assert_eq!(self.1.with(|value| unsafe { *value }), times);
    }
}

#[test]
fn three_threads_take_turns() {
    check(3, || {
        let shared = Shared::new();
        let others = [(); 2].map(|()| {
            let shared = shared.clone();
            thread::spawn(move || shared.add())
        });
        shared.add();
        for other in others {
            other.join().unwrap();
        }
        shared.assert_free_after(3);
    });
}

#[test]
fn who_tries_does_not_wait_and_may_fail() {
    check(4, || {
        let shared = Shared::new();
        let other = thread::spawn({
            let shared = shared.clone();
            move || {
                shared.add();
                shared.add();
            }
        });
        let got = shared.0.try_lock();
        if got {
            shared.touch_and_unlock();
        }
        other.join().unwrap();
        shared.assert_free_after(2 + u32::from(got));
    });
}

#[test]
fn a_holder_is_told_of_who_sleeps() {
    check(4, || {
        let shared = Shared::new();
        assert!(shared.0.try_lock());
        let sleeper = thread::spawn({
            let shared = shared.clone();
            move || {
                let slept = shared.0.sleep();
                shared.touch_and_unlock();
                slept
            }
        });
        let told = !shared.0.unlock_if_nobody_sleeps();
        if told {
            shared.0.unlock_and_wake();
        }
        let slept = sleeper.join().unwrap();
        assert!(told || !slept, "nobody sleeps unknown to the holder");
        shared.assert_free_after(1);
    });
}
