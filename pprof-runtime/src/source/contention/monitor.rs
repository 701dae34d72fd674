//! What an instrumented lock carries, and what a wait goes through.
//!
//! ```text
//! try to lock ── free ──────────────────────────────────────────────► acquired ── … ── releasing, unlock
//!      └─ held ─ spin ─ wait(): slot, stamp, stack, arrive ─ sleep ─ Wait::acquired()                │
//!                                                              └─ Wait::gave_up() (timeout)          └─ unlocking() if owed
//! ```
//!
//! The upper line is what every use of a lock costs: two stores to lock, one to unlock, in memory that the lock has just fetched, and a look
//! at whether holds are profiled.

use std::panic::Location;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use super::super::labels;
use super::actor::Actor;
use super::debt::Debt;
use super::hold::{self, Hold};
use super::known_sites;
use super::live::{self, Claim};
use super::name::Name;
use super::nesting;
use super::tag::{Kind, Origin, Site, Tag};
use super::{BLOCK, Debtor, block_enabled, charge, mutex_enabled, record_wait, unlocking};
use crate::aggregate::stack_table::Counters;
use crate::capture::registers::{self, Registers};
use crate::clock;

/// The account of a lock: what it is called, who has it, who waits for it. 64 bytes, those first that every use of the lock touches: with
/// the lock's own word before them they are likely in its cache line.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Monitor {
    holder: Holder,
    /// When its only holder took it, in ticks; zero if that was while holds were not profiled.
    since: AtomicU64,
    debt: Debt,
    name: Name,
}

/// Who has a lock, and where it was taken. Read by others at any time, in this layout, by [`holder_at`].
#[derive(Debug)]
#[repr(C)]
struct Holder {
    /// While it says somebody, that one holds the lock.
    ///
    /// | bits      | content                                                             |
    /// |-----------|---------------------------------------------------------------------|
    /// | 0..61, 63 | the [`Actor`]                                                       |
    /// | 61        | `MOVABLE`: it took the lock, but may have handed it on to another   |
    /// | 62        | `SHARED`: others may hold the lock as well                          |
    actor: AtomicU64,
    site: AtomicPtr<Location<'static>>,
}

const MOVABLE: u64 = 1 << 61;
const SHARED: u64 = 1 << 62;

impl Holder {
    const fn new() -> Self {
        Holder { actor: AtomicU64::new(0), site: AtomicPtr::new(std::ptr::null_mut()) }
    }

    #[inline]
    fn write(&self, actor: u64, site: Site) {
        // ORDERING: Relaxed, both: labels; see `wait_graph` for what else is made of them.
        self.site.store(std::ptr::from_ref(site).cast_mut(), Ordering::Relaxed);
        self.actor.store(actor, Ordering::Relaxed);
    }

    /// Whoever has it at the moment, if that is known.
    fn read(&self) -> Option<(Actor, Site)> {
        // ORDERING: Relaxed: a label. The two may belong to different holders, one after the other.
        let actor = Actor::from_bits(self.actor.load(Ordering::Relaxed) & !(SHARED | MOVABLE));
        let site = self.site.load(Ordering::Relaxed);
        // SAFETY: null or from a `&'static Location`.
        let site = unsafe { site.as_ref() }?;
        (actor != Actor::NOBODY).then_some((actor, site))
    }
}

/// Where and when one of several holders took a lock: kept in its guard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    site: Site,
    /// In ticks; zero if holds were not profiled.
    since: u64,
}

impl Held {
    /// As [`Monitor::holder_key`], of `actor`.
    #[inline]
    pub(crate) fn key(self, actor: Actor) -> u64 {
        holder_key(actor.to_bits(), self.site)
    }

    /// Whether its end may have to be recorded.
    #[inline]
    pub(crate) fn is_timed(self) -> bool {
        self.since != 0
    }
}

impl Monitor {
    pub(crate) const fn new(origin: Origin) -> Self {
        Monitor::with_name(Name::new(origin))
    }

