//! Waits in progress: who waits for what, since when, and on which stack.
//!
//! Every wait that is about to sleep takes a slot of a fixed table, whether or not a profile is on: a few stores next to the microseconds
//! that a sleep costs, and what shows a program that hangs where it hangs. Readers copy slots without disturbing anybody: a copy is good if
//! the slot's state was the same before and after.
//!
//! | bits of `state` | meaning                                                                    |
//! |-----------------|----------------------------------------------------------------------------|
//! | 0..2            | 0 free, 1 being filled, 2 waiting                                          |
//! | 2..64           | number of the wait in this slot, so that no two states of it look the same |

use std::cell::Cell;

use super::actor::Actor;
use super::probes::{probes, spread};
use super::tag::{Site, Tag};
use crate::capture::registers::Registers;
use crate::capture::thread::wipe_on_fork;
use crate::primitive::atomic::{AtomicBool, AtomicU64, Ordering, fence};

#[cfg(all(test, loom))]
mod model;

/// Waits at one time; further ones are counted, see [`untracked`].
const MAX_WAITS: usize = match () {
    () if cfg!(loom) => 64,
    // Each reference to the table is one to each of its words.
    () if cfg!(miri) => 256,
    () => 16_384,
};

/// Slots looked at for a free one, from each place to start at.
const MAX_PROBES: usize = if cfg!(loom) { 2 } else { 16 };

/// Places to start at besides an actor's own, one after the other: thousands of threads with numbers in a row fill a part of the table.
const MAX_STARTS: usize = 4;

const PHASE_MASK: u64 = 3;
const FREE: u64 = 0;
const FILLING: u64 = 1;
const WAITING: u64 = 2;
const ONE_WAIT: u64 = 4;

/// A wait, as it is known from its beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) actor: Actor,
    /// The task that `actor`, a thread, runs, if it runs one.
    pub(crate) task: Actor,
    pub(crate) tag: Tag,
    /// Address of what is waited for; zero if it has none.
    pub(crate) resource: u64,
    /// Address of the two words that say who holds it, see `monitor::Holder`; zero if nobody can.
    pub(crate) holder: u64,
    /// The thread whose end is waited for.
    pub(crate) target: Actor,
    /// In ticks; zero if no profile was on.
    pub(crate) since: u64,
    /// The stack's index in the block profile's table.
    pub(crate) stack: Option<u32>,
    /// Where the waiting thread's stack can be walked from, for as long as it waits.
    pub(crate) registers: Option<Registers>,
    /// The call that waits.
    pub(crate) site: Option<Site>,
    /// It ends by itself after a time.
    pub(crate) timed: bool,
    /// The number of the labels of who waits.
    pub(crate) labels: u64,
}

const WORDS: usize = if cfg!(loom) { 2 } else { 14 };

#[derive(Debug)]
#[repr(C, align(128))]
struct Slot {
    state: AtomicU64,
    words: [AtomicU64; WORDS],
}

/// Whole pages, so that a forked child, which has none of these threads, starts with an empty table.
#[derive(Debug)]
#[repr(C, align(4096))]
struct Table([Slot; MAX_WAITS]);

static TABLE: Table = Table(
    [const { Slot { state: AtomicU64::new(FREE), words: [const { AtomicU64::new(0) }; WORDS] } };
        MAX_WAITS],
);

/// A bit for each slot that was ever in use: readers look at no others, so that they need not go through the whole table while few threads
/// have waited.
static TOUCHED: [AtomicU64; MAX_WAITS / 64] = [const { AtomicU64::new(0) }; MAX_WAITS / 64];

static UNTRACKED: AtomicU64 = AtomicU64::new(0);

#[cfg(not(all(test, loom)))]
impl Entry {
    // Bits of the word that says what else is known.
    const WALKABLE: u64 = 1;
    const TIMED: u64 = 2;

