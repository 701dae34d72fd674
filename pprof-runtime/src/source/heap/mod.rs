//! The `heap` and `allocs` profiles: a sample of what an allocator made and freed, by the stack that asked for it.
//!
//! ```text
//! Alloc ── passes ──► inner allocator
//!   │ a count ends (countdown)
//!   └► a stack's counters (aggregate::stack_table), with the weight that it has at this rate ◄─────┐ the same weight, freed
//!      and a record by address (live), at one that tells, if the object is small (blocks) ─────────┘
//! ```
//!
//! | object                   | its memory           | when it is freed                       |
//! |--------------------------|----------------------|----------------------------------------|
//! | not a sample             | as asked             | looked up if large, or a multiple of `TAG` |
//! | a sample, small          | a multiple of `TAG`  | looked up                              |
//! | a sample, `BIG` or more  | as asked             | looked up                              |
//!
//! At rates below [`LEAST_TAGGED_RATE`] there would be too many multiples of `TAG`: every object is looked up, from then on.
//!
//! # Reentrancy
//! What is called by [`Alloc`](crate::Alloc) takes no memory but the object's from the allocator, and holds no lock while that is called. It
//! neither panics nor unwinds.

mod blocks;
mod countdown;
mod inner;
mod lifetimes;
mod live;
mod lock;
mod memory;
mod mismatches;
mod peak;
mod process;
mod profile;
mod weight;

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use once_cell::sync::OnceCell;

use self::blocks::{BIG, TAG};
use self::countdown::{Sample, decide};
use self::live::{Block, Record};
use self::weight::Weight;
use super::{labels, unwinding};
use crate::aggregate::stack_table::{Counters, Key, StackTable};
use crate::capture::memory::current_bounds;
use crate::capture::registers;
use crate::capture::unwind::{self, End};
use crate::clock;

pub(crate) use blocks::Blocks;
pub(crate) use countdown::{count_for, passes, rate, unobserved, unobserved_but};
pub(crate) use inner::{describe, name as inner_name, purge, statistics};
pub(crate) use lifetimes::set_enabled as set_lifetimes;
pub(crate) use mismatches::{Mismatch, first as mismatches};
pub(crate) use peak::in_use;
pub(crate) use process::{peak_resident, resident};
pub(crate) use profile::{count, lifetimes, peak, reset, snapshot, snapshot_by_age, stacks};

/// Distinct stacks, sizes, threads and labels; further ones are counted as lost.
const MAX_STACKS: usize = 65_536;

/// In bytes: a block of `TAG` bytes for each of them would be more than a sixteenth of all memory.
const LEAST_TAGGED_RATE: u64 = 64 * 1024;

/// What was freed, what was allocated, and what was in use when that was most: objects and bytes of each, in the bits of `weight`. This is the
/// order of reading: what is freed meanwhile is not more than what was made.
static TABLE: OnceCell<StackTable<COLUMNS>> = OnceCell::new();
const COLUMNS: usize = 6;

/// An object at an address with none of these bits set may be a sample. All of them: small ones are not.
static MASK: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Samples of which it is not known whether they were freed: there was no memory to note them in.
static DROPPED: AtomicU64 = AtomicU64::new(0);
/// Samples that were freed by somebody who did not tell: another object was at their address.
static ORPHANS: AtomicU64 = AtomicU64::new(0);
/// Stacks cut short, by reason.
static ENDS: [AtomicU64; End::COUNT] = [const { AtomicU64::new(0) }; End::COUNT];

/// See [`crate::set_mem_profile_rate`].
pub(crate) fn set_rate(rate: u64) -> u64 {
    if rate == 0 || !registers::SUPPORTED {
        return countdown::set_rate(0);
    }
    prepare();
    if rate < LEAST_TAGGED_RATE {
        // ORDERING: Relaxed, both: published with the rate, and whoever frees an object heard of it from who made it.
        MASK.store(0, Ordering::Relaxed);
    } else {
        // Not back from zero: there are samples at any address.
        MASK.fetch_and(TAG - 1, Ordering::Relaxed);
    }
    countdown::set_rate(rate)
}

