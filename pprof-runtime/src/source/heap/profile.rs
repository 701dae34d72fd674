//! The reading half.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use super::lifetimes::{self, STEP_SHIFT, STEPS};
use super::live::{self, Record};
use super::weight::{self, Weight, whole};
use super::{
    CLASS_BITS, COLUMNS, DROPPED, ENDS, ORPHANS, REFUSED, TABLE, countdown, mismatches, peak,
    size_of_class,
};
use crate::aggregate::snapshot::{Labels, Lost, Snapshot, StackSample};
use crate::aggregate::stack_table::{Counters, Recorded, StackTable};
use crate::capture::registers;
use crate::clock;
use crate::error::Error;
use crate::source::labels::{self, Texts};

/// For what there is no room.
const LOST: &str = "pprof_runtime::lost_allocations (no room in the stack table)";

/// What was recorded of allocations: objects and bytes made, and of those that are in use, objects and bytes.
///
/// # Errors
/// `Unsupported` where no stack can be captured: nothing would be in it.
pub(crate) fn snapshot() -> Result<Snapshot<4>, Error> {
    supported()?;
    let recorded = TABLE.get().map(StackTable::recorded).unwrap_or_default();
    // After what they are of.
    let texts = Texts::read();
    let mut names = HashMap::new();
    let stacks = recorded.into_iter().map(|recorded| sample(recorded, &texts, &mut names));
    let stacks = stacks.collect();
    let overflowed = TABLE.get().map_or([0; COLUMNS], StackTable::overflowed);
    let lost = Lost { reason: LOST, values: values(overflowed) };
    let lost = Vec::from_iter((lost.values != [0; 4]).then_some(lost));
    Ok(Snapshot { time: SystemTime::now(), duration: None, stacks, lost, comments: comments() })
}

/// As `snapshot`, of what is in use those objects that are as old as `older_than` at least, by their age.
pub(crate) fn snapshot_by_age(older_than: Duration) -> Result<Snapshot<4>, Error> {
    let mut snapshot = snapshot()?;
    let stacks = snapshot.stacks.iter_mut().map(|stack| &mut stack.values);
    for values in stacks.chain(snapshot.lost.iter_mut().map(|lost| &mut lost.values)) {
        [values[2], values[3]] = [0, 0];
    }
    let now = clock::ticks();
    let age =
        |record: &Record| Duration::from_nanos(clock::ticks_to_ns(now.saturating_sub(record.born)));
    let mut by_age: HashMap<(u32, u64), [i64; 2]> = HashMap::new();
    for record in live::all() {
        let age = age(&record);
        if age >= older_than {
            let Weight { objects, bytes } = record.weight;
            let sum = by_age.entry((record.stack, step(age))).or_default();
            *sum = [sum[0] + objects, sum[1] + bytes];
        }
    }
    let texts = Texts::read();
    let mut names = HashMap::new();
    for ((stack, age), [objects, bytes]) in by_age {
        let [objects, bytes] = whole(objects, bytes);
        let Some(recorded) = TABLE.get().and_then(|table| table.recorded_at(stack)) else {
            snapshot.lost.push(Lost { reason: LOST, values: [0, 0, objects, bytes] });
            continue;
        };
        let mut sample = labelled(recorded, [0, 0, objects, bytes], &texts, &mut names);
        sample.numbers.push(("age", i64::try_from(age).unwrap_or(i64::MAX), "seconds"));
        snapshot.stacks.push(sample);
    }
    snapshot.stacks.retain(|stack| stack.values != [0; 4]);
    snapshot.lost.retain(|lost| lost.values != [0; 4]);
    Ok(snapshot)
}

/// What was in use when that was most: objects and bytes.
///
/// # Errors
/// As [`snapshot`].
pub(crate) fn snapshot_of_peak() -> Result<Snapshot<2>, Error> {
    supported()?;
    let when = peak::find();
    let recorded = TABLE.get().map(StackTable::recorded).unwrap_or_default();
    let values = |[.., objects, bytes]: [i64; COLUMNS]| whole(objects, bytes);
    let overflowed = values(TABLE.get().map_or([0; COLUMNS], StackTable::overflowed));
    Ok(of_pairs(recorded, values, overflowed, |_| None, when))
}

/// What was freed, by how long it had lived: objects and bytes.
///
/// # Errors
/// As [`snapshot`].
pub(crate) fn snapshot_of_lifetimes() -> Result<Snapshot<2>, Error> {
    supported()?;
    let (recorded, [objects, bytes]) = lifetimes::recorded();
    let step = |tag: u64| {
        let (_, text) = STEPS.get((tag >> STEP_SHIFT) as usize)?;
        Some(("lifetime", Arc::from(*text)))
    };
    let values = |[objects, bytes]: [i64; 2]| whole(objects, bytes);
    let mut snapshot = of_pairs(recorded, values, whole(objects, bytes), step, SystemTime::now());
    if !lifetimes::is_enabled() {
        let message = "lifetimes are not recorded: call pprof_runtime::heap::set_lifetimes(true)";
        snapshot.comments.push(message.to_owned());
    }
    Ok(snapshot)
}

