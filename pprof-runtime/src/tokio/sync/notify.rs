//! `Notify`: tasks that wait to be told.

use std::fmt;
use std::mem::MaybeUninit;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::tokio::sync::Notify as Inner;
use ::tokio::sync::futures::Notified as InnerNotified;

use crate::source::contention::{Kind, Origin, Site};
use crate::tokio::waiting::{Event, Waiting};

/// Tells one task, or all that wait, to go on; drop-in for [`tokio::sync::Notify`](::tokio::sync::Notify).
///
/// Waits appear in the `block` profile.
///
/// # Examples
/// ```
/// use pprof_runtime::tokio::sync::Notify;
///
/// static READY: Notify = Notify::const_new();
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let waiter = tokio::spawn(READY.notified());
/// READY.notify_one();
/// waiter.await.unwrap();
/// # });
/// ```
pub struct Notify {
    inner: Inner,
    origin: Origin,
}

impl UnwindSafe for Notify {}
impl RefUnwindSafe for Notify {}

impl Notify {
    /// One that has not been notified.
    #[track_caller]
    pub fn new() -> Notify {
        Notify::with_origin(Origin::here())
    }

    /// As [`new`](Notify::new), for a `static`.
    #[track_caller]
    pub const fn const_new() -> Notify {
        Notify::with_origin(Origin::here())
    }

    /// As [`const_new`](Notify::const_new); profiles show it as `name`, others by where they were made.
    ///
    /// Not in tokio.
    pub const fn named(name: &'static str) -> Notify {
        Notify::with_origin(Origin::Name(name))
    }

    const fn with_origin(origin: Origin) -> Notify {
        Notify { inner: Inner::const_new(), origin }
    }

    /// A future that is ready once notified, from now on by [`notify_waiters`](Notify::notify_waiters), from its first poll on by the
    /// others.
    ///
    /// # Cancel safety
    /// Whoever drops the future loses its place in the queue; a notification that it had got goes to the next.
    #[inline]
    #[track_caller]
    pub fn notified(&self) -> Notified<'_> {
        self.notified_at(Location::caller())
    }

    /// As [`notified`](Notify::notified); the future keeps the `Notify` alive instead of borrowing it.
    #[track_caller]
    pub fn notified_owned(self: Arc<Self>) -> OwnedNotified {
        OwnedNotified::new(self, Location::caller())
    }

    /// Notifies the one that has waited longest, or the next to wait.
    pub fn notify_one(&self) {
        self.inner.notify_one();
    }

    /// Notifies the one that has waited shortest, or the next to wait.
    pub fn notify_last(&self) {
        self.inner.notify_last();
    }

    /// Notifies all that wait.
    pub fn notify_waiters(&self) {
        self.inner.notify_waiters();
    }

    #[inline]
    fn notified_at(&self, site: Site) -> Notified<'_> {
        let event = Event::new(&self.origin, Kind::Notify, site).budget_last();
        Notified(Waiting::new(self.inner.notified(), event))
    }
}

impl Default for Notify {
    #[track_caller]
    fn default() -> Notify {
        Notify::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// What [`Notify::notified`] returns.
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Notified<'a>(Waiting<'static, InnerNotified<'a>, &'a Origin>);

impl<'a> Notified<'a> {
    /// Takes a place in the queue without waiting yet, or a notification if there is one: says whether it has.
    pub fn enable(self: Pin<&mut Self>) -> bool {
        self.waiting().future().enable()
    }

    #[inline]
    fn waiting(self: Pin<&mut Self>) -> Pin<&mut Waiting<'static, InnerNotified<'a>, &'a Origin>> {
        // SAFETY: pinned whenever this is: it is moved out nowhere, and there is no `Drop` or `Unpin` of our own.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }
    }
}

impl Future for Notified<'_> {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.waiting().poll(cx)
    }
}

impl fmt::Debug for Notified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.get().fmt(f)
    }
}

/// What [`Notify::notified_owned`] returns.
///
/// Tokio's own holds an `Arc` of tokio's `Notify`; this one has one of ours, and a future that borrows from what is in there.
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct OwnedNotified {
    /// Initialised until dropped. It borrows from `_notify`, which outlives it; a union, so that the compiler does not take the borrow
    /// for one that lasts as long as a function that this is passed to.
    future: MaybeUninit<Notified<'static>>,
    _notify: Arc<Notify>,
}

impl OwnedNotified {
    fn new(notify: Arc<Notify>, site: Site) -> Self {
        let shared: *const Notify = &raw const *notify;
        // SAFETY: what an `Arc` points to stays where it is while the `Arc` is there, and it is there for longer than the future.
        let shared: &'static Notify = unsafe { &*shared };
        let future = MaybeUninit::new(shared.notified_at(site));
        OwnedNotified { future, _notify: notify }
    }

    /// As [`Notified::enable`].
    pub fn enable(self: Pin<&mut Self>) -> bool {
        self.future().enable()
    }

    #[inline]
    fn future(self: Pin<&mut Self>) -> Pin<&mut Notified<'static>> {
        // SAFETY: nothing is moved out.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: initialised until `drop`.
        let future = unsafe { this.future.assume_init_mut() };
        // SAFETY: pinned whenever this is: it is moved out nowhere, and `drop` leaves it in its place.
        unsafe { Pin::new_unchecked(future) }
    }
}

impl Drop for OwnedNotified {
    fn drop(&mut self) {
        // SAFETY: initialised until here, and looked at nowhere afterwards.
        unsafe { self.future.assume_init_drop() };
    }
}

impl Future for OwnedNotified {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.future().poll(cx)
    }
}

impl fmt::Debug for OwnedNotified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: initialised until `drop`.
        let future = unsafe { self.future.assume_init_ref() };
        // As tokio's, which has the same fields as the other.
        f.write_str("Owned")?;
        future.fmt(f)
    }
}
