//! Counters by stack, written to by any thread without locks or allocation.
//!
//! An open-addressing table of fixed size over an arena of fixed size. Entries are added and never removed; a reader
//! copies them at any time. When either is full, values go to one overflow entry, so totals stay true.
//!
//! | `Entry::state`     | meaning                        | leaves it                              |
//! |--------------------|--------------------------------|----------------------------------------|
//! | 0                  | free                           | a recorder, by compare-exchange to 1   |
//! | 1                  | claimed, being filled          | its claimer, by a Release store        |
//! | 2                  | dead: claimed without room     | never                                  |
//! | hash, 3 and above  | published                      | never                                  |

use std::ptr;

use crate::config::{MAX_DEPTH_FRAMES, OVERFLOW_LABELS};
use crate::primitive::atomic::{AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::primitive::{Zeroed, Zeros, zeroed};

#[cfg(all(test, loom))]
mod model;

const FREE: u64 = 0;
const CLAIMED: u64 = 1;
const DEAD: u64 = 2;
const FIRST_HASH: u64 = 3;

/// Entries looked at before a table is taken for full.
const MAX_PROBES: usize = 64;

/// Words of arena for each stack: with its entry, about 230 bytes, of which untouched pages cost nothing.
const FRAMES_PER_STACK: usize = 24;

/// Stacks with `N` counters each.
#[derive(Debug)]
pub(crate) struct StackTable<const N: usize> {
    entries: Zeros<Entry<N>>,
    arena: Zeros<AtomicU64>,
    arena_used: AtomicUsize,
    /// Entries that are not free.
    entries_used: AtomicUsize,
    /// Which these are: their indices plus one, zero where that is not written yet.
    order: Zeros<AtomicU32>,
    /// How often a set of labels, or the detail of a tag, found no room.
    crowded_out: AtomicU64,
    overflow: Counters<N>,
}

/// What tells one entry from another: a stack, a number that its owner makes labels of, and that of the thread's own set of labels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'f> {
    pub(crate) frames: &'f [u64],
    pub(crate) truncated: bool,
    pub(crate) tag: u64,
    /// Bits of the tag that tell apart what may be one, where room is short.
    pub(crate) detail: u64,
    pub(crate) labels: u64,
}

/// An entry as read.
#[derive(Clone, Debug)]
pub(crate) struct Recorded<const N: usize> {
    pub(crate) frames: Box<[u64]>,
    pub(crate) truncated: bool,
    pub(crate) tag: u64,
    pub(crate) labels: u64,
    pub(crate) values: [i64; N],
}

/// Values that are added to.
#[derive(Debug)]
pub(crate) struct Counters<const N: usize>([AtomicI64; N]);

#[derive(Debug)]
struct Entry<const N: usize> {
    state: AtomicU64,
    /// Start in the arena << 16 | number of frames << 1 | truncated.
    frames: AtomicU64,
    tag: AtomicU64,
    labels: AtomicU64,
    counters: Counters<N>,
}

// SAFETY: made of atomics alone, of which zero is valid.
unsafe impl<const N: usize> Zeroed for Entry<N> {
    fn zero() -> Self {
        Entry {
            state: AtomicU64::new(FREE),
            frames: AtomicU64::new(0),
            tag: AtomicU64::new(0),
            labels: AtomicU64::new(0),
            counters: Counters::new(),
        }
    }
}

impl<const N: usize> Counters<N> {
    pub(crate) const fn new() -> Self {
        Counters([const { AtomicI64::new(0) }; N])
    }

