//! The `functions` profile: exact calls and time of annotated functions, by call path.
//!
//! `#[profile]` puts a [`FunctionGuard`] first in a function, or wraps an async function's body in [`Instrumented`]; `span!` makes a
//! [`Span`]. All keep the thread's place in its tree of call paths.

use std::cell::Cell;
use std::collections::HashMap;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use super::cpu;
use crate::aggregate::call_paths::{Node, PathSample, PathSnapshot, PathSums, Site, SiteKey, Tree};
use crate::aggregate::snapshot::Lost;
use crate::capture::registers;
use crate::clock;
use crate::config::MAX_ENDED_CALL_PATHS;

static ENABLED: AtomicBool = AtomicBool::new(false);

/// Calls made while a thread's tree was being set up or after it was folded, as from destructors of other thread-locals.
static OUTSIDE: AtomicI64 = AtomicI64::new(0);

/// Spans that were dropped when what they were inside of had ended.
static LATE_SPANS: AtomicI64 = AtomicI64::new(0);

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { threads: Vec::new(), ended: None });

struct Registry {
    threads: Vec<Arc<Tree>>,
    /// What threads that ended left. Shared with a reader for the time of its sums: a thread that ends meanwhile
    /// makes a copy instead of waiting.
    ended: Option<Arc<PathSums>>,
}

/// The thread's place in its tree. No destructor: usable at any time of the thread's life.
struct Local {
    tree: Cell<*const Tree>,
    /// The path of the call now running. Null before the first call, as `tree` is.
    current: Cell<*const Node>,
    /// Ticks that calls have been charged with so far. What was charged while a call ran is its callees'; the rest of its time is its own.
    charged_ticks: Cell<u64>,
    /// Nothing is recorded: the tree is being made, or is gone.
    closed: Cell<bool>,
}

thread_local! {
    static LOCAL: Local = const {
        Local {
            tree: Cell::new(ptr::null()),
            current: Cell::new(ptr::null()),
            charged_ticks: Cell::new(0),
            closed: Cell::new(false),
        }
    };
    /// Folds the thread's tree into the registry when the thread ends.
    static FOLD: Fold = const { Fold(Cell::new(None)) };
}

struct Fold(Cell<Option<Arc<Tree>>>);

impl Drop for Fold {
    fn drop(&mut self) {
        LOCAL.with(|local| {
            local.closed.set(true);
            local.current.set(ptr::null());
            local.tree.set(ptr::null());
        });
        if let Some(tree) = self.0.take() {
            let mut registry = REGISTRY.lock();
            let ended = Arc::make_mut(registry.ended.get_or_insert_default());
            tree.add_to(ended, MAX_ENDED_CALL_PATHS);
            registry.threads.retain(|other| !Arc::ptr_eq(other, &tree));
        }
    }
}

/// See [`crate::set_function_profile`].
pub(crate) fn set_enabled(on: bool) -> bool {
    if on {
        clock::calibrate();
    }
    // ORDERING: Relaxed: a switch; a thread that sees it late records late.
    ENABLED.swap(on, Ordering::Relaxed)
}

#[inline(always)]
fn is_enabled() -> bool {
    // ORDERING: Relaxed: a switch.
    ENABLED.load(Ordering::Relaxed)
}

/// Times one call of an annotated function, from `enter` to drop.
///
/// What the function itself carries is a test and a call at each end: the rest is out of line, so that neither the code nor
/// the registers of a program that does not profile pay for it.
#[doc(hidden)]
#[derive(Debug)]
#[must_use]
pub struct FunctionGuard {
    /// Null if nothing is recorded for this call; the other fields are then not set.
    node: *const Node,
    /// What to return to.
    caller: MaybeUninit<*const Node>,
    charged_before: MaybeUninit<u64>,
    start: MaybeUninit<u64>,
    not_send: PhantomData<*const ()>,
}

impl FunctionGuard {
    /// A guard of no call yet, to be entered where it stays.
    #[allow(clippy::new_without_default)]
    #[inline(always)]
    pub const fn new() -> FunctionGuard {
        FunctionGuard {
            node: ptr::null(),
            caller: MaybeUninit::uninit(),
            charged_before: MaybeUninit::uninit(),
            start: MaybeUninit::uninit(),
            not_send: PhantomData,
        }
    }

    /// Enters `site` as a call.
    #[inline(always)]
    pub fn enter(&mut self, site: &'static Site) {
        if is_enabled() {
            self.open(site, true, registers::pc());
        }
    }

    /// `address` is one inside the function; zero if the function tells by itself.
    #[inline(never)]
    fn open(&mut self, site: &'static Site, is_call: bool, address: u64) {
        LOCAL.with(|local| {
            // SAFETY: null, or a node of this thread's tree, which lives until the thread's end and then is null again.
            let known = unsafe { local.current.get().as_ref() }
                .and_then(|caller| Some((caller, caller.recent_child(site)?)));
            match known {
                Some((caller, node)) => self.begin(local, caller, node, is_call),
                None => self.open_slowly(site, is_call, address),
            }
        });
    }

    #[inline(always)]
    fn begin(&mut self, local: &Local, caller: &Node, node: &Node, is_call: bool) {
        if is_call {
            node.count_call();
        }
        local.current.set(node);
        self.node = node;
        self.caller.write(caller);
        self.charged_before.write(local.charged_ticks.get());
        // Last: what came before is not the function's time.
        self.start.write(clock::ticks());
    }

