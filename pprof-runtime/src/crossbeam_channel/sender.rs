//! The sending half.

use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

use ::crossbeam_channel as original;
use original::{SendError, SendTimeoutError, TrySendError};

use super::blocking::{Limit, blocked};
use super::convert;
use crate::source::contention::{Event, Kind, Origin, Site};

/// The sending half of a channel; [`crossbeam_channel::Sender`](original::Sender) whose waits are block events.
pub struct Sender<T> {
    pub(super) inner: original::Sender<T>,
    pub(super) origin: Origin,
}

impl<T> Sender<T> {
    /// Sends `msg` if that needs no waiting; never a block event.
    ///
    /// # Errors
    /// Gives the message back if the buffer is full (with a capacity of zero: if no receiver is waiting) or if all receivers are gone.
    #[inline]
    pub fn try_send(&self, msg: T) -> Result<(), TrySendError<T>> {
        self.inner.try_send(msg)
    }

    /// Sends `msg`, waiting for room in the buffer, or with a capacity of zero for a receiver to take it.
    ///
    /// # Errors
    /// Gives the message back if all receivers are gone, be it before the call or during the wait.
    #[inline(always)]
    #[track_caller]
    pub fn send(&self, msg: T) -> Result<(), SendError<T>> {
        match self.inner.try_send(msg) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(msg)) => Err(SendError(msg)),
            Err(TrySendError::Full(msg)) => {
                let event = self.event(Location::caller());
                blocked(Limit::None, event, || self.inner.send(msg))
            }
        }
    }

    /// As [`send`](Self::send), but gives up after `timeout`. A timeout of zero cannot wait and is not recorded.
    ///
    /// # Errors
    /// Gives the message back when the time is up or if all receivers are gone.
    #[inline(always)]
    #[track_caller]
    pub fn send_timeout(&self, msg: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        match self.inner.try_send(msg) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(msg)) => Err(SendTimeoutError::Disconnected(msg)),
            Err(TrySendError::Full(msg)) => {
                let event = self.event(Location::caller());
                blocked(Limit::For(timeout), event, || self.inner.send_timeout(msg, timeout))
            }
        }
    }

    /// As [`send`](Self::send), but gives up at `deadline`. A deadline that has passed leaves no time to wait and is not recorded.
    ///
    /// # Errors
    /// Gives the message back when the time is up or if all receivers are gone.
    #[inline(always)]
    #[track_caller]
    pub fn send_deadline(&self, msg: T, deadline: Instant) -> Result<(), SendTimeoutError<T>> {
        match self.inner.try_send(msg) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(msg)) => Err(SendTimeoutError::Disconnected(msg)),
            Err(TrySendError::Full(msg)) => {
                let event = self.event(Location::caller());
                blocked(Limit::Until(deadline), event, || self.inner.send_deadline(msg, deadline))
            }
        }
    }

    fn event(&self, site: Site) -> Event {
        Event::new(Kind::ChannelSend, Some(self.origin), site)
    }

    /// Whether no message is buffered; always so with a capacity of zero.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Whether the buffer has no room; always so with a capacity of zero.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.inner.is_full()
    }

    /// How many messages are buffered.
    #[inline]
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// How many messages the channel buffers; `None` if it is unbounded.
    #[inline]
    pub fn capacity(&self) -> Option<usize> {
        self.inner.capacity()
    }

    /// Whether both send to the same channel.
    #[inline]
    pub fn same_channel(&self, other: &Sender<T>) -> bool {
        self.inner.same_channel(&other.inner)
    }
}

impl<T> Clone for Sender<T> {
    #[inline]
    fn clone(&self) -> Self {
        Sender { inner: self.inner.clone(), origin: self.origin }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

convert!(Sender);
