//! The bare locks under `Mutex` and `RwLock`, and what `Condvar` sleeps on: one file per way to sleep, with the same items.
//!
//! Written here rather than taken from std because the three moments that matter are inside a lock, not around it:
//! spinning has failed and a sleep begins; the sleep is over; a sleeper is about to be let in. The uncontended path is
//! what it is in std: one atomic operation to lock, one to unlock.

#[cfg_attr(any(target_os = "linux", target_os = "android"), path = "futex_linux.rs")]
#[cfg_attr(not(any(target_os = "linux", target_os = "android")), path = "parking_lot_other.rs")]
mod lock;

#[cfg_attr(any(target_os = "linux", target_os = "android"), path = "rwlock_futex_linux.rs")]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    path = "rwlock_parking_lot_other.rs"
)]
mod rwlock;

#[cfg_attr(any(target_os = "linux", target_os = "android"), path = "condvar_futex_linux.rs")]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    path = "condvar_parking_lot_other.rs"
)]
mod condvar;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(in crate::sync) mod futex;

pub(super) use condvar::RawCondvar;
pub(super) use lock::RawMutex;
pub(super) use rwlock::RawRwLock;

/// How a sleep with a timeout ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// What was waited for had come before.
    AtOnce,
    Notified,
    TimedOut,
}

#[cfg(test)]
mod tests;
