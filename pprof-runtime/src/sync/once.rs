//! `Once`: an initialisation that runs once, with an account of those who wait for it.
//!
//! Written here rather than put around std's, as only the inside knows whether a call finds the initialisation running and waits, or
//! runs it, which may be after it has waited for one that panicked.

use std::cell::Cell;
use std::fmt;
use std::hint::black_box;
use std::marker::PhantomData;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::sync::atomic::Ordering;

use super::word::Word;
use crate::source::contention::{Kind, Monitor, Origin, Site};

/// A one-time global initialisation, drop-in for [`std::sync::Once`].
///
/// Whoever finds the initialisation running waits: that is in the `block` profile, on the stack that waits, and in the `mutex` profile, on
/// the stack whose call runs the initialisation. So are [`wait`](Once::wait) and [`wait_force`](Once::wait_force), all of which is
/// charged to the initialisation, even what went by before it began.
///
/// # Overhead
/// 64 bytes more than std's. Once it has completed, a look at one word, as in std.
///
/// # Examples
/// ```
/// use pprof_runtime::sync::Once;
///
/// static START: Once = Once::new();
/// let mut runs = 0;
/// START.call_once(|| runs += 1);
/// START.call_once(|| runs += 1);
/// assert_eq!((runs, START.is_completed()), (1, true));
/// ```
pub struct Once {
    word: Word,
    monitor: Monitor,
}

// What an initialisation that panicked leaves behind is behind poisoning.
impl UnwindSafe for Once {}
impl RefUnwindSafe for Once {}

// | `word`        | meaning                                | leaves it                                        |
// |---------------|----------------------------------------|--------------------------------------------------|
// | INCOMPLETE    | nobody has begun                       | any thread, by compare-exchange to RUNNING       |
// | RUNNING       | a thread runs the initialisation       | that thread, to COMPLETE or POISONED             |
// | POISONED      | the last one panicked                  | who does not mind, by compare-exchange to RUNNING |
// | COMPLETE      | one has returned                       | only what has the `Once` to itself               |
// | ... SLEPT_ON  | somebody sleeps until that changes     | with the initialisation's end                    |
const INCOMPLETE: u32 = 0;
const RUNNING: u32 = 1;
const POISONED: u32 = 2;
const COMPLETE: u32 = 3;
const SLEPT_ON: u32 = 4;

/// What a call wants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// The initialisation to have run, here if need be; with one that panicked it is not to be tried again.
    Initialised,
    /// The initialisation to have run, here if need be, whatever became of those before.
    InitialisedByForce,
    /// Somebody else's initialisation; not one that panicked.
    Result,
    /// Somebody else's initialisation, whatever becomes of those before.
    ResultByForce,
}

/// What a call gets.
enum Turn {
    Complete,
    Poisoned,
    /// The calling thread runs the initialisation.
    Run {
        poisoned: bool,
    },
}

/// An initialisation panicked, and the call minds.
#[derive(Debug)]
pub(super) struct Poisoned;

#[allow(clippy::new_without_default, reason = "std's has none")]
impl Once {
    /// A new one; nothing has been run.
    #[inline]
    #[must_use]
    #[track_caller]
    pub const fn new() -> Once {
        Once::with_origin(Origin::here())
    }

    /// A new one, which profiles show as `name`; others by where they were made.
    ///
    /// Not in std.
    #[inline]
    #[must_use]
    pub const fn named(name: &'static str) -> Once {
        Once::with_origin(Origin::Name(name))
    }

    pub(super) const fn with_origin(origin: Origin) -> Once {
        Once { word: Word::new(INCOMPLETE), monitor: Monitor::new(origin) }
    }

