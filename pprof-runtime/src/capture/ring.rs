//! From handlers to the collector: a fixed pool of slots, each with a byte ring.
//!
//! Memory is fixed whatever the number of threads. A handler tries the slot its thread hashes to and then a few others; a
//! slot is held for one walk, by one handler. If none is free, or its ring is full, the sample is lost *and counted*, with
//! its weight. The collector alone reads.
//!
//! ```text
//! record = header word, the number of its set of labels, then `len` lookup addresses, leaf first
//! header = weight (32 bits) << 32 | end reason (8) << 16 | len (16)
//! ```

use super::memory::{WINDOW_BYTES, Window};
use super::unwind::{End, Frames};
use crate::primitive::UnsafeCell;
use crate::primitive::atomic::{AtomicBool, AtomicU64, Ordering};

#[cfg(all(test, loom))]
mod model;

/// 64 KiB a ring: about 250 stacks of 30 frames between two visits of the collector.
const RING_WORDS: usize = 8192;
/// Words of a record before its addresses.
const HEAD_WORDS: u64 = 2;
const MIN_SLOTS: usize = 16;
const MAX_SLOTS: usize = 256;
/// Slots tried before a sample is given up.
const TRIES: usize = 4;

/// What a handler works in.
pub(crate) struct Scratch {
    pub(crate) frames: Frames,
    /// Number of the thread's set of labels.
    pub(crate) labels: u64,
    pub(crate) window: Window<{ WINDOW_BYTES / 8 }>,
}

#[repr(align(128))]
struct Slot {
    busy: AtomicBool,
    scratch: UnsafeCell<Scratch>,
    ring: Ring,
}

// SAFETY: `scratch` is touched only between winning `busy` and releasing it; `ring` synchronises itself.
unsafe impl Sync for Slot {}

/// Single producer (the holder of the slot), single consumer (the collector).
struct Ring {
    words: Box<[AtomicU64]>,
    /// Words ever written; the producer's.
    head: AtomicU64,
    /// Words ever read; the consumer's.
    tail: AtomicU64,
}

/// Samples lost, by reason, in sampling periods (the unit of weights).
#[derive(Debug, Default)]
pub(crate) struct LostCounters {
    /// Every slot tried was busy.
    pub(crate) no_slot: AtomicU64,
    /// The collector had not made room.
    pub(crate) ring_full: AtomicU64,
    /// The signal came so late that its weight passed the cap: the thread had it blocked.
    pub(crate) delayed: AtomicU64,
    /// The unwind tables were not published yet.
    pub(crate) no_tables: AtomicU64,
}

/// The pool of one process.
pub(crate) struct Pool {
    slots: Box<[Slot]>,
    pub(crate) lost: LostCounters,
}

/// A sample as the collector receives it.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) addresses: &'a [u64],
    pub(crate) labels: u64,
    pub(crate) weight: u32,
    pub(crate) end: End,
}

impl Pool {
    /// Two slots for each processor: more handlers than that never run at one time.
    pub(crate) fn new(processors: usize) -> Pool {
        Pool::with_size(processors.saturating_mul(2).clamp(MIN_SLOTS, MAX_SLOTS), RING_WORDS)
    }

    fn with_size(slots: usize, ring_words: usize) -> Pool {
        let slot = || Slot {
            busy: AtomicBool::new(false),
            scratch: UnsafeCell::new(Scratch {
                frames: Frames::new(),
                labels: 0,
                window: Window::new(),
            }),
            ring: Ring {
                words: (0..ring_words).map(|_| AtomicU64::new(0)).collect(),
                head: AtomicU64::new(0),
                tail: AtomicU64::new(0),
            },
        };
        Pool { slots: (0..slots).map(|_| slot()).collect(), lost: LostCounters::default() }
    }

    /// Takes one sample of `weight` periods: `walk` fills the scratch's frames and labels and says how the walk ended, or `None` if it
    /// could not begin.
    ///
    /// # Signal safety
    /// Atomics and memory of the pool; what `walk` does is its own promise.
    pub(crate) fn sample(
        &self,
        thread: usize,
        weight: u32,
        walk: impl FnOnce(&mut Scratch) -> Option<End>,
    ) {
        let Some(slot) = self.acquire(thread) else {
            count(&self.lost.no_slot, weight);
            return;
        };
        // SAFETY: this handler won `busy`, so nobody else touches the scratch until it is released.
        let scratch = unsafe { &mut *slot.scratch.get() };
        match walk(scratch) {
            None => count(&self.lost.no_tables, weight),
            Some(end) => {
                if !slot.ring.push(scratch, weight, end) {
                    count(&self.lost.ring_full, weight);
                }
            }
        }
        // ORDERING: Release pairs with the Acquire of the next handler that wins this slot.
        slot.busy.store(false, Ordering::Release);
    }

    fn acquire(&self, thread: usize) -> Option<&Slot> {
        let n = self.slots.len();
        (0..TRIES).filter_map(|i| self.slots.get((thread + i) % n.max(1))).find(|slot| {
            // ORDERING: Acquire pairs with the Release at the end of `sample`: scratch and ring head are seen as left.
            slot.busy.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
        })
    }

