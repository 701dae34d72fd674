//! What counts calls of which not all are timed: inline where a call is not, as most are then not longer than a call of ours would be.
//!
//! A sampled call inside of another one is looked at if, and only if, that is, and counts as often. Were it decided for each, what one counts
//! for would count again in those around it, and a chain of them, as in recursion, would be right in the mean and far off each time.
//! A call that is timed exactly stands between: what it takes as a whole is known, whatever those inside of it count for. Time and CPU time are
//! decided apart. Whether a call decides or is decided for is a matter of its path: nothing is kept while one runs that is not looked at.

use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::panicking;

use super::allocations::Allocations;
use super::guard::{Entry, Frame, Opened, out_of_the_way};
use super::is_enabled;
use super::local::{Clock, Local, with_local};
use crate::aggregate::call_paths::{Began, Node};
use crate::aggregate::columns::Column;
use crate::aggregate::looks::{Decided, Weights};
use crate::aggregate::site::Site;
use crate::capture::registers;
use crate::clock;

/// Kinds of [`LightGuard`]s: calls that are only counted, of which some are timed, and of which the CPU time is looked at as well.
#[doc(hidden)]
pub const COUNTED: u8 = 0;
#[doc(hidden)]
pub const SAMPLED: u8 = 1;
#[doc(hidden)]
pub const LOOKED_AT: u8 = 2;

/// Counts one call of an annotated function, and times it if it is one of those that are.
#[doc(hidden)]
#[derive(Debug)]
#[must_use]
pub struct LightGuard<'f, const KIND: u8> {
    counted: Counted,
    frame: &'f mut LightFrame,
    not_send: PhantomData<*const ()>,
}

impl<'f, const KIND: u8> LightGuard<'f, KIND> {
    /// Enters `site` as a call.
    #[inline(always)]
    pub fn enter(frame: &'f mut LightFrame, site: &'static Site) -> Self {
        let mut counted = Counted { node: ptr::null(), caller: ptr::null() };
        if is_enabled() {
            match with_local(|local| Self::count(local, site)) {
                Some(known) => counted = known,
                None => {
                    out_of_the_way();
                    counted.node = frame.open(site, registers::pc());
                }
            }
        }
        LightGuard { counted, frame, not_send: PhantomData }
    }

    /// Counts a call on a known path, of a thread that is not unwinding, if no clock is to look at it.
    #[inline(always)]
    fn count(local: &Local, site: &'static Site) -> Option<Counted> {
        // First: nothing has to be kept for the call that is in there.
        if panicking() {
            return None;
        }
        let (caller, node) = local.known(site)?;
        let is_passed = match KIND {
            COUNTED => true,
            SAMPLED => !node.is_due() || is_inside_of_passed(local, node),
            _ => is_passed_by_both(local, node, site),
        };
        if !is_passed {
            return None;
        }
        node.add(Column::Calls, 1);
        local.current.set(node);
        Some(Counted { node, caller })
    }
}

/// A call that no clock looks at, as its end needs it.
#[derive(Clone, Copy, Debug)]
struct Counted {
    /// Null if nothing is recorded for this call.
    node: *const Node,
    /// What to return to; null if the frame knows, as it does of calls that are out of the ordinary.
    caller: *const Node,
}

impl<const KIND: u8> LightGuard<'_, KIND> {
    /// See [`FunctionGuard::allocations`](super::FunctionGuard::allocations).
    #[inline]
    pub fn allocations(&self) -> Allocations {
        Allocations::of(self.counted.node)
    }
}

/// Whether it was decided for a call that its time is not looked at.
#[inline(always)]
fn is_inside_of_passed(local: &Local, node: &Node) -> bool {
    out_of_the_way();
    node.decided().time && local.time.sampling.get() == 0
}

/// Whether neither clock looks at a call.
#[inline(never)]
fn is_passed_by_both(local: &Local, node: &Node, site: &Site) -> bool {
    let decided = node.decided();
    let time = Verdict::of(&local.time, site.time(), decided.time);
    let cpu = Verdict::of(&local.cpu, site.cpu(), decided.cpu);
    match (time, cpu) {
        (Verdict::Looks, _) | (_, Verdict::Looks) => false,
        (Verdict::Passes, Verdict::Passes) => true,
        _ => !node.is_due(),
    }
}

/// Whether a clock looks at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Looks,
    Passes,
    /// It is the call's own turn to say.
    Open,
}

impl Verdict {
    /// Of a function of which 1 in `every` calls is looked at, 0 for none.
    #[inline(always)]
    fn of(clock: &Clock, every: u32, is_decided: bool) -> Verdict {
        match every {
            0 => Verdict::Passes,
            1 => Verdict::Looks,
            _ if !is_decided => Verdict::Open,
            _ if clock.sampling.get() == 0 => Verdict::Passes,
            _ => Verdict::Looks,
        }
    }
}

