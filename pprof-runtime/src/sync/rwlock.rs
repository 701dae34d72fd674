//! `RwLock`: `std::sync::RwLock` with an account of its waiters.
//!
//! As for `Mutex`, the account is touched by threads that sleep, and by holders that are about to let one in: of several readers
//! the last.

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LockResult, TryLockError, TryLockResult};
use std::thread;

use super::mutex::poison_if;
use super::raw::RawRwLock;
use crate::source::contention::{Actor, Held, Kind, Monitor, Origin, Site};

/// A readers-writer lock, drop-in for [`std::sync::RwLock`]: same methods, poisoning, guards, auto traits and order of entry.
///
/// Waits appear in the `block` profile, charged to the stack that waited, with the kind `rwlock-read` or `rwlock-write`, and in the
/// `mutex` profile, charged to the stack that let the waiters in, with the delay it caused: the writer that unlocked or
/// downgraded, or of several readers the one that unlocked last.
///
/// # Overhead
/// 76 bytes more than std's. Otherwise that of [`Mutex`](super::Mutex).
///
/// # Examples
/// ```
/// use pprof_runtime::sync::RwLock;
///
/// static ROUTES: RwLock<Vec<&str>> = RwLock::new(Vec::new());
/// ROUTES.write().unwrap().push("/");
/// let (one, another) = (ROUTES.read().unwrap(), ROUTES.read().unwrap());
/// assert_eq!(one.len() + another.len(), 2);
/// ```
pub struct RwLock<T: ?Sized> {
    core: Core,
    // Last, so that a lock of a sized type coerces to one of an unsized type.
    value: UnsafeCell<T>,
}

/// All but the value: what the guard of a reader refers to, so that it is covariant as std's is.
#[derive(Debug)]
#[repr(C)]
struct Core {
    raw: RawRwLock,
    poisoned: AtomicBool,
    monitor: Monitor,
}

// SAFETY: the lock gives out the value to one thread at a time, or shared to several.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: as above; shared, it has to be `Sync`.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

// A value left half changed by a panic is behind poisoning.
impl<T: ?Sized> UnwindSafe for RwLock<T> {}
impl<T: ?Sized> RefUnwindSafe for RwLock<T> {}

/// Shared access to the data of an [`RwLock`]; releases the lock on drop.
#[must_use = "if unused the RwLock will immediately unlock"]
#[clippy::has_significant_drop]
pub struct RwLockReadGuard<'rwlock, T: ?Sized> {
    /// Not a reference: it would be valid for as long as the guard, which is gone a moment after it has unlocked.
    data: NonNull<T>,
    core: &'rwlock Core,
    held: Held,
}

// SAFETY: a shared guard gives out `&T` alone. Not `Send`, by its pointer: locks are released by the thread that took them.
unsafe impl<T: ?Sized + Sync> Sync for RwLockReadGuard<'_, T> {}

/// Exclusive access to the data of an [`RwLock`]; releases the lock on drop.
#[must_use = "if unused the RwLock will immediately unlock"]
#[clippy::has_significant_drop]
pub struct RwLockWriteGuard<'rwlock, T: ?Sized> {
    lock: &'rwlock RwLock<T>,
    /// The thread was panicking already when it locked: its unwinding is then no reason to poison.
    was_panicking: bool,
    /// Locks are released by the thread that took them: not `Send`.
    not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives out `&T` alone.
unsafe impl<T: ?Sized + Sync> Sync for RwLockWriteGuard<'_, T> {}

impl<T> RwLock<T> {
    /// An unlocked lock holding `t`.
    #[inline]
    #[track_caller]
    pub const fn new(t: T) -> RwLock<T> {
        RwLock::with_origin(t, Origin::here())
    }

    /// An unlocked lock holding `t`, which profiles show as `name`; others by where they were made.
    ///
    /// Not in std.
    #[inline]
    pub const fn named(t: T, name: &'static str) -> RwLock<T> {
        RwLock::with_origin(t, Origin::Name(name))
    }

