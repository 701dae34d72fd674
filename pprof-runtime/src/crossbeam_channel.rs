//! Channels of `crossbeam-channel` whose waits are profiled.
