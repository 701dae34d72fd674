//! Memory from the system itself, for what is kept about an allocator's memory.

use std::ptr::{self, NonNull};

/// So many bytes of zero, aligned to a page, for ever; `None` if the system has none.
#[cfg_attr(all(test, loom), allow(dead_code, reason = "what threads share is the models' there"))]
pub(super) fn map(bytes: usize) -> Option<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: new memory, that nobody has.
    let start = unsafe {
        libc::mmap(ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
    };
    if start == libc::MAP_FAILED { None } else { NonNull::new(start.cast()) }
}