    const fn with_origin(t: T, origin: Origin) -> RwLock<T> {
        let core = Core {
            raw: RawRwLock::new(),
            poisoned: AtomicBool::new(false),
            monitor: Monitor::new(origin),
        };
        RwLock { core, value: UnsafeCell::new(t) }
    }

    /// The data, the lock being gone.
    ///
    /// # Errors
    /// The data in a [`PoisonError`](std::sync::PoisonError) if a writer panicked while holding the lock.
    pub fn into_inner(self) -> LockResult<T> {
        let poisoned = self.is_poisoned();
        poison_if(poisoned, self.value.into_inner())
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Acquires the lock as one of any number of readers, blocking while a writer has it or waits for it.
    ///
    /// # Errors
    /// The guard in a [`PoisonError`](std::sync::PoisonError) if a writer panicked while holding the lock.
    ///
    /// # Panics
    /// If more than 2^29 - 3 others read it. A thread that has the lock already may wait for itself, as with std's.
    #[inline(always)]
    #[track_caller]
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        let site = Location::caller();
        if !self.core.raw.read_quickly() {
            self.core.read_contended(site);
        }
        self.reader(site)
    }

    /// Acquires the lock as a reader if that is possible now. Never recorded: it does not wait.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] if it is not possible, [`TryLockError::Poisoned`] as for [`read`](RwLock::read).
    #[inline]
    #[track_caller]
    pub fn try_read(&self) -> TryLockResult<RwLockReadGuard<'_, T>> {
        if self.core.raw.try_read() {
            Ok(self.reader(Location::caller())?)
        } else {
            Err(TryLockError::WouldBlock)
        }
    }

    /// Acquires the lock as its only writer, blocking while others have it.
    ///
    /// # Errors
    /// The guard in a [`PoisonError`](std::sync::PoisonError) if a writer panicked while holding the lock.
    ///
    /// # Panics
    /// Never; but a thread that has the lock already waits for itself, as with std's.
    #[inline(always)]
    #[track_caller]
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        let site = Location::caller();
        if !self.core.raw.write_quickly() {
            self.core.write_contended(site);
        }
        self.writer(site)
    }

    /// Acquires the lock as its writer if nobody has it now. Never recorded: it does not wait.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] if somebody has it, [`TryLockError::Poisoned`] as for [`write`](RwLock::write).
    #[inline]
    #[track_caller]
    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        if self.core.raw.try_write() {
            Ok(self.writer(Location::caller())?)
        } else {
            Err(TryLockError::WouldBlock)
        }
    }

    /// Whether a writer panicked while holding the lock.
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.core.is_poisoned()
    }

    /// Forgets that a writer panicked while holding the lock.
    #[inline]
    pub fn clear_poison(&self) {
        // ORDERING: Relaxed: as in `is_poisoned`.
        self.core.poisoned.store(false, Ordering::Relaxed);
    }

    /// The data, without locking: the borrow proves that nobody else has it.
    ///
    /// # Errors
    /// The borrow in a [`PoisonError`](std::sync::PoisonError) if a writer panicked while holding the lock.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        let poisoned = self.is_poisoned();
        poison_if(poisoned, self.value.get_mut())
    }

    /// The guard of the lock just taken as a reader.
    #[inline]
    fn reader(&self, site: Site) -> LockResult<RwLockReadGuard<'_, T>> {
        poison_if(self.is_poisoned(), self.read_guard(site))
    }

    #[inline]
    fn read_guard(&self, site: Site) -> RwLockReadGuard<'_, T> {
        let held = self.core.monitor.acquired_shared(Actor::thread(), site);
        // SAFETY: the pointer of a cell that is there.
        let data = unsafe { NonNull::new_unchecked(self.value.get()) };
        RwLockReadGuard { data, core: &self.core, held }
    }

    /// The guard of the lock just taken as the writer.
    #[inline]
    fn writer(&self, site: Site) -> LockResult<RwLockWriteGuard<'_, T>> {
        self.core.monitor.acquired(site);
        let (was_panicking, not_send) = (thread::panicking(), PhantomData);
        let guard = RwLockWriteGuard { lock: self, was_panicking, not_send };
        poison_if(self.is_poisoned(), guard)
    }
}

