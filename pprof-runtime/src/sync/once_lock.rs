//! `OnceLock`: a value that is written once.

use std::cell::UnsafeCell;
use std::fmt;
use std::hint::black_box;
use std::panic::{RefUnwindSafe, UnwindSafe};

use super::once::{Once, Want};
use crate::source::contention::Origin;

/// A cell that is written to once, drop-in for [`std::sync::OnceLock`].
///
/// Whoever finds its initialisation running waits: that is in the `block` profile, on the stack that waits, and in the `mutex`
/// profile, on the stack whose call runs the initialisation. So is [`wait`](OnceLock::wait).
///
/// # Overhead
/// 64 bytes more than std's. Reading costs what it costs in std.
///
/// # Examples
/// ```
/// use pprof_runtime::sync::OnceLock;
///
/// static HOME: OnceLock<String> = OnceLock::new();
/// assert_eq!(HOME.get(), None);
/// assert_eq!(HOME.get_or_init(|| "/home".to_owned()), "/home");
/// assert_eq!(HOME.set("/root".to_owned()), Err("/root".to_owned()));
/// ```
pub struct OnceLock<T> {
    once: Once,
    /// There once `once` is complete, and not before. As an `Option` it is dropped without an `impl Drop` here, which would demand that
    /// what `T` borrows outlives the cell; std's does not demand it either.
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the value is given out as `&T`, so it must be `Sync`; and the thread that drops it may be another than the one that made it, so it
// must be `Send`.
unsafe impl<T: Sync + Send> Sync for OnceLock<T> {}

impl<T: RefUnwindSafe + UnwindSafe> RefUnwindSafe for OnceLock<T> {}
impl<T: UnwindSafe> UnwindSafe for OnceLock<T> {}

impl<T> OnceLock<T> {
    /// An empty cell.
    #[inline]
    #[must_use]
    #[track_caller]
    pub const fn new() -> OnceLock<T> {
        OnceLock::with_origin(Origin::here())
    }

    /// An empty cell, which profiles show as `name`; others by where they were made.
    ///
    /// Not in std.
    #[inline]
    #[must_use]
    pub const fn named(name: &'static str) -> OnceLock<T> {
        OnceLock::with_origin(Origin::Name(name))
    }

    const fn with_origin(origin: Origin) -> OnceLock<T> {
        OnceLock { once: Once::with_origin(origin), value: UnsafeCell::new(None) }
    }

    /// The value, if it has been set. Never waits.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        if self.once.is_completed() {
            // SAFETY: it is complete.
            Some(unsafe { self.value_unchecked() })
        } else {
            None
        }
    }

    /// The value, if it has been set; nobody else has it, as the borrow says.
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut().as_mut()
    }

    /// The value, once somebody has set it.
    #[inline]
    #[track_caller]
    pub fn wait(&self) -> &T {
        self.once.wait_force();
        // SAFETY: it is complete, that is what was waited for.
        unsafe { self.value_unchecked() }
    }

    /// Sets the value, if there is none. While another thread is about to set it, waits for that.
    ///
    /// # Errors
    /// Gives `value` back if there is one already.
    #[inline]
    #[track_caller]
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        if !self.once.is_completed() {
            self.initialise(|| value.take().expect("this is called once"));
            black_box(());
        }
        match value {
            None => Ok(()),
            Some(value) => Err(value),
        }
    }

    /// The value; if there is none, `f` makes it. While another thread does, waits for that.
    ///
    /// # Panics
    /// If `f` does: then the cell is still empty, and the next may try. A call from within `f` waits for itself, as with std's.
    #[inline]
    #[track_caller]
    pub fn get_or_init<F>(&self, f: F) -> &T
    where
        F: FnOnce() -> T,
    {
        if !self.once.is_completed() {
            self.initialise(f);
            // Work left after the call: as a jump it would run when the frame of the function to charge is gone.
            black_box(());
        }
        // SAFETY: it is complete, be it by `initialise`.
        unsafe { self.value_unchecked() }
    }

    /// The value, if it has been set, the cell being gone.
    #[inline]
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// The value, if it has been set; leaves the cell empty.
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        let value = self.value.get_mut().take();
        if value.is_some() {
            self.once.set_completed(false);
        }
        value
    }

    /// When this returns, it is complete.
    #[cold]
    #[inline(never)]
    #[track_caller]
    fn initialise(&self, make: impl FnOnce() -> T) {
        let mut make = Some(make);
        // Never refused.
        let _ = self.once.call(Want::InitialisedByForce, &mut |_| {
            let value = make.take().map(|make| make());
            // SAFETY: it is not complete, so nobody reads, and `call` runs one closure at a time. What `value_unchecked` counts on: this
            // is `Some`, as `call` calls this closure once.
            unsafe { *self.value.get() = value };
        });
    }

    /// # Safety
    /// It must be complete.
    #[inline]
    unsafe fn value_unchecked(&self) -> &T {
        // SAFETY: nobody writes any more, as it is complete.
        let value = unsafe { &*self.value.get() };
        // SAFETY: it is complete, and then it is there.
        unsafe { value.as_ref().unwrap_unchecked() }
    }
}

