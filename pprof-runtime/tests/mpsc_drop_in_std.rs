//! The cases over std's channels: what they demand is what std does, or they prove nothing about ours.

use std::sync::mpsc;

mod mpsc_cases;
