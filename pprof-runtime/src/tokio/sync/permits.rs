//! Taking permits of tokio's semaphore, which locks are made of.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::tokio::sync::{AcquireError, Semaphore};
use ::tokio::task::coop::poll_proceed;

use crate::source::contention::{Kind, Monitor, Site};
use crate::tokio::waiting::{Event, wait_until};

/// Takes `count` permits, and is what `then` makes of that; while there are none, the task waits, as `(monitor, kind, site)` say.
///
/// Tokio's future takes the permits if they are there, and only then asks for budget: if that is used up it is pending, with the
/// permits. This does the same, in the same order. It spares making that future where there is nothing to wait for, which is
/// what pays for the account of the lock, and so a task that is made to yield is not taken for one that waits.
///
/// The event is made where it stays and not handed over: it would be copied in words of which only some bytes have just been written, which
/// stalls. `then` makes the guard for the same reason: where this is polled.
#[inline]
pub(super) fn acquire<'a, G>(
    permits: &'a Semaphore,
    count: u32,
    (monitor, kind, site): (&'a Monitor, Kind, Site),
    then: impl Fn(Result<(), AcquireError>) -> G,
) -> impl Future<Output = G> {
    let wait = async move {
        let event = Event::new(monitor, kind, site).budget_last();
        wait_until!(permits.acquire_many(count), event).map(mem::forget)
    };
    Acquire { permits, monitor, count, kind, state: State::New, then, wait }
}

/// By hand, as an `async` block is not inlined.
struct Acquire<'a, T, W> {
    permits: &'a Semaphore,
    monitor: &'a Monitor,
    count: u32,
    kind: Kind,
    state: State,
    then: T,
    /// What goes on if there are no permits; pinned.
    wait: W,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    /// There were permits, and no budget to go on with them.
    Taken,
    Waiting,
    Done,
}

impl<G, T, W> Future for Acquire<'_, T, W>
where
    T: Fn(Result<(), AcquireError>) -> G,
    W: Future<Output = Result<(), AcquireError>>,
{
    type Output = G;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<G> {
        // SAFETY: `wait`, the one field that is pinned, is moved out nowhere.
        let this = unsafe { self.get_unchecked_mut() };
        if this.state == State::New {
            if let Ok(permit) = this.permits.try_acquire_many(this.count) {
                mem::forget(permit);
                this.state = State::Taken;
            }
        } else if this.state == State::Taken && this.permits.is_closed() {
            // Since: that is what there is to tell.
            this.give_back();
            this.state = State::Waiting;
        }
        let taken = if this.state == State::Taken {
            ready!(poll_proceed(cx)).made_progress();
            Ok(())
        } else {
            // SAFETY: it is pinned whenever this is, and not touched when this is dropped.
            let wait = unsafe { Pin::new_unchecked(&mut this.wait) };
            ready!(poll_wait(&mut this.state, wait, cx))
        };
        this.state = State::Done;
        Poll::Ready((this.then)(taken))
    }
}

#[cold]
#[inline(never)]
fn poll_wait<W: Future>(
    state: &mut State,
    wait: Pin<&mut W>,
    cx: &mut Context<'_>,
) -> Poll<W::Output> {
    assert!(*state != State::Done, "`async fn` resumed after completion");
    *state = State::Waiting;
    wait.poll(cx)
}

impl<T, W> Acquire<'_, T, W> {
    /// Returns permits that nobody has gone on with.
    #[cold]
    fn give_back(&self) {
        self.monitor.unlocking_shared(self.kind);
        self.permits.add_permits(self.count as usize);
    }
}

impl<T, W> Drop for Acquire<'_, T, W> {
    #[inline]
    fn drop(&mut self) {
        if self.state == State::Taken {
            self.give_back();
        }
    }
}
