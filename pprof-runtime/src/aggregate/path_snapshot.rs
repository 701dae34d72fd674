//! Copies of the `functions` profile, and the difference of two.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::columns::{Column, Values};
use super::histogram::Durations;
use super::site::{Site, SiteKey};
use super::snapshot::LabelSet;

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

/// Calls without a path.
#[derive(Clone, Debug)]
pub(crate) struct LostCalls {
    /// Shown as a function name.
    pub(crate) reason: &'static str,
    pub(crate) values: Values,
}

impl PathSnapshot {
    /// What was added since `earlier`.
    pub(crate) fn since(&self, earlier: &PathSnapshot) -> PathSnapshot {
        let key = |p: &PathSample| -> (Vec<SiteKey>, Option<LabelSet>) {
            (p.path.iter().map(|s| SiteKey(s)).collect(), p.set.clone())
        };
        let mut before: HashMap<_, Values> = HashMap::new();
        // Sets that found no room are one.
        earlier.paths.iter().for_each(|p| *before.entry(key(p)).or_default() += p.values);
        let grown = |p: &PathSample| {
            let values = p.values - before.get(&key(p)).copied().unwrap_or_default();
            (!values.is_zero()).then(|| PathSample { values, ..p.clone() })
        };
        let lost_before = |reason| {
            let before = earlier.lost.iter().find(|e| e.reason == reason);
            before.map(|e| e.values).unwrap_or_default()
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
