//! `select!` over the channels of `pprof_runtime::crossbeam_channel`.
//!
//! The original's macro is of no use as it is: it takes the original's channels, and waits unseen. But it is public, unlike what it
//! expands to, so it does what it does best, trying without waiting and without allocating; `Select` of the runtime does the waiting.

mod expand;
mod parse;

pub(crate) use self::{expand::select, parse::parse};
