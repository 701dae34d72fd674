//! When which set is a thread's.

use std::cell::Cell;
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
            owner: Cell::new(0),
            gone: Cell::new(ManuallyDrop::new(Vec::new())),
        }
    };
}

/// The scopes of a thread as a stack. One that ends before another that began later leaves its place until that has ended, too: the other
/// may have found its set in the word, and must not set the word to it again.
pub(super) struct Thread {
    /// Places in use; and `DISORDER`, while one of them is that of a scope that has ended.
    pub(super) height: Cell<usize>,
    /// The place of the scope that the word is of; 0 if it is of none.
    pub(super) owner: Cell<usize>,
    /// Scopes that have ended and whose places are still in use.
    pub(super) gone: Cell<ManuallyDrop<Vec<Opened>>>,
}

const DISORDER: usize = 1 << (usize::BITS - 1);

/// A scope that has begun: the word as it was, and whose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
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
