//! A channel for one message, drop-in for [`tokio::sync::oneshot`].
//!
//! Awaiting the [`Receiver`] and [`Receiver::blocking_recv`] are waits of kind `channel-recv`, [`Sender::closed`] is
//! one of kind `channel-send`. What never waits is not recorded, and [`Sender::poll_closed`] is not either: it is asked beside
//! the work of which the sender will tell.

use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::tokio::sync::oneshot as inner;

use self::error::{RecvError, TryRecvError};
use crate::source::contention::{Kind, Origin, Site, wait};
use crate::tokio::waiting::{Event, Pending, Waiting};

/// Tokio's error types.
pub mod error {
    pub use ::tokio::sync::oneshot::error::{RecvError, TryRecvError};
}

/// A channel for one message.
///
/// # Examples
/// ```
/// use pprof_runtime::tokio::sync::oneshot;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let (tx, rx) = oneshot::channel();
/// tokio::spawn(async move { tx.send(3) });
/// assert_eq!(rx.await, Ok(3));
/// # });
/// ```
#[inline]
#[track_caller]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    with_origin(Origin::here(), Location::caller())
}

/// As [`channel`]; profiles show it as `name`, others by where they were made.
///
/// Not in tokio.
#[inline]
#[track_caller]
pub fn named_channel<T>(name: &'static str) -> (Sender<T>, Receiver<T>) {
    with_origin(Origin::Name(name), Location::caller())
}

#[inline]
fn with_origin<T>(origin: Origin, site: Site) -> (Sender<T>, Receiver<T>) {
    let (tx, rx) = inner::channel();
    let pending = Pending::default();
    (Sender { inner: tx, origin }, Receiver { inner: rx, origin, site, pending })
}

/// The half that sends.
pub struct Sender<T> {
    inner: inner::Sender<T>,
    origin: Origin,
}

/// The half that receives: a future of the message.
///
/// Its wait goes on from when it is first pending until it is ready or dropped, also while it is not polled, as between the
/// rounds of a `select!` over `&mut receiver`.
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Receiver<T> {
    pending: Pending<'static>,
    inner: inner::Receiver<T>,
    origin: Origin,
    /// Where the channel was made: a poll does not know its caller.
    site: Site,
}

impl<T> Sender<T> {
    /// Sends `t`, without waiting.
    ///
    /// # Errors
    /// The message, if the receiver is gone or closed.
    #[inline]
    pub fn send(self, t: T) -> Result<(), T> {
        self.inner.send(t)
    }

    /// Waits until the receiver is gone or closed.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    #[track_caller]
    pub fn closed(&mut self) -> impl Future<Output = ()> {
        let event = Event::new(&self.origin, Kind::ChannelSend, Location::caller());
        Waiting::new(self.inner.closed(), event)
    }

    /// Whether the receiver is gone or closed.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// Whether the receiver is gone or closed; if not, the task is woken when it is. Not recorded as a wait.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.inner.poll_closed(cx)
    }
}

impl<T> Receiver<T> {
    /// Lets nothing be sent from now on. What has been sent can still be received.
    pub fn close(&mut self) {
        self.pending.give_up();
        self.inner.close();
    }

    /// Whether the message has been received, or will never come, as was told already.
    pub fn is_terminated(&self) -> bool {
        self.inner.is_terminated()
    }

    /// Whether there is no message to be received now.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Takes the message if it is there. Never recorded: it does not wait.
    ///
    /// # Errors
    /// Tells one that has not come yet from one that never will.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.pending.give_up();
        self.inner.try_recv()
    }

    /// Takes the message, the thread waiting for it outside of the runtime.
    ///
    /// # Errors
    /// If the sender is gone without having sent.
    ///
    /// # Panics
    /// If called where tasks run.
    #[track_caller]
    pub fn blocking_recv(mut self) -> Result<T, RecvError> {
        self.pending.give_up();
        if !self.inner.is_empty() {
            return self.inner.blocking_recv();
        }
        let wait = wait(Kind::ChannelRecv, Some(self.origin), Location::caller());
        let received = self.inner.blocking_recv();
        wait.acquired();
        received
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.inner).poll(cx);
        this.pending.observe(polled, &Event::new(this.origin, Kind::ChannelRecv, this.site))
    }
}

impl<T: fmt::Debug> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
