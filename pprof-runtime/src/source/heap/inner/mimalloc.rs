//! mimalloc's.

use mimalloc::MiMalloc;

use super::{Allocator, Statistics};

impl Allocator for MiMalloc {
    /// As it is built usually it does not count what it gives out.
    fn statistics(&self) -> Option<Statistics> {
        None
    }

    /// Of the calling thread, and what threads left that have ended.
    fn purge(&self) {
        // SAFETY: always valid to call.
        unsafe { libmimalloc_sys::mi_collect(true) };
    }
}
