//! Consistent copies of live counters, and the difference of two of them.

use std::array;
use std::collections::HashMap;
use std::iter;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::config::{OVERFLOW_LABEL, OVERFLOW_VALUE};

/// One stack and its values.
///
/// `frames` is leaf first and holds *lookup addresses*: the exact pc for an interrupted leaf, return address minus one
/// for every caller, so that each address lies inside the instruction that was running or calling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StackSample<const N: usize = 2> {
    pub(crate) frames: Box<[u64]>,
    /// In the order of the profile's sample types.
    pub(crate) values: [i64; N],
    /// The stack was cut at the depth limit or ended at an unreadable frame: callers are missing at the root.
    pub(crate) truncated: bool,
    pub(crate) labels: Labels,
    /// Labels that are numbers.
    pub(crate) numbers: Numbers,
    /// What the program had set on the thread or task.
    pub(crate) set: Option<LabelSet>,
    /// Of a wait seen as a system call, which names have to tell the kind of: the frames of who waited, if not this stack.
    pub(crate) foreign: Option<Waiter>,
    /// Of a wait that goes on: what no other is called by.
    pub(crate) wait: Option<WaitId>,
}

/// See [`StackSample::wait`].
pub(crate) type WaitId = (usize, u64);

/// Innermost frames of a thread that waited, leaf first; none if that is not known.
pub(crate) type Waiter = Arc<[u64]>;

/// Keys and values that tell samples of one stack apart, in the order shown.
pub(crate) type Labels = Vec<(&'static str, Arc<str>)>;

/// Keys and numbers that tell samples of one stack apart, each with its unit or none.
pub(crate) type Numbers = Vec<(&'static str, i64, &'static str)>;

/// Keys and values that the program chose, sorted by key.
pub(crate) type LabelSet = Arc<[Label]>;
pub(crate) type Label = (Box<str>, Box<str>);

/// What waits are lost for, if nobody is known to have ended them.
pub(crate) const UNLOCK_NOT_SEEN: &str = "pprof_runtime::lost_contention (unlock not seen)";

/// What tells the two parts of a wait apart, and the first of them.
pub(crate) const PHASE: &str = "phase";
pub(crate) const HELD: &str = "held";

/// Marks what still goes on.
pub(crate) const WAITING: (&str, &str) = ("state", "waiting");

impl<const N: usize> StackSample<N> {
    /// Without labels.
    pub(crate) fn new(frames: Box<[u64]>, truncated: bool, values: [i64; N]) -> StackSample<N> {
        let (labels, numbers) = (Labels::new(), Numbers::new());
        StackSample {
            frames,
            values,
            truncated,
            labels,
            numbers,
            set: None,
            foreign: None,
            wait: None,
        }
    }
}

/// A copy of one profile's counters.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot<const N: usize = 2> {
    /// When the copy was made.
    pub(crate) time: SystemTime,
    /// The window covered; `None` for values accumulated since the process began.
    pub(crate) duration: Option<Duration>,
    /// Distinct stacks, in no particular order.
    pub(crate) stacks: Vec<StackSample<N>>,
    /// What is missing: values that could not be attributed to a stack. Encoded as one sample each, on a function
    /// named after the reason, so that totals stay true.
    pub(crate) lost: Vec<Lost<N>>,
    /// Remarks written into the profile's comments: engine, counters, limits met.
    pub(crate) comments: Vec<String>,
}

/// Values lost for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost<const N: usize = 2> {
    /// Shown as a function name: `pprof_runtime::lost_samples (ring full)`.
    pub(crate) reason: &'static str,
    pub(crate) values: [i64; N],
}

