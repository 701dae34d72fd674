//! The channel with room for all messages.

use std::fmt;
use std::panic::Location;
use std::task::{Context, Poll};

use ::tokio::sync::mpsc as inner;

use super::error::{SendError, TryRecvError};
use super::receiver;
use crate::source::contention::{Kind, Origin, wait};
use crate::tokio::waiting::{Event, Pending, Waiting};

/// A channel with room for all messages: sending never waits.
#[track_caller]
pub fn unbounded_channel<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    with_origin(Origin::here())
}

/// As [`unbounded_channel`]; profiles show it as `name`, others by where they were made.
///
/// Not in tokio.
pub fn named_unbounded_channel<T>(
    name: &'static str,
) -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    with_origin(Origin::Name(name))
}

fn with_origin<T>(origin: Origin) -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    let (tx, rx) = inner::unbounded_channel();
    let pending = Pending::default();
    (UnboundedSender { inner: tx, origin }, UnboundedReceiver { pending, inner: rx, origin })
}

/// A half of an [`unbounded_channel`] that sends.
pub struct UnboundedSender<T> {
    inner: inner::UnboundedSender<T>,
    origin: Origin,
}

/// An [`UnboundedSender`] that does not keep the channel open.
pub struct WeakUnboundedSender<T> {
    inner: inner::WeakUnboundedSender<T>,
    origin: Origin,
}

/// The half of an [`unbounded_channel`] that receives.
pub struct UnboundedReceiver<T> {
    /// Of `poll_recv`.
    pending: Pending<'static>,
    inner: inner::UnboundedReceiver<T>,
    origin: Origin,
}

receiver!(UnboundedReceiver);

impl<T> UnboundedSender<T> {
    /// Sends `message`, without waiting.
    ///
    /// # Errors
    /// The message, if the receiver is gone or closed.
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.inner.send(message)
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

    /// Whether the receiver is gone or closed.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// Whether they send to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.inner.same_channel(&other.inner)
    }

    /// A sender that does not keep the channel open.
    #[must_use = "Downgrade creates a WeakSender without destroying the original non-weak sender."]
    pub fn downgrade(&self) -> WeakUnboundedSender<T> {
        WeakUnboundedSender { inner: self.inner.downgrade(), origin: self.origin }
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

impl<T> WeakUnboundedSender<T> {
    /// A sender, if there is one still.
    pub fn upgrade(&self) -> Option<UnboundedSender<T>> {
        Some(UnboundedSender { inner: self.inner.upgrade()?, origin: self.origin })
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

impl<T> Clone for UnboundedSender<T> {
    fn clone(&self) -> Self {
        UnboundedSender { inner: self.inner.clone(), origin: self.origin }
    }
}

impl<T> Clone for WeakUnboundedSender<T> {
    fn clone(&self) -> Self {
        WeakUnboundedSender { inner: self.inner.clone(), origin: self.origin }
    }
}

impl<T> fmt::Debug for UnboundedSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T> fmt::Debug for WeakUnboundedSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
