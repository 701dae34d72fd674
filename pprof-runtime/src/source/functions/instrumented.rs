//! Async functions.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::guard::FunctionGuard;
use super::is_enabled;
use crate::aggregate::call_paths::Site;

/// An async function's body, timed while it is polled.
#[doc(hidden)]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Instrumented<F> {
    site: &'static Site,
    counted: bool,
    future: F,
}

impl<F> Instrumented<F> {
    /// Wraps `future`.
    #[inline]
    pub fn new(site: &'static Site, future: F) -> Self {
        Instrumented { site, counted: false, future }
    }
}

impl<F: Future> Future for Instrumented<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned with `self`: it is never moved out, and there is no `Drop` nor other access.
        let this = unsafe { self.get_unchecked_mut() };
        let mut guard = FunctionGuard::new();
        // Entered in several stretches, of which only the first is a call.
        if is_enabled() {
            guard.open(this.site, !this.counted, 0);
        }
        this.counted |= !guard.node.is_null();
        // SAFETY: as above.
        let future = unsafe { Pin::new_unchecked(&mut this.future) };
        future.poll(context)
    }
}
