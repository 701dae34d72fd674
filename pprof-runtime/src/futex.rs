//! Waits of locks and channels that are not ours.
