//! Attribute macros of `pprof-runtime`.
#![forbid(unsafe_code)]
