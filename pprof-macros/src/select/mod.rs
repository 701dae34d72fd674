//! `select!` over the channels of `pprof_runtime::crossbeam_channel`.
//!
//! It is the original's `select!` over the original's halves, so that selecting is the original's business, with marks where a wait begins
//! and ends. The macro is public, unlike what it expands to.

mod expand;
mod parse;

pub(crate) use self::{expand::select, parse::parse};
