//! Async functions.
//!
//! A future is on a thread while it is polled, or dropped, and nowhere in between. That stretch is its idle time, charged where it is polled
//! next, on whatever thread. Of futures that await each other all wait at once: the time is charged to the innermost. A poll that ends
//! `Pending` tells the one around it so, by a count in the thread that the one around looks at when it ends itself. The count is taken back
//! if the pending one is polled again or dropped meanwhile, as `select!` does.

use std::fmt;
use std::future::Future;
use std::mem::{self, ManuallyDrop, MaybeUninit};
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll, Waker};

use super::allocations::Allocations;
use super::guard::Entry;
use super::is_enabled;
use super::light::LightFrame;
use super::local::{Local, with_local};
use super::waking::{self, Scheduled, WokenAt};
use crate::aggregate::call_paths::Node;
use crate::aggregate::columns::Column;
use crate::aggregate::looks::Weights;
use crate::aggregate::site::Site;
use crate::clock;

/// An async function's body: timed while it is polled, and from one poll to the next.
///
/// A program has as many of these types as it has annotated futures: what does not depend on the future is outside, and what does calls
/// nothing that would be compiled for each.
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
        // SAFETY: a `Pin` is what it points by. `future` is pinned with `self`: it is never moved out, nor is there other access but that of
        // `drop`, which drops it in its place.
        let this = unsafe { mem::transmute::<Pin<&mut Self>, &mut Self>(self) };
        // SAFETY: as above.
        let future =
            unsafe { mem::transmute::<&mut ManuallyDrop<F>, Pin<&mut F>>(&mut this.future) };
        if this.call.is_left_alone() {
            return future.poll(context);
        }
        let mut stretch = Stretch::new(&mut this.call);
        stretch.begin_poll(context);
        let result = future.poll(&mut stretch.context(context));
        stretch.end = if matches!(result, Poll::Pending) { End::Pending } else { End::Ready };
        result
    }
}

impl<F> Drop for Instrumented<F> {
    #[inline]
    fn drop(&mut self) {
        // What is dropped is inside of this call, as what was polled.
        let mut stretch = Stretch::new(&mut self.call);
        stretch.begin_drop();
        // SAFETY: dropped here alone, once; where it is, so that it stays pinned to the end.
        unsafe { ptr::drop_in_place((&raw mut self.future).cast::<F>()) };
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
    /// If wake-ups are noted.
    woken: Option<Box<Woken>>,
    /// Set from the first poll on: futures are moved before that, and what is not set need not be.
    last: MaybeUninit<Last>,
}

#[derive(Debug, Default)]
struct Woken {
    at: WokenAt,
    /// What is to be woken instead of the task, in the poll that runs.
    noting: Option<Waker>,
}

/// Of a call's last poll.
#[derive(Clone, Copy, Debug)]
struct Last {
    place: Place,
    /// The number of the stretch around it.
    around: u64,
    /// When it ended, if the time from then on is its own: if no annotated future inside of it was left pending. Else zero.
    idle_since: u64,
    /// When the first poll began; zero if that was not timed.
    began: u64,
    /// What the call counts.
    weight: u32,
    /// Whether the stretch around it was told that it is pending.
    is_noted: bool,
    /// It was ready, or panicked: what is done to it afterwards is nobody's call.
    is_over: bool,
}

impl Last {
    const NOWHERE: Last = Last {
        place: Place { node: ptr::null(), tree: 0 },
        around: 0,
        idle_since: 0,
        began: 0,
        weight: 0,
        is_noted: false,
        is_over: false,
    };
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
        Call { site, stage: Stage::New, woken: None, last: MaybeUninit::uninit() }
    }

    /// Whether nothing is to be done for a poll.
    #[inline]
    fn is_left_alone(&self) -> bool {
        !is_enabled() && self.stage == Stage::New
    }

    fn last(&self) -> Option<&Last> {
        // SAFETY: set where the stage is another one.
        (self.stage != Stage::New).then(|| unsafe { self.last.assume_init_ref() })
    }
}

/// A stretch of a call on a thread: a poll, or the drop.
struct Stretch<'c> {
    call: &'c mut Call,
    /// Null if nothing is recorded; what follows is then not set.
    node: *const Node,
    frame: LightFrame,
    /// How many futures were left pending in the stretch around this one.
    suspended: u32,
    allocations: Allocations,
    end: End,
}

/// How a stretch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The future panicked, or was dropped.
    Dropped,
    Pending,
    Ready,
}

impl<'c> Stretch<'c> {
    #[inline]
    fn new(call: &'c mut Call) -> Self {
        Stretch {
            call,
            node: ptr::null(),
            frame: LightFrame::new(),
            suspended: 0,
            allocations: Allocations::NONE,
            end: End::Dropped,
        }
    }

