//! Waiting for one of several operations.

use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

use ::crossbeam_channel as original;
use original::{
    ReadyTimeoutError, RecvError, SelectTimeoutError, SendError, TryReadyError, TrySelectError,
};

use super::blocking::{Limit, blocked};
use super::{Receiver, Sender};
use crate::source::contention::{Event, Kind, Origin, Site};

/// A list of operations of which one is to be done; [`crossbeam_channel::Select`](original::Select) whose waits are block events.
///
/// # Examples
/// ```
/// use pprof_runtime::crossbeam_channel::{Select, unbounded};
///
/// let (channels, senders): (Vec<_>, Vec<_>) = (0..3).map(|_| unbounded()).map(|(s, r)| (r, s)).unzip();
/// senders[1].send("hello").unwrap();
/// let mut select = Select::new();
/// for channel in &channels {
///     select.recv(channel);
/// }
/// let operation = select.select(); // waits while all are empty: a block event here
/// let index = operation.index();
/// assert_eq!((index, operation.recv(&channels[index])), (1, Ok("hello")));
/// ```
#[derive(Clone)]
pub struct Select<'a> {
    inner: original::Select<'a>,
    /// Operations in the list.
    len: usize,
    /// One of them, and the channel that it is on.
    first: Option<(usize, &'a Origin)>,
}

impl<'a> Select<'a> {
    /// An empty list, of which any operation that is ready may be chosen.
    #[inline]
    pub fn new() -> Select<'a> {
        Select { inner: original::Select::new(), len: 0, first: None }
    }

    /// An empty list, of which the first operation that is ready is chosen.
    #[inline]
    pub fn new_biased() -> Self {
        Select { inner: original::Select::new_biased(), ..Select::new() }
    }

    /// Adds sending to `s`, and returns the operation's index.
    #[inline]
    pub fn send<T>(&mut self, s: &'a Sender<T>) -> usize {
        let index = self.inner.send(&s.inner);
        self.added(index, &s.origin)
    }

    /// Adds receiving from `r`, and returns the operation's index.
    #[inline]
    pub fn recv<T>(&mut self, r: &'a Receiver<T>) -> usize {
        let index = self.inner.recv(&r.inner);
        self.added(index, &r.origin)
    }

    #[inline]
    fn added(&mut self, index: usize, origin: &'a Origin) -> usize {
        self.len += 1;
        if self.len == 1 {
            self.first = Some((index, origin));
        }
        index
    }

    /// Takes an operation from the list, for instance because its channel is disconnected; other indices stay as they are.
    ///
    /// # Panics
    /// If there is no operation with this index.
    pub fn remove(&mut self, index: usize) {
        self.inner.remove(index);
        self.len -= 1;
        self.first = self.first.filter(|(first, _)| *first != index);
    }

    /// Chooses an operation that is ready; never a block event.
    ///
    /// # Errors
    /// If none is.
    #[inline]
    pub fn try_select(&mut self) -> Result<SelectedOperation<'a>, TrySelectError> {
        self.inner.try_select().map(|inner| SelectedOperation { inner })
    }

    /// Chooses an operation that is ready, waiting for one if none is.
    ///
    /// # Panics
    /// If the list is empty.
    #[inline(always)]
    #[track_caller]
    pub fn select(&mut self) -> SelectedOperation<'a> {
        match self.inner.try_select() {
            Ok(inner) => SelectedOperation { inner },
            Err(TrySelectError) => {
                let event = self.event(Location::caller());
                SelectedOperation { inner: blocked(Limit::None, event, || self.inner.select()) }
            }
        }
    }

    /// As [`select`](Self::select), but gives up after `timeout`; waits for as long if the list is empty. A timeout of zero cannot
    /// wait and is not recorded.
    ///
    /// # Errors
    /// If none was ready in time.
    #[inline(always)]
    #[track_caller]
    pub fn select_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        match self.inner.try_select() {
            Ok(inner) => Ok(SelectedOperation { inner }),
            Err(TrySelectError) => {
                let event = self.event(Location::caller());
                let limit = Limit::For(timeout);
                let selected = blocked(limit, event, || self.inner.select_timeout(timeout));
                selected.map(|inner| SelectedOperation { inner })
            }
        }
    }

    /// As [`select`](Self::select), but gives up at `deadline`; waits until then if the list is empty. A deadline that has passed
    /// leaves no time to wait and is not recorded.
    ///
    /// # Errors
    /// If none was ready in time.
    #[inline(always)]
    #[track_caller]
    pub fn select_deadline(
        &mut self,
        deadline: Instant,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        match self.inner.try_select() {
            Ok(inner) => Ok(SelectedOperation { inner }),
            Err(TrySelectError) => {
                let event = self.event(Location::caller());
                let limit = Limit::Until(deadline);
                let selected = blocked(limit, event, || self.inner.select_deadline(deadline));
                selected.map(|inner| SelectedOperation { inner })
            }
        }
    }

    /// The index of an operation that is ready, perhaps no longer so when it is tried; never a block event.
    ///
    /// # Errors
    /// If none is.
    #[inline]
    pub fn try_ready(&mut self) -> Result<usize, TryReadyError> {
        self.inner.try_ready()
    }

    /// The index of an operation that is ready, perhaps no longer so when it is tried, waiting for one if none is.
    ///
    /// # Panics
    /// If the list is empty.
    #[inline(always)]
    #[track_caller]
    pub fn ready(&mut self) -> usize {
        match self.inner.try_ready() {
            Ok(index) => index,
            Err(TryReadyError) => {
                let event = self.event(Location::caller());
                blocked(Limit::None, event, || self.inner.ready())
            }
        }
    }

    /// As [`ready`](Self::ready), but gives up after `timeout`; waits for as long if the list is empty. A timeout of zero cannot wait
    /// and is not recorded.
    ///
    /// # Errors
    /// If none was ready in time.
    #[inline(always)]
    #[track_caller]
    pub fn ready_timeout(&mut self, timeout: Duration) -> Result<usize, ReadyTimeoutError> {
        match self.inner.try_ready() {
            Ok(index) => Ok(index),
            Err(TryReadyError) => {
                let event = self.event(Location::caller());
                blocked(Limit::For(timeout), event, || self.inner.ready_timeout(timeout))
            }
        }
    }

    /// As [`ready`](Self::ready), but gives up at `deadline`; waits until then if the list is empty. A deadline that has passed leaves
    /// no time to wait and is not recorded.
    ///
    /// # Errors
    /// If none was ready in time.
    #[inline(always)]
    #[track_caller]
    pub fn ready_deadline(&mut self, deadline: Instant) -> Result<usize, ReadyTimeoutError> {
        match self.inner.try_ready() {
            Ok(index) => Ok(index),
            Err(TryReadyError) => {
                let event = self.event(Location::caller());
                blocked(Limit::Until(deadline), event, || self.inner.ready_deadline(deadline))
            }
        }
    }

    /// Of the channel, if it is but one: with several, none is waited for more than the others.
    fn event(&self, site: Site) -> Event {
        let origin = self.first.filter(|_| self.len == 1).map(|(_, origin)| *origin);
        Event::new(Kind::Select, origin, site)
    }
}

