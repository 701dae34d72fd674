//! Memory for samples that are small: at addresses that tell, when they are freed, that they may be samples.
//!
//! A multiple of [`TAG`] is a sample, or one of the few other objects that happen to be there; those are looked up for nothing. Allocators
//! take long to find such memory, so some is kept.

use std::alloc::{GlobalAlloc, Layout, System};
use std::any::type_name;
use std::sync::Mutex;

/// Ours, not the size of a page: where pages are larger, none is spent on each sample.
pub(crate) const TAG: usize = 4096;

/// From here on objects are looked up whatever their address is: that takes nothing beside what they take.
pub(crate) const BIG: usize = 32 * 1024;

const SIZES: [usize; 3] = [256, 1024, 4096];
const KEPT: usize = 64;

/// Of one allocator, whose memory it is.
#[derive(Debug)]
pub(crate) struct Blocks([Mutex<Kept>; SIZES.len()]);

#[derive(Debug)]
struct Kept {
    addresses: [usize; KEPT],
    len: usize,
}

impl Blocks {
    pub(crate) const fn new() -> Blocks {
        Blocks([const { Mutex::new(Kept { addresses: [0; KEPT], len: 0 }) }; SIZES.len()])
    }

    /// Memory for `layout`, which is not big and asks for less than `TAG`; null if there is none.
    ///
    /// # Safety
    /// As `GlobalAlloc::alloc`, of the allocator that this is part of.
    pub(super) unsafe fn alloc(
        &self,
        inner: &impl GlobalAlloc,
        layout: Layout,
        zeroed: bool,
    ) -> *mut u8 {
        let Some(tagged) = tagged(room(layout)) else { return std::ptr::null_mut() };
        let kept = self.of(tagged).and_then(|kept| {
            let mut kept = kept.try_lock().ok()?;
            let last = kept.len.checked_sub(1)?;
            kept.len = last;
            Some(kept.addresses[last])
        });
        match kept {
            Some(address) => {
                let block = std::ptr::with_exposed_provenance_mut::<u8>(address);
                if zeroed {
                    // SAFETY: of that size, and nobody else's.
                    unsafe { block.write_bytes(0, layout.size()) };
                }
                block
            }
            // SAFETY: the caller's promise: the size is not zero.
            None if zeroed => unsafe { inner.alloc_zeroed(tagged) },
            // SAFETY: as above.
            None => unsafe { inner.alloc(tagged) },
        }
    }

    /// # Safety
    /// `block` is of `alloc`, for a layout with that room, and nobody's any more.
    pub(super) unsafe fn dealloc(&self, inner: &impl GlobalAlloc, block: *mut u8, room: u16) {
        let Some(tagged) = tagged(room) else { return };
        let is_kept = self.of(tagged).is_some_and(|kept| {
            let Ok(mut kept) = kept.try_lock() else { return false };
            let len = kept.len;
            let Some(free) = kept.addresses.get_mut(len) else { return false };
            *free = block.expose_provenance();
            kept.len += 1;
            true
        });
        if !is_kept {
            // SAFETY: `alloc` asked for that.
            unsafe { inner.dealloc(block, tagged) };
        }
    }

    /// Whether `block`, of which there is a record with that room, has it, and is not another object of somebody who got this address after C
    /// code had freed the block.
    ///
    /// # Safety
    /// `block` is an object of `A`.
    pub(super) unsafe fn is_whole<A: GlobalAlloc>(block: *mut u8, room: u16) -> bool {
        // Other allocators' is told by nothing.
        if !Blocks::are_systems::<A>() {
            return true;
        }
        // SAFETY: as `System` is C's `malloc`.
        unsafe { usable(block) }.is_none_or(|usable| usize::from(room) <= usable)
    }

    /// Whether objects of `A` are C's, which C code may free, and of which layouts do not matter.
    pub(super) fn are_systems<A>() -> bool {
        type_name::<A>() == type_name::<System>()
    }

    fn of(&self, tagged: Layout) -> Option<&Mutex<Kept>> {
        let class = SIZES.iter().position(|size| *size == tagged.size())?;
        self.0.get(class)
    }
}

/// How many bytes are asked for in the place of a layout that is not big.
pub(super) fn room(layout: Layout) -> u16 {
    const { assert!(BIG <= u16::MAX as usize) };
    let size = SIZES.into_iter().find(|size| layout.size() <= *size).unwrap_or(layout.size());
    u16::try_from(size).unwrap_or(u16::MAX)
}

/// What is asked for.
fn tagged(room: u16) -> Option<Layout> {
    Layout::from_size_align(usize::from(room), TAG).ok()
}

/// How large the C library's object is.
///
/// # Safety
/// `object` is one of `malloc`'s.
#[cfg(all(target_os = "linux", not(miri)))]
unsafe fn usable(object: *mut u8) -> Option<usize> {
    // SAFETY: the caller's promise.
    Some(unsafe { libc::malloc_usable_size(object.cast()) })
}

#[cfg(any(not(target_os = "linux"), miri))]
unsafe fn usable(_object: *mut u8) -> Option<usize> {
    None
}
