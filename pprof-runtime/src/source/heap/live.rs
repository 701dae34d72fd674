//! Samples that have not been freed, by address.
//!
//! Tables in memory of their own, each for a part of the addresses and under a lock. Whoever frees an object takes its record out first; from
//! then on another thread may get the address.
//!
//! Most of what is looked for is not there, and that is found out without a lock: an object's record comes and goes with its owner, who is the
//! one that looks, so it can but be moved meanwhile. [`Shard::version`] tells that it may have been.

use std::ptr;
use std::slice;
use std::sync::atomic::AtomicPtr;

use super::lock::{self, Lock};
use super::weight::Weight;
use crate::primitive::UnsafeCell;
use crate::primitive::atomic::{AtomicU32, AtomicUsize, Ordering, fence};

#[cfg(all(test, loom))]
mod model;

/// What is known of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// As it was asked for.
    pub(super) size: usize,
    pub(super) weight: Weight,
    /// When it was made, in ticks.
    pub(super) born: u64,
    /// Of the table of stacks.
    pub(super) stack: u32,
    /// As it was asked for: its logarithm.
    pub(super) align: u8,
    /// Bytes of the block that `blocks` gave for it; zero if its memory is what was asked for.
    pub(super) room: u16,
}

/// The system has none for what is kept.
#[derive(Debug)]
pub(super) struct NoMemory;

const SHARDS: usize = 32;

static SHARD: [Shard; SHARDS] = [const { Shard::new() }; SHARDS];

/// On a cache line of its own.
#[repr(align(64))]
#[derive(Debug)]
struct Shard {
    lock: Lock,
    /// Odd while records are moved.
    version: AtomicU32,
    /// Records, at most half of the slots.
    used: AtomicUsize,
    /// Null before the first. Those that became too small stay for whoever looks at them.
    table: AtomicPtr<Table>,
}

/// The head of a table; behind it are its keys, and then the records in the same order.
#[derive(Debug)]
struct Table {
    /// A power of two.
    slots: usize,
    /// Zero where a slot is free.
    keys: *const AtomicUsize,
    records: *const UnsafeCell<Record>,
}

/// Slots of the first table: with them it takes less than a page.
const LEAST: usize = if cfg!(loom) { 8 } else { 64 };

/// Notes a sample. What was there before at this address has been freed by somebody who did not tell: it is returned.
pub(super) fn insert(address: usize, record: Record) -> Result<Option<Record>, NoMemory> {
    Shard::of(address).insert(address, record)
}

/// Takes out the sample at an address, if there is one.
#[inline]
pub(super) fn remove(address: usize) -> Option<Record> {
    let shard = Shard::of(address);
    if shard.has_not(address) { None } else { shard.remove(address) }
}

/// What is known of the sample at an address of the caller's.
pub(super) fn get(address: usize) -> Option<Record> {
    let shard = Shard::of(address);
    if shard.has_not(address) { None } else { shard.get(address) }
}

/// Notes that the sample at an address of the caller's has another size.
pub(super) fn resize(address: usize, size: usize) {
    Shard::of(address).resize(address, size);
}

/// Copies all records.
pub(super) fn all() -> Vec<Record> {
    let mut records = Vec::new();
    SHARD.iter().for_each(|shard| shard.copy(&mut records));
    records
}

pub(super) fn before_fork() {
    lock::before_fork(SHARD.iter().map(|shard| &shard.lock));
}

pub(super) fn after_fork() {
    lock::after_fork(SHARD.iter().map(|shard| &shard.lock));
}

impl Shard {
    const fn new() -> Shard {
        Shard {
            lock: Lock::new(),
            version: AtomicU32::new(0),
            used: AtomicUsize::new(0),
            table: AtomicPtr::new(ptr::null_mut()),
        }
    }

