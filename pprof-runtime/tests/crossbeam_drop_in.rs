//! The cases over our channels with the block profile off, as a program has them that never turns it on.
#![cfg(feature = "crossbeam")]

use pprof_runtime::crossbeam_channel as channel;

mod crossbeam_cases;
