//! Which allocations are looked at: bytes are counted down, and the one at which a count ends is.
//!
//! Counts are drawn from the exponential distribution, as Go's: whatever has been allocated before, the next byte ends the count with one
//! chance in `rate`. So an allocation of `size` bytes is looked at with the chance 1 - e^(-size/rate), and stands for so many as one divided by
//! that; and a count may be thrown away at any time for another one, of another rate.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::weight::Weight;
use crate::aggregate::call_paths::Node;
use crate::aggregate::columns::Column;
use crate::aggregate::intern::Interner;
use crate::capture::thread;
use crate::clock;

/// Mean number of bytes from one sample to the next. Zero for none.
static RATE: AtomicU64 = AtomicU64::new(0);

/// Grows whenever the rate is set. Never that of a new thread, whose first allocation is so one to look at.
static EPOCH: AtomicU32 = AtomicU32::new(FIRST);

/// Until the rate is set.
const FIRST: u32 = 1;

/// Whether an allocation was seen since the rate was first set.
static USED: AtomicBool = AtomicBool::new(false);

/// Names of threads that had samples; of further ones none.
const MAX_NAMES: usize = 1024;
static NAMES: Interner<MAX_NAMES> = Interner::new();

/// Of a thread. No destructor: usable from before `main` to the thread's last allocation.
struct Countdown {
    /// Bytes to the next sample, which is the one that makes it negative.
    left: Cell<i64>,
    /// The one that it was drawn in, if allocations may pass.
    current: Cell<u32>,
    /// A sample is being taken, or a profile written: what is allocated for that is nobody's.
    busy: Cell<bool>,
    /// While `busy` what `left` is afterwards: what is allocated meanwhile must not bring the next sample nearer.
    aside: Cell<i64>,
    /// The epoch that `left` was drawn in, and the rate.
    epoch: Cell<u32>,
    rate: Cell<u64>,
    random: Cell<u64>,
    /// The number of the thread's name, and one.
    name: Cell<u32>,
    /// The call path that every allocation is counted for; null for none. While it is not, `current` is an epoch that there is not, so that
    /// none passes.
    counted_for: Cell<*const Node>,
}

/// The epoch of a thread whose allocations are all counted.
const NO_EPOCH: u32 = u32::MAX;

thread_local! {
    static COUNTDOWN: Countdown = const {
        Countdown {
            left: Cell::new(i64::MAX),
            current: Cell::new(0),
            busy: Cell::new(false),
            aside: Cell::new(0),
            epoch: Cell::new(0),
            rate: Cell::new(0),
            random: Cell::new(0),
            name: Cell::new(0),
            counted_for: Cell::new(ptr::null()),
        }
    };
}

/// The mean number of bytes from one sample to the next; zero if nothing is sampled.
pub(crate) fn rate() -> u64 {
    // ORDERING: Relaxed: a setting read for its value.
    RATE.load(Ordering::Relaxed)
}

pub(super) fn is_used() -> bool {
    // ORDERING: Relaxed: a flag that orders nothing.
    USED.load(Ordering::Relaxed)
}

/// Each thread's next allocation finds it.
pub(super) fn set_rate(rate: u64) -> u64 {
    // ORDERING: Relaxed: published by the Release below.
    let before = RATE.swap(rate, Ordering::Relaxed);
    // ORDERING: Release: whoever sees the epoch sees that rate or a later one, and what was made ready for it.
    EPOCH.fetch_add(1, Ordering::Release);
    before
}

/// Counts an allocation. False if it may be one to look at, which [`decide`] is to say.
#[inline(always)]
pub(crate) fn passes(size: usize) -> bool {
    COUNTDOWN.with(|count| {
        // ORDERING: Relaxed: `decide` looks again.
        let is_current = EPOCH.load(Ordering::Relaxed) == count.current.get();
        let left = count.left.get().wrapping_sub(size as i64);
        count.left.set(left);
        is_current && left >= 0
    })
}

