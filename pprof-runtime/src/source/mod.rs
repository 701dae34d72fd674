//! Sources: one file per profile, joining capture to aggregation.

#[cfg_attr(not(feature = "instrument"), allow(dead_code, unused_imports))]
pub(crate) mod contention;
pub(crate) mod cpu;
pub(crate) mod functions;
mod ticker;
