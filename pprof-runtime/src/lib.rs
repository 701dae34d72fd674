//! Go's pprof for Rust.

pub mod config;
mod aggregate;
mod error;
mod modules;

pub use error::{Error, ErrorKind};
