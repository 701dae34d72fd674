//! Waits of code that is not ours, seen as system calls.
//!
//! They are recorded as those of our own types are, with an account lent by address (`account`) for what wakes them. Which primitive waits,
//! and whether it is a lock at all, is not known here: that is in the names of its functions. So everything is recorded, with what names can
//! be told from: a wait with its stack, a wake-up with its stack and the number of whom it woke. `encode` chooses.
//!
//! # Signal safety
//! Nothing is allocated and no lock taken; libc is not asked for the stack's bounds. A handler may wait and wake, also one that interrupts
//! recording: it finds the thread nested, and records nothing.

use std::mem::ManuallyDrop;

use once_cell::sync::OnceCell;

use super::super::labels;
use super::account::{self, Account, Loan};
use super::actor::Actor;
use super::live::{self, Claim};
use super::sampling::{random, sample_unlock};
use super::tag::{Kind, Tag};
use super::{
    BLOCK, Debtor, MUTEX, MUTEX_FRACTION, block_enabled, capture, charge, contentions,
    mutex_enabled, nesting, record_wait,
};
use crate::aggregate::snapshot::Waiter;
use crate::aggregate::stack_table::{Counters, Key, StackTable};
use crate::capture::memory::known_bounds;
use crate::capture::registers::{self, Registers};
use crate::capture::unwind::Frames;
use crate::clock;

/// Those who waited, by their innermost frames, which are the primitive's own.
static WAITERS: OnceCell<StackTable<1>> = OnceCell::new();

/// Different ones that are told apart; of further ones it is not known what they waited for.
const MAX_WAITERS: usize = 2048;

/// Frames that tell a primitive: channels of debug builds have most, about ten.
const WAITER_FRAMES: usize = 16;

/// Everything that allocates or may wait.
pub(crate) fn prepare() {
    clock::calibrate();
    WAITERS.get_or_init(|| StackTable::new(MAX_WAITERS));
}

/// A wait in progress. It has no destructor: whoever began it ends it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Wait {
    /// In ticks; zero if no profile was on.
    arrival: u64,
    /// The waiting stack, if the block profile was on.
    block: Option<&'static Counters<3>>,
    loan: Option<Loan>,
    waiter: Option<u32>,
    /// Whether the mutex profile was on.
    mutex: bool,
    claim: ManuallyDrop<Option<Claim>>,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Woken, or what was waited for has come.
    Woken,
    /// At a timeout, or by a signal.
    GaveUp,
    /// It was none.
    NotSlept,
}

/// The calling thread is about to wait at `address`, if that is known. Inlined, since the function that this is inlined into must not
/// return before the wait has ended: its stack may be read meanwhile.
#[inline(always)]
pub(crate) fn wait(kind: Kind, address: Option<usize>) -> Wait {
    Wait::begin(kind, address, registers::current())
}

impl Wait {
    /// `registers` are those of a frame of the calling thread that stays until the wait has ended.
    #[cold]
    #[inline(never)]
    pub(crate) fn begin(kind: Kind, address: Option<usize>, registers: Registers) -> Wait {
        nesting::enter();
        let (mutex, block) = (mutex_enabled() && address.is_some(), block_enabled());
        let mut wait = Wait {
            arrival: 0,
            block: None,
            loan: None,
            waiter: None,
            mutex,
            claim: ManuallyDrop::new(None),
        };
        let tag = Tag::foreign(kind, None);
        if mutex || block {
            // Zero says that it is not timed.
            wait.arrival = clock::ticks().max(1);
            capture(registers, known_bounds(registers.sp), |frames, end| {
                if block {
                    wait.block = BLOCK.of(frames, end, tag, 0);
                }
                if mutex {
                    wait.waiter = number_of(frames);
                }
            });
            wait.loan = address.and_then(account::enter).and_then(|loan| wait.arrive(loan));
        }
        *wait.claim = live::claim(&live::Entry {
            actor: Actor::thread(),
            task: Actor::known_task(),
            tag,
            resource: address.unwrap_or(0) as u64,
            holder: 0,
            target: Actor::NOBODY,
            since: if block { wait.arrival } else { 0 },
            stack: wait.block.and_then(|counters| BLOCK.index_of(counters)),
            registers: Some(registers),
            site: None,
            timed: false,
            labels: labels::current_id(),
        });
        wait
    }

    fn arrive(&self, loan: Loan) -> Option<Loan> {
        let account = loan.account()?;
        if !account.debt.arrive(self.arrival) {
            loan.close(|_, _, _| {});
            return None;
        }
        account.set_waiter(self.waiter);
        Some(loan)
    }

    pub(crate) fn end(mut self, outcome: Outcome) {
        drop(self.claim.take());
        if self.arrival != 0 {
            self.record(outcome);
        }
        nesting::leave();
    }

    /// What was waited for has come, or a time-out, if it took at least `ns`; else it was none.
    pub(crate) fn end_if_longer(self, ns: u64) {
        let brief = clock::ticks_to_ns(clock::ticks().saturating_sub(self.arrival)) < ns;
        self.end(if brief { Outcome::NotSlept } else { Outcome::Woken });
    }

