//! The trees of all threads, and what is in them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;

use super::super::labels::{self, Texts};
use super::instances;
use crate::aggregate::call_paths::{self, PathSums, Tree};
use crate::aggregate::columns::{Column, Values};
use crate::aggregate::histogram;
use crate::aggregate::path_snapshot::{LostCalls, NO_ROOM, PathSample, PathSnapshot};
use crate::aggregate::site::SiteKey;
use crate::clock;
use crate::config::MAX_ENDED_CALL_PATHS;

/// A thread's tree, from its first call on.
pub(super) fn add(tree: Arc<Tree>) {
    REGISTRY.lock().threads.push(tree);
}

/// What a thread that ends leaves.
pub(super) fn fold(tree: &Arc<Tree>) {
    let mut registry = REGISTRY.lock();
    let ended = Arc::make_mut(registry.ended.get_or_insert_default());
    tree.add_to(ended, MAX_ENDED_CALL_PATHS);
    registry.threads.retain(|other| !Arc::ptr_eq(other, tree));
}

/// Calls made while a thread's tree was being set up or after it was folded, as from destructors of other thread-locals.
pub(super) static OUTSIDE: AtomicI64 = AtomicI64::new(0);

/// Spans that were not dropped in the order of calls.
pub(super) static STRAY_SPANS: AtomicI64 = AtomicI64::new(0);

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { threads: Vec::new(), ended: None });

struct Registry {
    threads: Vec<Arc<Tree>>,
    /// What threads that ended left. Shared with a reader for the time of its sums: a thread that ends meanwhile
    /// makes a copy instead of waiting.
    ended: Option<Arc<PathSums>>,
}

fn sums() -> PathSums {
    // Room is made before the lock is held: an annotated allocator may be about to open this thread's tree, under the same lock.
    let mut threads = Vec::new();
    let ended = loop {
        let registry = REGISTRY.lock();
        let count = registry.threads.len();
        if threads.capacity() >= count {
            threads.extend(registry.threads.iter().cloned());
            // A thread that ends from here on is in `threads`, not in `ended`.
            break registry.ended.clone();
        }
        drop(registry);
        threads.reserve(count + count / 4);
    };
    let mut sums = ended.as_deref().cloned().unwrap_or_default();
    for tree in threads {
        tree.add_to(&mut sums, usize::MAX);
    }
    sums
}

/// What has been recorded since the process began.
pub(crate) fn snapshot() -> PathSnapshot {
    // First: one that is set meanwhile has more than what is read.
    let base = BASE.lock().clone();
    let now = since_start();
    match base {
        Some(base) => PathSnapshot { duration: None, ..now.since(&base) },
        None => now,
    }
}

/// What there was at the last reset: counters are written by their threads alone, so it is taken off when they are read.
static BASE: Mutex<Option<Arc<PathSnapshot>>> = Mutex::new(None);

/// Later snapshots begin here.
pub(crate) fn reset() {
    let base = Arc::new(since_start());
    *BASE.lock() = Some(base);
}

fn since_start() -> PathSnapshot {
    let (sums, texts) = (sums(), Texts::read());
    let paths: Vec<PathSample> = sums
        .paths
        .iter()
        .filter(|(_, values)| !values.is_zero())
        .map(|((path, labels), values)| PathSample {
            path: path.iter().map(|site| site.0).collect(),
            set: texts.of(*labels),
            values: in_ns(values),
        })
        .collect();
    let outside = Values::of(|column| match column {
        // ORDERING: Relaxed: a counter.
        Column::Calls => OUTSIDE.load(Ordering::Relaxed),
        _ => 0,
    });
    let lost =
        [(NO_ROOM, in_ns(&sums.overflow)), ("pprof_runtime::lost_calls (thread ending)", outside)];
    let lost: Vec<LostCalls> = lost
        .into_iter()
        .filter(|(_, values)| !values.is_zero())
        .map(|(reason, values)| LostCalls { reason, values })
        .collect();
    let all = || paths.iter().map(|p| &p.values).chain(lost.iter().map(|l| &l.values));
    let is_recorded = |column: &Column| all().any(|values| values[*column] != 0);
    let columns = Column::ALL.into_iter().filter(is_recorded).collect();
    let mut comments = comments(&sums);
    comments.extend(labels::remarks());
    let unlabelled = call_paths::unlabelled_calls();
    if unlabelled != 0 {
        comments
            .push(format!("calls labelled labels=overflow since the program began: {unlabelled}"));
    }
    // ORDERING: Relaxed: a counter.
    let strays = STRAY_SPANS.load(Ordering::Relaxed);
    if strays != 0 {
        comments.push(format!(
            "{strays} spans since the program began were not dropped in the order of calls: they are timed to the end of what was \
             inside of them, or their time is in what they were inside of"
        ));
    }
    PathSnapshot {
        time: SystemTime::now(),
        duration: None,
        paths,
        lost,
        columns,
        durations: sums.durations,
        comments,
    }
}

/// What is not exact, and on how many functions.
fn comments(sums: &PathSums) -> Vec<String> {
    let sites: HashSet<SiteKey> =
        sums.paths.keys().filter_map(|(path, _)| path.first().copied()).collect();
    let mut kinds: BTreeMap<(u32, u32), usize> = BTreeMap::new();
    for SiteKey(site) in &sites {
        *kinds.entry((site.time(), site.cpu())).or_default() += 1;
    }
    let mut comments = Vec::new();
    for ((time, cpu), count) in &kinds {
        match time {
            0 => comments.push(format!("time off on {count} functions: it is their callers'")),
            1 => {}
            _ => comments.push(format!("time sampled 1/{time} on {count} functions")),
        }
        if *cpu != 0 {
            comments.push(format!("CPU time sampled 1/{cpu} on {count} functions"));
        }
    }
    let what = match comments.is_empty() {
        true => "calls and times are exact",
        false => "calls are exact; times are exact, except:",
    };
    comments.insert(0, what.to_owned());
    // ORDERING: Relaxed: a counter.
    let without_site = instances::WITHOUT_SITE.load(Ordering::Relaxed);
    if without_site != 0 {
        comments.push(format!(
            "{without_site} calls of generic functions found no room for a site of their type arguments: they are counted without"
        ));
    }
    let lost = histogram::lost();
    if lost != 0 {
        comments.push(format!("{lost} durations found no room: they are in no percentile"));
    }
    comments
}

/// Times in nanoseconds, of values in ticks.
fn in_ns(values: &Values) -> Values {
    let ns = |ticks: i64| {
        let ns = clock::ticks_to_ns(ticks.unsigned_abs());
        ticks.signum() * i64::try_from(ns).unwrap_or(i64::MAX)
    };
    Values::of(|column| if column.is_in_ticks() { ns(values[column]) } else { values[column] })
}

/// Number of distinct call paths.
pub(crate) fn count() -> usize {
    sums().paths.values().filter(|values| !values.is_zero()).count()
}