impl<const N: usize> Snapshot<N> {
    /// What was added between `self` and `later`, or taken away, of a profile that has no waits. What did not change is left out.
    pub(crate) fn change_until(self, later: Snapshot<N>) -> Snapshot<N> {
        let mut changes: HashMap<_, [i64; N]> = HashMap::new();
        let mut put = |stacks: Vec<StackSample<N>>, with: fn([i64; N], [i64; N]) -> [i64; N]| {
            for StackSample { frames, values, truncated, labels, numbers, set, .. } in stacks {
                let change =
                    changes.entry((frames, truncated, labels, numbers, set)).or_insert([0; N]);
                *change = with(*change, values);
            }
        };
        put(later.stacks, add);
        put(self.stacks, subtract);
        let stacks = changes.into_iter().filter(|(_, values)| *values != [0; N]);
        let stacks = stacks.map(|((frames, truncated, labels, numbers, set), values)| {
            let plain = StackSample::new(frames, truncated, values);
            StackSample { labels, numbers, set, ..plain }
        });
        let stacks = stacks.collect();
        let duration = Some(later.time.duration_since(self.time).unwrap_or_default());
        let lost = lost_since(&self.lost, &later.lost);
        Snapshot { time: later.time, duration, stacks, lost, comments: later.comments }
    }
}

/// By reason.
fn lost_since<const N: usize>(before: &[Lost<N>], after: &[Lost<N>]) -> Vec<Lost<N>> {
    let then = |reason| before.iter().find(|l| l.reason == reason).map_or([0; N], |l| l.values);
    let since = |l: &Lost<N>| Lost { reason: l.reason, values: subtract(l.values, then(l.reason)) };
    after.iter().map(since).filter(|l| l.values != [0; N]).collect()
}

impl Snapshot {
    /// What was added between `self` and `later`, two snapshots of one profile: stacks that did not change are left
    /// out; `lost` entries are subtracted by reason.
    pub(crate) fn until(self, later: Snapshot) -> Snapshot {
        let mut before = totals(self.stacks);
        let after = totals(later.stacks);
        // A wait that has ended since is in the later one with all of its length; what it had waited before is not of this window.
        let ended: Vec<Key> = before
            .keys()
            .filter(|key| is_waiting(key) && !after.contains_key(*key))
            .cloned()
            .collect();
        let by_rest = if ended.is_empty() { HashMap::new() } else { by_rest(&after) };
        for key in ended {
            let [_, mut waited] = before.remove(&key).unwrap_or_default();
            let (frames, truncated, labels, set, foreign, _) = key;
            let plain: Labels = labels.into_iter().filter(|l| !is_state(l)).collect();
            let held = plain.iter().cloned().chain([(PHASE, HELD.into())]).collect();
            // It was waiting for the holder still; whether the two parts of it are told apart is known only now.
            for labels in [held, plain] {
                let mut finished =
                    (frames.clone(), truncated, labels, set.clone(), foreign.clone(), None);
                if set.is_some() && !after.contains_key(&finished) {
                    // Of several the one that grew by what was waited, most likely.
                    let grown = |key: &Key| {
                        let then = before.get(key).map_or(0, |values| values[1]);
                        after.get(key).map_or(0, |now| now[1] - then).clamp(0, waited)
                    };
                    let coarser = by_rest.get(&rest(&finished)).into_iter().flatten();
                    let coarser = coarser.filter(|key| is_coarser(&key.3, &finished.3));
                    let best = coarser.max_by_key(|key| (grown(key), &key.3));
                    let best = best.map(|key| Key::clone(key));
                    finished = best.unwrap_or(finished);
                }
                let [_, now] = after.get(&finished).copied().unwrap_or_default();
                let then = before.entry(finished).or_default();
                let grown = now.saturating_sub(then[1]).clamp(0, waited);
                *then = add(*then, [0, grown]);
                waited -= grown;
            }
        }
        let stacks = after
            .into_iter()
            .filter_map(|(key, values)| {
                let [count, value] =
                    subtract(values, before.get(&key).copied().unwrap_or_default());
                let values = [count.max(0), value.max(0)];
                let (frames, truncated, labels, set, foreign, wait) = key;
                let plain = StackSample::new(frames, truncated, values);
                let sample = StackSample { labels, set, foreign, wait, ..plain };
                (values != [0, 0]).then_some(sample)
            })
            .collect();
        let lost = lost_since(&self.lost, &later.lost);
        Snapshot {
            time: later.time,
            duration: Some(later.time.duration_since(self.time).unwrap_or_default()),
            stacks,
            lost,
            comments: later.comments,
        }
    }
}