/// Bare stacks, one sample each, in their order.
pub(crate) fn stacks(stacks: impl Iterator<Item = Box<[u64]>>) -> Snapshot<2> {
    let sample = |(nth, frames)| StackSample {
        // Equal ones would become one.
        numbers: vec![("nth", nth, "")],
        ..StackSample::new(frames, false, [1, 1])
    };
    let stacks = (0..).zip(stacks).map(sample).collect();
    let (lost, comments) = (Vec::new(), Vec::new());
    Snapshot { time: SystemTime::now(), duration: None, stacks, lost, comments }
}

fn of_pairs<const M: usize>(
    recorded: Vec<Recorded<M>>,
    values: impl Fn([i64; M]) -> [i64; 2],
    overflowed: [i64; 2],
    label: impl Fn(u64) -> Option<(&'static str, Arc<str>)>,
    time: SystemTime,
) -> Snapshot<2> {
    let texts = Texts::read();
    let mut names = HashMap::new();
    let mut sample = |recorded: Recorded<M>| {
        let (values, label) = (values(recorded.values), label(recorded.tag));
        let mut sample = labelled(recorded, values, &texts, &mut names);
        sample.labels.extend(label);
        (values != [0, 0]).then_some(sample)
    };
    let stacks = recorded.into_iter().filter_map(&mut sample).collect();
    let lost =
        Vec::from_iter((overflowed != [0, 0]).then_some(Lost { reason: LOST, values: overflowed }));
    Snapshot { time, duration: None, stacks, lost, comments: comments() }
}

fn supported() -> Result<(), Error> {
    if registers::SUPPORTED {
        return Ok(());
    }
    Err(Error::unsupported_platform("the heap profile"))
}

/// In seconds: 0, 1, 4, 16 and so on, the last that is not above `age`.
fn step(age: Duration) -> u64 {
    let seconds = age.as_secs();
    seconds.checked_ilog2().map_or(0, |log| 1 << (log & !1))
}

fn sample(recorded: Recorded<COLUMNS>, texts: &Texts, names: &mut Names) -> StackSample<4> {
    let values = values(recorded.values);
    labelled(recorded, values, texts, names)
}

type Names = HashMap<u16, Option<Arc<str>>>;

/// With the labels that every sample has.
fn labelled<const M: usize, const N: usize>(
    recorded: Recorded<M>,
    values: [i64; N],
    texts: &Texts,
    names: &mut Names,
) -> StackSample<N> {
    let Recorded { frames, truncated, tag, labels: set, .. } = recorded;
    let thread = (tag >> CLASS_BITS) as u16;
    let name = names.entry(thread).or_insert_with(|| countdown::name_of(thread).map(Arc::from));
    let size = size_of_class(tag & ((1 << CLASS_BITS) - 1));
    StackSample {
        labels: name.iter().map(|name| ("thread", Arc::clone(name))).collect::<Labels>(),
        numbers: vec![("bytes", i64::try_from(size).unwrap_or(i64::MAX), "")],
        set: texts.of(set),
        ..StackSample::new(frames, truncated, values)
    }
}

fn values([freed, freed_bytes, made, made_bytes, ..]: [i64; COLUMNS]) -> [i64; 4] {
    let [objects, bytes] = whole(made, made_bytes);
    let [in_use, in_use_bytes] =
        whole(weight::in_use(made, freed), weight::in_use(made_bytes, freed_bytes));
    [objects, bytes, in_use, in_use_bytes]
}

fn comments() -> Vec<String> {
    let mut comments = vec![format!("heap profile rate: {} bytes", countdown::rate())];
    if countdown::rate() != 0 && !countdown::is_used() {
        let message = "no allocation was seen: make a pprof_runtime::Alloc the #[global_allocator]";
        comments.push(message.to_owned());
    }
    let counts = [
        (&DROPPED, "samples whose end is not seen (no memory to note them in)"),
        (&ORPHANS, "samples that were freed without our allocator (by C code?)"),
    ];
    // ORDERING: Relaxed: counters.
    let counts = counts.map(|(count, what)| (count.load(Ordering::Relaxed), what));
    let what =
        "samples that were freed with another layout than they were allocated with, or by C code";
    for (count, what) in counts.into_iter().chain([(mismatches::count(), what)]) {
        if count > 0 {
            comments.push(format!("{what}: {count}"));
        }
    }
    // ORDERING: Relaxed, as above.
    if REFUSED.load(Ordering::Relaxed) {
        let message =
            "all that is freed is looked up: the allocator has no memory aligned to 4096 bytes";
        comments.push(message.to_owned());
    }
    comments.extend(ENDS.remarks());
    let crowded_out = TABLE.get().map_or(0, StackTable::crowded_out);
    if crowded_out > 0 {
        comments.push(format!(
            "samples without thread and labels, as there were too many stacks: {crowded_out}"
        ));
    }
    comments.extend(labels::remark_of_samples());
    comments.extend(labels::remarks());
    comments
}

/// Forgets what has been freed: what is in use stays, as if it had just been made.
pub(crate) fn reset() {
    let forget = |counters: &Counters<COLUMNS>| {
        let [freed, freed_bytes, _, _, peak, peak_bytes] = counters.read().map(i64::wrapping_neg);
        counters.add([freed, freed_bytes, freed, freed_bytes, peak, peak_bytes]);
    };
    lifetimes::reset();
    if let Some(table) = TABLE.get() {
        peak::reset(|| table.for_each(forget));
    }
}

/// Number of distinct stacks.
pub(crate) fn count() -> usize {
    TABLE.get().map_or(0, StackTable::len)
}
