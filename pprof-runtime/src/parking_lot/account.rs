//! What every lock of this module has beside the original's: its monitor, and how many threads wait in the original.

use std::hint::spin_loop;
use std::mem;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use super::guards_move;
use crate::source::contention::{Actor, Held, Kind, Monitor, Origin, Site};

/// How long a waiter pauses before each look at a lock, before it sleeps: as long as Go's, a microsecond or a few.
///
/// The first looks find locks that are about to be let go, or that their holders take again and again: those look no more for a while, as
/// each look takes the lock's memory from the holder. Who is not let in by then waits for work to end, and is to see that soon. The
/// original looks less long, and then lets go of the CPU a few times, which is waiting already.
const PAUSES: [u32; 24] = {
    let mut pauses = [4; 24];
    pauses[0] = 2;
    pauses[2] = 32;
    pauses
};

/// The original and what goes with it: in one, so that no room is lost between them, and in this order, so that what every use of the lock
/// touches lies together.
#[repr(C)]
pub(super) struct Account<R> {
    pub(super) inner: R,
    /// Whether it hands itself on to who sleeps: then others need not look whether it is free.
    hands_on: bool,
    /// Threads that the original has put to sleep, or is about to: the original does not tell, and a profile that is off does not count.
    sleepers: AtomicU32,
    /// Who was charged last, and where it had taken the lock.
    ///
    /// A thread that is let in takes long to wake up, while others lock and unlock in its way: the original does not tell when it sleeps
    /// again, so that each of them is asked what it owes. What is owed by one that did so a moment before, in the same place, needs no
    /// account until somebody else comes: it is charged with it at the end.
    charged: AtomicU64,
    pub(super) monitor: Monitor,
}

impl<R> Account<R> {
    pub(super) const fn new(inner: R, origin: Origin) -> Account<R> {
        Account {
            inner,
            hands_on: false,
            monitor: Monitor::new(origin),
            sleepers: AtomicU32::new(0),
            charged: AtomicU64::new(0),
        }
    }

    pub(super) const fn unnamed(inner: R) -> Account<R> {
        Account {
            inner,
            hands_on: false,
            monitor: Monitor::unnamed(),
            sleepers: AtomicU32::new(0),
            charged: AtomicU64::new(0),
        }
    }

    /// The calling thread has the lock alone.
    #[inline]
    pub(super) fn acquired(&self, site: Site) {
        self.monitor.acquired_named(site, guards_move());
    }

    /// Whether a fair unlock would have somebody to hand the lock to, or may.
    #[inline]
    pub(super) fn has_sleepers(&self) -> bool {
        // ORDERING: Relaxed: who is not seen yet is one that comes a moment later.
        self.sleepers.load(Ordering::Relaxed) != 0
    }

    /// Waits a moment for a holder about to leave. That others sleep is no reason not to, where whoever comes may have the lock: most of
    /// those that sleep as far as the original sees to it are about to run.
    pub(super) fn spin<G>(&self, try_lock: impl Fn() -> Option<G>) -> Option<G> {
        if self.hands_on && self.has_sleepers() {
            return None;
        }
        PAUSES.iter().find_map(|&pauses| {
            (0..pauses).for_each(|_| spin_loop());
            try_lock()
        })
    }

