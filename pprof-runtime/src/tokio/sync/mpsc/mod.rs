//! A queue of messages for one receiver, drop-in for [`tokio::sync::mpsc`].
//!
//! Receiving from an empty channel is a wait of kind `channel-recv`; sending to a full one, or reserving room in it, and waiting for
//! the receiver to go away are of kind `channel-send`. What never waits, the `try_` methods and
//! [`UnboundedSender::send`], is not recorded.
//!
//! The wait of a `poll_recv` that was pending goes on, polled or not, until one is ready or the receiver is used
//! otherwise: nobody tells it that the caller has lost interest. The futures do.

mod bounded;
mod unbounded;

pub use ::tokio::sync::mpsc::{Permit, PermitIterator};

pub use bounded::{OwnedPermit, Receiver, Sender, WeakSender, channel, named_channel};
pub use unbounded::{
    UnboundedReceiver, UnboundedSender, WeakUnboundedSender, named_unbounded_channel,
    unbounded_channel,
};

/// Tokio's error types.
pub mod error {
    #[doc(hidden)]
    #[allow(deprecated)]
    pub use ::tokio::sync::mpsc::error::RecvError;
    pub use ::tokio::sync::mpsc::error::{SendError, TryRecvError, TrySendError};
}

/// What both kinds of receiver have.
macro_rules! receiver {
    ($receiver:ident) => {
        impl<T> $receiver<T> {
            /// Takes the next message, the task waiting until there is one; none once the channel is empty and closed.
            ///
            /// # Cancel safety
            /// Whoever drops the future has lost no message.
            #[inline]
            #[track_caller]
            pub fn recv(&mut self) -> impl Future<Output = Option<T>> {
                self.pending.give_up();
                let event = Event::new(&self.origin, Kind::ChannelRecv, Location::caller());
                Waiting::new(self.inner.recv(), event)
            }

            /// Takes up to `limit` messages to the end of `buffer`, the task waiting until there is one, and returns how many; zero
            /// once the channel is empty and closed, or if `limit` is.
            ///
            /// # Cancel safety
            /// Whoever drops the future has lost no message.
            #[inline]
            #[track_caller]
            pub fn recv_many(
                &mut self,
                buffer: &mut Vec<T>,
                limit: usize,
            ) -> impl Future<Output = usize> {
                self.pending.give_up();
                let event = Event::new(&self.origin, Kind::ChannelRecv, Location::caller());
                Waiting::new(self.inner.recv_many(buffer, limit), event)
            }

            /// Takes the next message if there is one. Never recorded: it does not wait.
            ///
            /// # Errors
            /// Tells an empty channel from a closed one.
            pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
                self.pending.give_up();
                self.inner.try_recv()
            }

            /// As `recv`, by a thread outside of the runtime.
            ///
            /// # Panics
            /// If called where tasks run.
            #[track_caller]
            pub fn blocking_recv(&mut self) -> Option<T> {
                self.pending.give_up();
                if !self.may_wait() {
                    return self.inner.blocking_recv();
                }
                let wait = wait(Kind::ChannelRecv, Some(self.origin), Location::caller());
                let received = self.inner.blocking_recv();
                wait.acquired();
                received
            }

            /// As `recv_many`, by a thread outside of the runtime.
            ///
            /// # Panics
            /// If called where tasks run.
            #[track_caller]
            pub fn blocking_recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
                self.pending.give_up();
                if limit == 0 || !self.may_wait() {
                    return self.inner.blocking_recv_many(buffer, limit);
                }
                let wait = wait(Kind::ChannelRecv, Some(self.origin), Location::caller());
                let received = self.inner.blocking_recv_many(buffer, limit);
                wait.acquired();
                received
            }

            /// Lets nothing be sent from now on. What has been sent, or room been reserved for, can still be received.
            pub fn close(&mut self) {
                self.inner.close();
            }

            /// Whether nothing can be sent any more.
            pub fn is_closed(&self) -> bool {
                self.inner.is_closed()
            }

            /// Whether there is no message.
            pub fn is_empty(&self) -> bool {
                self.inner.is_empty()
            }

            /// How many messages there are.
            pub fn len(&self) -> usize {
                self.inner.len()
            }

            /// As `recv`, as one poll. The module says how long it waits.
            #[inline]
            #[track_caller]
            pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
                let event = Event::new(&self.origin, Kind::ChannelRecv, Location::caller());
                let polled = self.inner.poll_recv(cx);
                self.pending.observe(polled, &event)
            }

            /// As `recv_many`, as one poll. The module says how long it waits.
            #[inline]
            #[track_caller]
            pub fn poll_recv_many(
                &mut self,
                cx: &mut Context<'_>,
                buffer: &mut Vec<T>,
                limit: usize,
            ) -> Poll<usize> {
                let event = Event::new(&self.origin, Kind::ChannelRecv, Location::caller());
                let polled = self.inner.poll_recv_many(cx, buffer, limit);
                self.pending.observe(polled, &event)
            }

            /// How many senders there are.
            pub fn sender_strong_count(&self) -> usize {
                self.inner.sender_strong_count()
            }

            /// How many weak senders there are.
            pub fn sender_weak_count(&self) -> usize {
                self.inner.sender_weak_count()
            }

            /// Whether somebody may still send, and nobody has.
            fn may_wait(&self) -> bool {
                self.inner.is_empty() && self.inner.sender_strong_count() > 0
            }
        }

        impl<T> fmt::Debug for $receiver<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.inner.fmt(f)
            }
        }
    };
}
use receiver;
