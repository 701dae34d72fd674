//! What is under a lock, in a process that may fork.
//!
//! A forked child has the one thread that forked. A lock that another one held at that moment stays held, and what is under it may be half
//! changed: the child leaves it alone, and begins anew. Nobody waits for a thread that is not there, and what the child makes is whole.
//!
//! Locks are std's, not parking_lot's: that keeps those who sleep in a table of the process, where a child would find threads that it has not.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

/// A value and its lock; made when it is first looked at, and never freed.
#[derive(Debug)]
pub(super) struct Shard<T>(AtomicPtr<Mutex<T>>);

/// The process whose threads have the locks. A child has its parent's until `begin_child`.
static PID: AtomicU32 = AtomicU32::new(0);

/// Those that this process or one that it was forked from has left alone.
static ABANDONED: AtomicU64 = AtomicU64::new(0);

pub(super) fn abandoned() -> u64 {
    // ORDERING: Relaxed: a counter that orders nothing.
    ABANDONED.load(Ordering::Relaxed)
}

/// Notes whose the locks are.
pub(super) fn begin() {
    // ORDERING: Relaxed, here and below: other threads learn of it together with the shards; a child has it by the fork.
    PID.store(std::process::id(), Ordering::Relaxed);
}

/// In a forked child before anything else: what is locked now is so for good.
///
/// # Signal safety
/// Atomics, and a system call for a lock that was slept on.
pub(super) fn begin_child<T>(shards: &[Shard<T>]) {
    begin();
    for shard in shards {
        if let Some(mutex) = shard.made()
            && try_lock(mutex).is_none()
        {
            shard.abandon(mutex);
        }
    }
}

impl<T: Default> Shard<T> {
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        loop {
            let mutex = self.mutex();
            if let Some(guard) = try_lock(mutex) {
                return guard;
            }
            // ORDERING: Relaxed: as in `begin`.
            if PID.load(Ordering::Relaxed) == std::process::id() {
                return mutex.lock().unwrap_or_else(PoisonError::into_inner);
            }
            // A child that no handler has run in, as of `clone`. Threads of its own have it for microseconds.
            let wait = |_| {
                std::thread::sleep(Duration::from_micros(100));
                try_lock(mutex)
            };
            if let Some(guard) = (0..50).find_map(wait) {
                return guard;
            }
            self.abandon(mutex);
            begin();
        }
    }

    fn mutex(&self) -> &Mutex<T> {
        self.made().unwrap_or_else(|| {
            let made = Box::into_raw(Box::<Mutex<T>>::default());
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

    fn made(&self) -> Option<&Mutex<T>> {
        // SAFETY: null, or never freed.
        // ORDERING: Acquire pairs with the Release in `mutex`.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// Leaves what is there to a thread that has it and is gone; it stays as it is.
    fn abandon(&self, mutex: &Mutex<T>) {
        let there = ptr::from_ref(mutex).cast_mut();
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
}