    /// What the future is to be polled with.
    #[inline]
    fn context<'w>(&'w self, context: &'w Context<'_>) -> Context<'w> {
        let noting = self.call.woken.as_ref().and_then(|woken| woken.noting.as_ref());
        Context::from_waker(noting.unwrap_or(context.waker()))
    }

    #[inline(never)]
    fn begin_poll(&mut self, context: &Context<'_>) {
        with_local(|local| self.begin_poll_on(local));
        if waking::is_watched() {
            self.note(context.waker());
        }
    }

    #[inline(always)]
    fn begin_poll_on(&mut self, local: &Local) {
        let (entry, known) = match self.call.last() {
            Some(last) => (Entry::Again, Some(last.weight)),
            // Decided for a call, not for a poll.
            None => (Entry::Call, (self.call.site.time() == 1).then_some(1)),
        };
        if is_enabled() && !self.call.last().is_some_and(|last| last.is_over) {
            let weights = known.map(|time| Weights { time, cpu: 0 });
            self.node = self.frame.open_on(local, self.call.site, entry, weights, 0);
        }
        self.begin(local, Column::Polls);
    }

    #[cold]
    #[inline(never)]
    fn note(&mut self, waker: &Waker) {
        let is_outermost =
            !self.node.is_null() && self.call.last().is_some_and(|last| last.around == 0);
        if is_outermost {
            let woken = self.call.woken.get_or_insert_default();
            woken.noting = Some(woken.at.noting(waker));
        }
    }

    #[inline]
    fn begin_drop(&mut self) {
        if self.call.stage == Stage::Suspended && is_enabled() {
            self.begin_cancelled();
        }
    }

    #[cold]
    #[inline(never)]
    fn begin_cancelled(&mut self) {
        with_local(|local| self.begin_cancelled_on(local));
    }

    fn begin_cancelled_on(&mut self, local: &Local) {
        let Some(last) = self.call.last().filter(|last| !last.is_over) else { return };
        let weights = Weights { time: last.weight, cpu: 0 };
        self.node = if local.number.get() == last.place.tree {
            self.frame.open_again(local, last.place.node, self.call.site, weights)
        } else {
            self.frame.open_on(local, self.call.site, Entry::Again, Some(weights), 0)
        };
        let is_panic = std::thread::panicking();
        self.begin(local, if is_panic { Column::Panics } else { Column::Cancelled });
    }

    #[inline(always)]
    fn begin(&mut self, local: &Local, counted: Column) {
        let is_first = self.call.stage == Stage::New;
        // SAFETY: null, or a node of this thread's tree.
        let Some(node) = (unsafe { self.node.as_ref() }) else {
            // What is not recorded from the start is as if it had not been polled; else the poll is one that nothing is known of.
            if !is_first {
                self.call.stage = Stage::Over;
                self.call.last.write(Last {
                    weight: self.call.last().map_or(0, |l| l.weight),
                    is_over: self.call.last().is_some_and(|l| l.is_over),
                    ..Last::NOWHERE
                });
            }
            return;
        };
        node.add(counted, 1);
        let weight = self.call.last().map_or_else(|| self.frame.weights().time, |last| last.weight);
        let number = local.stretches.get() + 1;
        local.stretches.set(number);
        let around = local.stretch.replace(number);
        let tree = local.number.get();
        self.suspended = local.suspended.take();
        if around == 0 {
            let polled = self.frame.opened().began.start;
            // Who is dropped has not been kept waiting for a poll.
            let woken = self.call.woken.as_ref().filter(|_| counted == Column::Polls);
            local.scheduled.set(Scheduled::new(woken.map_or(0, |woken| woken.at.take()), polled));
        }
        if let Some(last) = self.call.last() {
            if last.idle_since != 0 && weight != 0 {
                // Clocks of two cores may differ by a little.
                let now = or_now(self.frame.opened().began.start);
                let idle = now.saturating_sub(last.idle_since);
                node.add(Column::Idle, (idle.wrapping_mul(u64::from(weight))).cast_signed());
                let scheduled = local.scheduled.get().since(last.idle_since);
                if scheduled != 0 {
                    let scheduled = scheduled.wrapping_mul(u64::from(weight));
                    node.add(Column::Scheduled, scheduled.cast_signed());
                }
            }
            if last.is_noted && (last.place.tree, last.around) == (tree, around) {
                self.suspended = self.suspended.saturating_sub(1);
            }
        }
        let place = Place { node, tree };
        let began = match self.call.last() {
            Some(last) => last.began,
            None => self.frame.opened().began.start,
        };
        self.call.stage = Stage::Over;
        let last =
            Last { place, around, idle_since: 0, began, weight, is_noted: false, is_over: false };
        self.call.last.write(last);
        if self.call.site.counts_allocations() {
            self.allocations = Allocations::of(node);
        }
    }

    #[inline(never)]
    fn end(&mut self) {
        self.allocations = Allocations::NONE;
        with_local(|local| self.end_on(local));
        if let Some(woken) = &mut self.call.woken {
            woken.noting = None;
        }
    }

    #[inline(always)]
    fn end_on(&mut self, local: &Local) {
        let end = self.frame.close_on(local, self.node);
        // SAFETY: set where `node` is not null.
        let last = unsafe { self.call.last.assume_init_mut() };
        local.stretch.set(last.around);
        let suspends = self.end == End::Pending;
        last.is_over = !suspends;
        let inside = local.suspended.get();
        // One that is never timed is not there for those around it: the time that it waits is theirs.
        let is_noted = suspends && last.around != 0 && (self.call.site.time() != 0 || inside != 0);
        local.suspended.set(self.suspended.saturating_add(u32::from(is_noted)));
        if suspends {
            self.call.stage = Stage::Suspended;
            let is_idle = inside == 0 && last.weight != 0;
            last.idle_since = if is_idle { or_now(end) } else { 0 };
            last.is_noted = is_noted;
        } else if self.end == End::Ready && last.began != 0 && self.call.site.time() == 1 {
            // SAFETY: not null, a node of this thread's tree.
            let node = unsafe { &*self.node };
            local.keep_duration(node, end.saturating_sub(last.began));
        }
    }
}

/// A time that is zero if it was not looked at: the poll is inside of a call that is not, whatever its own call is.
#[inline(always)]
fn or_now(time: u64) -> u64 {
    if time == 0 { clock::ticks() } else { time }
}

impl Drop for Stretch<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.node.is_null() {
            self.end();
        } else if self.end == End::Pending && self.call.stage == Stage::Over {
            self.call.stage = Stage::Suspended;
        }
    }
}
