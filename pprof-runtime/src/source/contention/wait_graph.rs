//! Who waits for whom: the cycles among the waits in progress, and why one that is found is a deadlock.
//!
//! Whoever waits for a lock waits for its holder, who may wait for another lock. A cycle of such waits never ends. The trouble is to read
//! it while the program runs: of two locks looked at one after the other, each was held by the other's waiter when it was looked at, though never
//! both at once. So three steps:
//!
//! ```text
//! copy all waits ──► copy the holders of what they wait for ──► keep the waits that have gone on meanwhile
//! ```
//!
//! # Why a cycle is a deadlock
//! Take a cycle of what was kept: thread Tᵢ waits for the lock Lᵢ, whose holder's words say Tᵢ₊₁, and so on round to T₁.
//!
//! 1. *The words were those of a lock.* A thread asleep in a call borrows the lock, and Tᵢ has slept from before they were read until after.
//!    Memory used again for another lock would have ended the wait.
//! 2. *Tᵢ₊₁ holds Lᵢ for as long as it waits.* A holder's word is written after the lock was taken and cleared before it is released, so it says
//!    Tᵢ₊₁ only between the two. Of those writes of Tᵢ₊₁, each came before its present wait began, or comes after that has ended. What came before
//!    is visible to the reader, which has seen the wait (Release in `live::claim`, Acquire in `live::waits`), so it cannot have read a word that Tᵢ₊₁
//!    had cleared by then. What comes after is not what was read: the reader would then have seen the wait's end as well (Release fence at the end of
//!    a wait, Acquire fence in `Waiting::goes_on`). So Tᵢ₊₁ went into its wait with the lock, and releases it only when that has ended.
//!    A reader that finds another one's word over its own leaves that there; its own does not come back.
//! 3. *Tᵢ gets Lᵢ only after that.* Had it got it before Tᵢ₊₁, it would have had to end its wait and release the lock before Tᵢ₊₁ could take it,
//!    all of which is before what the reader saw first; but it saw Tᵢ wait after that.
//!
//! So T₁'s wait ends after T₂'s, T₂'s after T₃'s, and in the end T₁'s after T₁'s: never. Nothing here is about time: it holds however long the
//! reader is interrupted, and on processors that reorder as the language allows.
//!
//! A thread that joins another waits for its end, to the same effect. The words of a cycle are read a second time before it is reported, in case the
//! kernel copied one in pieces while it changed.
//!
//! # What ends by itself
//! | the wait                                          | waits for                                                          |
//! |---------------------------------------------------|--------------------------------------------------------------------|
//! | with a timeout; for a condition, message, permit  | nobody that is known                                               |
//! | for a lock held alone, or to write to a shared one | its holder; of several readers the one that is known               |
//! | to read what others read                          | a writer in line; with none it is about to be let in               |
//! | of a task that waits for several things           | all of them: it is stuck if every one is                           |
//!
//! # Certain and likely
//! The proof is about threads asleep in a call. It does not cover
//! - a task: its wait may be cancelled, or forgotten with its future while the lock goes away; and the guard that it holds may be in the
//!   hands of another, or of another branch of the same `select!`;
//! - a guard that may go to another thread, as those of parking_lot's feature `send_guard`;
//! - a reader behind a writer: the writer may have come after the one that the reader was stopped by.
//!
//! A cycle with such a wait is likely a deadlock. It is reported if all of it is the same after a tenth of a second.

mod cycles;
mod watch;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

pub(crate) use self::cycles::Cycle;
use self::cycles::{Edge, Node};
pub(crate) use self::watch::Watch;

use super::BLOCK;
use super::actor::Actor;
use super::live::{self, Waiting};
use super::monitor::HolderWords;
use super::nesting;
use super::tag::{Kind, Site};
use crate::aggregate::stack_table::Recorded;
use crate::capture::memory::{StackMemory, Window};
use crate::capture::registers;
use crate::capture::unwind::{self, End, Frames, Reader};
use crate::clock;

