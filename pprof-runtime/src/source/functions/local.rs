//! The thread's place in its tree.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::super::{cpu, heap, labels};
use super::allocations;
use super::registry;
use super::waking::Scheduled;
use crate::aggregate::call_paths::{Began, Children, NOWHERE, Node, Tree};
use crate::aggregate::columns::Column;
use crate::aggregate::histogram;
use crate::aggregate::looks::Random;
use crate::aggregate::site::Site;
use crate::clock;

/// See [`crate::set_function_histograms`].
pub(super) static HISTOGRAMS: AtomicBool = AtomicBool::new(false);

#[inline(always)]
pub(super) fn keeps_durations() -> bool {
    // ORDERING: Relaxed: a switch.
    HISTOGRAMS.load(Ordering::Relaxed)
}

/// The next tree's.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// What calls on this thread have been charged with by a clock, and which of them it looks at.
pub(super) struct Clock {
    /// What calls have been charged with so far. What was charged while a call ran is its callees'; the rest of its time is its own.
    pub(super) charged: Cell<u64>,
    /// How often the sampled call counts that runs and is looked at: as often as those inside of it, see [`light`](super::light). Zero if there
    /// is none.
    pub(super) sampling: Cell<u32>,
    /// What sampled calls took themselves in the outermost one that is looked at, as far as they are over.
    looked: Cell<u64>,
}

impl Clock {
    const fn new() -> Clock {
        Clock { charged: Cell::new(0), sampling: Cell::new(0), looked: Cell::new(0) }
    }

    /// Charges a call that counts so often. Returns what it took itself.
    #[inline(always)]
    fn charge(&self, node: &Node, column: Column, began: Began, now: u64, weight: u32) -> u64 {
        let charged = self.charged.get();
        let elapsed = now.wrapping_sub(began.start);
        // Below zero where callees were charged with more than they took: all that a thread's calls are charged with is what it took.
        let own = elapsed.wrapping_sub(charged.wrapping_sub(began.charged));
        node.add(column, own.wrapping_mul(u64::from(weight)).cast_signed());
        self.charged.set(charged.wrapping_add(own));
        own
    }

    /// A call begins of which this clock looks at 1 in `every`, 0 for none: at this one if `weight` is not zero. But where that is decided by
    /// a sampled one around it, `weight` is set to that one's. The result is for `end`, if this is an outermost one that is looked at.
    #[inline(always)]
    pub(super) fn begin(&self, every: u32, is_decided: bool, weight: &mut u32) -> Option<u64> {
        match every {
            // Its time is its caller's, and so is what it calls.
            0 => {}
            // What is called from here is as if it were called from nowhere: this one's time is known.
            1 => self.sampling.set(0),
            _ if is_decided => *weight = self.sampling.get(),
            _ => {
                self.sampling.set(*weight);
                if *weight != 0 {
                    return Some(self.looked.replace(0));
                }
            }
        }
        None
    }

    /// Charges nobody with what passed just now.
    #[inline(always)]
    pub(super) fn pass_over(&self, elapsed: u64) {
        self.charged.set(self.charged.get().wrapping_add(elapsed));
    }

    /// Charges a call that is looked at and counts so often. The caller of an outermost one is charged with what that and all those in it
    /// count for, so that it is left, in the mean, what the calls that are not looked at would leave it.
    #[inline(always)]
    pub(super) fn end(
        &self,
        node: &Node,
        column: Column,
        began: Began,
        now: u64,
        weight: u32,
        around: Option<u64>,
    ) {
        let own = self.charge(node, column, began, now, weight);
        if weight == 1 {
            return;
        }
        let looked = self.looked.get().wrapping_add(own);
        match around {
            None => self.looked.set(looked),
            Some(around) => {
                let others = looked.wrapping_mul(u64::from(weight - 1));
                self.charged.set(self.charged.get().wrapping_add(others));
                self.looked.set(around);
            }
        }
    }
}

/// The thread's place in its tree. No destructor: usable at any time of the thread's life.
pub(super) struct Local {
    pub(super) tree: Cell<*const Tree>,
    /// The path of the call now running. `NOWHERE` while there is no tree.
    pub(super) current: Cell<*const Node>,
    /// Of the tree. Emptied by hand.
    children: ManuallyDrop<RefCell<Children>>,
    /// The tree's number: no other has it, before or after. Zero if there is none.
    pub(super) number: Cell<u64>,
    /// In ticks.
    pub(super) time: Clock,
    /// In nanoseconds of CPU time.
    pub(super) cpu: Clock,
    random: Cell<Random>,
    /// Spans that have ended and are still to be left.
    strays: Cell<u32>,
    /// The number of the latest span.
    pub(super) spans: Cell<u64>,
    /// Annotated futures that were left pending since the stretch of an annotated future now running began, and are still there.
    pub(super) suspended: Cell<u32>,
    /// The number of that stretch; zero if there is none.
    pub(super) stretch: Cell<u64>,
    /// The number of the latest stretch.
    pub(super) stretches: Cell<u64>,
    /// Of the outermost stretch.
    pub(super) scheduled: Cell<Scheduled>,
    /// Memory is being allocated for what is recorded.
    pub(super) makes_room: Cell<bool>,
    /// Nothing is recorded: the tree is being made, or is gone.
    closed: Cell<bool>,
}

