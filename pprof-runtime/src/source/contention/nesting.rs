//! Whether the calling thread's waits are recorded already, or not to be recorded at all: a lock of ours that sleeps does so by the same
//! system call that `futex` watches, and threads of ours sleep all the time.

use std::cell::Cell;

thread_local! {
    // No destructor: usable while the thread is being torn down.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// From here to the matching `leave` the thread's system calls are no waits of their own.
pub(crate) fn enter() {
    DEPTH.set(DEPTH.get().wrapping_add(1));
}

pub(crate) fn leave() {
    DEPTH.set(DEPTH.get().wrapping_sub(1));
}

/// The calling thread is one of ours: nothing that it waits for is the program's.
pub(crate) fn enter_for_good() {
    enter();
}

/// Whether some wait is being recorded that a system call of this thread is part of.
pub(crate) fn is_nested() -> bool {
    DEPTH.get() != 0
}