    /// The first call on a thread, or from a path whose last call went elsewhere.
    #[cold]
    #[inline(never)]
    fn open_slowly(&mut self, site: &'static Site, is_call: bool, address: u64) {
        if address != 0 {
            site.set_address(address);
        }
        LOCAL.with(|local| {
            if local.current.get().is_null() && !open_tree() {
                if is_call {
                    // ORDERING: Relaxed: a counter.
                    OUTSIDE.fetch_add(1, Ordering::Relaxed);
                }
                return;
            }
            // SAFETY: set from `open_tree` to the thread's end.
            let tree = unsafe { &*local.tree.get() };
            // SAFETY: set with `tree`.
            let caller = unsafe { &*local.current.get() };
            self.begin(local, caller, tree.find_child(caller, site), is_call);
        });
    }

    #[inline(never)]
    fn close(&mut self) {
        let now = clock::ticks();
        // SAFETY: a node of this thread's tree, which outlives every call on the thread's stack.
        let Some(node) = (unsafe { self.node.as_ref() }) else { return };
        // SAFETY: set where `node` is.
        let caller = unsafe { self.caller.assume_init() };
        // SAFETY: as above.
        let charged_before = unsafe { self.charged_before.assume_init() };
        // SAFETY: as above.
        let start = unsafe { self.start.assume_init() };
        let elapsed = now.saturating_sub(start);
        LOCAL.with(|local| {
            let charged = local.charged_ticks.get();
            let own = elapsed.saturating_sub(charged.wrapping_sub(charged_before));
            node.add_ticks(own);
            local.charged_ticks.set(charged.wrapping_add(own));
            local.current.set(caller);
        });
    }
}

/// A region inside of a function, from where [`span!`](macro@crate::span) stands to where this is dropped.
#[derive(Debug)]
#[must_use = "a span ends where it is dropped: bind it to a name, such as `_span`"]
pub struct Span(FunctionGuard);

impl Span {
    #[doc(hidden)]
    #[inline(always)]
    pub fn enter(site: &'static Site) -> Span {
        let mut guard = FunctionGuard::new();
        guard.enter(site);
        Span(guard)
    }
}

impl Drop for Span {
    /// Ends what began inside of it, too. What it is inside of may have ended before: unlike the guard of a function, this one can be moved.
    #[inline]
    fn drop(&mut self) {
        let node = self.0.node;
        if !node.is_null() && LOCAL.with(|local| local.current.get()) != node && !is_open(node) {
            // ORDERING: Relaxed: a counter.
            LATE_SPANS.fetch_add(1, Ordering::Relaxed);
            self.0.node = ptr::null();
        }
    }
}

/// Whether the call now running is inside of one of `node`.
#[cold]
#[inline(never)]
fn is_open(node: *const Node) -> bool {
    // SAFETY: null, or a node of this thread's tree, which lives until the thread's end and then is null again.
    let current = unsafe { LOCAL.with(|local| local.current.get()).as_ref() };
    std::iter::successors(current, |at| at.parent()).any(|at| ptr::eq(at, node))
}

impl Drop for FunctionGuard {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.node.is_null() {
            self.close();
        }
    }
}

/// Makes this thread's tree; false if it may not have one now.
fn open_tree() -> bool {
    LOCAL.with(|local| {
        // Closed meanwhile: an annotated allocator is called by what follows.
        if local.closed.replace(true) {
            return false;
        }
        let tree = Arc::new(Tree::new());
        // Refused when the thread is ending and its destructors have run.
        if FOLD.try_with(|fold| fold.0.set(Some(Arc::clone(&tree)))).is_err() {
            return false;
        }
        local.current.set(tree.root());
        local.tree.set(Arc::as_ptr(&tree));
        REGISTRY.lock().threads.push(tree);
        cpu::register_thread(Duration::ZERO);
        local.closed.set(false);
        true
    })
}

/// Tells where the code of an async function is: called in its body, which [`Instrumented::poll`] only calls.
#[doc(hidden)]
#[inline(always)]
pub fn locate(site: &'static Site) {
    if is_enabled() && site.address() == 0 {
        site.set_address(registers::pc());
    }
}

/// An async function's body, timed while it is polled.
#[doc(hidden)]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Instrumented<F> {
    site: &'static Site,
    counted: bool,
    future: F,
}

impl<F> Instrumented<F> {
    /// Wraps `future`.
    #[inline]
    pub fn new(site: &'static Site, future: F) -> Self {
        Instrumented { site, counted: false, future }
    }
}

impl<F: Future> Future for Instrumented<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned with `self`: it is never moved out, and there is no `Drop` nor other access.
        let this = unsafe { self.get_unchecked_mut() };
        let mut guard = FunctionGuard::new();
        // Entered in several stretches, of which only the first is a call.
        if is_enabled() {
            guard.open(this.site, !this.counted, 0);
        }
        this.counted |= !guard.node.is_null();
        // SAFETY: as above.
        let future = unsafe { Pin::new_unchecked(&mut this.future) };
        future.poll(context)
    }
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
    let late_spans = LATE_SPANS.load(Ordering::Relaxed);
    if late_spans != 0 {
        comments.push(format!(
            "{late_spans} spans since the program began were dropped after what they were inside of: their time is in that"
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
