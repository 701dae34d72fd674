//! Whole programs as users of `pprof-runtime` write them. Run one with `cargo run --release --example server`.
#![forbid(unsafe_code)]
