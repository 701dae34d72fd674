//! The registers an unwind starts from: one file per OS and architecture with the same items. Miri has no registers.

#[cfg_attr(all(target_os = "linux", target_arch = "x86_64", not(miri)), path = "linux_x86_64.rs")]
#[cfg_attr(
    not(all(target_os = "linux", target_arch = "x86_64", not(miri))),
    path = "unsupported.rs"
)]
mod arch;

#[cfg(target_os = "linux")]
pub(crate) use arch::replace_signal_stack;
pub(crate) use arch::{SUPPORTED, current, from_ucontext, pc, thread_pointer};

/// Program counter, stack pointer and frame pointer of one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Registers {
    pub(crate) pc: u64,
    pub(crate) sp: u64,
    pub(crate) fp: u64,
}