/// Whether holders can be read here; if not, no cycle is ever found.
pub(crate) use crate::capture::memory::READS_OWN_MEMORY as SUPPORTED;

/// How long a likely deadlock has to last: much longer than a thread that has been woken takes to run, even on a busy machine.
const PATIENCE: Duration = Duration::from_millis(100);

/// The waits that went on at one moment.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) waits: Vec<Wait>,
    /// Verified.
    pub(crate) cycles: Vec<Cycle>,
}

/// A wait, and who holds what it waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) waiting: Waiting,
    pub(crate) holder: Option<Holder>,
    /// Whom it ends after: the holder, the thread joined, the writer in line. `None` if it may end by itself.
    pub(crate) ends_after: Option<Actor>,
    words: Option<HolderWords>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder {
    pub(crate) actor: Actor,
    /// Where it took the lock.
    pub(crate) site: Option<Site>,
    /// Others may hold it as well.
    pub(crate) shared: bool,
}

/// A stack of lookup addresses.
#[derive(Debug)]
pub(crate) struct Stack {
    /// Leaf first.
    pub(crate) frames: Box<[u64]>,
    /// Callers are missing at the root.
    pub(crate) truncated: bool,
}

/// All waits and, verified, the cycles among them. Takes a tenth of a second if one is likely but not certain.
pub(crate) fn search() -> Graph {
    search_after(|| {
        // Not a wait of the program's.
        nesting::enter();
        std::thread::sleep(PATIENCE);
        nesting::leave();
    })
}

fn search_after(pause: impl FnOnce()) -> Graph {
    let mut graph = Graph::freeze();
    if graph.cycles.iter().any(|cycle| !cycle.certain) {
        let before: HashSet<_> = graph.cycles.iter().map(|cycle| graph.id(cycle)).collect();
        pause();
        graph = Graph::freeze();
        let lasts = |cycle: &Cycle| cycle.certain || before.contains(&graph.id(cycle));
        let lasting = graph.cycles.iter().filter(|cycle| lasts(cycle)).cloned().collect();
        graph.cycles = lasting;
    }
    let verified = graph.cycles.iter().filter(|cycle| graph.holds(cycle)).cloned().collect();
    graph.cycles = verified;
    graph
}

/// Waits that found no room so far.
pub(crate) fn untracked() -> u64 {
    live::untracked()
}

/// Number of cycles that are certain at the moment.
pub(crate) fn count() -> usize {
    let graph = Graph::freeze();
    graph.cycles.iter().filter(|cycle| cycle.certain && graph.holds(cycle)).count()
}

impl Graph {
    fn freeze() -> Graph {
        let waits: Vec<Waiting> = live::waits().collect();
        let mut addresses: Vec<u64> =
            waits.iter().map(|w| w.entry.holder).filter(|address| *address != 0).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let words = HolderWords::read(&addresses);
        let words_at = |address| words.get(addresses.binary_search(&address).ok()?).copied()?;
        // Read before: from here on it is known which of them were a lock's.
        let mut waits: Vec<Wait> = waits
            .into_iter()
            .filter(Waiting::goes_on)
            .map(|waiting| Wait::new(waiting, words_at(waiting.entry.holder)))
            .collect();
        let nodes = nodes(&waits);
        for (wait, node) in waits.iter_mut().zip(&nodes) {
            wait.ends_after = node.edge.map(|edge| edge.to);
        }
        Graph { waits, cycles: cycles::find(&nodes) }
    }

    /// The stacks of these waits, as far as they can be had.
    pub(crate) fn stacks(&self, waits: impl Iterator<Item = usize>) -> HashMap<usize, Stack> {
        unwind::refresh();
        waits.filter_map(|index| Some((index, self.waits.get(index)?.stack()?))).collect()
    }

    fn members<'a>(&'a self, cycle: &'a Cycle) -> impl Iterator<Item = &'a Wait> {
        cycle.waits.iter().filter_map(|index| self.waits.get(*index))
    }

