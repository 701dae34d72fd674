//! Sets of labels: each exists once, is found by what is in it, and lives for as long as somebody holds it or a profile keeps it.
//!
//! ```text
//! Labels::new ── found by its text, or made ──► Labels (counted) ── Scope ──► the thread's word (capture::labels)
//!                                                                                │ a sample takes the number, and marks the set
//!                                      text, when the profile is written ◄───────┘
//! ```
//!
//! A thread's word is set by [`Scope`]s, and by [`GuardScope`]s, which their owner may drop at any time: see `Thread`.
//!
//! # Reentrancy
//! An allocator may look at the word ([`recorded`], [`current`]). It must not set labels: sets are made under a lock, with memory that is
//! allocated there.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::time::Duration;

use once_cell::sync::Lazy;
use parking_lot::{Mutex, MutexGuard};

use crate::aggregate::snapshot::LabelSet;
use crate::capture::labels::{self, Keeper, Mark, RECORDED, SAMPLED};
use crate::config::{MAX_LABEL_BYTES, MAX_LABELS, OVERFLOW_LABELS};

/// A set in memory of its own. The mark is first, so that its address is the set's.
#[derive(Debug)]
#[repr(C)]
struct Set {
    mark: Mark,
    /// Of [`Labels`]. At zero the set may go, unless a profile keeps it.
    holders: AtomicUsize,
    hash: u64,
    pairs: LabelSet,
    /// What this and another set, of that number, are together: what was asked for last.
    merged: Mutex<Option<(u64, SetRef)>>,
}

/// A counted reference to a set that is not empty.
#[derive(Debug)]
pub(crate) struct SetRef(NonNull<Set>);

// SAFETY: what changes in a set is atomic.
unsafe impl Send for SetRef {}
// SAFETY: as above.
unsafe impl Sync for SetRef {}

/// Where sets are by their hash; more than one, so that threads seldom wait for each other.
static TABLE: Lazy<Table> = Lazy::new(|| Table {
    hasher: RandomState::new(),
    pid: std::process::id(),
    shards: std::array::from_fn(|_| Mutex::default()),
});

const SHARDS: usize = 16;

type Shard = HashMap<u64, Vec<NonNull<Set>>, BuildHasherDefault<Hashed>>;

/// Of what is a hash already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

struct Table {
    hasher: RandomState,
    /// The process that made it.
    pid: u32,
    shards: [Mutex<Shard>; SHARDS],
}

// SAFETY: the pointers are to sets, which may be used from any thread.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

/// The first number of a set.
static NEXT_ID: AtomicU64 = AtomicU64::new(OVERFLOW_LABELS + 1);

