//! Taking permits of tokio's semaphore, which locks are made of.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::tokio::sync::{AcquireError, Semaphore};
use ::tokio::task::coop::poll_proceed;

use crate::source::contention::{Kind, Monitor, Site};
use crate::tokio::waiting::{Event, wait_until};

/// Takes `count` permits, for whose return the caller cares; while there are none, the task waits, as `(monitor, kind, site)` say.
///
/// Tokio's future takes the permits if they are there, and only then asks for budget: if that is used up it is pending, with the
/// permits. The attempt here does the same, in the same order. It spares making that future where there is nothing to wait for, which is
/// what pays for the account of the lock, and so a task that is made to yield is not taken for one that waits.
///
/// The event is made here and not handed over: it would be copied in words of which only some bytes have just been written, which stalls.
#[inline]
pub(super) async fn acquire(
    permits: &Semaphore,
    count: u32,
    (monitor, kind, site): (&Monitor, Kind, Site),
) -> Result<(), AcquireError> {
    let event = Event::new(monitor, kind, site).budget_last();
    if (Attempt { permits, count, event: &event, taken: false }).await {
        return Ok(());
    }
    wait_until!(permits.acquire_many(count), event).map(mem::forget)
}

/// Whether the permits could be taken at once.
struct Attempt<'s, 'm> {
    permits: &'s Semaphore,
    count: u32,
    event: &'s Event<&'m Monitor>,
    /// They are, and there was no budget to go on with them.
    taken: bool,
}

impl Future for Attempt<'_, '_> {
    type Output = bool;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        if !self.taken {
            let Ok(permit) = self.permits.try_acquire_many(self.count) else {
                return Poll::Ready(false);
            };
            mem::forget(permit);
            self.taken = true;
        }
        ready!(poll_proceed(cx)).made_progress();
        self.taken = false;
        Poll::Ready(true)
    }
}

impl Drop for Attempt<'_, '_> {
    #[inline]
    fn drop(&mut self) {
        if self.taken {
            self.event.release();
            self.permits.add_permits(self.count as usize);
        }
    }
}
