//! Regions inside of functions.

use std::mem;
use std::ptr;
use std::sync::atomic::Ordering;

use super::guard::{Entry, Frame, Opened};
use super::is_enabled;
use super::local::{LOCAL, Local};
use super::registry;
use crate::aggregate::call_paths::Node;
use crate::aggregate::site::Site;
use crate::capture::registers;

/// A region inside of a function, from where [`span!`](macro@crate::span) stands to where this is dropped.
#[derive(Debug)]
#[must_use = "a span ends where it is dropped: bind it to a name, such as `_span`"]
pub struct Span {
    /// Null if nothing is recorded for it; `frame` is then not set.
    node: *const Node,
    /// No other of the thread has it.
    number: u64,
    frame: Frame,
}

impl Span {
    #[doc(hidden)]
    #[inline(always)]
    pub fn enter(site: &'static Site) -> Span {
        let mut span = Span { node: ptr::null(), number: 0, frame: Frame::new() };
        if is_enabled() {
            span.open(site, registers::pc());
        }
        span
    }

    /// What may end out of order needs a path of its own, on which that can be noted: without one this is a call and no time.
    #[inline(never)]
    fn open(&mut self, site: &'static Site, address: u64) {
        let opened = self.frame.open(site, Entry::Call, address);
        // SAFETY: null, or a node of this thread's tree, which is there while calls begin.
        let Some(node) = (unsafe { opened.as_ref() }) else { return };
        let Opened { caller, sampling, .. } = self.frame.opened();
        if node.parent() == caller {
            // One that was never left, as the call that it was inside of ended first.
            LOCAL.with(|local| {
                local.take_stray(node);
                self.number = local.spans.get() + 1;
                local.spans.set(self.number);
            });
            node.enter_span(self.number);
            self.node = node;
        } else {
            LOCAL.with(|local| {
                local.current.set(caller);
                local.time.sampling.set(sampling);
            });
        }
    }
}

impl Drop for Span {
    /// Unlike the guard of a function, this one can be moved: what began inside of it may go on, and what it is inside of may have ended.
    /// In the first case it is left together with that; the second one does no harm until this path is taken again.
    #[inline]
    fn drop(&mut self) {
        if self.node.is_null() {
            return;
        }
        let node = mem::replace(&mut self.node, ptr::null());
        let running = LOCAL.with(|local| local.running().map(ptr::from_ref));
        // If nothing runs, the thread's tree is gone, and the node with it.
        // SAFETY: a node of this thread's tree.
        let path = if running.is_some() { unsafe { node.as_ref() } } else { None };
        // Not another one that was entered on the same path, as this one's call had ended.
        let path = path.filter(|path| path.is_latest_span(self.number));
        if path.is_some() && running == Some(node) {
            self.frame.close(node);
            return;
        }
        // ORDERING: Relaxed: a counter.
        registry::STRAY_SPANS.fetch_add(1, Ordering::Relaxed);
        let Some(path) = path else { return };
        let Opened { began, sampling, .. } = self.frame.opened();
        path.end_span(began, sampling);
        LOCAL.with(Local::note_stray);
    }
}
