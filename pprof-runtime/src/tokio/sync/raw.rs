//! What `Mutex` and `RwLock` are made of: tokio's semaphore, as tokio's own are, and an account of its waiters.
//!
//! A lock of tokio's inside ours would not do: owned guards hold an `Arc` of the lock that they came from, which is ours.

use std::mem::{self, ManuallyDrop};
use std::panic::Location;
use std::sync::Arc;

use ::tokio::sync::{Semaphore, TryLockError};

use super::permits;
use crate::source::contention::{Actor, Held, Kind, Monitor, Origin, Site};
use crate::tokio::running::actor;

/// A fair lock: first come, first served.
#[derive(Debug)]
pub(super) struct Raw {
    permits: Semaphore,
    /// As many permits are exclusive access.
    all: u32,
    /// What waits for exclusive access are called.
    exclusive: Kind,
    monitor: Monitor,
}

impl Raw {
    pub(super) const fn new(all: u32, exclusive: Kind, origin: Origin) -> Self {
        let permits = Semaphore::const_new(all as usize);
        Raw { permits, all, exclusive, monitor: Monitor::new(origin) }
    }

    /// Takes `count` permits, for whose return what `then` makes is to care.
    #[inline]
    fn acquire<G>(
        &self,
        count: u32,
        kind: Kind,
        site: Site,
        then: impl Fn() -> G,
    ) -> impl Future<Output = G> {
        permits::acquire(&self.permits, count, (&self.monitor, kind, site), move |taken| {
            if taken.is_err() {
                unreachable!("the semaphore of a lock is never closed");
            }
            then()
        })
    }

    #[inline]
    fn try_acquire(&self, count: u32) -> Result<(), TryLockError> {
        let permit = self.permits.try_acquire_many(count).map_err(|_| would_block())?;
        mem::forget(permit);
        Ok(())
    }

    /// The thread sleeps until it has them. Asking first whether they are there leaves it to tokio to take them, and to panic where
    /// blocking is not allowed; who comes in between makes this a wait that is not recorded.
    #[track_caller]
    fn block(&self, count: u32, kind: Kind, site: Site) {
        let permit = if self.permits.available_permits() >= count as usize {
            self.permits.blocking_acquire_many(count)
        } else {
            let wait = self.monitor.wait(kind, site);
            let permit = self.permits.blocking_acquire_many(count);
            wait.acquired();
            permit
        };
        let Ok(permit) = permit else { unreachable!("the semaphore of a lock is never closed") };
        mem::forget(permit);
    }

    /// The holder of all permits gives `count` of them back, having become a reader if it keeps one.
    #[inline]
    fn release(&self, count: u32) {
        if self.monitor.is_owed() {
            self.monitor.unlocking(self.exclusive);
            // Something left to do after the call: see `sync::Mutex`.
            std::hint::black_box(());
        }
        self.permits.add_permits(count as usize);
    }
}

/// The error, which only tokio can make: by a lock that is never free.
#[cold]
fn would_block() -> TryLockError {
    static TAKEN: ::tokio::sync::Mutex<()> = ::tokio::sync::Mutex::const_new(());
    loop {
        match TAKEN.try_lock() {
            Ok(guard) => mem::forget(guard),
            Err(error) => return error,
        }
    }
}

/// What leads to a lock.
pub(super) trait Lock {
    fn raw(&self) -> &Raw;
}

impl Lock for Raw {
    #[inline]
    fn raw(&self) -> &Raw {
        self
    }
}

impl<L: Lock + ?Sized> Lock for &L {
    #[inline]
    fn raw(&self) -> &Raw {
        (**self).raw()
    }
}

impl<L: Lock + ?Sized> Lock for Arc<L> {
    #[inline]
    fn raw(&self) -> &Raw {
        (**self).raw()
    }
}

/// Exclusive access; released on drop.
#[derive(Debug)]
pub(super) struct Exclusive<L: Lock> {
    pub(super) lock: L,
}

impl<'a, M: Lock + ?Sized> Exclusive<&'a M> {
    /// What `then` makes of the access.
    #[inline]
    pub(super) fn acquire<G>(
        lock: &'a M,
        site: Site,
        then: impl Fn(Self) -> G,
    ) -> impl Future<Output = G> {
        let raw = lock.raw();
        raw.acquire(raw.all, raw.exclusive, site, move || then(Exclusive::acquired(lock, site)))
    }
}

