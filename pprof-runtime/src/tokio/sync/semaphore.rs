//! `Semaphore`: permits, for as many as there are at a time.

use std::fmt;
use std::mem;
use std::panic::Location;
use std::sync::Arc;

use ::tokio::sync::{AcquireError, Semaphore as Inner, TryAcquireError};

use super::permits;
use crate::source::contention::{Kind, Monitor, Origin, Site};

/// An asynchronous counting semaphore, drop-in for [`tokio::sync::Semaphore`](::tokio::sync::Semaphore).
///
/// Waits appear in the `block` profile, charged to the chain of futures that waited, and in the `mutex` profile, charged to
/// the stack that was the last to give permits back, or to close the semaphore, before somebody who waited went on. That is who ended
/// the wait where one permit does; where many are asked for, those who gave back before are not charged. What permits are
/// held for is not known: anybody may add some, or forget them.
///
/// # Examples
/// ```
/// use pprof_runtime::tokio::sync::Semaphore;
///
/// static CONNECTIONS: Semaphore = Semaphore::const_new(2);
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let permit = CONNECTIONS.acquire().await?;
/// assert_eq!(CONNECTIONS.available_permits(), 1);
/// # drop(permit);
/// # Ok::<(), pprof_runtime::tokio::sync::AcquireError>(())
/// # }).unwrap();
/// ```
pub struct Semaphore {
    inner: Inner,
    monitor: Monitor,
}

/// Permits of a [`Semaphore`]; given back on drop.
#[must_use]
#[clippy::has_significant_drop]
#[derive(Debug)]
pub struct SemaphorePermit<'a> {
    sem: &'a Semaphore,
    permits: usize,
}

/// As [`SemaphorePermit`], by an `Arc` of the semaphore.
#[must_use]
#[clippy::has_significant_drop]
#[derive(Debug)]
pub struct OwnedSemaphorePermit {
    sem: Arc<Semaphore>,
    permits: usize,
}

impl Semaphore {
    /// The most permits that a semaphore can have.
    pub const MAX_PERMITS: usize = Inner::MAX_PERMITS;

    /// A semaphore with so many permits to begin with.
    ///
    /// # Panics
    /// If they are more than [`MAX_PERMITS`](Semaphore::MAX_PERMITS).
    #[track_caller]
    pub fn new(permits: usize) -> Self {
        Semaphore { inner: Inner::new(permits), monitor: Monitor::new(Origin::here()) }
    }

    /// As [`new`](Semaphore::new), for a `static`.
    ///
    /// # Panics
    /// As that.
    #[track_caller]
    pub const fn const_new(permits: usize) -> Self {
        Semaphore { inner: Inner::const_new(permits), monitor: Monitor::new(Origin::here()) }
    }

    /// As [`const_new`](Semaphore::const_new); profiles show it as `name`, others by where they were made.
    ///
    /// Not in tokio.
    ///
    /// # Panics
    /// As [`new`](Semaphore::new).
    pub const fn named(permits: usize, name: &'static str) -> Self {
        Semaphore { inner: Inner::const_new(permits), monitor: Monitor::new(Origin::Name(name)) }
    }

    /// How many permits can be had now.
    pub fn available_permits(&self) -> usize {
        self.inner.available_permits()
    }

    /// Adds `n` permits.
    ///
    /// # Panics
    /// If there are more than [`MAX_PERMITS`](Semaphore::MAX_PERMITS) then.
    #[inline]
    pub fn add_permits(&self, n: usize) {
        if n > 0 {
            self.ends_waits();
            self.inner.add_permits(n);
        }
    }

    /// Takes away up to `n` permits for good, and returns how many there were.
    pub fn forget_permits(&self, n: usize) -> usize {
        self.inner.forget_permits(n)
    }

