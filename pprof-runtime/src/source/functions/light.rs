//! What counts calls of which not all are timed: inline where a call is not, as most are then not longer than a call of ours would be.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;
use std::thread::panicking;

use super::guard::{Entry, Frame, Opened, out_of_the_way};
use super::is_enabled;
use super::local::{LOCAL, Local};
use crate::aggregate::call_paths::{Began, Node};
use crate::aggregate::columns::Column;
use crate::aggregate::looks::Weights;
use crate::aggregate::site::Site;
use crate::capture::registers;
use crate::clock;

/// Counts one call of an annotated function, and times it if it is one of those `SAMPLED`.
#[doc(hidden)]
#[derive(Debug)]
#[must_use]
pub struct LightGuard<'f, const SAMPLED: bool> {
    /// Null if nothing is recorded for this call.
    node: *const Node,
    /// What to return to; null if `frame` knows, as it does of calls that are out of the ordinary.
    caller: *const Node,
    frame: &'f mut LightFrame,
    not_send: PhantomData<*const ()>,
}

impl<'f, const SAMPLED: bool> LightGuard<'f, SAMPLED> {
    /// Enters `site` as a call.
    #[inline(always)]
    pub fn enter(frame: &'f mut LightFrame, site: &'static Site) -> Self {
        let (mut node, mut caller) = (ptr::null(), ptr::null());
        if is_enabled() {
            match LOCAL.with(|local| Self::count(local, site)) {
                Some(known) => (caller, node) = known,
                None => {
                    out_of_the_way();
                    node = frame.open(site, registers::pc());
                }
            }
        }
        LightGuard { node, caller, frame, not_send: PhantomData }
    }

    /// Counts a call on a known path, of a thread that is not unwinding, if it is not to be timed.
    #[inline(always)]
    fn count(local: &Local, site: &'static Site) -> Option<(*const Node, *const Node)> {
        let (caller, node) = local.known(site)?;
        if panicking() || SAMPLED && !node.looks().is_some_and(|looks| looks.skip()) {
            return None;
        }
        node.add(Column::Calls, 1);
        local.current.set(node);
        Some((caller, node))
    }
}

impl<const SAMPLED: bool> Drop for LightGuard<'_, SAMPLED> {
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
        let weights = known.unwrap_or_else(|| match node.looks() {
            Some(looks) if !looks.skip() => local.with_random(|r| looks.take(site, r)),
            _ => Weights::default(),
        });
        self.begin(local, caller, node, weights)
    }

    /// As `open`, of a path of this thread's tree that is known.
    pub(super) fn open_again(
        &mut self,
        local: &Local,
        node: *const Node,
        weights: Weights,
    ) -> *const Node {
        match Frame::here(local, node) {
            Some((caller, node)) => self.begin(local, caller, node, weights),
            None => ptr::null(),
        }
    }

    #[inline(always)]
    fn begin(
        &mut self,
        local: &Local,
        caller: &Node,
        node: &Node,
        weights: Weights,
    ) -> *const Node {
        local.current.set(node);
        let mut cpu = CpuBegan::default();
        if weights.cpu != 0 {
            cpu = CpuBegan { charged: local.charged_cpu_ns.get(), start: clock::thread_cpu_ns() };
        }
        // Last: what came before is not the function's time.
        let charged = local.charged_ticks.get();
        let start = if weights.time != 0 { clock::ticks() } else { 0 };
        let opened = Opened { caller, began: Began { start, charged }, was_unwinding: panicking() };
        self.0.write(Looked { opened, weights, cpu });
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
        let Looked { opened, weights, cpu } = self.looked();
        let now = if weights.time != 0 { clock::ticks() } else { 0 };
        // SAFETY: a node of this thread's tree, which outlives every call on the thread's stack.
        let Some(node) = (unsafe { node.as_ref() }) else { return now };
        if weights.time != 0 {
            local.charge(node, opened.began, now, weights.time);
        }
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

/// As [`Local::charge`], of CPU time.
#[inline(never)]
fn charge_cpu(local: &Local, node: &Node, began: CpuBegan, weight: u32) {
    let charged = local.charged_cpu_ns.get();
    let own = clock::thread_cpu_ns() - began.start - (charged - began.charged);
    let own = own.wrapping_mul(i64::from(weight));
    node.add(Column::Cpu, own);
    local.charged_cpu_ns.set(charged.wrapping_add(own));
}