    /// Runs `f` if this is the first call, and otherwise waits until the one that runs has ended.
    ///
    /// When it returns, some initialisation has completed.
    ///
    /// # Panics
    /// If an earlier initialisation panicked, or `f` does. A call from within `f` waits for itself, as with std's.
    #[inline]
    #[track_caller]
    pub fn call_once<F>(&self, f: F)
    where
        F: FnOnce(),
    {
        if !self.is_completed() {
            let mut f = Some(f);
            let done = self.call(Want::Initialised, &mut |_| {
                if let Some(f) = f.take() {
                    f();
                }
            });
            if done.is_err() {
                panic_poisoned();
            }
        }
    }

    /// As [`call_once`](Once::call_once), also after an initialisation that panicked: then `f` is run, and told.
    ///
    /// # Panics
    /// If `f` does.
    #[inline]
    #[track_caller]
    pub fn call_once_force<F>(&self, f: F)
    where
        F: FnOnce(&OnceState),
    {
        if !self.is_completed() {
            let mut f = Some(f);
            // Never refused.
            let _ = self.call(Want::InitialisedByForce, &mut |state| {
                if let Some(f) = f.take() {
                    f(state);
                }
            });
        }
    }

    /// Whether an initialisation has completed. Never waits.
    #[inline]
    pub fn is_completed(&self) -> bool {
        // ORDERING: Acquire pairs with the Release in `Running::drop`: what the initialisation did is seen.
        self.word.atomic().load(Ordering::Acquire) == COMPLETE
    }

    /// Waits until an initialisation has completed; runs none.
    ///
    /// # Panics
    /// If an initialisation panics, or has.
    #[inline]
    #[track_caller]
    pub fn wait(&self) {
        if !self.is_completed() && self.call(Want::Result, &mut |_| ()).is_err() {
            panic_poisoned();
        }
    }

    /// Waits until an initialisation has completed, however many panic before; runs none.
    #[inline]
    #[track_caller]
    pub fn wait_force(&self) {
        if !self.is_completed() {
            // Never refused.
            let _ = self.call(Want::ResultByForce, &mut |_| ());
        }
    }

    /// Runs `f`, or waits until that is not needed. `f` is called at most once, and then has returned if this does.
    #[inline(always)]
    #[track_caller]
    pub(super) fn call(&self, want: Want, f: &mut dyn FnMut(&OnceState)) -> Result<(), Poisoned> {
        let result = self.call_cold(want, f);
        // Work left after the call: as a jump it would run when the frame of the function to charge, into which this is inlined, is gone.
        black_box(());
        result
    }

    #[cold]
    #[inline(never)]
    #[track_caller]
    fn call_cold(&self, want: Want, f: &mut dyn FnMut(&OnceState)) -> Result<(), Poisoned> {
        let site = Location::caller();
        // No closure: its caller would be a frame that is not ours.
        let turn = match self.look(want) {
            Ok(turn) => turn,
            Err(_) => self.wait_for_turn(want, site),
        };
        match turn {
            Turn::Complete => Ok(()),
            Turn::Poisoned => Err(Poisoned),
            Turn::Run { poisoned } => {
                self.monitor.acquired(site);
                let mut running = Running { once: self, leaves: POISONED };
                f(&OnceState { poisoned, not_shared: PhantomData });
                running.leaves = COMPLETE;
                Ok(())
            }
        }
    }

