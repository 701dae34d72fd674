//! Aggregation: stacks and their counters.
//!
//! The recording half (`stack_table`, `intern`) is written to from instrumented locks and keeps capture's rules: no allocation,
//! no locks, no panics. The reading half (`snapshot`) copies the counters out and subtracts two copies.

pub(crate) mod call_paths;
pub(crate) mod columns;
pub(crate) mod histogram;
pub(crate) mod intern;
pub(crate) mod looks;
pub(crate) mod path_snapshot;
pub(crate) mod site;
pub(crate) mod snapshot;
pub(crate) mod stack_table;
