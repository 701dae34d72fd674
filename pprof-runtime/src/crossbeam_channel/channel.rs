//! Making channels.

use std::time::{Duration, Instant};

use ::crossbeam_channel as original;

use super::{Receiver, Sender};
use crate::source::contention::Origin;

/// Creates a channel with an unbounded buffer, as [`crossbeam_channel::unbounded`](original::unbounded) does: sending never waits.
///
/// # Examples
/// ```
/// use pprof_runtime::crossbeam_channel::unbounded;
///
/// let (s, r) = unbounded();
/// s.send("hello")?;
/// assert_eq!(r.recv(), Ok("hello"));
/// # Ok::<(), pprof_runtime::crossbeam_channel::SendError<&str>>(())
/// ```
#[inline]
#[track_caller]
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    halves(original::unbounded())
}

/// Creates a channel that buffers `cap` messages, as [`crossbeam_channel::bounded`](original::bounded) does: sending waits while the
/// buffer is full.
///
/// With a capacity of zero there is no buffer, and a sender waits until a receiver takes its message.
///
/// # Examples
/// ```
/// use pprof_runtime::crossbeam_channel::{TrySendError, bounded};
///
/// let (s, r) = bounded(1);
/// s.send(1)?;
/// assert_eq!(s.try_send(2), Err(TrySendError::Full(2)));
/// assert_eq!(r.recv(), Ok(1));
/// # Ok::<(), pprof_runtime::crossbeam_channel::SendError<i32>>(())
/// ```
#[inline]
#[track_caller]
pub fn bounded<T>(cap: usize) -> (Sender<T>, Receiver<T>) {
    halves(original::bounded(cap))
}

#[inline]
#[track_caller]
fn halves<T>((s, r): (original::Sender<T>, original::Receiver<T>)) -> (Sender<T>, Receiver<T>) {
    let origin = Origin::here();
    (Sender { inner: s, origin }, Receiver { inner: r, origin })
}

/// A receiver of one message, which comes after `duration`: the time of its delivery.
///
/// As [`crossbeam_channel::after`](original::after); waiting for the message is a block event.
///
/// # Examples
/// ```
/// use pprof_runtime::crossbeam_channel::after;
/// use std::time::{Duration, Instant};
///
/// let start = Instant::now();
/// assert!(after(Duration::from_millis(5)).recv()? >= start + Duration::from_millis(5));
/// # Ok::<(), pprof_runtime::crossbeam_channel::RecvError>(())
/// ```
#[inline]
#[track_caller]
pub fn after(duration: Duration) -> Receiver<Instant> {
    Receiver { inner: original::after(duration), origin: Origin::here() }
}

/// A receiver of one message, which comes at `when`: the time of its delivery.
///
/// As [`crossbeam_channel::at`](original::at); waiting for the message is a block event.
///
/// # Examples
/// ```
/// use pprof_runtime::crossbeam_channel::at;
/// use std::time::{Duration, Instant};
///
/// let when = Instant::now() + Duration::from_millis(5);
/// assert!(at(when).recv()? >= when);
/// # Ok::<(), pprof_runtime::crossbeam_channel::RecvError>(())
/// ```
#[inline]
#[track_caller]
pub fn at(when: Instant) -> Receiver<Instant> {
    Receiver { inner: original::at(when), origin: Origin::here() }
}

/// A receiver of messages that never come, as [`crossbeam_channel::never`](original::never): an operation for [`select!`](super::select!)
/// that is there or not.
///
/// # Examples
/// ```
/// use pprof_runtime::crossbeam_channel::{after, never, select, unbounded};
/// use std::time::Duration;
///
/// let (_s, r) = unbounded::<u32>();
/// let timeout = Some(Duration::from_millis(5));
/// select! {
///     recv(r) -> _ => panic!("nothing is sent"),
///     recv(timeout.map_or_else(never, after)) -> _ => {}
/// }
/// ```
#[inline]
#[track_caller]
pub const fn never<T>() -> Receiver<T> {
    Receiver { inner: original::never(), origin: Origin::here() }
}

/// A receiver of messages that come every `duration`: the times of their delivery.
///
/// As [`crossbeam_channel::tick`](original::tick); waiting for a message is a block event.
///
/// # Examples
/// ```
/// use pprof_runtime::crossbeam_channel::tick;
/// use std::time::Duration;
///
/// let ticks = tick(Duration::from_millis(2));
/// assert!(ticks.recv()? < ticks.recv()?);
/// # Ok::<(), pprof_runtime::crossbeam_channel::RecvError>(())
/// ```
#[inline]
#[track_caller]
pub fn tick(duration: Duration) -> Receiver<Instant> {
    Receiver { inner: original::tick(duration), origin: Origin::here() }
}
