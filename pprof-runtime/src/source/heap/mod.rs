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
mod mismatches;
mod peak;
mod process;
mod profile;
mod weight;

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use once_cell::sync::OnceCell;

use self::blocks::{BIG, TAG};
use self::countdown::{Sample, decide};
use self::live::Record;
use self::weight::Weight;
use super::labels;
use super::unwinding::{self, Ends};
use crate::aggregate::stack_table::{Counters, Key, StackTable};
use crate::capture::memory::current_bounds;
use crate::capture::registers;
use crate::capture::unwind::{self, End};
use crate::clock;

pub(crate) use blocks::Blocks;
pub(crate) use countdown::{count_for, observed, passes, rate, unobserved, unobserved_but};
pub use inner::{Allocator, Statistics};
pub(crate) use inner::{describe, name as inner_name, purge, statistics};
pub(crate) use lifetimes::set_enabled as set_lifetimes;
pub(crate) use mismatches::{Mismatch, first as first_mismatches};
pub(crate) use peak::in_use;
pub(crate) use process::{peak_resident, resident};
pub(crate) use profile::{
    count, reset, snapshot, snapshot_by_age, snapshot_of_lifetimes, snapshot_of_peak, stacks,
};

/// Distinct stacks, sizes, threads and labels; further ones are counted as lost.
const MAX_STACKS: usize = 65_536;

/// In bytes: a block of `TAG` bytes for each of them would be more than a sixteenth of all memory.
const LEAST_TAGGED_RATE: u64 = 64 * 1024;

/// What was freed, what was allocated, and what was in use when that was most: objects and bytes of each, in the bits of `weight`. This is the
/// order of reading: what is freed meanwhile is not more than what was made.
static TABLE: OnceCell<StackTable<COLUMNS>> = OnceCell::new();
const COLUMNS: usize = 6;

/// In bytes: one sample in a TiB. At much higher rates what one stands for does not fit into a number.
const MAX_RATE: u64 = 1 << 40;

/// An object at an address with none of these bits set may be a sample. All of them: small ones are not.
static MASK: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Samples of which it is not known whether they were freed: there was no memory to note them in.
static DROPPED: AtomicU64 = AtomicU64::new(0);
/// Samples that were freed by somebody who did not tell: another object was at their address.
static ORPHANS: AtomicU64 = AtomicU64::new(0);
/// An allocator had no memory for a sample to be told by its address.
static REFUSED: AtomicBool = AtomicBool::new(false);
static ENDS: Ends = Ends::new();

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
    countdown::set_rate(rate.min(MAX_RATE))
}

/// Whether allocations are seen at a rate that is set: whether the program's allocator is an [`Alloc`](crate::Alloc).
pub(crate) fn is_seen() -> bool {
    drop(black_box(Box::new(0_u8)));
    countdown::is_used()
}

/// Everything that recording needs and that may allocate or take the loader's lock.
fn prepare() {
    unobserved(|| {
        unwinding::prepare();
        TABLE.get_or_init(|| StackTable::new(MAX_STACKS));
    });
    prepare_forks();
}

/// At the process's first allocation if that is earlier, before `main` mostly: who registers first is called last before a fork. Handlers of
/// others wait for locks of theirs, whose holders may be waiting for one of ours.
fn prepare_forks() {
    static IS_DONE: AtomicBool = AtomicBool::new(false);
    extern "C" fn before() {
        live::before_fork();
    }
    extern "C" fn after() {
        live::after_fork();
    }
    extern "C" fn in_child() {
        live::after_fork();
        peak::begin_child();
        countdown::begin_child();
    }
    // ORDERING: Relaxed: a flag that orders nothing.
    if !IS_DONE.swap(true, Ordering::Relaxed) {
        // SAFETY: handlers without arguments that take and release locks of ours. Without them, where there is no memory for them, a
        // child may wait for a lock that a thread of its parent had. What is allocated for them is C's.
        unsafe { libc::pthread_atfork(Some(before), Some(after), Some(in_child)) };
    }
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
    inner::note::<A>();
    let Some(sample) = decide(layout.size()) else {
        // SAFETY: the caller's promise.
        return unsafe { plainly(inner, layout, zeroed) };
    };
    // SAFETY: the caller's promise.
    let tagged = unsafe { alloc_tagged(inner, blocks, layout, zeroed, &sample) };
    if let Tagged::Object(object) = tagged {
        return object;
    }
    // SAFETY: the caller's promise.
    let object = unsafe { plainly(inner, layout, zeroed) };
    match tagged {
        _ if object.is_null() => {}
        Tagged::NoRoom => drop_sample(layout, &sample),
        _ => note_as_asked(object, layout, &sample),
    }
    object
}