/// Whether allocations are seen at a rate that is set: whether the program's allocator is an [`Alloc`](crate::Alloc).
pub(crate) fn is_seen() -> bool {
    drop(black_box(Box::new(0_u8)));
    countdown::is_used()
}

/// Everything that recording needs and that may allocate or take the loader's lock.
fn prepare() {
    static AT_FORK: Once = Once::new();
    unobserved(|| {
        unwinding::prepare();
        TABLE.get_or_init(|| StackTable::new(MAX_STACKS));
        AT_FORK.call_once(|| {
            extern "C" fn before() {
                live::before_fork();
            }
            extern "C" fn after() {
                live::after_fork();
            }
            extern "C" fn in_child() {
                live::after_fork();
                peak::begin_child();
            }
            // SAFETY: handlers without arguments that take and release locks of ours. Without them, where there is no memory for them, a
            // child may wait for a lock that a thread of its parent had.
            unsafe { libc::pthread_atfork(Some(before), Some(after), Some(in_child)) };
        });
    });
}

#[inline(always)]
pub(crate) fn may_be_sample(object: *mut u8, layout: Layout) -> bool {
    // ORDERING: Relaxed: whoever made the object had read this mask or an earlier one.
    object.addr() & MASK.load(Ordering::Relaxed) == 0 || layout.size() >= BIG
}

/// An allocation that did not pass.
///
/// # Safety
/// As `GlobalAlloc::alloc`, of `inner`, which `blocks` are of.
#[cold]
#[inline(never)]
pub(crate) unsafe fn alloc<A: GlobalAlloc>(
    inner: &A,
    blocks: &Blocks,
    layout: Layout,
    zeroed: bool,
) -> *mut u8 {
    let Some(sample) = decide(layout.size()) else {
        // SAFETY: the caller's promise.
        return unsafe { plainly(inner, layout, zeroed) };
    };
    inner::note::<A>();
    // SAFETY: the caller's promise.
    let object = unsafe { alloc_tagged(inner, blocks, layout, zeroed, &sample) };
    if !object.is_null() {
        return object;
    }
    // SAFETY: the caller's promise.
    let object = unsafe { plainly(inner, layout, zeroed) };
    if !object.is_null() {
        note_as_asked(object, layout, &sample);
    }
    object
}

/// # Safety
/// As `GlobalAlloc::alloc`, of `inner`.
unsafe fn plainly<A: GlobalAlloc>(inner: &A, layout: Layout, zeroed: bool) -> *mut u8 {
    // SAFETY: the caller's promise, both.
    if zeroed { unsafe { inner.alloc_zeroed(layout) } } else { unsafe { inner.alloc(layout) } }
}

/// A sample at an address that tells it, and noted; null if it is not to have one, or there is no room.
///
/// # Safety
/// As [`alloc`].
unsafe fn alloc_tagged<A: GlobalAlloc>(
    inner: &A,
    blocks: &Blocks,
    layout: Layout,
    zeroed: bool,
    sample: &Sample,
) -> *mut u8 {
    if !is_to_be_tagged(layout) {
        return ptr::null_mut();
    }
    // SAFETY: the caller's promise.
    let object = unsafe { blocks.alloc(inner, layout, zeroed) };
    if object.is_null() || note(object, layout, sample, Block::Tagged) {
        return object;
    }
    // It would not be told from others when it is freed.
    // SAFETY: as above, and nobody has it.
    unsafe { blocks.dealloc(inner, object, layout) };
    ptr::null_mut()
}

/// Notes a sample whose memory is what was asked for.
fn note_as_asked(object: *mut u8, layout: Layout, sample: &Sample) {
    // A small one that is at any address would not be found when it is freed.
    if is_to_be_tagged(layout) || !note(object, layout, sample, Block::AsAsked) {
        drop_sample(layout, sample);
    }
}

fn is_to_be_tagged(layout: Layout) -> bool {
    // ORDERING: Relaxed: a setting, not older than the rate that the sample is of.
    layout.size() < BIG && layout.align() < TAG && MASK.load(Ordering::Relaxed) != 0
}