    fn to_words(self) -> [u64; WORDS] {
        let registers = self.registers.unwrap_or_default();
        [
            self.actor.to_bits(),
            self.tag.to_bits(),
            self.resource,
            self.holder,
            self.target.to_bits(),
            self.since,
            self.stack.map_or(0, |index| u64::from(index) + 1),
            (u64::from(self.registers.is_some()) * Entry::WALKABLE)
                | (u64::from(self.timed) * Entry::TIMED),
            registers.pc,
            registers.sp,
            registers.fp,
            self.site.map_or(0, |site| std::ptr::from_ref(site) as u64),
            self.task.to_bits(),
            self.labels,
        ]
    }

    fn from_words(words: [u64; WORDS]) -> Entry {
        let [
            actor,
            tag,
            resource,
            holder,
            target,
            since,
            stack,
            flags,
            pc,
            sp,
            fp,
            site,
            task,
            labels,
        ] = words;
        Entry {
            actor: Actor::from_bits(actor),
            task: Actor::from_bits(task),
            tag: Tag::from_bits(tag),
            resource,
            holder,
            target: Actor::from_bits(target),
            since,
            stack: stack.checked_sub(1).map(|index| index as u32),
            registers: (flags & Entry::WALKABLE != 0).then_some(Registers { pc, sp, fp }),
            // SAFETY: null or made of a `&'static Location` by `to_words`, as the caller has found the words unchanged.
            site: unsafe { (site as *const std::panic::Location<'static>).as_ref() },
            timed: flags & Entry::TIMED != 0,
            labels,
        }
    }
}

/// A slot in use; free again on drop.
#[derive(Debug)]
#[must_use]
pub(crate) struct Claim(&'static Slot);

/// Enters a wait; `None` if there is no room.
pub(crate) fn claim(entry: &Entry) -> Option<Claim> {
    static PREPARED: AtomicBool = AtomicBool::new(false);
    // ORDERING: Relaxed: whoever is first, once is enough, and nothing is ordered by it.
    if !PREPARED.load(Ordering::Relaxed) && !PREPARED.swap(true, Ordering::Relaxed) {
        wipe_on_fork(&TABLE);
    }
    for index in places(entry.actor) {
        let Some(slot) = TABLE.0.get(index) else { break };
        // ORDERING: Relaxed: a look.
        let state = slot.state.load(Ordering::Relaxed);
        if state & PHASE_MASK != FREE {
            continue;
        }
        // ORDERING: Acquire pairs with the Release of the last owner, so that our words come after its.
        let filling = state | FILLING;
        let claimed =
            slot.state.compare_exchange(state, filling, Ordering::Acquire, Ordering::Relaxed);
        if claimed.is_ok() {
            touch(index);
            // ORDERING: Release: a reader that sees a word of ours sees the state that says so, see `read`.
            fence(Ordering::Release);
            for (word, value) in slot.words.iter().zip(entry.to_words()) {
                // ORDERING: Relaxed: published by the Release below.
                word.store(value, Ordering::Relaxed);
            }
            // ORDERING: Release pairs with the Acquire in `read`.
            slot.state.store(state | WAITING, Ordering::Release);
            return Some(Claim(slot));
        }
    }
    // ORDERING: Relaxed: a counter that orders nothing.
    UNTRACKED.fetch_add(1, Ordering::Relaxed);
    None
}

/// The word of `Entry::target`.
const TARGET: usize = 4;

impl Claim {
    /// The thread whose end is waited for is now this one. To readers it is another wait.
    pub(crate) fn set_target(&self, target: Actor) {
        // ORDERING: Relaxed: only this owner changes it; in a forked child it was wiped, and stays so.
        let state = self.0.state.load(Ordering::Relaxed);
        if state & PHASE_MASK != WAITING {
            return;
        }
        let next = (state & !PHASE_MASK).wrapping_add(ONE_WAIT);
        // ORDERING: all as in `claim`.
        self.0.state.store(next | FILLING, Ordering::Relaxed);
        fence(Ordering::Release);
        if let Some(word) = self.0.words.get(TARGET) {
            word.store(target.to_bits(), Ordering::Relaxed);
        }
        self.0.state.store(next | WAITING, Ordering::Release);
    }
}

/// The slots that a wait of `actor` may take. Threads that sleep wait for one thing at a time, and so lie close together, as readers like it.
/// What polls futures, be it a task or a thread, may wait for any number.
fn places(actor: Actor) -> impl Iterator<Item = usize> {
    thread_local! {
        // No destructor: usable while the thread is being torn down.
        static TURN: Cell<u64> = const { Cell::new(0) };
    }
    let own = actor.number();
    let elsewhere = move || spread(TURN.replace(TURN.get().wrapping_add(1)).wrapping_add(own));
    let from = |start| probes(start, MAX_PROBES, MAX_WAITS);
    from(own as usize).chain(std::iter::repeat_with(elsewhere).take(MAX_STARTS).flat_map(from))
}

fn touch(index: usize) {
    let (Some(word), bit) = (TOUCHED.get(index / 64), 1 << (index % 64)) else { return };
    // ORDERING: Relaxed, both: whoever does not see it yet does not see a wait that has just begun.
    if word.load(Ordering::Relaxed) & bit == 0 {
        word.fetch_or(bit, Ordering::Relaxed);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // ORDERING: Relaxed: only this owner changes it; in a forked child it was wiped, and stays so.
        let state = self.0.state.load(Ordering::Relaxed);
        if state & PHASE_MASK == WAITING {
            let free = (state & !PHASE_MASK).wrapping_add(ONE_WAIT);
            // ORDERING: Release pairs with the Acquire in `claim`.
            self.0.state.store(free, Ordering::Release);
            // ORDERING: Release: whoever sees what this thread does from here on, such as taking a lock, sees that this wait has
            // ended; pairs with the fence in `unchanged`. See `wait_graph`.
            fence(Ordering::Release);
        }
    }
}

/// A wait as copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    slot: &'static Slot,
    state: u64,
    pub(crate) entry: Entry,
}

impl Waiting {
    fn read(slot: &'static Slot) -> Option<Waiting> {
        // ORDERING: Acquire pairs with the Release in `claim`.
        let state = slot.state.load(Ordering::Acquire);
        if state & PHASE_MASK != WAITING {
            return None;
        }
        // ORDERING: Relaxed: checked below.
        let words = slot.words.each_ref().map(|word| word.load(Ordering::Relaxed));
        let waiting = |entry| Waiting { slot, state, entry };
        unchanged(slot, state).then(|| waiting(Entry::from_words(words)))
    }

    /// Whether it has gone on from when it was copied until now, without a pause.
    pub(crate) fn goes_on(&self) -> bool {
        unchanged(self.slot, self.state)
    }

    /// What no other wait is called by.
    pub(crate) fn id(&self) -> (usize, u64) {
        (std::ptr::from_ref(self.slot) as usize, self.state)
    }
}

fn unchanged(slot: &Slot, state: u64) -> bool {
    // ORDERING: Acquire: what was read before this call is not read after the state below; pairs with the fence in `claim`.
    fence(Ordering::Acquire);
    slot.state.load(Ordering::Relaxed) == state
}

/// All waits in progress, in no particular order: each went on at the moment that it was copied.
pub(crate) fn waits() -> impl Iterator<Item = Waiting> {
    let slots = TABLE.0.chunks(64).zip(&TOUCHED);
    slots
        .flat_map(|(slots, touched)| {
            // ORDERING: Relaxed: as in `touch`.
            let touched = touched.load(Ordering::Relaxed);
            // Mostly there is none.
            let slots = if touched == 0 { &[] } else { slots };
            let in_use = move |index: usize| touched >> index & 1 != 0;
            slots.iter().enumerate().filter(move |(index, _)| in_use(*index)).map(|(_, slot)| slot)
        })
        .filter_map(Waiting::read)
}

/// Waits that found no room so far: they are in no snapshot while they go on.
pub(crate) fn untracked() -> u64 {
    // ORDERING: Relaxed: a counter that orders nothing.
    UNTRACKED.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::contention::tag::Kind;

    fn entry(actor: u64) -> Entry {
        Entry {
            actor: Actor::task(actor),
            task: Actor::NOBODY,
            tag: Tag::new(Kind::Semaphore, None, None),
            resource: actor,
            holder: actor,
            target: Actor::NOBODY,
            since: actor,
            stack: Some(actor as u32),
            registers: Some(Registers { pc: actor, sp: actor, fp: actor }),
            site: Some(std::panic::Location::caller()),
            timed: actor % 2 == 1,
            labels: actor,
        }
    }

    fn found(actor: u64) -> Option<Waiting> {
        waits().find(|w| w.entry.actor == Actor::task(actor))
    }

    #[test]
    fn a_wait_is_there_until_it_ends() {
        let claim = claim(&entry(70_001)).unwrap();
        let seen = found(70_001).unwrap();
        assert_eq!(seen.entry.to_words(), entry_at(seen.entry.site, 70_001));
        assert!(seen.goes_on());
        drop(claim);
        assert!(!seen.goes_on());
        assert!(found(70_001).is_none());
        // The next wait in the same slot is another one.
        let _claim = super::claim(&entry(70_001)).unwrap();
        assert!(!seen.goes_on());
    }

    fn entry_at(site: Option<Site>, actor: u64) -> [u64; WORDS] {
        Entry { site, ..entry(actor) }.to_words()
    }

    #[test]
    fn a_wait_with_another_target_is_another_wait() {
        let claim = claim(&entry(70_002)).unwrap();
        let seen = found(70_002).unwrap();
        claim.set_target(Actor::task(5));
        assert!(!seen.goes_on());
        let now = found(70_002).unwrap();
        assert_eq!(Entry { target: Actor::task(5), ..seen.entry }.to_words(), now.entry.to_words());
        drop(claim);
        assert!(found(70_002).is_none());
    }

    #[test]
    fn copies_are_never_torn() {
        const BASE: u64 = 1 << 40;
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let stop = &stop;
                scope.spawn(move || {
                    // All three want the same slots.
                    for round in 0..if cfg!(miri) { 100_u64 } else { 200_000 } {
                        drop(claim(&entry(BASE + (round * 3 + thread) * MAX_WAITS as u64)));
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                    stop.store(true, Ordering::Relaxed);
                });
            }
            while !stop.load(Ordering::Relaxed) {
                for waiting in waits().filter(|w| w.entry.actor.number() >= BASE) {
                    let e = waiting.entry;
                    let number = e.actor.number();
                    assert_eq!([e.resource, e.holder, e.since], [number; 3]);
                    assert_eq!(
                        e.registers.unwrap(),
                        Registers { pc: number, sp: number, fp: number }
                    );
                }
            }
        });
    }

