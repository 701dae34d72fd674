//! `SetOnce`: a value that some wait for and another sets.

use std::fmt;
use std::panic::Location;

use ::tokio::sync::{SetOnce as Inner, SetOnceError};

use crate::source::contention::{Kind, Origin};
use crate::tokio::waiting::{Event, Waiting};

/// A cell that is written once and may be waited for, drop-in for [`tokio::sync::SetOnce`](::tokio::sync::SetOnce).
///
/// Waits appear in the `block` profile.
pub struct SetOnce<T> {
    origin: Origin,
    inner: Inner<T>,
}

impl<T> SetOnce<T> {
    /// An empty cell.
    #[track_caller]
    pub fn new() -> Self {
        SetOnce { origin: Origin::here(), inner: Inner::new() }
    }

    /// As [`new`](SetOnce::new), for a `static`.
    #[track_caller]
    pub const fn const_new() -> Self {
        SetOnce { origin: Origin::here(), inner: Inner::const_new() }
    }

    /// An empty cell, which profiles show as `name`; others by where they were made.
    ///
    /// Not in tokio.
    pub const fn named(name: &'static str) -> Self {
        SetOnce { origin: Origin::Name(name), inner: Inner::const_new() }
    }

    /// A cell with this value, or an empty one.
    #[track_caller]
    pub fn new_with(value: Option<T>) -> Self {
        SetOnce { origin: Origin::here(), inner: Inner::new_with(value) }
    }

    /// A cell with this value, for a `static`.
    #[track_caller]
    pub const fn const_new_with(value: T) -> Self {
        SetOnce { origin: Origin::here(), inner: Inner::const_new_with(value) }
    }

    /// Whether it has a value.
    pub fn initialized(&self) -> bool {
        self.inner.initialized()
    }

    /// The value, if it has one.
    pub fn get(&self) -> Option<&T> {
        self.inner.get()
    }

    /// Gives it this value, and tells all who wait.
    ///
    /// # Errors
    /// The value, if it has one already.
    pub fn set(&self, value: T) -> Result<(), SetOnceError<T>> {
        self.inner.set(value)
    }

    /// The value, the cell being gone.
    pub fn into_inner(self) -> Option<T> {
        self.inner.into_inner()
    }

    /// The value, the task waiting until there is one.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect on others.
    #[inline]
    #[track_caller]
    pub fn wait(&self) -> impl Future<Output = &T> {
        let event = Event::new(&self.origin, Kind::Once, Location::caller()).budget_last();
        Waiting::new(self.inner.wait(), event)
    }
}

impl<T> Default for SetOnce<T> {
    #[track_caller]
    fn default() -> Self {
        SetOnce::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for SetOnce<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T: Clone> Clone for SetOnce<T> {
    #[track_caller]
    fn clone(&self) -> Self {
        SetOnce { origin: Origin::here(), inner: self.inner.clone() }
    }
}

impl<T: PartialEq> PartialEq for SetOnce<T> {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl<T: Eq> Eq for SetOnce<T> {}

impl<T> From<T> for SetOnce<T> {
    #[track_caller]
    fn from(value: T) -> Self {
        SetOnce { origin: Origin::here(), inner: Inner::from(value) }
    }
}