    #[inline]
    fn of(address: usize) -> &'static Shard {
        &SHARD[(hash(address) >> (u64::BITS - SHARDS.ilog2())) as usize % SHARDS]
    }

    /// True only if an object of the calling thread's is no sample.
    #[inline]
    fn has_not(&self, address: usize) -> bool {
        // ORDERING: Acquire pairs with the Release in `moving`: what was moved before is seen.
        let version = self.version.load(Ordering::Acquire);
        // ORDERING: Relaxed: at least as new as what this thread heard of with the object.
        let Some(table) = self.table() else { return true };
        let is_there = table.find(address).is_ok();
        // ORDERING: with the fence in `moving`: if something was seen that was moved meanwhile, so is the version.
        fence(Ordering::Acquire);
        !is_there && version & 1 == 0 && self.version.load(Ordering::Relaxed) == version
    }

    #[inline]
    fn table(&self) -> Option<&Table> {
        // SAFETY: null or a table that is there for ever.
        // ORDERING: Acquire pairs with the Release in `grow`.
        unsafe { self.table.load(Ordering::Acquire).as_ref() }
    }

    fn insert(&self, address: usize, record: Record) -> Result<Option<Record>, NoMemory> {
        let _held = self.lock.lock();
        let table = self.room()?;
        let (slot, before) = match table.find(address) {
            // SAFETY: the lock is held.
            Ok(slot) => (slot, Some(unsafe { table.record(slot) })),
            Err(free) => (free, None),
        };
        // SAFETY: as above.
        unsafe { table.set(slot, address, record) };
        if before.is_none() {
            // ORDERING: Relaxed: written under the lock only.
            self.used.fetch_add(1, Ordering::Relaxed);
        }
        Ok(before)
    }

    #[cold]
    fn get(&self, address: usize) -> Option<Record> {
        let _held = self.lock.lock();
        let table = self.table()?;
        let slot = table.find(address).ok()?;
        // SAFETY: the lock is held.
        Some(unsafe { table.record(slot) })
    }

    #[cold]
    fn resize(&self, address: usize, size: usize) {
        let _held = self.lock.lock();
        if let Some(table) = self.table()
            && let Ok(slot) = table.find(address)
        {
            // SAFETY: the lock is held.
            let record = unsafe { table.record(slot) };
            // SAFETY: as above.
            unsafe { table.set(slot, address, Record { size, ..record }) };
        }
    }

    #[cold]
    fn remove(&self, address: usize) -> Option<Record> {
        let _held = self.lock.lock();
        let table = self.table()?;
        let slot = table.find(address).ok()?;
        // SAFETY: the lock is held.
        let removed = unsafe { table.record(slot) };
        // SAFETY: as above.
        self.moving(|| unsafe { table.clear(slot) });
        // ORDERING: Relaxed: written under the lock only.
        self.used.fetch_sub(1, Ordering::Relaxed);
        Some(removed)
    }

    /// Tells those without the lock that they may have missed something.
    fn moving(&self, work: impl FnOnce()) {
        // ORDERING: Relaxed: written under the lock only. The fence pairs with that in `has_not`.
        self.version.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::Release);
        work();
        // ORDERING: Release pairs with the Acquire in `has_not`.
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The table, with a slot that is free. Under the lock.
    fn room(&self) -> Result<&Table, NoMemory> {
        let before = self.table();
        // ORDERING: Relaxed: written under the lock only.
        let used = self.used.load(Ordering::Relaxed);
        match before {
            Some(table) if 2 * (used + 1) <= table.slots => return Ok(table),
            _ => {}
        }
        let slots = before.map_or(LEAST, |table| 2 * table.slots);
        let table = Table::new(slots).ok_or(NoMemory)?;
        if let Some(before) = before {
            for (slot, key) in before.keys().iter().enumerate() {
                // ORDERING: Relaxed: written under the lock only.
                let address = key.load(Ordering::Relaxed);
                if address != 0
                    && let Err(free) = table.find(address)
                {
                    // SAFETY: the lock is held.
                    let record = unsafe { before.record(slot) };
                    // SAFETY: as above.
                    unsafe { table.set(free, address, record) };
                }
            }
        }
        // ORDERING: Release pairs with the Acquire in `table`: it is whole.
        self.table.store(ptr::from_ref(table).cast_mut(), Ordering::Release);
        Ok(table)
    }

    /// Without allocating under the lock: what is freed for that might be a sample.
    fn copy(&self, into: &mut Vec<Record>) {
        loop {
            // ORDERING: Relaxed: looked at again under the lock.
            into.reserve(self.used.load(Ordering::Relaxed));
            let held = self.lock.lock();
            if into.capacity() - into.len() < self.used.load(Ordering::Relaxed) {
                continue;
            }
            let Some(table) = self.table() else { return };
            for (slot, key) in table.keys().iter().enumerate() {
                if key.load(Ordering::Relaxed) != 0 {
                    // SAFETY: the lock is held.
                    into.push(unsafe { table.record(slot) });
                }
            }
            drop(held);
            return;
        }
    }
}

