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
            // Work left after the call: as a jump it would run when the frame of the function to charge is gone.
            black_box(());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::shape::same_auto_traits;
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::rc::Rc;
    use std::sync;

    fn text(f: impl FnOnce()) -> String {
        let payload = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
        payload.downcast_ref::<&str>().map_or(String::new(), |text| (*text).to_owned())
    }

    /// The same questions put to std's type and to ours.
    #[test]
    fn follows_std() {
        macro_rules! run {
            ($sync:path) => {{
                use $sync as sync;
                static LAZY: sync::LazyLock<String> = sync::LazyLock::new(|| "made".into());
                let runs = Cell::new(0);
                let count = || {
                    runs.set(runs.get() + 1);
                    runs.get()
                };
                let mut seen = vec![format!("{LAZY:?}")];
                seen.push(format!("{} {LAZY:?} {LAZY:#?}", LAZY.len()));
                let lazy = sync::LazyLock::new(count);
                seen.push(format!("{} {} {lazy:?}", *sync::LazyLock::force(&lazy), *lazy));
                let lazy = sync::LazyLock::<u8, _>::new(|| panic!("a reason"));
                for _ in 0..3 {
                    seen.push(text(|| assert_eq!(*lazy, 1)));
                    seen.push(format!("{lazy:?}"));
                }
                seen.push(format!("{:?}", *sync::LazyLock::<Vec<u8>>::default()));
                seen
            }};
        }
        assert_eq!(run!(crate::sync), run!(sync));
    }

    #[test]
    fn can_be_changed_by_its_owner() {
        let mut lazy = LazyLock::named(|| vec![1], "a list");
        assert!(LazyLock::get(&lazy).is_none() && LazyLock::get_mut(&mut lazy).is_none());
        lazy.push(2);
        LazyLock::force_mut(&mut lazy).push(3);
        LazyLock::get_mut(&mut lazy).unwrap().push(4);
        assert_eq!(LazyLock::get(&lazy), Some(&vec![1, 2, 3, 4]));

        let mut lazy = LazyLock::<u8, _>::new(|| panic!("a reason"));
        let poisoned = "LazyLock instance has previously been poisoned";
        assert_eq!(text(|| *lazy = 1), "a reason");
        assert_eq!(text(|| *lazy = 1), poisoned);
        assert_eq!(text(|| assert_eq!(*lazy, 1)), poisoned);
        assert!(LazyLock::get(&lazy).is_none() && LazyLock::get_mut(&mut lazy).is_none());
        let mut lazy = LazyLock::<u8, _>::new(|| panic!("a reason"));
        assert_eq!(text(|| assert_eq!(*lazy, 1)), "a reason");
        assert_eq!(text(|| *lazy = 1), poisoned);
    }

    #[test]
    fn has_the_shape_of_std() {
        macro_rules! same {
            ($($of:ty),*) => { $(
                same_auto_traits!(sync::LazyLock<$of>, LazyLock<$of>);
                same_auto_traits!(sync::LazyLock<u8, $of>, LazyLock<u8, $of>);
            )* };
        }
        same!(
            u8,
            Cell<u8>,
            Rc<u8>,
            &'static Cell<u8>,
            &'static mut u8,
            sync::MutexGuard<'static, u8>
        );
    }

    #[test]
    fn drops_what_is_there() {
        let value = Rc::new(());
        let count = || Rc::strong_count(&value) - 1;
        let held = Rc::clone(&value);
        drop(LazyLock::<(), _>::new(move || drop(held)));
        assert_eq!(count(), 0, "the closure");
        let held = Rc::clone(&value);
        let lazy = LazyLock::new(move || held);
        let _ = LazyLock::force(&lazy);
        assert_eq!(count(), 1);
        drop(lazy);
        assert_eq!(count(), 0, "the value");
    }
}
