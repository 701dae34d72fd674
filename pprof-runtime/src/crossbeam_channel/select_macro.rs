//! `select!` and `select_biased!`: names and documentation of a macro of `pprof-macros`, which is told where this crate is.

/// Waits until one of several channel operations can be done, and does it.
///
/// As the original's [`select!`](::crossbeam_channel::select!), with the same grammar; a wait is a block event of the calling stack.
///
/// | operation                          |                                                                                     |
/// |------------------------------------|-------------------------------------------------------------------------------------|
/// | `recv(receiver) -> pattern => ...` | takes a message; the pattern is for `Result<T, RecvError>`                          |
/// | `send(sender, message) -> pattern => ...` | sends; the message is computed when this is chosen, the pattern is for `Result<(), SendError<T>>` |
/// | `default => ...`                   | what to do if nothing can be done now: never waits, never a block event             |
/// | `default(timeout) => ...`          | what to do if nothing could be done for so long                                     |
///
/// Commas end the operations, and may be left out after a block. If several operations can be done, any of them is chosen; an operation
/// on a channel that is disconnected can be done. The value is that of the chosen operation's expression, which may also leave by `break`,
/// `return` or `?`.
///
/// # Examples
/// ```
/// use pprof_runtime::crossbeam_channel::{bounded, select};
/// use std::time::Duration;
///
/// let (s1, r1) = bounded(1);
/// let (s2, r2) = bounded::<&str>(0);
/// let done = select! {
///     send(s1, 10) -> result => { result?; "sent" }
///     recv(r2) -> message => message.unwrap(),
///     default(Duration::from_secs(1)) => "nothing",
/// };
/// assert_eq!((done, r1.recv()), ("sent", Ok(10)));
/// drop(s2);
/// # Ok::<(), pprof_runtime::crossbeam_channel::SendError<i32>>(())
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __crossbeam_select {
    ($($tokens:tt)*) => {
        $crate::crossbeam_channel::macro_support::select! {
            [$crate::crossbeam_channel] in_any_order $($tokens)*
        }
    };
}

/// Waits until one of several channel operations can be done, and does the first that can.
///
/// As the original's [`select_biased!`](::crossbeam_channel::select_biased!): [`select!`](crate::crossbeam_channel::select!), but if
/// several operations can be done, it is the one listed first that is chosen.
///
/// # Examples
/// ```
/// use pprof_runtime::crossbeam_channel::{select_biased, unbounded};
///
/// let (urgent, first) = unbounded();
/// let (other, second) = unbounded();
/// other.send("other")?;
/// urgent.send("urgent")?;
/// let message = select_biased! {
///     recv(first) -> message => message,
///     recv(second) -> message => message,
/// };
/// assert_eq!(message, Ok("urgent"));
/// # Ok::<(), pprof_runtime::crossbeam_channel::SendError<&str>>(())
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __crossbeam_select_biased {
    ($($tokens:tt)*) => {
        $crate::crossbeam_channel::macro_support::select! {
            [$crate::crossbeam_channel] in_order $($tokens)*
        }
    };
}
