//! The labels of the running code: one thread-local word that anybody may read, a signal handler included; and beside it what profiles that
//! accumulate have in its place, for the thread itself, its allocator included.
//!
//! The word is the address of a [`Mark`], the head of a set of labels; null says none. Whoever sets it (`source::labels`) keeps the set alive
//! for as long as it stands there. A sample takes the set's number with it, and leaves a note on the mark that the set has to be kept, so that
//! its text is there when the profile is written, however short the set was in use.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{
    AtomicIsize, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, compiler_fence,
};
use std::sync::mpsc;

use super::registers;
use crate::config::{MAX_RECORDED_LABEL_SETS, MAX_SAMPLED_LABEL_SETS, OVERFLOW_LABELS};
use crate::own_thread::OwnThread;

thread_local! {
    // No destructor: usable at any time of the thread's life.
    static CURRENT: Current =
        const { Current { word: Cell::new(ptr::null()), recorded: Cell::new(ptr::null()) } };
}

struct Current {
    /// What handlers read.
    word: Cell<*const Mark>,
    /// What profiles that accumulate have in its place: asked for far more often than changed.
    recorded: Cell<*const Mark>,
}

/// The head of a set of labels.
#[derive(Debug)]
pub(crate) struct Mark {
    /// Not given to another set, ever.
    id: u64,
    /// The set that profiles that accumulate have in the place of this one; null if it is the same.
    coarser: AtomicPtr<Mark>,
    /// Who wants it to be kept: bits of [`Keeper`]s; and `REFUSED`.
    kept: AtomicU32,
}

/// No profile that accumulates will ever have the set.
const REFUSED: u32 = 1 << 31;

impl Mark {
    pub(crate) const fn new(id: u64) -> Mark {
        Mark { id, coarser: AtomicPtr::new(ptr::null_mut()), kept: AtomicU32::new(0) }
    }

    /// Before the set is anybody's; it has to keep the other one alive.
    pub(crate) fn set_coarser(&self, coarser: *const Mark) {
        // ORDERING: Relaxed: published with the set.
        self.coarser.store(coarser.cast_mut(), Ordering::Relaxed);
    }

    /// The set that profiles that accumulate have in the place of one; null for null. By pointers: what is made of a reference to a mark may not
    /// be used for the set that it is the head of.
    ///
    /// # Safety
    /// - `mark` is null or a set that is alive.
    #[inline(always)]
    unsafe fn recorded_as(mark: *const Mark) -> *const Mark {
        // SAFETY: the caller's promise.
        let Some(set) = (unsafe { mark.as_ref() }) else { return mark };
        // ORDERING: Relaxed: set before anybody has this one.
        let coarser = set.coarser.load(Ordering::Relaxed);
        if coarser.is_null() { mark } else { coarser }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Whether `keeper` wants it to be kept.
    pub(crate) fn is_kept_for(&self, keeper: &Keeper) -> bool {
        // ORDERING: Relaxed: a note.
        self.kept.load(Ordering::Relaxed) & keeper.bit != 0
    }

    pub(crate) fn is_kept(&self) -> bool {
        // ORDERING: Relaxed: set by those who use the set; whoever is the last to let go of it has heard of that.
        self.kept.load(Ordering::Relaxed) & !REFUSED != 0
    }

    /// Notes that no profile that accumulates will ever have the set.
    pub(crate) fn refuse(&self) {
        // ORDERING: Relaxed: a note.
        self.kept.fetch_or(REFUSED, Ordering::Relaxed);
    }

    pub(crate) fn is_refused(&self) -> bool {
        // ORDERING: Relaxed: a note.
        self.kept.load(Ordering::Relaxed) & REFUSED != 0
    }
}

/// What the word says.
#[inline]
pub(crate) fn current() -> *const Mark {
    CURRENT.with(|current| current.word.get())
}

/// What profiles that accumulate have in the place of the set that the word says; null for none.
#[inline(always)]
pub(crate) fn recorded() -> *const Mark {
    CURRENT.with(|current| current.recorded.get())
}

/// Sets the word, and returns what it said before.
///
/// # Safety
/// - `mark` is null or a set that is alive until the word is set again.
#[inline]
pub(crate) unsafe fn replace(mark: *const Mark) -> *const Mark {
    // SAFETY: the caller's promise.
    let recorded = unsafe { Mark::recorded_as(mark) };
    // Not to be moved by the compiler past what the set is for: a handler may look at any moment.
    compiler_fence(Ordering::SeqCst);
    let before = CURRENT.with(|current| {
        current.recorded.set(recorded);
        current.word.replace(mark)
    });
    compiler_fence(Ordering::SeqCst);
    before
}

/// A profile that label sets are kept for: a bounded number of them.
#[derive(Debug)]
pub(crate) struct Keeper {
    bit: u32,
    kept: AtomicUsize,
    most: usize,
    turned_away: AtomicU64,
}

/// For the running CPU profile.
pub(crate) static SAMPLED: Keeper = Keeper::new(1, MAX_SAMPLED_LABEL_SETS);

/// For what accumulates while the program runs: for good.
pub(crate) static RECORDED: Keeper = Keeper::new(2, MAX_RECORDED_LABEL_SETS);

impl Keeper {
    const fn new(bit: u32, most: usize) -> Keeper {
        Keeper { bit, kept: AtomicUsize::new(0), most, turned_away: AtomicU64::new(0) }
    }

