//! Atomics, and what else threads meet at: the standard library's, or loom's, which tries all that could happen between threads.
//!
//! Modules whose protocols are modelled take these from here. `RUSTFLAGS="--cfg loom" cargo test --lib model` runs the models, which are
//! modules called `model` beside the code; in such a build nothing else can run.
//!
//! Loom, not shuttle: these protocols stand on Relaxed accesses and fences, and shuttle knows none weaker than SeqCst.

pub(crate) use crate::pages::Zeroed;

#[cfg(not(all(test, loom)))]
pub(crate) use self::plain::*;

#[cfg(all(test, loom))]
pub(crate) use self::modelled::*;

#[cfg(not(all(test, loom)))]
mod plain {
    pub(crate) use std::cell::UnsafeCell;
    #[cfg_attr(
        not(all(target_os = "linux", feature = "instrument")),
        allow(unused_imports, reason = "of locks made of futexes")
    )]
    pub(crate) use std::hint::spin_loop;

    pub(crate) mod atomic {
        pub(crate) use std::sync::atomic::{
            AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
        };
    }

    pub(crate) use crate::pages::Pages as Zeros;

    /// Values of zero; none if the system has no memory for them.
    pub(crate) fn zeroed<T: super::Zeroed>(len: usize) -> Zeros<T> {
        Zeros::zeroed(len)
    }
}

// SAFETY: so it is.
unsafe impl Zeroed for atomic::AtomicU32 {
    fn zero() -> Self {
        Self::new(0)
    }
}

// SAFETY: so it is.
unsafe impl Zeroed for atomic::AtomicU64 {
    fn zero() -> Self {
        Self::new(0)
    }
}

#[cfg(all(test, loom))]
mod modelled {
    use std::fmt::{self, Debug, Write};
    use std::sync::atomic::AtomicU64 as Counter;
    use std::sync::{Mutex, PoisonError};

    pub(crate) use loom::hint::spin_loop;
    /// Of a thread that finds a lock taken and waits: the same happens where it comes later.
    pub(crate) use loom::skip_branch as skip;

    use self::atomic::Ordering;

    /// The number of the execution that goes on: one at a time in the process, since statics are shared.
    static EXECUTION: Counter = Counter::new(0);

