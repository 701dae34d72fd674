//! The cases over the original's channels: what they demand is what it does, or they prove nothing about ours.
#![cfg(feature = "crossbeam")]

use crossbeam_channel as channel;

mod crossbeam_cases;
