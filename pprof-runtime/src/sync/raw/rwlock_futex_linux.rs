//! A readers-writer lock in one futex word, and a second one for writers to sleep on.
//!
//! Holders are counted in units of four; a writer counts as more of them than there can be readers.
//!
//! | `state`, signed       | holders | meaning                                                                      |
//! |-----------------------|---------|------------------------------------------------------------------------------|
//! | NOBODY_SLEEPS + 4 n   | n       |                                                                              |
//! | 4 (n - 1) + flags     | n > 0   | READERS (1), WRITERS (2) or both sleep, or are about to                      |
//! | -4 + flags            | one     | whoever held it last has it still, and is about to let somebody in           |
//! | OPEN                  | none    | only writers may enter, though readers sleep: a writer was woken up          |
//!
//! So an unlock is a subtraction, as in std, and whoever finds it negative then has to see to those who sleep, before whom nobody can
//! enter: of several readers that is the last. To find that out takes no more than the processor's flags, which
//! costs less than the former value would.
//!
//! Who is let in is std's choice: one writer if any sleeps, else all readers; readers that come while somebody sleeps queue up;
//! a writer that comes when nobody holds it enters at once; readers let in by a downgrade go before writers. Readers sleep on
//! `state`, writers on `writers`.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use super::futex;

const READERS: i32 = 1;
const WRITERS: i32 = 2;
/// A holder.
const ONE: i32 = 4;
const NOBODY_SLEEPS: i32 = 1 << 30;
const WRITER: i32 = NOBODY_SLEEPS - ONE;
const MAX_READERS: i32 = WRITER - ONE;
const OPEN: i32 = i32::MIN | READERS;

/// Looks at the word before a sleep, as for `RawMutex`.
const SPINS: u32 = 100;

#[derive(Debug)]
pub(in crate::sync) struct RawRwLock {
    state: State,
    /// Changes with each writer that is woken up.
    writers: AtomicU32,
}

/// A futex is unsigned.
#[derive(Debug)]
struct State(AtomicU32);

/// Whether a reader may enter: nobody sleeps, no writer holds it, and there is room for one more.
#[inline]
fn may_read(state: i32) -> bool {
    // In one comparison: what is too small becomes too big.
    (state.wrapping_sub(NOBODY_SLEEPS) as u32) < MAX_READERS as u32
}

/// Whether a reader that was woken up may enter: then, before writers, if a downgrade has let readers in.
fn may_read_after_sleep(state: i32) -> bool {
    may_read(state) || state & READERS == 0 && (0..MAX_READERS - ONE).contains(&state)
}

/// Whether a writer may enter.
fn may_write(state: i32) -> bool {
    state == NOBODY_SLEEPS || state == OPEN
}

/// The state if somebody sleeps as well.
fn asleep(state: i32, flag: i32) -> i32 {
    if state >= NOBODY_SLEEPS { state - NOBODY_SLEEPS - ONE + flag } else { state | flag }
}

impl State {
    #[inline]
    fn look(&self) -> i32 {
        // ORDERING: Relaxed: a look; whoever enters by it acquires.
        self.0.load(Ordering::Relaxed) as i32
    }

    /// Enters, from a state that allows it.
    #[inline]
    fn enter(&self, from: i32, to: i32) -> Result<(), i32> {
        // ORDERING: Acquire pairs with the Release of whoever unlocked.
        self.change(from, to, Ordering::Acquire)
    }

    #[inline]
    fn change(&self, from: i32, to: i32, order: Ordering) -> Result<(), i32> {
        // ORDERING: `order` and, if it has changed, Relaxed: a look.
        match self.0.compare_exchange_weak(from as u32, to as u32, order, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            Err(changed) => Err(changed as i32),
        }
    }

    /// Leaves, as so many; the result is what remains.
    #[inline]
    fn leave(&self, holders: i32) -> i32 {
        // Written as additions, it is compiled to one and a look at the processor's flags.
        // ORDERING: Release pairs with the Acquire of whoever enters.
        (self.0.fetch_add(-holders as u32, Ordering::Release) as i32).wrapping_add(-holders)
    }
}

impl RawRwLock {
    /// Whether a reader that has to let somebody in is known to be the last one.
    pub(in crate::sync) const KNOWS_LAST_READER: bool = true;

    pub(in crate::sync) const fn new() -> Self {
        RawRwLock { state: State(AtomicU32::new(NOBODY_SLEEPS as u32)), writers: AtomicU32::new(0) }
    }

    /// Enters as a reader, perhaps not though it could: then `spin_read` will.
    #[inline]
    pub(in crate::sync) fn read_quickly(&self) -> bool {
        let state = self.state.look();
        may_read(state) && self.state.enter(state, state + ONE).is_ok()
    }

