//! Where the functions of libc that block are not watched.

use crate::error::{Error, ErrorKind};

/// # Errors
/// `Unsupported`, always.
pub(super) fn check() -> Result<(), Error> {
    let message = "blocking I/O cannot be watched here: it needs Linux on x86_64 with glibc, linked \
                   dynamically, and no sanitizer";
    Err(Error::new(ErrorKind::Unsupported, message))
}
