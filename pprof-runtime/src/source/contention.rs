//! The `block` and `mutex` profiles: what waits cost, by who waited and by who made them wait.
//!
//! | profile | charged to                    | event                | kept with probability      | adds                     |
//! |---------|-------------------------------|----------------------|----------------------------|--------------------------|
//! | block   | the stack that waited         | one wait of d ns     | min(1, d / rate)           | d ≥ rate: 1, d           |
//! |         |                               |                      |                            | d < rate: rate/d, rate   |
//! | mutex   | the stack that unlocked       | one contended unlock | 1 / fraction               | fraction, fraction x d   |
//!
//! A mutex event's d is all the waiting that the unlock put an end to or let begin, up to when the next thread has the lock: it
//! is added in two parts, see `sync/debt.rs`.
//!
//! Both sums are unbiased at every setting (golang/go#44192 tells of the bias this avoids). Weights are
//! applied when an event is recorded, so changing a rate does not change what was measured before.
//!
//! # Reentrancy
//! Recording takes no lock and does not allocate, save that libc is asked once per thread where its stack ends. It may run
//! under any lock of the program.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use once_cell::sync::OnceCell;
use parking_lot::Mutex;

use super::ticker::Ticker;
use crate::aggregate::snapshot::{Lost, Snapshot, StackSample};
use crate::aggregate::stack_table::{Counters, StackTable};
use crate::capture::memory::{StackMemory, Window, current_bounds};
use crate::capture::registers;
use crate::capture::unwind::{self, End, Frames, Reader};
use crate::clock;
use crate::error::Error;

/// Distinct stacks kept in each of the two profiles; further ones are counted as lost.
const MAX_STACKS: usize = 16_384;

/// Contentions are kept in 1/65536: `rate / d` is seldom whole.
const COUNT_SHIFT: u32 = 16;

/// How often the unwind tables follow objects that come and go, while one of the profiles is on.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

static BLOCK_RATE_NS: AtomicI64 = AtomicI64::new(0);
static MUTEX_FRACTION: AtomicI64 = AtomicI64::new(0);

static BLOCK: Recorder = Recorder::new();
static MUTEX: Recorder = Recorder::new();
/// Waits whose end no unlock was charged with.
static UNSEEN: Counters = Counters::new();

struct Recorder {
    table: OnceCell<StackTable>,
    /// Stacks cut short, by reason; for the comments.
    ends: [AtomicU64; End::COUNT],
}

impl Recorder {
    const fn new() -> Self {
        Recorder { table: OnceCell::new(), ends: [const { AtomicU64::new(0) }; End::COUNT] }
    }

    /// The counters of the calling stack; `None` before the profile was first switched on.
    #[inline(never)]
    fn here(&self) -> Option<&Counters> {
        let table = self.table.get()?;
        let mut frames = Frames::new();
        let end = capture(&mut frames);
        if let Some(count) = self.ends.get(end as usize) {
            // ORDERING: Relaxed: a counter that orders nothing.
            count.fetch_add(1, Ordering::Relaxed);
        }
        Some(table.counters(frames.as_slice(), end != End::Complete))
    }

    fn samples(&self) -> Vec<StackSample> {
        let mut samples = self.table.get().map(StackTable::samples).unwrap_or_default();
        for sample in &mut samples {
            sample.values = whole(sample.values);
        }
        samples
    }

    fn snapshot(&self, setting: String, unseen: [i64; 2]) -> Snapshot {
        let overflow = self.table.get().map_or([0, 0], StackTable::overflowed);
        let lost = [
            ("pprof_runtime::lost_contention (stack table full)", overflow),
            ("pprof_runtime::lost_contention (unlock not seen)", unseen),
        ];
        let lost = lost
            .into_iter()
            .filter(|(_, values)| *values != [0, 0])
            .map(|(reason, values)| Lost { reason, values: whole(values) })
            .collect();
        let mut comments = vec![setting];
        for (index, count) in self.ends.iter().enumerate() {
            // ORDERING: Relaxed, as in `here`.
            let count = count.load(Ordering::Relaxed);
            match End::from_index(index as u8) {
                Some(end) if end != End::Complete && count > 0 => {
                    comments.push(format!("stacks cut short ({}): {count}", end.describe()));
                }
                _ => {}
            }
        }
        Snapshot { time: SystemTime::now(), duration: None, stacks: self.samples(), lost, comments }
    }
}

