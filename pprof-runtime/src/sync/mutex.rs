//! `Mutex`: `std::sync::Mutex` with an account of its waiters.
//!
//! The account is touched by threads that sleep and by holders with sleepers: locking and unlocking without contention is one
//! atomic operation each, as in std.

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};
use std::thread;

use super::raw::RawMutex;
use crate::source::contention::{Kind, Monitor, Origin, Site};

/// A mutual exclusion lock, drop-in for [`std::sync::Mutex`]: same methods, poisoning, guards and auto traits.
///
/// Waits appear in the `block` profile, charged to the stack that waited, and in the `mutex` profile, charged to the stack
/// that unlocked, with the delay it caused. Its condition variable is [`Condvar`](super::Condvar); std's does not take this guard.
///
/// # Overhead
/// 64 bytes more than std's. Locking tries first. A wait is timed only while a profile is on, and only once a short
/// spin (about a microsecond) has not helped: as in Go, waits too short to be worth sleeping over are not seen.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use pprof_runtime::sync::Mutex;
///
/// static TOTAL: Mutex<u64> = Mutex::new(0);
/// let shared: Arc<Mutex<[u8]>> = Arc::new(Mutex::new([1, 2, 3]));
/// *TOTAL.lock().unwrap() += shared.lock().unwrap().len() as u64;
/// assert_eq!(*TOTAL.lock().unwrap(), 3);
/// ```
#[repr(C)]
pub struct Mutex<T: ?Sized> {
    raw: RawMutex,
    poisoned: AtomicBool,
    monitor: Monitor,
    // Last, so that a lock of a sized type coerces to one of an unsized type.
    value: UnsafeCell<T>,
}

// SAFETY: the lock gives out the value to one thread at a time, so `T` need only be able to move between threads.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

// A value left half changed by a panic is behind poisoning.
impl<T: ?Sized> UnwindSafe for Mutex<T> {}
impl<T: ?Sized> RefUnwindSafe for Mutex<T> {}

/// Access to the data of a [`Mutex`]; releases the lock on drop.
#[must_use = "if unused the Mutex will immediately unlock"]
#[clippy::has_significant_drop]
pub struct MutexGuard<'a, T: ?Sized> {
    lock: &'a Mutex<T>,
    /// The thread was panicking already when it locked: its unwinding is then no reason to poison.
    was_panicking: bool,
    /// Locks are released by the thread that took them: not `Send`.
    not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives out `&T` alone.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<T> Mutex<T> {
    /// An unlocked mutex holding `t`.
    #[inline]
    #[track_caller]
    pub const fn new(t: T) -> Mutex<T> {
        Mutex::with_origin(t, Origin::here())
    }

    /// An unlocked mutex holding `t`, which profiles show as `name`; others by where they were made.
    ///
    /// Not in std.
    #[inline]
    pub const fn named(t: T, name: &'static str) -> Mutex<T> {
        Mutex::with_origin(t, Origin::Name(name))
    }

    const fn with_origin(t: T, origin: Origin) -> Mutex<T> {
        Mutex {
            raw: RawMutex::new(),
            poisoned: AtomicBool::new(false),
            monitor: Monitor::new(origin),
            value: UnsafeCell::new(t),
        }
    }

    /// The data, the mutex being gone.
    ///
    /// # Errors
    /// The data in a [`PoisonError`] if another user panicked while holding the lock.
    pub fn into_inner(self) -> LockResult<T> {
        let poisoned = self.is_poisoned();
        poison_if(poisoned, self.value.into_inner())
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Acquires the lock, blocking until it is free.
    ///
    /// # Errors
    /// The guard in a [`PoisonError`] if another user panicked while holding the lock.
    ///
    /// # Panics
    /// Never; but a thread that holds the lock already waits for itself, as with std's.
    #[inline(always)]
    #[track_caller]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let site = Location::caller();
        self.acquire(site);
        self.guard(site)
    }

    /// Acquires the lock if it is free now. Never recorded: it does not wait.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] if it is not free, [`TryLockError::Poisoned`] as for [`lock`](Mutex::lock).
    #[inline]
    #[track_caller]
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        if self.raw.try_lock() {
            Ok(self.guard(Location::caller())?)
        } else {
            Err(TryLockError::WouldBlock)
        }
    }

    /// Whether a user panicked while holding the lock.
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        // ORDERING: Relaxed: the lock orders what was done before poisoning.
        self.poisoned.load(Ordering::Relaxed)
    }

    /// Forgets that a user panicked while holding the lock.
    #[inline]
    pub fn clear_poison(&self) {
        // ORDERING: Relaxed: as in `is_poisoned`.
        self.poisoned.store(false, Ordering::Relaxed);
    }

    /// The data, without locking: the borrow proves that nobody else has it.
    ///
    /// # Errors
    /// The borrow in a [`PoisonError`] if another user panicked while holding the lock.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        let poisoned = self.is_poisoned();
        poison_if(poisoned, self.value.get_mut())
    }

    /// The guard of the lock just taken.
    #[inline]
    fn guard(&self, site: Site) -> LockResult<MutexGuard<'_, T>> {
        self.monitor.acquired(site);
        let guard =
            MutexGuard { lock: self, was_panicking: thread::panicking(), not_send: PhantomData };
        poison_if(self.is_poisoned(), guard)
    }

    #[inline]
    fn acquire(&self, site: Site) {
        if !self.raw.try_lock() {
            self.lock_contended(site);
        }
    }

    #[cold]
    fn lock_contended(&self, site: Site) {
        if self.raw.spin() {
            return;
        }
        let wait = self.monitor.wait(Kind::Mutex, site);
        if self.raw.sleep() {
            wait.acquired();
        } else {
            wait.did_not_sleep();
        }
    }
}

