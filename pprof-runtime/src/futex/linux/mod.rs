//! Functions of libc that are replaced by ours.

mod calls;
mod probe;

#[cfg_attr(target_arch = "x86_64", path = "syscall_x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "syscall_aarch64.rs")]
mod syscall;

// Where the definition that ours stands before can be asked for, and is not a sanitizer's, which has to see calls first.
#[cfg_attr(
    all(
        target_arch = "x86_64",
        target_env = "gnu",
        not(target_feature = "crt-static"),
        not(sanitized)
    ),
    path = "blocking_x86_64.rs"
)]
#[cfg_attr(
    not(all(
        target_arch = "x86_64",
        target_env = "gnu",
        not(target_feature = "crt-static"),
        not(sanitized)
    )),
    path = "blocking_unsupported.rs"
)]
mod blocking;

use crate::error::Error;

/// # Errors
/// `Unsupported` if futex calls do not come here.
pub(super) fn check() -> Result<(), Error> {
    probe::check()
}

/// # Errors
/// `Unsupported` if calls that block do not come here.
pub(super) fn check_blocking_io() -> Result<(), Error> {
    blocking::check()
}
