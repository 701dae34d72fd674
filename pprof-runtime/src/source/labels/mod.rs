//! Sets of labels: each exists once, is found by what is in it, and lives for as long as somebody holds it or a profile keeps it.
//!
//! ```text
//! Labels::new ── found by its text, or made ──► Labels (counted) ── Scope ──► the thread's word (capture::labels)
//!                                                                                │ a sample takes the number, and marks the set
//!                                      text, when the profile is written ◄───────┘
//! ```
//!
//! A thread's word is set by [`Scope`]s, and by [`GuardScope`]s, which their owner may drop at any time: see `Thread`.
//!
//! # Reentrancy
//! An allocator may look at the word ([`recorded`], [`current`]). It must not set labels: sets are made under a lock, with memory that is
//! allocated there.

mod scope;
mod set;
mod shard;
#[cfg(test)]
mod tests;
mod values;

use std::collections::HashMap;

use crate::aggregate::snapshot::LabelSet;
use crate::capture::labels::{self, Keeper, Mark, RECORDED, SAMPLED};
use crate::config::{
    MAX_LABEL_KEYS, MAX_LABEL_VALUES, OVERFLOW_LABEL, OVERFLOW_LABELS, OVERFLOW_VALUE,
};

pub(crate) use scope::{GuardScope, Scope, current};
pub(crate) use set::{SetRef, intern, on_top_of};

/// The texts of all sets, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Texts(HashMap<u64, LabelSet>);

impl Texts {
    /// Of the sets that are there now.
    pub(crate) fn read() -> Texts {
        let mut texts = HashMap::new();
        set::for_each(|mark, pairs| {
            texts.insert(mark.id(), LabelSet::clone(pairs));
        });
        let overflow: LabelSet = [(OVERFLOW_LABEL.0.into(), OVERFLOW_LABEL.1.into())].into();
        texts.insert(OVERFLOW_LABELS, overflow);
        Texts(texts)
    }

    /// The set of a number; `None` for 0.
    pub(crate) fn of(&self, id: u64) -> Option<LabelSet> {
        let unknown = || [("labels".into(), "unknown".into())].into();
        (id != 0).then(|| self.0.get(&id).cloned().unwrap_or_else(unknown))
    }
}

/// What profiles say of samples whose set found no room, if there are any.
pub(crate) fn remark(keeper: &Keeper, since: u64) -> Option<String> {
    unlabelled(keeper.turned_away().saturating_sub(since), "")
}

/// As `remark`, of profiles that accumulate samples.
pub(crate) fn remark_of_samples() -> Option<String> {
    let or = ", or a key of theirs had too many values after they were made";
    unlabelled(RECORDED.turned_away(), or)
}

fn unlabelled(samples: u64, or: &str) -> Option<String> {
    const WHY: &str = "samples labelled labels=overflow, as there were too many sets of labels";
    (samples != 0).then(|| format!("{WHY}{or}: {samples}"))
}

/// What profiles that accumulate say of their labels, a line each.
pub(crate) fn remarks() -> Vec<String> {
    let full: Vec<&str> = values::full_keys().collect();
    let values = (!full.is_empty()).then(|| {
        let keys = full.join(", ");
        format!("labels with more than {MAX_LABEL_VALUES} values, of which further ones are shown as {OVERFLOW_VALUE}: {keys}")
    });
    let keys = values::are_keys_too_many().then(|| {
        format!("labels of further keys than {MAX_LABEL_KEYS} may be shown as {OVERFLOW_VALUE}")
    });
    let abandoned = shard::abandoned();
    let forked = (abandoned != 0).then(|| {
        format!("parts of the table of labels that other threads had at a fork, and whose samples are labelled labels=unknown: {abandoned}")
    });
    values.into_iter().chain(keys).chain(forked).collect()
}

/// The sets that only the CPU profile kept go.
pub(crate) fn end_samples() {
    set::sweep(|mark| SAMPLED.release(mark));
}

/// The number of the running code's set, kept for profiles that accumulate; if there is no room for a new one, that of the overflow.
#[inline]
pub(crate) fn recorded(has_room: impl FnOnce() -> bool) -> u64 {
    let set = recorded_set();
    // SAFETY: of the set that the word says, whose setter keeps it alive, or of the coarser one, which that one keeps alive.
    let Some(mark) = (unsafe { set.as_ref() }) else { return 0 };
    if mark.is_kept_for(&RECORDED) {
        return mark.id();
    }
    if mark.is_refused() {
        return OVERFLOW_LABELS;
    }
    // SAFETY: as above; a mark is the head of its set.
    let made = unsafe { &*set.cast::<set::Set>() };
    // Of one that was made before a key had too many values there is no coarser one.
    if set::is_too_many(made) {
        mark.refuse();
        return OVERFLOW_LABELS;
    }
    // SAFETY: as above.
    let id = unsafe { RECORDED.keep(set, has_room) };
    if id == mark.id() {
        set::note_values(made);
    }
    id
}

/// Counts a sample of a profile that accumulates if it has the number of those whose labels found no room. Returns the number.
pub(crate) fn count(id: u64) -> u64 {
    RECORDED.count(id)
}

/// What profiles that accumulate have as the running code's set; null for none.
#[inline(always)]
pub(crate) fn recorded_set() -> *const Mark {
    labels::recorded()
}

/// The number of the running code's set, which is there for as long as that runs.
pub(crate) fn current_id() -> u64 {
    // SAFETY: whoever set the word keeps the set alive.
    unsafe { labels::current().as_ref() }.map_or(0, Mark::id)
}