type Key = (Box<[u64]>, bool, Labels, Option<LabelSet>, Option<Waiter>, Option<WaitId>);

fn is_state((key, value): &(&'static str, Arc<str>)) -> bool {
    (*key, &**value) == WAITING
}

/// All but the set of labels.
type Rest<'k> = (&'k [u64], bool, &'k Labels, &'k Option<Waiter>, &'k Option<WaitId>);

fn rest((frames, truncated, labels, _, foreign, wait): &Key) -> Rest<'_> {
    (frames, *truncated, labels, foreign, wait)
}

/// The keys of those with sets: there may be thousands of sets, and of waits that are looked for.
fn by_rest(stacks: &HashMap<Key, [i64; 2]>) -> HashMap<Rest<'_>, Vec<&Key>> {
    let mut by_rest: HashMap<_, Vec<_>> = HashMap::new();
    for key in stacks.keys().filter(|key| key.3.is_some()) {
        by_rest.entry(rest(key)).or_default().push(key);
    }
    by_rest
}

/// Whether this is what a wait's set becomes when the wait ends and there is no room for the set as it is.
fn is_coarser(set: &Option<LabelSet>, exact: &Option<LabelSet>) -> bool {
    let (Some(set), Some(exact)) = (set, exact) else { return false };
    let is_value_lost = |((key, value), (exact_key, exact_value)): (&Label, &Label)| {
        key == exact_key && (value == exact_value || **value == *OVERFLOW_VALUE)
    };
    matches!(&set[..], [(key, value)] if (&**key, &**value) == OVERFLOW_LABEL)
        || set.len() == exact.len() && iter::zip(&**set, &**exact).all(is_value_lost)
}

fn is_waiting((_, _, labels, ..): &Key) -> bool {
    labels.iter().any(is_state)
}

/// Values by stack and labels: a stack may have been entered twice.
fn totals(stacks: Vec<StackSample>) -> HashMap<Key, [i64; 2]> {
    let mut totals: HashMap<Key, [i64; 2]> = HashMap::new();
    for StackSample { frames, values, truncated, labels, set, foreign, wait, .. } in stacks {
        let sum = totals.entry((frames, truncated, labels, set, foreign, wait)).or_default();
        *sum = add(*sum, values);
    }
    totals
}

fn add<const N: usize>(a: [i64; N], b: [i64; N]) -> [i64; N] {
    array::from_fn(|i| a[i].saturating_add(b[i]))
}

