//! Channels that tell the block profile how long a thread waited for the other side.
//!
//! A drop-in for [`std::sync::mpsc`]: change the path in the `use` and nothing else. Types, methods, trait
//! implementations, `Debug` output and blocking behaviour are std's, the error types are std's own, and a message
//! travels as it is, with no stamp beside it.
//!
//! While [`set_block_profile_rate`](crate::set_block_profile_rate) is above zero, every [`Receiver::recv`],
//! [`Receiver::recv_timeout`], step of [`Iter`] or [`IntoIter`] and [`SyncSender::send`] that has to wait is one
//! block event, charged to the stack that waited; a wait ended by a timeout or by the other side hanging up counts
//! like any other. What never waits is never recorded: [`Sender::send`], the `try_` methods, [`TryIter`], and
//! `recv_timeout` with a timeout of zero.
//!
//! # Overhead
//!
//! An operation that need not wait costs what std's costs at any rate: the wrapper asks std's `try_` method, which
//! does the whole work. One that waits adds a failed try, and with a rate set two stamps and a stack walk.
//!
//! # Examples
//!
//! ```
//! use pprof_runtime::sync::mpsc;
//! use std::thread;
//!
//! let (jobs, queue) = mpsc::sync_channel(1);
//! let worker = thread::spawn(move || queue.iter().sum::<u32>());
//! for job in 1..=4 {
//!     jobs.send(job)?; // waits while the queue is full: a block event here
//! }
//! drop(jobs);
//! assert_eq!(worker.join().unwrap(), 10);
//! # Ok::<(), mpsc::SendError<u32>>(())
//! ```

use std::fmt;
use std::panic::Location;
use std::sync::mpsc;
use std::time::Duration;

use crate::source::contention::{Event, Kind, Origin, Site, blocked};

pub use std::sync::mpsc::{RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};

/// Creates a channel with an unbounded buffer, as [`std::sync::mpsc::channel`] does: sending never waits.
///
/// # Examples
///
/// ```
/// use pprof_runtime::sync::mpsc::channel;
///
/// let (tx, rx) = channel();
/// tx.send("hello")?;
/// assert_eq!(rx.recv(), Ok("hello"));
/// # Ok::<(), pprof_runtime::sync::mpsc::SendError<&str>>(())
/// ```
#[inline]
#[must_use]
#[track_caller]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (tx, rx) = mpsc::channel();
    (Sender { inner: tx }, Receiver { inner: rx, origin: Origin::here() })
}

/// Creates a channel that buffers `bound` messages, as [`std::sync::mpsc::sync_channel`] does: sending waits while
/// the buffer is full.
///
/// With a bound of zero there is no buffer, and a sender waits until a receiver takes its message.
///
/// # Examples
///
/// ```
/// use pprof_runtime::sync::mpsc::{TrySendError, sync_channel};
///
/// let (tx, rx) = sync_channel(1);
/// tx.send(1)?;
/// assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)));
/// assert_eq!(rx.recv(), Ok(1));
/// # Ok::<(), pprof_runtime::sync::mpsc::SendError<i32>>(())
/// ```
#[inline]
#[must_use]
#[track_caller]
pub fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
    let (tx, rx) = mpsc::sync_channel(bound);
    let origin = Origin::here();
    (SyncSender { inner: tx, origin }, Receiver { inner: rx, origin })
}

/// The sending half of a [`channel`]; [`std::sync::mpsc::Sender`] in a wrapper without cost.
///
/// It never waits, so it never adds to the block profile.
#[repr(transparent)]
pub struct Sender<T> {
    inner: mpsc::Sender<T>,
}

impl<T> Sender<T> {
    /// Sends `t` without waiting, as [`std::sync::mpsc::Sender::send`] does.
    ///
    /// # Errors
    ///
    /// Gives the message back if the receiver is gone.
    #[inline]
    pub fn send(&self, t: T) -> Result<(), SendError<T>> {
        self.inner.send(t)
    }
}

impl<T> Clone for Sender<T> {
    #[inline]
    fn clone(&self) -> Self {
        Sender { inner: self.inner.clone() }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

/// The sending half of a [`sync_channel`]; [`std::sync::mpsc::SyncSender`] whose waits are block events.
pub struct SyncSender<T> {
    inner: mpsc::SyncSender<T>,
    origin: Origin,
}

impl<T> SyncSender<T> {
    /// Sends `t`, waiting for room in the buffer, or with a bound of zero for a receiver to take it.
    ///
    /// As [`std::sync::mpsc::SyncSender::send`]; a wait is a block event of the calling stack.
    ///
    /// # Errors
    ///
    /// Gives the message back if the receiver is gone, be it before the call or during the wait.
    #[inline(always)]
    #[track_caller]
    pub fn send(&self, t: T) -> Result<(), SendError<T>> {
        match self.inner.try_send(t) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(t)) => Err(SendError(t)),
            Err(TrySendError::Full(t)) => {
                let event = Event::new(Kind::ChannelSend, Some(self.origin), Location::caller());
                blocked(event, || self.inner.send(t))
            }
        }
    }