impl Default for Select<'_> {
    fn default() -> Self {
        Select::new()
    }
}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

/// An operation that a [`Select`] has chosen and that must now be done.
///
/// # Panics
/// If it is dropped instead.
#[must_use]
pub struct SelectedOperation<'a> {
    inner: original::SelectedOperation<'a>,
}

impl SelectedOperation<'_> {
    /// The operation's index, as [`Select::send`] or [`Select::recv`] returned it.
    #[inline]
    pub fn index(&self) -> usize {
        self.inner.index()
    }

    /// Sends `msg`. It does not wait.
    ///
    /// # Errors
    /// Gives the message back if all receivers are gone.
    ///
    /// # Panics
    /// If `s` is not the very reference's target that the operation was made with.
    #[inline]
    pub fn send<T>(self, s: &Sender<T>, msg: T) -> Result<(), SendError<T>> {
        self.inner.send(&s.inner, msg)
    }

    /// Receives a message. It does not wait.
    ///
    /// # Errors
    /// If the channel is empty and all senders are gone.
    ///
    /// # Panics
    /// If `r` is not the very reference's target that the operation was made with.
    #[inline]
    pub fn recv<T>(self, r: &Receiver<T>) -> Result<T, RecvError> {
        self.inner.recv(&r.inner)
    }
}

impl fmt::Debug for SelectedOperation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}