/// Counts a sample and remembers it. False, with nothing done, if there is no room for it.
fn note(object: *mut u8, layout: Layout, sample: &Sample, block: Block) -> bool {
    let Some(table) = TABLE.get() else { return false };
    let counters = here(table, layout, sample);
    let record = Record {
        size: layout.size(),
        weight: sample.weight,
        born: clock::ticks(),
        stack: table.index_of(counters),
        align: layout.align().ilog2() as u8,
        block,
    };
    let Weight { objects, bytes } = sample.weight;
    match live::insert(object.addr(), record) {
        Ok(before) => {
            counters.add([0, 0, objects, bytes, 0, 0]);
            peak::grow(bytes);
            if let Some(before) = before {
                // ORDERING: Relaxed: a counter.
                ORPHANS.fetch_add(1, Ordering::Relaxed);
                note_freed(&before);
            }
            true
        }
        Err(_) => false,
    }
}

/// Counts a sample as one that is freed at once.
#[cold]
fn drop_sample(layout: Layout, sample: &Sample) {
    let Weight { objects, bytes } = sample.weight;
    if let Some(table) = TABLE.get() {
        here(table, layout, sample).add([objects, bytes, objects, bytes, 0, 0]);
    }
    // ORDERING: Relaxed: a counter.
    DROPPED.fetch_add(1, Ordering::Relaxed);
}

/// The counters of the calling stack.
#[inline(never)]
fn here<'t>(
    table: &'t StackTable<COLUMNS>,
    layout: Layout,
    sample: &Sample,
) -> &'t Counters<COLUMNS> {
    let start = registers::current();
    let labels = labels::count(labels::recorded(|| !table.is_half_full()));
    let thread = if table.is_half_full() { 0 } else { sample.thread };
    let tag = u64::from(thread) << CLASS_BITS | class(layout.size());
    // SAFETY: the bounds are this thread's stack from the live stack pointer up.
    unsafe {
        unwind::walk_again(start, current_bounds(start.sp), |frames, end| {
            if let Some(count) = ENDS.get(end as usize) {
                // ORDERING: Relaxed: a counter.
                count.fetch_add(1, Ordering::Relaxed);
            }
            let truncated = end != End::Complete;
            table.counters(Key { frames: frames.as_slice(), truncated, tag, labels })
        })
    }
}

fn note_freed(record: &Record) {
    let Weight { objects, bytes } = record.weight;
    if let Some(table) = TABLE.get() {
        table.at(record.stack).add([objects, bytes, 0, 0, 0, 0]);
    }
    peak::shrink(bytes);
    lifetimes::note(record);
}

/// Of a tag the bits that tell sizes apart; above them is the thread.
const CLASS_BITS: u32 = 16;

/// What tells sizes apart: there are eight from a power of two to the next, each of which a size is rounded up to.
fn class(size: usize) -> u64 {
    let size = size as u64;
    if size < 16 {
        return size;
    }
    let shift = (size - 1).ilog2() - 3;
    let steps = ((size - 1) >> shift) + 1;
    u64::from(shift) << 5 | steps
}

/// The size that those of a class are rounded up to.
fn size_of_class(class: u64) -> u64 {
    let (shift, steps) = (class >> 5, class & 31);
    steps << shift
}

/// Frees an object that may be a sample.
///
/// # Safety
/// As `GlobalAlloc::dealloc`, of `inner`, which `blocks` are of.
#[cold]
#[inline(never)]
pub(crate) unsafe fn dealloc<A: GlobalAlloc>(
    inner: &A,
    blocks: &Blocks,
    object: *mut u8,
    layout: Layout,
) {
    // First: from then on another thread may be given the address.
    match live::remove(object.addr()) {
        // SAFETY: the caller's promise.
        Some(record) => unsafe { free(inner, blocks, object, layout, &record) },
        // SAFETY: as above.
        None => unsafe { inner.dealloc(object, layout) },
    }
}

