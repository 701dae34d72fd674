//! `LazyLock`: a value that is made when it is first used.

use std::cell::UnsafeCell;
use std::fmt;
use std::hint::black_box;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};

use super::once::{Once, Want};
use crate::source::contention::Origin;

/// A value that is made on first access, drop-in for [`std::sync::LazyLock`].
///
/// Whoever finds the value being made waits: that is in the `block` profile, on the stack that waits, and in the `mutex`
/// profile, on the stack whose access makes it.
///
/// # Overhead
/// 64 bytes more than std's. Access to a value that is there costs what it costs in std.
///
/// # Examples
/// ```
/// use pprof_runtime::sync::LazyLock;
///
/// static WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| "a b c".split(' ').collect());
/// assert_eq!(WORDS.len(), 3);
/// ```
pub struct LazyLock<T, F = fn() -> T> {
    once: Once,
    data: UnsafeCell<Data<T, F>>,
}

/// As `once` says: `Value` if it is complete, `Gone` if it is poisoned or runs, else `Lazy`.
enum Data<T, F> {
    Lazy(F),
    Value(T),
    Gone,
}

// SAFETY: `&T` is given out, so it must be `Sync`; and the thread that makes the value and the one that drops it may be any: `Send`.
// `F` is taken by one thread, and never given out by reference.
unsafe impl<T: Sync + Send, F: Send> Sync for LazyLock<T, F> {}

impl<T: RefUnwindSafe + UnwindSafe, F: UnwindSafe> RefUnwindSafe for LazyLock<T, F> {}
impl<T: UnwindSafe, F: UnwindSafe> UnwindSafe for LazyLock<T, F> {}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// A value that `f` will make.
    #[inline]
    #[track_caller]
    pub const fn new(f: F) -> LazyLock<T, F> {
        LazyLock::with_origin(f, Origin::here())
    }

    /// A value that `f` will make, which profiles show as `name`; others by where they were made.
    ///
    /// Not in std.
    #[inline]
    pub const fn named(f: F, name: &'static str) -> LazyLock<T, F> {
        LazyLock::with_origin(f, Origin::Name(name))
    }

    const fn with_origin(f: F, origin: Origin) -> LazyLock<T, F> {
        LazyLock { once: Once::with_origin(origin), data: UnsafeCell::new(Data::Lazy(f)) }
    }

    /// The value, made now if this is the first access. Dereferencing does the same.
    ///
    /// # Panics
    /// If the closure does, or did in an earlier access. An access from within it waits for itself, as with std's.
    #[inline]
    #[track_caller]
    pub fn force(this: &LazyLock<T, F>) -> &T {
        if !this.once.is_completed() {
            this.initialise();
        }
        // SAFETY: it is complete, be it by `initialise`.
        unsafe { this.value_unchecked() }
    }

    /// The value for changing it, made now if this is the first access.
    ///
    /// # Panics
    /// As [`force`](LazyLock::force).
    #[inline]
    #[track_caller]
    pub fn force_mut(this: &mut LazyLock<T, F>) -> &mut T {
        if let Data::Lazy(_) = this.data.get_mut() {
            this.initialise_mut();
        }
        match this.data.get_mut() {
            Data::Value(value) => value,
            _ => panic_poisoned(),
        }
    }

    /// When this returns, it is complete.
    #[cold]
    #[inline(never)]
    #[track_caller]
    fn initialise(&self) {
        let done = self.once.call(Want::Initialised, &mut |_| {
            // SAFETY: it is not complete, so nobody reads, and `call` runs one closure at a time.
            let data = unsafe { mem::replace(&mut *self.data.get(), Data::Gone) };
            let Data::Lazy(f) = data else { panic_poisoned() };
            let value = f();
            // SAFETY: as above. What `value_unchecked` counts on.
            unsafe { *self.data.get() = Data::Value(value) };
        });
        if done.is_err() {
            panic_poisoned();
        }
        // Work left after the call: as a jump it would run when the caller's frame is gone.
        black_box(());
    }

    #[cold]
    #[inline(never)]
    fn initialise_mut(&mut self) {
        if let Data::Lazy(f) = mem::replace(self.data.get_mut(), Data::Gone) {
            // As it stays if `f` panics.
            self.once.set_poisoned();
            *self.data.get_mut() = Data::Value(f());
            self.once.set_completed(true);
        }
    }
}

impl<T, F> LazyLock<T, F> {
    /// The value, if it has been made; makes none, and never waits.
    #[inline]
    pub fn get(this: &LazyLock<T, F>) -> Option<&T> {
        if this.once.is_completed() {
            // SAFETY: it is complete.
            Some(unsafe { this.value_unchecked() })
        } else {
            None
        }
    }

    /// The value for changing it, if it has been made; makes none.
    #[inline]
    pub fn get_mut(this: &mut LazyLock<T, F>) -> Option<&mut T> {
        match this.data.get_mut() {
            Data::Value(value) => Some(value),
            _ => None,
        }
    }

    /// # Safety
    /// It must be complete.
    #[inline]
    unsafe fn value_unchecked(&self) -> &T {
        // SAFETY: nobody writes any more, as it is complete.
        match unsafe { &*self.data.get() } {
            Data::Value(value) => value,
            // SAFETY: it is complete, and then the value is there.
            _ => unsafe { std::hint::unreachable_unchecked() },
        }
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn panic_poisoned() -> ! {
    panic!("LazyLock instance has previously been poisoned")
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    #[inline]
    #[track_caller]
    fn deref(&self) -> &T {
        LazyLock::force(self)
    }
}

impl<T, F: FnOnce() -> T> DerefMut for LazyLock<T, F> {
    #[inline]
    #[track_caller]
    fn deref_mut(&mut self) -> &mut T {
        LazyLock::force_mut(self)
    }
}

impl<T: Default> Default for LazyLock<T> {
    /// A value that `T::default` will make.
    #[inline]
    #[track_caller]
    fn default() -> LazyLock<T> {
        LazyLock::new(T::default)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_tuple("LazyLock");
        match LazyLock::get(self) {
            Some(value) => shown.field(value),
            None => shown.field(&format_args!("<uninit>")),
        };
        shown.finish()
    }
}