impl Table {
    /// `None` in a forked child if a thread of its parent's had it, which is not there to give it back.
    fn shard(&self, hash: u64) -> Option<MutexGuard<'_, Shard>> {
        // The map looks at the lowest and at the highest bits.
        let index = (hash >> 32) as usize;
        self.lock(&self.shards[index % SHARDS])
    }

    fn lock<'t>(&self, shard: &'t Mutex<Shard>) -> Option<MutexGuard<'t, Shard>> {
        let guard = shard.try_lock();
        if guard.is_some() || self.pid == std::process::id() {
            return guard.or_else(|| Some(shard.lock()));
        }
        // Threads of the child's own have it for microseconds.
        (0..50).find_map(|_| {
            std::thread::sleep(Duration::from_micros(100));
            shard.try_lock()
        })
    }

    fn hash(&self, pairs: &[(&str, &str)]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        pairs.iter().for_each(|pair| pair.hash(&mut hasher));
        hasher.finish()
    }

    /// The set of these pairs, which are sorted and not none; `None` as of `shard`.
    fn intern(&self, pairs: &[(&str, &str)]) -> Option<SetRef> {
        let hash = self.hash(pairs);
        let mut shard = self.shard(hash)?;
        let same = |set: &NonNull<Set>| {
            // SAFETY: sets in the table are alive, and leave it under its lock.
            let pairs_of = &unsafe { set.as_ref() }.pairs;
            pairs_of.iter().map(|(key, value)| (&**key, &**value)).eq(pairs.iter().copied())
        };
        let sets = shard.entry(hash).or_default();
        if let Some(set) = sets.iter().find(|set| same(set)) {
            // SAFETY: as above.
            // ORDERING: Relaxed: under the lock that it would go under.
            unsafe { set.as_ref() }.holders.fetch_add(1, Ordering::Relaxed);
            return Some(SetRef(*set));
        }
        // ORDERING: Relaxed: a number that nobody else has.
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let set = Box::new(Set {
            mark: Mark::new(id),
            holders: AtomicUsize::new(1),
            hash,
            pairs: pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            merged: Mutex::new(None),
        });
        let set = NonNull::from(Box::leak(set));
        sets.push(set);
        Some(SetRef(set))
    }

    /// Lets go of a set that nobody held a moment ago, if it is still so. It may be gone already.
    #[cold]
    fn remove(&self, set: NonNull<Set>, hash: u64) {
        let Some(mut shard) = self.shard(hash) else { return };
        let Some(sets) = shard.get_mut(&hash) else { return };
        // Found here it is alive, though perhaps another one in the same place.
        if let Some(index) = sets.iter().position(|other| *other == set)
            // SAFETY: as in `intern`.
            && is_idle(unsafe { set.as_ref() })
        {
            sets.swap_remove(index);
            if sets.is_empty() {
                shard.remove(&hash);
            }
            drop(shard);
            free(set);
        }
    }

    /// Every set, under the lock of its shard; those that `stays` says no to go.
    fn retain(&self, mut stays: impl FnMut(&Set) -> bool) {
        // Freed outside of the lock: what a set is merged to may go with it.
        let mut gone = Vec::new();
        for shard in &self.shards {
            let Some(mut shard) = self.lock(shard) else { continue };
            shard.retain(|_, sets| {
                sets.retain(|set| {
                    // SAFETY: as in `intern`.
                    let stays = stays(unsafe { set.as_ref() });
                    if !stays {
                        gone.push(*set);
                    }
                    stays
                });
                !sets.is_empty()
            });
            drop(shard);
            gone.drain(..).for_each(free);
        }
    }
}

fn is_idle(set: &Set) -> bool {
    // ORDERING: Acquire pairs with the Release in `SetRef::drop`: the notes of all who held it are on the mark.
    set.holders.load(Ordering::Acquire) == 0 && !set.mark.is_kept()
}

/// Of a set that has just been taken from the table with nobody holding it.
fn free(set: NonNull<Set>) {
    // SAFETY: made by `Box::leak`, and in nobody's hands: a holder would have been counted, and the table was the one way to it.
    drop(unsafe { Box::from_raw(set.as_ptr()) });
}

impl SetRef {
    fn set(&self) -> &Set {
        // SAFETY: counted as a holder.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn pairs(&self) -> &LabelSet {
        &self.set().pairs
    }

    pub(crate) fn is(&self, other: &SetRef) -> bool {
        self.0 == other.0
    }

    /// What no other set has.
    pub(crate) fn id(&self) -> u64 {
        self.set().mark.id()
    }

    /// Whether nothing is left of `other` where this is set on top of it.
    fn has_keys_of(&self, other: &SetRef) -> bool {
        let mut own = self.pairs().iter();
        // Both are sorted.
        self.is(other) || other.pairs().iter().all(|(key, _)| own.any(|(other, _)| other == key))
    }

    fn mark(&self) -> *const Mark {
        self.0.as_ptr().cast()
    }

