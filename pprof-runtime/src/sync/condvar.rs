//! `Condvar`: `std::sync::Condvar` for our `Mutex`, whose waits are block events.
//!
//! A wait is up to three things: an unlock, which settles the mutex's account; the wait for a notification, which is
//! the condition variable's; and another wait for the mutex if that is held meanwhile, which is the mutex's.

use std::fmt;
use std::panic::Location;
use std::sync::{LockResult, PoisonError};
use std::time::{Duration, Instant};

use super::MutexGuard;
use super::mutex::poison_if;
use super::raw::{RawCondvar, Woken};
use crate::source::contention::{Kind, Origin, Site, wait_timed};

/// A condition variable, drop-in for [`std::sync::Condvar`] where the mutex is [`Mutex`](super::Mutex).
///
/// Waits for a notification appear in the `block` profile, charged to the stack that waited, with the kind `condvar`. They are not in
/// the `mutex` profile, as in Go: whoever will notify holds no lock. What it takes after that to get the mutex again is a wait for the
/// mutex like any other.
///
/// It may be used with several mutexes, though not sensibly at the same time; as with std's on Linux that is no panic.
///
/// # Overhead
/// A notification costs what std's costs. A wait is timed only while a profile is on.
///
/// # Examples
/// ```
/// use pprof_runtime::sync::{Condvar, Mutex};
///
/// static READY: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
/// let waiter = std::thread::spawn(|| {
///     let guard = READY.1.wait_while(READY.0.lock().unwrap(), |ready| !*ready).unwrap();
///     *guard
/// });
/// *READY.0.lock().unwrap() = true;
/// READY.1.notify_one();
/// assert!(waiter.join().unwrap());
/// ```
pub struct Condvar {
    raw: RawCondvar,
    origin: Origin,
}

