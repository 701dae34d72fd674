//! Where there are no signals, what ends the process may leave halves of files.

/// Nothing to wait for.
pub fn watch() {}

pub(crate) fn restoring_terminal<T>(work: impl FnOnce() -> T) -> T {
    work()
}