/// What came of asking for memory at an address that tells a sample.
enum Tagged {
    Object(*mut u8),
    /// Nothing of the kind was to be asked for, or there is no such memory.
    No,
    /// The sample cannot be noted.
    NoRoom,
}

/// # Safety
/// As `GlobalAlloc::alloc`, of `inner`.
unsafe fn plainly<A: GlobalAlloc>(inner: &A, layout: Layout, zeroed: bool) -> *mut u8 {
    // SAFETY: the caller's promise, both.
    if zeroed { unsafe { inner.alloc_zeroed(layout) } } else { unsafe { inner.alloc(layout) } }
}

/// A sample at an address that tells it, and noted.
///
/// # Safety
/// As [`alloc`].
unsafe fn alloc_tagged<A: GlobalAlloc>(
    inner: &A,
    blocks: &Blocks,
    layout: Layout,
    zeroed: bool,
    sample: &Sample,
) -> Tagged {
    if !is_to_be_tagged(layout) {
        return Tagged::No;
    }
    // SAFETY: the caller's promise.
    let object = unsafe { blocks.alloc(inner, layout, zeroed) };
    if object.is_null() {
        return Tagged::No;
    }
    if note(object, layout, sample, blocks::room(layout)) {
        return Tagged::Object(object);
    }
    // It would not be told from others when it is freed.
    // SAFETY: as above, and nobody has it.
    unsafe { blocks.dealloc(inner, object, blocks::room(layout)) };
    Tagged::NoRoom
}

/// Notes a sample whose memory is what was asked for.
fn note_as_asked(object: *mut u8, layout: Layout, sample: &Sample) {
    if !note(object, layout, sample, 0) {
        drop_sample(layout, sample);
    } else if is_to_be_tagged(layout) {
        // There is no such memory, where there is other memory: from here on all are looked up when they are freed, as this one has to be.
        // ORDERING: Relaxed, both: a flag, and whoever frees the object hears of it from this thread.
        REFUSED.store(true, Ordering::Relaxed);
        MASK.store(0, Ordering::Relaxed);
    }
}

fn is_to_be_tagged(layout: Layout) -> bool {
    // ORDERING: Relaxed: a setting, not older than the rate that the sample is of.
    layout.size() < BIG && layout.align() < TAG && MASK.load(Ordering::Relaxed) != 0
}

