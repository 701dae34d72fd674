//! Consistent copies of live counters, and the difference of two of them.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

/// One stack and its values.
///
/// `frames` is leaf first and holds *lookup addresses*: the exact pc for an interrupted leaf, return address minus one
/// for every caller, so that each address lies inside the instruction that was running or calling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StackSample {
    pub(crate) frames: Box<[u64]>,
    /// In the order of the profile's sample types.
    pub(crate) values: [i64; 2],
    /// The stack was cut at the depth limit or ended at an unreadable frame: callers are missing at the root.
    pub(crate) truncated: bool,
}

/// A copy of one profile's counters.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// When the copy was made.
    pub(crate) time: SystemTime,
    /// The window covered; `None` for values accumulated since the process began.
    pub(crate) duration: Option<Duration>,
    /// Distinct stacks, in no particular order.
    pub(crate) stacks: Vec<StackSample>,
    /// What is missing: values that could not be attributed to a stack. Encoded as one sample each, on a function
    /// named after the reason, so that totals stay true.
    pub(crate) lost: Vec<Lost>,
    /// Remarks written into the profile's comments: engine, counters, limits met.
    pub(crate) comments: Vec<String>,
}

/// Values lost for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Shown as a function name: `pprof_runtime::lost_samples (ring full)`.
    pub(crate) reason: &'static str,
    pub(crate) values: [i64; 2],
}

impl Snapshot {
    /// What was added between `self` and `later`, two snapshots of one profile: stacks that did not change are left
    /// out; `lost` entries are subtracted by reason.
    pub(crate) fn until(self, later: Snapshot) -> Snapshot {
        type Key = (Box<[u64]>, bool);
        let mut before: HashMap<Key, [i64; 2]> = HashMap::new();
        for stack in self.stacks {
            let sum = before.entry((stack.frames, stack.truncated)).or_default();
            *sum = add(*sum, stack.values);
        }
        let mut merged: HashMap<Key, [i64; 2]> = HashMap::new();
        for stack in later.stacks {
            let sum = merged.entry((stack.frames, stack.truncated)).or_default();
            *sum = add(*sum, stack.values);
        }
        let stacks = merged
            .into_iter()
            .filter_map(|((frames, truncated), values)| {
                let key = (frames, truncated);
                let values = subtract(values, before.get(&key).copied().unwrap_or_default());
                (values != [0, 0]).then_some(StackSample { frames: key.0, values, truncated })
            })
            .collect();
        let lost_before = |reason| {
            self.lost.iter().find(|l: &&Lost| l.reason == reason).map_or([0, 0], |l| l.values)
        };
        let lost = later
            .lost
            .iter()
            .map(|l| Lost { reason: l.reason, values: subtract(l.values, lost_before(l.reason)) })
            .filter(|l| l.values != [0, 0])
            .collect();
        Snapshot {
            time: later.time,
            duration: Some(later.time.duration_since(self.time).unwrap_or_default()),
            stacks,
            lost,
            comments: later.comments,
        }
    }
}

fn add(a: [i64; 2], b: [i64; 2]) -> [i64; 2] {
    [a[0].saturating_add(b[0]), a[1].saturating_add(b[1])]
}

fn subtract(a: [i64; 2], b: [i64; 2]) -> [i64; 2] {
    [a[0].saturating_sub(b[0]), a[1].saturating_sub(b[1])]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(stacks: &[(&[u64], [i64; 2])], lost: &[(&'static str, [i64; 2])]) -> Snapshot {
        Snapshot {
            time: SystemTime::UNIX_EPOCH,
            duration: None,
            stacks: stacks
                .iter()
                .map(|(f, v)| StackSample { frames: (*f).into(), values: *v, truncated: false })
                .collect(),
            lost: lost.iter().map(|(reason, values)| Lost { reason, values: *values }).collect(),
            comments: Vec::new(),
        }
    }

    #[test]
    fn a_difference_keeps_only_what_grew() {
        let before = snapshot(&[(&[1], [2, 20]), (&[2], [1, 5])], &[("full", [1, 1])]);
        let after =
            snapshot(&[(&[1], [3, 50]), (&[2], [1, 5]), (&[3], [1, 1])], &[("full", [4, 9])]);
        let mut difference = before.until(after);
        difference.stacks.sort_by_key(|s| s.frames[0]);
        let seen: Vec<_> = difference.stacks.iter().map(|s| (s.frames[0], s.values)).collect();
        assert_eq!(seen, [(1, [1, 30]), (3, [1, 1])]);
        assert_eq!(difference.lost, [Lost { reason: "full", values: [3, 8] }]);
        assert_eq!(difference.duration, Some(Duration::ZERO));
    }

    #[test]
    fn two_entries_of_one_stack_count_as_one() {
        let before = snapshot(&[(&[1], [1, 1]), (&[1], [1, 1])], &[]);
        let after = snapshot(&[(&[1], [2, 2]), (&[1], [1, 1])], &[]);
        assert_eq!(before.until(after).stacks[0].values, [1, 1]);
    }
}
