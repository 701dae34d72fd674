//! Sources: one file per profile, joining capture to aggregation.

#[cfg_attr(
    not(all(
        target_os = "linux",
        target_arch = "x86_64",
        feature = "instrument",
        feature = "crossbeam",
        feature = "futex",
        feature = "parking_lot",
        feature = "tokio"
    )),
    allow(dead_code, unused_imports, reason = "some of it comes with features")
)]
pub(crate) mod contention;
pub(crate) mod cpu;
pub(crate) mod functions;
pub(crate) mod heap;
pub(crate) mod labels;
pub(crate) mod ticker;
mod unwinding;
