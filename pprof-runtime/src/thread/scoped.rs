//! Threads that may borrow, since they end before a scope does.
//!
//! Written here, on top of std's threads, as the end of std's scope waits inside a function of std's.

use std::fmt;
use std::hint::black_box;
use std::io;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::process::abort;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Result, Thread};

use super::join::{Builder, join};
use crate::labels::{Labels, with_only};
use crate::source::contention::{Actor, Kind, Origin, Site, wait_for};
use crate::sync::word::Word;

/// Calls `f` with a scope for threads that borrow what is outside, and waits until they have ended, as [`std::thread::scope`] does.
///
/// If any of them still runs when `f` has returned, that is one block event of the kind `join`, on the calling stack.
///
/// # Panics
/// If `f` does, or if a thread did that was not joined.
///
/// # Examples
/// ```
/// use pprof_runtime::thread;
///
/// let words = ["a", "b"];
/// let length = thread::scope(|scope| {
///     let counter = scope.spawn(|| words.len());
///     counter.join().unwrap()
/// });
/// assert_eq!(length, 2);
/// ```
#[track_caller]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let site = Location::caller();
    let scope = Scope { state: Arc::new(State::new()), scope: PhantomData, env: PhantomData };
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    // From here on only threads of the scope start threads in it, so that once there is none, there will be none.
    if !scope.state.running().is_empty() {
        scope.state.wait_until_none_runs(site);
        // Work left after the call: as a jump it would run when this frame is gone.
        black_box(());
    }
    match result {
        Err(payload) => resume_unwind(payload),
        // ORDERING: Relaxed: written before the lock of `running` was released by that thread.
        Ok(_) if scope.state.a_thread_panicked.load(Ordering::Relaxed) => {
            panic!("a scoped thread panicked")
        }
        Ok(result) => result,
    }
}

/// Where to start threads that borrow, drop-in for [`std::thread::Scope`]; made by [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    state: Arc<State>,
    /// Invariant, so that what `'scope` stands for cannot be made shorter than the scope itself.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// What is shared with the threads, and survives the scope for as long as they take to let go of it.
struct State {
    /// The threads whose end the scope's end waits for.
    running: Mutex<Vec<Actor>>,
    a_thread_panicked: AtomicBool,
    /// The thread that the scope is waiting for at its end; zero if it does not wait.
    awaited: AtomicU64,
    /// What it sleeps on.
    ended: Word,
    main_thread: Thread,
}

impl State {
    fn new() -> State {
        State {
            running: Mutex::new(Vec::new()),
            a_thread_panicked: AtomicBool::new(false),
            awaited: AtomicU64::new(0),
            ended: Word::new(0),
            main_thread: thread::current(),
        }
    }

    fn running(&self) -> MutexGuard<'_, Vec<Actor>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom to wait for, if anybody runs.
    fn next(&self) -> Option<Actor> {
        let running = self.running();
        let next = running.first().copied();
        // ORDERING: Relaxed: under the lock, as in `ends`.
        self.awaited.store(next.unwrap_or(Actor::NOBODY).to_bits(), Ordering::Relaxed);
        next
    }

    /// One wait, for one thread after the other: of each that it waits for it is known that it runs.
    #[cold]
    #[inline(never)]
    fn wait_until_none_runs(&self, site: Site) {
        let wait = wait_for(Actor::NOBODY, Kind::Join, Some(Origin::Site(site)), site);
        let mut slept = false;
        while let Some(actor) = self.next() {
            wait.set_target(actor);
            slept |= self.ended.sleep_until(|| !self.running().contains(&actor));
        }
        if slept {
            wait.acquired();
        } else {
            wait.did_not_sleep();
        }
    }

    /// `actor` uses nothing any more that is borrowed.
    fn ends(&self, actor: Actor) {
        let mut running = self.running();
        if let Some(index) = running.iter().position(|a| *a == actor) {
            running.swap_remove(index);
        }
        // ORDERING: Relaxed: under the lock, as in `next`.
        let awaited = self.awaited.load(Ordering::Relaxed) == actor.to_bits();
        drop(running);
        if awaited {
            self.ended.signal();
        }
    }
}

impl<'scope, 'env> Scope<'scope, 'env> {
    /// Starts a thread that may borrow what outlives the scope.
    ///
    /// # Panics
    /// If the system cannot start one; [`Builder::spawn_scoped`] says so instead.
    #[track_caller]
    pub fn spawn<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        Builder::new().spawn_scoped(self, f).expect("failed to spawn thread")
    }
}