    /// Of a lock that is called after where it is first taken, by one of the `_named` calls.
    pub(crate) const fn unnamed() -> Self {
        Monitor::with_name(Name::unnamed())
    }

    const fn with_name(name: Name) -> Self {
        Monitor { debt: Debt::new(), holder: Holder::new(), since: AtomicU64::new(0), name }
    }

    /// Where the calling thread took the lock, which it holds alone.
    pub(crate) fn site(&self) -> Option<Site> {
        self.holder.read().map(|(_, site)| site)
    }

    /// The calling thread, which holds the lock alone, is to be shown as having taken it at `site`.
    #[inline]
    pub(crate) fn set_site(&self, site: Site) {
        // ORDERING: Relaxed: a label.
        self.holder.site.store(std::ptr::from_ref(site).cast_mut(), Ordering::Relaxed);
    }

    /// The calling thread has the lock, and it alone.
    #[inline]
    pub(crate) fn acquired(&self, site: Site) {
        self.acquired_as(Actor::thread().to_bits(), site);
    }

    /// `actor` has the lock, and it alone; its guard may go to another thread or task.
    #[inline]
    pub(crate) fn acquired_by(&self, actor: Actor, site: Site) {
        known_sites::add(site);
        self.acquired_as(actor.to_bits() | MOVABLE, site);
    }

    #[inline]
    fn acquired_as(&self, holder: u64, site: Site) {
        self.holder.write(holder, site);
        if hold::enabled() {
            // ORDERING: Relaxed: read by the holder alone.
            self.since.store(hold::begin(), Ordering::Relaxed);
        }
    }

    /// As `acquired`, of a lock that `site` may give a name to; `movable` if its guard may go to another thread. What is seldom is in one
    /// call: small enough to be inlined where the original is.
    #[inline]
    pub(crate) fn acquired_named(&self, site: Site, movable: bool) {
        let actor = Actor::known_thread();
        let flags = if movable { MOVABLE } else { 0 };
        if self.name.is_open() || actor == Actor::NOBODY || hold::enabled() {
            self.acquired_seldom(site, flags);
        } else {
            self.holder.write(actor.to_bits() | flags, site);
        }
    }

    #[cold]
    fn acquired_seldom(&self, site: Site, flags: u64) {
        self.name.locked_at(site);
        self.acquired_as(Actor::thread().to_bits() | flags, site);
    }

    /// `actor` has the lock, as one of several perhaps. The result is for when it releases it.
    #[inline]
    pub(crate) fn acquired_shared(&self, actor: Actor, site: Site) -> Held {
        self.acquired_shared_as(actor.to_bits(), site)
    }

    /// As `acquired_shared`; its guard may go to another thread or task.
    #[inline]
    pub(crate) fn acquired_shared_by(&self, actor: Actor, site: Site) -> Held {
        known_sites::add(site);
        self.acquired_shared_as(actor.to_bits() | MOVABLE, site)
    }

    #[inline]
    fn acquired_shared_as(&self, holder: u64, site: Site) -> Held {
        self.holder.write(holder | SHARED, site);
        Held { site, since: if hold::enabled() { hold::begin() } else { 0 } }
    }

    /// As `acquired_named`, as one of several perhaps.
    #[inline]
    pub(crate) fn acquired_shared_named(&self, site: Site, movable: bool) -> (Actor, Held) {
        let actor = Actor::known_thread();
        let flags = if movable { MOVABLE } else { 0 };
        if self.name.is_open() || actor == Actor::NOBODY || hold::enabled() {
            return self.acquired_shared_seldom(site, flags);
        }
        self.holder.write(actor.to_bits() | SHARED | flags, site);
        (actor, Held { site, since: 0 })
    }

    #[cold]
    fn acquired_shared_seldom(&self, site: Site, flags: u64) -> (Actor, Held) {
        self.name.locked_at(site);
        let actor = Actor::thread();
        (actor, self.acquired_shared_as(actor.to_bits() | flags, site))
    }