    /// Of what a thread's word says.
    ///
    /// # Safety
    /// - `mark` is null or a set that is alive.
    unsafe fn of(mark: *const Mark) -> Option<SetRef> {
        let set = NonNull::new(mark.cast_mut().cast::<Set>())?;
        // SAFETY: the caller's promise; a mark is the head of its set.
        // ORDERING: Relaxed: somebody else holds it for as long as this takes.
        unsafe { set.as_ref() }.holders.fetch_add(1, Ordering::Relaxed);
        Some(SetRef(set))
    }
}

impl Clone for SetRef {
    fn clone(&self) -> Self {
        // ORDERING: Relaxed: this one holds it meanwhile.
        self.set().holders.fetch_add(1, Ordering::Relaxed);
        SetRef(self.0)
    }
}

impl Drop for SetRef {
    fn drop(&mut self) {
        let hash = self.set().hash;
        // ORDERING: Release: what was done with the set comes before its end.
        if self.set().holders.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            TABLE.remove(self.0, hash);
        }
    }
}

/// The set of these pairs: of those with one key the last counts, and those without a key do not. `None` if none is left.
pub(crate) fn intern<'p>(pairs: impl Iterator<Item = (&'p str, &'p str)>) -> Option<SetRef> {
    let mut sorted: Vec<(&str, &str)> = pairs
        .map(|(key, value)| (cut(key), cut(value)))
        .filter(|(key, _)| !key.is_empty())
        .collect();
    // Stable: the last one of a key stays the last.
    sorted.sort_by_key(|(key, _)| *key);
    sorted.reverse();
    sorted.dedup_by_key(|(key, _)| *key);
    sorted.reverse();
    sorted.truncate(MAX_LABELS);
    if sorted.is_empty() { None } else { TABLE.intern(&sorted) }
}

fn cut(text: &str) -> &str {
    let most = text.len().min(MAX_LABEL_BYTES);
    let end = (0..=most).rev().find(|index| text.is_char_boundary(*index));
    text.get(..end.unwrap_or(0)).unwrap_or("")
}

/// Both sets in one; what `added` says counts.
fn merged(base: &SetRef, added: &SetRef) -> Option<SetRef> {
    // Never waited for: another thread is as likely to ask for another one.
    let Some(mut last) = base.set().merged.try_lock() else { return merge(base, added) };
    if let Some((_, known)) = last.as_ref().filter(|(id, _)| *id == added.id()) {
        return Some(known.clone());
    }
    let merged = merge(base, added)?;
    // Of more labels than this one, so that sets do not hold each other for ever.
    let grows = merged.pairs().len() > base.pairs().len();
    let known = grows.then(|| (added.id(), merged.clone()));
    let before = mem::replace(&mut *last, known);
    drop(last);
    drop(before);
    Some(merged)
}

fn merge(base: &SetRef, added: &SetRef) -> Option<SetRef> {
    fn pairs(set: &SetRef) -> impl Iterator<Item = (&str, &str)> {
        set.pairs().iter().map(|(key, value)| (&**key, &**value))
    }
    intern(pairs(base).chain(pairs(added)))
}

/// `added` on top of `base`.
pub(crate) fn on_top_of(base: Option<&SetRef>, added: Option<&SetRef>) -> Option<SetRef> {
    match (base, added) {
        (Some(base), Some(added)) if !added.has_keys_of(base) => merged(base, added),
        (base, added) => added.or(base).cloned(),
    }
}

/// The set of the running code.
pub(crate) fn current() -> Option<SetRef> {
    // SAFETY: whoever set the word keeps the set alive.
    unsafe { SetRef::of(labels::current()) }
}

thread_local! {
    // No destructor: usable at any time of the thread's life.
    static THREAD: Thread = const {
        Thread {
            height: Cell::new(0),
            owner: Cell::new(0),
            gone: Cell::new(ManuallyDrop::new(Vec::new())),
        }
    };
}

/// The scopes of a thread as a stack. One that ends before another that began later leaves its place until that has ended, too: the other
/// may have found its set in the word, and must not set the word to it again.
struct Thread {
    /// Places in use; and `DISORDER`, while one of them is that of a scope that has ended.
    height: Cell<usize>,
    /// The place of the scope that the word is of; 0 if it is of none.
    owner: Cell<usize>,
    /// Scopes that have ended and whose places are still in use.
    gone: Cell<ManuallyDrop<Vec<Opened>>>,
}

