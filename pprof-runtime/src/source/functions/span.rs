//! Regions inside of functions.

use std::mem;
use std::ptr;
use std::sync::atomic::Ordering;

use super::guard::FunctionGuard;
use super::local::LOCAL;
use super::registry;
use crate::aggregate::call_paths::Site;

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
        registry::STRAY_SPANS.fetch_add(1, Ordering::Relaxed);
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