/// Frees a sample.
///
/// # Safety
/// As [`dealloc`]; the record is what there was of this object.
#[cold]
unsafe fn free<A: GlobalAlloc>(
    inner: &A,
    blocks: &Blocks,
    object: *mut u8,
    layout: Layout,
    record: &Record,
) {
    note_freed(record);
    // SAFETY: the caller's promise.
    match unsafe { tagged::<A>(object, layout, record) } {
        // SAFETY: as above; that is what it was asked for with.
        Some(known) => unsafe { blocks.dealloc(inner, object, known) },
        // SAFETY: as above.
        None => unsafe { inner.dealloc(object, layout) },
    }
}

/// The layout that a sample was asked for with, if its memory is of `blocks`.
///
/// # Safety
/// `object` is one of `A`'s, and the record what there was of it.
unsafe fn tagged<A: GlobalAlloc>(
    object: *mut u8,
    layout: Layout,
    record: &Record,
) -> Option<Layout> {
    let known = Layout::from_size_align(record.size, 1 << record.align).ok()?;
    // SAFETY: the caller's promise.
    let is_whole = || unsafe { Blocks::is_whole::<A>(object, known) };
    if record.block == Block::Tagged && !is_whole() {
        // ORDERING: Relaxed: a counter.
        ORPHANS.fetch_add(1, Ordering::Relaxed);
        return None;
    }
    if known != layout {
        mismatches::note(record.stack, known, layout);
        // The caller's mistake, or another object after C code had freed this one: the system's allocator takes either as what it is.
        if Blocks::are_systems::<A>() {
            return None;
        }
    }
    (record.block == Block::Tagged).then_some(known)
}

/// Grows or shrinks an object that may be a sample, or is to be one.
///
/// # Safety
/// As `GlobalAlloc::realloc`, of `inner`, which `blocks` are of.
#[cold]
#[inline(never)]
pub(crate) unsafe fn realloc<A: GlobalAlloc>(
    inner: &A,
    blocks: &Blocks,
    object: *mut u8,
    layout: Layout,
    new_size: usize,
    passes: bool,
) -> *mut u8 {
    let Ok(new_layout) = Layout::from_size_align(new_size, layout.align()) else {
        return ptr::null_mut();
    };
    let sample = if passes { None } else { decide(new_size) };
    let is_candidate = may_be_sample(object, layout);
    // First, as in `dealloc`.
    let old = if is_candidate { live::remove(object.addr()) } else { None };
    // SAFETY: the caller's promise.
    let block = old.and_then(|old| unsafe { tagged::<A>(object, layout, &old) });
    let mut moved = match &sample {
        // SAFETY: the caller's promise: the size is not zero.
        Some(sample) => unsafe { alloc_tagged(inner, blocks, new_layout, false, sample) },
        None => ptr::null_mut(),
    };
    let is_tagged = !moved.is_null();
    if is_tagged || block.is_some() {
        if !is_tagged {
            // SAFETY: the caller's promise: the size is not zero.
            moved = unsafe { inner.alloc(new_layout) };
        }
        if !moved.is_null() {
            let size = block.unwrap_or(layout).size().min(new_size);
            // SAFETY: the caller's promise; two objects, of at least so many bytes.
            unsafe { ptr::copy_nonoverlapping(object, moved, size) };
            match block {
                // SAFETY: the caller's promise: `object` is nobody's from here on.
                Some(known) => unsafe { blocks.dealloc(inner, object, known) },
                // SAFETY: as above.
                None => unsafe { inner.dealloc(object, layout) },
            }
        }
    } else {
        // SAFETY: the caller's promise.
        moved = unsafe { inner.realloc(object, layout, new_size) };
    }
    if let Some(old) = old {
        if !moved.is_null() {
            note_freed(&old);
        } else if live::insert(object.addr(), old).is_err() {
            // It stays, as if nothing had been; but its place has been taken, and there is none.
            note_freed(&old);
            // ORDERING: Relaxed: a counter.
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
    if let Some(sample) = sample.filter(|_| !is_tagged && !moved.is_null()) {
        note_as_asked(moved, new_layout, &sample);
    }
    moved
}

#[cfg(test)]
mod tests;
