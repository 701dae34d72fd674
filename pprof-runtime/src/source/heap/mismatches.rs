//! Samples that were freed, or reallocated, with another layout than they were allocated with: the first ones are kept.

use std::alloc::Layout;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use super::TABLE;

const KEPT: usize = 16;

/// How many there were.
static COUNT: AtomicU64 = AtomicU64::new(0);

static FIRST: [Entry; KEPT] = [const { Entry::new() }; KEPT];

/// Written once.
struct Entry {
    /// Of the table of stacks, plus one; zero while the rest is not there.
    stack: AtomicU32,
    allocated: [AtomicUsize; 2],
    freed: [AtomicUsize; 2],
}

impl Entry {
    const fn new() -> Entry {
        Entry {
            stack: AtomicU32::new(0),
            allocated: [const { AtomicUsize::new(0) }; 2],
            freed: [const { AtomicUsize::new(0) }; 2],
        }
    }
}

#[cold]
pub(super) fn note(stack: u32, allocated: Layout, freed: Layout) {
    // ORDERING: Relaxed: a counter.
    let nth = COUNT.fetch_add(1, Ordering::Relaxed);
    let Some(entry) = usize::try_from(nth).ok().and_then(|nth| FIRST.get(nth)) else { return };
    for (words, layout) in [(&entry.allocated, allocated), (&entry.freed, freed)] {
        // ORDERING: Relaxed, both: published below.
        words[0].store(layout.size(), Ordering::Relaxed);
        words[1].store(layout.align(), Ordering::Relaxed);
    }
    // ORDERING: Release pairs with the Acquire in `first`.
    entry.stack.store(stack.saturating_add(1), Ordering::Release);
}

pub(crate) fn count() -> u64 {
    // ORDERING: Relaxed: a counter.
    COUNT.load(Ordering::Relaxed)
}

/// One of the first: the frames of who allocated it, none if there was no room for them, and the two layouts.
pub(crate) struct Mismatch {
    pub(crate) frames: Box<[u64]>,
    pub(crate) allocated: Layout,
    pub(crate) freed: Layout,
}

pub(crate) fn first() -> Vec<Mismatch> {
    let layout = |words: &[AtomicUsize; 2]| {
        // ORDERING: Relaxed, both: ordered by the Acquire below.
        let [size, align] = words.each_ref().map(|word| word.load(Ordering::Relaxed));
        Layout::from_size_align(size, align).ok()
    };
    let read = |entry: &Entry| {
        // ORDERING: Acquire pairs with the Release in `note`.
        let stack = entry.stack.load(Ordering::Acquire).checked_sub(1)?;
        let recorded = TABLE.get()?.recorded_at(stack);
        Some(Mismatch {
            frames: recorded.map(|recorded| recorded.frames).unwrap_or_default(),
            allocated: layout(&entry.allocated)?,
            freed: layout(&entry.freed)?,
        })
    };
    FIRST.iter().filter_map(read).collect()
}