    fn record(&self, outcome: Outcome) {
        let mut now = 0;
        let mut clock = || {
            now = clock::ticks();
            now
        };
        let mut wake_up = 0;
        match self.loan.and_then(|loan| loan.account()) {
            Some(account) if outcome == Outcome::GaveUp => account.debt.give_up(clock()),
            // As if it had never come: what an unlock was charged for it meanwhile is taken off the next charge.
            Some(account) if outcome == Outcome::NotSlept => account.debt.give_up(self.arrival),
            Some(account) => {
                let owed = account.debt.leave(self.arrival, clock);
                let (debtor, delay) = owed.known;
                charge_rest(debtor, self.waiter, delay);
                charge_nobody(self.waiter, 1, owed.unseen);
                wake_up = owed.wake_up;
            }
            None => {
                let delay = clock().saturating_sub(self.arrival);
                if outcome != Outcome::NotSlept && self.mutex {
                    charge_nobody(self.waiter, 1, delay as i64);
                }
            }
        }
        if let Some(counters) = self.block
            && outcome != Outcome::NotSlept
        {
            record_wait(counters, now.saturating_sub(self.arrival), wake_up);
        }
        if let Some(loan) = self.loan {
            loan.close(charge_left);
        }
    }
}

/// What is left in an account that nobody uses any more, by waits that ended without being let in: as ever, it is owed by whoever
/// unlocked last.
fn charge_left(account: &Account, debtor: Debtor, ticks: i64) {
    charge_rest(debtor, account.waiter(), ticks);
}

fn charge_rest(debtor: Debtor, waiter: Option<u32>, ticks: i64) {
    if debtor == Debtor::UNKNOWN {
        charge_nobody(waiter, 0, ticks);
    } else {
        charge(debtor, ticks, false);
    }
}

/// Waiting whose end no wake-up was charged with: under no stack, for `encode` to leave out or to show.
fn charge_nobody(waiter: Option<u32>, count: i64, ticks: i64) {
    if ticks == 0 || !mutex_enabled() {
        return;
    }
    if let Some(table) = MUTEX.table.get() {
        let tag = Tag::foreign(Kind::Futex, waiter).to_bits();
        let counters =
            table.counters(Key { frames: &[], truncated: false, tag, detail: 0, labels: 0 });
        counters.add(contentions(1, count, ticks));
    }
}

/// A call that is charged for waiting. It is a contention if it wakes somebody: locks also wake those who were quicker than it, or who are
/// on their way already.
#[derive(Debug)]
#[must_use]
pub(crate) struct Unlock(Debtor);

impl Unlock {
    pub(crate) fn woke(self) {
        charge(self.0, 0, true);
    }
}

/// The calling thread is about to wake who waits at `address`: it is charged for the waiting so far, and for what the woken still wait.
#[inline]
pub(crate) fn wake(address: usize) -> Option<Unlock> {
    let mut unlock = None;
    for loan in account::find(address) {
        unlock = wake_account(loan).or(unlock);
        // Work left after the call: as a jump it would run when the frame to charge is gone.
        std::hint::black_box(());
    }
    unlock
}

#[cold]
#[inline(never)]
fn wake_account(loan: Loan) -> Option<Unlock> {
    nesting::enter();
    let account = loan.account().filter(|account| account.debt.is_owed());
    let unlock = account.map(|account| {
        let delay = account.debt.settle(clock::ticks);
        let debtor = unlocking(account.waiter(), delay);
        account.debt.set_debtor(debtor);
        Unlock(debtor)
    });
    // All who wait may have given up meanwhile.
    loan.close(charge_left);
    nesting::leave();
    unlock
}

/// Records on the calling stack that it ended `delay` ticks of waiting. Returns whom to charge for the rest.
fn unlocking(waiter: Option<u32>, delay: i64) -> Debtor {
    // ORDERING: Relaxed: a setting read for its value.
    let fraction = MUTEX_FRACTION.load(std::sync::atomic::Ordering::Relaxed);
    let Some(weight) = sample_unlock(fraction, random()) else { return Debtor::NOT_SAMPLED };
    let start = registers::current();
    let tag = Tag::foreign(Kind::Futex, waiter);
    let counters = capture(start, known_bounds(start.sp), |frames, end| {
        MUTEX.of(frames, end, tag, MUTEX.labels())
    });
    let Some(counters) = counters else { return Debtor::NOT_SAMPLED };
    counters.add(contentions(weight, 0, delay));
    Debtor::new(MUTEX.index_of(counters).unwrap_or(u32::MAX), weight)
}

/// A number for who waits on this stack.
fn number_of(frames: &Frames) -> Option<u32> {
    let table = WAITERS.get()?;
    let frames = frames.as_slice();
    let frames = frames.get(..WAITER_FRAMES).unwrap_or(frames);
    let counters = table.counters(Key { frames, truncated: false, tag: 0, detail: 0, labels: 0 });
    counters.add([1]);
    Some(table.index_of(counters)).filter(|index| *index != u32::MAX)
}

/// What names are to tell the kind of a foreign wait from; `None` if it is one of ours.
pub(super) fn waiter(tag: Tag) -> Option<Waiter> {
    let known = || WAITERS.get()?.recorded_at(tag.waiter()?);
    tag.is_foreign().then(|| known().map_or_else(Waiter::default, |waiter| waiter.frames.into()))
}

/// Waits that no unlock is charged with, since too many addresses were waited at.
pub(super) fn turned_away() -> u64 {
    account::turned_away()
}