    /// Enters as a writer, perhaps not though it could: then `spin_write` will.
    #[inline]
    pub(in crate::sync) fn write_quickly(&self) -> bool {
        self.state.enter(NOBODY_SLEEPS, NOBODY_SLEEPS + WRITER).is_ok()
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
        let (mut may_enter, mut spins): (fn(i32) -> bool, _) = (may_read, 0);
        while let Err(state) = self.enter_as_reader(may_enter, spins) {
            let holders = if state >= NOBODY_SLEEPS { state - NOBODY_SLEEPS } else { state + ONE };
            // With flags among them, which are less than one.
            let full = (MAX_READERS..WRITER).contains(&holders);
            assert!(!full, "more readers hold an RwLock than it can count");
            let sleeping = asleep(state, READERS);
            // ORDERING: Relaxed: whoever unlocks reads it from the word that it changes.
            if state == sleeping || self.state.change(state, sleeping, Ordering::Relaxed).is_ok() {
                futex::wait(&self.state.0, sleeping as u32);
                (may_enter, spins) = (may_read_after_sleep, SPINS);
            }
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
            let sleeping = asleep(state, WRITERS);
            // ORDERING: Relaxed: as in `sleep_read`.
            if state != sleeping && self.state.change(state, sleeping, Ordering::Relaxed).is_err() {
                continue;
            }
            // Other writers may sleep by the time that this one enters, and it cannot know. At worst one wake-up is in vain.
            others = WRITERS;
            // ORDERING: Acquire pairs with the Release in `wake_writer`: if this is the number from after a wake-up, the state
            // looked at next is too, and no wake-up is slept through.
            let number = self.writers.load(Ordering::Acquire);
            let state = self.state.look();
            if !may_write(state) && state == asleep(state, WRITERS) {
                futex::wait(&self.writers, number);
                spins = SPINS;
            }
        }
        true
    }

    /// Looks until `may_enter` says so, while a writer has it and nobody sleeps, `spins` times at most. Otherwise, the state seen last.
    #[inline]
    fn enter_as_reader(&self, may_enter: fn(i32) -> bool, mut spins: u32) -> Result<(), i32> {
        let mut state = self.state.look();
        loop {
            if may_enter(state) {
                match self.state.enter(state, state + ONE) {
                    Ok(()) => return Ok(()),
                    Err(changed) => state = changed,
                }
            } else if state == NOBODY_SLEEPS + WRITER && spins > 0 {
                spins -= 1;
                spin_loop();
                state = self.state.look();
            } else {
                return Err(state);
            }
        }
    }

    /// Looks until nobody has it, while no writer sleeps, `spins` times at most. Otherwise, the state seen last. `others` are
    /// said to sleep then.
    #[inline]
    fn enter_as_writer(&self, others: i32, mut spins: u32) -> Result<(), i32> {
        let mut state = self.state.look();
        loop {
            if may_write(state) {
                let sleepers = if state == OPEN { READERS | others } else { others };
                let entered = NOBODY_SLEEPS + WRITER;
                let entered = if sleepers == 0 { entered } else { asleep(entered, sleepers) };
                match self.state.enter(state, entered) {
                    Ok(()) => return Ok(()),
                    Err(changed) => state = changed,
                }
            } else if state & WRITERS == 0 && spins > 0 {
                spins -= 1;
                spin_loop();
                state = self.state.look();
            } else {
                return Err(state);
            }
        }
    }

    /// Leaves, as one of the readers, unless this is the last one and others sleep: then it alone has the lock, and has to call
    /// `unlock_read_and_wake`.
    #[inline]
    pub(in crate::sync) fn unlock_read_unless_awaited(&self) -> bool {
        if self.state.leave(ONE) >= 0 {
            return true;
        }
        // ORDERING: Acquire pairs with the Release of the readers before: they are done with the lock's account.
        fence(Ordering::Acquire);
        false
    }

    /// Leaves, as the writer, unless others sleep: then it has the lock still, and has to call `unlock_write_and_wake`.
    #[inline]
    pub(in crate::sync) fn unlock_write_unless_awaited(&self) -> bool {
        self.state.leave(WRITER) >= 0
    }

    /// Becomes a reader, and lets in others unless some of them sleep: then it still is alone, and has to call `downgrade_and_wake`.
    #[inline]
    pub(in crate::sync) fn downgrade_unless_awaited(&self) -> bool {
        self.state.leave(WRITER - ONE) & READERS == 0
    }

    /// Lets in the readers that sleep, after `downgrade_unless_awaited` has not.
    pub(in crate::sync) fn downgrade_and_wake(&self) {
        self.replace(|flags| if flags & WRITERS == 0 { NOBODY_SLEEPS + ONE } else { WRITERS });
        futex::wake_all(&self.state.0);
    }

