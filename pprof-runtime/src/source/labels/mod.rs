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
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::aggregate::snapshot::LabelSet;
use crate::capture::labels::{self, Keeper, Mark, RECORDED, SAMPLED};
use crate::config::OVERFLOW_LABELS;

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
        let overflow: LabelSet = [("labels".into(), "overflow".into())].into();
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
    let lost = keeper.turned_away().saturating_sub(since);
    (lost != 0).then(|| {
        format!("samples labelled labels=overflow, as there were too many sets of labels: {lost}")
    })
}

/// The sets that only the CPU profile kept go.
pub(crate) fn end_samples() {
    set::sweep(|mark| SAMPLED.release(mark));
}

/// The number of the running code's set, kept for profiles that accumulate; if there is no room for a new one, that of the overflow.
#[inline]
pub(crate) fn recorded(has_room: impl FnOnce() -> bool) -> u64 {
    RECORDED.current(has_room)
}

/// The number of the running code's set, which is there for as long as that runs.
pub(crate) fn current_id() -> u64 {
    // SAFETY: whoever set the word keeps the set alive.
    unsafe { labels::current().as_ref() }.map_or(0, Mark::id)
}
