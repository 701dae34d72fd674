//! The crate's one error type.

use std::fmt;

/// The class of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The gzip stream is damaged or cut.
    Gzip,
    /// The bytes are not the wire form of a profile.
    Wire,
    /// The profile is larger than the caller's [`Limits`](crate::Limits) allow.
    TooLarge,
    /// The message decodes, but refers to what is not there or contradicts itself.
    Invalid,
}

/// Why a profile was refused: the offence, and the entry that commits it.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Invalid, message)
    }

    /// The class of this error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