/// Contentions back from fixed point, to the nearest whole, and at least one for a stack that waited at all. An unlock just recorded
/// may await the rest of its delay, without which it can be less than nothing.
fn whole([count, delay]: [i64; 2]) -> [i64; 2] {
    [((count + (1 << (COUNT_SHIFT - 1))) >> COUNT_SHIFT).max(1), delay.max(0)]
}

/// See [`crate::set_block_profile_rate`].
pub(crate) fn set_block_rate(ns: i64) {
    if ns > 0 {
        prepare(&BLOCK);
    }
    // ORDERING: Release pairs with the Acquire in `begin_wait`: the table is there.
    BLOCK_RATE_NS.store(ns.max(0), Ordering::Release);
}

/// See [`crate::set_mutex_profile_fraction`].
pub(crate) fn set_mutex_fraction(n: i64) -> i64 {
    if n < 0 {
        // ORDERING: Relaxed: a setting read for its value.
        return MUTEX_FRACTION.load(Ordering::Relaxed);
    }
    if n > 0 {
        prepare(&MUTEX);
    }
    // ORDERING: Release pairs with the Acquire in `mutex_enabled`.
    MUTEX_FRACTION.swap(n, Ordering::AcqRel)
}

/// Everything a recorder needs that may allocate or take the loader's lock.
fn prepare(recorder: &Recorder) {
    static FOLLOW_LOADER: Mutex<Option<Ticker>> = Mutex::new(None);
    clock::calibrate();
    recorder.table.get_or_init(|| StackTable::new(MAX_STACKS));
    unwind::refresh();
    let mut ticker = FOLLOW_LOADER.lock();
    if ticker.is_none() {
        // Without the thread, stacks through objects loaded later end early, and are counted as such.
        let refresh = || {
            unwind::refresh();
            REFRESH_INTERVAL
        };
        *ticker = Ticker::start("pprof-modules", REFRESH_INTERVAL, refresh).ok();
    }
}

/// Whether the block profile is on.
#[inline]
pub(crate) fn block_enabled() -> bool {
    // ORDERING: Acquire pairs with the Release in `set_block_rate`.
    BLOCK_RATE_NS.load(Ordering::Acquire) > 0
}

/// Whether the mutex profile is on.
#[inline]
pub(crate) fn mutex_enabled() -> bool {
    // ORDERING: Acquire pairs with the Release in `set_mutex_fraction`.
    MUTEX_FRACTION.load(Ordering::Acquire) > 0
}

/// A wait that has begun on a stack of its own.
#[derive(Debug)]
#[must_use]
pub(crate) struct WaitStart {
    started: u64,
    counters: &'static Counters,
}

/// Call before blocking; `None`, without a look at the clock, while the block profile is off.
///
/// The stack is captured here, where the thread is about to lose time anyway, not after it got what it waited for: a lock's
/// new owner has no time to spare.
#[inline]
pub(crate) fn begin_wait() -> Option<WaitStart> {
    if block_enabled() { begin_wait_at(clock::ticks()) } else { None }
}

/// `begin_wait` for a caller that has looked at the clock already.
#[cold]
pub(crate) fn begin_wait_at(started: u64) -> Option<WaitStart> {
    Some(WaitStart { started, counters: BLOCK.here()? })
}

/// Call after blocking: records the wait.
#[inline]
pub(crate) fn end_wait(wait: Option<WaitStart>) {
    if let Some(wait) = wait {
        end_wait_at(wait, clock::ticks());
    }
}

/// `end_wait` for a caller that has looked at the clock already.
#[cold]
pub(crate) fn end_wait_at(wait: WaitStart, now: u64) {
    // ORDERING: Relaxed: a setting read for its value.
    let rate = BLOCK_RATE_NS.load(Ordering::Relaxed);
    let delay = clock::ticks_to_ns(now.saturating_sub(wait.started));
    // At least one, as in Go: a wait that was seen has a length.
    let delay = i64::try_from(delay).unwrap_or(i64::MAX).max(1);
    if let Some(values) = sample_wait(delay, rate, random()) {
        wait.counters.add(values);
    }
}