impl Builder {
    /// Starts a thread in `scope` that may borrow what outlives it.
    ///
    /// # Errors
    /// If the system cannot start one.
    ///
    /// # Panics
    /// If there is a zero byte in the name.
    #[track_caller]
    pub fn spawn_scoped<'scope, 'env, F, T>(
        self,
        scope: &'scope Scope<'scope, 'env>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let (actor, origin) = (Actor::reserve(), Origin::here());
        let packet = Arc::new(Packet::new(actor, &scope.state));
        let theirs = Arc::clone(&packet);
        let f = MaybeDangling::new(f);
        let labels = Labels::current();
        let body = move || {
            actor.begin();
            let f = f.into_inner();
            let result = catch_unwind(AssertUnwindSafe(|| with_only(&labels, f)));
            theirs.set(result);
            // With the handle gone this ends the borrows.
            drop(theirs);
            // The scope waits for the packet, and not for what this thread does from here on, such as destroying its locals.
            Actor::end_thread();
        };
        // SAFETY: the scope does not end before the packet is dropped, which is after the last use of what `f` and its result borrow;
        // what is left of the closure then is an empty shell. If the thread is not started both packets are dropped here.
        let inner = unsafe { self.inner.spawn_unchecked(body) }?;
        Ok(ScopedJoinHandle { inner, packet, origin })
    }
}

/// A thread's function on its way to the thread. What it borrows may be gone before the closure around it has returned, which the
/// compiler must not hear of: it takes references in an argument to be good until the call returns.
struct MaybeDangling<F>(MaybeUninit<F>);

impl<F> MaybeDangling<F> {
    fn new(f: F) -> Self {
        MaybeDangling(MaybeUninit::new(f))
    }

    fn into_inner(self) -> F {
        // Not to be dropped as well.
        let this = ManuallyDrop::new(self);
        // SAFETY: written by `new`, and read once, as `self` is consumed.
        unsafe { this.0.assume_init_read() }
    }
}

impl<F> Drop for MaybeDangling<F> {
    fn drop(&mut self) {
        // SAFETY: written by `new`; `into_inner` does not come here.
        unsafe { self.0.assume_init_drop() };
    }
}

/// How the result gets from a thread to its handle; while it is there, the scope goes on.
struct Packet<'scope, T> {
    actor: Actor,
    scope: Arc<State>,
    result: Mutex<Option<Result<T>>>,
    borrows: PhantomData<&'scope ()>,
}

impl<T> Packet<'_, T> {
    fn new(actor: Actor, scope: &Arc<State>) -> Self {
        scope.running().push(actor);
        Packet { actor, scope: Arc::clone(scope), result: Mutex::new(None), borrows: PhantomData }
    }

    fn set(&self, result: Result<T>) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }

    fn take(&self) -> Option<Result<T>> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<T> Drop for Packet<'_, T> {
    fn drop(&mut self) {
        let result = self.take();
        if matches!(result, Some(Err(_))) {
            // ORDERING: Relaxed: see `scope`.
            self.scope.a_thread_panicked.store(true, Ordering::Relaxed);
        }
        // Nobody joined it. As in std a result that panics when it is dropped ends the process: the scope could not end otherwise.
        if catch_unwind(AssertUnwindSafe(|| drop(result))).is_err() {
            abort();
        }
        self.scope.ends(self.actor);
    }
}

/// A thread of a scope that can be waited for, drop-in for [`std::thread::ScopedJoinHandle`].
pub struct ScopedJoinHandle<'scope, T> {
    inner: thread::JoinHandle<()>,
    packet: Arc<Packet<'scope, T>>,
    origin: Origin,
}

