//! What the benchmarks share: contenders that take turns, each run of each a process of its own.

pub mod contender;
pub mod go;
pub mod harness;
pub mod measure;
