//! Capture: what runs inside the observed thread.
//!
//! A sample begins here, in a signal handler (`signal`) or in the slow path of an instrumented lock, with the registers
//! of the observed code (`registers`). The walk (`unwind`) turns them into lookup addresses, reading the stack
//! through `memory`, which cannot fault. Signal samples leave through a fixed pool of rings (`ring`).
//!
//! The rule one could break unawares: **nothing on a path from the handler allocates, locks, waits, panics or calls
//! the loader**. Everything the walk needs is prepared outside by `unwind::refresh` and published by pointer.

pub(crate) mod labels;
pub(crate) mod memory;
pub(crate) mod registers;
pub(crate) mod ring;
pub(crate) mod signal;
pub(crate) mod thread;
pub(crate) mod timer;
pub(crate) mod unwind;