impl Core {
    #[inline]
    fn is_poisoned(&self) -> bool {
        // ORDERING: Relaxed: the lock orders what was done before poisoning.
        self.poisoned.load(Ordering::Relaxed)
    }

    #[cold]
    fn read_contended(&self, site: Site) {
        if self.raw.spin_read() {
            return;
        }
        let wait = self.monitor.wait(Kind::RwLockRead, site);
        if self.raw.sleep_read() {
            wait.acquired();
        } else {
            wait.did_not_sleep();
        }
    }

    #[cold]
    fn write_contended(&self, site: Site) {
        if self.raw.spin_write() {
            return;
        }
        let wait = self.monitor.wait(Kind::RwLockWrite, site);
        if self.raw.sleep_write() {
            wait.acquired();
        } else {
            wait.did_not_sleep();
        }
    }

    /// Releases the lock, which the caller has as a reader, and records for how long.
    #[cold]
    fn unlock_read_timed(&self, held: Held) {
        let hold = self.monitor.releasing_shared(Actor::thread(), Kind::RwLockRead, held);
        if !self.raw.unlock_read_unless_awaited() {
            self.unlock_read_contended();
        }
        hold.record();
    }

    /// The caller has the lock as a reader, and others sleep.
    #[cold]
    fn unlock_read_contended(&self) {
        if RawRwLock::KNOWS_LAST_READER {
            self.monitor.unlocking(Kind::RwLockRead);
        } else {
            self.monitor.unlocking_shared(Kind::RwLockRead);
        }
        self.raw.unlock_read_and_wake();
    }

    /// The caller has the lock as the writer, and others sleep.
    #[cold]
    fn unlock_write_contended(&self) {
        self.monitor.unlocking(Kind::RwLockWrite);
        self.raw.unlock_write_and_wake();
    }

    /// The caller has the lock alone, and readers sleep.
    #[cold]
    fn downgrade_contended(&self) {
        self.monitor.unlocking(Kind::RwLockWrite);
        self.raw.downgrade_and_wake();
    }
}

