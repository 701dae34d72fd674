//! The bare lock under `Mutex`: one file per way to sleep, with the same items.
//!
//! Written here rather than taken from std because the three moments that matter are inside a lock, not around it:
//! spinning has failed and a sleep begins; the sleep is over; a sleeper is about to be let in. The uncontended path is
//! what it is in std: one atomic operation to lock, one to unlock.

#[cfg_attr(any(target_os = "linux", target_os = "android"), path = "futex_linux.rs")]
#[cfg_attr(not(any(target_os = "linux", target_os = "android")), path = "parking_lot_other.rs")]
mod lock;

pub(super) use lock::RawMutex;

#[cfg(test)]
mod tests {
    use super::RawMutex;
    use std::cell::UnsafeCell;

    fn unlock(lock: &RawMutex) {
        if !lock.unlock_if_nobody_sleeps() {
            lock.unlock_and_wake();
        }
    }

    #[test]
    fn excludes_and_wakes() {
        const ROUNDS: u64 = if cfg!(miri) { 100 } else { 50_000 };
        struct Shared(RawMutex, UnsafeCell<u64>);
        // SAFETY: the cell is touched only under the lock.
        unsafe impl Sync for Shared {}
        let shared = Shared(RawMutex::new(), UnsafeCell::new(0));
        let shared = &shared;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || {
                    for _ in 0..ROUNDS {
                        if !shared.0.try_lock() && !shared.0.spin() {
                            shared.0.sleep();
                        }
                        // SAFETY: locked.
                        unsafe { *shared.1.get() += 1 };
                        unlock(&shared.0);
                    }
                });
            }
        });
        // SAFETY: the threads are gone.
        assert_eq!(unsafe { *shared.1.get() }, 4 * ROUNDS);
        assert!(shared.0.try_lock());
        assert!(!shared.0.try_lock());
    }

    #[test]
    fn tells_its_holder_of_sleepers() {
        // The other thread has a moment to fall asleep, which may prove too short, but not each time.
        let told = (0..100).any(|_| {
            let lock = &RawMutex::new();
            assert!(lock.try_lock());
            let told = std::thread::scope(|scope| {
                let sleeper = scope.spawn(move || {
                    let slept = lock.sleep();
                    unlock(lock);
                    slept
                });
                std::thread::sleep(std::time::Duration::from_millis(5));
                let told = !lock.unlock_if_nobody_sleeps();
                if told {
                    lock.unlock_and_wake();
                }
                assert!(sleeper.join().unwrap() || !told, "told of somebody who did not sleep");
                told
            });
            assert!(lock.try_lock());
            told
        });
        assert!(told);
    }
}