    /// Hands every waiting record to `take`. One caller at a time.
    pub(crate) fn drain(&self, mut take: impl FnMut(Record<'_>)) {
        let mut addresses = Vec::with_capacity(crate::config::MAX_DEPTH_FRAMES);
        for slot in &self.slots {
            slot.ring.drain(&mut addresses, &mut take);
        }
    }
}

fn count(counter: &AtomicU64, weight: u32) {
    // ORDERING: Relaxed: a counter that orders nothing.
    counter.fetch_add(u64::from(weight), Ordering::Relaxed);
}

impl Ring {
    fn word(&self, position: u64) -> Option<&AtomicU64> {
        let length = self.words.len().max(1) as u64;
        self.words.get((position % length) as usize)
    }

    fn put(&self, position: u64, value: u64) {
        if let Some(word) = self.word(position) {
            // ORDERING: Relaxed: published by the Release store of `head`.
            word.store(value, Ordering::Relaxed);
        }
    }

    fn take(&self, position: u64) -> u64 {
        // ORDERING: Relaxed: ordered by the Acquire load of `head`.
        self.word(position).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    fn push(&self, scratch: &Scratch, weight: u32, end: End) -> bool {
        let addresses = scratch.frames.as_slice();
        // ORDERING: Relaxed: only the slot's holder writes `head`, and `busy` ordered the holders.
        let head = self.head.load(Ordering::Relaxed);
        // ORDERING: Acquire pairs with the Release in `drain`: the words before `tail` have been read.
        let tail = self.tail.load(Ordering::Acquire);
        let needed = HEAD_WORDS + addresses.len() as u64;
        if head.wrapping_sub(tail) + needed > self.words.len() as u64 {
            return false;
        }
        self.put(head, u64::from(weight) << 32 | (end as u64) << 16 | addresses.len() as u64);
        self.put(head + 1, scratch.labels);
        for (i, address) in addresses.iter().enumerate() {
            self.put(head + HEAD_WORDS + i as u64, *address);
        }
        // ORDERING: Release pairs with the Acquire in `drain`.
        self.head.store(head + needed, Ordering::Release);
        true
    }

    fn drain(&self, addresses: &mut Vec<u64>, take: &mut impl FnMut(Record<'_>)) {
        // ORDERING: Acquire pairs with the Release in `push`: the words before `head` are whole.
        let head = self.head.load(Ordering::Acquire);
        // ORDERING: Relaxed: only the collector writes `tail`.
        let mut tail = self.tail.load(Ordering::Relaxed);
        while tail < head {
            let header = self.take(tail);
            let len = header & 0xffff;
            addresses.clear();
            addresses.extend((0..len).map(|i| self.take(tail + HEAD_WORDS + i)));
            let end = End::from_index((header >> 16) as u8).unwrap_or(End::Unreadable);
            let labels = self.take(tail + 1);
            take(Record { addresses, labels, weight: (header >> 32) as u32, end });
            tail += HEAD_WORDS + len;
        }
        // ORDERING: Release pairs with the Acquire in `push`.
        self.tail.store(tail, Ordering::Release);
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("slots", &self.slots.len()).field("lost", &self.lost).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(pool: &Pool, weight: u32) {
        pool.sample(0, weight, |_| Some(End::Complete));
    }

    fn weights(pool: &Pool) -> u64 {
        let mut sum = 0;
        pool.drain(|r| sum += u64::from(r.weight));
        sum
    }

    #[test]
    fn stored_and_lost_weights_add_up_to_the_delivered() {
        let pool = Pool::with_size(1, 64);
        let mut delivered = 0;
        for i in 0..1000 {
            put(&pool, 1 + i % 3);
            delivered += u64::from(1 + i % 3);
        }
        let stored = weights(&pool);
        let lost = pool.lost.ring_full.load(Ordering::Relaxed);
        assert!(stored > 0 && lost > 0);
        assert_eq!(stored + lost, delivered);
        // There is room again, and positions have wrapped.
        put(&pool, 7);
        assert_eq!(weights(&pool), 7);
    }

    #[test]
    fn a_handler_inside_a_handler_is_counted_not_deadlocked() {
        let pool = Pool::with_size(1, 64);
        pool.sample(0, 1, |_| {
            put(&pool, 5);
            Some(End::Complete)
        });
        assert_eq!(pool.lost.no_slot.load(Ordering::Relaxed), 5);
        assert_eq!(weights(&pool), 1);
    }

    #[test]
    fn concurrent_producers_lose_nothing_uncounted() {
        const ROUNDS: u64 = if cfg!(miri) { 40 } else { 20_000 };
        let pool = Pool::with_size(4, 256);
        let mut stored = std::thread::scope(|scope| {
            let producers: Vec<_> = (0..8)
                .map(|t| {
                    let pool = &pool;
                    scope.spawn(move || {
                        (0..ROUNDS).for_each(|_| pool.sample(t, 1, |_| Some(End::Complete)))
                    })
                })
                .collect();
            let mut stored = 0;
            while !producers.iter().all(|p| p.is_finished()) {
                stored += weights(&pool);
            }
            stored
        });
        stored += weights(&pool);
        let lost =
            pool.lost.no_slot.load(Ordering::Relaxed) + pool.lost.ring_full.load(Ordering::Relaxed);
        assert_eq!(stored + lost, 8 * ROUNDS);
    }
}
