//! The table of sets.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::iter;
use std::mem;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, MutexGuard};

use once_cell::race::OnceBox;

use super::shard::{self, Shard};
use super::values;
use crate::aggregate::snapshot::LabelSet;
use crate::capture::labels::Mark;
use crate::config::{MAX_LABEL_BYTES, MAX_LABELS, OVERFLOW_LABELS, OVERFLOW_VALUE};

/// A set in memory of its own. The mark is first, so that its address is the set's.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Set {
    pub(super) mark: Mark,
    /// Of [`Labels`]. At zero the set may go, unless a profile keeps it.
    pub(super) holders: AtomicUsize,
    hash: u64,
    pairs: LabelSet,
    /// What profiles that accumulate have in its place, if not itself.
    coarser: Option<SetRef>,
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

/// Where sets are by their hash; more than one part, so that threads seldom wait for each other.
///
/// Nobody waits for it to be made: a forked child may not have the thread that was at it.
static TABLE: OnceBox<Table> = OnceBox::new();

pub(super) fn table() -> &'static Table {
    TABLE.get_or_init(|| {
        prepare_for_forks();
        let shards = [const { Shard::new() }; SHARDS];
        Box::new(Table { hasher: RandomState::new(), shards })
    })
}

/// Once or twice is the same. If it cannot be done, a child finds out by itself.
fn prepare_for_forks() {
    #[cfg(not(miri))]
    extern "C" fn in_child() {
        if let Some(table) = TABLE.get() {
            shard::begin_child(&table.shards);
        }
    }
    #[cfg(not(miri))]
    // SAFETY: a function that may be called in a child; this code is not unloaded without its handlers being forgotten.
    unsafe {
        libc::pthread_atfork(None, None, Some(in_child));
    }
}

const SHARDS: usize = 16;

type Sets = HashMap<u64, Vec<NonNull<Set>>, BuildHasherDefault<Hashed>>;

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

pub(super) struct Table {
    hasher: RandomState,
    shards: [Shard<Sets>; SHARDS],
}

// SAFETY: the pointers are to sets, which may be used from any thread.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

/// The first number of a set.
static NEXT_ID: AtomicU64 = AtomicU64::new(OVERFLOW_LABELS + 1);