/// Whether a wait with a timeout ended by the timeout; what [`std::sync::WaitTimeoutResult`] is.
#[derive(Debug, PartialEq, Eq, Copy, Clone)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// True if the time had gone by before a notification came.
    #[must_use]
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    /// A condition variable that nobody waits for.
    #[must_use]
    #[inline]
    #[track_caller]
    pub const fn new() -> Condvar {
        Condvar { raw: RawCondvar::new(), origin: Origin::here() }
    }

    /// A condition variable which profiles show as `name`; others by where they were made.
    ///
    /// Not in std.
    #[must_use]
    #[inline]
    pub const fn named(name: &'static str) -> Condvar {
        Condvar { raw: RawCondvar::new(), origin: Origin::Name(name) }
    }

    /// Releases the mutex of `guard`, waits for a notification, and acquires the mutex again. May return without one.
    ///
    /// # Errors
    /// The guard in a [`PoisonError`] if the mutex is poisoned when it has been acquired again.
    #[track_caller]
    pub fn wait<'a, T>(&self, mut guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        self.wait_on(&mut guard, None, Location::caller());
        poison_if(guard.is_poisoned(), guard)
    }

    /// Waits, as [`wait`](Condvar::wait) does, for as long as `condition` is true.
    ///
    /// # Errors
    /// As for [`wait`](Condvar::wait).
    #[track_caller]
    pub fn wait_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: F,
    ) -> LockResult<MutexGuard<'a, T>>
    where
        F: FnMut(&mut T) -> bool,
    {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// Waits, as [`wait`](Condvar::wait) does, for at most `ms` milliseconds; false if they had gone by.
    ///
    /// # Errors
    /// As for [`wait`](Condvar::wait).
    #[deprecated(since = "0.1.0", note = "as in std: use `wait_timeout`")]
    #[track_caller]
    pub fn wait_timeout_ms<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        ms: u32,
    ) -> LockResult<(MutexGuard<'a, T>, bool)> {
        let notified = |(guard, result): (_, WaitTimeoutResult)| (guard, !result.timed_out());
        match self.wait_timeout(guard, Duration::from_millis(ms.into())) {
            Ok(ended) => Ok(notified(ended)),
            Err(poisoned) => Err(PoisonError::new(notified(poisoned.into_inner()))),
        }
    }

    /// Waits, as [`wait`](Condvar::wait) does, for at most `dur`, to which acquiring the mutex again is added.
    ///
    /// # Errors
    /// As for [`wait`](Condvar::wait).
    #[track_caller]
    pub fn wait_timeout<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        dur: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let notified = self.wait_on(&mut guard, Some(dur), Location::caller());
        poison_if(guard.is_poisoned(), (guard, WaitTimeoutResult(!notified)))
    }

    /// Waits, as [`wait_timeout`](Condvar::wait_timeout) does, for as long as `condition` is true, but at most for `dur` in all.
    /// The result says whether it was true still.
    ///
    /// # Errors
    /// As for [`wait`](Condvar::wait).
    #[track_caller]
    pub fn wait_timeout_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        dur: Duration,
        mut condition: F,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>
    where
        F: FnMut(&mut T) -> bool,
    {
        let began = Instant::now();
        while condition(&mut guard) {
            let Some(rest) = dur.checked_sub(began.elapsed()) else {
                return Ok((guard, WaitTimeoutResult(true)));
            };
            (guard, _) = self.wait_timeout(guard, rest)?;
        }
        Ok((guard, WaitTimeoutResult(false)))
    }

    /// Wakes one thread that waits, if any does.
    pub fn notify_one(&self) {
        self.raw.notify_one();
    }

    /// Wakes all threads that wait.
    pub fn notify_all(&self) {
        self.raw.notify_all();
    }

    /// Returns false after the timeout.
    #[inline]
    fn wait_on<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        timeout: Option<Duration>,
        site: Site,
    ) -> bool {
        // Before the mutex is released: who notifies from then on has something to say to this thread.
        let number = self.raw.number();
        guard.without_lock(site, || self.sleep(number, timeout, site))
    }

    #[cold]
    #[inline(never)]
    fn sleep(&self, number: u32, timeout: Option<Duration>, site: Site) -> bool {
        if timeout == Some(Duration::ZERO) {
            // No wait, as none of a channel with such a timeout.
            return self.raw.number() != number;
        }
        let wait = wait_timed(Kind::Condvar, Some(self.origin), site, timeout.is_some());
        match self.raw.sleep(number, timeout) {
            Woken::AtOnce => wait.did_not_sleep(),
            Woken::Notified => wait.acquired(),
            Woken::TimedOut => {
                wait.gave_up();
                return false;
            }
        }
        true
    }
}

