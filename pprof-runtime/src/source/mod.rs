//! Sources: one file per profile, joining capture to aggregation.

pub(crate) mod contention;
pub(crate) mod cpu;
pub(crate) mod functions;
mod ticker;
