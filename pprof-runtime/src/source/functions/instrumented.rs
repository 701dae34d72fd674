//! Async functions.
//!
//! A future is on a thread while it is polled, or dropped, and nowhere in between. That stretch is its idle time, charged where it is polled
//! next, on whatever thread. Of futures that await each other all wait at once: the time is charged to the innermost. A poll that ends
//! `Pending` tells the one around it so, by a count in the thread that the one around looks at when it ends itself. The count is taken back
//! if the pending one is polled again or dropped meanwhile, as `select!` does.

use std::fmt;
use std::future::Future;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll};

use super::guard::{Entry, Frame};
use super::is_enabled;
use super::local::LOCAL;
use crate::aggregate::call_paths::Node;
use crate::aggregate::columns::Column;
use crate::aggregate::site::Site;

/// An async function's body: timed while it is polled, and from one poll to the next.
#[doc(hidden)]
#[must_use = "futures do nothing unless polled"]
pub struct Instrumented<F> {
    call: Call,
    /// Dropped by `drop` alone.
    future: ManuallyDrop<F>,
}

impl<F> Instrumented<F> {
    /// Wraps `future`.
    #[inline]
    pub fn new(site: &'static Site, future: F) -> Self {
        Instrumented { call: Call::new(site), future: ManuallyDrop::new(future) }
    }
}

impl<F> fmt::Debug for Instrumented<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instrumented").field("call", &self.call).finish_non_exhaustive()
    }
}

impl<F: Future> Future for Instrumented<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned with `self`: it is never moved out, nor is there other access but that of `drop`, which drops it in its
        // place.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        let future = unsafe { Pin::new_unchecked(&mut *this.future) };
        if !is_enabled() && this.call.stage == Stage::New {
            return future.poll(context);
        }
        let mut stretch = Stretch::of_poll(&mut this.call);
        let result = future.poll(context);
        if result.is_pending() {
            stretch.suspends = true;
        }
        result
    }
}

impl<F> Drop for Instrumented<F> {
    #[inline]
    fn drop(&mut self) {
        // What is dropped is inside of this call, as what was polled.
        let _stretch = if self.call.stage == Stage::Suspended && is_enabled() {
            Some(Stretch::of_drop(&mut self.call))
        } else {
            None
        };
        // SAFETY: dropped here alone, once; where it is, so that it stays pinned to the end.
        unsafe { ManuallyDrop::drop(&mut self.future) };
    }
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not counted yet: not polled while the profile was on.
    New,
    /// Between two polls.
    Suspended,
    /// In a poll or at its end, be it by a panic.
    Over,
}

/// What is known of a call between its polls.
#[derive(Debug)]
struct Call {
    site: &'static Site,
    stage: Stage,
    /// Set from the first poll on: futures are moved before that, and what is not set need not be.
    last: MaybeUninit<Last>,
}

/// Of a call's last poll.
#[derive(Clone, Copy, Debug)]
struct Last {
    place: Place,
    /// When it ended; zero if that is not known.
    end: u64,
    /// No annotated future inside of it was left pending: the time from then on is its own.
    is_innermost: bool,
}

/// A node in the tree of this number. Only to be followed on the thread whose tree that is: others may be gone.
#[derive(Clone, Copy, Debug)]
struct Place {
    node: *const Node,
    tree: u64,
}

// SAFETY: `node` is followed by one thread alone, wherever this is: the one whose tree has that number.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

impl Call {
    #[inline]
    fn new(site: &'static Site) -> Call {
        Call { site, stage: Stage::New, last: MaybeUninit::uninit() }
    }

    fn last(&self) -> Option<Last> {
        // SAFETY: set where the stage is another one; plain.
        (self.stage != Stage::New).then(|| unsafe { self.last.assume_init() })
    }
}

/// A stretch of a call on a thread: a poll, or the drop.
struct Stretch<'c> {
    call: &'c mut Call,
    /// Null if nothing is recorded; `frame` is then not set.
    node: *const Node,
    frame: Frame,
    /// What the thread had noted of the stretch around this one.
    around: (u32, u64),
    /// It ends with the future pending.
    suspends: bool,
}

impl<'c> Stretch<'c> {
    #[inline(never)]
    fn of_poll(call: &'c mut Call) -> Self {
        let mut frame = Frame::new();
        let node = if is_enabled() {
            let entry = if call.stage == Stage::New { Entry::Call } else { Entry::Again };
            frame.open(call.site, entry, 0)
        } else {
            ptr::null()
        };
        Stretch::begin(call, node, frame, Column::Polls)
    }

    #[cold]
    #[inline(never)]
    fn of_drop(call: &'c mut Call) -> Self {
        let mut frame = Frame::new();
        let tree = LOCAL.with(|local| local.number.get());
        let node = match call.last() {
            Some(last) if last.place.tree == tree => frame.open_again(last.place.node),
            _ => frame.open(call.site, Entry::Again, 0),
        };
        let is_panic = !node.is_null() && frame.opened().was_unwinding;
        let counted = if is_panic { Column::Panics } else { Column::Cancelled };
        Stretch::begin(call, node, frame, counted)
    }

    #[inline(always)]
    fn begin(call: &'c mut Call, path: *const Node, frame: Frame, counted: Column) -> Self {
        let mut around = (0, 0);
        let last = call.last();
        let mut place = Place { node: path, tree: 0 };
        // SAFETY: null, or a node of this thread's tree.
        if let Some(node) = unsafe { path.as_ref() } {
            node.add(counted, 1);
            let now = frame.opened().began.start;
            LOCAL.with(|local| {
                place.tree = local.number.get();
                around = (local.suspended.take(), local.stretch_began.replace(now));
            });
            if let Some(last) = last.filter(|last| last.end != 0) {
                if last.is_innermost {
                    // Clocks of two cores may differ by a little.
                    node.add(Column::Idle, now.saturating_sub(last.end).cast_signed());
                }
                if last.end >= around.1 && last.place.tree == place.tree {
                    around.0 = around.0.saturating_sub(1);
                }
            }
        }
        // What is not recorded from the start is as if it had not been polled.
        if last.is_some() || !path.is_null() {
            call.stage = Stage::Over;
            call.last.write(Last { place, end: 0, is_innermost: false });
        }
        Stretch { call, node: path, frame, around, suspends: false }
    }

    #[inline(never)]
    fn end(&mut self) {
        let end = self.frame.close(self.node);
        let place = Place { node: self.node, tree: LOCAL.with(|local| local.number.get()) };
        LOCAL.with(|local| {
            let (suspended, began) = self.around;
            local.stretch_began.set(began);
            let inside = local.suspended.replace(suspended + u32::from(self.suspends));
            if self.suspends {
                self.call.stage = Stage::Suspended;
                self.call.last.write(Last { place, end, is_innermost: inside == 0 });
            }
        });
    }
}

impl Drop for Stretch<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.node.is_null() {
            self.end();
        } else if self.suspends && self.call.stage == Stage::Over {
            self.call.stage = Stage::Suspended;
        }
    }
}