impl<const KIND: u8> LightGuard<'_, KIND> {
    /// Ends a call whose body has come to its end, which spares it the question whether it is left by a panic.
    #[inline(always)]
    pub fn finish(self) {
        ManuallyDrop::new(self).leave(false);
    }

    #[inline(always)]
    fn leave(&mut self, may_unwind: bool) {
        let Counted { node, caller } = self.counted;
        if caller.is_null() {
            if !node.is_null() {
                out_of_the_way();
                self.frame.close(node);
            }
            return;
        }
        with_local(|local| {
            local.current.set(caller);
            // Last, and one call: few registers have to be kept for what is rare.
            if local.has_strays() || may_unwind && panicking() {
                end_rarely(node);
            }
        });
    }
}

impl<const KIND: u8> Drop for LightGuard<'_, KIND> {
    /// Of a call that is left early, or by a panic.
    #[inline(always)]
    fn drop(&mut self) {
        self.leave(true);
    }
}

/// The end of a call by a panic, as none begins here while the thread unwinds, or with spans still to be left.
#[cold]
#[inline(never)]
fn end_rarely(node: *const Node) {
    // SAFETY: a node of this thread's tree, which outlives every call on the thread's stack.
    if let Some(node) = unsafe { node.as_ref() }
        && panicking()
    {
        node.add(Column::Panics, 1);
    }
    with_local(|local| {
        if local.has_strays() {
            local.leave_strays();
        }
    });
}

/// What a call has to know at its end if it is not an ordinary one.
#[doc(hidden)]
#[derive(Debug)]
pub struct LightFrame(MaybeUninit<Looked>);

/// Of a call that may have been looked at; what belongs to a clock is set if that did.
#[derive(Clone, Copy, Debug)]
struct Looked {
    opened: Opened,
    weights: Weights,
    /// What `Clock::begin` gave.
    around: Option<u64>,
    /// If some calls of the function are looked at by that clock.
    cpu: Option<LookedCpu>,
}

/// The same of CPU time.
#[derive(Clone, Copy, Debug)]
struct LookedCpu {
    began: Began,
    around: Option<u64>,
    sampling: u32,
}

impl LightFrame {
    /// Of no call yet.
    #[allow(clippy::new_without_default)]
    #[inline(always)]
    pub const fn new() -> LightFrame {
        LightFrame(MaybeUninit::uninit())
    }

    /// See [`Frame::open`](super::guard::Frame::open).
    #[cold]
    #[inline(never)]
    fn open(&mut self, site: &'static Site, address: u64) -> *const Node {
        with_local(|local| self.open_on(local, site, Entry::Call, None, address))
    }

    /// As [`Frame::open`](super::guard::Frame::open). `known` is what the call counts if that is decided already.
    #[inline(always)]
    pub(super) fn open_on(
        &mut self,
        local: &Local,
        site: &'static Site,
        entry: Entry,
        known: Option<Weights>,
        address: u64,
    ) -> *const Node {
        let found = match local.known(site) {
            Some((caller, node)) => {
                if entry == Entry::Call {
                    node.add(Column::Calls, 1);
                }
                Some((caller, node))
            }
            None => Frame::find(local, site, entry, address),
        };
        let Some((caller, node)) = found else { return ptr::null() };
        let decided = caller.decided_inside();
        let weights = known.unwrap_or_else(|| decide(local, decided, node, site));
        self.begin(local, caller, node, site, decided, weights)
    }

    /// As `open`, of a path of this thread's tree that is known.
    pub(super) fn open_again(
        &mut self,
        local: &Local,
        node: *const Node,
        site: &Site,
        weights: Weights,
    ) -> *const Node {
        match Frame::here(local, node) {
            Some((caller, node)) => {
                self.begin(local, caller, node, site, caller.decided_inside(), weights)
            }
            None => ptr::null(),
        }
    }

    #[inline(always)]
    fn begin(
        &mut self,
        local: &Local,
        caller: &Node,
        node: &Node,
        site: &Site,
        decided: Decided,
        mut weights: Weights,
    ) -> *const Node {
        local.current.set(node);
        let sampling = local.time.sampling.get();
        let around = local.time.begin(site.time(), decided.time, &mut weights.time);
        let cpu = (site.cpu() != 0).then(|| begin_cpu(local, site, decided.cpu, &mut weights.cpu));
        // Last: what came before is not the function's time.
        let charged = local.time.charged.get();
        let start = if weights.time != 0 { clock::ticks() } else { 0 };
        let began = Began { start, charged };
        let opened = Opened { caller, began, was_unwinding: panicking(), sampling };
        self.0.write(Looked { opened, weights, around, cpu });
        node
    }

