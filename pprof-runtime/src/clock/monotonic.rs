//! CLOCK_MONOTONIC as the counter: a tick is a nanosecond.

/// The time since an arbitrary moment, in ticks.
#[inline]
pub(crate) fn ticks() -> u64 {
    super::monotonic_ns()
}

/// Whether ticks differ from nanoseconds and need calibrating.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn choose() -> bool {
    false
}
