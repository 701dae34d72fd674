//! Platforms without a register reader: no stack can be captured.

use super::Registers;

/// Whether stacks can be captured on this platform.
pub(crate) const SUPPORTED: bool = false;

#[inline(always)]
pub(crate) fn current() -> Registers {
    Registers::default()
}

#[inline(always)]
pub(crate) fn pc() -> u64 {
    0
}

/// Not known: zero.
pub(crate) fn thread_pointer() -> usize {
    0
}

/// # Safety
/// None asked: the context is not read.
pub(crate) unsafe fn from_ucontext(_context: *const libc::c_void) -> Registers {
    Registers::default()
}

/// Not done.
///
/// # Safety
/// None asked.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(crate) unsafe fn replace_signal_stack(_stack: &libc::stack_t, _sp: u64) -> bool {
    false
}