    /// What was set where a path was opened that is not null.
    ///
    /// By reference: a copy would be made of wide loads, which wait for the narrow stores that they overlap.
    #[inline(always)]
    fn looked(&self) -> &Looked {
        // SAFETY: so the caller has it.
        unsafe { self.0.assume_init_ref() }
    }

    /// See `Frame::opened`.
    #[inline(always)]
    pub(super) fn opened(&self) -> &Opened {
        &self.looked().opened
    }

    /// What the call counts.
    pub(super) fn weights(&self) -> Weights {
        self.looked().weights
    }

    #[cold]
    #[inline(never)]
    fn close(&mut self, node: *const Node) {
        with_local(|local| self.close_on(local, node));
    }

    /// Ends the call on `node`, which `open` gave. Returns when, if it was timed; else zero.
    #[inline(always)]
    pub(super) fn close_on(&mut self, local: &Local, node: *const Node) -> u64 {
        let Looked { opened, weights, around, cpu } = self.looked();
        let now = if weights.time != 0 { clock::ticks() } else { 0 };
        // SAFETY: a node of this thread's tree, which outlives every call on the thread's stack.
        let Some(node) = (unsafe { node.as_ref() }) else { return now };
        if weights.time == 1 {
            local.time.end(node, Column::Busy, opened.began, now, 1, *around);
        } else if weights.time != 0 {
            end_time(local, node, opened.began, now, weights.time, *around);
        }
        local.time.sampling.set(opened.sampling);
        if let Some(cpu) = cpu {
            end_cpu(local, node, *cpu, weights.cpu);
        }
        if panicking() && !opened.was_unwinding {
            node.add(Column::Panics, 1);
        }
        local.current.set(opened.caller);
        if local.has_strays() {
            local.leave_strays();
        }
        now
    }
}

/// What a call counts, which `node` has as its last one, as far as it is its own turn to say.
fn decide(local: &Local, decided: Decided, node: &Node, site: &Site) -> Weights {
    let Some(looks) = node.looks() else { return Weights::default() };
    let is_own = |every, is_decided: bool| every == 1 || every > 1 && !is_decided;
    if !is_own(site.time(), decided.time) && !is_own(site.cpu(), decided.cpu) {
        looks.leave_out();
        return Weights::default();
    }
    let before = node.calls().wrapping_sub(1);
    if looks.is_due(before) {
        local.with_random(|random| looks.take(site, random, before))
    } else {
        Weights::default()
    }
}

#[inline(never)]
fn begin_cpu(local: &Local, site: &Site, is_decided: bool, weight: &mut u32) -> LookedCpu {
    let sampling = local.cpu.sampling.get();
    let around = local.cpu.begin(site.cpu(), is_decided, weight);
    let charged = local.cpu.charged.get();
    let start = if *weight != 0 { clock::thread_cpu_ns().cast_unsigned() } else { 0 };
    LookedCpu { began: Began { start, charged }, around, sampling }
}

/// A look takes longer than many a function, and would count as often as that: it is not the call's. Nor are both that it takes the time of those
/// around it, which calls that are not looked at do not take.
#[inline(never)]
fn end_time(local: &Local, node: &Node, began: Began, now: u64, weight: u32, around: Option<u64>) {
    let look = look();
    local.time.end(node, Column::Busy, began, now.wrapping_sub(look), weight, around);
    local.time.pass_over(look.wrapping_mul(2));
}

/// What a look at the clock takes, in ticks.
fn look() -> u64 {
    const UNKNOWN: u64 = u64::MAX;
    static LOOK: AtomicU64 = AtomicU64::new(UNKNOWN);
    // ORDERING: Relaxed, both: a number that refers to nothing.
    match LOOK.load(Ordering::Relaxed) {
        UNKNOWN => {
            let mut pairs = [(); 33].map(|()| {
                let before = clock::ticks();
                clock::ticks().wrapping_sub(before)
            });
            // Neither one in which the thread was put aside, nor one that the processor began before it was due.
            pairs.sort_unstable();
            let median = pairs[pairs.len() / 2];
            LOOK.store(median, Ordering::Relaxed);
            median
        }
        look => look,
    }
}

#[inline(never)]
fn end_cpu(local: &Local, node: &Node, cpu: LookedCpu, weight: u32) {
    if weight != 0 {
        // A look takes longer than many a function, and not always the same. A second one tells what the first took: that is not the call's,
        // nor are all three the time of those around it.
        let now = clock::thread_cpu_ns().cast_unsigned();
        let look = clock::thread_cpu_ns().cast_unsigned().wrapping_sub(now);
        local.cpu.end(node, Column::Cpu, cpu.began, now.wrapping_sub(look), weight, cpu.around);
        local.cpu.pass_over(look.wrapping_mul(3));
    }
    local.cpu.sampling.set(cpu.sampling);
}