const DISORDER: usize = 1 << (usize::BITS - 1);

/// A scope that has begun: the word as it was, and whose.
#[derive(Clone, Copy, Debug)]
struct Opened {
    place: usize,
    previous: *const Mark,
    previous_owner: usize,
}

impl Opened {
    /// Sets the word to `mark`.
    #[inline]
    fn new(mark: *const Mark) -> Opened {
        THREAD.with(|thread| {
            let height = thread.height.get() + 1;
            thread.height.set(height);
            let place = height & !DISORDER;
            let previous_owner = thread.owner.replace(place);
            Opened { place, previous: labels::replace(mark), previous_owner }
        })
    }

    /// Sets the word back; of a guard only if the word is its own, else also if scopes that began later are still there.
    #[inline]
    fn close(&self, is_guard: bool) {
        THREAD.with(|thread| {
            if thread.height.get() == self.place {
                labels::replace(self.previous);
                thread.owner.set(self.previous_owner);
                thread.height.set(self.place - 1);
            } else {
                self.close_in_disorder(thread, is_guard);
            }
        });
    }

    #[cold]
    #[inline(never)]
    fn close_in_disorder(self, thread: &Thread, is_guard: bool) {
        // Not there for an allocator that is called meanwhile and sets labels itself.
        let mut gone = ManuallyDrop::into_inner(thread.gone.take());
        if thread.owner.get() == self.place || !is_guard {
            let (mut mark, mut owner) = (self.previous, self.previous_owner);
            while let Some(ended) = gone.iter().find(|ended| ended.place == owner) {
                (mark, owner) = (ended.previous, ended.previous_owner);
            }
            labels::replace(mark);
            thread.owner.set(owner);
        }
        let mut height = thread.height.get() & !DISORDER;
        if self.place == height {
            height -= 1;
            while let Some(index) = gone.iter().position(|ended| ended.place == height) {
                gone.swap_remove(index);
                height -= 1;
            }
        } else {
            gone.push(self);
        }
        let disorder = if gone.is_empty() { 0 } else { DISORDER };
        thread.height.set(height | disorder);
        // An empty one leaves nothing behind when the thread ends.
        thread.gone.set(ManuallyDrop::new(if gone.is_empty() { Vec::new() } else { gone }));
    }
}

/// The time in which a set is the thread's: on the stack of a function that does not return meanwhile, and does not hand this on.
#[derive(Debug)]
pub(crate) struct Scope<'s> {
    opened: Opened,
    /// Made for this scope, and then its set.
    _merged: Option<SetRef>,
    borrowed: PhantomData<&'s SetRef>,
}

impl<'s> Scope<'s> {
    /// `added` on top of what is set.
    #[inline]
    pub(crate) fn add(added: Option<&'s SetRef>) -> Scope<'s> {
        if labels::current().is_null() { Scope::replace(added) } else { Scope::merge(added) }
    }

    #[inline(never)]
    fn merge(added: Option<&SetRef>) -> Scope<'s> {
        let merged = on_top_of(current().as_ref(), added);
        let opened = Opened::new(mark(merged.as_ref()));
        Scope { opened, _merged: merged, borrowed: PhantomData }
    }

    /// `set` instead of what is set.
    #[inline]
    pub(crate) fn replace(set: Option<&'s SetRef>) -> Scope<'s> {
        Scope { opened: Opened::new(mark(set)), _merged: None, borrowed: PhantomData }
    }
}

impl Drop for Scope<'_> {
    #[inline]
    fn drop(&mut self) {
        self.opened.close(false);
    }
}

/// As [`Scope`], of a guard in its user's hands, which may be dropped in any order, or never.
#[derive(Debug)]
pub(crate) struct GuardScope {
    opened: Opened,
    _set: Option<SetRef>,
}

