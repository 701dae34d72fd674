//! The future adaptor: what tokio's own future is polled by.
//!
//! ```text
//! poll ─ tokio's poll ─┬─ Ready, at once ──────────────────────────────────► nothing recorded, nothing looked at
//!                      └─ Pending, the first time: slot, stamp, stack ─ … ─┬─ Ready: the wait has ended
//!                                                                          └─ dropped: given up
//! ```
//!
//! The stack of the first `Pending` is the chain of futures that await each other, down to the task's root. Tokio's future
//! is polled when, and only when, ours is: the cooperative budget, the order of wakers and what cancelling means are its own.

use std::pin::Pin;
use std::task::{Context, Poll};

use ::tokio::task::coop::has_budget_remaining;

use super::running::actor;
use crate::source::contention::{Kind, Monitor, Origin, Site, Wait, wait_as};

/// What a task waits for: a lock with an account of its waiters, or what is called by its origin, for which nobody is charged.
pub(super) trait Subject<'m>: Copy {
    /// Whether there is evidently nothing to wait for.
    fn is_free(self) -> bool {
        false
    }

    fn wait(self, kind: Kind, site: Site) -> Wait<'m>;
}

impl<'m> Subject<'m> for &'m Monitor {
    fn wait(self, kind: Kind, site: Site) -> Wait<'m> {
        self.wait_as(actor(), kind, site)
    }
}

impl Subject<'static> for Origin {
    fn wait(self, kind: Kind, site: Site) -> Wait<'static> {
        wait_as(actor(), kind, Some(self), site)
    }
}

impl Subject<'static> for &Origin {
    fn wait(self, kind: Kind, site: Site) -> Wait<'static> {
        (*self).wait(kind, site)
    }
}

/// A wait that may come. Small, by references, as it is copied along with the future.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event<S> {
    subject: S,
    site: Site,
    kind: Kind,
    /// Whether tokio asks for budget before it looks whether there is anything to wait for.
    budget_first: bool,
}

impl<S> Event<S> {
    #[inline]
    pub(super) fn new(subject: S, kind: Kind, site: Site) -> Self {
        Event { subject, site, kind, budget_first: true }
    }

    /// Its future looks first, and asks for budget, if at all, when there is nothing to wait for.
    #[inline]
    pub(super) fn budget_last(self) -> Self {
        Event { budget_first: false, ..self }
    }

    /// The beginning of the wait, unless the task was only made to yield: tokio's future was refused when the budget was used
    /// up, and comes back as soon as others have run. A future that asked first and then waits has given its share of the budget back.
    #[cold]
    fn begin<'m>(&self) -> Option<Wait<'m>>
    where
        S: Subject<'m>,
    {
        if !has_budget_remaining() && (self.budget_first || self.subject.is_free()) {
            return None;
        }
        Some(self.subject.wait(self.kind, self.site))
    }
}

/// The wait of something that is polled, once it has been pending. Dropping it gives up the wait.
#[derive(Debug, Default)]
pub(super) struct Pending<'m>(Option<Wait<'m>>);

impl<'m> Pending<'m> {
    /// What a poll has come to, handed on.
    #[inline]
    pub(super) fn observe<T, S>(&mut self, polled: Poll<T>, event: &Event<S>) -> Poll<T>
    where
        S: Subject<'m>,
    {
        if polled.is_pending() {
            if self.0.is_none() {
                self.0 = event.begin();
            }
        } else if self.0.is_some() {
            self.end();
        }
        polled
    }

    /// What was waited for has come.
    #[cold]
    pub(super) fn end(&mut self) {
        if let Some(wait) = self.0.take() {
            wait.acquired();
        }
    }

    /// Nobody waits any longer.
    #[inline]
    pub(super) fn give_up(&mut self) {
        if let Some(wait) = self.0.take() {
            wait.gave_up();
        }
    }
}

/// The output of a future of tokio's, awaited in place: while it is pending, the task waits for the event. To be used in an `async` block.
///
/// A macro, since a future that is moved costs more than the rest: most of it has not been written yet, which stalls the copy.
macro_rules! wait_until {
    ($future:expr, $event:expr) => {
        $crate::tokio::waiting::Observed {
            pending: &mut $crate::tokio::waiting::Pending::default(),
            event: &$event,
            future: ::std::pin::pin!($future),
        }
        .await
    };
}
pub(super) use wait_until;

/// What [`wait_until`] awaits.
#[derive(Debug)]
pub(super) struct Observed<'p, 'm, F, S> {
    pub(super) pending: &'p mut Pending<'m>,
    pub(super) event: &'p Event<S>,
    pub(super) future: Pin<&'p mut F>,
}

impl<'m, F: Future, S: Subject<'m>> Future for Observed<'_, 'm, F, S> {
    type Output = F::Output;

    // Its users have looked before whether there is anything to wait for.
    #[cold]
    #[inline(never)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        this.pending.observe(this.future.as_mut().poll(cx), this.event)
    }
}

/// A future of tokio's: while it is pending, the task waits for `event`.
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub(super) struct Waiting<'m, F, S> {
    // Before the future: who is let in because that is dropped finds this wait ended.
    pending: Pending<'m>,
    event: Event<S>,
    future: F,
}

impl<'m, F: Future, S: Subject<'m>> Waiting<'m, F, S> {
    #[inline]
    pub(super) fn new(future: F, event: Event<S>) -> Self {
        Waiting { pending: Pending(None), event, future }
    }

    /// Tokio's future, to call its methods.
    #[inline]
    pub(super) fn future(self: Pin<&mut Self>) -> Pin<&mut F> {
        // SAFETY: the future is pinned whenever this is: it is moved out nowhere, and there is no `Drop` or `Unpin` of our own.
        unsafe { self.map_unchecked_mut(|this| &mut this.future) }
    }

    /// As it is now.
    pub(super) fn get(&self) -> &F {
        &self.future
    }
}

impl<'m, F: Future, S: Subject<'m>> Future for Waiting<'m, F, S> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let polled = self.as_mut().future().poll(cx);
        // SAFETY: the future, the one field that is pinned, is not touched.
        let this = unsafe { self.get_unchecked_mut() };
        this.pending.observe(polled, &this.event)
    }
}