impl<T> Default for OnceLock<T> {
    /// An empty cell.
    #[inline]
    #[track_caller]
    fn default() -> OnceLock<T> {
        OnceLock::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_tuple("OnceLock");
        match self.get() {
            Some(value) => shown.field(value),
            None => shown.field(&format_args!("<uninit>")),
        };
        shown.finish()
    }
}

impl<T: Clone> Clone for OnceLock<T> {
    #[inline]
    #[track_caller]
    fn clone(&self) -> OnceLock<T> {
        match self.get() {
            Some(value) => OnceLock::from(value.clone()),
            None => OnceLock::new(),
        }
    }
}

impl<T> From<T> for OnceLock<T> {
    /// A cell with this value.
    #[inline]
    #[track_caller]
    fn from(value: T) -> Self {
        let mut cell = OnceLock::new();
        *cell.value.get_mut() = Some(value);
        cell.once.set_completed(true);
        cell
    }
}

impl<T: PartialEq> PartialEq for OnceLock<T> {
    #[inline]
    fn eq(&self, other: &OnceLock<T>) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceLock<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::shape::{implements, same_auto_traits};
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::rc::Rc;
    use std::sync;
    use std::thread;

    /// The same questions put to std's type and to ours.
    #[test]
    fn follows_std() {
        macro_rules! run {
            ($sync:path) => {{
                use $sync as sync;
                let mut seen = Vec::new();
                let mut cell = sync::OnceLock::<String>::new();
                seen.push(format!("{cell:?} {:?} {:?}", cell.get(), cell.clone()));
                seen.push(format!("{:?} {:?}", cell.get_mut().is_some(), cell.take()));
                let panics =
                    catch_unwind(AssertUnwindSafe(|| cell.get_or_init(|| panic!("no")).len()));
                seen.push(format!("{} {cell:?}", panics.is_err()));
                seen.push(format!("{:?}", cell.get_or_init(|| "a".into())));
                seen.push(format!("{:?} {:?}", cell.get_or_init(|| unreachable!()), cell.wait()));
                seen.push(format!("{:?} {cell:?}", cell.set("b".into())));
                cell.get_mut().unwrap().push('c');
                seen.push(format!("{cell:?} {:?} {}", cell.clone(), cell.clone() == cell));
                seen.push((cell == sync::OnceLock::default()).to_string());
                seen.push((cell == sync::OnceLock::from("ac".to_owned())).to_string());
                seen.push(format!("{:?} {:?}", cell.take(), cell.take()));
                seen.push(format!("{:?} {cell:#?}", cell.set("d".into())));
                seen.push(format!("{:?}", cell.into_inner()));
                seen.push(format!("{:?}", sync::OnceLock::<u8>::new().into_inner()));
                seen
            }};
        }
        assert_eq!(run!(crate::sync), run!(sync));
    }

    #[test]
    fn has_the_shape_of_std() {
        macro_rules! same {
            ($($of:ty),*) => { $(
                same_auto_traits!(sync::OnceLock<$of>, OnceLock<$of>);
                assert_eq!(implements!(OnceLock<$of>: Clone), implements!(sync::OnceLock<$of>: Clone));
                assert_eq!(implements!(OnceLock<$of>: Eq), implements!(sync::OnceLock<$of>: Eq));
            )* };
        }
        same!(
            u8,
            f64,
            Cell<u8>,
            Rc<u8>,
            &'static Cell<u8>,
            &'static mut u8,
            sync::MutexGuard<'static, u8>
        );

        static CELL: OnceLock<Vec<u8>> = OnceLock::named("a cell");
        CELL.set(vec![1]).unwrap();
        assert_eq!(CELL.get().map(Vec::len), Some(1));
    }

    #[test]
    fn may_outlive_what_it_borrows_as_stds_may() {
        let cell = OnceLock::new();
        let text = String::from("dropped before the cell");
        cell.set(&text).unwrap();
        assert_eq!(cell.get().map(|text| text.len()), Some(23));
    }

    #[test]
    fn drops_its_value_once() {
        let value = Rc::new(());
        let count = || Rc::strong_count(&value) - 1;
        let mut cell = OnceLock::from(Rc::clone(&value));
        assert!(cell.set(Rc::clone(&value)).is_err());
        assert_eq!(count(), 1);
        drop(cell.take());
        assert_eq!(count(), 0);
        let _ = cell.set(Rc::clone(&value));
        drop(cell);
        assert_eq!(count(), 0);
        drop(OnceLock::<Rc<()>>::new());
    }

    #[test]
    fn one_of_many_sets_it() {
        for _ in 0..100 {
            let cell = OnceLock::new();
            let set = thread::scope(|scope| {
                let threads = [0, 1, 2].map(|thread| {
                    let cell = &cell;
                    scope.spawn(move || {
                        let set = cell.set(Box::new(thread)).is_ok();
                        (set, **cell.wait())
                    })
                });
                threads.map(|thread| thread.join().unwrap())
            });
            assert_eq!(set.iter().filter(|(set, _)| *set).count(), 1);
            assert!(set.iter().all(|(_, value)| *value == **cell.get().unwrap()));
        }
    }
}