impl GuardScope {
    pub(crate) fn add(added: Option<&SetRef>) -> GuardScope {
        let set = on_top_of(current().as_ref(), added);
        GuardScope { opened: Opened::new(mark(set.as_ref())), _set: set }
    }
}

impl Drop for GuardScope {
    fn drop(&mut self) {
        self.opened.close(true);
    }
}

#[inline]
fn mark(set: Option<&SetRef>) -> *const Mark {
    set.map_or(ptr::null(), SetRef::mark)
}

/// The texts of all sets, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Texts(HashMap<u64, LabelSet>);

impl Texts {
    /// Of the sets that are there now.
    pub(crate) fn read() -> Texts {
        let mut texts = HashMap::new();
        if let Some(table) = Lazy::get(&TABLE) {
            table.retain(|set| {
                texts.insert(set.mark.id(), LabelSet::clone(&set.pairs));
                true
            });
        }
        let overflow: LabelSet = [("labels".into(), "overflow".into())].into();
        texts.insert(OVERFLOW_LABELS, overflow);
        Texts(texts)
    }

    /// The set of a number; `None` for 0.
    pub(crate) fn of(&self, id: u64) -> Option<LabelSet> {
        let unknown = || [("labels".into(), "unknown".into())].into();
        (id != 0).then(|| self.0.get(&id).cloned().unwrap_or_else(unknown))
    }
}

/// What profiles say of samples whose set found no room, if there are any.
pub(crate) fn remark(keeper: &Keeper, since: u64) -> Option<String> {
    let lost = keeper.turned_away().saturating_sub(since);
    (lost != 0).then(|| {
        format!("samples labelled labels=overflow, as there were too many sets of labels: {lost}")
    })
}

/// The sets that only the CPU profile kept go.
pub(crate) fn end_samples() {
    if let Some(table) = Lazy::get(&TABLE) {
        table.retain(|set| {
            SAMPLED.release(&set.mark);
            !is_idle(set)
        });
    }
}

/// The number of the running code's set, kept for profiles that accumulate; if there is no room for a new one, that of the overflow.
#[inline]
pub(crate) fn recorded(has_room: impl FnOnce() -> bool) -> u64 {
    RECORDED.current(has_room)
}

