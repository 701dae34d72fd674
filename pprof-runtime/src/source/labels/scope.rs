//! When which set is a thread's.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr;

use super::set::{SetRef, on_top_of};
use crate::capture::labels::{self, Mark};

/// The set of the running code.
pub(crate) fn current() -> Option<SetRef> {
    // SAFETY: whoever set the word keeps the set alive.
    unsafe { SetRef::of(labels::current()) }
}

thread_local! {
    // No destructor: usable at any time of the thread's life.
    pub(super) static THREAD: Thread = const {
        Thread {
            height: Cell::new(0),
            linked: Cell::new(0),
            links: Cell::new(ManuallyDrop::new(BTreeMap::new())),
        }
    };
}

/// The scopes of a thread as a stack: each has a place, knows the word as it was before it, and sets it back.
///
/// Guards end in any order, and what is below one may have gone by then, with its set. So there is a chain: the scope that the word is of,
/// the one whose set is back after that, and so on. A guard that ends in the middle of it is taken out. A scope that is left takes what was
/// set inside of it off the chain; a guard that has escaped that way may end later, and finds nothing to set back.
///
/// ```text
///   1 ── 2 ── 3        in order: whoever has a place comes after the place before, and nothing is written down
///   1 ──────── 3       2 has ended: a link says that 3 comes after 1, and what the word was there
///   1 ─────────── 5    2 has been left, and 3 escaped: a link says that 5, which is next, comes after 1, and 4 is nobody's
/// ```
///
/// There is at most one link for a scope on the chain and one for the next, however many have ended or escaped.
pub(super) struct Thread {
    /// The place of the scope that the word is of, or, while a link leads to the place after it, one that no scope has.
    pub(super) height: Cell<u64>,
    /// The last place that has a link; 0 if none has.
    linked: Cell<u64>,
    /// By the place that they lead from. Nothing on the chain lies between that and the one that they lead to.
    pub(super) links: Cell<ManuallyDrop<BTreeMap<u64, Link>>>,
}

/// What comes below a place, if not the place before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    /// The next place on the chain; 0 if there is none.
    below: u64,
    /// The word there.
    previous: *const Mark,
    /// Scopes between the places that have not ended: no other may have their places.
    escaped: u64,
}

/// A scope that has begun: its place, and the word as it was.
#[derive(Clone, Copy, Debug)]
struct Opened {
    place: u64,
    previous: *const Mark,
}

impl Opened {
    /// Sets the word to `mark`.
    #[inline]
    fn new(mark: *const Mark) -> Opened {
        THREAD.with(|thread| {
            let place = thread.height.get() + 1;
            thread.height.set(place);
            // SAFETY: who opens a scope holds its set until that is closed.
            Opened { place, previous: unsafe { labels::replace(mark) } }
        })
    }

    /// Sets the word back; of a guard only if the word is its own, else also if scopes that began later are still there.
    #[inline]
    fn close(&self, is_guard: bool) {
        THREAD.with(|thread| {
            if thread.height.get() == self.place && thread.linked.get() != self.place {
                // SAFETY: the set of the scope below, which is not closed.
                unsafe { labels::replace(self.previous) };
                thread.height.set(self.place - 1);
            } else {
                thread.close_in_disorder(*self, is_guard);
            }
        });
    }
}

impl Thread {
    #[cold]
    #[inline(never)]
    fn close_in_disorder(&self, ended: Opened, is_guard: bool) {
        // Not there for an allocator that is called meanwhile and sets labels itself.
        let mut links = ManuallyDrop::into_inner(self.links.take());
        let (place, mut height) = (ended.place, self.height.get());
        let above = links.range_mut(place + 1..).next();
        let next = above.as_ref().filter(|(_, link)| link.below == place);
        let next = next.map_or(place + 1, |(next, _)| **next);
        match above {
            Some((&from, link)) if link.below < place => {
                link.escaped -= 1;
                if link.escaped == 0 && from > height {
                    height = link.below;
                    links.remove(&from);
                }
            }
            _ => {
                let in_order = Link { below: place - 1, previous: ended.previous, escaped: 0 };
                let link = links.get(&place).copied().unwrap_or(in_order);
                let is_last = next > height;
                if is_guard && !is_last {
                    links.remove(&place);
                    let escaped = links.get(&next).map_or(0, |above| above.escaped);
                    links.insert(next, Link { escaped: link.escaped + escaped, ..link });
                } else {
                    // SAFETY: the set of the scope that is next on the chain: those that are closed are taken out.
                    unsafe { labels::replace(link.previous) };
                    height = cut(&mut links, place, link, height);
                }
            }
        }
        self.height.set(height);
        self.linked.set(links.last_key_value().map_or(0, |(place, _)| *place));
        // An empty one leaves nothing behind when the thread ends.
        self.links.set(ManuallyDrop::new(if links.is_empty() { BTreeMap::new() } else { links }));
    }
}

/// Ends the chain below `place`, from where `link` has led. The new height.
fn cut(links: &mut BTreeMap<u64, Link>, place: u64, link: Link, height: u64) -> u64 {
    if height == place && link.escaped > 0 {
        // That of whoever has the place next.
        return place - 1;
    }
    links.remove(&place);
    let above = links.split_off(&(place + 1));
    let linked: u64 = above.iter().map(|(from, link)| from - 1 - link.below).sum();
    let on_chain = height - place - linked;
    let escaped = link.escaped + on_chain + above.values().map(|link| link.escaped).sum::<u64>();
    if escaped == 0 {
        return link.below;
    }
    // The height itself may be the place of one that has escaped.
    links.insert(height + 2, Link { escaped, ..link });
    height + 1
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