impl<M: Lock + ?Sized> Exclusive<Arc<M>> {
    #[inline]
    pub(super) async fn acquire_owned(lock: Arc<M>, site: Site) -> Self {
        let raw = lock.raw();
        raw.acquire(raw.all, raw.exclusive, site, || ()).await;
        Exclusive::acquired(lock, site)
    }
}

impl<L: Lock> Exclusive<L> {
    #[track_caller]
    pub(super) fn try_acquire(lock: L) -> Result<Self, TryLockError> {
        let raw = lock.raw();
        raw.try_acquire(raw.all)?;
        Ok(Exclusive::acquired(lock, Location::caller()))
    }

    #[track_caller]
    pub(super) fn block(lock: L) -> Self {
        let (raw, site) = (lock.raw(), Location::caller());
        raw.block(raw.all, raw.exclusive, site);
        Exclusive::acquired(lock, site)
    }

    #[inline]
    fn acquired(lock: L, site: Site) -> Self {
        lock.raw().monitor.acquired_by(actor(), site);
        Exclusive { lock }
    }

    /// The same access by another way to the same lock.
    pub(super) fn map<M: Lock>(self, map: impl FnOnce(L) -> M) -> Exclusive<M> {
        Exclusive { lock: map(self.into_lock()) }
    }

    /// The lock, still locked.
    fn into_lock(self) -> L {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, so the lock is owned once.
        unsafe { std::ptr::read(&this.lock) }
    }

    /// Lets other readers in.
    #[inline]
    #[track_caller]
    pub(super) fn downgrade(self) -> Shared<L> {
        let lock = self.into_lock();
        let raw = lock.raw();
        let hold = raw.monitor.releasing(raw.exclusive);
        // Before others may have it.
        let actor = actor();
        let held = raw.monitor.acquired_shared_by(actor, Location::caller());
        raw.release(raw.all - 1);
        hold.record();
        Shared { lock, actor, held }
    }
}

impl<L: Lock> Drop for Exclusive<L> {
    #[inline]
    fn drop(&mut self) {
        let raw = self.lock.raw();
        let hold = raw.monitor.releasing(raw.exclusive);
        raw.release(raw.all);
        hold.record();
    }
}

/// Access as one of several; released on drop.
#[derive(Debug)]
pub(super) struct Shared<L: Lock> {
    pub(super) lock: L,
    actor: Actor,
    held: Held,
}

impl<'a, M: Lock + ?Sized> Shared<&'a M> {
    /// What `then` makes of the access.
    #[inline]
    pub(super) fn acquire<G>(
        lock: &'a M,
        site: Site,
        then: impl Fn(Self) -> G,
    ) -> impl Future<Output = G> {
        let access = move || then(Shared::acquired(lock, site));
        lock.raw().acquire(1, Kind::RwLockRead, site, access)
    }
}

impl<M: Lock + ?Sized> Shared<Arc<M>> {
    #[inline]
    pub(super) async fn acquire_owned(lock: Arc<M>, site: Site) -> Self {
        lock.raw().acquire(1, Kind::RwLockRead, site, || ()).await;
        Shared::acquired(lock, site)
    }
}

impl<L: Lock> Shared<L> {
    #[track_caller]
    pub(super) fn try_acquire(lock: L) -> Result<Self, TryLockError> {
        lock.raw().try_acquire(1)?;
        Ok(Shared::acquired(lock, Location::caller()))
    }

    #[track_caller]
    pub(super) fn block(lock: L) -> Self {
        let site = Location::caller();
        lock.raw().block(1, Kind::RwLockRead, site);
        Shared::acquired(lock, site)
    }

    #[inline]
    fn acquired(lock: L, site: Site) -> Self {
        let actor = actor();
        let held = lock.raw().monitor.acquired_shared_by(actor, site);
        Shared { lock, actor, held }
    }
}

impl<L: Lock> Drop for Shared<L> {
    #[inline]
    fn drop(&mut self) {
        let Raw { permits, monitor, .. } = self.lock.raw();
        let hold = monitor.releasing_shared(self.actor, Kind::RwLockRead, self.held);
        if monitor.is_owed() {
            monitor.unlocking_shared(Kind::RwLockRead);
            // Something left to do after the call: see `sync::Mutex`.
            std::hint::black_box(());
        }
        permits.add_permits(1);
        hold.record();
    }
}