    /// `actor` has the lock as `held` says, though `releasing_shared` said that it was about to release it.
    pub(crate) fn held_still(&self, actor: Actor, held: Held, movable: bool) {
        let flags = if movable { MOVABLE } else { 0 };
        self.holder.write(actor.to_bits() | SHARED | flags, held.site);
    }

    /// The only holder is about to release the lock, all of whose account that is if nobody waits and its hold is not timed: then true is
    /// returned. Else nothing has been done.
    #[inline]
    pub(crate) fn releasing_plainly(&self) -> bool {
        // ORDERING: Relaxed, both: as in `releasing`.
        let plain = self.since.load(Ordering::Relaxed) == 0 && !self.debt.is_owed();
        if plain {
            self.holder.actor.store(Actor::NOBODY.to_bits(), Ordering::Relaxed);
        }
        plain
    }

    /// As `releasing_plainly`, of `actor`, one of several holders perhaps.
    #[inline]
    pub(crate) fn releasing_shared_plainly(&self, actor: Actor, held: Held) -> bool {
        let plain = held.since == 0 && !self.debt.is_owed();
        if plain {
            self.forget(actor);
        }
        plain
    }

    /// The only holder is about to release the lock. The result is to be recorded when it has.
    #[inline]
    pub(crate) fn releasing(&self, kind: Kind) -> Hold {
        // ORDERING: Relaxed: written by the holder, who calls this.
        let since = self.since.load(Ordering::Relaxed);
        let hold = if since == 0 { Hold::NONE } else { self.end_hold(kind) };
        // ORDERING: Relaxed: the release that follows orders it before the next holder's.
        self.holder.actor.store(Actor::NOBODY.to_bits(), Ordering::Relaxed);
        hold
    }

    #[cold]
    fn end_hold(&self, kind: Kind) -> Hold {
        // ORDERING: Relaxed: as in `releasing`.
        let since = self.since.swap(0, Ordering::Relaxed);
        hold::end(since, || Tag::new(kind, self.name.origin(), self.holder.read()))
    }

    /// `actor`, one of several holders perhaps, is about to release the lock that it took as `held` says. What remains is one that still
    /// has it, or nobody. The result is to be recorded when it has released it.
    #[inline]
    pub(crate) fn releasing_shared(&self, actor: Actor, kind: Kind, held: Held) -> Hold {
        self.forget(actor);
        if held.since == 0 { Hold::NONE } else { self.end_shared_hold(actor, kind, held) }
    }

    /// As `releasing_shared`, of a hold that is not [timed](Held::is_timed).
    #[inline]
    pub(crate) fn forget(&self, actor: Actor) {
        // ORDERING: Relaxed: once overwritten by another reader, a value does not come back before its owner locks again.
        if self.holder.actor.load(Ordering::Relaxed) & !MOVABLE == actor.to_bits() | SHARED {
            self.holder.actor.store(Actor::NOBODY.to_bits(), Ordering::Relaxed);
        }
    }

    #[cold]
    fn end_shared_hold(&self, actor: Actor, kind: Kind, held: Held) -> Hold {
        hold::end(held.since, || Tag::new(kind, self.name.origin(), Some((actor, held.site))))
    }

    /// Whether somebody is owed for waiting: then `unlocking` is to be called before unlocking.
    #[inline]
    pub(crate) fn is_owed(&self) -> bool {
        self.debt.is_owed()
    }

    /// Whether what is owed is the last debtor's, who unlocked a moment ago, and no more is known than then.
    #[inline]
    pub(crate) fn is_settled(&self) -> bool {
        self.debt.is_settled(clock::ticks)
    }

    /// The holder, and where it took the lock, as one number.
    #[inline]
    pub(crate) fn holder_key(&self) -> u64 {
        // ORDERING: Relaxed, both: written by the holder, who calls this.
        holder_key(
            self.holder.actor.load(Ordering::Relaxed),
            self.holder.site.load(Ordering::Relaxed),
        )
    }

