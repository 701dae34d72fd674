//! A channel of the latest value, drop-in for [`tokio::sync::watch`].
//!
//! [`Receiver::changed`] and [`Receiver::wait_for`] are waits of kind `channel-recv`, [`Sender::closed`] is one of
//! kind `channel-send`. The short lock of the value that borrowing and sending take is not ours and not seen.

use std::fmt;
use std::panic::Location;

use ::tokio::sync::watch as inner;

pub use ::tokio::sync::watch::Ref;

use self::error::{RecvError, SendError};
use crate::source::contention::{Kind, Origin};
use crate::tokio::waiting::{Event, Waiting};

/// Tokio's error types.
pub mod error {
    pub use ::tokio::sync::watch::error::{RecvError, SendError};
}

/// A channel whose value is `init` to begin with.
///
/// # Examples
/// ```
/// use pprof_runtime::tokio::sync::watch;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let (tx, mut rx) = watch::channel("starting");
/// tokio::spawn(async move { tx.send("ready") });
/// assert_eq!(*rx.wait_for(|state| *state == "ready").await.unwrap(), "ready");
/// # });
/// ```
#[track_caller]
pub fn channel<T>(init: T) -> (Sender<T>, Receiver<T>) {
    with_origin(init, Origin::here())
}

/// As [`channel`]; profiles show it as `name`, others by where they were made.
///
/// Not in tokio.
pub fn named_channel<T>(init: T, name: &'static str) -> (Sender<T>, Receiver<T>) {
    with_origin(init, Origin::Name(name))
}

fn with_origin<T>(init: T, origin: Origin) -> (Sender<T>, Receiver<T>) {
    let (tx, rx) = inner::channel(init);
    (Sender { inner: tx, origin }, Receiver { inner: rx, origin })
}

/// A half that sends.
pub struct Sender<T> {
    inner: inner::Sender<T>,
    origin: Origin,
}

/// A half that receives.
pub struct Receiver<T> {
    inner: inner::Receiver<T>,
    origin: Origin,
}

impl<T> Receiver<T> {
    /// The latest value, which stays unseen. Senders wait, blocking their thread, while it is borrowed.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.inner.borrow()
    }

    /// The latest value, which counts as seen from now on. Senders wait, blocking their thread, while it is borrowed.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.inner.borrow_and_update()
    }

    /// Whether there is a value that it has not seen.
    ///
    /// # Errors
    /// If all senders are gone.
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        self.inner.has_changed()
    }

    /// Whether all senders are gone.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// The value counts as unseen from now on.
    pub fn mark_changed(&mut self) {
        self.inner.mark_changed();
    }

    /// The value counts as seen from now on.
    pub fn mark_unchanged(&mut self) {
        self.inner.mark_unchanged();
    }

    /// Waits for a value that it has not seen, and counts it as seen.
    ///
    /// # Errors
    /// If there is none and all senders are gone.
    ///
    /// # Cancel safety
    /// Whoever drops the future has seen nothing.
    #[inline]
    #[track_caller]
    pub fn changed(&mut self) -> impl Future<Output = Result<(), RecvError>> {
        let event = Event::new(&self.origin, Kind::ChannelRecv, Location::caller());
        Waiting::new(self.inner.changed(), event)
    }

    /// Waits for a value of which `f` holds.
    ///
    /// # Errors
    /// If it does not hold of the last one and all senders are gone.
    ///
    /// # Cancel safety
    /// Values of which `f` did not hold count as seen.
    #[inline]
    #[track_caller]
    pub fn wait_for(
        &mut self,
        f: impl FnMut(&T) -> bool,
    ) -> impl Future<Output = Result<Ref<'_, T>, RecvError>> {
        let event = Event::new(&self.origin, Kind::ChannelRecv, Location::caller());
        Waiting::new(self.inner.wait_for(f), event)
    }

    /// Whether they receive from the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.inner.same_channel(&other.inner)
    }
}

impl<T> Sender<T> {
    /// The sending half of a [`channel`] without a receiver yet.
    #[track_caller]
    pub fn new(init: T) -> Self {
        Sender { inner: inner::Sender::new(init), origin: Origin::here() }
    }

    /// Makes `value` the latest one.
    ///
    /// # Errors
    /// The value, if there is no receiver.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.inner.send(value)
    }

    /// Changes the value in place, be there receivers or not.
    pub fn send_modify<F>(&self, modify: F)
    where
        F: FnOnce(&mut T),
    {
        self.inner.send_modify(modify);
    }

    /// Changes the value in place, and tells receivers if `modify` says that it has: returns what it says.
    pub fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        self.inner.send_if_modified(modify)
    }

    /// Makes `value` the latest one, be there receivers or not, and returns the one before.
    pub fn send_replace(&self, value: T) -> T {
        self.inner.send_replace(value)
    }

    /// The latest value. Senders wait, blocking their thread, while it is borrowed.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.inner.borrow()
    }

    /// Whether there is no receiver.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// Waits until there is no receiver.
    #[track_caller]
    pub fn closed(&self) -> impl Future<Output = ()> {
        let event = Event::new(&self.origin, Kind::ChannelSend, Location::caller());
        Waiting::new(self.inner.closed(), event)
    }

    /// One more receiver, which has seen the latest value.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver { inner: self.inner.subscribe(), origin: self.origin }
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.inner.receiver_count()
    }

    /// How many senders there are.
    pub fn sender_count(&self) -> usize {
        self.inner.sender_count()
    }

    /// Whether they send to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.inner.same_channel(&other.inner)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender { inner: self.inner.clone(), origin: self.origin }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Receiver { inner: self.inner.clone(), origin: self.origin }
    }
}

impl<T: Default> Default for Sender<T> {
    #[track_caller]
    fn default() -> Self {
        Sender::new(T::default())
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