impl Default for Condvar {
    #[track_caller]
    fn default() -> Self {
        Condvar::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
    use std::thread;

    use crate::sync::Mutex;

    /// The same questions put to std's types and to ours.
    #[test]
    fn answers_as_std() {
        macro_rules! run {
            ($mutex:expr, $condvar:expr) => {{
                let (mutex, condvar) = (&$mutex, &$condvar);
                let mut seen = vec![format!("{condvar:?}")];
                let zero = Duration::ZERO;
                let soon = Duration::from_millis(1);
                let lock = || mutex.lock().unwrap_or_else(PoisonError::into_inner);
                let mut ask = || {
                    seen.push(format!("{:?}", condvar.wait_timeout(lock(), zero)));
                    seen.push(format!("{:?}", condvar.wait_timeout(lock(), soon)));
                    #[allow(deprecated)]
                    let in_ms = condvar.wait_timeout_ms(lock(), 1);
                    seen.push(format!("{in_ms:?}"));
                    drop(in_ms);
                    // True when asked first, false once the time has gone by.
                    let ended = condvar.wait_timeout_while(lock(), soon, |value| {
                        *value += 1;
                        *value == 1
                    });
                    seen.push(format!("{ended:?}"));
                    drop(ended);
                    seen.push(format!("{:?}", condvar.wait_timeout_while(lock(), soon, |_| true)));
                    seen.push(format!("{:?}", condvar.wait_timeout_while(lock(), zero, |_| false)));
                    seen.push(format!("{:?}", condvar.wait_while(lock(), |_| false)));
                    let ended = thread::scope(|scope| {
                        let guard = lock();
                        scope.spawn(move || {
                            *lock() = 7;
                            condvar.notify_all();
                        });
                        condvar.wait_while(guard, |value| *value != 7)
                    });
                    seen.push(format!("{ended:?}"));
                    *ended.unwrap_or_else(PoisonError::into_inner) = 0;
                    seen.push(format!("{mutex:?}"));
                };
                ask();
                let poisons = AssertUnwindSafe(|| {
                    let _guard = lock();
                    panic!("poison it");
                });
                assert!(catch_unwind(poisons).is_err());
                ask();
                // A condition that panics poisons: it runs with the lock.
                mutex.clear_poison();
                let panics = AssertUnwindSafe(|| {
                    let _guard = condvar.wait_while(lock(), |_| panic!("while it waits"));
                });
                assert!(catch_unwind(panics).is_err());
                seen.push(mutex.is_poisoned().to_string());
                seen
            }};
        }
        let std = run!(std::sync::Mutex::new(0), std::sync::Condvar::new());
        assert_eq!(run!(Mutex::new(0), Condvar::new()), std);
    }

    #[test]
    fn has_the_shape_of_std() {
        fn shape<T: Send + Sync + UnwindSafe + RefUnwindSafe + Unpin + Default + fmt::Debug>() {}
        fn result<T: Send + Sync + UnwindSafe + Unpin + Copy + PartialEq + Eq + fmt::Debug>() {}
        shape::<std::sync::Condvar>();
        shape::<Condvar>();
        result::<std::sync::WaitTimeoutResult>();
        result::<WaitTimeoutResult>();
        static PAIR: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::named("a condition"));
        PAIR.1.notify_one();
        let (_guard, result) =
            PAIR.1.wait_timeout(PAIR.0.lock().unwrap(), Duration::from_millis(1)).unwrap();
        assert!(result.timed_out());
    }

    #[test]
    fn a_timeout_beyond_the_clock_is_none() {
        let (mutex, condvar) = (Mutex::new(false), Condvar::new());
        thread::scope(|scope| {
            let guard = mutex.lock().unwrap();
            scope.spawn(|| {
                *mutex.lock().unwrap() = true;
                condvar.notify_one();
            });
            let (guard, result) =
                condvar.wait_timeout_while(guard, Duration::MAX, |ready| !*ready).unwrap();
            assert!(*guard && !result.timed_out());
        });
    }

    #[test]
    fn one_condition_may_serve_several_mutexes() {
        let (mutexes, condvar) = ([Mutex::new(false), Mutex::new(false)], Condvar::new());
        thread::scope(|scope| {
            for mutex in &mutexes {
                let condvar = &condvar;
                scope.spawn(move || {
                    drop(condvar.wait_while(mutex.lock().unwrap(), |ready| !*ready).unwrap());
                });
            }
            for mutex in &mutexes {
                *mutex.lock().unwrap() = true;
            }
            condvar.notify_all();
        });
    }

    /// Tokens pass between threads in turn, by whichever way of waiting: none gets lost.
    #[test]
    fn no_notification_is_missed() {
        const THREADS: usize = 3;
        let (turn, changed) = (Mutex::new(0), Condvar::new());
        thread::scope(|scope| {
            for mine in 0..THREADS {
                let (turn, changed) = (&turn, &changed);
                scope.spawn(move || {
                    for round in 0..2_000 {
                        let guard = turn.lock().unwrap();
                        let other = |turn: &mut usize| *turn % THREADS != mine;
                        let mut guard = if round % 2 == 0 {
                            changed.wait_while(guard, other).unwrap()
                        } else {
                            let long = Duration::from_secs(600);
                            let (guard, result) =
                                changed.wait_timeout_while(guard, long, other).unwrap();
                            assert!(!result.timed_out());
                            guard
                        };
                        *guard += 1;
                        drop(guard);
                        changed.notify_all();
                    }
                });
            }
        });
        assert_eq!(turn.into_inner().unwrap(), 2_000 * THREADS);
    }
}