    /// Leaves after `unlock_read_unless_awaited` has not.
    pub(in crate::sync) fn unlock_read_and_wake(&self) {
        self.let_in();
    }

    /// Leaves after `unlock_write_unless_awaited` has not.
    pub(in crate::sync) fn unlock_write_and_wake(&self) {
        self.let_in();
    }

    /// Replaces the state, in which nobody can enter, but more may say that they sleep. Returns the flags that it had.
    fn replace(&self, to: impl Fn(i32) -> i32) -> i32 {
        let mut state = self.state.look();
        loop {
            let flags = state & (READERS | WRITERS);
            // ORDERING: Release pairs with the Acquire of whoever enters.
            match self.state.change(state, to(flags), Ordering::Release) {
                Ok(()) => return flags,
                Err(changed) => state = changed,
            }
        }
    }

    /// Lets in a writer if one sleeps, else readers.
    fn let_in(&self) {
        const BOTH: i32 = READERS | WRITERS;
        // The writer that is woken up will say that others sleep again.
        let flags = self.replace(|flags| if flags == BOTH { OPEN } else { NOBODY_SLEEPS });
        if flags & WRITERS != 0 && self.wake_writer() || flags & READERS == 0 {
            return;
        }
        // If both flags were set the writers may all have been about to sleep only. They notice; but readers would sleep for ever
        // if those do not come back. Unless a writer has entered, who will see to them.
        // ORDERING: Relaxed, both: the lock is no longer ours, and was published when it was.
        let (open, closed) = (OPEN as u32, NOBODY_SLEEPS as u32);
        if flags == READERS
            || self
                .state
                .0
                .compare_exchange(open, closed, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            futex::wake_all(&self.state.0);
        }
    }

    fn wake_writer(&self) -> bool {
        // ORDERING: Release pairs with the Acquire in `sleep_write`.
        self.writers.fetch_add(1, Ordering::Release);
        futex::wake_one(&self.writers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every state that there can be with few readers, with all of them, and with a writer.
    fn states() -> Vec<(i32, i32, i32)> {
        let counts = [0, ONE, 2 * ONE, MAX_READERS - ONE, MAX_READERS, WRITER];
        let with = |flags: i32| {
            counts.map(|count| {
                let nobody = NOBODY_SLEEPS + count;
                (if flags == 0 { nobody } else { asleep(nobody, flags) }, count, flags)
            })
        };
        (0..4).flat_map(with).collect()
    }

    #[test]
    fn states_say_who_may_enter() {
        for (state, count, flags) in states() {
            let free = flags == 0 && count == 0;
            assert_eq!(may_write(state), free, "{state:#x}");
            assert_eq!(may_read(state), flags == 0 && count < MAX_READERS, "{state:#x}");
            let let_in = flags == WRITERS && count > 0 && count < MAX_READERS;
            assert_eq!(may_read_after_sleep(state), may_read(state) || let_in, "{state:#x}");
            assert_eq!(state < 0, count == 0 && flags != 0, "{state:#x}: to be let in by somebody");
            for flag in [READERS, WRITERS] {
                let sleeping = asleep(state, flag);
                assert!(!may_read(sleeping) && !may_write(sleeping));
                assert_eq!(sleeping == state, flags & flag != 0, "{state:#x} {flag}");
                assert_eq!(sleeping < 0, count == 0, "{state:#x} {flag}");
                let of = |other: &&(i32, i32, i32)| other.0 == sleeping;
                assert_eq!(states().iter().find(of), Some(&(sleeping, count, flags | flag)));
            }
        }
        assert!(may_write(OPEN) && !may_read(OPEN) && !may_read_after_sleep(OPEN));
        assert_eq!(asleep(OPEN, READERS), OPEN, "one more that sleeps changes nothing");
        assert!(states().iter().all(|(state, ..)| *state != OPEN));
    }

    #[test]
    fn a_writer_takes_over_readers_that_sleep() {
        let lock = RawRwLock::new();
        lock.state.0.store(OPEN as u32, Ordering::Relaxed);
        assert!(!lock.try_read() && !lock.read_quickly() && !lock.write_quickly());
        assert!(lock.try_write());
        assert!(!lock.unlock_write_unless_awaited(), "readers sleep");
        assert!(!lock.try_write() && !lock.try_read(), "not before they are let in");
        lock.unlock_write_and_wake();
        assert!(lock.read_quickly());
        assert!(lock.unlock_read_unless_awaited());
    }

    #[test]
    #[should_panic(expected = "more readers")]
    fn too_many_readers_are_refused() {
        let lock = RawRwLock::new();
        lock.state.0.store((NOBODY_SLEEPS + MAX_READERS - ONE) as u32, Ordering::Relaxed);
        assert!(lock.read_quickly());
        assert!(!lock.read_quickly() && !lock.spin_read() && !lock.spin_write());
        lock.sleep_read();
    }
}
