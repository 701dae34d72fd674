//! How long objects live, by the stack that allocated them: counted when they are freed.

use std::sync::atomic::{AtomicBool, Ordering};

use once_cell::sync::OnceCell;

use super::live::Record;
use super::weight::Weight;
use super::{MAX_STACKS, TABLE, THREAD_BITS, countdown};
use crate::aggregate::stack_table::{Counters, Recorded, StackTable};
use crate::clock;

static ENABLED: AtomicBool = AtomicBool::new(false);

/// Objects and bytes, of a stack of the heap's table and of one of `STEPS`.
static LIFETIMES: OnceCell<StackTable<2>> = OnceCell::new();

/// What lives that long at most, in nanoseconds, and how that is shown.
pub(super) const STEPS: [(u64, &str); 8] = [
    (10_000, "up to 10us"),
    (100_000, "up to 100us"),
    (1_000_000, "up to 1ms"),
    (10_000_000, "up to 10ms"),
    (100_000_000, "up to 100ms"),
    (1_000_000_000, "up to 1s"),
    (10_000_000_000, "up to 10s"),
    (u64::MAX, "longer"),
];

/// In the tag, above what tells threads and sizes apart.
pub(super) const STEP_SHIFT: u32 = 40;

/// Returns the former setting.
pub(crate) fn set_enabled(on: bool) -> bool {
    if on {
        countdown::unobserved(|| {
            LIFETIMES.get_or_init(|| StackTable::new(MAX_STACKS));
        });
    }
    // ORDERING: Release: whoever sees it finds the table.
    ENABLED.swap(on, Ordering::AcqRel)
}

pub(super) fn is_enabled() -> bool {
    // ORDERING: Relaxed: a setting read for its value.
    ENABLED.load(Ordering::Relaxed)
}

/// A sample is freed.
pub(super) fn note(record: &Record) {
    // ORDERING: Acquire pairs with the Release in `set_enabled`.
    if !ENABLED.load(Ordering::Acquire) {
        return;
    }
    let (Some(table), Some(lifetimes)) = (TABLE.get(), LIFETIMES.get()) else { return };
    let ns = clock::ticks_to_ns(clock::ticks().saturating_sub(record.born));
    let step = STEPS.iter().position(|(most, _)| ns <= *most).unwrap_or(STEPS.len() - 1);
    let Weight { objects, bytes } = record.weight;
    let add = |counters: &Counters<2>| counters.add([objects, bytes]);
    table.with_key(record.stack, |key| match key {
        Some(mut key) => {
            key.detail = THREAD_BITS;
            key.tag |= (step as u64) << STEP_SHIFT;
            add(lifetimes.counters(key));
        }
        None => add(lifetimes.at(u32::MAX)),
    });
}

pub(super) fn recorded() -> (Vec<Recorded<2>>, [i64; 2]) {
    LIFETIMES.get().map_or_else(Default::default, |l| (l.recorded(), l.overflowed()))
}

pub(super) fn reset() {
    if let Some(lifetimes) = LIFETIMES.get() {
        lifetimes.reset();
    }
}
