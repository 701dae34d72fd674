//! `OnceCell`: a value that the first to ask for it makes.

use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::tokio::sync::{OnceCell as Inner, SetError};
use parking_lot::Mutex;

use crate::source::contention::{Kind, Monitor, Origin, Site};
use crate::tokio::running::actor;
use crate::tokio::waiting::{Event, Pending};

/// A cell that is written once, drop-in for [`tokio::sync::OnceCell`](::tokio::sync::OnceCell).
///
/// Who waits for the value while another makes it appears in the `block` profile, and in the `mutex` profile who made it,
/// or gave up making it. Making the value is no wait on the cell.
///
/// # Examples
/// ```
/// use pprof_runtime::tokio::sync::OnceCell;
///
/// static CONFIG: OnceCell<String> = OnceCell::const_new();
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let config = CONFIG.get_or_init(|| async { String::from("made once") }).await;
/// assert_eq!(config, "made once");
/// # });
/// ```
pub struct OnceCell<T> {
    monitor: Monitor,
    inner: Inner<T>,
}

impl<T> OnceCell<T> {
    /// An empty cell.
    #[track_caller]
    pub fn new() -> Self {
        OnceCell::of(Inner::new(), Origin::here())
    }

    /// As [`new`](OnceCell::new), for a `static`.
    #[track_caller]
    pub const fn const_new() -> Self {
        OnceCell::of(Inner::const_new(), Origin::here())
    }

    /// An empty cell, which profiles show as `name`; others by where they were made.
    ///
    /// Not in tokio.
    pub const fn named(name: &'static str) -> Self {
        OnceCell::of(Inner::const_new(), Origin::Name(name))
    }

    /// A cell with this value, or an empty one.
    #[track_caller]
    pub fn new_with(value: Option<T>) -> Self {
        OnceCell::of(Inner::new_with(value), Origin::here())
    }

    /// A cell with this value, for a `static`.
    #[track_caller]
    pub const fn const_new_with(value: T) -> Self {
        OnceCell::of(Inner::const_new_with(value), Origin::here())
    }

    const fn of(inner: Inner<T>, origin: Origin) -> Self {
        OnceCell { monitor: Monitor::new(origin), inner }
    }

    /// Whether it has a value.
    pub fn initialized(&self) -> bool {
        self.inner.initialized()
    }

    /// The value, if it has one.
    pub fn get(&self) -> Option<&T> {
        self.inner.get()
    }

    /// The value, if it has one.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.inner.get_mut()
    }

    /// Gives it this value.
    ///
    /// # Errors
    /// The value, if it has one already or somebody is making one.
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        self.inner.set(value)
    }

    /// The value, which `f` makes if there is none; the task waits while others make it.
    ///
    /// # Cancel safety
    /// Whoever drops the future while it makes the value leaves it to the next.
    #[inline]
    #[track_caller]
    pub fn get_or_init<F, Fut>(&self, f: F) -> impl Future<Output = &T>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        let site = Location::caller();
        async move {
            // As tokio does, without asking for budget.
            if let Some(value) = self.inner.get() {
                return value;
            }
            let progress = Mutex::new(Progress::Asks(Pending::default()));
            let init = || self.make(&progress, site, f());
            self.poll(self.inner.get_or_init(init), &progress, site).await
        }
    }

    /// As [`get_or_init`](OnceCell::get_or_init), by an `f` that may fail.
    ///
    /// # Errors
    /// That of `f`; the cell stays empty.
    #[inline]
    #[track_caller]
    pub fn get_or_try_init<E, F, Fut>(&self, f: F) -> impl Future<Output = Result<&T, E>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let site = Location::caller();
        async move {
            // As tokio does, without asking for budget.
            if let Some(value) = self.inner.get() {
                return Ok(value);
            }
            let progress = Mutex::new(Progress::Asks(Pending::default()));
            let init = || self.make(&progress, site, f());
            self.poll(self.inner.get_or_try_init(init), &progress, site).await
        }
    }

    /// The value, the cell being gone.
    pub fn into_inner(self) -> Option<T> {
        self.inner.into_inner()
    }

    /// The value, the cell being empty from now on.
    pub fn take(&mut self) -> Option<T> {
        self.inner.take()
    }

    /// It is the calling task that is to make the value, by `future`.
    fn make<'c, Fut>(
        &'c self,
        progress: &Mutex<Progress<'c>>,
        site: Site,
        future: Fut,
    ) -> Making<'c, Fut> {
        let before = std::mem::replace(&mut *progress.lock(), Progress::Makes);
        if let Progress::Asks(mut pending) = before {
            pending.end();
        }
        self.monitor.acquired_by(actor(), site);
        Making { monitor: Some(&self.monitor), future }
    }

    #[inline]
    fn poll<'p, 'c, F>(
        &'c self,
        future: F,
        progress: &'p Mutex<Progress<'c>>,
        site: Site,
    ) -> Asking<'p, 'c, F> {
        let event = Event::new(&self.monitor, Kind::Once, site).budget_last();
        Asking { future, progress, event, was_pending: false }
    }
}

