//! What is under a lock, in a process that may fork.
//!
//! A forked child has the one thread that forked. A lock that another one held at that moment stays held, and what is under it may be half
//! changed: the child leaves it alone, and begins anew. Nobody waits for a thread that is not there, and what the child makes is whole.
//!
//! Which process has a lock is told by its number: a child in a PID namespace of its own that no handler has run in, made by `clone`, may have its
//! parent's.
//!
//! Locks are std's, not parking_lot's: that keeps those who sleep in a table of the process, where a child would find threads that it has not.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

/// A value and its lock; made when it is first looked at, and never freed.
#[derive(Debug)]
pub(super) struct Shard<T>(AtomicPtr<Locked<T>>);

#[derive(Debug)]
struct Locked<T> {
    /// The process of which a thread has had the lock. In a child it is the parent's, until that is sure of its own.
    pid: AtomicU32,
    value: Mutex<T>,
}

/// Those that this process or one that it was forked from has left alone.
static ABANDONED: AtomicU64 = AtomicU64::new(0);

pub(super) fn abandoned() -> u64 {
    // ORDERING: Relaxed: a counter that orders nothing.
    ABANDONED.load(Ordering::Relaxed)
}

/// In a forked child before anything else: what is locked now is so for good.
///
/// # Signal safety
/// Atomics, and system calls: for the process' number, and for a lock that was slept on.
pub(super) fn begin_child<T>(shards: &[Shard<T>]) {
    for shard in shards {
        let Some(locked) = shard.made() else { continue };
        match try_lock(&locked.value) {
            Some(_) => locked.claim(),
            None => shard.abandon(locked),
        }
    }
}

impl<T: Default> Shard<T> {
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        loop {
            let locked = self.locked();
            if let Some(guard) = try_lock(&locked.value) {
                return guard;
            }
            // If it is not ours, this is a child that no handler has run in, as of `clone`. Threads of its own that have not claimed the lock
            // have it for microseconds.
            for _ in 0..50 {
                // ORDERING: Relaxed: a child has the number by the fork; its threads learn of a new one together with the lock, or later.
                if locked.pid.load(Ordering::Relaxed) == std::process::id() {
                    return locked.value.lock().unwrap_or_else(PoisonError::into_inner);
                }
                std::thread::sleep(Duration::from_micros(100));
                if let Some(guard) = try_lock(&locked.value) {
                    locked.claim();
                    return guard;
                }
            }
            self.abandon(locked);
        }
    }

    /// As `lock`, for longer than a child that no handler has run in would wait for it: it is to be told.
    pub(super) fn lock_for_long(&self) -> MutexGuard<'_, T> {
        let guard = self.lock();
        if let Some(locked) = self.made() {
            locked.claim();
        }
        guard
    }

    fn locked(&self) -> &Locked<T> {
        self.made().unwrap_or_else(|| {
            let locked = Locked { pid: AtomicU32::new(0), value: Mutex::default() };
            locked.claim();
            let made = Box::into_raw(Box::new(locked));
            let none = ptr::null_mut();
            // ORDERING: Release: it is whole; Acquire pairs with that of another thread.
            match self.0.compare_exchange(none, made, Ordering::Release, Ordering::Acquire) {
                // SAFETY: never freed from now on.
                Ok(_) => unsafe { &*made },
                Err(other) => {
                    // SAFETY: made above, and seen by nobody.
                    drop(unsafe { Box::from_raw(made) });
                    // SAFETY: not null, and never freed.
                    unsafe { &*other }
                }
            }
        })
    }
}

impl<T> Shard<T> {
    pub(super) const fn new() -> Shard<T> {
        Shard(AtomicPtr::new(ptr::null_mut()))
    }

    fn made(&self) -> Option<&Locked<T>> {
        // SAFETY: null, or never freed.
        // ORDERING: Acquire pairs with the Release in `locked`.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// Leaves what is there to a thread that has it and is gone; it stays as it is.
    fn abandon(&self, locked: &Locked<T>) {
        let there = ptr::from_ref(locked).cast_mut();
        // ORDERING: Relaxed, both: null refers to nothing; a counter.
        if self
            .0
            .compare_exchange(there, ptr::null_mut(), Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
        {
            ABANDONED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<T> Locked<T> {
    /// Whoever has it from now on is a thread of this process.
    fn claim(&self) {
        // ORDERING: Relaxed: see `lock`.
        self.pid.store(std::process::id(), Ordering::Relaxed);
    }
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_locked_at_a_fork_is_begun_anew() {
        let shards = [Shard::<Vec<u32>>::new(), Shard::new(), Shard::new()];
        shards[0].lock().push(1);
        let mut held = shards[1].lock();
        held.push(2);
        let before = abandoned();
        begin_child(&shards);
        assert_eq!(abandoned() - before, 1);
        let lens = shards.each_ref().map(|shard| shard.lock().len());
        assert_eq!(lens, [1, 0, 0]);
        assert_eq!(*held, [2], "as it was");
    }

    #[test]
    fn without_a_handler_a_child_finds_out_of_each_by_itself() {
        let shards = [const { Shard::<Vec<u32>>::new() }; 3];
        for shard in &shards {
            shard.lock().push(1);
            shard.made().unwrap().pid.store(0, Ordering::Relaxed);
        }
        let held = [shards[0].lock(), shards[1].lock()];
        let lens = || shards.each_ref().map(|shard| shard.lock().len());
        let lens = std::thread::scope(|scope| scope.spawn(lens).join().unwrap());
        assert_eq!(lens, [0, 0, 1]);
        let pids = shards.each_ref().map(|shard| shard.made().unwrap().pid.load(Ordering::Relaxed));
        let pid = std::process::id();
        assert_eq!(pids, [pid, pid, 0], "of the last nobody has had to know");
        drop(shards[2].lock_for_long());
        assert_eq!(shards[2].made().unwrap().pid.load(Ordering::Relaxed), pid);
        assert_eq!(held.map(|held| held.len()), [1, 1], "as they were");
    }
}