    /// What there is to do now, or the word on which to wait for it.
    fn look(&self, want: Want) -> Result<Turn, u32> {
        let word = self.word.atomic();
        loop {
            // ORDERING: Acquire, as in `is_completed`.
            let seen = word.load(Ordering::Acquire);
            let state = seen & !SLEPT_ON;
            match (state, want) {
                (COMPLETE, _) => return Ok(Turn::Complete),
                (POISONED, Want::Initialised | Want::Result) => return Ok(Turn::Poisoned),
                (INCOMPLETE | POISONED, Want::Initialised | Want::InitialisedByForce) => {
                    let running = RUNNING | seen & SLEPT_ON;
                    // ORDERING: Acquire: what an initialisation that panicked has done is seen by the next.
                    let swap =
                        word.compare_exchange(seen, running, Ordering::Acquire, Ordering::Relaxed);
                    if swap.is_ok() {
                        return Ok(Turn::Run { poisoned: state == POISONED });
                    }
                }
                _ => return Err(seen),
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn wait_for_turn(&self, want: Want, site: Site) -> Turn {
        let wait = self.monitor.wait(Kind::Once, site);
        let mut slept = false;
        let turn = loop {
            match self.look(want) {
                Ok(turn) => break turn,
                Err(seen) => slept |= self.sleep(seen),
            }
        };
        // It ends here whatever comes of it: to run the initialisation, or to panic, is no longer waiting.
        if slept {
            wait.acquired();
        } else {
            wait.did_not_sleep();
        }
        turn
    }

    /// Sleeps if the word is still `seen`.
    fn sleep(&self, seen: u32) -> bool {
        let slept_on = seen | SLEPT_ON;
        if seen != slept_on {
            let word = self.word.atomic();
            // ORDERING: Relaxed, both: the caller looks again.
            let told = word.compare_exchange(seen, slept_on, Ordering::Relaxed, Ordering::Relaxed);
            if told.is_err() {
                return false;
            }
        }
        self.word.sleep(slept_on);
        true
    }

    /// Sets whether it has completed. Nobody waits, as the borrow says.
    pub(super) fn set_completed(&mut self, completed: bool) {
        *self.word.get_mut() = if completed { COMPLETE } else { INCOMPLETE };
    }

    /// As if an initialisation had panicked.
    pub(super) fn set_poisoned(&mut self) {
        *self.word.get_mut() = POISONED;
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn panic_poisoned() -> ! {
    panic!("Once instance has previously been poisoned")
}

/// The calling thread runs the initialisation; on drop, also by a panic, others are let in.
struct Running<'o> {
    once: &'o Once,
    /// The state to leave behind.
    leaves: u32,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Once { word, monitor } = self.once;
        let hold = monitor.releasing(Kind::Once);
        if monitor.is_owed() {
            monitor.unlocking(Kind::Once);
        }
        // ORDERING: Release pairs with the Acquires in `is_completed` and `look`.
        if word.atomic().swap(self.leaves, Ordering::Release) & SLEPT_ON != 0 {
            word.wake_all();
        }
        hold.record();
    }
}

/// As std's from 1.100 on.
impl Default for Once {
    #[track_caller]
    fn default() -> Once {
        Once::new()
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").finish_non_exhaustive()
    }
}

/// What became of initialisations before; handed to the closure of [`Once::call_once_force`].
pub struct OnceState {
    poisoned: bool,
    /// For one thread's eyes, as std's.
    not_shared: PhantomData<Cell<u32>>,
}

impl OnceState {
    /// Whether one panicked.
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }
}

impl fmt::Debug for OnceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceState").field("poisoned", &self.is_poisoned()).finish()
    }
}

