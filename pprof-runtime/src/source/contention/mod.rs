//! The `block` and `mutex` profiles: what waits cost, by who waited and by who made them wait.
//!
//! | profile | charged to                    | event                | kept with probability      | adds                     |
//! |---------|-------------------------------|----------------------|----------------------------|--------------------------|
//! | block   | the stack that waited         | one wait of d ns     | min(1, d / rate)           | d ≥ rate: 1, d           |
//! |         |                               |                      |                            | d < rate: rate/d, rate   |
//! | mutex   | the stack that unlocked       | one contended unlock | 1 / fraction               | fraction, fraction x d   |
//!
//! A mutex event's d is all the waiting that the unlock put an end to or let begin, up to when the next thread has the lock: it
//! is added in two parts, see `debt`.
//!
//! `hold` is a third one, of how long locks are held.
//!
//! Weights are applied when an event is recorded, so changing a rate does not change what was measured before.
//!
//! Waits in progress are in the block profile too, with all of the time that they have taken so far; `wait_graph` tells which of them
//! will never end.
//!
//! # Reentrancy
//! Recording takes no lock and does not allocate, save that libc is asked once per thread where its stack ends. It may run
//! under any lock of the program.

mod account;
mod actor;
mod blocking;
mod debt;
pub(crate) mod foreign;
mod hold;
mod known_sites;
mod live;
mod monitor;
mod name;
pub(crate) mod nesting;
mod probes;
mod sampling;
mod tag;
pub(crate) mod wait_graph;

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::SystemTime;

use once_cell::sync::OnceCell;

use self::sampling::{COUNT_SHIFT, random, sample_unlock, sample_wait};
use self::tag::{Labeller, Tag};
use super::heap::unobserved;
use super::labels::{self, Texts};
use super::unwinding::{self, Ends};
use crate::aggregate::snapshot::{
    HELD, Labels, Lost, PHASE, Snapshot, StackSample, UNLOCK_NOT_SEEN, WAITING,
};
use crate::aggregate::stack_table::{Counters, Key, Recorded, StackTable};
use crate::capture::memory::{Bounds, current_bounds};
use crate::capture::registers::{self, Registers};
use crate::capture::unwind::{self, End, Frames};
use crate::clock;
use crate::error::Error;

pub(crate) use self::{
    actor::{Actor, write_name},
    blocking::{Event, blocked},
    hold::set_rate as set_hold_rate,
    monitor::{Held, Monitor, Wait, wait, wait_as, wait_for, wait_timed},
    tag::{Kind, Origin, Site},
};

/// Distinct stacks kept in each of the two profiles; further ones are counted as lost.
const MAX_STACKS: usize = 16_384;

static BLOCK_RATE_NS: AtomicI64 = AtomicI64::new(0);
static MUTEX_FRACTION: AtomicI64 = AtomicI64::new(0);

/// Whether samples are told apart by labels, and waits in progress shown.
static LABELS: AtomicBool = AtomicBool::new(true);

/// Contentions, delay, and how much of the delay went by between the unlock and the end of the wait.
static BLOCK: Recorder<3> = Recorder::new();
static MUTEX: Recorder<2> = Recorder::new();
/// Waits whose end no unlock was charged with.
static UNSEEN: Counters<2> = Counters::new();

struct Recorder<const N: usize> {
    table: OnceCell<StackTable<N>>,
    ends: Ends,
}

impl<const N: usize> Recorder<N> {
    const fn new() -> Self {
        Recorder { table: OnceCell::new(), ends: Ends::new() }
    }

    /// The counters of the calling stack; `None` before the profile was first switched on.
    #[inline(never)]
    fn here(&self, tag: Tag) -> Option<&Counters<N>> {
        let start = registers::current();
        let labels = self.labels();
        capture(start, current_bounds(start.sp), |frames, end| self.of(frames, end, tag, labels))
    }

    /// As `here`, without its labels.
    #[inline(never)]
    fn here_unlabelled(&self, tag: Tag) -> Option<&Counters<N>> {
        let start = registers::current();
        capture(start, current_bounds(start.sp), |frames, end| self.of(frames, end, tag, 0))
    }

    /// The number of the running code's labels.
    fn labels(&self) -> u64 {
        let has_room = || self.table.get().is_some_and(|table| !table.is_half_full());
        labels::count(labels::recorded(has_room))
    }

    /// The counters of a stack that was walked up to `end`.
    fn of(&self, frames: &Frames, end: End, tag: Tag, labels: u64) -> Option<&Counters<N>> {
        let table = self.table.get()?;
        self.ends.note(end);
        let truncated = end != End::Complete;
        Some(table.counters(Key {
            frames: frames.as_slice(),
            truncated,
            tag: tag.to_bits(),
            detail: 0,
            labels,
        }))
    }

