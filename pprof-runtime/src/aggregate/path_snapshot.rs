//! Copies of the `functions` profile, and the difference of two.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::columns::{Column, Values};
use super::histogram::Durations;
use super::site::{Site, SiteKey};
use super::snapshot::LabelSet;
use crate::config::OVERFLOW_LABEL;

/// A copy of the `functions` profile.
#[derive(Clone, Debug)]
pub(crate) struct PathSnapshot {
    pub(crate) time: SystemTime,
    /// `None` for values accumulated since the process began.
    pub(crate) duration: Option<Duration>,
    pub(crate) paths: Vec<PathSample>,
    pub(crate) lost: Vec<LostCalls>,
    /// Columns in which anything was recorded since the process began: a later snapshot has those of an earlier one.
    pub(crate) columns: Vec<Column>,
    /// Durations of calls in ticks, by the function called.
    pub(crate) durations: HashMap<SiteKey, Durations>,
    pub(crate) comments: Vec<String>,
}

/// One call path and its values, times in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct PathSample {
    /// Leaf first.
    pub(crate) path: Vec<&'static Site>,
    /// What was set when the calls were made.
    pub(crate) set: Option<LabelSet>,
    /// Sums of weighted values may be below zero, of few calls.
    pub(crate) values: Values,
}

/// Why calls have no path.
pub(crate) const NO_ROOM: &str = "pprof_runtime::lost_calls (no room for the call path)";

/// Calls without a path.
#[derive(Clone, Debug)]
pub(crate) struct LostCalls {
    /// Shown as a function name.
    pub(crate) reason: &'static str,
    pub(crate) values: Values,
}

type Key = (Vec<SiteKey>, Option<LabelSet>);

/// Values by path and labels: sets that found no room are one.
fn totals(paths: &[PathSample]) -> HashMap<Key, Values> {
    let mut totals: HashMap<Key, Values> = HashMap::new();
    paths.iter().for_each(|path| *totals.entry(path.key()).or_default() += path.values);
    totals
}

impl PathSample {
    fn key(&self) -> Key {
        (self.path.iter().map(|site| SiteKey(site)).collect(), self.set.clone())
    }
}

impl PathSnapshot {
    /// What was added since `earlier`.
    pub(crate) fn since(&self, earlier: &PathSnapshot) -> PathSnapshot {
        let mut before = totals(&earlier.paths);
        let mut lost_since = Values::default();
        // A thread that ended meanwhile may have left its paths without labels, or as calls without a path: those are not new.
        let after = totals(&self.paths);
        let gone: Vec<Key> =
            before.keys().filter(|key| !after.contains_key(key)).cloned().collect();
        let overflow: LabelSet = [(OVERFLOW_LABEL.0.into(), OVERFLOW_LABEL.1.into())].into();
        for key in gone {
            let values = before.remove(&key).unwrap_or_default();
            let unlabelled = (key.0, Some(LabelSet::clone(&overflow)));
            let now = after.get(&unlabelled).map_or(0, |now| now[Column::Calls]);
            let then = before.get(&unlabelled).map_or(0, |then| then[Column::Calls]);
            if now - then >= values[Column::Calls] && now != 0 {
                *before.entry(unlabelled).or_default() += values;
            } else {
                lost_since += values;
            }
        }
        let grown = |p: &PathSample| {
            let values = p.values - before.get(&p.key()).copied().unwrap_or_default();
            (!values.is_zero()).then(|| PathSample { values, ..p.clone() })
        };
        let lost_before = |reason| {
            let before = earlier.lost.iter().find(|e| e.reason == reason);
            let mut before = before.map(|e| e.values).unwrap_or_default();
            if reason == NO_ROOM {
                before += lost_since;
            }
            before
        };
        let lost = self
            .lost
            .iter()
            .map(|l| LostCalls { reason: l.reason, values: l.values - lost_before(l.reason) })
            .filter(|l| !l.values.is_zero())
            .collect();
        PathSnapshot {
            time: self.time,
            duration: Some(self.time.duration_since(earlier.time).unwrap_or_default()),
            paths: self.paths.iter().filter_map(grown).collect(),
            lost,
            columns: self.columns.clone(),
            durations: self
                .durations
                .iter()
                .map(|(site, durations)| (*site, durations.since(earlier.durations.get(site))))
                .collect(),
            comments: self.comments.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static A: Site = Site::new("a", || "", "a.rs", 1);

    fn calls(calls: i64) -> Values {
        let mut values = Values::default();
        values[Column::Calls] = calls;
        values
    }

    fn snapshot(paths: &[(Option<(&str, &str)>, i64)], lost: i64) -> PathSnapshot {
        let path = |(label, count): &(Option<(&str, &str)>, i64)| PathSample {
            path: vec![&A],
            set: label.map(|(key, value)| [(key.into(), value.into())].into()),
            values: calls(*count),
        };
        PathSnapshot {
            time: SystemTime::UNIX_EPOCH,
            duration: None,
            paths: paths.iter().map(path).collect(),
            lost: vec![LostCalls { reason: NO_ROOM, values: calls(lost) }],
            columns: vec![Column::Calls],
            durations: HashMap::new(),
            comments: Vec::new(),
        }
    }

    #[test]
    fn what_a_thread_left_when_it_ended_is_not_new() {
        let (one, other) = (Some(("user", "1")), Some(("user", "2")));
        let unlabelled = Some(OVERFLOW_LABEL);
        let before = snapshot(&[(one, 10), (other, 5), (unlabelled, 100), (None, 7)], 1);
        let since = |paths: &[(Option<(&str, &str)>, i64)], lost| {
            let grown = snapshot(paths, lost).since(&before);
            let calls = |values: &Values| values[Column::Calls];
            let paths: Vec<_> = grown.paths.iter().map(|path| calls(&path.values)).collect();
            (paths, grown.lost.iter().map(|lost| calls(&lost.values)).sum::<i64>())
        };
        assert_eq!(since(&[(one, 10), (other, 5), (unlabelled, 100), (None, 7)], 1), (vec![], 0));
        assert_eq!(since(&[(other, 6), (unlabelled, 112), (None, 7)], 1), (vec![1, 2], 0));
        assert_eq!(since(&[(other, 5), (unlabelled, 100), (None, 7)], 14), (vec![], 3));
        assert_eq!(since(&[(one, 10), (other, 5), (unlabelled, 100)], 8), (vec![], 0));
    }
}
