//! Locks of `parking_lot` 0.13 whose waits are profiled.
//!
//! A drop-in for that crate: change the path in the `use` and nothing else. Locks and guards are those of [`lock_api`], over raw
//! locks of ours that hold one of the original's beside an account of who waits; so mapped, `Arc`ed, upgradable, timed and fair
//! variants are all there, and what is generic over [`lock_api`] takes them. Only [`Condvar`] and [`Once`] are types of their own.
//!
//! Waits appear in the `block` profile, charged to the stack that waited, and those for locks and for a [`Once`] in the `mutex`
//! profile, charged to the stack that ended them. A read lock is released by several: the last to release it is charged.
//!
//! # Names
//! The constructors of these locks are lock_api's, which do not tell where they are called: such a lock is shown by where it was first
//! locked, `lock=first locked at src/cache.rs:12`. Types of our own could have told where they were made, but they would not be
//! those that guards point back to, that `ArcMutexGuard::into_arc` returns and that other crates implement traits for. A raw lock
//! can be told its name, or that it is made [here](RawMutex::here):
//!
//! ```
//! use pprof_runtime::parking_lot::{Mutex, RawMutex, RawRwLock, RwLock};
//!
//! static CACHE: Mutex<Vec<u32>> = Mutex::from_raw(RawMutex::named("the cache"), Vec::new());
//! static INDEX: RwLock<u32> = RwLock::from_raw(RawRwLock::here(), 7);
//!
//! CACHE.lock().push(*INDEX.read());
//! assert_eq!(CACHE.lock()[..], [7]);
//! ```
//!
//! [`ReentrantMutex`] does not tell where it is locked either: it is shown without its place unless it is named.
//!
//! # Overhead
//! 79 bytes more than a mutex of the original, 80 more than a reader-writer lock, and 24 more in a guard that reads. Locking tries first; a wait
//! begins, and is timed while a profile is on, once a spin of about a microsecond has not helped.
//!
//! # Features
//! Those of the original take effect on these types as well, as far as another crate switches them on: `serde` and `owning_ref` of
//! `lock_api`, and `send_guard` of `parking_lot`. `arc_lock` is always on.

mod account;
mod condvar;
mod fair_mutex;
mod mutex;
mod once;
mod reentrant;
mod rwlock;
#[cfg(test)]
mod tests;

pub use lock_api;
pub use lock_api::{
    ArcMutexGuard, ArcReentrantMutexGuard, ArcRwLockReadGuard, ArcRwLockUpgradableReadGuard,
    ArcRwLockWriteGuard,
};

pub use self::condvar::{Condvar, RawCondvar, WaitTimeoutResult};
pub use self::fair_mutex::{FairMutex, FairMutexGuard, MappedFairMutexGuard, RawFairMutex};
pub use self::mutex::{MappedMutexGuard, Mutex, MutexGuard, RawMutex};
pub use self::once::{Once, OnceState};
pub use self::reentrant::{
    MappedReentrantMutexGuard, RawThreadId, ReentrantMutex, ReentrantMutexGuard,
};
pub use self::rwlock::{
    MappedRecursiveRwLockReadGuard, MappedRecursiveRwLockWriteGuard, MappedRwLockReadGuard,
    MappedRwLockWriteGuard, RawRwLock, RawRwLockRecursive, RecursiveRwLock,
    RecursiveRwLockReadGuard, RecursiveRwLockUpgradableReadGuard, RecursiveRwLockWriteGuard,
    RwLock, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard, SharedGuard,
};

use std::any::TypeId;
use std::time::{Duration, Instant};

/// What a guard of the original holds: nothing, but it says whether guards may move between threads.
type Marker = <parking_lot_0_13::RawMutex as lock_api::RawMutex>::Guard;

/// Whether guards may move between threads.
#[inline]
fn guards_move() -> bool {
    TypeId::of::<Marker>() == TypeId::of::<lock_api::GuardSend>()
}

/// When a wait of at most `timeout` is to end; `None` is never.
fn deadline(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}
