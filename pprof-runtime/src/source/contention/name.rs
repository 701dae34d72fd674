//! What a lock is called, where not every lock is told so when it is made.
//!
//! | `text`    | `rest`        | the lock                                                  |
//! |-----------|---------------|-----------------------------------------------------------|
//! | 0         | a `Location`  | was made there                                            |
//! | 1         | null          | has no name, and has not been locked yet                  |
//! | 1         | a `Location`  | has no name, and was first locked there                   |
//! | 1         | `NOWHERE`     | has no name, and was first locked where nobody told us    |
//! | a pointer | a length      | has this name                                             |

use std::panic::Location;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::tag::{Origin, Site, is_in_lock_api};

/// In `text`, for a lock without a name. No name is at this address, save an empty one, which is none.
const UNNAMED: usize = 1;

static NOWHERE: Site = Location::caller();

/// An [`Origin`] that may still have to be found. 16 bytes.
#[derive(Debug)]
pub(super) struct Name {
    /// Never changes.
    text: AtomicPtr<u8>,
    rest: AtomicPtr<Location<'static>>,
}

impl Name {
    pub(super) const fn new(origin: Origin) -> Name {
        let (text, rest) = match origin {
            Origin::Site(site) => (ptr::null_mut(), ptr::from_ref(site).cast_mut()),
            Origin::FirstLocked(site) => {
                (ptr::without_provenance_mut(UNNAMED), ptr::from_ref(site).cast_mut())
            }
            Origin::Name(name) if name.is_empty() => return Name::unnamed(),
            Origin::Name(name) => {
                (name.as_ptr().cast_mut(), ptr::without_provenance_mut(name.len()))
            }
        };
        Name { text: AtomicPtr::new(text), rest: AtomicPtr::new(rest) }
    }

    /// Of a lock that is called after where it is first locked.
    pub(super) const fn unnamed() -> Name {
        let text = ptr::without_provenance_mut(UNNAMED);
        Name { text: AtomicPtr::new(text), rest: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Whether [`locked_at`](Name::locked_at) has to be told still.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        // ORDERING: Relaxed: what it points to never changes.
        self.rest.load(Ordering::Relaxed).is_null()
    }

    /// The lock has been taken at `site`.
    pub(super) fn locked_at(&self, site: Site) {
        let site = if is_in_lock_api(site) { NOWHERE } else { site };
        if self.is_open() {
            // ORDERING: Relaxed: of several first readers one is kept, whichever.
            self.rest.store(ptr::from_ref(site).cast_mut(), Ordering::Relaxed);
        }
    }

    pub(super) fn origin(&self) -> Option<Origin> {
        // ORDERING: Relaxed, both: the first never changes, and what the second points to neither.
        let text = self.text.load(Ordering::Relaxed);
        let rest = self.rest.load(Ordering::Relaxed);
        if text.addr() > UNNAMED {
            // SAFETY: both words are of a `&'static str`, see `new`.
            let bytes = unsafe { std::slice::from_raw_parts(text, rest.addr()) };
            // SAFETY: as above.
            return Some(Origin::Name(unsafe { std::str::from_utf8_unchecked(bytes) }));
        }
        // SAFETY: null or from a `&'static Location`, as there is no name.
        let site = unsafe { rest.as_ref() }?;
        if text.is_null() {
            Some(Origin::Site(site))
        } else if ptr::eq(site, NOWHERE) {
            None
        } else {
            Some(Origin::FirstLocked(site))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_they_were() {
        let site = Location::caller();
        let shown = |name: &Name| format!("{:?}", name.origin());
        for origin in [Origin::Site(site), Origin::Name("a lock"), Origin::FirstLocked(site)] {
            let name = Name::new(origin);
            name.locked_at(Location::caller());
            assert_eq!(shown(&name), format!("{:?}", Some(origin)));
        }
        assert_eq!(size_of::<Name>(), 16);
    }

    #[test]
    fn the_first_use_names_it() {
        let name = Name::unnamed();
        assert!(name.origin().is_none());
        let first = Location::caller();
        name.locked_at(first);
        name.locked_at(Location::caller());
        assert!(matches!(name.origin(), Some(Origin::FirstLocked(site)) if site == first));
        let name = Name::new(Origin::Name(""));
        assert!(name.origin().is_none());
    }
}