    /// The calling thread is about to sleep until it gets the lock. Inlined, since the function that this is inlined into must not return
    /// before the wait has ended: its stack may be read meanwhile.
    #[inline(always)]
    pub(crate) fn wait(&self, kind: Kind, site: Site) -> Wait<'_> {
        self.wait_timed(kind, site, false)
    }

    /// As `wait`; if it is `timed` it ends by itself after a time, and so is part of no deadlock.
    #[inline(always)]
    pub(crate) fn wait_timed(&self, kind: Kind, site: Site, timed: bool) -> Wait<'_> {
        let registers = Some(registers::current());
        let (monitor, origin) = (Some(self), self.name.origin());
        let (actor, target) = (Actor::thread(), Actor::NOBODY);
        Wait::begin(Begin { monitor, kind, origin, actor, target, site, registers, timed })
    }

    /// As `wait`, of a task that is about to yield.
    pub(crate) fn wait_as(&self, actor: Actor, kind: Kind, site: Site) -> Wait<'_> {
        let (monitor, origin) = (Some(self), self.name.origin());
        let (target, registers, timed) = (Actor::NOBODY, None, false);
        Wait::begin(Begin { monitor, kind, origin, actor, target, site, registers, timed })
    }

    /// Charges the calling stack for all waiting so far. The caller holds the lock alone, or is the last of several, and is about to
    /// unlock.
    #[cold]
    pub(crate) fn unlocking(&self, kind: Kind) {
        if self.debt.is_owed() {
            let delay = self.debt.settle(clock::ticks);
            self.debt.set_debtor(unlocking(|| self.tag(kind), delay));
        }
    }

    /// One of several holders is about to unlock, and may be the last: the last to come here is charged, once somebody gets the lock.
    #[cold]
    pub(crate) fn unlocking_shared(&self, kind: Kind) {
        if self.debt.is_waited_for() {
            self.debt.released_at(clock::ticks());
            self.debt.set_debtor(unlocking(|| self.tag(kind), 0));
        } else {
            // Nobody will be let in to settle: what is owed, if anything, was left by those who gave up.
            self.unlocking(kind);
        }
    }

    /// As many waiters arrive as there is room for.
    #[cfg(test)]
    pub(super) fn fill(&self, now: u64) {
        while self.debt.arrive(now) {}
    }

    fn tag(&self, kind: Kind) -> Tag {
        Tag::new(kind, self.name.origin(), None)
    }
}

/// Sites are of a few objects, whose addresses differ in their low bits.
fn holder_key(actor: u64, site: *const Location<'static>) -> u64 {
    actor.rotate_left(40) ^ site.addr() as u64
}

/// A holder's words as copied from a lock that may be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HolderWords {
    actor: u64,
    site: u64,
}

impl HolderWords {
    /// Copies the words at each of these addresses, which need not be valid: `None` where they cannot be read, or say that nobody holds
    /// the lock.
    pub(crate) fn read(addresses: &[u64]) -> Vec<Option<HolderWords>> {
        const { assert!(size_of::<Holder>() == 16) };
        let words =
            |words: Option<[u64; 2]>| words.map(|[actor, site]| HolderWords { actor, site });
        let mut read = vec![None; addresses.len()];
        crate::capture::memory::gather(addresses, &mut read);
        let held = |words: &HolderWords| words.actor != Actor::NOBODY.to_bits();
        read.into_iter().map(|read| words(read).filter(held)).collect()
    }

    /// Who holds the lock.
    pub(crate) fn actor(self) -> Actor {
        Actor::from_bits(self.actor & !(SHARED | MOVABLE))
    }

    /// Others may hold it as well.
    pub(crate) fn is_shared(self) -> bool {
        self.actor & SHARED != 0
    }

    /// It may have been handed on since.
    pub(crate) fn is_movable(self) -> bool {
        self.actor & MOVABLE != 0 || self.actor().is_task()
    }

