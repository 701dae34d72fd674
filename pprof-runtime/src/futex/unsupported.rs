//! Platforms where calls of libc's functions are not watched.

use crate::error::Error;

/// # Errors
/// `Unsupported`, always.
pub(super) fn check() -> Result<(), Error> {
    Err(Error::unsupported_platform("watching futexes"))
}

/// # Errors
/// `Unsupported`, always.
pub(super) fn check_blocking_io() -> Result<(), Error> {
    check()
}