impl Table {
    /// With this many slots, a power of two, that are free.
    #[cfg(not(all(test, loom)))]
    fn new(slots: usize) -> Option<&'static Table> {
        let keys = size_of::<Table>();
        let records = keys + slots.checked_mul(size_of::<AtomicUsize>())?;
        let bytes = slots.checked_mul(size_of::<Record>())?.checked_add(records)?;
        let start = crate::pages::map(bytes)?;
        const { assert!(LEAST.is_power_of_two() && align_of::<Record>() <= align_of::<AtomicUsize>()) };
        // SAFETY: inside of the mapping.
        let keys = unsafe { start.add(keys) }.cast().as_ptr();
        // SAFETY: as above.
        let records = unsafe { start.add(records) }.cast().as_ptr();
        let table: ptr::NonNull<Table> = start.cast();
        // SAFETY: mapped, aligned to a page, and nobody else's.
        unsafe { table.write(Table { slots, keys, records }) };
        // SAFETY: there for ever, and changed by atomics and in `UnsafeCell`s alone.
        Some(unsafe { &*table.as_ptr() })
    }

    fn keys(&self) -> &[AtomicUsize] {
        // SAFETY: there are as many, of which zero is valid.
        unsafe { slice::from_raw_parts(self.keys, self.slots) }
    }

    fn records(&self) -> &[UnsafeCell<Record>] {
        // SAFETY: there are as many, of which zero is valid.
        unsafe { slice::from_raw_parts(self.records, self.slots) }
    }

    /// Where an address is, or else is to be put.
    #[inline]
    fn find(&self, address: usize) -> Result<usize, usize> {
        let (keys, mask) = (self.keys(), self.slots - 1);
        let mut at = hash(address) as usize & mask;
        loop {
            // ORDERING: Relaxed: of a record that is looked for its own thread has heard, of others nothing is asked.
            match keys[at & mask].load(Ordering::Relaxed) {
                0 => return Err(at),
                there if there == address => return Ok(at),
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// # Safety
    /// The lock is held.
    unsafe fn record(&self, slot: usize) -> Record {
        // SAFETY: nobody else looks at records.
        unsafe { *self.records()[slot].get() }
    }

    /// # Safety
    /// The lock is held.
    unsafe fn set(&self, slot: usize, address: usize, record: Record) {
        // SAFETY: nobody else looks at records.
        unsafe { *self.records()[slot].get() = record };
        // ORDERING: Relaxed, as in `find`.
        self.keys()[slot].store(address, Ordering::Relaxed);
    }

    /// Those behind it move up, up to the first free slot, unless that were before the place where they are looked for.
    ///
    /// # Safety
    /// The lock is held, and others are told.
    unsafe fn clear(&self, slot: usize) {
        let (keys, mask) = (self.keys(), self.slots - 1);
        let (mut hole, mut at) = (slot, slot);
        loop {
            at = (at + 1) & mask;
            // ORDERING: Relaxed: written under the lock only.
            let address = keys[at].load(Ordering::Relaxed);
            if address == 0 {
                break;
            }
            let wanted = hash(address) as usize & mask;
            if (at.wrapping_sub(wanted) & mask) >= (at.wrapping_sub(hole) & mask) {
                // SAFETY: the caller's promise.
                let record = unsafe { self.record(at) };
                // SAFETY: as above.
                unsafe { self.set(hole, address, record) };
                hole = at;
            }
        }
        // ORDERING: Relaxed, as above.
        keys[hole].store(0, Ordering::Relaxed);
    }
}

/// Its highest bits choose the shard, its lower ones the slot: those of the product are zero where those of the address are.
#[inline]
fn hash(address: usize) -> u64 {
    // 2^64 divided by the golden ratio.
    let product = (address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    product & !(u64::MAX >> 5) | (product >> 24) & (u64::MAX >> 5)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::HashMap;
    use std::thread;

    use super::*;

    fn record(size: usize) -> Record {
        let weight = Weight::of(size, 1);
        Record { size, weight, born: 0, stack: 0, align: 3, room: 0 }
    }

    #[test]
    fn what_was_put_in_is_found_until_it_is_taken_out() {
        let shard = Shard::new();
        let mut truth = HashMap::new();
        let mut random = 1_u64;
        let steps = if cfg!(miri) { 2000 } else { 200_000 };
        for step in 0..steps {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Few addresses, so that all of them come and go, and those of one slot follow each other.
            let address = 4096 * (1 + (random >> 33) as usize % 700);
            let known = truth.get(&address).copied();
            assert_eq!(shard.has_not(address), known.is_none());
            if random >> 63 == 0 {
                assert_eq!(shard.insert(address, record(step)).unwrap(), known);
                truth.insert(address, record(step));
            } else {
                assert_eq!(shard.remove(address), known);
                truth.remove(&address);
            }
            assert_eq!(shard.used.load(Ordering::Relaxed), truth.len());
        }
        let mut left = Vec::new();
        shard.copy(&mut left);
        left.sort_by_key(|record| record.size);
        let mut expected: Vec<Record> = truth.into_values().collect();
        expected.sort_by_key(|record| record.size);
        assert_eq!(left, expected);
    }

    #[test]
    fn who_looks_without_the_lock_misses_nothing_of_its_own() {
        let shard = Shard::new();
        let (threads, rounds) = if cfg!(miri) { (3, 20) } else { (4, 20_000) };
        thread::scope(|scope| {
            for thread in 0..threads {
                let shard = &shard;
                scope.spawn(move || {
                    for round in 0..rounds {
                        let addresses = (1..8).map(|n| 4096 * (thread * 8 + n));
                        for address in addresses.clone() {
                            assert_eq!(shard.insert(address, record(round)).unwrap(), None);
                        }
                        for address in addresses {
                            assert!(!shard.has_not(address));
                            assert_eq!(shard.remove(address), Some(record(round)));
                            assert_eq!(shard.remove(address), None);
                        }
                    }
                });
            }
        });
        assert_eq!(shard.used.load(Ordering::Relaxed), 0);
    }
}