/// What a wait of `delay` ns adds at `rate`, if `draw` chooses it. The first value is in fixed point.
fn sample_wait(delay: i64, rate: i64, draw: u64) -> Option<[i64; 2]> {
    if rate <= 0 {
        return None;
    }
    if delay >= rate {
        return Some([1 << COUNT_SHIFT, delay]);
    }
    let chosen = draw % rate as u64 >= (rate - delay) as u64;
    let count = (i128::from(rate) << COUNT_SHIFT) / i128::from(delay.max(1));
    chosen.then(|| [i64::try_from(count).unwrap_or(i64::MAX), rate])
}

/// Who is to be charged for waiting on a lock: a stack of the mutex profile, and how many unlocks the sampled one stands for.
///
/// | bits   | content                                                              |
/// |--------|----------------------------------------------------------------------|
/// | 0..32  | 0 nobody is known, 1 not sampled, else the stack's index plus two    |
/// | 32..64 | the weight                                                           |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Debtor(u64);

impl Debtor {
    /// Whoever unlocked did not see the waiter.
    pub(crate) const UNKNOWN: Debtor = Debtor(0);
    /// The unlock was not sampled: nothing of it is recorded.
    const NOT_SAMPLED: Debtor = Debtor(1);

    fn new(stack: u32, weight: u32) -> Debtor {
        Debtor(u64::from(weight) << 32 | u64::from(stack.saturating_add(2)))
    }

    pub(crate) fn from_bits(bits: u64) -> Debtor {
        Debtor(bits)
    }

    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }
}

/// Records, on the calling stack, that it is about to end waiting by others that took `delay_ticks` so far. Returns whom to
/// charge for the rest.
pub(crate) fn unlocking(delay_ticks: i64) -> Debtor {
    // ORDERING: Relaxed: a setting read for its value.
    let fraction = MUTEX_FRACTION.load(Ordering::Relaxed);
    let Some(weight) = sample_unlock(fraction, random()) else { return Debtor::NOT_SAMPLED };
    let (Some(counters), Some(table)) = (MUTEX.here(), MUTEX.table.get()) else {
        return Debtor::NOT_SAMPLED;
    };
    counters.add(contentions(weight, 1, delay_ticks));
    Debtor::new(table.index_of(counters), weight)
}

/// How many unlocks this one stands for at `fraction`, if `draw` chooses it. Larger fractions are taken as 2^32 - 1, of which a
/// machine sees one in an hour.
fn sample_unlock(fraction: i64, draw: u64) -> Option<u32> {
    let fraction = u32::try_from(fraction).unwrap_or(if fraction < 0 { 0 } else { u32::MAX });
    (fraction > 0 && draw.is_multiple_of(u64::from(fraction))).then_some(fraction)
}

/// Records the rest of waits that `debtor` caused, at the weight that its unlock had.
pub(crate) fn charge(debtor: Debtor, delay_ticks: i64) {
    if delay_ticks == 0 {
        return;
    }
    match (debtor, MUTEX.table.get()) {
        (Debtor::UNKNOWN, _) => UNSEEN.add(contentions(1, 1, delay_ticks)),
        (Debtor::NOT_SAMPLED, _) | (_, None) => {}
        (Debtor(bits), Some(table)) => {
            let (stack, weight) = (bits as u32 - 2, (bits >> 32) as u32);
            table.at(stack).add(contentions(weight, 0, delay_ticks));
        }
    }
}

/// What `count` contentions add to the mutex profile if each stands for `weight`.
fn contentions(weight: u32, count: i64, delay_ticks: i64) -> [i64; 2] {
    let ns = i64::try_from(clock::ticks_to_ns(delay_ticks.unsigned_abs())).unwrap_or(i64::MAX);
    let weight = i64::from(weight);
    [(count << COUNT_SHIFT) * weight, (ns * delay_ticks.signum()).saturating_mul(weight)]
}

fn capture(frames: &mut Frames) -> End {
    let start = registers::current();
    let Some(reader) = Reader::enter(start.sp) else { return End::UnknownCode };
    let mut window = Window::<256>::new();
    // SAFETY: the bounds are this thread's stack from the live stack pointer up.
    let mut memory = unsafe { StackMemory::new(current_bounds(start.sp), &mut window) };
    unwind::walk(reader.tables(), start, &mut memory, frames)
}

/// xorshift64*, per thread: samples must be independent of the program, not secret.
fn random() -> u64 {
    thread_local! {
        // No destructor: usable while the thread is being torn down.
        static STATE: Cell<u64> = const { Cell::new(0) };
    }
    let mut x = STATE.get();
    if x == 0 {
        x = clock::ticks() ^ (STATE.with(|s| std::ptr::from_ref(s) as u64)).rotate_left(32) | 1;
    }
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    STATE.set(x);
    x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
}