/// How far somebody who asks for the value is.
#[derive(Debug)]
enum Progress<'c> {
    /// Waits perhaps for another who makes it.
    Asks(Pending<'c>),
    /// Makes it. Whatever is pending then is something else.
    Makes,
}

/// Polls tokio's future.
struct Asking<'p, 'c, F> {
    event: Event<&'c Monitor>,
    /// Shared with the closure that tokio's future has, and may call while it is polled.
    progress: &'p Mutex<Progress<'c>>,
    was_pending: bool,
    future: F,
}

impl<F: Future> Future for Asking<'_, '_, F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the future, the one field that is pinned, is moved out nowhere.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: pinned whenever `this` is: there is no `Drop` or `Unpin` of our own.
        let polled = unsafe { Pin::new_unchecked(&mut this.future) }.poll(cx);
        // At once, as most are: nothing to look at.
        if polled.is_ready() && !this.was_pending {
            return polled;
        }
        this.was_pending = true;
        match &mut *this.progress.lock() {
            Progress::Asks(pending) => pending.observe(polled, &this.event),
            Progress::Makes => polled,
        }
    }
}

/// Makes the value, for which others wait; who stops making it lets them try.
struct Making<'c, Fut> {
    /// Until it is made.
    monitor: Option<&'c Monitor>,
    future: Fut,
}

impl<Fut> Making<'_, Fut> {
    fn finish(monitor: &mut Option<&Monitor>) {
        let Some(monitor) = monitor.take() else { return };
        let hold = monitor.releasing(Kind::Once);
        if monitor.is_owed() {
            monitor.unlocking(Kind::Once);
        }
        hold.record();
    }
}

impl<Fut: Future> Future for Making<'_, Fut> {
    type Output = Fut::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Fut::Output> {
        // SAFETY: the future, the one field that is pinned, is moved out nowhere.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: pinned whenever `this` is; `drop` leaves it in its place.
        let polled = unsafe { Pin::new_unchecked(&mut this.future) }.poll(cx);
        if polled.is_ready() {
            Self::finish(&mut this.monitor);
        }
        polled
    }
}

impl<Fut> Drop for Making<'_, Fut> {
    fn drop(&mut self) {
        Self::finish(&mut self.monitor);
    }
}

impl<T> Default for OnceCell<T> {
    #[track_caller]
    fn default() -> Self {
        OnceCell::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T: Clone> Clone for OnceCell<T> {
    #[track_caller]
    fn clone(&self) -> Self {
        OnceCell::of(self.inner.clone(), Origin::here())
    }
}

impl<T: PartialEq> PartialEq for OnceCell<T> {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl<T: Eq> Eq for OnceCell<T> {}

impl<T> From<T> for OnceCell<T> {
    #[track_caller]
    fn from(value: T) -> Self {
        OnceCell::of(Inner::from(value), Origin::here())
    }
}
