//! Locks of `parking_lot` whose waits are profiled.
