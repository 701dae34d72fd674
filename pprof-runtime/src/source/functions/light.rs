//! What counts calls of which not all are timed: inline where a call is not, as most are then not longer than a call of ours would be.
//!
//! A sampled call inside of another one is looked at if, and only if, that is, and counts as often. Were it decided for each, what one counts
//! for would count again in those around it, and a chain of them, as in recursion, would be right in the mean and far off each time.
//! A call that is timed exactly stands between: what it takes as a whole is known, whatever those inside of it count for.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;
use std::thread::panicking;

use super::guard::{Entry, Frame, Opened, out_of_the_way};
use super::is_enabled;
use super::local::{BLIND, LOCAL, Local};
use crate::aggregate::call_paths::{Began, Node};
use crate::aggregate::columns::Column;
use crate::aggregate::looks::Weights;
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
    /// Null if nothing is recorded for this call.
    node: *const Node,
    /// What to return to; null if `frame` knows, as it does of calls that are out of the ordinary.
    caller: *const Node,
    /// Those inside are not looked at because of this one.
    blinds: bool,
    frame: &'f mut LightFrame,
    not_send: PhantomData<*const ()>,
}

impl<'f, const KIND: u8> LightGuard<'f, KIND> {
    /// Enters `site` as a call.
    #[inline(always)]
    pub fn enter(frame: &'f mut LightFrame, site: &'static Site) -> Self {
        let (mut node, mut caller, mut blinds) = (ptr::null(), ptr::null(), false);
        if is_enabled() {
            match LOCAL.with(|local| Self::count(local, site)) {
                Some(known) => (caller, node, blinds) = known,
                None => {
                    out_of_the_way();
                    node = frame.open(site, registers::pc());
                }
            }
        }
        LightGuard { node, caller, blinds, frame, not_send: PhantomData }
    }

    /// Counts a call on a known path, of a thread that is not unwinding, if it is not to be timed.
    #[inline(always)]
    fn count(local: &Local, site: &'static Site) -> Option<(*const Node, *const Node, bool)> {
        let (caller, node) = local.known(site)?;
        let is_inside = KIND == SAMPLED && local.sampling.get() != 0;
        let is_over = match KIND {
            COUNTED => true,
            _ if is_inside => local.sampling.get() == BLIND,
            _ => node.looks().is_some_and(|looks| looks.skip()),
        };
        if !is_over || panicking() {
            return None;
        }
        let blinds = KIND == SAMPLED && !is_inside;
        if blinds {
            local.sampling.set(BLIND);
        }
        node.add(Column::Calls, 1);
        local.current.set(node);
        Some((caller, node, blinds))
    }
}

impl<const KIND: u8> Drop for LightGuard<'_, KIND> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.node.is_null() {
            return;
        }
        if self.caller.is_null() {
            out_of_the_way();
            self.frame.close(self.node);
            return;
        }
        LOCAL.with(|local| {
            local.current.set(self.caller);
            if KIND == SAMPLED && self.blinds {
                local.sampling.set(0);
            }
            if panicking() || local.has_strays.get() {
                out_of_the_way();
                leave(local, self.node);
            }
        });
    }
}

/// The end of a call that was none to look at.
#[cold]
#[inline(never)]
fn leave(local: &Local, node: *const Node) {
    // SAFETY: a node of this thread's tree, which outlives every call on the thread's stack.
    if let Some(node) = unsafe { node.as_ref() }
        && panicking()
    {
        node.add(Column::Panics, 1);
    }
    if local.has_strays.get() {
        local.leave_strays(clock::ticks());
    }
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
    /// What `Local::begin_looking` gave, if this is an outermost one.
    around: Option<u64>,
    cpu: CpuBegan,
}

/// As [`Began`], of CPU time in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct CpuBegan {
    start: i64,
    charged: i64,
}

impl LightFrame {
    /// Of no call yet.
    #[allow(clippy::new_without_default)]
    #[inline(always)]
    pub const fn new() -> LightFrame {
        LightFrame(MaybeUninit::uninit())
    }

    /// See [`Frame::open`](super::guard::Frame::open).
    #[inline(never)]
    fn open(&mut self, site: &'static Site, address: u64) -> *const Node {
        LOCAL.with(|local| self.open_on(local, site, Entry::Call, None, address))
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
        let weights = known.unwrap_or_else(|| decide(local, node, site));
        self.begin(local, caller, node, site, weights)
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
            Some((caller, node)) => self.begin(local, caller, node, site, weights),
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
        mut weights: Weights,
    ) -> *const Node {
        local.current.set(node);
        let sampling = local.sampling.get();
        let mut around = None;
        match (site.time(), weights.time) {
            // Its time is its caller's, and so is what it calls.
            (0, _) => {}
            (1, _) => local.sampling.set(0),
            (_, 0) => local.sampling.set(BLIND),
            // Of a future it may have been decided elsewhere.
            (_, time) if matches!(sampling, 0 | BLIND) => {
                local.sampling.set(time);
                around = Some(local.begin_looking());
            }
            _ => weights.time = sampling,
        }
        let mut cpu = CpuBegan::default();
        if weights.cpu != 0 {
            cpu = CpuBegan { charged: local.charged_cpu_ns.get(), start: clock::thread_cpu_ns() };
        }
        // Last: what came before is not the function's time.
        let charged = local.charged_ticks.get();
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

    #[inline(never)]
    fn close(&mut self, node: *const Node) {
        LOCAL.with(|local| self.close_on(local, node));
    }

    /// Ends the call on `node`, which `open` gave. Returns when, if it was timed; else zero.
    #[inline(always)]
    pub(super) fn close_on(&mut self, local: &Local, node: *const Node) -> u64 {
        let Looked { opened, weights, around, cpu } = self.looked();
        let now = if weights.time != 0 { clock::ticks() } else { 0 };
        // SAFETY: a node of this thread's tree, which outlives every call on the thread's stack.
        let Some(node) = (unsafe { node.as_ref() }) else { return now };
        match weights.time {
            0 => {}
            1 => local.charge(node, opened.began, now),
            weight => local.charge_looked(node, opened.began, now, weight, *around),
        }
        local.sampling.set(opened.sampling);
        if weights.cpu != 0 {
            charge_cpu(local, node, *cpu, weights.cpu);
        }
        if panicking() && !opened.was_unwinding {
            node.add(Column::Panics, 1);
        }
        local.current.set(opened.caller);
        if local.has_strays.get() {
            local.leave_strays(if now != 0 { now } else { clock::ticks() });
        }
        now
    }
}

/// What a call counts of which that is not decided yet.
fn decide(local: &Local, node: &Node, site: &Site) -> Weights {
    let inside = match local.sampling.get() {
        0 => None,
        BLIND => Some(0),
        weight => Some(weight),
    };
    let inside = inside.filter(|_| site.time() > 1);
    if let Some(time) = inside.filter(|_| site.cpu() == 0) {
        return Weights { time, cpu: 0 };
    }
    let mut weights = match node.looks() {
        Some(looks) if !looks.skip() => local.with_random(|r| looks.take(site, r)),
        _ => Weights::default(),
    };
    weights.time = inside.unwrap_or(weights.time);
    weights
}

/// As [`Local::charge`], of CPU time.
#[inline(never)]
fn charge_cpu(local: &Local, node: &Node, began: CpuBegan, weight: u32) {
    let charged = local.charged_cpu_ns.get();
    let own = clock::thread_cpu_ns() - began.start - (charged - began.charged);
    let own = own.wrapping_mul(i64::from(weight));
    node.add(Column::Cpu, own);
    local.charged_cpu_ns.set(charged.wrapping_add(own));
}
