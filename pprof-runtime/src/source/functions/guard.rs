//! What times a call.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::Ordering;

use super::is_enabled;
use super::local::{self, LOCAL, Local};
use super::registry;
use crate::aggregate::call_paths::{Began, Node, Site};
use crate::capture::registers;
use crate::clock;

/// Times one call of an annotated function, from `enter` to drop.
///
/// What the function itself carries is a test and a call at each end: the rest is out of line, so that neither the code nor
/// the registers of a program that does not profile pay for it.
#[doc(hidden)]
#[derive(Debug)]
#[must_use]
pub struct FunctionGuard {
    /// Null if nothing is recorded for this call; the other fields are then not set.
    pub(super) node: *const Node,
    /// What to return to.
    pub(super) caller: MaybeUninit<*const Node>,
    pub(super) began: MaybeUninit<Began>,
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
    pub(super) fn open(&mut self, site: &'static Site, is_call: bool, address: u64) {
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
            if local.current.get().is_null() && !local::open_tree() {
                if is_call {
                    // ORDERING: Relaxed: a counter.
                    registry::OUTSIDE.fetch_add(1, Ordering::Relaxed);
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

impl Drop for FunctionGuard {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.node.is_null() {
            self.close();
        }
    }
}
