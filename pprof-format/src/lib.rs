//! The profile.proto data model.
#![forbid(unsafe_code)]
