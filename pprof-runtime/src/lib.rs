//! Go's pprof for Rust.

pub mod config;
mod aggregate;
mod capture;
mod clock;
mod error;
mod modules;
mod source;
pub mod sync;

pub use error::{Error, ErrorKind};

/// sets
pub fn set_mutex_profile_fraction(n: i64) -> i64 {
    source::contention::set_mutex_fraction(n)
}
/// sets
pub fn set_block_profile_rate(ns: i64) {
    source::contention::set_block_rate(ns)
}