impl<'rwlock, T: ?Sized> RwLockWriteGuard<'rwlock, T> {
    /// Turns the writer into a reader, with no moment between at which others could write. Readers that wait are let in: the delay is
    /// charged to the caller, as of an unlock.
    ///
    /// In std since Rust 1.92.
    ///
    /// # Examples
    /// ```
    /// use pprof_runtime::sync::{RwLock, RwLockWriteGuard};
    ///
    /// let lock = RwLock::new(1);
    /// let mut writer = lock.write().unwrap();
    /// *writer = 2;
    /// let reader = RwLockWriteGuard::downgrade(writer);
    /// assert_eq!((*reader, *lock.read().unwrap()), (2, 2));
    /// ```
    #[inline]
    #[track_caller]
    pub fn downgrade(s: Self) -> RwLockReadGuard<'rwlock, T> {
        let lock = s.lock;
        // It would unlock.
        std::mem::forget(s);
        let hold = lock.core.monitor.releasing(Kind::RwLockWrite);
        if !lock.core.raw.downgrade_unless_awaited() {
            lock.core.downgrade_contended();
        }
        let guard = lock.read_guard(Location::caller());
        hold.record();
        guard
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let core = self.core;
        // Small enough to be inlined, so that the guard is nowhere in memory: stores are what an atomic operation waits for.
        if self.held.is_timed() {
            core.unlock_read_timed(self.held);
            // Something left to do after the call, as for `Mutex`.
            std::hint::black_box(());
            return;
        }
        core.monitor.forget(Actor::known_thread());
        if !core.raw.unlock_read_unless_awaited() {
            core.unlock_read_contended();
            std::hint::black_box(());
        }
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let core = &self.lock.core;
        if !self.was_panicking && thread::panicking() {
            // ORDERING: Relaxed: published by the unlock below.
            core.poisoned.store(true, Ordering::Relaxed);
        }
        let hold = core.monitor.releasing(Kind::RwLockWrite);
        if !core.raw.unlock_write_unless_awaited() {
            core.unlock_write_contended();
            // Something left to do after the call, as for `Mutex`.
            std::hint::black_box(());
        }
        hold.record();
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard stands for the lock being held by this thread, as a reader.
        unsafe { self.data.as_ref() }
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard stands for the lock being held by this thread, as the writer.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: Default> Default for RwLock<T> {
    #[track_caller]
    fn default() -> Self {
        RwLock::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    #[track_caller]
    fn from(t: T) -> Self {
        RwLock::new(t)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RwLock");
        match self.try_read() {
            Ok(guard) => shown.field("data", &&*guard),
            Err(TryLockError::Poisoned(poisoned)) => shown.field("data", &&**poisoned.get_ref()),
            Err(TryLockError::WouldBlock) => shown.field("data", &format_args!("<locked>")),
        };
        shown.field("poisoned", &self.is_poisoned()).finish_non_exhaustive()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::rc::Rc;
    use std::sync;

    /// The same questions put to std's type and to ours.
    #[test]
    fn poisoning_follows_std() {
        struct Dropped<F: Fn()>(F);
        impl<F: Fn()> Drop for Dropped<F> {
            fn drop(&mut self) {
                (self.0)();
            }
        }
        macro_rules! outcome {
            ($result:expr) => {
                match $result {
                    Ok(guard) => format!("{guard:?}, {guard}"),
                    Err(error) => format!("{error:?}, {error}"),
                }
            };
        }
        macro_rules! run {
            ($new:expr) => {{
                let mut lock = $new;
                let mut seen = Vec::new();
                let mut ask = |what: &str, answer: String| seen.push(format!("{what}: {answer}"));
                let panics = |f: &dyn Fn()| catch_unwind(AssertUnwindSafe(f)).unwrap_err();
                panics(&|| {
                    let _reader = lock.read().unwrap();
                    panic!("as a reader");
                });
                ask("a reader panicked", lock.is_poisoned().to_string());
                // A guard taken while panicking, and dropped by that unwinding, does not poison.
                panics(&|| {
                    let _writes = Dropped(|| drop(lock.write().unwrap()));
                    panic!("and writes while unwinding");
                });
                ask("a writer came while panicking", lock.is_poisoned().to_string());
                panics(&|| {
                    let mut writer = lock.write().unwrap();
                    *writer = 5;
                    panic!("as the writer");
                });
                ask("a writer panicked", format!("{} {lock:?}", lock.is_poisoned()));
                ask("read", outcome!(lock.read()));
                ask("write", outcome!(lock.write()));
                ask("try_read", outcome!(lock.try_read()));
                ask("try_write", outcome!(lock.try_write()));
                ask("into", lock.read().map_err(|e| e.into_inner().to_string()).unwrap_err());
                ask(
                    "get_mut",
                    lock.get_mut().map_err(|e| *e.into_inner()).unwrap_err().to_string(),
                );
                lock.clear_poison();
                ask("cleared", format!("{} {lock:?}", lock.is_poisoned()));
                let reader = lock.read().unwrap();
                ask("reading", format!("{lock:?}, {reader:?}, {reader}"));
                ask("try_read", outcome!(lock.try_read()));
                ask("try_write", outcome!(lock.try_write()));
                drop(reader);
                let writer = lock.write().unwrap();
                ask("writing", format!("{lock:?}, {writer:?}, {writer}"));
                ask("try_read", outcome!(lock.try_read()));
                ask("try_write", outcome!(lock.try_write()));
                drop(writer);
                panics(&|| {
                    let _writer = lock.write().unwrap();
                    panic!("once more");
                });
                ask("into_inner", format!("{:?}", lock.into_inner()));
                seen
            }};
        }
        assert_eq!(run!(RwLock::new(1)), run!(sync::RwLock::new(1)));
    }

    /// Whether a type has a trait, as a value: an inherent constant is found before that of a trait.
    macro_rules! has {
        ($ty:ty: $trait:path) => {{
            struct Probe<T: ?Sized>(PhantomData<T>);
            #[allow(dead_code, reason = "if every type has it")]
            trait Otherwise {
                const HAS: bool = false;
            }
            impl<T: ?Sized> Otherwise for Probe<T> {}
            #[allow(dead_code, reason = "if no type has it")]
            impl<T: ?Sized + $trait> Probe<T> {
                const HAS: bool = true;
            }
            Probe::<$ty>::HAS
        }};
    }

    macro_rules! auto_traits {
        ($($ty:ty),*) => {
            [$([
                has!($ty: Send),
                has!($ty: Sync),
                has!($ty: Unpin),
                has!($ty: UnwindSafe),
                has!($ty: RefUnwindSafe),
            ],)*]
        };
    }

    macro_rules! auto_traits_of {
        ($of:ident) => {
            auto_traits!(
                sync::$of<u8>,
                sync::$of<Cell<u8>>,
                sync::$of<Rc<u8>>,
                sync::$of<&'static mut u8>,
                sync::$of<dyn Send>,
                sync::$of<std::marker::PhantomPinned>
            ) == auto_traits!(
                $of<u8>,
                $of<Cell<u8>>,
                $of<Rc<u8>>,
                $of<&'static mut u8>,
                $of<dyn Send>,
                $of<std::marker::PhantomPinned>
            )
        };
        (guard $of:ident) => {
            auto_traits!(
                sync::$of<'static, u8>,
                sync::$of<'static, Cell<u8>>,
                sync::$of<'static, Rc<u8>>,
                sync::$of<'static, &'static mut u8>,
                sync::$of<'static, dyn Send>
            ) == auto_traits!(
                $of<'static, u8>,
                $of<'static, Cell<u8>>,
                $of<'static, Rc<u8>>,
                $of<'static, &'static mut u8>,
                $of<'static, dyn Send>
            )
        };
    }

    #[test]
    fn has_the_shape_of_std() {
        assert!(auto_traits_of!(RwLock));
        assert!(auto_traits_of!(guard RwLockReadGuard));
        assert!(auto_traits_of!(guard RwLockWriteGuard));

        fn shape<T: Default + From<u8> + fmt::Debug>() {}
        shape::<sync::RwLock<u8>>();
        shape::<RwLock<u8>>();

        static LOCK: RwLock<Vec<u8>> = RwLock::named(Vec::new(), "a list");
        LOCK.write().unwrap().push(1);
        let unsized_lock: Box<RwLock<dyn fmt::Debug + Send + Sync>> = Box::new(RwLock::new(7));
        assert_eq!(format!("{:?}", &*unsized_lock.read().unwrap()), "7");
        let unsized_lock: &RwLock<[u8]> = &RwLock::new([1, 2]);
        unsized_lock.write().unwrap()[0] = 3;
        assert_eq!(*unsized_lock.read().unwrap(), [3, 2]);
        assert!(size_of::<RwLock<u8>>() <= 88);
    }

    /// What is read may live shorter than what is locked says: as of std's, a reader's guard is covariant.
    #[test]
    fn guards_of_readers_are_covariant() {
        fn both<'a>(guard: RwLockReadGuard<'_, &'a str>, other: &'a str) -> usize {
            guard.len() + other.len()
        }
        let lock: RwLock<&'static str> = RwLock::new("four");
        let other = String::from("three");
        assert_eq!(both(lock.read().unwrap(), &other), 9);
    }

    #[test]
    fn downgrade_keeps_the_lock() {
        let lock = RwLock::new(1);
        let mut writer = lock.write().unwrap();
        *writer = 2;
        let reader = RwLockWriteGuard::downgrade(writer);
        assert!(lock.try_write().is_err());
        assert_eq!((*reader, *lock.try_read().unwrap()), (2, 2));
        drop(reader);
        assert!(lock.try_write().is_ok());
        // A lock that is poisoned stays so, and the guard is given without a word about it, as by std.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let _writer = lock.write();
            panic!("poison it");
        }));
        let writer = lock.write().unwrap_err().into_inner();
        assert_eq!(*RwLockWriteGuard::downgrade(writer), 2);
        assert!(lock.is_poisoned());
    }
}