    /// Where it was taken, if that is where asynchronous locks are known to be taken. The words may be anybody's.
    pub(crate) fn known_site(self) -> Option<Site> {
        known_sites::at(self.site)
    }

    /// Where it was taken; of a shared lock perhaps by another one of its holders.
    ///
    /// # Safety
    /// - the words were a lock's when they were read: a thread waited for it from before until after.
    pub(crate) unsafe fn site(self) -> Option<Site> {
        // SAFETY: null or from a `&'static Location`, as the caller promises.
        unsafe { (self.site as *const Location<'static>).as_ref() }
    }
}

/// What a wait begins with.
#[derive(Debug)]
struct Begin<'m> {
    monitor: Option<&'m Monitor>,
    kind: Kind,
    origin: Option<Origin>,
    actor: Actor,
    target: Actor,
    site: Site,
    registers: Option<Registers>,
    timed: bool,
}

/// A wait in progress. Dropping it is giving up.
#[derive(Debug)]
#[must_use]
pub(crate) struct Wait<'m> {
    monitor: Option<&'m Monitor>,
    /// In ticks; zero if no profile was on.
    arrival: u64,
    /// The calling stack, if the block profile was on.
    block: Option<&'static Counters<3>>,
    /// Whether the lock's account has it.
    registered: bool,
    /// Whether the mutex profile was on.
    mutex: bool,
    /// Whether it is the calling thread that sleeps, not a task.
    sleeps: bool,
    /// In progress while this is there.
    claim: Option<Claim>,
}

/// The calling thread is about to sleep for what is not a lock. Inlined, as [`Monitor::wait`].
#[inline(always)]
pub(crate) fn wait(kind: Kind, origin: Option<Origin>, site: Site) -> Wait<'static> {
    wait_for(Actor::NOBODY, kind, origin, site)
}

/// As [`wait`], for the end of `target`.
#[inline(always)]
pub(crate) fn wait_for(
    target: Actor,
    kind: Kind,
    origin: Option<Origin>,
    site: Site,
) -> Wait<'static> {
    let (registers, timed) = (Some(registers::current()), false);
    let actor = Actor::thread();
    Wait::begin(Begin { monitor: None, kind, origin, actor, target, site, registers, timed })
}

/// As [`wait`]; if it is `timed` it ends by itself after a time.
#[inline(always)]
pub(crate) fn wait_timed(
    kind: Kind,
    origin: Option<Origin>,
    site: Site,
    timed: bool,
) -> Wait<'static> {
    let (target, registers) = (Actor::NOBODY, Some(registers::current()));
    let actor = Actor::thread();
    Wait::begin(Begin { monitor: None, kind, origin, actor, target, site, registers, timed })
}

/// As [`wait`], of a task that is about to yield.
pub(crate) fn wait_as(
    actor: Actor,
    kind: Kind,
    origin: Option<Origin>,
    site: Site,
) -> Wait<'static> {
    let (target, registers, timed) = (Actor::NOBODY, None, false);
    Wait::begin(Begin { monitor: None, kind, origin, actor, target, site, registers, timed })
}

/// Watchdogs: while there is one, waits are stamped though no profile is on.
static WATCHED: AtomicUsize = AtomicUsize::new(0);

/// From now on, until it is dropped, all waits that begin say when.
#[derive(Debug)]
#[must_use]
pub(crate) struct Stamping(());

impl Stamping {
    pub(crate) fn start() -> Stamping {
        clock::calibrate();
        // ORDERING: Release pairs with the Acquire in `begin`: the clock is chosen.
        WATCHED.fetch_add(1, Ordering::Release);
        Stamping(())
    }
}

