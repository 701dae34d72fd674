//! Platforms without per-thread timers: the handler is never installed.

pub(super) fn prepare() {}

/// # Safety
/// None asked: nothing is done.
pub(super) unsafe fn keep(_context: *mut libc::c_void) {}
