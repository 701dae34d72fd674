//! The cases over our channels while every wait is recorded: measuring must not change what a channel does.

mod mpsc_cases;

mod mpsc {
    pub(crate) use pprof_runtime::sync::mpsc::*;

    /// Every case makes its channels here, so none runs before the rate is set.
    pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
        pprof_runtime::set_block_profile_rate(1);
        pprof_runtime::sync::mpsc::channel()
    }

    /// See [`channel`].
    pub(crate) fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
        pprof_runtime::set_block_profile_rate(1);
        pprof_runtime::sync::mpsc::sync_channel(bound)
    }
}