    /// The number of the set that `mark` is the head of, which is kept from now on; `OVERFLOW_LABELS` if it was not and too many are, or there
    /// is no room for it where it is to be recorded. 0 for null.
    ///
    /// # Safety
    /// - `mark` is null or a set that is alive.
    ///
    /// # Signal safety
    /// Atomics only.
    pub(crate) unsafe fn keep(&self, mark: *const Mark, has_room: impl FnOnce() -> bool) -> u64 {
        // SAFETY: the caller's promise.
        let Some(mark) = (unsafe { mark.as_ref() }) else { return 0 };
        // ORDERING: Relaxed, here and below: a note and a budget; see `is_kept`.
        if mark.kept.load(Ordering::Relaxed) & self.bit != 0 {
            return mark.id;
        }
        if !has_room() {
            return OVERFLOW_LABELS;
        }
        if self.kept.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.kept.fetch_sub(1, Ordering::Relaxed);
            return OVERFLOW_LABELS;
        }
        if mark.kept.fetch_or(self.bit, Ordering::Relaxed) & self.bit != 0 {
            // Another thread was quicker.
            self.kept.fetch_sub(1, Ordering::Relaxed);
        }
        mark.id
    }

    /// `mark` need not be kept any longer for this profile.
    pub(crate) fn release(&self, mark: &Mark) {
        // ORDERING: Relaxed: as in `keep`.
        if mark.kept.fetch_and(!self.bit, Ordering::Relaxed) & self.bit != 0 {
            self.kept.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Counts a sample if it has the number of those whose set found no room. Returns the number.
    pub(crate) fn count(&self, id: u64) -> u64 {
        if id == OVERFLOW_LABELS {
            // ORDERING: Relaxed: a counter that orders nothing.
            self.turned_away.fetch_add(1, Ordering::Relaxed);
        }
        id
    }

    /// Samples whose set found no room so far.
    pub(crate) fn turned_away(&self) -> u64 {
        // ORDERING: Relaxed: a counter that orders nothing.
        self.turned_away.load(Ordering::Relaxed)
    }
}

/// Where the word lies from the thread pointer, the same in every thread; 0 if that is not known.
static OFFSET: AtomicIsize = AtomicIsize::new(0);

fn offset() -> isize {
    let word = CURRENT.with(|current| ptr::from_ref(&current.word) as isize);
    match registers::thread_pointer() {
        0 => 0,
        thread => word.wrapping_sub(thread as isize),
    }
}

/// Finds out where handlers find the word. False if they cannot: where an object is loaded while the program runs, a thread's first look at
/// its thread-locals may allocate, which no handler may do. Not from a handler itself.
pub(crate) fn prepare_handlers() -> bool {
    // ORDERING: Relaxed, here and below: a number that refers to nothing.
    if OFFSET.load(Ordering::Relaxed) != 0 {
        return true;
    }
    let here = offset();
    // In memory that the loader set aside for every thread the distance is the same for all; in memory allocated later it is not.
    let (sender, receiver) = mpsc::sync_channel(1);
    let there = OwnThread::spawn(c"pprof-tls", move || _ = sender.send(offset()));
    if let Ok(thread) = there {
        thread.join();
    }
    // Below the thread pointer, and not far: so the psABI has it of memory that is there from the start.
    let is_static = receiver.recv() == Ok(here) && (-(1 << 20)..0).contains(&here);
    let offset = if is_static { here } else { 0 };
    OFFSET.store(offset, Ordering::Relaxed);
    offset != 0
}

/// What the word says, for handlers of a signal. Null before [`prepare_handlers`].
///
/// # Signal safety
/// Reads one register and one word of memory that every thread has from its beginning to its end.
pub(crate) fn current_in_handler() -> *const Mark {
    // ORDERING: Relaxed: as in `prepare_handlers`.
    match (OFFSET.load(Ordering::Relaxed), registers::thread_pointer()) {
        (0, _) | (_, 0) => ptr::null(),
        (offset, thread) => {
            let word = (thread as isize).wrapping_add(offset) as *const *const Mark;
            // SAFETY: the word of this thread's `CURRENT`, in static thread-local memory. Volatile, as the thread that was interrupted writes it.
            unsafe { word.read_volatile() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_kept_once_and_what_finds_no_room_is_counted() {
        let keeper = Keeper::new(4, 2);
        let marks = [Mark::new(10), Mark::new(11), Mark::new(12)];
        let keep = |mark: &Mark| {
            // SAFETY: alive.
            keeper.count(unsafe { keeper.keep(mark, || true) })
        };
        assert_eq!(marks.each_ref().map(keep), [10, 11, OVERFLOW_LABELS]);
        assert_eq!(keep(&marks[0]), 10, "known already");
        keeper.release(&marks[1]);
        keeper.release(&marks[1]);
        assert_eq!((keep(&marks[2]), keep(&marks[1])), (12, OVERFLOW_LABELS));
        assert_eq!(keeper.turned_away(), 2);
        assert!(marks[0].is_kept() && !marks[1].is_kept());
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
    #[test]
    fn handlers_see_what_the_thread_sees() {
        assert!(prepare_handlers());
        let look = || {
            let mark = Mark::new(7);
            // SAFETY: alive until the word is set back.
            let before = unsafe { replace(&mark) };
            assert_eq!(current_in_handler(), ptr::from_ref(&mark));
            // SAFETY: as it was.
            unsafe { replace(before) };
            assert!(current_in_handler().is_null());
        };
        look();
        std::thread::spawn(look).join().unwrap();
    }
}