    /// What no other deadlock is called by.
    pub(crate) fn id(&self, cycle: &Cycle) -> Vec<(usize, u64)> {
        let mut ids: Vec<_> = self.members(cycle).map(|wait| wait.waiting.id()).collect();
        ids.sort_unstable();
        ids
    }

    /// Reads everything about a cycle again.
    fn holds(&self, cycle: &Cycle) -> bool {
        let addresses: Vec<u64> = self.members(cycle).map(|w| w.waiting.entry.holder).collect();
        let again = HolderWords::read(&addresses);
        let same = self.members(cycle).zip(again).all(|(wait, again)| wait.words == again);
        same && self.members(cycle).all(|wait| wait.waiting.goes_on())
    }
}

impl Wait {
    /// `waiting` went on when `words` had been read.
    fn new(waiting: Waiting, words: Option<HolderWords>) -> Wait {
        let asleep = waiting.entry.registers.is_some();
        let site = |words: HolderWords| {
            // SAFETY: the lock was there, as a thread waited for it from before until after.
            if asleep { unsafe { words.site() } } else { words.known_site() }
        };
        let holder = words.map(|words| Holder {
            actor: words.actor(),
            site: site(words),
            shared: words.is_shared(),
        });
        Wait { waiting, holder, ends_after: None, words }
    }

    /// For how long by now, if a profile or a watchdog was on when it began.
    pub(crate) fn waited(&self) -> Option<Duration> {
        let since = self.waiting.entry.since;
        let ticks = || clock::ticks().saturating_sub(since);
        (since != 0).then(|| Duration::from_nanos(clock::ticks_to_ns(ticks())))
    }

    /// Where it waits: the sleeping thread's stack, or the one recorded when the wait began. `None` if the wait has ended meanwhile, or nothing
    /// is known. `unwind::refresh` is to be called before.
    fn stack(&self) -> Option<Stack> {
        self.walk().or_else(|| self.recorded()).filter(|_| self.waiting.goes_on())
    }

    fn walk(&self) -> Option<Stack> {
        let start = self.waiting.entry.registers.filter(|_| registers::SUPPORTED)?;
        let reader = Reader::enter(registers::current().sp)?;
        let mut window = Window::<1024>::new();
        // SAFETY: no bounds are claimed: the stack may be gone by now, and every read goes through the kernel.
        let mut memory = unsafe { StackMemory::new(None, &mut window) };
        let mut frames = Frames::new();
        let end = unwind::walk(reader.tables(), start, &mut memory, &mut frames);
        // What was read is that stack only if the thread still sleeps.
        let frames = self.waiting.goes_on().then(|| frames.as_slice().into())?;
        Some(Stack { frames, truncated: end != End::Complete })
    }

    fn recorded(&self) -> Option<Stack> {
        let table = BLOCK.table.get()?;
        let Recorded { frames, truncated, .. } = table.recorded_at(self.waiting.entry.stack?)?;
        Some(Stack { frames, truncated })
    }
}

fn nodes(waits: &[Wait]) -> Vec<Node> {
    let writers: HashMap<u64, Actor> = waits
        .iter()
        .map(|wait| &wait.waiting.entry)
        .filter(|entry| entry.tag.is(Kind::RwLockWrite) && !entry.timed)
        .map(|entry| (entry.resource, entry.actor))
        .collect();
    waits
        .iter()
        .map(|wait| {
            let entry = &wait.waiting.entry;
            let sleeps_at = entry.registers.map(|registers| registers.sp);
            let certain =
                |edge: Edge| Edge { certain: edge.certain && sleeps_at.is_some(), ..edge };
            let edge = edge(wait, |resource| writers.get(&resource).copied()).map(certain);
            Node { actor: entry.actor, task: entry.task, sleeps_at, edge }
        })
        .collect()
}