    #[test]
    fn a_task_may_wait_for_many_things() {
        const MANY: usize = MAX_WAITS / 8;
        let claims: Vec<_> = (0..MANY).filter_map(|_| claim(&entry(80_001))).collect();
        // Other tests may have filled a place.
        assert!(claims.len() > MANY - MANY / 8, "{}", claims.len());
        let seen = waits().filter(|w| w.entry.actor == Actor::task(80_001)).count();
        assert_eq!(seen, claims.len());
    }

    #[test]
    fn there_are_places_all_over_the_table() {
        let places: Vec<usize> = places(Actor::task(70_000)).collect();
        assert_eq!(places.len(), MAX_PROBES * (1 + MAX_STARTS));
        let distinct: std::collections::HashSet<usize> = places.into_iter().collect();
        assert!(distinct.len() > MAX_PROBES * 2, "{distinct:?}");
    }

    #[test]
    fn a_full_neighbourhood_is_left() {
        let base = 50_000_000 * MAX_WAITS as u64 + 9_000;
        let all = MAX_PROBES as u64 * 4;
        let claims: Vec<_> = (0..all)
            .map(|i| Actor::from_bits(base + i * MAX_WAITS as u64))
            .map(|actor| claim(&Entry { actor, ..entry(0) }))
            .collect();
        let there = claims.iter().filter(|claim| claim.is_some()).count();
        assert!(there > MAX_PROBES * 3, "{there}");
    }
}
