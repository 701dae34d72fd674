//! What is watched, in one byte that every watched call looks at.

use std::sync::atomic::{AtomicU8, Ordering};

/// Futexes, and joined threads.
pub(super) const FUTEX: u8 = 1;
/// Calls that block, if `FUTEX` is set.
pub(super) const BLOCKING_IO: u8 = 2;
/// Some thread looks whether its calls arrive.
#[allow(dead_code, reason = "where calls can be watched")]
pub(super) const PROBING: u8 = 4;

pub(super) static FLAGS: AtomicU8 = AtomicU8::new(0);

#[inline]
pub(super) fn flags() -> u8 {
    // ORDERING: Acquire pairs with the Release in `set`: what recording needs is there.
    FLAGS.load(Ordering::Acquire)
}

pub(super) fn is_set(flag: u8) -> bool {
    flags() & flag != 0
}

/// Returns the former setting.
pub(super) fn set(flag: u8, on: bool) -> bool {
    // ORDERING: Release, see `flags`.
    let before = if on {
        FLAGS.fetch_or(flag, Ordering::Release)
    } else {
        FLAGS.fetch_and(!flag, Ordering::Release)
    };
    before & flag != 0
}
