//! Locks and channels of `tokio` whose waits are profiled.
