//! A readers-writer lock in one futex word, and a second one for writers to sleep on.
//!
//! | bits of `state` | meaning                                                                                 |
//! |-----------------|-----------------------------------------------------------------------------------------|
//! | 0..29           | how many readers hold it; all ones: a writer does                                       |
//! | 29              | OPEN: nobody holds it; only writers may enter, though readers sleep, as one was woken up |
//! | 30              | READERS sleep, or are about to, on this word                                             |
//! | 31              | WRITERS sleep, or are about to, on `writers`                                             |
//!
//! Nobody holds it when the word is zero or OPEN. Count zero without OPEN but with sleepers is not free: whoever held it last, and nobody
//! else, has it still, and is about to let somebody in. So an unlock is a decrement, as in std, and yet who finds that others
//! sleep is found before they can enter, and of several readers it is the last.
//!
//! Who is let in is std's choice: one writer if any sleeps, else all readers; readers that come while somebody sleeps queue up;
//! a writer that comes when nobody holds it enters at once; readers let in by a downgrade go before writers.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use super::futex;

const COUNT: u32 = OPEN - 1;
const WRITER: u32 = COUNT;
const MAX_READERS: u32 = WRITER - 1;
const OPEN: u32 = 1 << 29;
const READERS: u32 = 1 << 30;
const WRITERS: u32 = 1 << 31;

/// Looks at the word before a sleep, as for `RawMutex`.
const SPINS: u32 = 100;

#[derive(Debug)]
pub(in crate::sync) struct RawRwLock {
    state: AtomicU32,
    /// Changes with each writer that is woken up.
    writers: AtomicU32,
}

/// Whether a reader may enter: nobody sleeps, no writer holds it, and the count has room.
#[inline]
fn may_read(state: u32) -> bool {
    state < MAX_READERS
}

/// Whether a reader that was woken up may enter: then, before writers, if a downgrade has let readers in.
fn may_read_after_sleep(state: u32) -> bool {
    may_read(state) || state & READERS == 0 && (1..MAX_READERS).contains(&(state & COUNT))
}

/// Whether a writer may enter.
fn may_write(state: u32) -> bool {
    state == 0 || state & OPEN != 0
}

impl RawRwLock {
    /// Whether a reader that has to be let somebody in is known to be the last one.
    pub(in crate::sync) const KNOWS_LAST_READER: bool = true;

    pub(in crate::sync) const fn new() -> Self {
        RawRwLock { state: AtomicU32::new(0), writers: AtomicU32::new(0) }
    }

    /// Enters as a reader, perhaps not though it could: then `spin_read` will.
    #[inline]
    pub(in crate::sync) fn read_quickly(&self) -> bool {
        // ORDERING: Relaxed: a look.
        let state = self.state.load(Ordering::Relaxed);
        may_read(state) && self.enter(state, state + 1).is_ok()
    }

    /// Enters as a writer, perhaps not though it could: then `spin_write` will.
    #[inline]
    pub(in crate::sync) fn write_quickly(&self) -> bool {
        self.enter(0, WRITER).is_ok()
    }

    /// Enters as a reader if no writer has it or sleeps.
    #[inline]
    pub(in crate::sync) fn try_read(&self) -> bool {
        self.enter_as_reader(may_read, 0).is_ok()
    }

    /// Enters as the writer if nobody has it.
    #[inline]
    pub(in crate::sync) fn try_write(&self) -> bool {
        self.enter_as_writer(0, 0).is_ok()
    }

    /// Waits a moment for a writer about to leave; false if it stays, or others sleep already.
    pub(in crate::sync) fn spin_read(&self) -> bool {
        self.enter_as_reader(may_read, SPINS).is_ok()
    }

    /// Waits a moment for others about to leave; false if they stay, or other writers sleep already.
    pub(in crate::sync) fn spin_write(&self) -> bool {
        self.enter_as_writer(0, SPINS).is_ok()
    }

    /// Enters as a reader, asleep while it may not; false if it could at once.
    pub(in crate::sync) fn sleep_read(&self) -> bool {
        if self.try_read() {
            return false;
        }
        let (mut may_enter, mut spins): (fn(u32) -> bool, _) = (may_read, 0);
        while let Err(state) = self.enter_as_reader(may_enter, spins) {
            assert!(state & COUNT != MAX_READERS, "more readers hold an RwLock than it can count");
            if state & READERS == 0 && self.announce(state, READERS).is_err() {
                continue;
            }
            futex::wait(&self.state, state | READERS);
            (may_enter, spins) = (may_read_after_sleep, SPINS);
        }
        true
    }

    /// Enters as the writer, asleep while others have it; false if it could at once.
    pub(in crate::sync) fn sleep_write(&self) -> bool {
        if self.try_write() {
            return false;
        }
        let (mut others, mut spins) = (0, 0);
        while let Err(state) = self.enter_as_writer(others, spins) {
            if state & WRITERS == 0 && self.announce(state, WRITERS).is_err() {
                continue;
            }
            // Other writers may sleep by the time that this one enters, and it cannot know. At worst one wake-up is in vain.
            others = WRITERS;
            // ORDERING: Acquire pairs with the Release in `wake_writer`: if this is the number from after a wake-up, the state
            // looked at next is too, and no wake-up is slept through.
            let number = self.writers.load(Ordering::Acquire);
            // ORDERING: Relaxed: ordered by the above.
            let state = self.state.load(Ordering::Relaxed);
            if !may_write(state) && state & WRITERS != 0 {
                futex::wait(&self.writers, number);
                spins = SPINS;
            }
        }
        true
    }