    /// Runs `model` in all ways that its threads may go on next to each other, `preemptions` of them being interrupted.
    ///
    /// # Panics
    /// If there are fewer ways than a model with shared atomics has: its threads do not meet.
    pub(crate) fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(preemptions);
        builder.max_branches = 10_000;
        // ORDERING: Relaxed, all: all of an execution is in one thread of the system.
        let before = EXECUTION.load(Ordering::Relaxed);
        builder.check(move || {
            EXECUTION.fetch_add(1, Ordering::Relaxed);
            model();
        });
        let executions = EXECUTION.load(Ordering::Relaxed) - before;
        println!("{executions} executions");
        assert!(executions > 20, "{executions} executions");
    }

    /// A value that the threads of a model are to share. Its atomics are made here, which happens before all that the threads do.
    pub(crate) fn shared<T: Debug>(value: T) -> std::sync::Arc<T> {
        make(&value);
        std::sync::Arc::new(value)
    }

    /// Makes the atomics of a value, such as a static, which are those that its `Debug` shows.
    pub(crate) fn make(value: &impl Debug) {
        struct Nowhere;
        impl Write for Nowhere {
            fn write_str(&mut self, _: &str) -> fmt::Result {
                Ok(())
            }
        }
        write!(Nowhere, "{value:?}").expect("nowhere has room");
    }

    pub(crate) type Zeros<T> = Box<[T]>;

    pub(crate) fn zeroed<T: super::Zeroed>(len: usize) -> Zeros<T> {
        (0..len).map(|_| T::zero()).collect()
    }

    /// As std's, with accesses that loom knows of.
    #[derive(Debug)]
    pub(crate) struct UnsafeCell<T>(loom::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(value: T) -> Self {
            UnsafeCell(loom::cell::UnsafeCell::new(value))
        }

        /// For writing. What is done with the pointer is taken to be done at once.
        pub(crate) fn get(&self) -> *mut T {
            self.0.with_mut(|pointer| pointer)
        }
    }

    pub(crate) mod atomic {
        pub(crate) use loom::sync::atomic::fence;
        pub(crate) use std::sync::atomic::Ordering;

        use std::fmt;
        use std::sync::{Arc, Mutex, PoisonError};

        use super::EXECUTION;

        /// Made anew by each execution of a model, with its first value, when it is first used: so constants and statics can have them.
        struct Lazy<V, A> {
            first: V,
            now: Mutex<Option<(u64, Arc<Made<A>>)>>,
        }

        #[derive(Debug)]
        struct Made<A> {
            atomic: A,
            /// Accessed before the other is, by a change. Loom tries another order of accesses only next to the last one, and forgets that of a
            /// thread whose load was followed by another's load.
            order: loom::sync::atomic::AtomicUsize,
        }

        impl<A> std::ops::Deref for Made<A> {
            type Target = A;

            fn deref(&self) -> &A {
                // ORDERING: Relaxed: orders nothing.
                self.order.swap(0, Ordering::Relaxed);
                &self.atomic
            }
        }

        impl<V: Copy, A> Lazy<V, A> {
            const fn new(first: V) -> Self {
                Lazy { first, now: Mutex::new(None) }
            }

            fn get(&self, make: impl FnOnce(V) -> A) -> Arc<Made<A>> {
                // ORDERING: Relaxed: as in `check`.
                let execution = EXECUTION.load(Ordering::Relaxed);
                let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
                match &*now {
                    Some((of, atomic)) if *of == execution => atomic.clone(),
                    _ => {
                        let atomic = make(self.first);
                        let order = loom::sync::atomic::AtomicUsize::new(0);
                        let atomic = Arc::new(Made { atomic, order });
                        // What an execution that is over has left is of no use to any other, not even to be dropped.
                        std::mem::forget(now.replace((execution, atomic.clone())));
                        atomic
                    }
                }
            }
        }

        macro_rules! atomics {
            ($($name:ident $value:ty,)*) => {$(
                pub(crate) struct $name(Lazy<$value, loom::sync::atomic::$name>);

                #[allow(dead_code, reason = "the same for all")]
                impl $name {
                    pub(crate) const fn new(value: $value) -> Self {
                        $name(Lazy::new(value))
                    }

                    fn get(&self) -> Arc<Made<loom::sync::atomic::$name>> {
                        self.0.get(loom::sync::atomic::$name::new)
                    }

                    pub(crate) fn load(&self, order: Ordering) -> $value {
                        self.get().load(order)
                    }

                    pub(crate) fn store(&self, value: $value, order: Ordering) {
                        self.get().store(value, order);
                    }

                    pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                        self.get().swap(value, order)
                    }

                    pub(crate) fn compare_exchange(
                        &self,
                        current: $value,
                        new: $value,
                        success: Ordering,
                        failure: Ordering,
                    ) -> Result<$value, $value> {
                        self.get().compare_exchange(current, new, success, failure)
                    }

                    pub(crate) fn compare_exchange_weak(
                        &self,
                        current: $value,
                        new: $value,
                        success: Ordering,
                        failure: Ordering,
                    ) -> Result<$value, $value> {
                        self.get().compare_exchange_weak(current, new, success, failure)
                    }
                }

                impl fmt::Debug for $name {
                    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        self.get();
                        f.write_str(stringify!($name))
                    }
                }

                impl Default for $name {
                    fn default() -> Self {
                        $name::new(Default::default())
                    }
                }
            )*};
        }

        atomics! {
            AtomicBool bool,
            AtomicI64 i64,
            AtomicU32 u32,
            AtomicU64 u64,
            AtomicUsize usize,
        }

        macro_rules! numbers {
            ($($name:ident $value:ty,)*) => {$(
                #[allow(dead_code, reason = "the same for all")]
                impl $name {
                    pub(crate) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                        self.get().fetch_add(value, order)
                    }

                    pub(crate) fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                        self.get().fetch_sub(value, order)
                    }

                    pub(crate) fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                        self.get().fetch_or(value, order)
                    }

                    pub(crate) fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                        self.get().fetch_and(value, order)
                    }

                    pub(crate) fn fetch_update(
                        &self,
                        set: Ordering,
                        fetch: Ordering,
                        update: impl FnMut($value) -> Option<$value>,
                    ) -> Result<$value, $value> {
                        self.get().fetch_update(set, fetch, update)
                    }
                }
            )*};
        }

        numbers! { AtomicI64 i64, AtomicU32 u32, AtomicU64 u64, AtomicUsize usize, }
    }

    /// A model of the kernel's part of a lock: it looks at the word and puts the thread to sleep in one step, which a wake-up comes
    /// before or after.
    pub(crate) mod futex {
        use loom::sync::{Condvar, Mutex};

        use super::atomic::{AtomicU32, Ordering};

        #[derive(Debug, Default)]
        struct Sleepers {
            /// The word and the number of each, the first to come first.
            queue: Vec<(usize, usize)>,
            numbers: usize,
        }

        loom::lazy_static! {
            static ref SLEEPERS: Mutex<Sleepers> = Mutex::new(Sleepers::default());
            static ref WOKEN: Condvar = Condvar::new();
        }

        fn address(word: &AtomicU32) -> usize {
            std::ptr::from_ref(word) as usize
        }

        pub(crate) fn wait(word: &AtomicU32, expected: u32) {
            let mut sleepers = SLEEPERS.lock().expect("nobody panics");
            // ORDERING: Relaxed: what the waker wrote before it took the lock is seen.
            if word.load(Ordering::Relaxed) != expected {
                return;
            }
            let number = sleepers.numbers;
            sleepers.numbers += 1;
            sleepers.queue.push((address(word), number));
            while sleepers.queue.iter().any(|(_, sleeper)| *sleeper == number) {
                sleepers = WOKEN.wait(sleepers).expect("nobody panics");
            }
        }

        /// Whether somebody slept.
        pub(crate) fn wake_one(word: &AtomicU32) -> bool {
            wake(word, 1)
        }

        #[allow(dead_code, reason = "of locks that let in more than one")]
        pub(crate) fn wake_all(word: &AtomicU32) {
            wake(word, usize::MAX);
        }

        fn wake(word: &AtomicU32, mut most: usize) -> bool {
            let mut sleepers = SLEEPERS.lock().expect("nobody panics");
            let before = sleepers.queue.len();
            sleepers.queue.retain(|(at, _)| {
                let stays = *at != address(word) || most == 0;
                most -= usize::from(!stays);
                stays
            });
            let woken = sleepers.queue.len() < before;
            if woken {
                WOKEN.notify_all();
            }
            woken
        }
    }
}