/// Counts a sample and remembers it. False, with nothing done, if there is no room for it.
fn note(object: *mut u8, layout: Layout, sample: &Sample, room: u16) -> bool {
    let Some(table) = TABLE.get() else { return false };
    let counters = here(table, layout, sample);
    let record = Record {
        size: layout.size(),
        weight: sample.weight,
        born: clock::ticks(),
        stack: table.index_of(counters),
        align: layout.align().ilog2() as u8,
        room,
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
    let thread = u64::from(sample.thread) << CLASS_BITS;
    let (tag, detail) = (thread | class(layout.size()), THREAD_BITS);
    // SAFETY: the bounds are this thread's stack from the live stack pointer up.
    unsafe {
        unwind::walk_again(start, current_bounds(start.sp), |frames, end| {
            ENDS.note(end);
            let truncated = end != End::Complete;
            table.counters(Key { frames: frames.as_slice(), truncated, tag, detail, labels })
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

/// Where there are too many stacks, threads are one.
const THREAD_BITS: u64 = (u16::MAX as u64) << CLASS_BITS;

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
    match unsafe { room_of::<A>(object, layout, record) } {
        // SAFETY: as above.
        Some(room) => unsafe { blocks.dealloc(inner, object, room) },
        // SAFETY: as above.
        None => unsafe { inner.dealloc(object, layout) },
    }
}

/// The room that a sample has, if its memory is of `blocks`.
///
/// # Safety
/// `object` is one of `A`'s, and the record what there was of it.
unsafe fn room_of<A: GlobalAlloc>(object: *mut u8, layout: Layout, record: &Record) -> Option<u16> {
    // SAFETY: the caller's promise.
    let is_whole = || unsafe { Blocks::is_whole::<A>(object, record.room) };
    if record.room != 0 && !is_whole() {
        // ORDERING: Relaxed: a counter.
        ORPHANS.fetch_add(1, Ordering::Relaxed);
        return None;
    }
    let known = Layout::from_size_align(record.size, 1 << record.align).ok()?;
    if known != layout {
        mismatches::note(record.stack, known, layout);
        // The caller's mistake, or another object after C code had freed this one: the system's allocator takes either as what it is.
        if Blocks::are_systems::<A>() {
            return None;
        }
    }
    (record.room != 0).then_some(record.room)
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
    let old = if may_be_sample(object, layout) { live::get(object.addr()) } else { None };
    // SAFETY: the caller's promise.
    let room = old.and_then(|old| unsafe { room_of::<A>(object, layout, &old) });
    let tagged = match &sample {
        // SAFETY: the caller's promise: the size is not zero.
        Some(sample) => unsafe { alloc_tagged(inner, blocks, new_layout, false, sample) },
        None => Tagged::No,
    };
    let is_tagged = matches!(tagged, Tagged::Object(_));
    let mut moved = if let Tagged::Object(object) = tagged { object } else { ptr::null_mut() };
    if is_tagged || room.is_some() {
        if !is_tagged {
            // SAFETY: the caller's promise: the size is not zero.
            moved = unsafe { inner.alloc(new_layout) };
        }
        if moved.is_null() {
            // Where it is it may have room: the sample stays what it was, with another size. Its record must not be lost, as that alone knows
            // its block's layout.
            let fits = room.is_some_and(|room| new_size <= usize::from(room));
            if fits {
                live::resize(object.addr(), new_size);
            }
            return if fits { object } else { ptr::null_mut() };
        }
        let size = layout.size().min(new_size).min(room.map_or(usize::MAX, usize::from));
        // SAFETY: the caller's promise; two objects, of at least so many bytes.
        unsafe { ptr::copy_nonoverlapping(object, moved, size) };
        // First, as in `dealloc`.
        forget(object, old);
        match room {
            // SAFETY: the caller's promise: `object` is nobody's from here on.
            Some(room) => unsafe { blocks.dealloc(inner, object, room) },
            // SAFETY: as above.
            None => unsafe { inner.dealloc(object, layout) },
        }
    } else {
        // First, as above.
        forget(object, old);
        // SAFETY: the caller's promise.
        moved = unsafe { inner.realloc(object, layout, new_size) };
        if moved.is_null() {
            if let Some(old) = old
                && (old.room != 0 || live::insert(object.addr(), old).is_err())
            {
                // Of another object, as was found out; or its place has been taken meanwhile, and there is none.
                note_freed(&old);
                // ORDERING: Relaxed: a counter.
                DROPPED.fetch_add(u64::from(old.room == 0), Ordering::Relaxed);
            }
            return moved;
        }
    }
    if let Some(old) = old {
        note_freed(&old);
    }
    match (sample, tagged) {
        (Some(sample), Tagged::No) => note_as_asked(moved, new_layout, &sample),
        (Some(sample), Tagged::NoRoom) => drop_sample(new_layout, &sample),
        _ => {}
    }
    moved
}

fn forget(object: *mut u8, known: Option<Record>) {
    if known.is_some() {
        live::remove(object.addr());
    }
}

#[cfg(test)]
mod tests;