    /// Adds to each value. A reader in between sees the first ones alone, for that moment.
    pub(crate) fn add(&self, values: [i64; N]) {
        for (counter, value) in self.0.iter().zip(values) {
            // ORDERING: Relaxed: counters that order nothing.
            counter.fetch_add(value, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self) -> [i64; N] {
        // ORDERING: Relaxed, as above.
        self.0.each_ref().map(|counter| counter.load(Ordering::Relaxed))
    }

    /// Back to zero; what is being added at the moment is kept or dropped, value by value.
    pub(crate) fn reset(&self) {
        for counter in &self.0 {
            // ORDERING: Relaxed, as above.
            counter.store(0, Ordering::Relaxed);
        }
    }
}

impl<const N: usize> StackTable<N> {
    /// Room for `stacks` stacks, rounded up to a power of two, of `FRAMES_PER_STACK` frames on average; for none, if there is no memory: then all are
    /// counted as lost.
    pub(crate) fn new(stacks: usize) -> Self {
        let stacks = stacks.next_power_of_two();
        StackTable {
            entries: zeroed(stacks),
            arena: zeroed(stacks * FRAMES_PER_STACK),
            arena_used: AtomicUsize::new(0),
            entries_used: AtomicUsize::new(0),
            order: zeroed(stacks),
            crowded_out: AtomicU64::new(0),
            overflow: Counters::new(),
        }
    }

    /// The counters of a stack, added if new; the overflow counters if there is no room. Sets of labels and details take half of the room at
    /// most: in what is left all further ones are one, so that the stacks are there still.
    ///
    /// # Reentrancy
    /// Atomics and memory of the table only: may be called under any lock and inside an allocator.
    pub(crate) fn counters(&self, key: Key<'_>) -> &Counters<N> {
        let hash = hash(&key);
        let mask = self.entries.len().wrapping_sub(1);
        for probe in 0..MAX_PROBES {
            let index = (hash as usize).wrapping_add(probe) & mask;
            let Some(entry) = self.entries.get(index) else { break };
            // ORDERING: Acquire pairs with the Release in `fill`: the frames are there.
            let mut state = entry.state.load(Ordering::Acquire);
            if state == FREE {
                if self.is_half_full()
                    && let Some(counters) = self.coarser(key)
                {
                    return counters;
                }
                // ORDERING: Acquire on failure, as above; on success there is nothing to see yet.
                match entry.state.compare_exchange(
                    FREE,
                    CLAIMED,
                    Ordering::Relaxed,
                    Ordering::Acquire,
                ) {
                    Ok(_) if self.fill(index, entry, key, hash) => return &entry.counters,
                    Ok(_) => break,
                    Err(now) => state = now,
                }
            }
            if state == hash && self.holds(entry, key) {
                return &entry.counters;
            }
            // A claimed entry may be about to hold this very stack. Not waiting for a thread that may be
            // descheduled makes a second entry at worst; the snapshot adds the two up.
        }
        self.coarser(key).unwrap_or(&self.overflow)
    }

    /// The counters of the stack without its details and with the one set of labels of those that found no room; nothing if it is that already.
    fn coarser(&self, key: Key<'_>) -> Option<&Counters<N>> {
        let labels = if key.labels == 0 { 0 } else { OVERFLOW_LABELS };
        let coarser = Key { labels, tag: key.tag & !key.detail, ..key };
        if (coarser.labels, coarser.tag) == (key.labels, key.tag) {
            return None;
        }
        let counters = self.counters(coarser);
        // What found no room at all is told as that.
        if !ptr::eq(counters, &self.overflow) {
            // ORDERING: Relaxed: a counter.
            self.crowded_out.fetch_add(1, Ordering::Relaxed);
        }
        Some(counters)
    }

    /// False, with the entry dead, if there is no room for what belongs to it.
    fn fill(&self, index: usize, entry: &Entry<N>, key: Key<'_>, hash: u64) -> bool {
        let Key { frames, truncated, tag, labels, .. } = key;
        // ORDERING: Relaxed: a budget.
        let nth = self.entries_used.fetch_add(1, Ordering::Relaxed);
        let reserve =
            |used: usize| used.checked_add(frames.len()).filter(|end| *end <= self.arena.len());
        // ORDERING: Relaxed: reserves a range; what is written there is published by `state`.
        let reserved = self.arena_used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reserve);
        let range = reserved.map(|start| (start, self.arena.get(start..start + frames.len())));
        // There may have been memory for one of the three only.
        let (Ok((start, Some(words))), Some(place)) = (range, self.order.get(nth)) else {
            // ORDERING: Relaxed: an entry that is never read.
            entry.state.store(DEAD, Ordering::Relaxed);
            return false;
        };
        // ORDERING: Relaxed: who reads it looks at the state too.
        place.store(index as u32 + 1, Ordering::Relaxed);
        for (word, frame) in words.iter().zip(frames) {
            // ORDERING: Relaxed: published by the Release below.
            word.store(*frame, Ordering::Relaxed);
        }
        let packed = (start as u64) << 16 | (frames.len() as u64) << 1 | u64::from(truncated);
        // ORDERING: Relaxed, all: published by the Release below.
        entry.frames.store(packed, Ordering::Relaxed);
        entry.tag.store(tag, Ordering::Relaxed);
        entry.labels.store(labels, Ordering::Relaxed);
        // ORDERING: Release pairs with the Acquire loads of `state`.
        entry.state.store(hash, Ordering::Release);
        true
    }

    /// Whether there is no room for further sets of labels.
    pub(crate) fn is_half_full(&self) -> bool {
        // ORDERING: Relaxed, both: budgets.
        let (entries, words) =
            (self.entries_used.load(Ordering::Relaxed), self.arena_used.load(Ordering::Relaxed));
        entries >= self.entries.len() / 2 || words >= self.arena.len() / 2
    }

    /// The frames of a published entry.
    fn frames_of(&self, entry: &Entry<N>) -> (&[AtomicU64], bool) {
        // ORDERING: Relaxed: ordered by the caller's Acquire load of `state`.
        let packed = entry.frames.load(Ordering::Relaxed);
        let start = (packed >> 16) as usize;
        let len = (packed as usize & 0xffff) >> 1;
        (self.arena.get(start..start.saturating_add(len)).unwrap_or(&[]), packed & 1 == 1)
    }

    fn holds(&self, entry: &Entry<N>, key: Key<'_>) -> bool {
        let Key { frames, truncated, tag, labels, .. } = key;
        let (words, cut) = self.frames_of(entry);
        // ORDERING: Relaxed, as in `frames_of`.
        let same = |(word, frame): (&AtomicU64, &u64)| word.load(Ordering::Relaxed) == *frame;
        // ORDERING: Relaxed, as in `frames_of`.
        let tagged = entry.tag.load(Ordering::Relaxed) == tag
            && entry.labels.load(Ordering::Relaxed) == labels;
        tagged
            && cut == truncated
            && words.len() == frames.len()
            && words.iter().zip(frames).all(same)
    }

    fn published(&self) -> impl Iterator<Item = &Entry<N>> {
        // ORDERING: Relaxed, both: of an entry that this thread has heard of, so has it of its place.
        let used = self.entries_used.load(Ordering::Relaxed).min(self.order.len());
        let places = self.order.get(..used).unwrap_or(&[]);
        let indices = places.iter().map(|place| place.load(Ordering::Relaxed) as usize);
        let entries = indices.filter_map(|index| self.entries.get(index.checked_sub(1)?));
        // ORDERING: Acquire pairs with the Release in `fill`.
        entries.filter(|e| e.state.load(Ordering::Acquire) >= FIRST_HASH)
    }

    /// Copies every stack that has a value.
    pub(crate) fn recorded(&self) -> Vec<Recorded<N>> {
        self.published().map(|e| self.copy(e)).filter(|r| r.values != [0; N]).collect()
    }

    fn copy(&self, entry: &Entry<N>) -> Recorded<N> {
        let (words, truncated) = self.frames_of(entry);
        // ORDERING: Relaxed, as in `frames_of`.
        let frames = words.iter().map(|w| w.load(Ordering::Relaxed)).collect();
        // ORDERING: Relaxed, both, as above.
        let (tag, labels) =
            (entry.tag.load(Ordering::Relaxed), entry.labels.load(Ordering::Relaxed));
        Recorded { frames, truncated, tag, labels, values: entry.counters.read() }
    }

    /// Every value back to zero. The stacks keep their places.
    pub(crate) fn reset(&self) {
        self.for_each(Counters::reset);
    }

    /// All counters, those of the overflow too.
    pub(crate) fn for_each(&self, visit: impl Fn(&Counters<N>)) {
        self.published().for_each(|entry| visit(&entry.counters));
        visit(&self.overflow);
    }

    /// Number of stacks with a value.
    pub(crate) fn len(&self) -> usize {
        self.published().filter(|e| e.counters.read() != [0; N]).count()
    }

    /// How often values were added to a stack without the labels that they had.
    pub(crate) fn crowded_out(&self) -> u64 {
        // ORDERING: Relaxed: a counter.
        self.crowded_out.load(Ordering::Relaxed)
    }

    /// The counters of the stack that `counters` are of, with other labels.
    pub(crate) fn relabelled(&self, counters: &Counters<N>, labels: u64) -> &Counters<N> {
        let relabelled = |key: Key<'_>| self.counters(Key { labels, ..key });
        self.with_key(self.index_of(counters), |key| key.map_or(&self.overflow, relabelled))
    }

    /// What tells the entry with that index from others; `None` for the overflow.
    pub(crate) fn with_key<R>(&self, index: u32, use_it: impl FnOnce(Option<Key<'_>>) -> R) -> R {
        let Some(entry) = self.entries.get(index as usize) else { return use_it(None) };
        let (words, truncated) = self.frames_of(entry);
        let mut frames = [0; MAX_DEPTH_FRAMES];
        for (frame, word) in frames.iter_mut().zip(words) {
            // ORDERING: Relaxed, as in `frames_of`.
            *frame = word.load(Ordering::Relaxed);
        }
        let frames = frames.get(..words.len()).unwrap_or(&frames);
        // ORDERING: Relaxed, both, as above.
        let (tag, labels) =
            (entry.tag.load(Ordering::Relaxed), entry.labels.load(Ordering::Relaxed));
        use_it(Some(Key { frames, truncated, tag, detail: 0, labels }))
    }

    /// What `Counters` returned by `counters` are called by [`at`](StackTable::at).
    pub(crate) fn index_of(&self, counters: &Counters<N>) -> u32 {
        let entry = |entry: &Entry<N>| std::ptr::eq(&entry.counters, counters);
        let size = size_of::<Entry<N>>();
        let offset =
            (std::ptr::from_ref(counters) as usize).wrapping_sub(self.entries.as_ptr() as usize);
        let index = offset / size;
        if self.entries.get(index).is_some_and(entry) { index as u32 } else { u32::MAX }
    }

    /// The counters with that index; those of the overflow for any other number.
    pub(crate) fn at(&self, index: u32) -> &Counters<N> {
        self.entries.get(index as usize).map_or(&self.overflow, |entry| &entry.counters)
    }

    /// The entry with that index; `None` for the overflow.
    pub(crate) fn recorded_at(&self, index: u32) -> Option<Recorded<N>> {
        let entry = self.entries.get(index as usize)?;
        // ORDERING: Acquire pairs with the Release in `fill`.
        (entry.state.load(Ordering::Acquire) >= FIRST_HASH).then(|| self.copy(entry))
    }

    /// What did not fit.
    pub(crate) fn overflowed(&self) -> [i64; N] {
        self.overflow.read()
    }
}

/// FNV-1a over words with a final mix; never one of the reserved states.
fn hash(key: &Key<'_>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325
        ^ u64::from(key.truncated)
        ^ key.tag.rotate_left(32)
        ^ key.labels.rotate_left(17);
    for frame in key.frames {
        hash = (hash ^ frame).wrapping_mul(0x0000_0100_0000_01b3);
        hash ^= hash >> 29;
    }
    (hash ^ (hash >> 32)).max(FIRST_HASH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(frames: &[u64]) -> Key<'_> {
        Key { frames, truncated: false, tag: 0, detail: 0, labels: 0 }
    }

    #[test]
    fn equal_stacks_share_counters_and_different_ones_do_not() {
        let table = StackTable::<2>::new(16);
        table.counters(key(&[1, 2, 3])).add([1, 10]);
        table.counters(key(&[1, 2, 3])).add([1, 10]);
        table.counters(key(&[1, 2])).add([1, 5]);
        table.counters(Key { truncated: true, ..key(&[1, 2]) }).add([1, 7]);
        table.counters(Key { tag: 9, ..key(&[1, 2]) }).add([1, 8]);
        table.counters(key(&[9]));
        let mut samples = table.recorded();
        samples.sort_by_key(|s| s.values);
        let seen: Vec<_> =
            samples.iter().map(|s| (&*s.frames, s.values, s.truncated, s.tag)).collect();
        assert_eq!(
            seen,
            [
                (&[1, 2][..], [1, 5], false, 0),
                (&[1, 2][..], [1, 7], true, 0),
                (&[1, 2][..], [1, 8], false, 9),
                (&[1, 2, 3][..], [2, 20], false, 0)
            ]
        );
        assert_eq!(table.len(), 4, "a stack without values is not in the profile");
    }

    #[test]
    fn a_full_table_counts_the_rest_as_overflow() {
        let table = StackTable::<2>::new(64);
        let stacks = if cfg!(miri) { 300 } else { 10_000 };
        for i in 0..stacks {
            table.counters(key(&[i, i + 1, i + 2])).add([1, 2]);
        }
        let kept: i64 = table.recorded().iter().map(|s| s.values[0]).sum();
        assert!(kept >= 32, "{kept}");
        assert_eq!(kept + table.overflowed()[0], stacks as i64);
        assert_eq!(table.overflowed()[1], 2 * table.overflowed()[0]);
    }

    #[test]
    fn sets_of_labels_leave_room_for_stacks() {
        let table = StackTable::<2>::new(64);
        for set in 100..200 {
            for stack in [1, 2] {
                table.counters(Key { labels: set, ..key(&[stack]) }).add([1, 1]);
            }
        }
        for stack in 3..20 {
            table.counters(key(&[stack])).add([1, 1]);
        }
        let recorded = table.recorded();
        assert_eq!(table.overflowed(), [0, 0]);
        let of = |labels, stack| {
            let found = recorded.iter().filter(|r| r.labels == labels && *r.frames == [stack]);
            found.map(|r| r.values[0]).sum::<i64>()
        };
        assert_eq!((of(100, 1), of(100, 2), of(0, 19)), (1, 1, 1));
        assert_eq!((of(OVERFLOW_LABELS, 1), of(OVERFLOW_LABELS, 2)), (100 - 16, 100 - 16));
    }

    #[test]
    fn details_leave_room_for_stacks_too() {
        let table = StackTable::<2>::new(64);
        let of = |detail: u64, stack: &[u64]| {
            table.counters(Key { tag: detail << 8 | 5, detail: 0xff00, ..key(stack) }).add([1, 1]);
        };
        for detail in 1..=100 {
            of(detail, &[1]);
        }
        // What is there goes on.
        of(1, &[1]);
        let recorded = table.recorded();
        let values = |tag: u64| recorded.iter().find(|r| r.tag == tag).map_or(0, |r| r.values[0]);
        assert_eq!((values(0x105), values(0x2005), values(0x2105)), (2, 1, 0));
        assert_eq!((values(5), table.crowded_out()), (100 - 32, 100 - 32));
    }

    #[test]
    #[cfg_attr(miri, ignore = "its memory has no end")]
    fn an_entry_without_a_place_is_counted_as_lost() {
        let table = StackTable::<1> { order: zeroed(1 << 46), ..StackTable::new(16) };
        table.counters(key(&[1])).add([1]);
        table.counters(key(&[1])).add([1]);
        assert_eq!((table.overflowed(), table.len()), ([2], 0));
    }

    #[test]
    fn a_new_detail_of_a_stack_that_is_known_is_not_lost_where_nothing_fits() {
        let table = StackTable::<1>::new(16);
        let of = |detail: u64, stack: &[u64]| {
            let key = Key { tag: detail << 8, detail: 0xff00, ..key(stack) };
            table.counters(key).add([1]);
        };
        of(0, &[1]);
        let long: Vec<u64> = (0..128).collect();
        for i in 0..200 {
            let mut stack = long.clone();
            stack[0] = 1000 + i;
            of(0, &stack);
        }
        let lost = table.overflowed()[0];
        for detail in 1..100 {
            of(detail, &[1]);
        }
        assert_eq!((table.overflowed()[0], table.recorded()[0].values), (lost, [100]));
    }

    #[test]
    #[cfg_attr(miri, ignore = "its memory has no end")]
    fn without_memory_all_is_lost_and_counted() {
        let table = StackTable::<2>::new(1 << 46);
        table.counters(key(&[1, 2])).add([3, 4]);
        assert_eq!((table.overflowed(), table.recorded().len(), table.len()), ([3, 4], 0, 0));
        assert_eq!(table.index_of(table.counters(key(&[1]))), u32::MAX);
        table.reset();
        assert_eq!(table.overflowed(), [0, 0]);
    }

    #[test]
    fn long_stacks_fill_the_arena_and_short_ones_still_fit() {
        let table = StackTable::<2>::new(16);
        let long: Vec<u64> = (0..128).collect();
        for i in 0..16u64 {
            let mut stack = long.clone();
            stack[0] = 1000 + i;
            table.counters(Key { truncated: true, ..key(&stack) }).add([1, 1]);
        }
        assert_eq!(table.recorded().len(), 3, "24 x 16 words hold three stacks of 128");
        assert_eq!(table.overflowed()[0], 13);
    }

    #[test]
    fn concurrent_recorders_lose_nothing() {
        const ROUNDS: u64 = if cfg!(miri) { 40 } else { 20_000 };
        let table = StackTable::<2>::new(1024);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for i in 0..ROUNDS {
                        table.counters(key(&[i % 300, 7, i % 5])).add([1, 3]);
                    }
                });
            }
        });
        let sum =
            table.recorded().iter().fold([0, 0], |a, s| [a[0] + s.values[0], a[1] + s.values[1]]);
        assert_eq!(
            [sum[0] + table.overflowed()[0], sum[1] + table.overflowed()[1]],
            [8 * ROUNDS as i64, 24 * ROUNDS as i64]
        );
    }
}
