//! The cases over our channels while every wait is recorded: measuring must not change what a channel does.
#![cfg(feature = "crossbeam")]

mod crossbeam_cases;

mod channel {
    pub(crate) use pprof_runtime::crossbeam_channel::*;

    /// Nearly every case makes its channels here, so those do not run before the rate is set.
    pub(crate) fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
        pprof_runtime::set_block_profile_rate(1);
        pprof_runtime::crossbeam_channel::unbounded()
    }

    /// See [`unbounded`].
    pub(crate) fn bounded<T>(cap: usize) -> (Sender<T>, Receiver<T>) {
        pprof_runtime::set_block_profile_rate(1);
        pprof_runtime::crossbeam_channel::bounded(cap)
    }
}
