//! [`Alloc`]: tells the `heap` and `allocs` profiles what a program allocates, over any allocator.

use std::alloc::{GlobalAlloc, Layout};

use crate::source::heap::{self, Blocks};

/// Any allocator, whose objects the `heap` and `allocs` profiles see.
///
/// Nothing is recorded until [`set_mem_profile_rate`](crate::set_mem_profile_rate) is called. It may be used before `main`, in destructors of
/// thread-locals and at the end of the process, as the allocator inside may. How it samples is told in
/// `docs/heap.md` of the repository.
///
/// # Overhead
/// About a nanosecond for an allocation and its end; at the default rate one of 512 KiB allocated is recorded, which takes 0.2 µs, and up to
/// 4 KiB while the object is there.
///
/// # Examples
/// ```standalone_crate
/// use std::alloc::System;
///
/// #[global_allocator]
/// static ALLOCATOR: pprof_runtime::Alloc<System> = pprof_runtime::Alloc::new(System);
///
/// pprof_runtime::set_mem_profile_rate(1);
/// let kept = vec![0_u8; 5000];
/// let heap = pprof_runtime::lookup("heap").unwrap().snapshot()?;
/// let in_use: i64 = heap.proto().sample.iter().map(|sample| sample.value[3]).sum();
/// assert!(in_use >= 5000);
/// # drop(kept);
/// # Ok::<(), pprof_runtime::Error>(())
/// ```
#[derive(Debug)]
pub struct Alloc<A> {
    inner: A,
    blocks: Blocks,
}

impl<A> Alloc<A> {
    /// Around `inner`, which makes and frees the objects.
    pub const fn new(inner: A) -> Alloc<A> {
        Alloc { inner, blocks: Blocks::new() }
    }

    /// The allocator inside.
    pub const fn inner(&self) -> &A {
        &self.inner
    }
}

impl<A: Default> Default for Alloc<A> {
    fn default() -> Self {
        Alloc::new(A::default())
    }
}

// SAFETY: every object is one of `inner`'s, of the size and alignment asked for or of more, and goes back to `inner` with the layout that it was
// asked for with; nothing here unwinds.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Alloc<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if heap::passes(layout.size()) {
            // SAFETY: the caller's promise.
            unsafe { self.inner.alloc(layout) }
        } else {
            // SAFETY: as above.
            unsafe { heap::alloc(&self.inner, &self.blocks, layout, false) }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if heap::passes(layout.size()) {
            // SAFETY: the caller's promise.
            unsafe { self.inner.alloc_zeroed(layout) }
        } else {
            // SAFETY: as above.
            unsafe { heap::alloc(&self.inner, &self.blocks, layout, true) }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, object: *mut u8, layout: Layout) {
        if heap::may_be_sample(object, layout) {
            // SAFETY: the caller's promise.
            unsafe { heap::dealloc(&self.inner, &self.blocks, object, layout) }
        } else {
            // SAFETY: as above.
            unsafe { self.inner.dealloc(object, layout) }
        }
    }

    #[inline]
    unsafe fn realloc(&self, object: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let passes = heap::passes(new_size);
        if passes && !heap::may_be_sample(object, layout) {
            // SAFETY: the caller's promise.
            unsafe { self.inner.realloc(object, layout, new_size) }
        } else {
            // SAFETY: as above.
            unsafe { heap::realloc(&self.inner, &self.blocks, object, layout, new_size, passes) }
        }
    }
}
