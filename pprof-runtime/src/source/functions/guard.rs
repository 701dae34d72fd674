//! What times a call.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::Ordering;

use super::allocations::Allocations;
use super::is_enabled;
use super::local::{self, Local, with_local};
use super::registry;
use crate::aggregate::call_paths::{self, Began, Node};
use crate::aggregate::columns::Column;
use crate::aggregate::site::Site;
use crate::capture::registers;
use crate::clock;

/// Times one call of an annotated function, from `enter` to drop.
///
/// What the function itself carries is a test and a call at each end: the rest is out of line, so that neither the code nor
/// the registers of a program that does not profile pay for it.
#[doc(hidden)]
#[derive(Debug)]
#[must_use]
pub struct FunctionGuard<'f> {
    /// Null if nothing is recorded for this call; `frame` is then not set.
    node: *const Node,
    frame: &'f mut Frame,
    not_send: PhantomData<*const ()>,
}

impl<'f> FunctionGuard<'f> {
    /// Enters `site` as a call. The frame is the caller's, so that the guard is in registers, where it is known not to have changed.
    #[inline(always)]
    pub fn enter(frame: &'f mut Frame, site: &'static Site) -> FunctionGuard<'f> {
        let node = if is_enabled() {
            out_of_the_way();
            frame.open(site, Entry::Call, registers::pc())
        } else {
            ptr::null()
        };
        FunctionGuard { node, frame, not_send: PhantomData }
    }
}

impl FunctionGuard<'_> {
    /// Counts what is allocated until the result is dropped, which is before the guard is.
    #[inline]
    pub fn allocations(&self) -> Allocations {
        Allocations::of(self.node)
    }
}

impl Drop for FunctionGuard<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.node.is_null() {
            out_of_the_way();
            self.frame.close(self.node);
        }
    }
}

/// Tells the compiler that what follows is not for the straight line: there, a program that does not profile takes no jump.
#[cold]
#[inline]
pub(super) fn out_of_the_way() {}

/// How a site is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Call,
    /// A stretch of a call that was counted before.
    Again,
}

/// What a call has to know at its end.
#[doc(hidden)]
#[derive(Debug)]
pub struct Frame(MaybeUninit<Opened>);

#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
    /// What to return to.
    pub(super) caller: *const Node,
    pub(super) began: Began,
    /// The thread was unwinding before: that does not end this call.
    pub(super) was_unwinding: bool,
    /// `Clock::sampling` as it was, of time.
    pub(super) sampling: u32,
}

impl Frame {
    /// Of no call yet.
    #[allow(clippy::new_without_default)]
    #[inline(always)]
    pub const fn new() -> Frame {
        Frame(MaybeUninit::uninit())
    }

    /// The path that `site` is entered on; null, with nothing set, if there is none. `address` is one inside the function; zero if the
    /// function tells by itself.
    #[inline(never)]
    pub(super) fn open(&mut self, site: &'static Site, entry: Entry, address: u64) -> *const Node {
        with_local(|local| match local.known(site) {
            Some((caller, node)) => {
                if entry == Entry::Call {
                    node.add(Column::Calls, 1);
                }
                self.begin(local, caller, node)
            }
            None => self.open_slowly(site, entry, address),
        })
    }

    #[inline(always)]
    fn begin(&mut self, local: &Local, caller: &Node, node: &Node) -> *const Node {
        local.current.set(node);
        let was_unwinding = std::thread::panicking();
        // What is called from here is as if it were called from nowhere: this one's time is known.
        let sampling = local.time.sampling.replace(0);
        let charged = local.time.charged.get();
        // Last: what came before is not the function's time.
        let began = Began { start: clock::ticks(), charged };
        self.0.write(Opened { caller, began, was_unwinding, sampling });
        node
    }

    /// The first call on a thread, or from a path whose last call went elsewhere.
    #[cold]
    #[inline(never)]
    fn open_slowly(&mut self, site: &'static Site, entry: Entry, address: u64) -> *const Node {
        with_local(|local| match Self::find(local, site, entry, address) {
            Some((caller, node)) => self.begin(local, caller, node),
            None => ptr::null(),
        })
    }

    /// The path that runs, and that of `site` called from there, on which a call is counted.
    pub(super) fn find<'l>(
        local: &'l Local,
        site: &'static Site,
        entry: Entry,
        address: u64,
    ) -> Option<(&'l Node, &'l Node)> {
        if address != 0 && site.address() == 0 {
            site.set_address(address);
        }
        let found = local::child(local, site);
        match found {
            Some((_, node)) if entry == Entry::Call => {
                node.add(Column::Calls, 1);
                if node.is_unlabelled() {
                    call_paths::note_unlabelled(1);
                }
            }
            None if entry == Entry::Call => {
                // ORDERING: Relaxed: a counter.
                registry::OUTSIDE.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        found
    }

    /// The path that runs, and `node`, of this thread's tree.
    pub(super) fn here(local: &Local, node: *const Node) -> Option<(&Node, &Node)> {
        let caller = local.running()?;
        // SAFETY: null, or a node of this thread's tree, which lives until the thread's end.
        Some((caller, unsafe { node.as_ref() }?))
    }

    /// What was set where a path was opened that is not null.
    pub(super) fn opened(&self) -> Opened {
        // SAFETY: so the caller has it; `Opened` is plain.
        unsafe { self.0.assume_init() }
    }

    /// Ends the call on `node`, which `open` gave.
    #[inline(never)]
    pub(super) fn close(&mut self, node: *const Node) {
        let now = clock::ticks();
        // SAFETY: a node of this thread's tree, which outlives every call on the thread's stack.
        let Some(node) = (unsafe { node.as_ref() }) else { return };
        let Opened { caller, began, was_unwinding, sampling } = self.opened();
        with_local(|local| {
            local.charge(node, began, now);
            local.current.set(caller);
            local.time.sampling.set(sampling);
            let is_panic = std::thread::panicking() && !was_unwinding;
            // One test, and a call at the very end: no register has to be kept for what is rare.
            if is_panic | local.has_strays() | local::keeps_durations() {
                Self::close_rarely(local, node, began.start, now, is_panic);
            }
        });
    }

    #[cold]
    #[inline(never)]
    fn close_rarely(local: &Local, node: &Node, start: u64, now: u64, is_panic: bool) {
        if is_panic {
            node.add(Column::Panics, 1);
        }
        local.keep_duration(node, now.saturating_sub(start));
        if local.has_strays() {
            local.leave_strays();
        }
    }
}
