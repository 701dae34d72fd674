//! The trees of all threads, and what is in them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::aggregate::call_paths::{PathSample, PathSnapshot, PathSums, SiteKey, Tree};
use crate::aggregate::snapshot::Lost;
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
    let now = since_start();
    match &*BASE.lock() {
        Some(base) => PathSnapshot { duration: None, ..difference(&now, base) },
        None => now,
    }
}

/// What there was at the last reset: counters are written by their threads alone, so it is taken off when they are read.
static BASE: Mutex<Option<PathSnapshot>> = Mutex::new(None);

/// Later snapshots begin here.
pub(crate) fn reset() {
    *BASE.lock() = Some(since_start());
}

fn since_start() -> PathSnapshot {
    let sums = sums();
    let ns = |ticks| i64::try_from(clock::ticks_to_ns(ticks)).unwrap_or(i64::MAX);
    let paths = sums
        .paths
        .iter()
        .filter(|(_, (calls, ticks))| (*calls, *ticks) != (0, 0))
        .map(|(path, (calls, ticks))| PathSample {
            path: path.iter().map(|site| site.0).collect(),
            calls: *calls,
            self_ns: ns(*ticks),
        })
        .collect();
    // ORDERING: Relaxed: a counter.
    let outside = OUTSIDE.load(Ordering::Relaxed);
    let lost = [
        ("pprof_runtime::lost_calls (no room for the call path)", sums.overflow.0, sums.overflow.1),
        ("pprof_runtime::lost_calls (thread ending)", outside, 0),
    ];
    let lost = lost
        .into_iter()
        .filter(|(_, calls, ticks)| (*calls, *ticks) != (0, 0))
        .map(|(reason, calls, ticks)| Lost { reason, values: [calls, ns(ticks)] })
        .collect();
    let mut comments =
        vec!["calls and times are exact; time of async functions is time inside poll".into()];
    // ORDERING: Relaxed: a counter.
    let strays = STRAY_SPANS.load(Ordering::Relaxed);
    if strays != 0 {
        comments.push(format!(
            "{strays} spans since the program began were not dropped in the order of calls: they are timed to the end of what was \
             inside of them, or their time is in what they were inside of"
        ));
    }
    PathSnapshot { time: SystemTime::now(), duration: None, paths, lost, comments }
}

/// What was added between two snapshots.
pub(crate) fn difference(later: &PathSnapshot, earlier: &PathSnapshot) -> PathSnapshot {
    let key = |p: &PathSample| -> Vec<SiteKey> { p.path.iter().map(|s| SiteKey(s)).collect() };
    let before: HashMap<Vec<SiteKey>, (i64, i64)> =
        earlier.paths.iter().map(|p| (key(p), (p.calls, p.self_ns))).collect();
    let paths = later
        .paths
        .iter()
        .filter_map(|p| {
            let (calls, self_ns) = before.get(&key(p)).copied().unwrap_or_default();
            let grown = PathSample {
                path: p.path.clone(),
                calls: p.calls - calls,
                self_ns: p.self_ns - self_ns,
            };
            (grown.calls != 0 || grown.self_ns != 0).then_some(grown)
        })
        .collect();
    let lost = later
        .lost
        .iter()
        .map(|l| {
            let before =
                earlier.lost.iter().find(|e| e.reason == l.reason).map_or([0, 0], |e| e.values);
            Lost { reason: l.reason, values: [l.values[0] - before[0], l.values[1] - before[1]] }
        })
        .filter(|l| l.values != [0, 0])
        .collect();
    PathSnapshot {
        time: later.time,
        duration: Some(later.time.duration_since(earlier.time).unwrap_or_default()),
        paths,
        lost,
        comments: later.comments.clone(),
    }
}

/// Number of distinct call paths.
pub(crate) fn count() -> usize {
    sums().paths.values().filter(|values| **values != (0, 0)).count()
}
