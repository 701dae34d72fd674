//! The channel with room for so many messages.

use std::fmt;
use std::panic::Location;
use std::task::{Context, Poll};

use ::tokio::sync::mpsc as inner;

use super::error::{SendError, TryRecvError, TrySendError};
use super::{Permit, PermitIterator, receiver};
use crate::source::contention::{Kind, Origin, Site, Wait, wait};
use crate::tokio::waiting::{Event, Pending, Subject, Waiting};

/// A channel with room for `buffer` messages.
///
/// # Panics
/// If there is room for none.
///
/// # Examples
/// ```
/// use pprof_runtime::tokio::sync::mpsc;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let (tx, mut rx) = mpsc::channel(1);
/// tokio::spawn(async move {
///     for i in 0..3 {
///         tx.send(i).await.unwrap();
///     }
/// });
/// let mut sum = 0;
/// while let Some(i) = rx.recv().await {
///     sum += i;
/// }
/// assert_eq!(sum, 3);
/// # });
/// ```
#[track_caller]
pub fn channel<T>(buffer: usize) -> (Sender<T>, Receiver<T>) {
    with_origin(buffer, Origin::here())
}

/// As [`channel`]; profiles show it as `name`, others by where they were made.
///
/// Not in tokio.
///
/// # Panics
/// As that.
#[track_caller]
pub fn named_channel<T>(buffer: usize, name: &'static str) -> (Sender<T>, Receiver<T>) {
    with_origin(buffer, Origin::Name(name))
}

#[track_caller]
fn with_origin<T>(buffer: usize, origin: Origin) -> (Sender<T>, Receiver<T>) {
    let (tx, rx) = inner::channel(buffer);
    let pending = Pending::default();
    (Sender { inner: tx, origin }, Receiver { pending, inner: rx, origin })
}

/// A half of a [`channel`] that sends.
pub struct Sender<T> {
    inner: inner::Sender<T>,
    origin: Origin,
}

/// A [`Sender`] that does not keep the channel open.
pub struct WeakSender<T> {
    inner: inner::WeakSender<T>,
    origin: Origin,
}

/// Room for one message, by a sender of its own.
pub struct OwnedPermit<T> {
    inner: inner::OwnedPermit<T>,
    origin: Origin,
}

/// The half of a [`channel`] that receives.
pub struct Receiver<T> {
    /// Of `poll_recv`.
    pending: Pending<'static>,
    inner: inner::Receiver<T>,
    origin: Origin,
}

// Messages are not pinned.
impl<T> Unpin for Receiver<T> {}

receiver!(Receiver);

impl<T> Receiver<T> {
    /// How many messages there is room for now.
    pub fn capacity(&self) -> usize {
        self.inner.capacity()
    }

    /// How many messages there is room for if there are none.
    pub fn max_capacity(&self) -> usize {
        self.inner.max_capacity()
    }
}

impl<T> Sender<T> {
    /// Sends `value`, the task waiting until there is room. First come, first served.
    ///
    /// # Errors
    /// The message, if the receiver is gone or closed, be it before the call or during the wait.
    ///
    /// # Cancel safety
    /// Whoever drops the future has not sent, and loses its place in the queue and the message.
    #[inline]
    #[track_caller]
    pub fn send(&self, value: T) -> impl Future<Output = Result<(), SendError<T>>> {
        Waiting::new(self.inner.send(value), self.event(Location::caller()))
    }

    /// Waits until the receiver is gone or closed.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    #[track_caller]
    pub fn closed(&self) -> impl Future<Output = ()> {
        let event = Event::new(&self.origin, Kind::ChannelSend, Location::caller());
        Waiting::new(self.inner.closed(), event.budget_last())
    }