fn subtract<const N: usize>(a: [i64; N], b: [i64; N]) -> [i64; N] {
    array::from_fn(|i| a[i].saturating_sub(b[i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(stacks: &[(&[u64], [i64; 2])], lost: &[(&'static str, [i64; 2])]) -> Snapshot {
        Snapshot {
            time: SystemTime::UNIX_EPOCH,
            duration: None,
            stacks: stacks.iter().map(|(f, v)| StackSample::new((*f).into(), false, *v)).collect(),
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

    #[test]
    fn of_a_wait_the_window_has_what_fell_into_it() {
        let waiting = |stack: u64, delay| StackSample {
            labels: vec![("kind", "mutex".into()), (WAITING.0, WAITING.1.into())],
            wait: Some((stack as usize, 4)),
            ..StackSample::new([stack].into(), false, [1, delay])
        };
        let finished = |stack: u64, values| StackSample {
            labels: vec![("kind", "mutex".into())],
            values,
            wait: None,
            ..waiting(stack, 0)
        };
        let mut before = snapshot(&[], &[]);
        before.stacks = vec![waiting(1, 40), waiting(2, 60), finished(2, [3, 100])];
        let mut after = snapshot(&[], &[]);
        after.stacks = vec![waiting(1, 50), finished(2, [4, 175])];
        let mut window = before.until(after).stacks;
        window.sort_by_key(|s| s.frames[0]);
        assert_eq!(window[0].values, [0, 10], "goes on");
        assert_eq!(window[1].values, [1, 15], "ended");
        assert_eq!(window[1].labels, finished(2, [0, 0]).labels);
    }

    #[test]
    fn waits_are_found_again_where_their_labels_found_no_room() {
        let set = |labels: &[(&str, &str)]| -> Option<LabelSet> {
            Some(labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect())
        };
        let sample = |values, labels: Labels, set| StackSample {
            labels,
            set,
            ..StackSample::new([1].into(), false, values)
        };
        let kind = || ("kind", "mutex".into());
        let waiting = || StackSample {
            wait: Some((1, 4)),
            ..sample(
                [1, 40],
                vec![kind(), (WAITING.0, WAITING.1.into())],
                set(&[("id", "7"), ("route", "a")]),
            )
        };
        let window = |labels: &[&[(&str, &str)]]| {
            let (mut before, mut after) = (snapshot(&[], &[]), snapshot(&[], &[]));
            before.stacks = vec![waiting()];
            after.stacks =
                labels.iter().map(|labels| sample([1, 100], vec![kind()], set(labels))).collect();
            let mut values: Vec<i64> =
                before.until(after).stacks.iter().map(|s| s.values[1]).collect();
            values.sort_unstable();
            values
        };
        let other: &[_] = &[("id", "7"), ("route", "b")];
        assert_eq!(window(&[&[("id", "(overflow)"), ("route", "a")], other]), [60, 100]);
        assert_eq!(window(&[&[OVERFLOW_LABEL], other]), [60, 100]);
        assert_eq!(window(&[&[("id", "7"), ("route", "a")], &[OVERFLOW_LABEL]]), [60, 100]);
        assert_eq!(window(&[other]), [100]);
        // One that has not changed is not it.
        let grew: &[_] = &[("id", "(overflow)"), ("route", "a")];
        let (mut before, mut after) = (snapshot(&[], &[]), snapshot(&[], &[]));
        let overflow = || sample([1, 100], vec![kind()], set(&[OVERFLOW_LABEL]));
        before.stacks = vec![waiting(), overflow()];
        after.stacks = vec![overflow(), sample([1, 100], vec![kind()], set(grew))];
        let values: Vec<_> = before.until(after).stacks.iter().map(|s| s.values[1]).collect();
        assert_eq!(values, [60]);
    }

    #[test]
    fn of_two_waits_of_one_stack_each_has_its_own() {
        let wait = |id, values: [i64; 2], labels: &[(&'static str, &str)]| StackSample {
            labels: labels.iter().map(|(key, value)| (*key, (*value).into())).collect(),
            wait: id,
            ..StackSample::new([1].into(), false, values)
        };
        let waiting = |id, delay| wait(Some((id, 4)), [1, delay], &[WAITING]);
        let mut before = snapshot(&[], &[]);
        before.stacks = vec![waiting(1, 1000), waiting(2, 400)];
        let mut after = snapshot(&[], &[]);
        // The first has ended, and was told apart; the second goes on, and a third began.
        after.stacks = vec![
            wait(None, [1, 1050], &[(PHASE, HELD)]),
            wait(None, [0, 7], &[(PHASE, "wake-up")]),
            waiting(2, 500),
            waiting(3, 60),
        ];
        let mut values: Vec<_> = before.until(after).stacks.iter().map(|s| s.values).collect();
        values.sort_unstable();
        assert_eq!(values, [[0, 7], [0, 100], [1, 50], [1, 60]]);
    }
}
