//! Places where asynchronous locks are taken, so that a place can be told from its address alone.
//!
//! A task that waits may be forgotten: its wait then seems to go on while the lock is long gone, and what is read where its holder's words
//! were may be anything. A thread asleep in a call has no such end.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::probes::{probes, spread};
use super::tag::Site;

type Location = std::panic::Location<'static>;

/// Further places are not shown.
const MAX_SITES: usize = 1024;

/// Entries looked at for a place.
const MAX_PROBES: usize = 8;

static SITES: [AtomicPtr<Location>; MAX_SITES] =
    [const { AtomicPtr::new(ptr::null_mut()) }; MAX_SITES];

/// An asynchronous lock is taken at `site`.
#[inline]
pub(super) fn add(site: Site) {
    let first = entries(ptr::from_ref(site).addr() as u64).next();
    // ORDERING: Relaxed, as all here: what it points to never changes.
    if first.is_some_and(|entry| ptr::eq(entry.load(Ordering::Relaxed), site)) {
        return;
    }
    add_seldom(site);
}

#[cold]
fn add_seldom(site: Site) {
    let new = ptr::from_ref(site).cast_mut();
    for entry in entries(new.addr() as u64) {
        let mut there = entry.load(Ordering::Relaxed);
        // Looked at first: this may be every use of a lock.
        if there.is_null() {
            let taken = entry.compare_exchange(there, new, Ordering::Relaxed, Ordering::Relaxed);
            there = taken.map_or_else(|other| other, |_| new);
        }
        if there == new {
            return;
        }
    }
}

/// The place at this address, if one that was added is.
pub(super) fn at(address: u64) -> Option<Site> {
    let found = entries(address)
        .map(|entry| entry.load(Ordering::Relaxed))
        .find(|entry| entry.addr() as u64 == address)?;
    // SAFETY: null or from a `&'static Location`, see `add_seldom`.
    unsafe { found.as_ref() }
}

fn entries(address: u64) -> impl Iterator<Item = &'static AtomicPtr<Location>> {
    probes(spread(address), MAX_PROBES, MAX_SITES).filter_map(|index| SITES.get(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_added_is_known() {
        let (here, there) = (Location::caller(), Location::caller());
        add(here);
        add(here);
        assert!(at(ptr::from_ref(here).addr() as u64).is_some_and(|site| ptr::eq(site, here)));
        assert!(at(ptr::from_ref(there).addr() as u64).is_none());
        assert!(at(0).is_none() && at(8).is_none());
    }
}