impl Drop for Stamping {
    fn drop(&mut self) {
        // ORDERING: Relaxed: a stamp more does no harm.
        WATCHED.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<'m> Wait<'m> {
    #[cold]
    #[inline(never)]
    fn begin(begin: Begin<'m>) -> Wait<'m> {
        let Begin { monitor, kind, origin, actor, target, site, registers, timed: ends_itself } =
            begin;
        let sleeps = registers.is_some();
        if sleeps {
            nesting::enter();
        }
        let (mutex, block) = (monitor.is_some() && mutex_enabled(), block_enabled());
        let timed = mutex || block;
        // ORDERING: Acquire pairs with the Release in `Stamping::start`.
        let stamped = timed || WATCHED.load(Ordering::Acquire) > 0;
        // Zero says that it is not.
        let since = if stamped { clock::ticks().max(1) } else { 0 };
        let arrival = if timed { since } else { 0 };
        let holder = if timed { monitor.and_then(|m| m.holder.read()) } else { None };
        let tag = Tag::new(kind, origin, holder);
        let counters = if block { BLOCK.here_unlabelled(tag) } else { None };
        let registered = timed && monitor.is_some_and(|m| m.debt.arrive(arrival));
        let address = |monitor: &Monitor| std::ptr::from_ref(monitor) as u64;
        let claim = live::claim(&live::Entry {
            actor,
            task: if sleeps { Actor::running_task() } else { Actor::NOBODY },
            tag,
            resource: monitor.map_or(0, address),
            holder: monitor.map_or(0, |m| std::ptr::from_ref(&m.holder) as u64),
            target,
            since,
            stack: counters.and_then(|counters| BLOCK.index_of(counters)),
            registers,
            site: Some(site),
            timed: ends_itself,
            labels: labels::current_id(),
        });
        Wait { monitor, arrival, block: counters, registered, mutex, sleeps, claim }
    }

    /// Whether a profile was on when it began.
    pub(crate) fn is_timed(&self) -> bool {
        self.arrival != 0
    }

    /// What is waited for is now the end of `target`.
    pub(crate) fn set_target(&self, target: Actor) {
        if let Some(claim) = &self.claim {
            claim.set_target(target);
        }
    }

    /// It has ended as it should: the lock is ours, or what was waited for has come.
    pub(crate) fn acquired(self) {
        self.end(true);
    }

    /// The lock was free after all: no wait. What others are owed is charged.
    pub(crate) fn did_not_sleep(self) {
        self.end(false);
    }

    /// It has ended for another reason. Counts as a wait of the time that it took.
    pub(crate) fn gave_up(self) {}

    fn end(mut self, slept: bool) {
        if self.arrival == 0 {
            return;
        }
        let arrival = std::mem::replace(&mut self.arrival, 0);
        let mut now = 0;
        let mut clock = || {
            now = clock::ticks();
            now
        };
        let mut wake_up = 0;
        match self.monitor {
            Some(Monitor { debt, .. }) if self.registered => {
                let owed = debt.leave(arrival, clock);
                let (debtor, delay) = owed.known;
                // One that the unlock did not see is not what it is counted for.
                let seen = slept && owed.unseen == 0;
                charge(debtor, delay, seen && debt.count(debtor));
                if slept && self.mutex {
                    charge(Debtor::UNKNOWN, owed.unseen, false);
                }
                wake_up = owed.wake_up;
            }
            _ => {
                clock();
                if slept && self.mutex {
                    charge(Debtor::UNKNOWN, now.saturating_sub(arrival) as i64, false);
                }
            }
        }
        if let Some(counters) = self.block
            && slept
        {
            record_wait(counters, now.saturating_sub(arrival), wake_up);
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if self.sleeps {
            nesting::leave();
        }
        if self.arrival == 0 {
            return;
        }
        let now = clock::ticks();
        match self.monitor {
            Some(monitor) if self.registered => monitor.debt.give_up(now),
            _ if self.mutex => {
                charge(Debtor::UNKNOWN, now.saturating_sub(self.arrival) as i64, false);
            }
            _ => {}
        }
        if let Some(counters) = self.block {
            record_wait(counters, now.saturating_sub(self.arrival), 0);
        }
    }
}