impl<T> ScopedJoinHandle<'_, T> {
    /// The thread.
    #[must_use]
    pub fn thread(&self) -> &Thread {
        self.inner.thread()
    }

    /// Waits until the thread has ended, and returns what it did. A block event, unless its function has returned already.
    ///
    /// # Errors
    /// The payload of its panic.
    #[inline(always)]
    #[track_caller]
    pub fn join(self) -> Result<T> {
        let site = Location::caller();
        if self.is_finished() {
            self.inner.join()?;
        } else {
            join(self.inner, (self.packet.actor, self.origin), site)?;
        }
        self.packet.take().expect("a thread that has ended leaves a result")
    }

    /// Who it is in the wait-for graph.
    #[cfg(test)]
    pub(crate) fn actor(&self) -> Actor {
        self.packet.actor
    }

    /// Whether the thread's function has returned. Never waits.
    pub fn is_finished(&self) -> bool {
        Arc::strong_count(&self.packet) == 1
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("num_running_threads", &self.state.running().len())
            .field("a_thread_panicked", &self.state.a_thread_panicked.load(Ordering::Relaxed))
            .field("main_thread", &self.state.main_thread)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::shape::same_auto_traits;
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;
    use std::time::Duration;

    fn text(payload: &(dyn std::any::Any + Send)) -> String {
        payload.downcast_ref::<&str>().map_or(String::new(), |text| (*text).to_owned())
    }

    #[test]
    fn a_scope_ends_before_its_threads_locals() {
        use std::cell::RefCell;
        struct Told(mpsc::Sender<Actor>);
        impl Drop for Told {
            fn drop(&mut self) {
                let _ = self.0.send(Actor::thread());
            }
        }
        thread_local!(static LOCAL: RefCell<Option<Told>> = const { RefCell::new(None) });
        for index in 0..4 {
            let (tell, told) = mpsc::channel();
            let actor = super::scope(|scope| {
                let thread = scope.spawn(move || LOCAL.set(Some(Told(tell))));
                // Whichever of the two is the last to have the packet.
                if index % 2 == 0 {
                    thread::sleep(Duration::from_millis(10));
                }
                thread.actor()
            });
            assert_ne!(told.recv().unwrap(), actor, "what nobody waits for");
        }
    }

    /// Slow to drop, and tells when it is.
    struct Slow<'a>(&'a AtomicUsize);

    impl Drop for Slow<'_> {
        fn drop(&mut self) {
            thread::sleep(Duration::from_millis(10));
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The same questions put to std's scopes and to ours.
    #[test]
    fn scopes_follow_std() {
        macro_rules! run {
            ($thread:path) => {{
                use $thread as thread;
                let mut seen = Vec::new();
                let (go, wait) = mpsc::channel::<()>();
                thread::scope(|scope| {
                    seen.push(format!("{scope:?}"));
                    let named = thread::Builder::new().name("scoped".into());
                    let handle = named.spawn_scoped(scope, move || wait.recv().is_err()).unwrap();
                    seen.push(format!("{scope:?} {handle:?} {:?}", handle.thread().name()));
                    seen.push(handle.is_finished().to_string());
                    drop(go);
                    seen.push(handle.join().unwrap().to_string());
                    seen.push(format!("{scope:?}"));
                    // Seen by its handle: no reason for the scope to panic.
                    let panics = scope.spawn(|| panic!("joined"));
                    let result: thread::Result<()> = panics.join();
                    seen.push(text(&*result.unwrap_err()));
                });
                let unjoined = || thread::scope(|scope| drop(scope.spawn(|| panic!("unjoined"))));
                seen.push(text(&*catch_unwind(unjoined).unwrap_err()));
                let itself = || {
                    thread::scope(|scope| {
                        scope.spawn(|| panic!("not this one"));
                        panic!("this one")
                    })
                };
                let result: thread::Result<()> = catch_unwind(itself);
                seen.push(text(&*result.unwrap_err()));
                // Threads of threads, and results that nobody takes: all is over when the scope is.
                let dropped = AtomicUsize::new(0);
                let value = thread::scope(|scope| {
                    let dropped = &dropped;
                    scope.spawn(move || {
                        thread::sleep(Duration::from_millis(5));
                        scope.spawn(move || {
                            thread::sleep(Duration::from_millis(5));
                            Slow(dropped)
                        });
                        Slow(dropped)
                    });
                    // A handle that is kept until its thread has ended.
                    let _kept = scope.spawn(move || Slow(dropped));
                    thread::sleep(Duration::from_millis(2));
                    "the closure's"
                });
                seen.push(format!("{value} {}", dropped.load(Ordering::Relaxed)));
                seen
            }};
        }
        assert_eq!(run!(crate::thread), run!(std::thread));
    }

    #[test]
    fn has_the_shape_of_std() {
        use std::{cell::Cell, rc::Rc};
        same_auto_traits!(thread::Scope<'_, '_>, Scope<'_, '_>);
        same_auto_traits!(thread::ScopedJoinHandle<'_, u8>, ScopedJoinHandle<'_, u8>);
        same_auto_traits!(thread::ScopedJoinHandle<'_, Cell<u8>>, ScopedJoinHandle<'_, Cell<u8>>);
        same_auto_traits!(thread::ScopedJoinHandle<'_, Rc<u8>>, ScopedJoinHandle<'_, Rc<u8>>);
    }

    #[test]
    fn a_thread_that_is_not_started_ends_at_once() {
        scope(|scope| {
            let bad = || Builder::new().name("a\0b".into()).spawn_scoped(scope, || ());
            assert!(catch_unwind(AssertUnwindSafe(bad)).is_err());
            let huge = Builder::new().stack_size(usize::MAX / 4).spawn_scoped(scope, || ());
            assert!(huge.is_err());
            assert!(scope.state.running().is_empty());
        });
    }

    #[test]
    fn many_threads_end_in_any_order() {
        for round in 0..20 {
            let ended = AtomicUsize::new(0);
            scope(|scope| {
                for thread in 0..8_u64 {
                    let ended = &ended;
                    scope.spawn(move || {
                        thread::sleep(Duration::from_micros((thread * 7 + round) % 5 * 100));
                        ended.fetch_add(1, Ordering::Relaxed);
                    });
                }
            });
            assert_eq!(ended.into_inner(), 8);
        }
    }
}