    /// Sends `t` if that needs no waiting, as [`std::sync::mpsc::SyncSender::try_send`] does; never a block event.
    ///
    /// # Errors
    ///
    /// Gives the message back if the buffer is full (with a bound of zero: if no receiver is waiting) or if the
    /// receiver is gone.
    #[inline]
    pub fn try_send(&self, t: T) -> Result<(), TrySendError<T>> {
        self.inner.try_send(t)
    }
}

impl<T> Clone for SyncSender<T> {
    #[inline]
    fn clone(&self) -> Self {
        SyncSender { inner: self.inner.clone(), origin: self.origin }
    }
}

impl<T> fmt::Debug for SyncSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

/// The receiving half of a [`channel`] or [`sync_channel`]; [`std::sync::mpsc::Receiver`] whose waits are block
/// events.
pub struct Receiver<T> {
    inner: mpsc::Receiver<T>,
    origin: Origin,
}

impl<T> Receiver<T> {
    /// Takes a message if one is there, as [`std::sync::mpsc::Receiver::try_recv`] does; never a block event.
    ///
    /// # Errors
    ///
    /// Tells an empty channel from one whose senders are all gone.
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.inner.try_recv()
    }

    /// Takes the next message, waiting for one if there is none.
    ///
    /// As [`std::sync::mpsc::Receiver::recv`]; a wait is a block event of the calling stack.
    ///
    /// # Errors
    ///
    /// Fails once the channel is empty and all senders are gone, be it before the call or during the wait.
    #[inline(always)]
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        match self.inner.try_recv() {
            Ok(message) => Ok(message),
            Err(TryRecvError::Disconnected) => Err(RecvError),
            Err(TryRecvError::Empty) => {
                blocked(self.event(Location::caller()), || self.inner.recv())
            }
        }
    }

    /// Takes the next message, waiting at most `timeout` for one.
    ///
    /// As [`std::sync::mpsc::Receiver::recv_timeout`]; a wait is a block event of the calling stack, also one that
    /// ends without a message. A timeout of zero cannot wait and is not recorded.
    ///
    /// # Errors
    ///
    /// Tells a timeout from a channel that is empty and whose senders are all gone.
    #[inline(always)]
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        match self.inner.try_recv() {
            Ok(message) => Ok(message),
            Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
            // A poll in disguise: at rate 1 a loop of them would bury the real waits under events of no length.
            Err(TryRecvError::Empty) if timeout.is_zero() => self.inner.recv_timeout(timeout),
            Err(TryRecvError::Empty) => {
                let event = self.event(Location::caller()).timed();
                blocked(event, || self.inner.recv_timeout(timeout))
            }
        }
    }

    fn event(&self, site: Site) -> Event {
        Event::new(Kind::ChannelRecv, Some(self.origin), site)
    }

    /// An iterator that waits for each message and ends when the channel is empty and all senders are gone.
    #[inline]
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { rx: self }
    }

    /// An iterator over the messages that are already there; it never waits.
    #[inline]
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { rx: self }
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
        IntoIter { rx: self }
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

/// Iterator over the messages of a [`Receiver`] that waits for each; made by [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    rx: &'a Receiver<T>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    #[inline(always)]
    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.rx.recv().ok()
    }
}

/// Iterator over the messages that a [`Receiver`] has at hand; made by [`Receiver::try_iter`].
#[derive(Debug)]
pub struct TryIter<'a, T> {
    rx: &'a Receiver<T>,
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.rx.try_recv().ok()
    }
}

/// Iterator over the messages of a [`Receiver`] that owns it and waits for each; made by its `into_iter`.
#[derive(Debug)]
pub struct IntoIter<T> {
    rx: Receiver<T>,
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    #[inline(always)]
    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.rx.recv().ok()
    }
}

/// The ways between a half of ours and std's, for code that asks for std's type. Waits through std's are not recorded.
macro_rules! convert {
    ($half:ident $(, $origin:ident)?) => {
        impl<T> $half<T> {
            /// The std half inside; waits through it are not recorded.
            #[inline]
            pub fn as_inner(&self) -> &mpsc::$half<T> {
                &self.inner
            }

            /// Takes the std half out; waits through it are not recorded.
            #[inline]
            pub fn into_inner(self) -> mpsc::$half<T> {
                self.inner
            }
        }

        impl<T> From<mpsc::$half<T>> for $half<T> {
            /// Wraps one half of a channel that already exists; the other half may stay std's.
            #[inline]
            #[track_caller]
            fn from(inner: mpsc::$half<T>) -> Self {
                $half { inner $(, $origin: Origin::here())? }
            }
        }

        impl<T> From<$half<T>> for mpsc::$half<T> {
            #[inline]
            fn from(half: $half<T>) -> Self {
                half.inner
            }
        }
    };
}

convert!(Sender);
convert!(SyncSender, origin);
convert!(Receiver, origin);
