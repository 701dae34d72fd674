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
    #[cold]
    #[inline(never)]
    #[track_caller]
    pub(super) fn call(&self, want: Want, f: &mut dyn FnMut(&OnceState)) -> Result<(), Poisoned> {
        let site = Location::caller();
        let turn = self.look(want).unwrap_or_else(|_| self.wait_for_turn(want, site));
        let result = match turn {
            Turn::Complete => Ok(()),
            Turn::Poisoned => Err(Poisoned),
            Turn::Run { poisoned } => {
                self.monitor.acquired(site);
                let mut running = Running { once: self, leaves: POISONED };
                f(&OnceState { poisoned, not_shared: PhantomData });
                running.leaves = COMPLETE;
                drop(running);
                Ok(())
            }
        };
        // Work left after the calls above: as a jump they would run when this frame is gone.
        black_box(result)
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