/// What an allocation stands for that did not pass; `None` if it is not looked at. Otherwise the thread is busy until the result is dropped.
#[cold]
#[inline(never)]
pub(super) fn decide(size: usize) -> Option<Sample> {
    COUNTDOWN.with(|count| {
        if count.busy.get() {
            return None;
        }
        // SAFETY: null, or a node of this thread's tree, which is there until somebody else is counted for.
        if let Some(node) = unsafe { count.counted_for.get().as_ref() } {
            node.add(Column::Objects, 1);
            node.add(Column::Bytes, size as i64);
        }
        // ORDERING: Acquire pairs with the Release in `set_rate`.
        let epoch = EPOCH.load(Ordering::Acquire);
        if epoch != count.epoch.get() {
            count.epoch.set(epoch);
            if count.counted_for.get().is_null() {
                count.current.set(epoch);
            }
            if epoch == FIRST {
                super::prepare_forks();
            } else {
                // ORDERING: Relaxed: a flag that orders nothing.
                USED.store(true, Ordering::Relaxed);
            }
            count.draw();
            count.left.set(count.left.get().wrapping_sub(size as i64));
        }
        if count.left.get() >= 0 {
            return None;
        }
        let rate = count.rate.get();
        count.draw();
        // Off, and so many bytes have been allocated.
        if rate == 0 {
            return None;
        }
        count.set_busy(true);
        Some(Sample { weight: Weight::of(size, rate), thread: count.name() })
    })
}

/// An allocation that is looked at.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) weight: Weight,
    /// The number of the thread's name; zero for none.
    pub(super) thread: u16,
}

impl Drop for Sample {
    fn drop(&mut self) {
        COUNTDOWN.with(|count| count.set_busy(false));
    }
}

/// Has every allocation of this thread counted for a call path from now on; null for none. Returns what it was before.
///
/// # Safety
/// The node is one of this thread's tree, and is there until this is called again.
pub(crate) unsafe fn count_for(node: *const Node) -> *const Node {
    COUNTDOWN.with(|count| {
        count.current.set(if node.is_null() { count.epoch.get() } else { NO_EPOCH });
        count.counted_for.replace(node)
    })
}

/// In a forked child: it is not to look at the same allocations as its parent and its siblings.
pub(super) fn begin_child() {
    COUNTDOWN.with(|count| {
        count.random.set(0);
        // Draws anew.
        count.epoch.set(0);
        if count.counted_for.get().is_null() {
            count.current.set(0);
        }
    });
}

/// The name of a thread that had a sample.
pub(super) fn name_of(thread: u16) -> Option<String> {
    NAMES.text(thread)
}

/// Runs `work`, whose allocations are not looked at.
pub(crate) fn unobserved<T>(work: impl FnOnce() -> T) -> T {
    with_busy(true, work)
}

/// Runs `work`, which is the program's, on a thread of ours that is `unobserved`.
pub(crate) fn observed<T>(work: impl FnOnce() -> T) -> T {
    with_busy(false, work)
}

/// As `unobserved`, of work that calls the program's code, which is handed what it is to call that by: there it is as before.
pub(crate) fn unobserved_but<T>(work: impl FnOnce(&dyn Fn(&mut dyn FnMut())) -> T) -> T {
    let before = COUNTDOWN.with(|count| count.busy.get());
    with_busy(true, || work(&|call| with_busy(before, call)))
}

fn with_busy<T>(busy: bool, work: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            COUNTDOWN.with(|count| count.set_busy(self.0));
        }
    }
    let _restore = Restore(COUNTDOWN.with(|count| count.set_busy(busy)));
    work()
}

impl Countdown {
    /// Returns what it was.
    fn set_busy(&self, busy: bool) -> bool {
        let before = self.busy.replace(busy);
        match (before, busy) {
            (false, true) => self.aside.set(self.left.replace(i64::MAX)),
            (true, false) => self.left.set(self.aside.get()),
            _ => {}
        }
        before
    }

    /// Begins anew.
    fn draw(&self) {
        let rate = rate();
        self.rate.set(rate);
        self.left.set(match rate {
            0 => i64::MAX,
            1 => 0,
            // One more than these ends the count.
            _ => (-self.random().ln() * rate as f64) as i64,
        });
    }

    /// Above zero, and at most one.
    fn random(&self) -> f64 {
        let mut random = self.random.get();
        if random == 0 {
            // The same address is another thread's later; not at the same time.
            random = (ptr::from_ref(self).addr() as u64).rotate_left(32) ^ clock::ticks();
        }
        // Splitmix64: a counter, and what makes all of its bits depend on each other.
        random = random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.random.set(random);
        let mut bits = random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
        ((bits >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// The number of the thread's name, which it is asked for once.
    fn name(&self) -> u16 {
        if self.name.get() == 0 {
            let (_, name) = thread::identify();
            let (low, high) = name.split_at(8);
            let word = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().unwrap_or_default());
            let key = [word(low), word(high), 0];
            let number = if key == [0; 3] {
                0
            } else {
                NAMES.intern(key, |text| {
                    // `Text` takes everything.
                    let _ = crate::source::contention::write_name(&name, text);
                })
            };
            self.name.set(u32::from(number) + 1);
        }
        (self.name.get() - 1) as u16
    }
}