    /// Sends `message` if there is room. Never recorded: it does not wait.
    ///
    /// # Errors
    /// The message; tells a full channel from a closed one.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.inner.try_send(message)
    }

    /// As [`send`](Sender::send), by a thread outside of the runtime.
    ///
    /// # Errors
    /// As that.
    ///
    /// # Panics
    /// If called where tasks run.
    #[track_caller]
    pub fn blocking_send(&self, value: T) -> Result<(), SendError<T>> {
        if self.capacity() > 0 || self.is_closed() {
            return self.inner.blocking_send(value);
        }
        let wait = wait(Kind::ChannelSend, Some(self.origin), Location::caller());
        let sent = self.inner.blocking_send(value);
        wait.acquired();
        sent
    }

    /// Whether the receiver is gone or closed.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// Room for a message, the task waiting until there is some.
    ///
    /// # Errors
    /// As [`send`](Sender::send).
    ///
    /// # Cancel safety
    /// Whoever drops the future has reserved nothing, and loses its place in the queue.
    #[inline]
    #[track_caller]
    pub fn reserve(&self) -> impl Future<Output = Result<Permit<'_, T>, SendError<()>>> {
        Waiting::new(self.inner.reserve(), self.event(Location::caller()))
    }

    /// As [`reserve`](Sender::reserve), for `n` messages at once.
    ///
    /// # Errors
    /// As that, and if there is never room for as many.
    #[inline]
    #[track_caller]
    pub fn reserve_many(
        &self,
        n: usize,
    ) -> impl Future<Output = Result<PermitIterator<'_, T>, SendError<()>>> {
        Waiting::new(self.inner.reserve_many(n), self.event(Location::caller()))
    }

    /// As [`reserve`](Sender::reserve), by this sender, which [`OwnedPermit::send`] gives back.
    ///
    /// # Errors
    /// As that; the sender is gone.
    #[inline]
    #[track_caller]
    pub fn reserve_owned(self) -> impl Future<Output = Result<OwnedPermit<T>, SendError<()>>> {
        let origin = self.origin;
        let event = Event::new(origin, Kind::ChannelSend, Location::caller()).budget_last();
        let future = Waiting::new(self.inner.reserve_owned(), event);
        async move { Ok(OwnedPermit { inner: future.await?, origin }) }
    }

    /// Room for a message if there is some. Never recorded: it does not wait.
    ///
    /// # Errors
    /// Tells a full channel from a closed one.
    pub fn try_reserve(&self) -> Result<Permit<'_, T>, TrySendError<()>> {
        self.inner.try_reserve()
    }

    /// As [`try_reserve`](Sender::try_reserve), for `n` messages at once.
    ///
    /// # Errors
    /// As that.
    pub fn try_reserve_many(&self, n: usize) -> Result<PermitIterator<'_, T>, TrySendError<()>> {
        self.inner.try_reserve_many(n)
    }

    /// As [`try_reserve`](Sender::try_reserve), by this sender, which [`OwnedPermit::send`] gives back.
    ///
    /// # Errors
    /// The sender; tells a full channel from a closed one.
    pub fn try_reserve_owned(self) -> Result<OwnedPermit<T>, TrySendError<Self>> {
        let origin = self.origin;
        match self.inner.try_reserve_owned() {
            Ok(inner) => Ok(OwnedPermit { inner, origin }),
            Err(TrySendError::Full(inner)) => Err(TrySendError::Full(Sender { inner, origin })),
            Err(TrySendError::Closed(inner)) => Err(TrySendError::Closed(Sender { inner, origin })),
        }
    }

    /// Whether they send to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.inner.same_channel(&other.inner)
    }

    /// How many messages there is room for now.
    pub fn capacity(&self) -> usize {
        self.inner.capacity()
    }

    /// How many messages there is room for if there are none.
    pub fn max_capacity(&self) -> usize {
        self.inner.max_capacity()
    }

    /// A sender that does not keep the channel open.
    #[must_use = "Downgrade creates a WeakSender without destroying the original non-weak sender."]
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender { inner: self.inner.downgrade(), origin: self.origin }
    }

    /// How many senders there are.
    pub fn strong_count(&self) -> usize {
        self.inner.strong_count()
    }

    /// How many weak senders there are.
    pub fn weak_count(&self) -> usize {
        self.inner.weak_count()
    }

    fn event(&self, site: Site) -> Event<Room<'_, T>> {
        Event::new(Room(self), Kind::ChannelSend, site).budget_last()
    }
}

/// Room in a channel, which is waited for by senders.
struct Room<'s, T>(&'s Sender<T>);

impl<T> Clone for Room<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Room<'_, T> {}

impl<T> Subject<'static> for Room<'_, T> {
    /// While senders wait there is none for others to see.
    fn is_free(self) -> bool {
        self.0.capacity() > 0
    }

    fn wait(self, kind: Kind, site: Site) -> Wait<'static> {
        self.0.origin.wait(kind, site)
    }
}

impl<T> WeakSender<T> {
    /// A sender, if there is one still.
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

impl<T> OwnedPermit<T> {
    /// Sends `value` to where there is room for it, and gives the sender back.
    pub fn send(self, value: T) -> Sender<T> {
        Sender { inner: self.inner.send(value), origin: self.origin }
    }

    /// Gives the sender back, and the room to others.
    pub fn release(self) -> Sender<T> {
        Sender { inner: self.inner.release(), origin: self.origin }
    }

    /// Whether they are for the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.inner.same_channel(&other.inner)
    }

    /// Whether it is for the channel that `sender` sends to.
    pub fn same_channel_as_sender(&self, sender: &Sender<T>) -> bool {
        self.inner.same_channel_as_sender(&sender.inner)
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

impl<T> fmt::Debug for OwnedPermit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