impl<T: ?Sized> MutexGuard<'_, T> {
    /// Runs `unlocked` without the lock. It must not panic: the guard would unlock what it has not.
    #[inline]
    pub(super) fn without_lock<R>(&mut self, site: Site, unlocked: impl FnOnce() -> R) -> R {
        self.lock.release();
        let result = unlocked();
        self.lock.acquire(site);
        self.lock.monitor.acquired(site);
        result
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.lock.is_poisoned()
    }
}

#[inline]
pub(super) fn poison_if<G>(poisoned: bool, value: G) -> LockResult<G> {
    if poisoned { Err(PoisonError::new(value)) } else { Ok(value) }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if !self.was_panicking && thread::panicking() {
            // ORDERING: Relaxed: published by the unlock below.
            self.lock.poisoned.store(true, Ordering::Relaxed);
        }
        self.lock.release();
    }
}

impl<T: ?Sized> Mutex<T> {
    /// The caller holds the lock.
    #[inline]
    fn release(&self) {
        let hold = self.monitor.releasing(Kind::Mutex);
        if !self.raw.unlock_if_nobody_sleeps() {
            self.unlock_contended();
            // Something left to do after the call: as a jump it would run when the frame of the function to charge, into
            // which this is inlined, is gone.
            std::hint::black_box(());
        }
        hold.record();
    }

    /// The caller holds the lock.
    #[cold]
    fn unlock_contended(&self) {
        self.monitor.unlocking(Kind::Mutex);
        self.raw.unlock_and_wake();
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard stands for the lock being held by this thread.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: Default> Default for Mutex<T> {
    #[track_caller]
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    #[track_caller]
    fn from(t: T) -> Self {
        Mutex::new(t)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Mutex");
        match self.try_lock() {
            Ok(guard) => shown.field("data", &&*guard),
            Err(TryLockError::Poisoned(poisoned)) => shown.field("data", &&**poisoned.get_ref()),
            Err(TryLockError::WouldBlock) => shown.field("data", &"<locked>"),
        };
        shown.field("poisoned", &self.is_poisoned()).finish_non_exhaustive()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync;

    /// The same questions put to std's type and to ours.
    #[test]
    fn poisoning_follows_std() {
        macro_rules! run {
            ($new:expr) => {{
                let m = $new;
                let panicked = catch_unwind(AssertUnwindSafe(|| {
                    let mut g = m.lock().unwrap();
                    *g = 5;
                    panic!("poison it");
                }));
                assert!(panicked.is_err());
                let mut seen = vec![m.is_poisoned().to_string(), format!("{m:?}")];
                seen.push(match m.lock() {
                    Ok(_) => "ok".into(),
                    Err(e) => format!("poisoned {}", **e.get_ref()),
                });
                seen.push(match m.try_lock() {
                    Ok(_) => "ok".into(),
                    Err(TryLockError::Poisoned(e)) => format!("poisoned {}", *e.into_inner()),
                    Err(TryLockError::WouldBlock) => "would block".into(),
                });
                m.clear_poison();
                seen.push(format!("{:?} {}", m, m.lock().is_ok()));
                let g = m.lock().unwrap();
                seen.push(format!("{:?} {} {:?}", g, *g, m));
                seen.push(matches!(m.try_lock(), Err(TryLockError::WouldBlock)).to_string());
                drop(g);
                // A guard taken while panicking, and dropped by that unwinding, does not poison.
                struct LockInDrop<F: Fn()>(F);
                impl<F: Fn()> Drop for LockInDrop<F> {
                    fn drop(&mut self) {
                        (self.0)();
                    }
                }
                let _ = catch_unwind(AssertUnwindSafe(|| {
                    let _in_drop = LockInDrop(|| drop(m.lock().unwrap()));
                    panic!("locks while unwinding");
                }));
                seen.push(m.is_poisoned().to_string());
                seen.push(format!("{:?}", m.into_inner()));
                seen
            }};
        }
        assert_eq!(run!(Mutex::new(1)), run!(sync::Mutex::new(1)));
    }

    #[test]
    fn has_the_shape_of_std() {
        fn shape<T: Send + Sync + UnwindSafe + RefUnwindSafe + Default + From<u8> + fmt::Debug>() {}
        fn guard<T: Sync + Deref<Target = u8> + DerefMut + fmt::Debug + fmt::Display>() {}
        shape::<sync::Mutex<u8>>();
        shape::<Mutex<u8>>();
        guard::<sync::MutexGuard<'_, u8>>();
        guard::<MutexGuard<'_, u8>>();

        static LOCK: Mutex<Vec<u8>> = Mutex::new(Vec::new());
        LOCK.lock().unwrap().push(1);
        let unsized_lock: Box<Mutex<dyn fmt::Debug + Send>> = Box::new(Mutex::new(7));
        assert_eq!(format!("{:?}", &*unsized_lock.lock().unwrap()), "7");
        assert!(size_of::<Mutex<u8>>() <= 80);
    }

    #[test]
    fn excludes() {
        const ROUNDS: u64 = if cfg!(miri) { 100 } else { 20_000 };
        let counter = Mutex::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..ROUNDS).for_each(|_| *counter.lock().unwrap() += 1));
            }
        });
        assert_eq!(counter.into_inner().unwrap(), 4 * ROUNDS);
    }
}