    /// Takes a permit, the task waiting until there is one. First come, first served.
    ///
    /// # Errors
    /// If the semaphore is closed, be it before the call or during the wait.
    ///
    /// # Cancel safety
    /// Whoever drops the future has no permit, and loses its place in the queue.
    #[inline]
    #[track_caller]
    pub fn acquire(&self) -> impl Future<Output = Result<SemaphorePermit<'_>, AcquireError>> {
        let site = Location::caller();
        self.take(1, site, || SemaphorePermit { sem: self, permits: 1 })
    }

    /// As [`acquire`](Semaphore::acquire), for `n` permits at once.
    ///
    /// # Errors
    /// As that.
    #[inline]
    #[track_caller]
    pub fn acquire_many(
        &self,
        n: u32,
    ) -> impl Future<Output = Result<SemaphorePermit<'_>, AcquireError>> {
        let site = Location::caller();
        self.take(n, site, move || SemaphorePermit { sem: self, permits: n as usize })
    }

    /// Takes a permit if there is one. Never recorded: it does not wait.
    ///
    /// # Errors
    /// Tells no permit from a closed semaphore.
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.inner.try_acquire().map(|permit| self.permit(permit))
    }

    /// As [`try_acquire`](Semaphore::try_acquire), for `n` permits at once.
    ///
    /// # Errors
    /// As that.
    pub fn try_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.inner.try_acquire_many(n).map(|permit| self.permit(permit))
    }

    /// As [`acquire`](Semaphore::acquire), by a thread outside of the runtime.
    ///
    /// # Errors
    /// As that.
    ///
    /// # Panics
    /// If called where tasks run.
    #[track_caller]
    pub fn blocking_acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.block(1).map(|permits| SemaphorePermit { sem: self, permits })
    }

    /// As [`blocking_acquire`](Semaphore::blocking_acquire), for `n` permits at once.
    ///
    /// # Errors
    /// As that.
    ///
    /// # Panics
    /// As that.
    #[track_caller]
    pub fn blocking_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.block(n).map(|permits| SemaphorePermit { sem: self, permits })
    }

    /// As [`acquire`](Semaphore::acquire); the permit keeps the semaphore alive instead of borrowing it.
    ///
    /// # Errors
    /// As that.
    #[inline]
    #[track_caller]
    pub fn acquire_owned(
        self: Arc<Self>,
    ) -> impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>> {
        self.owned(1, Location::caller())
    }

    /// As [`acquire_owned`](Semaphore::acquire_owned), for `n` permits at once.
    ///
    /// # Errors
    /// As that.
    #[inline]
    #[track_caller]
    pub fn acquire_many_owned(
        self: Arc<Self>,
        n: u32,
    ) -> impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>> {
        self.owned(n, Location::caller())
    }

    /// As [`try_acquire`](Semaphore::try_acquire); the permit keeps the semaphore alive instead of borrowing it.
    ///
    /// # Errors
    /// As that.
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// As [`try_acquire_owned`](Semaphore::try_acquire_owned), for `n` permits at once.
    ///
    /// # Errors
    /// As that.
    pub fn try_acquire_many_owned(
        self: Arc<Self>,
        n: u32,
    ) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        let permits = self.try_acquire_many(n)?.into_count();
        Ok(OwnedSemaphorePermit { sem: self, permits })
    }

    /// As [`acquire_owned`](Semaphore::acquire_owned), by a thread outside of the runtime.
    ///
    /// # Errors
    /// As that.
    ///
    /// # Panics
    /// If called where tasks run.
    #[track_caller]
    pub fn blocking_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.blocking_acquire_many_owned(1)
    }

    /// As [`blocking_acquire_owned`](Semaphore::blocking_acquire_owned), for `n` permits at once.
    ///
    /// # Errors
    /// As that.
    ///
    /// # Panics
    /// As that.
    #[track_caller]
    pub fn blocking_acquire_many_owned(
        self: Arc<Self>,
        n: u32,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        let permits = self.block(n)?;
        Ok(OwnedSemaphorePermit { sem: self, permits })
    }

    /// Ends all waits, those to come included, with an error. Permits that are out stay good.
    pub fn close(&self) {
        self.ends_waits();
        self.inner.close();
    }

    /// Whether it has been closed.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    #[inline]
    fn take<P>(
        &self,
        n: u32,
        site: Site,
        permit: impl Fn() -> P,
    ) -> impl Future<Output = Result<P, AcquireError>> {
        let event = (&self.monitor, Kind::Semaphore, site);
        permits::acquire(&self.inner, n, event, move |taken| taken.map(|()| permit()))
    }

    /// Ours for tokio's.
    #[inline]
    fn permit(&self, permit: ::tokio::sync::SemaphorePermit<'_>) -> SemaphorePermit<'_> {
        let permits = permit.num_permits();
        mem::forget(permit);
        SemaphorePermit { sem: self, permits }
    }

    #[inline]
    async fn owned(
        self: Arc<Self>,
        n: u32,
        site: Site,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.take(n, site, || ()).await?;
        Ok(OwnedSemaphorePermit { sem: self, permits: n as usize })
    }

    /// The number of permits that the thread has got, for whose return the caller cares. See `Raw::block`.
    #[track_caller]
    fn block(&self, n: u32) -> Result<usize, AcquireError> {
        let permit = if self.available_permits() >= n as usize || self.is_closed() {
            self.inner.blocking_acquire_many(n)
        } else {
            let wait = self.monitor.wait(Kind::Semaphore, Location::caller());
            let permit = self.inner.blocking_acquire_many(n);
            wait.acquired();
            permit
        };
        permit.map(|permit| self.permit(permit).into_count())
    }

    /// The caller is about to let in some who wait.
    #[inline]
    fn ends_waits(&self) {
        if self.monitor.is_owed() {
            self.monitor.unlocking_shared(Kind::Semaphore);
            // Something left to do after the call: see `sync::Mutex`.
            std::hint::black_box(());
        }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

const OTHER_SEMAPHORE: &str = "merging permits from different semaphore instances";
const TOO_MANY: &str = "number of permits overflowed";

impl<'a> SemaphorePermit<'a> {
    /// Does not give the permits back, ever.
    pub fn forget(mut self) {
        self.permits = 0;
    }

    /// Takes the permits of another permit of the same semaphore.
    ///
    /// # Panics
    /// If it is one of another semaphore.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(std::ptr::eq(self.sem, other.sem), "{OTHER_SEMAPHORE}");
        self.permits = self.permits.checked_add(other.permits).expect(TOO_MANY);
        other.permits = 0;
    }

    /// Takes `n` of the permits out of this one; none if it has not that many.
    pub fn split(&mut self, n: usize) -> Option<Self> {
        self.permits = self.permits.checked_sub(n)?;
        Some(SemaphorePermit { sem: self.sem, permits: n })
    }

    /// The semaphore that they are of.
    pub fn semaphore(&self) -> &Semaphore {
        self.sem
    }

    /// How many permits this is.
    pub fn num_permits(&self) -> usize {
        self.permits
    }

    /// How many permits this was: for their return cares the caller.
    fn into_count(self) -> usize {
        let permits = self.permits;
        mem::forget(self);
        permits
    }
}

impl OwnedSemaphorePermit {
    /// Does not give the permits back, ever.
    pub fn forget(mut self) {
        self.permits = 0;
    }

    /// Takes the permits of another permit of the same semaphore.
    ///
    /// # Panics
    /// If it is one of another semaphore.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(Arc::ptr_eq(&self.sem, &other.sem), "{OTHER_SEMAPHORE}");
        self.permits = self.permits.checked_add(other.permits).expect(TOO_MANY);
        other.permits = 0;
    }

    /// Takes `n` of the permits out of this one; none if it has not that many.
    pub fn split(&mut self, n: usize) -> Option<Self> {
        self.permits = self.permits.checked_sub(n)?;
        Some(OwnedSemaphorePermit { sem: Arc::clone(&self.sem), permits: n })
    }

    /// The semaphore that they are of.
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.sem
    }

    /// How many permits this is.
    pub fn num_permits(&self) -> usize {
        self.permits
    }
}

impl Drop for SemaphorePermit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.sem.add_permits(self.permits);
    }
}

impl Drop for OwnedSemaphorePermit {
    #[inline]
    fn drop(&mut self) {
        self.sem.add_permits(self.permits);
    }
}