    /// The calling thread sleeps, as far as the original sees to it, until the result is dropped.
    pub(super) fn sleeping(&self) -> Sleeping<'_> {
        // ORDERING: Relaxed: a count that orders nothing.
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        Sleeping(&self.sleepers)
    }

    /// A wait in the original, which returns nothing if it gave up: as it may if there is a `deadline`. Inlined, as `Monitor::wait` demands.
    #[inline(always)]
    pub(super) fn wait<G>(
        &self,
        kind: Kind,
        site: Site,
        deadline: Option<Instant>,
        sleep: impl FnOnce() -> Option<G>,
    ) -> Option<G> {
        if deadline.is_some_and(|at| at <= Instant::now()) {
            // The original only tries again.
            return sleep();
        }
        let sleeping = self.sleeping();
        let wait = self.monitor.wait_timed(kind, site, deadline.is_some());
        let guard = sleep();
        drop(sleeping);
        match guard {
            Some(_) => wait.acquired(),
            None => wait.gave_up(),
        }
        guard
    }

    /// The only holder releases the lock by `unlock`.
    #[inline]
    pub(super) fn release<T>(&self, kind: Kind, unlock: impl FnOnce() -> T) -> T {
        if self.monitor.releasing_plainly() {
            return unlock();
        }
        let released = self.release_seldom(kind, unlock);
        // Work left after the call: as a jump it would run when the frame to charge is gone.
        std::hint::black_box(());
        released
    }

    /// Whether the holder that `key` is of is the one to be charged already. If not, it will be.
    #[inline]
    fn is_charged(&self, key: u64) -> bool {
        // ORDERING: Relaxed, both: written by holders, one of several perhaps: then any may be charged.
        if self.charged.load(Ordering::Relaxed) == key && self.monitor.is_settled() {
            return true;
        }
        self.charged.store(key, Ordering::Relaxed);
        false
    }

    #[cold]
    fn release_seldom<T>(&self, kind: Kind, unlock: impl FnOnce() -> T) -> T {
        let charged = self.is_charged(self.monitor.holder_key());
        let hold = self.monitor.releasing(kind);
        if !charged {
            self.monitor.unlocking(kind);
        }
        let released = unlock();
        hold.record();
        released
    }

    /// `actor`, one of several holders perhaps, releases what it has `held` by `unlock`.
    #[inline]
    pub(super) fn release_shared<T>(
        &self,
        kind: Kind,
        (actor, held): (Actor, Held),
        unlock: impl FnOnce() -> T,
    ) -> T {
        if self.monitor.releasing_shared_plainly(actor, held) {
            return unlock();
        }
        let released = self.release_shared_seldom(kind, (actor, held), unlock);
        std::hint::black_box(());
        released
    }

    #[cold]
    fn release_shared_seldom<T>(
        &self,
        kind: Kind,
        (actor, held): (Actor, Held),
        unlock: impl FnOnce() -> T,
    ) -> T {
        let charged = self.is_charged(held.key(actor));
        let hold = self.monitor.releasing_shared(actor, kind, held);
        if !charged {
            self.monitor.unlocking_shared(kind);
        }
        let released = unlock();
        hold.record();
        released
    }
}

impl Account<parking_lot_0_13::RawMutex> {
    /// Of a lock that hands itself on.
    pub(super) const fn handing_on(self) -> Self {
        Account { hands_on: true, ..self }
    }
}

/// See [`Account::sleeping`].
#[derive(Debug)]
pub(super) struct Sleeping<'a>(&'a AtomicU32);

impl Drop for Sleeping<'_> {
    fn drop(&mut self) {
        // ORDERING: Relaxed: as above.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// As the original's timed operations, the blocking one where there is no deadline.
pub(super) fn until<G>(
    deadline: Option<Instant>,
    timed: impl FnOnce(Instant) -> Option<G>,
    blocking: impl FnOnce() -> G,
) -> Option<G> {
    match deadline {
        Some(deadline) => timed(deadline),
        None => Some(blocking()),
    }
}

/// Replaces a guard's state by what `relock` makes of it. A panic on the way would leave the guard with a lock it does not hold: the
/// process is aborted, as by lock_api.
#[inline(always)]
pub(super) fn replace<G>(guard: &mut G, relock: impl FnOnce(G) -> G) {
    replace_seldom(guard, relock);
    // Work left after the call: as a jump it would run when the frame to charge is gone.
    std::hint::black_box(());
}

#[cold]
fn replace_seldom<G>(guard: &mut G, relock: impl FnOnce(G) -> G) {
    struct Abort;
    impl Drop for Abort {
        fn drop(&mut self) {
            std::process::abort();
        }
    }
    let abort = Abort;
    // SAFETY: read once, and written again before anybody looks: nothing in between unwinds past `abort`.
    let state = unsafe { std::ptr::read(guard) };
    let state = relock(state);
    // SAFETY: the place of what was read above.
    unsafe { std::ptr::write(guard, state) };
    mem::forget(abort);
}
