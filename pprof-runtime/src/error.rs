//! The crate's one error type.

use std::fmt;

/// What went wrong, for programs; the message is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A profile of this kind is already being taken.
    AlreadyRunning,
    /// A value given by the caller is outside its range.
    InvalidInput,
    /// The operating system refused a resource.
    System,
    /// This platform has no implementation yet.
    Unsupported,
    /// The collection was cancelled before its end.
    Cancelled,
    /// Reading or writing failed.
    Io,
}

/// An error of this crate: a kind, a message that says cause and remedy, and the underlying error if there is one.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), source: None }
    }

    pub(crate) fn with_source(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Error { kind, message: message.into(), source: Some(source.into()) }
    }

    /// `what` needs stacks, and they cannot be captured here.
    pub(crate) fn unsupported_platform(what: &str) -> Self {
        let message =
            format!("{what} is not supported on this platform yet: it needs Linux on x86_64");
        Error::new(ErrorKind::Unsupported, message)
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

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|e| &**e as &(dyn std::error::Error + 'static))
    }
}