    fn index_of(&self, counters: &Counters<N>) -> Option<u32> {
        Some(self.table.get()?.index_of(counters))
    }

    fn recorded(&self) -> Vec<Recorded<N>> {
        self.table.get().map(StackTable::recorded).unwrap_or_default()
    }

    fn overflowed(&self) -> [i64; N] {
        self.table.get().map_or([0; N], StackTable::overflowed)
    }

    fn reset(&self) {
        if let Some(table) = self.table.get() {
            table.reset();
        }
        self.ends.reset();
    }

    fn snapshot(
        &self,
        setting: String,
        stacks: Vec<StackSample>,
        lost: &[(&'static str, [i64; 2])],
    ) -> Snapshot {
        let lost = lost
            .iter()
            .filter(|(_, values)| *values != [0, 0])
            .map(|(reason, values)| Lost { reason, values: whole(*values) })
            .collect();
        let mut comments = vec![setting];
        comments.extend(labels::remark_of_samples());
        comments.extend(labels::remarks());
        comments.extend(self.ends.remarks());
        Snapshot { time: SystemTime::now(), duration: None, stacks, lost, comments }
    }
}

const TABLE_FULL: &str = "pprof_runtime::lost_contention (no room in the stack table)";

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
    // ORDERING: Release pairs with the Acquire in `block_enabled`: the table is there.
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
fn prepare<const N: usize>(recorder: &Recorder<N>) {
    unobserved(|| {
        recorder.table.get_or_init(|| StackTable::new(MAX_STACKS));
        unwinding::prepare();
    });
}

/// Whether the block profile is on.
#[inline]
pub(crate) fn block_enabled() -> bool {
    // ORDERING: Acquire pairs with the Release in `set_block_rate`.
    BLOCK_RATE_NS.load(Ordering::Acquire) > 0
}

/// Whether the mutex profile is on.
#[inline]
fn mutex_enabled() -> bool {
    // ORDERING: Acquire pairs with the Release in `set_mutex_fraction`.
    MUTEX_FRACTION.load(Ordering::Acquire) > 0
}

/// Records a wait of `delay` ticks, of which the last `wake_up` went by after it was let in.
fn record_wait(counters: &Counters<3>, delay: u64, wake_up: u64) {
    // ORDERING: Relaxed: a setting read for its value.
    let rate = BLOCK_RATE_NS.load(Ordering::Relaxed);
    let ns = |ticks| i64::try_from(clock::ticks_to_ns(ticks)).unwrap_or(i64::MAX);
    // At least one, as in Go: a wait that was seen has a length.
    let delay = ns(delay).max(1);
    if let Some([count, weighted]) = sample_wait(delay, rate, random()) {
        let share = i128::from(weighted) * i128::from(ns(wake_up).min(delay)) / i128::from(delay);
        // Only now: what is not recorded is not to take the room of what is.
        let counters = match (BLOCK.labels(), BLOCK.table.get()) {
            (0, _) | (_, None) => counters,
            (labels, Some(table)) => table.relabelled(counters, labels),
        };
        counters.add([count, weighted, i64::try_from(share).unwrap_or(weighted)]);
    }
}

/// Who is to be charged for waiting on a lock: a stack of the mutex profile, and how many unlocks the sampled one stands for.
///
/// | bits   | content                                                              |
/// |--------|----------------------------------------------------------------------|
/// | 0..32  | 0 nobody is known, 1 not sampled, else the stack's index plus two    |
/// | 32..63 | the weight                                                           |
/// | 63     | uncounted: nobody has been let in yet                                |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Debtor(u64);

impl Debtor {
    /// Whoever unlocked did not see the waiter.
    pub(crate) const UNKNOWN: Debtor = Debtor(0);
    /// The unlock was not sampled: nothing of it is recorded.
    const NOT_SAMPLED: Debtor = Debtor(1);

    const UNCOUNTED: u64 = 1 << 63;

    fn new(stack: u32, weight: u32) -> Debtor {
        Debtor(u64::from(weight) << 32 | u64::from(stack.saturating_add(2)))
    }

    fn uncounted(self) -> Debtor {
        Debtor(self.0 | Self::UNCOUNTED)
    }

    fn is_uncounted(self) -> bool {
        self.0 & Self::UNCOUNTED != 0
    }

    fn counted(self) -> Debtor {
        Debtor(self.0 & !Self::UNCOUNTED)
    }

    pub(crate) fn from_bits(bits: u64) -> Debtor {
        Debtor(bits)
    }

    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }
}

/// Records, on the calling stack, that it is about to end waiting by others that took `delay_ticks` so far. Returns whom to
/// charge for the rest, and for the contention once somebody is let in: others may take the lock first, and unlock in view of the same
/// waiters.
fn unlocking(tag: impl FnOnce() -> Tag, delay_ticks: i64) -> Debtor {
    // ORDERING: Relaxed: a setting read for its value.
    let fraction = MUTEX_FRACTION.load(Ordering::Relaxed);
    let Some(weight) = sample_unlock(fraction, random()) else { return Debtor::NOT_SAMPLED };
    let Some(counters) = MUTEX.here(tag()) else { return Debtor::NOT_SAMPLED };
    let debtor = Debtor::new(MUTEX.index_of(counters).unwrap_or(u32::MAX), weight);
    counters.add(contentions(weight, 0, delay_ticks));
    debtor.uncounted()
}

/// Records the rest of waits that `debtor` caused, at the weight that its unlock had, and its contention if `count` says so.
fn charge(debtor: Debtor, delay_ticks: i64, count: bool) {
    if delay_ticks == 0 && !count {
        return;
    }
    match (debtor.counted(), MUTEX.table.get()) {
        (Debtor::UNKNOWN, _) => UNSEEN.add(contentions(1, 1, delay_ticks)),
        (Debtor::NOT_SAMPLED, _) | (_, None) => {}
        (Debtor(bits), Some(table)) => {
            let (stack, weight) = ((bits as u32).wrapping_sub(2), (bits >> 32) as u32);
            table.at(stack).add(contentions(weight, i64::from(count), delay_ticks));
        }
    }
}

/// What `count` contentions add to the mutex profile if each stands for `weight`.
fn contentions(weight: u32, count: i64, delay_ticks: i64) -> [i64; 2] {
    let ns = i64::try_from(clock::ticks_to_ns(delay_ticks.unsigned_abs())).unwrap_or(i64::MAX);
    let weight = i64::from(weight);
    [(count << COUNT_SHIFT) * weight, (ns * delay_ticks.signum()).saturating_mul(weight)]
}

/// What is found on the stack from a live frame of the calling thread, of which `bounds` can be read.
fn capture<R>(
    start: Registers,
    bounds: Option<Bounds>,
    found: impl FnOnce(&Frames, End) -> R,
) -> R {
    // SAFETY: the bounds are this thread's stack from the live stack pointer up.
    unsafe { unwind::walk_again(start, bounds, found) }
}

/// See [`crate::set_contention_labels`].
pub(crate) fn set_labels(on: bool) -> bool {
    // ORDERING: Relaxed: a setting that snapshots look at.
    LABELS.swap(on, Ordering::Relaxed)
}

/// Waits by who waited.
///
/// # Errors
/// `Unsupported` where no stack can be captured: nothing would be in it.
pub(crate) fn block_snapshot() -> Result<Snapshot, Error> {
    supported("block")?;
    // ORDERING: Relaxed, both: settings read for their values.
    let rate = BLOCK_RATE_NS.load(Ordering::Relaxed);
    let labelled = LABELS.load(Ordering::Relaxed);
    let mut stacks = Vec::new();
    let mut lost = [0, 0];
    // Before those that have ended: one that ends in between is counted twice for a moment, rather than not at all.
    let mut labeller = Labeller::default();
    let mut sets = Vec::new();
    if labelled {
        in_progress(&mut labeller, &mut sets, &mut stacks, &mut lost);
    }
    let recorded = BLOCK.recorded();
    // After what they are of.
    let texts = Texts::read();
    stacks.iter_mut().zip(sets).for_each(|(stack, set)| stack.set = texts.of(set));
    for recorded in recorded {
        ended(recorded, labelled.then_some((&mut labeller, &texts)), &mut stacks);
    }
    let [count, delay, _] = BLOCK.overflowed();
    let lost = [lost[0] + count, lost[1] + delay];
    let mut snapshot =
        BLOCK.snapshot(format!("block profile rate: {rate} ns"), stacks, &[(TABLE_FULL, lost)]);
    let turned_away = foreign::turned_away();
    if turned_away > 0 {
        let comment =
            format!("waits that no unlock is charged with (no account left): {turned_away}");
        snapshot.comments.push(comment);
    }
    let untracked = live::untracked();
    if labelled && untracked > 0 {
        snapshot.comments.push(format!("waits not shown while in progress: {untracked}"));
    }
    Ok(snapshot)
}

/// One or two samples: what went by until somebody unlocked, and from then on.
fn ended(
    recorded: Recorded<3>,
    shown: Option<(&mut Labeller, &Texts)>,
    stacks: &mut Vec<StackSample>,
) {
    let Recorded { frames, truncated, tag, labels: set, values: [count, delay, wake_up] } =
        recorded;
    let set = shown.as_ref().and_then(|(_, texts)| texts.of(set));
    let foreign = foreign::waiter(Tag::from_bits(tag));
    let sample = |values, labels| {
        let (set, foreign) = (set.clone(), foreign.clone());
        StackSample { labels, set, foreign, ..StackSample::new(frames.clone(), truncated, values) }
    };
    let [count, delay] = whole([count, delay]);
    // Added one after the other: in between there may be more of the part than of the whole.
    let wake_up = wake_up.min(delay);
    let Some((labeller, _)) = shown else {
        stacks.push(sample([count, delay], Labels::new()));
        return;
    };
    let labels = labeller.labels(Tag::from_bits(tag));
    if wake_up == 0 {
        stacks.push(sample([count, delay], labels));
        return;
    }
    let phase = |name: &str| labels.iter().cloned().chain([(PHASE, name.into())]).collect();
    stacks.push(sample([count, delay - wake_up], phase(HELD)));
    stacks.push(sample([0, wake_up], phase("wake-up")));
}

fn in_progress(
    labeller: &mut Labeller,
    sets: &mut Vec<u64>,
    stacks: &mut Vec<StackSample>,
    lost: &mut [i64; 2],
) {
    let Some(table) = BLOCK.table.get() else { return };
    for waiting in live::waits() {
        let (entry, wait) = (waiting.entry, Some(waiting.id()));
        let (Some(index), 1..) = (entry.stack, entry.since) else { continue };
        let delay = clock::ticks_to_ns(clock::ticks().saturating_sub(entry.since));
        let delay = i64::try_from(delay).unwrap_or(i64::MAX);
        let Some(Recorded { frames, truncated, .. }) = table.recorded_at(index) else {
            *lost = [lost[0] + (1 << COUNT_SHIFT), lost[1].saturating_add(delay)];
            continue;
        };
        let mut labels = labeller.labels(entry.tag);
        labels.push((WAITING.0, WAITING.1.into()));
        let foreign = foreign::waiter(entry.tag);
        let plain = StackSample::new(frames, truncated, [1, delay]);
        sets.push(entry.labels);
        stacks.push(StackSample { labels, foreign, wait, ..plain });
    }
}

/// Waits by who ended them.
///
/// # Errors
/// As [`block_snapshot`].
pub(crate) fn mutex_snapshot() -> Result<Snapshot, Error> {
    supported("mutex")?;
    // ORDERING: Relaxed: a setting read for its value.
    let fraction = MUTEX_FRACTION.load(Ordering::Relaxed);
    let lost = [(TABLE_FULL, MUTEX.overflowed()), (UNLOCK_NOT_SEEN, UNSEEN.read())];
    Ok(MUTEX.snapshot(format!("mutex profile fraction: {fraction}"), labelled(&MUTEX), &lost))
}

/// How long locks were held, by who released them.
///
/// # Errors
/// As [`block_snapshot`].
pub(crate) fn hold_snapshot() -> Result<Snapshot, Error> {
    supported("hold")?;
    let lost = [(TABLE_FULL, hold::HOLD.overflowed())];
    let setting = format!("hold profile rate: {} ns", hold::rate());
    Ok(hold::HOLD.snapshot(setting, labelled(&hold::HOLD), &lost))
}

/// Every stack of a profile, with labels if those are wanted.
fn labelled(recorder: &Recorder<2>) -> Vec<StackSample> {
    // ORDERING: Relaxed: a setting read for its value.
    let labelled = LABELS.load(Ordering::Relaxed);
    let mut labeller = Labeller::default();
    let recorded = recorder.recorded();
    let texts = Texts::read();
    let mut labels =
        |tag| if labelled { labeller.labels(Tag::from_bits(tag)) } else { Labels::new() };
    recorded
        .into_iter()
        .map(|Recorded { frames, truncated, tag, labels: set, values }| StackSample {
            labels: labels(tag),
            set: texts.of(set).filter(|_| labelled),
            foreign: foreign::waiter(Tag::from_bits(tag)),
            ..StackSample::new(frames, truncated, whole(values))
        })
        .collect()
}

/// Every value of the block profile back to zero.
pub(crate) fn reset_block() {
    BLOCK.reset();
}

/// Every value of the mutex profile back to zero.
pub(crate) fn reset_mutex() {
    MUTEX.reset();
    UNSEEN.reset();
}

/// Every value of the hold profile back to zero.
pub(crate) fn reset_hold() {
    hold::HOLD.reset();
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

/// Number of distinct stacks in the hold profile.
pub(crate) fn hold_count() -> usize {
    hold::HOLD.table.get().map_or(0, StackTable::len)
}

#[cfg(test)]
mod tests;