/// Whom a wait is for; see the module's table.
fn edge(wait: &Wait, writer_of: impl Fn(u64) -> Option<Actor>) -> Option<Edge> {
    let entry = &wait.waiting.entry;
    if entry.timed {
        return None;
    }
    if entry.target != Actor::NOBODY {
        return Some(Edge { to: entry.target, certain: true });
    }
    let words = wait.words?;
    let is = |kind| entry.tag.is(kind);
    let reads = is(Kind::RwLockRead) || is(Kind::RwLockUpgradable);
    if reads && words.is_shared() {
        return Some(Edge { to: writer_of(entry.resource)?, certain: false });
    }
    let locks = reads || is(Kind::Mutex) || is(Kind::RwLockWrite) || is(Kind::Once);
    locks.then(|| Edge { to: words.actor(), certain: !words.is_movable() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::contention::monitor::{Monitor, wait_for};
    use crate::source::contention::tag::{Origin, Tag};
    use std::panic::Location;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread::JoinHandle;

    fn here() -> Site {
        Location::caller()
    }

    fn lock() -> &'static Monitor {
        Box::leak(Box::new(Monitor::new(Origin::Name("a lock of wait_graph's tests"))))
    }

    /// Is given what wakes it.
    type Order = Box<dyn FnOnce(&Receiver<()>) + Send>;

    /// A thread that does what it is told, and so can be made to wait without a real lock.
    struct Puppet {
        actor: Actor,
        orders: Option<Sender<Order>>,
        wake: Sender<()>,
        thread: Option<JoinHandle<()>>,
    }

    impl Puppet {
        fn new() -> Puppet {
            let (orders, receiver) = channel::<Order>();
            let (wake, woken) = channel();
            let (tell, told) = channel();
            let thread = std::thread::spawn(move || {
                tell.send(Actor::thread()).unwrap();
                receiver.into_iter().for_each(|order| order(&woken));
            });
            let actor = told.recv().unwrap();
            Puppet { actor, orders: Some(orders), wake, thread: Some(thread) }
        }

        fn tell(&self, order: impl FnOnce(&Receiver<()>) + Send + 'static) {
            self.orders.as_ref().unwrap().send(Box::new(order)).unwrap();
        }

        fn locks(&self, lock: &'static Monitor) {
            let (tell, told) = channel();
            self.tell(move |_| {
                lock.acquired(here());
                tell.send(()).unwrap();
            });
            told.recv().unwrap();
        }

        fn reads(&self, lock: &'static Monitor) {
            lock.acquired_shared(self.actor, here());
        }

        fn waits(&self, lock: &'static Monitor, kind: Kind) {
            self.waits_timed(lock, kind, false);
        }

        fn waits_timed(&self, lock: &'static Monitor, kind: Kind, timed: bool) {
            self.tell(move |woken| {
                let wait = lock.wait_timed(kind, here(), timed);
                woken.recv().unwrap();
                wait.did_not_sleep();
            });
            self.until_asleep();
        }

        fn joins(&self, other: &Puppet) {
            let target = other.actor;
            self.tell(move |woken| {
                let wait = wait_for(target, Kind::Join, None, here());
                woken.recv().unwrap();
                wait.did_not_sleep();
            });
            self.until_asleep();
        }

        fn until_asleep(&self) {
            while !live::waits().any(|w| w.entry.actor == self.actor) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }

        fn wakes(&self) {
            self.wake.send(()).unwrap();
            while live::waits().any(|w| w.entry.actor == self.actor) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    impl Drop for Puppet {
        fn drop(&mut self) {
            let _ = self.wake.send(());
            self.orders = None;
            let _ = self.thread.take().unwrap().join();
        }
    }

    /// Deadlocks with one of these actors: who waits in turn, how many behind, whether certain. Other tests have their own.
    fn found_after(actors: &[Actor], pause: impl FnOnce()) -> Vec<(Vec<Actor>, usize, bool)> {
        let graph = search_after(pause);
        let actor = |index: &usize| graph.waits[*index].waiting.entry.actor;
        let cycles = graph.cycles.iter().map(|cycle| {
            let waits: Vec<Actor> = cycle.waits.iter().map(actor).collect();
            (waits, cycle.behind.len(), cycle.certain)
        });
        cycles.filter(|(waits, ..)| waits.iter().any(|a| actors.contains(a))).collect()
    }

    fn found(actors: &[Actor]) -> Vec<(Vec<Actor>, usize, bool)> {
        found_after(actors, || {})
    }

    #[test]
    fn threads_that_wait_for_each_other_are_found() {
        let (a, b, c) = (Puppet::new(), Puppet::new(), Puppet::new());
        let (one, two) = (lock(), lock());
        a.locks(one);
        b.locks(two);
        a.waits(two, Kind::Mutex);
        c.waits(one, Kind::Mutex);
        assert_eq!(found(&[a.actor, b.actor, c.actor]), [], "b is awake");
        b.waits(one, Kind::Mutex);
        assert_eq!(found(&[a.actor]), [(vec![a.actor, b.actor], 1, true)]);
        let graph = search_after(|| {});
        let wait = graph.waits.iter().find(|w| w.waiting.entry.actor == a.actor).unwrap();
        let holder = wait.holder.unwrap();
        assert_eq!((holder.actor, wait.ends_after), (b.actor, Some(b.actor)));
        assert_eq!(holder.site.unwrap().file(), file!());
        b.wakes();
        assert_eq!(found(&[a.actor, b.actor, c.actor]), []);
    }

    #[test]
    fn what_was_released_is_not_held() {
        let (a, b) = (Puppet::new(), Puppet::new());
        let (one, two) = (lock(), lock());
        a.locks(one);
        b.locks(two);
        let _ = one.releasing(Kind::Mutex);
        a.waits(two, Kind::Mutex);
        b.waits(one, Kind::Mutex);
        assert_eq!(found(&[a.actor, b.actor]), []);
    }

    #[test]
    fn a_thread_may_wait_for_itself() {
        let a = Puppet::new();
        let one = lock();
        a.locks(one);
        a.waits(one, Kind::Mutex);
        assert_eq!(found(&[a.actor]), [(vec![a.actor], 0, true)]);
    }

    #[test]
    fn joins_are_waits() {
        let (a, b) = (Puppet::new(), Puppet::new());
        let one = lock();
        a.locks(one);
        b.waits(one, Kind::Mutex);
        a.joins(&b);
        assert_eq!(found(&[a.actor]), [(vec![a.actor, b.actor], 0, true)]);
    }

    #[test]
    fn a_timeout_ends_a_wait() {
        let (a, b) = (Puppet::new(), Puppet::new());
        let (one, two) = (lock(), lock());
        a.locks(one);
        b.locks(two);
        a.waits(two, Kind::Mutex);
        b.waits_timed(one, Kind::Mutex, true);
        assert_eq!(found(&[a.actor, b.actor]), []);
        b.wakes();
        // Nor does one for what anybody may give.
        b.waits(one, Kind::Condvar);
        assert_eq!(found(&[a.actor, b.actor]), []);
    }

    #[test]
    fn readers_wait_for_writers_alone() {
        let (a, b, writer) = (Puppet::new(), Puppet::new(), Puppet::new());
        let (one, two) = (lock(), lock());
        a.reads(one);
        b.locks(two);
        a.waits(two, Kind::Mutex);
        b.waits(one, Kind::RwLockRead);
        let all = [a.actor, b.actor, writer.actor];
        assert_eq!(found(&all), [], "b has just been let in, and does not know yet");
        writer.waits_timed(one, Kind::RwLockWrite, true);
        assert_eq!(found(&all), [], "the writer will give up");
        writer.wakes();
        writer.waits(one, Kind::RwLockWrite);
        assert_eq!(found(&all), [(vec![a.actor, b.actor, writer.actor], 0, false)]);
        b.wakes();
        b.waits(one, Kind::RwLockWrite);
        assert_eq!(found(&all), [(vec![a.actor, b.actor], 1, true)], "no reader in line");
    }

    #[test]
    fn a_reader_may_wait_for_itself_behind_a_writer() {
        let (reader, writer) = (Puppet::new(), Puppet::new());
        let one = lock();
        reader.reads(one);
        writer.waits(one, Kind::RwLockWrite);
        assert_eq!(found(&[reader.actor, writer.actor]), []);
        reader.waits(one, Kind::RwLockRead);
        assert_eq!(found(&[reader.actor]), [(vec![reader.actor, writer.actor], 0, false)]);
    }

    #[test]
    fn tasks_and_threads_are_in_one_graph() {
        let thread = Puppet::new();
        let (task, other) = (Actor::task(900_001), Actor::task(900_002));
        let (one, two, three) = (lock(), lock(), lock());
        one.acquired_by(task, here());
        two.acquired_by(other, here());
        thread.locks(three);
        let first = one.wait_as(other, Kind::Mutex, here());
        let _second = three.wait_as(task, Kind::Mutex, here());
        thread.waits(two, Kind::Mutex);
        let cycle = (vec![thread.actor, other, task], 0, false);
        assert_eq!(found(&[task]), std::slice::from_ref(&cycle));
        // One wait of it ends, and another one begins at once: the thread may go on at any moment.
        let mut again = None;
        let seen = found_after(&[task, other, thread.actor], || {
            first.gave_up();
            again = Some(one.wait_as(other, Kind::Mutex, here()));
        });
        assert_eq!(seen, []);
        assert_eq!(found(&[task]), [cycle]);
        // The other task waits for something else as well, which may come.
        let _message = crate::source::contention::wait_as(other, Kind::ChannelRecv, None, here());
        assert_eq!(found(&[task, other, thread.actor]), []);
    }

    #[test]
    fn a_guard_may_be_in_other_hands() {
        let thread = Puppet::new();
        let one = lock();
        let (tell, told) = channel();
        thread.tell(move |_| {
            one.acquired_named(here(), true);
            tell.send(()).unwrap();
        });
        told.recv().unwrap();
        thread.waits(one, Kind::Mutex);
        assert_eq!(found(&[thread.actor]), [(vec![thread.actor], 0, false)]);
        thread.wakes();
        one.acquired_shared_by(thread.actor, here());
        thread.waits(one, Kind::RwLockWrite);
        assert_eq!(found(&[thread.actor]), [(vec![thread.actor], 0, false)]);
    }

    #[test]
    fn where_a_task_waits_anything_may_be_read() {
        const BASE: u64 = 1 << 42;
        // As if the lock had gone with its future forgotten, and its memory were used again.
        let words = Box::leak(Box::new([BASE, 0x4141_4141_4141]));
        let real = lock();
        real.acquired_by(Actor::task(BASE + 1), here());
        let holder = std::ptr::from_ref(words) as u64;
        let first = real.wait_as(Actor::task(BASE), Kind::Mutex, here());
        let mut entry = live::waits().find(|w| w.entry.actor == Actor::task(BASE)).unwrap().entry;
        entry.actor = Actor::task(BASE + 2);
        entry.holder = holder;
        let _second = live::claim(&entry);
        let graph = search_after(|| {});
        let site_of = |actor| {
            let wait = graph.waits.iter().find(|w| w.waiting.entry.actor == Actor::task(actor));
            wait.unwrap().holder.unwrap().site
        };
        assert!(site_of(BASE + 2).is_none());
        assert_eq!(site_of(BASE).unwrap().file(), file!());
        first.gave_up();
    }

    #[test]
    fn a_task_sleeps_with_the_thread_that_runs_it() {
        let thread = Puppet::new();
        let task = Actor::task(900_003);
        let (one, two) = (lock(), lock());
        thread.waits(two, Kind::Mutex);
        let mut entry = live::waits().find(|w| w.entry.actor == thread.actor).unwrap().entry;
        thread.wakes();
        entry.task = task;
        let _claim = live::claim(&entry);
        one.acquired_by(task, here());
        two.acquired_by(Actor::task(900_004), here());
        let _other = one.wait_as(Actor::task(900_004), Kind::Mutex, here());
        // The task has a wait of its own, of another branch; that cannot go on while the thread sleeps.
        let _branch = crate::source::contention::wait_as(task, Kind::Notify, None, here());
        let seen = found(&[thread.actor]);
        assert_eq!(seen, [(vec![thread.actor, Actor::task(900_004)], 0, false)]);
    }

    #[test]
    fn a_watch_may_be_stopped_by_what_it_calls() {
        let thread = Puppet::new();
        let one = lock();
        thread.locks(one);
        thread.waits(one, Kind::Mutex);
        let (give, given) = channel::<Watch>();
        let (tell, told) = channel();
        let actor = thread.actor;
        let found = move |graph: &Graph, cycle: &Cycle| {
            let waits = cycle.waits.iter().filter_map(|wait| graph.waits.get(*wait));
            if waits.map(|wait| wait.waiting.entry.actor).any(|a| a == actor) {
                drop(given.recv().unwrap());
                tell.send(()).unwrap();
            }
        };
        give.send(Watch::start(Duration::from_millis(1), found).unwrap()).unwrap();
        told.recv().unwrap();
        assert!(told.recv().is_err(), "it has ended, and what it would call is gone");
    }

    #[test]
    fn stacks_are_walked_or_else_those_recorded() {
        let thread = Puppet::new();
        let (one, two) = (lock(), lock());
        let _alone = super::super::tests::RATES.lock();
        super::super::set_block_rate(1);
        let task = Actor::task(900_006);
        let _wait = two.wait_as(task, Kind::Mutex, here());
        super::super::set_block_rate(0);
        thread.waits(one, Kind::Mutex);
        let graph = search_after(|| {});
        let stacks = graph.stacks(0..graph.waits.len());
        let of = |actor: Actor| {
            let index = graph.waits.iter().position(|w| w.waiting.entry.actor == actor);
            stacks.get(&index.unwrap())
        };
        for actor in [task, thread.actor] {
            assert!(of(actor).is_some_and(|stack| !stack.truncated && stack.frames.len() > 3));
        }
        thread.wakes();
        let ended = graph.waits.iter().find(|w| w.waiting.entry.actor == thread.actor).unwrap();
        assert!(ended.stack().is_none(), "it sleeps no more");
    }

    #[test]
    fn locks_that_are_gone_are_not_read() {
        let entry = |holder| live::Entry {
            actor: Actor::task(900_005),
            task: Actor::NOBODY,
            tag: Tag::new(Kind::Mutex, None, None),
            resource: holder,
            holder,
            target: Actor::NOBODY,
            since: 0,
            stack: None,
            registers: None,
            site: None,
            timed: false,
            labels: 0,
        };
        for wild in [8, 1 << 63, u64::MAX] {
            let _claim = live::claim(&entry(wild)).unwrap();
            assert_eq!(found(&[Actor::task(900_005)]), []);
        }
    }

    #[test]
    fn long_chains_are_followed() {
        const N: u64 = 6_000;
        // Where no other test has its waits, which might find no room.
        const BASE: u64 = (1 << 39) + 1_000;
        let locks: Vec<&Monitor> = (0..N).map(|_| lock()).collect();
        let tasks: Vec<Actor> = (0..N).map(|i| Actor::task(BASE + i)).collect();
        locks.iter().zip(&tasks).for_each(|(lock, task)| lock.acquired_by(*task, here()));
        let wait = |i: usize, lock: usize| locks[lock].wait_as(tasks[i], Kind::Mutex, here());
        let mut waits: Vec<_> = (1..tasks.len()).map(|i| wait(i, i - 1)).collect();
        assert_eq!(found(&tasks[..1]), [], "the first does not wait");
        let began = std::time::Instant::now();
        assert!(found(&tasks).is_empty());
        println!("a search over {N} waits for {N} locks: {:?}", began.elapsed());
        waits.push(wait(0, tasks.len() - 1));
        let cycles = found(&tasks[..1]);
        assert_eq!(cycles.len(), 1);
        assert_eq!(cycles[0].0.len(), tasks.len());
    }
}
