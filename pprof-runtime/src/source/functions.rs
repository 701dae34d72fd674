//! The `functions` profile: exact calls and time of annotated functions, by call path.
//!
//! `#[profile]` puts a [`FunctionGuard`] first in a function, or wraps an async function's body in [`Instrumented`]; `span!` makes a
//! [`Span`]. All keep the thread's place in its tree of call paths.

use std::cell::Cell;
use std::collections::HashMap;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::{self, MaybeUninit};
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use super::cpu;
use crate::aggregate::call_paths::{
    Began, Node, PathSample, PathSnapshot, PathSums, Site, SiteKey, Tree,
};
use crate::aggregate::snapshot::Lost;
use crate::capture::registers;
use crate::clock;
use crate::config::MAX_ENDED_CALL_PATHS;

static ENABLED: AtomicBool = AtomicBool::new(false);

/// Calls made while a thread's tree was being set up or after it was folded, as from destructors of other thread-locals.
static OUTSIDE: AtomicI64 = AtomicI64::new(0);

/// Spans that were not dropped in the order of calls.
static STRAY_SPANS: AtomicI64 = AtomicI64::new(0);

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
    /// Whether a span may have ended that is still to be left.
    has_strays: Cell<bool>,
    /// Nothing is recorded: the tree is being made, or is gone.
    closed: Cell<bool>,
}

thread_local! {
    static LOCAL: Local = const {
        Local {
            tree: Cell::new(ptr::null()),
            current: Cell::new(ptr::null()),
            charged_ticks: Cell::new(0),
            has_strays: Cell::new(false),
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
    began: MaybeUninit<Began>,
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
            began: MaybeUninit::uninit(),
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
        let charged = local.charged_ticks.get();
        // Last: what came before is not the function's time.
        self.began.write(Began { start: clock::ticks(), charged });
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
        let began = unsafe { self.began.assume_init() };
        LOCAL.with(|local| {
            local.charge(node, began, now);
            local.current.set(caller);
            if local.has_strays.get() {
                local.leave_strays(now);
            }
        });
    }
}

impl Local {
    /// Charges a call that ends now with what no other was charged with meanwhile.
    #[inline(always)]
    fn charge(&self, node: &Node, began: Began, now: u64) {
        let charged = self.charged_ticks.get();
        let elapsed = now.saturating_sub(began.start);
        let own = elapsed.saturating_sub(charged.wrapping_sub(began.charged));
        node.add_ticks(own);
        self.charged_ticks.set(charged.wrapping_add(own));
    }

    /// Leaves spans that have ended, with nothing inside of them any more.
    #[cold]
    #[inline(never)]
    fn leave_strays(&self, now: u64) {
        // SAFETY: null, or a node of this thread's tree, which lives until the thread's end and then is null again.
        while let Some(node) = unsafe { self.current.get().as_ref() }
            && let Some(began) = node.take_ended_span()
        {
            self.charge(node, began, now);
            self.current.set(node.parent());
        }
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
        if !guard.node.is_null() {
            guard.take_path();
        }
        Span(guard)
    }
}

impl FunctionGuard {
    /// What may end out of order needs a path of its own, on which that can be noted: without one this is a call and no time.
    fn take_path(&mut self) {
        // SAFETY: a node of this thread's tree, which is there while calls begin.
        let Some(node) = (unsafe { self.node.as_ref() }) else { return };
        // SAFETY: set where `node` is.
        let caller = unsafe { self.caller.assume_init() };
        if node.parent() == caller {
            // One that was never left, as the call that it was inside of ended first.
            node.take_ended_span();
        } else {
            LOCAL.with(|local| local.current.set(caller));
            self.node = ptr::null();
        }
    }
}

impl Drop for Span {
    /// Unlike the guard of a function, this one can be moved: what began inside of it may go on, and what it is inside of may have ended.
    /// In the first case it is left together with that; the second one does no harm until this path is taken again.
    #[inline]
    fn drop(&mut self) {
        let current = LOCAL.with(|local| local.current.get());
        if self.0.node.is_null() || self.0.node == current {
            return;
        }
        // ORDERING: Relaxed: a counter.
        STRAY_SPANS.fetch_add(1, Ordering::Relaxed);
        let node = mem::replace(&mut self.0.node, ptr::null());
        // The thread's tree is gone, and the node with it.
        if current.is_null() {
            return;
        }
        // SAFETY: set where `node` was.
        let began = unsafe { self.0.began.assume_init() };
        // SAFETY: a node of this thread's tree.
        unsafe { &*node }.end_span(began);
        LOCAL.with(|local| local.has_strays.set(true));
    }
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