/// A new [`Once`].
#[deprecated(since = "0.1.0", note = "use `Once::new()`, as std says of its own")]
#[allow(clippy::declare_interior_mutable_const, reason = "as std's")]
pub const ONCE_INIT: Once = Once::new();

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::shape::{implements, same_auto_traits};
    use std::cell::RefCell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync;
    use std::sync::atomic::AtomicUsize;
    use std::thread;
    use std::time::Duration;

    fn outcome(f: impl FnOnce()) -> String {
        match catch_unwind(AssertUnwindSafe(f)) {
            Ok(()) => "returned".into(),
            Err(payload) => payload.downcast_ref::<&str>().map_or("?".into(), |t| (*t).to_owned()),
        }
    }

    /// The same questions put to std's type and to ours.
    #[test]
    fn poisoning_follows_std() {
        macro_rules! run {
            ($sync:path) => {{
                use $sync as sync;
                static ONCE: sync::Once = sync::Once::new();
                let seen = RefCell::new(vec![format!("{ONCE:?} {}", ONCE.is_completed())]);
                let note = |what: String| {
                    seen.borrow_mut().push(format!("{what} {} {ONCE:?}", ONCE.is_completed()));
                };
                note(outcome(|| ONCE.call_once(|| panic!("first"))));
                note(outcome(|| ONCE.call_once(|| unreachable!())));
                note(outcome(|| ONCE.wait()));
                let again = |state: &sync::OnceState| {
                    note(format!("{state:?} {}", state.is_poisoned()));
                    panic!("second");
                };
                note(outcome(|| ONCE.call_once_force(again)));
                note(outcome(|| ONCE.call_once(|| unreachable!())));
                note(outcome(|| ONCE.call_once_force(|state| note(format!("{state:?}")))));
                note(outcome(|| ONCE.call_once_force(|_| unreachable!())));
                note(outcome(|| ONCE.call_once(|| unreachable!())));
                note(outcome(|| ONCE.wait()));
                note(outcome(|| ONCE.wait_force()));
                #[allow(deprecated)]
                let other = sync::ONCE_INIT;
                other.call_once_force(|state| note(format!("{state:?}")));
                seen.into_inner()
            }};
        }
        assert_eq!(run!(crate::sync), run!(sync));
    }

    #[test]
    fn has_the_shape_of_std() {
        same_auto_traits!(sync::Once, Once);
        same_auto_traits!(sync::OnceState, OnceState);
        assert!(implements!(Once: Sync) && !implements!(OnceState: Sync), "the probe works");
        assert!(implements!(Once: Default), "as std's, of compilers later than our oldest");
        assert!(size_of::<Once>() <= 80);
    }

    #[test]
    fn runs_once_and_everybody_sees_it() {
        for _ in 0..200 {
            let (once, runs) = (Once::named("a once"), AtomicUsize::new(0));
            thread::scope(|scope| {
                for thread in 0..4 {
                    let (once, runs) = (&once, &runs);
                    scope.spawn(move || {
                        match thread {
                            0 => once.wait(),
                            1 => once.wait_force(),
                            2 => once.call_once(|| runs.store(1, Ordering::Relaxed)),
                            _ => once.call_once_force(|_| runs.store(1, Ordering::Relaxed)),
                        }
                        assert_eq!(runs.load(Ordering::Relaxed), 1);
                        assert!(once.is_completed());
                    });
                }
            });
        }
    }

    #[test]
    fn after_a_panic_the_next_one_tries() {
        const THREADS: usize = 4;
        for _ in 0..50 {
            let (once, tries) = (Once::new(), AtomicUsize::new(0));
            thread::scope(|scope| {
                scope.spawn(|| once.wait_force());
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        outcome(|| {
                            once.call_once_force(|state| {
                                let before = tries.fetch_add(1, Ordering::Relaxed);
                                assert_eq!(state.is_poisoned(), before > 0);
                                thread::sleep(Duration::from_micros(50));
                                assert!(before == THREADS - 1, "not the last one");
                            });
                        })
                    });
                }
            });
            assert_eq!(tries.into_inner(), THREADS);
            assert!(once.is_completed());
        }
    }

    #[test]
    fn who_minds_a_panic_is_told_of_it_while_it_waits() {
        let once = Once::new();
        let (waits, runs) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let told = outcome(|| {
                        waits.fetch_add(1, Ordering::Relaxed);
                        once.wait();
                    });
                    assert!(told.contains("previously been poisoned"), "{told}");
                });
                scope.spawn(|| {
                    let told = outcome(|| {
                        waits.fetch_add(1, Ordering::Relaxed);
                        once.call_once(|| {
                            runs.fetch_add(1, Ordering::Relaxed);
                            while waits.load(Ordering::Relaxed) < 4 {
                                thread::yield_now();
                            }
                            thread::sleep(Duration::from_millis(5));
                            panic!("has previously been poisoned");
                        });
                    });
                    assert!(told.contains("previously been poisoned"), "{told}");
                });
            }
        });
        assert_eq!(runs.into_inner(), 1);
    }
}
