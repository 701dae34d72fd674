//! A channel whose messages go to every receiver, drop-in for [`tokio::sync::broadcast`].
//!
//! [`Receiver::recv`] and [`Receiver::blocking_recv`] are waits of kind `channel-recv`, [`Sender::closed`] is one of
//! kind `channel-send`. Sending never waits.

use std::fmt;
use std::panic::Location;

use ::tokio::sync::broadcast as inner;

use self::error::{RecvError, SendError, TryRecvError};
use crate::source::contention::{Kind, Origin, wait};
use crate::tokio::waiting::{Event, Waiting};

/// Tokio's error types.
pub mod error {
    pub use ::tokio::sync::broadcast::error::{RecvError, SendError, TryRecvError};
}

/// A channel that keeps the last `capacity` messages, or some more, for receivers that lag.
///
/// # Panics
/// If the capacity is zero, or more than `usize::MAX / 2`.
///
/// # Examples
/// ```
/// use pprof_runtime::tokio::sync::broadcast;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let (tx, mut rx) = broadcast::channel(8);
/// let mut other = tx.subscribe();
/// tx.send("to all").unwrap();
/// assert_eq!(rx.recv().await, Ok("to all"));
/// assert_eq!(other.recv().await, Ok("to all"));
/// # });
/// ```
#[track_caller]
pub fn channel<T: Clone>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    with_origin(capacity, Origin::here())
}

/// As [`channel`]; profiles show it as `name`, others by where they were made.
///
/// Not in tokio.
///
/// # Panics
/// As that.
#[track_caller]
pub fn named_channel<T: Clone>(capacity: usize, name: &'static str) -> (Sender<T>, Receiver<T>) {
    with_origin(capacity, Origin::Name(name))
}

#[track_caller]
fn with_origin<T: Clone>(capacity: usize, origin: Origin) -> (Sender<T>, Receiver<T>) {
    let (tx, rx) = inner::channel(capacity);
    (Sender { inner: tx, origin }, Receiver { inner: rx, origin })
}

/// A half that sends.
pub struct Sender<T> {
    inner: inner::Sender<T>,
    origin: Origin,
}

/// A [`Sender`] that does not keep the channel open.
pub struct WeakSender<T> {
    inner: inner::WeakSender<T>,
    origin: Origin,
}

/// A half that receives all messages sent since it was made.
pub struct Receiver<T> {
    inner: inner::Receiver<T>,
    origin: Origin,
}

impl<T> Sender<T> {
    /// The sending half of a [`channel`] without a receiver yet.
    ///
    /// # Panics
    /// As that.
    #[track_caller]
    pub fn new(capacity: usize) -> Self {
        Sender { inner: inner::Sender::new(capacity), origin: Origin::here() }
    }

    /// Sends to all receivers, without waiting, and says how many there are.
    ///
    /// # Errors
    /// The message, if there is none.
    pub fn send(&self, value: T) -> Result<usize, SendError<T>> {
        self.inner.send(value)
    }

    /// One more receiver, of what is sent from now on.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver { inner: self.inner.subscribe(), origin: self.origin }
    }

    /// A sender that does not keep the channel open.
    #[must_use = "Downgrade creates a WeakSender without destroying the original non-weak sender."]
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender { inner: self.inner.downgrade(), origin: self.origin }
    }

    /// How many messages some receiver has not seen.
    #[allow(clippy::len_without_is_empty, reason = "it has one")]
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Whether all receivers have seen all messages.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.inner.receiver_count()
    }

    /// Whether they send to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.inner.same_channel(&other.inner)
    }

    /// Waits until there is no receiver.
    #[track_caller]
    pub fn closed(&self) -> impl Future<Output = ()> {
        let event = Event::new(&self.origin, Kind::ChannelSend, Location::caller());
        Waiting::new(self.inner.closed(), event.budget_last())
    }

    /// How many senders there are.
    pub fn strong_count(&self) -> usize {
        self.inner.strong_count()
    }

    /// How many weak senders there are.
    pub fn weak_count(&self) -> usize {
        self.inner.weak_count()
    }
}

impl<T> WeakSender<T> {
    /// A sender, if there is one still.
    #[must_use]
    pub fn upgrade(&self) -> Option<Sender<T>> {
        Some(Sender { inner: self.inner.upgrade()?, origin: self.origin })
    }

    /// How many senders there are.
    pub fn strong_count(&self) -> usize {
        self.inner.strong_count()
    }

    /// How many weak senders there are.
    pub fn weak_count(&self) -> usize {
        self.inner.weak_count()
    }
}

impl<T> Receiver<T> {
    /// How many messages it has not seen, those lost included.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Whether it has seen all messages.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Whether they receive from the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.inner.same_channel(&other.inner)
    }

    /// How many senders there are.
    pub fn sender_strong_count(&self) -> usize {
        self.inner.sender_strong_count()
    }

    /// How many weak senders there are.
    pub fn sender_weak_count(&self) -> usize {
        self.inner.sender_weak_count()
    }

    /// Whether all senders are gone.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }
}

impl<T: Clone> Receiver<T> {
    /// One more receiver, of what is sent from now on.
    #[must_use = "a receiver that is dropped receives nothing"]
    pub fn resubscribe(&self) -> Self {
        Receiver { inner: self.inner.resubscribe(), origin: self.origin }
    }

    /// Takes the next message, the task waiting until there is one.
    ///
    /// # Errors
    /// Tells a closed channel from messages lost because this receiver was too slow.
    ///
    /// # Cancel safety
    /// Whoever drops the future has lost no message.
    #[inline]
    #[track_caller]
    pub fn recv(&mut self) -> impl Future<Output = Result<T, RecvError>> {
        let event = Event::new(&self.origin, Kind::ChannelRecv, Location::caller());
        Waiting::new(self.inner.recv(), event)
    }

    /// Takes the next message if there is one. Never recorded: it does not wait.
    ///
    /// # Errors
    /// As [`recv`](Receiver::recv), or that there is none.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.inner.try_recv()
    }

    /// As [`recv`](Receiver::recv), by a thread outside of the runtime.
    ///
    /// # Errors
    /// As that.
    ///
    /// # Panics
    /// If called where tasks run.
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Result<T, RecvError> {
        if !self.is_empty() || self.is_closed() {
            return self.inner.blocking_recv();
        }
        let wait = wait(Kind::ChannelRecv, Some(self.origin), Location::caller());
        let received = self.inner.blocking_recv();
        wait.acquired();
        received
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender { inner: self.inner.clone(), origin: self.origin }
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        WeakSender { inner: self.inner.clone(), origin: self.origin }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
