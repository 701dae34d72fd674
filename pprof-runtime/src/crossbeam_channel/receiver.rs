//! The receiving half.

use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

use ::crossbeam_channel as original;
use original::{RecvError, RecvTimeoutError, TryRecvError};

use super::blocking::{Limit, blocked};
use super::{IntoIter, Iter, TryIter, convert};
use crate::source::contention::{Event, Kind, Origin, Site};

/// The receiving half of a channel; [`crossbeam_channel::Receiver`](original::Receiver) whose waits are block events.
pub struct Receiver<T> {
    pub(super) inner: original::Receiver<T>,
    pub(super) origin: Origin,
}

impl<T> Receiver<T> {
    /// Takes a message if one is there; never a block event.
    ///
    /// # Errors
    /// Tells an empty channel from one whose senders are all gone.
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.inner.try_recv()
    }

    /// Takes the next message, waiting for one if there is none.
    ///
    /// # Errors
    /// Fails once the channel is empty and all senders are gone, be it before the call or during the wait.
    #[inline(always)]
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        match self.inner.try_recv() {
            Ok(message) => Ok(message),
            Err(TryRecvError::Disconnected) => Err(RecvError),
            Err(TryRecvError::Empty) => {
                let event = self.event(Location::caller());
                blocked(Limit::None, event, || self.inner.recv())
            }
        }
    }

    /// As [`recv`](Self::recv), but gives up after `timeout`. A timeout of zero cannot wait and is not recorded.
    ///
    /// # Errors
    /// Tells a timeout from a channel that is empty and whose senders are all gone.
    #[inline(always)]
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        match self.inner.try_recv() {
            Ok(message) => Ok(message),
            Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => {
                let event = self.event(Location::caller());
                blocked(Limit::For(timeout), event, || self.inner.recv_timeout(timeout))
            }
        }
    }

    /// As [`recv`](Self::recv), but gives up at `deadline`. A deadline that has passed leaves no time to wait and is not recorded.
    ///
    /// # Errors
    /// Tells a timeout from a channel that is empty and whose senders are all gone.
    #[inline(always)]
    #[track_caller]
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        match self.inner.try_recv() {
            Ok(message) => Ok(message),
            Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => {
                let event = self.event(Location::caller());
                blocked(Limit::Until(deadline), event, || self.inner.recv_deadline(deadline))
            }
        }
    }

    fn event(&self, site: Site) -> Event {
        Event::new(Kind::ChannelRecv, Some(self.origin), site)
    }

    /// Whether no message is there; always so with a capacity of zero.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Whether the buffer has no room; always so with a capacity of zero.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.inner.is_full()
    }

    /// How many messages are there.
    #[inline]
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// How many messages the channel buffers; `None` if it is unbounded.
    #[inline]
    pub fn capacity(&self) -> Option<usize> {
        self.inner.capacity()
    }

    /// An iterator that waits for each message and ends when the channel is empty and all senders are gone.
    #[inline]
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    /// An iterator over the messages that are already there; it never waits.
    #[inline]
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
    }

    /// Whether both receive from the same channel.
    #[inline]
    pub fn same_channel(&self, other: &Receiver<T>) -> bool {
        self.inner.same_channel(&other.inner)
    }
}

impl<T> Clone for Receiver<T> {
    #[inline]
    fn clone(&self) -> Self {
        Receiver { inner: self.inner.clone(), origin: self.origin }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    #[inline]
    fn into_iter(self) -> IntoIter<T> {
        IntoIter { receiver: self }
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    #[inline]
    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

convert!(Receiver);