thread_local! {
    pub(super) static LOCAL: Local = const {
        Local {
            tree: Cell::new(ptr::null()),
            current: Cell::new(&raw const NOWHERE),
            children: ManuallyDrop::new(RefCell::new(Children::new())),
            number: Cell::new(0),
            time: Clock::new(),
            cpu: Clock::new(),
            random: Cell::new(Random::new(1)),
            strays: Cell::new(0),
            spans: Cell::new(0),
            suspended: Cell::new(0),
            stretch: Cell::new(0),
            stretches: Cell::new(0),
            scheduled: Cell::new(Scheduled::NEVER),
            makes_room: Cell::new(false),
            closed: Cell::new(false),
        }
    };
    /// Folds the thread's tree into the registry when the thread ends.
    static FOLD: Fold = const { Fold(Cell::new(None)) };
}

/// `LOCAL.with`, sure to be inline: where a call is but counted, a call of this would take longer than all else.
#[inline(always)]
pub(super) fn with_local<R>(f: impl FnOnce(&Local) -> R) -> R {
    let local = LOCAL.with(ptr::from_ref);
    // SAFETY: this thread's, which is there until its end, as nothing in it has a destructor.
    f(unsafe { &*local })
}

impl Local {
    /// The path that runs, and that of `site` called from there, if it is the one entered last.
    #[inline(always)]
    pub(super) fn known(&self, site: &'static Site) -> Option<(&Node, &Node)> {
        // SAFETY: a static, or a node of this thread's tree, which lives until the thread's end, and then it is the static again.
        let caller = unsafe { &*self.current.get() };
        Some((caller, caller.recent_child(site, set())?))
    }

    /// The path that runs; `None` while there is no tree.
    pub(super) fn running(&self) -> Option<&Node> {
        let current = self.current.get();
        // SAFETY: as in `known`.
        (!ptr::eq(current, &NOWHERE)).then(|| unsafe { &*current })
    }

    /// Charges a call that ends now with what no other was charged with meanwhile.
    #[inline(always)]
    pub(super) fn charge(&self, node: &Node, began: Began, now: u64) {
        self.time.charge(node, Column::Busy, began, now, 1);
    }

    /// Keeps the duration of an exactly timed call, if that is asked for.
    pub(super) fn keep_duration(&self, node: &Node, ticks: u64) {
        if !keeps_durations() {
            return;
        }
        // That of calls that found no room is nobody's.
        if node.looks().is_none() {
            histogram::lose();
        } else if !node.add_duration(ticks) {
            self.keep_first_duration(node, ticks);
        }
    }

    #[cold]
    #[inline(never)]
    fn keep_first_duration(&self, node: &Node, ticks: u64) {
        // An annotated allocator comes back here.
        let is_kept = !self.makes_room.replace(true) && {
            let is_kept = heap::unobserved(|| node.make_histogram()) && node.add_duration(ticks);
            self.makes_room.set(false);
            is_kept
        };
        if !is_kept {
            histogram::lose();
        }
    }

    pub(super) fn with_random<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        let mut random = self.random.get();
        let drawn = draw(&mut random);
        self.random.set(random);
        drawn
    }

    #[inline(always)]
    pub(super) fn has_strays(&self) -> bool {
        self.strays.get() != 0
    }

    pub(super) fn note_stray(&self) {
        self.strays.set(self.strays.get().saturating_add(1));
    }

    /// One that has ended on `node` and is still to be left is none any more.
    pub(super) fn take_stray(&self, node: &Node) -> Option<(Began, u32)> {
        let taken = node.take_ended_span()?;
        self.strays.set(self.strays.get().saturating_sub(1));
        Some(taken)
    }

    /// Leaves spans that have ended, with nothing inside of them any more.
    #[cold]
    #[inline(never)]
    pub(super) fn leave_strays(&self) {
        let mut now = 0;
        while let Some(node) = self.running()
            && let Some((began, sampling)) = self.take_stray(node)
        {
            // Looked at only if there is a use for it: others may have to be left for long.
            if now == 0 {
                now = clock::ticks();
            }
            self.charge(node, began, now);
            self.time.sampling.set(sampling);
            self.current.set(node.parent());
        }
    }
}

struct Fold(Cell<Option<Arc<Tree>>>);

impl Drop for Fold {
    fn drop(&mut self) {
        allocations::end_thread();
        LOCAL.with(|local| {
            local.closed.set(true);
            local.current.set(&NOWHERE);
            local.tree.set(ptr::null());
            local.number.set(0);
            local.strays.set(0);
            drop(local.children.take());
        });
        if let Some(tree) = self.0.take() {
            registry::fold(&tree);
        }
    }
}

/// The path that runs, and that of `site` called from there, made if need be; `None` if this thread may have no tree now.
pub(super) fn child<'l>(local: &'l Local, site: &'static Site) -> Option<(&'l Node, &'l Node)> {
    if local.running().is_none() && !open_tree() {
        return None;
    }
    // SAFETY: set from `open_tree` to the thread's end.
    let tree = unsafe { &*local.tree.get() };
    let caller = local.running()?;
    let keep = || labels::recorded(|| true);
    // What is made for it is not the program's.
    let find = || tree.find_child(&local.children, caller, site, set(), keep);
    Some((caller, heap::unobserved(find)))
}

/// Where the set of labels is that the running code's calls have.
#[inline(always)]
fn set() -> usize {
    labels::recorded_set().addr()
}

/// Makes this thread's tree; false if it may not have one now.
fn open_tree() -> bool {
    // What is allocated for it is not the program's.
    heap::unobserved(|| LOCAL.with(open_tree_of))
}

fn open_tree_of(local: &Local) -> bool {
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
    // ORDERING: Relaxed: numbers that only have to differ.
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    local.number.set(number);
    // Threads that do the same at the same time are not to look at the same calls. The factor is 2^64 divided by the golden ratio.
    local.random.set(Random::new(clock::ticks() ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    registry::add(tree);
    cpu::register_thread(Duration::ZERO);
    local.closed.set(false);
    true
}