impl Table {
    fn shard(&self, hash: u64) -> MutexGuard<'_, Sets> {
        // The map looks at the lowest and at the highest bits.
        let index = (hash >> 32) as usize;
        self.shards[index % SHARDS].lock()
    }

    fn hash(&self, pairs: &[(&str, &str)]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        pairs.iter().for_each(|pair| pair.hash(&mut hasher));
        hasher.finish()
    }

    /// The set of these pairs, which are sorted and not none.
    fn intern(&self, pairs: &[(&str, &str)]) -> SetRef {
        let hash = self.hash(pairs);
        if let Some(set) = self.shard(hash).get(&hash).and_then(|sets| find(sets, pairs)) {
            return set;
        }
        // Outside of the lock: that of another set may be the same.
        let coarser = self.coarser(pairs);
        let mut shard = self.shard(hash);
        let sets = shard.entry(hash).or_default();
        if let Some(set) = find(sets, pairs) {
            drop(shard);
            return set;
        }
        // ORDERING: Relaxed: a number that nobody else has.
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let set = Box::new(Set {
            mark: Mark::new(id),
            holders: AtomicUsize::new(1),
            hash,
            pairs: pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            coarser,
            merged: Mutex::new(None),
        });
        if let Some(coarser) = &set.coarser {
            set.mark.set_coarser(coarser.mark());
        }
        let set = NonNull::from(Box::leak(set));
        sets.push(set);
        SetRef(set)
    }

    /// What profiles that accumulate are to have in the place of these pairs, if that is something else.
    fn coarser(&self, pairs: &[(&str, &str)]) -> Option<SetRef> {
        let is_too_many = |(name, value): &(&str, &str)| {
            // Without a place for the key nothing is known of it.
            values::key(name).map_or(*value != OVERFLOW_VALUE, |key| {
                key.is_too_many(value, || self.hash_value(value))
            })
        };
        let too_many: Vec<bool> = pairs.iter().map(is_too_many).collect();
        if !too_many.contains(&true) {
            return None;
        }
        let coarser: Vec<(&str, &str)> = iter::zip(pairs, too_many)
            .map(|(&(name, value), is_one)| (name, if is_one { OVERFLOW_VALUE } else { value }))
            .collect();
        Some(self.intern(&coarser))
    }

    fn hash_value(&self, value: &str) -> u64 {
        self.hasher.hash_one(value)
    }

    /// Lets go of a set that nobody held a moment ago, if it is still so. It may be gone already; or it is a parent's, in a shard that has been
    /// abandoned, and stays.
    #[cold]
    fn remove(&self, set: NonNull<Set>, hash: u64) {
        let mut shard = self.shard(hash);
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
    pub(super) fn retain(&self, mut stays: impl FnMut(&Set) -> bool) {
        // Freed outside of the lock: what a set is merged to may go with it.
        let mut gone = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock_for_long();
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

/// The one of these sets, which have one hash and are locked, that has these pairs.
fn find(sets: &[NonNull<Set>], pairs: &[(&str, &str)]) -> Option<SetRef> {
    let same = |set: &&NonNull<Set>| {
        // SAFETY: sets in the table are alive, and leave it under its lock.
        let pairs_of = &unsafe { set.as_ref() }.pairs;
        pairs_of.iter().map(|(key, value)| (&**key, &**value)).eq(pairs.iter().copied())
    };
    let set = sets.iter().find(same)?;
    // SAFETY: as above.
    // ORDERING: Relaxed: under the lock that it would go under.
    unsafe { set.as_ref() }.holders.fetch_add(1, Ordering::Relaxed);
    Some(SetRef(*set))
}

/// Whether a value of the set is one too many of its key. Neither allocates nor locks.
#[cold]
pub(super) fn is_too_many(set: &Set) -> bool {
    let Some(table) = TABLE.get() else { return false };
    set.pairs.iter().any(|(name, value)| {
        values::known_key(name)
            .is_some_and(|key| key.is_too_many(value, || table.hash_value(value)))
    })
}

/// Notes the values of a set that a profile which accumulates has. Neither allocates nor locks.
#[cold]
pub(super) fn note_values(set: &Set) {
    let Some(table) = TABLE.get() else { return };
    for (name, value) in set.pairs.iter() {
        if let Some(key) = values::known_key(name)
            && **value != *OVERFLOW_VALUE
        {
            key.note(table.hash_value(value));
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
    pub(super) fn set(&self) -> &Set {
        // SAFETY: counted as a holder.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn pairs(&self) -> &LabelSet {
        &self.set().pairs
    }

    /// Whether they say the same. A forked child may have two such sets: one that it has from its parent, and cannot find any longer.
    pub(crate) fn is(&self, other: &SetRef) -> bool {
        self.0 == other.0 || (self.hash() == other.hash() && self.pairs() == other.pairs())
    }

    /// Of what it says.
    pub(crate) fn hash(&self) -> u64 {
        self.set().hash
    }

    /// What no other set has.
    pub(super) fn id(&self) -> u64 {
        self.set().mark.id()
    }

    /// Whether nothing is left of `other` where this is set on top of it.
    fn has_keys_of(&self, other: &SetRef) -> bool {
        let mut own = self.pairs().iter();
        // Both are sorted.
        self.is(other) || other.pairs().iter().all(|(key, _)| own.any(|(other, _)| other == key))
    }

    pub(super) fn mark(&self) -> *const Mark {
        self.0.as_ptr().cast()
    }

    /// Of what a thread's word says.
    ///
    /// # Safety
    /// - `mark` is null or a set that is alive.
    pub(super) unsafe fn of(mark: *const Mark) -> Option<SetRef> {
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
            table().remove(self.0, hash);
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
    (!sorted.is_empty()).then(|| table().intern(&sorted))
}

fn cut(text: &str) -> &str {
    let most = text.len().min(MAX_LABEL_BYTES);
    let end = (0..=most).rev().find(|index| text.is_char_boundary(*index));
    text.get(..end.unwrap_or(0)).unwrap_or("")
}

/// Both sets in one; what `added` says counts.
fn merged(base: &SetRef, added: &SetRef) -> Option<SetRef> {
    // Never waited for: another thread is as likely to ask for another one.
    let Ok(mut last) = base.set().merged.try_lock() else { return merge(base, added) };
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

/// Every set that is there.
pub(super) fn for_each(mut each: impl FnMut(&Mark, &LabelSet)) {
    if let Some(table) = TABLE.get() {
        table.retain(|set| {
            each(&set.mark, &set.pairs);
            true
        });
    }
}

/// Every set's mark; those that nobody wants then go.
pub(super) fn sweep(mut each: impl FnMut(&Mark)) {
    if let Some(table) = TABLE.get() {
        table.retain(|set| {
            each(&set.mark);
            !is_idle(set)
        });
    }
}
