//! Channels of `crossbeam-channel` that tell the block profile how long a thread waited.
//!
//! A drop-in for [`crossbeam_channel`] 0.5: change the path in the `use` and nothing else. Types, methods,
//! macros, trait implementations, `Debug` output and blocking behaviour are the original's, the error types are the original's own,
//! and a message travels as it is, with no stamp beside it.
//!
//! While [`set_block_profile_rate`](crate::set_block_profile_rate) is above zero, every operation that has to wait is one block event,
//! charged to the stack that waited; a wait ended by a timeout or by the other side hanging up counts like any other.
//!
//! | wait of                                                                    | `kind`         | `lock`                       |
//! |----------------------------------------------------------------------------|----------------|------------------------------|
//! | [`Sender::send`], `send_timeout`, `send_deadline`                          | `channel-send` | where the channel was made   |
//! | [`Receiver::recv`], `recv_timeout`, `recv_deadline`, [`Iter`], [`IntoIter`] | `channel-recv` | where the channel was made   |
//! | [`select!`], [`select_biased!`], [`Select`]                                | `select`       | the same, if it is but one   |
//!
//! What never waits is never recorded: the `try_` methods, [`TryIter`], `select!` with a plain `default`, timeouts of zero and
//! deadlines that have passed.
//!
//! # Overhead
//!
//! An operation that need not wait costs what the original's costs at any rate, or less: the wrapper asks the original's `try_` method,
//! which does the whole work. One that waits adds a failed try, and with a rate set two stamps and a stack walk.
//!
//! A [`select!`] is the original's, and with a rate set looks at its channels before; one whose message another thread takes between that
//! look and the try waits unseen.
//!
//! # Examples
//!
//! ```
//! use pprof_runtime::crossbeam_channel::{bounded, select, tick};
//! use std::{thread, time::Duration};
//!
//! let (jobs, queue) = bounded(1);
//! let worker = thread::spawn(move || {
//!     let (mut sum, clock) = (0, tick(Duration::from_millis(1)));
//!     loop {
//!         select! {
//!             recv(queue) -> job => match job { // waits while both are empty: a block event here
//!                 Ok(job) => sum += job,
//!                 Err(_) => return sum,
//!             },
//!             recv(clock) -> _ => {}
//!         }
//!     }
//! });
//! for job in 1..=4 {
//!     jobs.send(job)?; // waits while the queue is full: a block event here
//! }
//! drop(jobs);
//! assert_eq!(worker.join().unwrap(), 10);
//! # Ok::<(), pprof_runtime::crossbeam_channel::SendError<u32>>(())
//! ```

mod blocking;
mod channel;
mod iter;
mod receiver;
mod select;
mod select_macro;
mod sender;

#[doc(hidden)]
pub mod macro_support;

pub use ::crossbeam_channel::{
    ReadyTimeoutError, RecvError, RecvTimeoutError, SelectTimeoutError, SendError,
    SendTimeoutError, TryReadyError, TryRecvError, TrySelectError, TrySendError,
};

pub use self::{
    channel::{after, at, bounded, never, tick, unbounded},
    iter::{IntoIter, Iter, TryIter},
    receiver::Receiver,
    select::{Select, SelectedOperation},
    sender::Sender,
};
#[doc(inline)]
pub use crate::{__crossbeam_select as select, __crossbeam_select_biased as select_biased};

/// The ways between a half of ours and the original's, for code that asks for that type.
macro_rules! convert {
    ($half:ident) => {
        impl<T> $half<T> {
            /// The original half inside; waits through it are not recorded.
            #[inline]
            pub fn as_inner(&self) -> &original::$half<T> {
                &self.inner
            }

            /// Takes the original half out; waits through it are not recorded.
            #[inline]
            pub fn into_inner(self) -> original::$half<T> {
                self.inner
            }
        }

        impl<T> From<original::$half<T>> for $half<T> {
            /// Wraps one half of a channel that already exists; the others may stay as they are.
            #[inline]
            #[track_caller]
            fn from(inner: original::$half<T>) -> Self {
                $half { inner, origin: Origin::here() }
            }
        }

        impl<T> From<$half<T>> for original::$half<T> {
            #[inline]
            fn from(half: $half<T>) -> Self {
                half.inner
            }
        }
    };
}
use convert;
