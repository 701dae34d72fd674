//! Which values of a key the profiles that accumulate tell apart: the first ones that they see, up to a bound.
//!
//! A key with ever new values, such as the number of a request, would else take the room of all labels, and a route beside it would be lost
//! as well. So each set with a value that is one too many has a coarser one, in which that value is [`OVERFLOW_VALUE`].
//!
//! Values are noted where they are recorded, which may be in an allocator, or under any lock: in a table of hashes made beforehand, with atomics.
//! That two threads note one at the same time, or two values have one hash, makes the bound a little less exact and nothing else.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use crate::config::{MAX_LABEL_KEYS, MAX_LABEL_VALUES, OVERFLOW_VALUE};

/// Every key, once; never freed.
static KEYS: [AtomicPtr<Key>; MAX_LABEL_KEYS] =
    [const { AtomicPtr::new(ptr::null_mut()) }; MAX_LABEL_KEYS];

/// A key and hashes of its values.
pub(super) struct Key {
    name: Box<str>,
    known: AtomicUsize,
    /// Zero: free. Twice as many as are used, so that searches are short.
    hashes: [AtomicU64; 2 * MAX_LABEL_VALUES],
}

/// The entry of a key, made if need be; `None` if there are too many.
pub(super) fn key(name: &str) -> Option<&'static Key> {
    find(name, || Some(Box::new(Key::new(name))))
}

/// The entry of a key that has one. Does not allocate.
pub(super) fn known_key(name: &str) -> Option<&'static Key> {
    find(name, || None)
}

fn find(name: &str, mut make: impl FnMut() -> Option<Box<Key>>) -> Option<&'static Key> {
    for slot in &KEYS {
        // ORDERING: Acquire pairs with the Release below: the entry is whole.
        let mut there = slot.load(Ordering::Acquire);
        if there.is_null() {
            let made = Box::into_raw(make()?);
            match slot.compare_exchange(ptr::null_mut(), made, Ordering::Release, Ordering::Acquire)
            {
                Ok(_) => there = made,
                Err(other) => {
                    // SAFETY: made above, and seen by nobody.
                    drop(unsafe { Box::from_raw(made) });
                    there = other;
                }
            }
        }
        // SAFETY: not null, and never freed.
        let key = unsafe { &*there };
        if *key.name == *name {
            return Some(key);
        }
    }
    None
}

/// Whether there is no place for another key.
pub(super) fn are_keys_too_many() -> bool {
    // ORDERING: Relaxed: not followed.
    KEYS.last().is_some_and(|last| !last.load(Ordering::Relaxed).is_null())
}

/// The keys of which there were too many values.
pub(super) fn full_keys() -> impl Iterator<Item = &'static str> {
    let keys = KEYS.iter().map_while(|slot| {
        // SAFETY: null, or never freed.
        // ORDERING: Acquire pairs with the Release in `find`.
        unsafe { slot.load(Ordering::Acquire).as_ref() }
    });
    keys.filter(|key| key.is_full()).map(|key| &*key.name)
}

impl Key {
    fn new(name: &str) -> Key {
        Key {
            name: name.into(),
            known: AtomicUsize::new(0),
            hashes: [const { AtomicU64::new(0) }; 2 * MAX_LABEL_VALUES],
        }
    }

    fn is_full(&self) -> bool {
        // ORDERING: Relaxed: a budget.
        self.known.load(Ordering::Relaxed) >= MAX_LABEL_VALUES
    }

    /// Whether this value, of that hash, is one too many.
    pub(super) fn is_too_many(&self, value: &str, hash: impl FnOnce() -> u64) -> bool {
        self.is_full() && value != OVERFLOW_VALUE && self.slot(hash()).is_none_or(|(_, is)| !is)
    }

    /// Notes that a profile has a value of this hash.
    pub(super) fn note(&self, hash: u64) {
        let hash = hash.max(1);
        while !self.is_full() {
            let Some((slot, false)) = self.slot(hash) else { return };
            // ORDERING: Relaxed, both: a number that refers to nothing, and a budget.
            if slot.compare_exchange(0, hash, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                self.known.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    }

    /// Where this hash is, or else could be put, and which of both.
    fn slot(&self, hash: u64) -> Option<(&AtomicU64, bool)> {
        let hash = hash.max(1);
        let first = hash as usize % self.hashes.len();
        let (before, from) = self.hashes.split_at(first);
        from.iter().chain(before).find_map(|slot| {
            // ORDERING: Relaxed: as in `note`.
            match slot.load(Ordering::Relaxed) {
                0 => Some((slot, false)),
                there => (there == hash).then_some((slot, true)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_values_are_known() {
        let key = key("values::tests").unwrap();
        assert!(ptr::eq(key, known_key("values::tests").unwrap()));
        assert!(known_key("values::tests, another").is_none());
        let most = MAX_LABEL_VALUES as u64;
        // Twice, and some of them in each other's place.
        for hash in (0..most).chain(0..most - 1).map(|hash| hash * 7) {
            assert!(!key.is_too_many("a", || hash));
            key.note(hash);
        }
        assert!(full_keys().any(|name| name == "values::tests"));
        key.note(most * 7);
        assert!((0..most).all(|hash| !key.is_too_many("a", || hash * 7)));
        assert!(key.is_too_many("a", || most * 7) && !key.is_too_many(OVERFLOW_VALUE, || most * 7));
    }
}