/// The number of the running code's set, which is there for as long as that runs.
pub(crate) fn current_id() -> u64 {
    // SAFETY: whoever set the word keeps the set alive.
    unsafe { labels::current().as_ref() }.map_or(0, Mark::id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> Option<SetRef> {
        intern(pairs.iter().copied())
    }

    fn shown(set: Option<&SetRef>) -> String {
        let pairs = set.map_or(&[][..], |set| set.pairs());
        let pairs: Vec<String> =
            pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        pairs.join(" ")
    }

    fn now() -> String {
        shown(current().as_ref())
    }

    fn is_there(id: u64) -> bool {
        let mut found = false;
        TABLE.retain(|set| {
            found |= set.mark.id() == id;
            true
        });
        found
    }

    #[test]
    fn equal_sets_are_one_and_go_with_their_last_holder() {
        let a = set(&[("there", "1"), ("and", "2")]).unwrap();
        let b = set(&[("and", "0"), ("", "no key"), ("there", "1"), ("and", "2")]).unwrap();
        assert!(a.is(&b));
        assert_eq!(shown(Some(&a)), "and=2 there=1");
        assert!(set(&[("", "1")]).is_none());
        let id = a.id();
        drop(a);
        assert!(is_there(id));
        drop(b);
        assert!(!is_there(id));
        assert_ne!(set(&[("there", "1"), ("and", "2")]).unwrap().id(), id);
    }

    #[test]
    fn sets_that_make_each_other_go() {
        let (one, two) = (set(&[("cycle", "1")]), set(&[("cycle", "2"), ("more", "")]));
        let ids = [one.as_ref(), two.as_ref()].map(|set| set.unwrap().id());
        for _ in 0..2 {
            assert_eq!(shown(on_top_of(one.as_ref(), two.as_ref()).as_ref()), "cycle=2 more=");
            assert_eq!(shown(on_top_of(two.as_ref(), one.as_ref()).as_ref()), "cycle=1 more=");
        }
        drop((one, two));
        assert_eq!(ids.map(is_there), [false; 2]);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = format!("{}é", "x".repeat(MAX_LABEL_BYTES - 1));
        let cut = set(&[(&long, &long)]).unwrap();
        assert_eq!(cut.pairs()[0].0.len(), MAX_LABEL_BYTES - 1);
        assert_eq!(cut.pairs()[0].1.len(), MAX_LABEL_BYTES - 1);
    }

    #[test]
    fn what_a_profile_keeps_stays_and_is_found_again() {
        let a = set(&[("kept", "a")]);
        let id = a.as_ref().unwrap().id();
        {
            let _scope = Scope::add(a.as_ref());
            assert_eq!(recorded(|| true), id);
        }
        drop(a);
        assert_eq!(Texts::read().of(id).unwrap()[0].1, "a".into());
        assert_eq!(set(&[("kept", "a")]).unwrap().id(), id);
        assert_eq!(Texts::read().of(0), None);
    }

    #[test]
    fn what_was_sampled_goes_with_the_profile() {
        let a = set(&[("sampled", "a")]);
        let id = a.as_ref().unwrap().id();
        {
            let _scope = Scope::add(a.as_ref());
            // Other tests end samples, too: what is theirs to see is only that it has gone.
            assert_eq!(SAMPLED.current(|| true), id);
        }
        end_samples();
        assert!(is_there(id), "held");
        SAMPLED.current(|| true);
        drop(a);
        end_samples();
        assert!(!is_there(id));
        assert_eq!(Texts::read().of(id).unwrap()[0].1, "unknown".into());
    }

    #[test]
    fn scopes_nest_and_end_by_panics() {
        let (a, b) = (set(&[("a", "1")]), set(&[("b", "2"), ("a", "3")]));
        let _outer = Scope::add(a.as_ref());
        let panicked = std::panic::catch_unwind(|| {
            let b = set(&[("b", "2"), ("a", "3")]);
            let _inner = Scope::add(b.as_ref());
            assert_eq!(now(), "a=3 b=2");
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(panicked.is_err());
        assert_eq!(now(), "a=1");
        {
            let _elsewhere = Scope::replace(b.as_ref());
            assert_eq!(now(), "a=3 b=2");
            let _none = Scope::replace(None);
            assert_eq!(now(), "");
        }
        assert_eq!(now(), "a=1");
    }

    fn is_tidy() {
        THREAD.with(|thread| {
            assert_eq!((thread.height.get(), thread.owner.get()), (0, 0));
            let gone = ManuallyDrop::into_inner(thread.gone.take());
            assert_eq!((gone.len(), gone.capacity()), (0, 0));
        });
    }

    #[test]
    fn an_old_disorder_costs_what_comes_later_nothing() {
        let (a, b) = (set(&[("a", "1")]), set(&[("b", "1")]));
        let mut kept = Vec::new();
        {
            let _scope = Scope::add(a.as_ref());
            kept.push(guard("kept"));
        }
        assert_eq!(now(), "");
        for _ in 0..3 {
            let _route = Scope::add(a.as_ref());
            drop(Scope::add(b.as_ref()));
            assert_eq!(now(), "a=1", "set again");
            let (c, d) = (guard("c"), guard("d"));
            drop(c);
            drop(d);
            assert_eq!(now(), "a=1");
            THREAD.with(|thread| {
                let gone = ManuallyDrop::into_inner(thread.gone.take());
                assert_eq!(gone.len(), 1, "the scope around the kept one");
                thread.gone.set(ManuallyDrop::new(gone));
            });
        }
        drop(kept);
        is_tidy();
    }

    fn guard(key: &str) -> GuardScope {
        GuardScope::add(set(&[(key, "")]).as_ref())
    }

    #[test]
    fn guards_end_in_any_order() {
        let (a, b, c) = (guard("a"), guard("b"), guard("c"));
        assert_eq!(now(), "a= b= c=");
        drop(b);
        assert_eq!(now(), "a= b= c=", "what came later has it still");
        drop(a);
        drop(c);
        assert_eq!(now(), "");
        is_tidy();
    }

    #[test]
    fn a_guard_may_outlive_the_scope_that_it_was_made_in() {
        let own = set(&[("own", "1")]);
        let mut escaped = None;
        {
            let scope = set(&[("scope", "1")]);
            let _scope = Scope::add(scope.as_ref());
            escaped.replace(guard("escaped"));
        }
        assert_eq!(now(), "");
        let same = set(&[("scope", "1"), ("escaped", "")]);
        {
            // What the guard had set, set by another one when it goes: it must not bring back what is gone.
            let _scope = Scope::add(same.as_ref());
            drop(escaped);
            let _inner = Scope::add(own.as_ref());
            assert_eq!(now(), "escaped= own=1 scope=1");
        }
        assert_eq!(now(), "");
    }

    #[test]
    fn an_outer_guard_may_go_inside_of_a_scope() {
        let outer = guard("outer");
        let inner = set(&[("inner", "")]);
        {
            let _scope = Scope::add(inner.as_ref());
            drop(outer);
            assert_eq!(now(), "inner= outer=");
        }
        assert_eq!(now(), "");
    }

    /// Whatever the order, the word says only what is there, and nothing when nothing is open.
    #[test]
    fn guards_in_random_orders() {
        let mut random = 1_u64;
        let mut draw = |n: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as usize % n
        };
        fn scoped(
            depth: usize,
            guards: &mut Vec<GuardScope>,
            draw: &mut impl FnMut(usize) -> usize,
        ) {
            let own = set(&[(["x", "y"][draw(2)], "")]);
            let _scope = Scope::add(own.as_ref());
            steps(depth + 1, guards, draw);
        }
        fn steps(
            depth: usize,
            guards: &mut Vec<GuardScope>,
            draw: &mut impl FnMut(usize) -> usize,
        ) {
            for _ in 0..draw(12) {
                match draw(5) {
                    0 | 1 => guards.push(guard(["a", "b", "c"][draw(3)])),
                    2 | 3 if !guards.is_empty() => drop(guards.swap_remove(draw(guards.len()))),
                    4 if depth < 4 => scoped(depth, guards, draw),
                    _ => {}
                }
                // Reads the set that the word is the address of.
                assert!(now().len() < 30);
            }
        }
        for _ in 0..if cfg!(miri) { 20 } else { 3_000 } {
            let mut guards = Vec::new();
            steps(0, &mut guards, &mut draw);
            while !guards.is_empty() {
                drop(guards.swap_remove(draw(guards.len())));
                assert!(now().len() < 30);
            }
            assert_eq!(now(), "");
            is_tidy();
        }
        assert!(set(&[("a", "")]).unwrap().set().holders.load(Ordering::Relaxed) == 1);
    }

    /// Not by Miri, which does not let parking_lot wait.
    #[cfg(not(miri))]
    #[test]
    fn threads_make_and_drop_the_same_sets() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..20_000_u32 {
                        let value = (round % 3).to_string();
                        let set = set(&[("shared", &value)]);
                        let _scope = Scope::add(set.as_ref());
                        if round % 7 == 0 {
                            SAMPLED.current(|| true);
                        }
                        assert_eq!(now(), format!("shared={value}"));
                    }
                });
            }
            scope.spawn(|| (0..300).for_each(|_| end_samples()));
        });
        end_samples();
        assert!(!Texts::read().0.values().any(|pairs| &*pairs[0].0 == "shared"));
    }
}
