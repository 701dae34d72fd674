//! Taking permits of tokio's semaphore, which locks are made of.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::tokio::sync::{AcquireError, Semaphore};
use ::tokio::task::coop::poll_proceed;

use crate::source::contention::Monitor;
use crate::tokio::waiting::{Event, wait_until};

/// Takes `count` permits, for whose return the caller cares; while there are none, the task waits for `event`.
///
/// Tokio's future begins by asking for budget and then looks whether the permits are there. So does the attempt here, which spares making
/// that future where they are: what pays for the account of the lock. Where they are not it leaves the budget as it was.
#[inline]
pub(super) async fn acquire(
    permits: &Semaphore,
    count: u32,
    event: Event<&Monitor>,
) -> Result<(), AcquireError> {
    if (Attempt { permits, count }).await {
        return Ok(());
    }
    wait_until!(permits.acquire_many(count), event).map(mem::forget)
}

/// Whether the permits could be taken at once.
struct Attempt<'s> {
    permits: &'s Semaphore,
    count: u32,
}

impl Future for Attempt<'_> {
    type Output = bool;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let budget = ready!(poll_proceed(cx));
        let taken = self.permits.try_acquire_many(self.count).map(mem::forget).is_ok();
        if taken {
            budget.made_progress();
        }
        Poll::Ready(taken)
    }
}
