//! What `select!` expands to. Not part of the public API: no stability is promised.

pub use ::crossbeam_channel::select as try_in_any_order;
pub use ::crossbeam_channel::select_biased as try_in_order;
pub use pprof_macros::crossbeam_select as select;