/// Waits by who waited.
///
/// # Errors
/// `Unsupported` where no stack can be captured: nothing would be in it.
pub(crate) fn block_snapshot() -> Result<Snapshot, Error> {
    supported("block")?;
    // ORDERING: Relaxed: a setting read for its value.
    let rate = BLOCK_RATE_NS.load(Ordering::Relaxed);
    Ok(BLOCK.snapshot(format!("block profile rate: {rate} ns"), [0, 0]))
}

/// Waits by who ended them.
///
/// # Errors
/// As [`block_snapshot`].
pub(crate) fn mutex_snapshot() -> Result<Snapshot, Error> {
    supported("mutex")?;
    // ORDERING: Relaxed: a setting read for its value.
    let fraction = MUTEX_FRACTION.load(Ordering::Relaxed);
    Ok(MUTEX.snapshot(format!("mutex profile fraction: {fraction}"), UNSEEN.read()))
}

fn supported(name: &str) -> Result<(), Error> {
    if registers::SUPPORTED {
        return Ok(());
    }
    Err(Error::unsupported_platform(&format!("the {name} profile")))
}

/// Number of distinct stacks in the block profile.
pub(crate) fn block_count() -> usize {
    BLOCK.table.get().map_or(0, StackTable::len)
}

/// Number of distinct stacks in the mutex profile.
pub(crate) fn mutex_count() -> usize {
    MUTEX.table.get().map_or(0, StackTable::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Total of many equal waits against the truth, over deterministic draws that cover the range evenly.
    fn totals(delay: i64, rate: i64, waits: i64) -> (f64, f64) {
        let (mut count, mut time) = (0.0, 0.0);
        for i in 0..waits {
            if let Some([c, t]) = sample_wait(delay, rate, random()) {
                count += c as f64 / f64::from(1 << COUNT_SHIFT);
                time += t as f64;
            }
            std::hint::black_box(i);
        }
        (count, time)
    }

    #[test]
    fn short_waits_are_weighted_without_bias() {
        for (delay, rate) in [(1_000, 10_000), (1_000, 100_000), (999, 1_000), (1_000, 1)] {
            let waits = 400_000;
            let (count, time) = totals(delay, rate, waits);
            // The number kept is binomial; six standard deviations of its share.
            let p = (delay as f64 / rate as f64).min(1.0);
            let bound = 6.0 * ((1.0 - p) / (p * waits as f64)).sqrt() + 1e-4;
            let (count_error, time_error) =
                (count / waits as f64 - 1.0, time / (waits * delay) as f64 - 1.0);
            assert!(count_error.abs() < bound, "{delay}/{rate}: count off by {count_error}");
            assert!(time_error.abs() < bound, "{delay}/{rate}: time off by {time_error}");
        }
    }

    #[test]
    fn unlocks_are_weighted_without_bias() {
        for fraction in [1, 2, 10, 100, 1_000] {
            let unlocks = 400_000;
            let weight = || sample_unlock(fraction, random()).map(i64::from);
            let sum: i64 = (0..unlocks).filter_map(|_| weight()).sum();
            // As above: a share of 1 / fraction is kept.
            let bound = 6.0 * ((fraction - 1) as f64 / unlocks as f64).sqrt() + 1e-9;
            let error = sum as f64 / unlocks as f64 - 1.0;
            assert!(error.abs() < bound, "{fraction}: off by {error}");
        }
        assert_eq!(sample_unlock(0, 0), None);
    }

    #[test]
    fn a_rate_of_zero_records_nothing_and_long_waits_are_always_kept() {
        assert_eq!(sample_wait(50, 0, 0), None);
        assert_eq!(sample_wait(50, -1, 0), None);
        for draw in [0, 1, u64::MAX] {
            assert_eq!(sample_wait(50, 50, draw), Some([1 << COUNT_SHIFT, 50]));
            assert_eq!(sample_wait(i64::MAX, 50, draw), Some([1 << COUNT_SHIFT, i64::MAX]));
        }
    }

    #[test]
    fn counts_round_to_the_nearest_and_never_to_nothing() {
        assert_eq!(whole([(1 << COUNT_SHIFT) * 5 / 2, 7]), [3, 7]);
        assert_eq!(whole([1, 7]), [1, 7]);
    }
}
