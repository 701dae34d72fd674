//! What the calls of a function allocate, if its attribute asks for that: counted by the allocator, for the path that runs.
//!
//! What is allocated for the profile itself is not, nor what functions that are called and have their own count allocate.

use std::marker::PhantomData;
use std::ptr;

use crate::aggregate::call_paths::Node;
use crate::source::heap;

/// Has allocations counted for a call path, from `of` to drop.
#[doc(hidden)]
#[derive(Debug)]
#[must_use]
pub struct Allocations {
    /// What they are counted for afterwards; `None` if nothing is to be done.
    before: Option<*const Node>,
    not_send: PhantomData<*const ()>,
}

impl Allocations {
    /// Of nobody.
    pub(super) const NONE: Allocations = Allocations { before: None, not_send: PhantomData };

    /// For a node of this thread's tree, where a call runs that does not end before the drop; null for nothing.
    #[inline]
    pub(super) fn of(node: *const Node) -> Allocations {
        // SAFETY: as the caller says; a tree is there until its thread's end, where `end_thread` is called.
        let before = (!node.is_null()).then(|| unsafe { heap::count_for(node) });
        Allocations { before, not_send: PhantomData }
    }
}

impl Drop for Allocations {
    #[inline]
    fn drop(&mut self) {
        if let Some(before) = self.before {
            // SAFETY: of a call around this one, which goes on.
            unsafe { heap::count_for(before) };
        }
    }
}

/// The thread's tree goes: what is allocated from here on is nobody's.
pub(super) fn end_thread() {
    // SAFETY: no node.
    unsafe { heap::count_for(ptr::null()) };
}
