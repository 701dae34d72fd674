//! The reading half.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use super::live::{self, Record};
use super::weight::{Weight, whole};
use super::{CLASS_BITS, DROPPED, ENDS, MISMATCHES, ORPHANS, TABLE, countdown, size_of_class};
use crate::aggregate::snapshot::{Labels, Lost, Snapshot, StackSample};
use crate::aggregate::stack_table::{Counters, Recorded, StackTable};
use crate::capture::registers;
use crate::capture::unwind::End;
use crate::clock;
use crate::error::Error;
use crate::source::labels::{self, Texts};

/// What was recorded of allocations: objects and bytes made, and of those that are in use, objects and bytes.
///
/// # Errors
/// `Unsupported` where no stack can be captured: nothing would be in it.
pub(crate) fn snapshot() -> Result<Snapshot<4>, Error> {
    if !registers::SUPPORTED {
        return Err(Error::unsupported_platform("the heap profile"));
    }
    let recorded = TABLE.get().map(StackTable::recorded).unwrap_or_default();
    // After what they are of.
    let texts = Texts::read();
    let mut names = HashMap::new();
    let stacks = recorded.into_iter().map(|recorded| sample(recorded, &texts, &mut names));
    let stacks = stacks.collect();
    let overflowed = TABLE.get().map_or([0; 4], StackTable::overflowed);
    let lost = Lost {
        reason: "pprof_runtime::lost_allocations (stack table full)",
        values: values(overflowed),
    };
    let lost = Vec::from_iter((lost.values != [0; 4]).then_some(lost));
    Ok(Snapshot { time: SystemTime::now(), duration: None, stacks, lost, comments: comments() })
}

/// As `snapshot`, of what is in use those objects that are as old as `older_than` at least, by their age.
pub(crate) fn snapshot_by_age(older_than: Duration) -> Result<Snapshot<4>, Error> {
    let mut snapshot = snapshot()?;
    for values in snapshot.stacks.iter_mut().map(|stack| &mut stack.values) {
        [values[2], values[3]] = [0, 0];
    }
    let now = clock::ticks();
    let age =
        |record: &Record| Duration::from_nanos(clock::ticks_to_ns(now.saturating_sub(record.born)));
    let mut by_age: HashMap<(u32, u64), [i64; 4]> = HashMap::new();
    for record in live::all() {
        let age = age(&record);
        if age >= older_than {
            let Weight { objects, bytes } = record.weight;
            let sum = by_age.entry((record.stack, step(age))).or_insert([0; 4]);
            [sum[2], sum[3]] = [sum[2] + objects, sum[3] + bytes];
        }
    }
    let texts = Texts::read();
    let mut names = HashMap::new();
    for ((stack, age), counted) in by_age {
        let Some(recorded) = TABLE.get().and_then(|table| table.recorded_at(stack)) else {
            continue;
        };
        let [.., objects, bytes] = counted;
        let recorded = Recorded { values: [0, 0, objects, bytes], ..recorded };
        let mut sample = sample(recorded, &texts, &mut names);
        [sample.values[0], sample.values[1]] = [0, 0];
        sample.numbers.push(("age", i64::try_from(age).unwrap_or(i64::MAX), "seconds"));
        snapshot.stacks.push(sample);
    }
    snapshot.stacks.retain(|stack| stack.values != [0; 4]);
    Ok(snapshot)
}

/// In seconds: 0, 1, 4, 16 and so on, the last that is not above `age`.
fn step(age: Duration) -> u64 {
    let seconds = age.as_secs();
    seconds.checked_ilog2().map_or(0, |log| 1 << (log & !1))
}

fn sample(
    recorded: Recorded<4>,
    texts: &Texts,
    names: &mut HashMap<u16, Option<Arc<str>>>,
) -> StackSample<4> {
    let Recorded { frames, truncated, tag, labels: set, values: counted } = recorded;
    let thread = (tag >> CLASS_BITS) as u16;
    let name = names.entry(thread).or_insert_with(|| countdown::name_of(thread).map(Arc::from));
    let size = size_of_class(tag & ((1 << CLASS_BITS) - 1));
    StackSample {
        labels: name.iter().map(|name| ("thread", Arc::clone(name))).collect::<Labels>(),
        numbers: vec![("bytes", i64::try_from(size).unwrap_or(i64::MAX), "")],
        set: texts.of(set),
        ..StackSample::new(frames, truncated, values(counted))
    }
}

/// Added and read one after the other: for a moment there may be more freed than made.
fn values([freed, freed_bytes, made, made_bytes]: [i64; 4]) -> [i64; 4] {
    let [objects, bytes] = whole(made, made_bytes);
    let [in_use, in_use_bytes] = whole((made - freed).max(0), (made_bytes - freed_bytes).max(0));
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
        (&MISMATCHES, "samples that were freed with another layout than they were allocated with"),
    ];
    for (count, what) in counts {
        // ORDERING: Relaxed: a counter.
        let count = count.load(Ordering::Relaxed);
        if count > 0 {
            comments.push(format!("{what}: {count}"));
        }
    }
    for (index, count) in ENDS.iter().enumerate() {
        // ORDERING: Relaxed, as above.
        let count = count.load(Ordering::Relaxed);
        match End::from_index(index as u8) {
            Some(end) if end != End::Complete && count > 0 => {
                comments.push(format!("stacks cut short ({}): {count}", end.describe()));
            }
            _ => {}
        }
    }
    comments.extend(labels::remark_of_samples());
    comments.extend(labels::remarks());
    comments
}

/// Forgets what has been freed: what is in use stays, as if it had just been made.
pub(crate) fn reset() {
    let forget = |counters: &Counters<4>| {
        let [freed, freed_bytes, ..] = counters.read();
        counters.add([-freed, -freed_bytes, -freed, -freed_bytes]);
    };
    if let Some(table) = TABLE.get() {
        table.for_each(forget);
    }
}

/// Number of distinct stacks.
pub(crate) fn count() -> usize {
    TABLE.get().map_or(0, StackTable::len)
}
