//! Memory from the system itself, which no allocator has a part in: for what is kept about one, and for large tables.
//!
//! Of these few pages are ever touched, and those that are not cost nothing; some allocators would touch all to have them zero.

use std::alloc::Layout;
use std::fmt;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::slice;

/// What is valid if all of its bytes are zero.
///
/// # Safety
/// It is, and the same as `zero`. In a model, where it is not, `zero` is used.
pub(crate) unsafe trait Zeroed {
    #[cfg_attr(not(all(test, loom)), allow(dead_code, reason = "of models"))]
    fn zero() -> Self;
}

/// So many bytes of zero, aligned to a page, until they are unmapped; `None` if the system has none.
#[cfg_attr(all(test, loom), allow(dead_code, reason = "what threads share is the models' there"))]
pub(crate) fn map(bytes: usize) -> Option<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: new memory, that nobody has.
    let start = unsafe {
        libc::mmap(ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
    };
    if start == libc::MAP_FAILED { None } else { NonNull::new(start.cast()) }
}

/// A slice of values that need no drop.
pub(crate) struct Pages<T> {
    start: NonNull<T>,
    len: usize,
}

// SAFETY: owns the values, as a `Box` does.
unsafe impl<T: Send> Send for Pages<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Pages<T> {}

#[cfg_attr(all(test, loom), allow(dead_code, reason = "as above"))]
impl<T: Zeroed> Pages<T> {
    /// All zero; none if the system has no memory.
    pub(crate) fn zeroed(len: usize) -> Pages<T> {
        const { assert!(!std::mem::needs_drop::<T>() && align_of::<T>() <= 4096) };
        let layout = Layout::array::<T>(len).expect("less than the address space");
        assert!(layout.size() != 0, "there is something in it");
        match map(layout.size()) {
            Some(start) => Pages { start: start.cast(), len },
            None => Pages { start: NonNull::dangling(), len: 0 },
        }
    }
}

impl<T> Deref for Pages<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: there are as many, of which zero is valid, as `Zeroed` says.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T> Drop for Pages<T> {
    fn drop(&mut self) {
        if self.len == 0 {
            return;
        }
        // SAFETY: mapped in `zeroed`, and nobody else's.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len * size_of::<T>()) };
    }
}

impl<T: fmt::Debug> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
