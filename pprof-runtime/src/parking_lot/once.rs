//! `Once`: something done once, whose doer is charged for those who wait for it.

use std::fmt;
use std::panic::Location;

use crate::source::contention::{Kind, Monitor, Origin, Site};

pub use parking_lot_0_13::OnceState;

/// A one-time initialisation, drop-in for [`parking_lot::Once`](parking_lot_0_13::Once).
///
/// Waits appear in the `block` profile, and in the `mutex` profile as of the thread that ran the initialisation.
///
/// # Examples
/// ```
/// use pprof_runtime::parking_lot::{Once, OnceState};
///
/// static START: Once = Once::new();
///
/// START.call_once(|| assert_eq!(START.state(), OnceState::InProgress));
/// START.call_once(|| unreachable!("done already"));
/// assert!(START.is_completed());
/// ```
pub struct Once {
    inner: parking_lot_0_13::Once,
    monitor: Monitor,
}

impl Once {
    /// One that is yet to be done.
    #[inline]
    #[must_use]
    #[track_caller]
    pub const fn new() -> Once {
        Once::with(parking_lot_0_13::Once::new(), Origin::here())
    }

    /// One that is yet to be done, which profiles show as `name`; others by where they were made.
    ///
    /// Not in the original.
    #[must_use]
    pub const fn named(name: &'static str) -> Once {
        Once::with(parking_lot_0_13::Once::new(), Origin::Name(name))
    }

    /// One that counts as done.
    #[inline]
    #[must_use]
    #[track_caller]
    pub const fn new_completed() -> Once {
        Once::with(parking_lot_0_13::Once::new_completed(), Origin::here())
    }

    const fn with(inner: parking_lot_0_13::Once, origin: Origin) -> Once {
        Once { inner, monitor: Monitor::new(origin) }
    }

    /// How far it is at the moment.
    #[inline]
    pub fn state(&self) -> OnceState {
        self.inner.state()
    }

    /// Whether it has been done.
    #[inline]
    pub fn is_completed(&self) -> bool {
        self.inner.is_completed()
    }

    /// Waits until it has been done.
    ///
    /// # Panics
    /// If doing it has panicked.
    #[inline]
    #[track_caller]
    pub fn wait(&self) {
        if !self.is_completed() {
            self.wait_contended(false, Location::caller());
            // Work left after the call: its stack is to be read while it waits.
            std::hint::black_box(());
        }
    }

    /// Waits until it has been done, whoever has panicked over it.
    #[inline]
    #[track_caller]
    pub fn wait_force(&self) {
        if !self.is_completed() {
            self.wait_contended(true, Location::caller());
            std::hint::black_box(());
        }
    }

    /// Runs `f` unless it has been done, and waits for whoever is doing it.
    ///
    /// # Panics
    /// If doing it has panicked before.
    #[inline]
    #[track_caller]
    pub fn call_once<F>(&self, f: F)
    where
        F: FnOnce(),
    {
        if self.is_completed() {
            return;
        }
        let mut f = Some(f);
        self.call_contended(false, Location::caller(), &mut |_| {
            if let Some(f) = f.take() {
                f();
            }
        });
        std::hint::black_box(());
    }

    /// As [`call_once`](Once::call_once), also if doing it has panicked before, which `f` is told.
    #[inline]
    #[track_caller]
    pub fn call_once_force<F>(&self, f: F)
    where
        F: FnOnce(OnceState),
    {
        if self.is_completed() {
            return;
        }
        let mut f = Some(f);
        self.call_contended(true, Location::caller(), &mut |state| {
            if let Some(f) = f.take() {
                f(state);
            }
        });
        std::hint::black_box(());
    }

    #[cold]
    fn wait_contended(&self, force: bool, site: Site) {
        if !force && self.state() == OnceState::Poisoned {
            // Panics.
            return self.inner.wait();
        }
        let wait = self.monitor.wait(Kind::Once, site);
        if force {
            self.inner.wait_force();
        } else {
            self.inner.wait();
        }
        wait.acquired();
    }

    /// Whether one is to wait or to run `f` is found out by the original: a wait that ends in running `f` at once was none.
    #[cold]
    fn call_contended(&self, force: bool, site: Site, f: &mut dyn FnMut(OnceState)) {
        let state = self.state();
        if !force && state == OnceState::Poisoned {
            // Panics.
            return self.inner.call_once(|| f(OnceState::New));
        }
        let mut wait = Some(self.monitor.wait(Kind::Once, site));
        let mut run = |now| {
            match wait.take() {
                Some(wait) if state == OnceState::InProgress => wait.acquired(),
                Some(wait) => wait.did_not_sleep(),
                None => {}
            }
            self.monitor.acquired(site);
            let _running = Running(&self.monitor);
            f(now);
        };
        if force {
            self.inner.call_once_force(run);
        } else {
            self.inner.call_once(|| run(OnceState::New));
        }
        if let Some(wait) = wait {
            wait.acquired();
        }
    }
}

/// The calling thread runs the initialisation, to its end or to a panic.
struct Running<'m>(&'m Monitor);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let hold = self.0.releasing(Kind::Once);
        if self.0.is_owed() {
            self.0.unlocking(Kind::Once);
            std::hint::black_box(());
        }
        // Others go on a little later for it, once.
        hold.record();
    }
}

impl Default for Once {
    #[inline]
    #[track_caller]
    fn default() -> Once {
        Once::new()
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