    /// Looks until `may_enter` says so, while a writer has it and nobody sleeps, `spins` times at most. Otherwise, the state seen last.
    #[inline]
    fn enter_as_reader(&self, may_enter: fn(u32) -> bool, mut spins: u32) -> Result<(), u32> {
        // ORDERING: Relaxed, here and below: looks.
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            if may_enter(state) {
                match self.enter(state, state + 1) {
                    Ok(()) => return Ok(()),
                    Err(changed) => state = changed,
                }
            } else if state == WRITER && spins > 0 {
                spins -= 1;
                spin_loop();
                state = self.state.load(Ordering::Relaxed);
            } else {
                return Err(state);
            }
        }
    }

    /// Looks until nobody has it, while no writer sleeps, `spins` times at most. Otherwise, the state seen last. Enters with the
    /// flag `others`.
    #[inline]
    fn enter_as_writer(&self, others: u32, mut spins: u32) -> Result<(), u32> {
        // ORDERING: Relaxed, here and below: looks.
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            if may_write(state) {
                match self.enter(state, state & !OPEN | WRITER | others) {
                    Ok(()) => return Ok(()),
                    Err(changed) => state = changed,
                }
            } else if state & WRITERS == 0 && spins > 0 {
                spins -= 1;
                spin_loop();
                state = self.state.load(Ordering::Relaxed);
            } else {
                return Err(state);
            }
        }
    }

    #[inline]
    fn enter(&self, from: u32, to: u32) -> Result<(), u32> {
        // ORDERING: Acquire pairs with the Release of whoever unlocked.
        self.state.compare_exchange_weak(from, to, Ordering::Acquire, Ordering::Relaxed).map(|_| ())
    }

    /// Sets the flag of those who are about to sleep.
    fn announce(&self, state: u32, flag: u32) -> Result<u32, u32> {
        // ORDERING: Relaxed: whoever unlocks reads it from the word that it changes.
        self.state.compare_exchange(state, state | flag, Ordering::Relaxed, Ordering::Relaxed)
    }

    /// Leaves, as one of the readers, unless this is the last one and others sleep: then it alone has the lock, and has to call
    /// `unlock_read_and_wake`.
    #[inline]
    pub(in crate::sync) fn unlock_read_unless_awaited(&self) -> bool {
        // ORDERING: Release pairs with the Acquire of a writer that enters.
        let left = self.state.fetch_sub(1, Ordering::Release) - 1;
        if left <= COUNT || left & COUNT != 0 {
            return true;
        }
        // ORDERING: Acquire pairs with the Release of the readers before: they are done with the lock's account.
        fence(Ordering::Acquire);
        false
    }

    /// Leaves, as the writer, unless others sleep: then it has the lock still, and has to call `unlock_write_and_wake`.
    #[inline]
    pub(in crate::sync) fn unlock_write_unless_awaited(&self) -> bool {
        // ORDERING: Release pairs with the Acquire of whoever enters.
        self.state.fetch_sub(WRITER, Ordering::Release) == WRITER
    }

    /// Becomes a reader, and lets in others unless some of them sleep: then it still is alone, and has to call `downgrade_and_wake`.
    #[inline]
    pub(in crate::sync) fn downgrade_unless_awaited(&self) -> bool {
        // ORDERING: Release pairs with the Acquire of readers that enter.
        self.state.fetch_sub(WRITER - 1, Ordering::Release) & READERS == 0
    }

    /// Lets in the readers that sleep, after `downgrade_unless_awaited` has not.
    pub(in crate::sync) fn downgrade_and_wake(&self) {
        // ORDERING: Release, as above, for what was done since.
        self.state.fetch_and(!READERS, Ordering::Release);
        futex::wake_all(&self.state);
    }

    /// Leaves after `unlock_read_unless_awaited` has not.
    pub(in crate::sync) fn unlock_read_and_wake(&self) {
        self.let_in();
    }

    /// Leaves after `unlock_write_unless_awaited` has not.
    pub(in crate::sync) fn unlock_write_and_wake(&self) {
        self.let_in();
    }

    /// Lets in a writer if one sleeps, else readers. Nobody can enter before, but more may announce that they sleep.
    fn let_in(&self) {
        // ORDERING: Relaxed: a look.
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            // The writer that is woken up will set its flag again, for the others.
            let open = if state == READERS | WRITERS { OPEN | READERS } else { 0 };
            // ORDERING: Release pairs with the Acquire of whoever enters.
            match self.state.compare_exchange_weak(
                state,
                open,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(changed) => state = changed,
            }
        }
        if state & WRITERS != 0 && self.wake_writer() || state & READERS == 0 {
            return;
        }
        // All sleeping writers may have been about to sleep only. Those have noticed; but if none is left, readers would sleep for ever.
        // ORDERING: Relaxed: the lock is no longer ours, and was published when it was.
        let closed = state & WRITERS == 0
            || self
                .state
                .compare_exchange(OPEN | READERS, 0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        // Otherwise a writer has entered, who will see to them.
        if closed {
            futex::wake_all(&self.state);
        }
    }

    fn wake_writer(&self) -> bool {
        // ORDERING: Release pairs with the Acquire in `sleep_write`.
        self.writers.fetch_add(1, Ordering::Release);
        futex::wake_one(&self.writers)
    }
}
