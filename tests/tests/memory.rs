//! What recording waits costs in memory: nothing for each lock, and no allocation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use pprof_runtime::sync::Mutex;
use pprof_tests::sum;
use pprof_tests::waits::snapshot;

/// Counts the allocations of threads that ask for it.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<Option<u64>> = const { Cell::new(None) };
}

// SAFETY: everything is the system allocator's; counting touches a thread-local without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get().map(|count| count + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LOCKS: u64 = 1_000_000;
/// What has its place after this many is there already.
const WARM_UP: u64 = 50_000;

/// The lock of the moment.
static LOCK: AtomicPtr<Mutex<()>> = AtomicPtr::new(std::ptr::null_mut());
static ARRIVED: AtomicU64 = AtomicU64::new(0);
static DONE: AtomicU64 = AtomicU64::new(0);

#[test]
fn a_million_locks_leave_nothing() {
    pprof_runtime::set_mutex_profile_fraction(1);
    pprof_runtime::set_block_profile_rate(1);
    let (before, after, allocations) = std::thread::scope(|scope| {
        let waiter = scope.spawn(wait_for_each);
        let (before, after) = hold_each();
        (before, after, waiter.join().unwrap())
    });
    let waits =
        sum(&snapshot("block"), 0, |names| names.iter().any(|n| n.ends_with("::wait_for_each")));
    println!("{waits} waits, {allocations} allocations, resident {before} to {after} bytes");
    assert!(
        waits as u64 > LOCKS / 2,
        "{waits} waits: too few locks were contended to show anything"
    );
    assert_eq!(allocations, 0, "of the waiter, while it waited");
    assert!(after < before + (1 << 20), "resident {before} to {after} bytes");
}

/// Makes, holds, and drops the locks, each until somebody has waited for it. Resident bytes after the warm-up and at the end.
fn hold_each() -> (u64, u64) {
    let mut before = 0;
    for number in 1..=LOCKS {
        if number == WARM_UP {
            before = resident();
        }
        let lock = Box::into_raw(Box::new(Mutex::new(())));
        // SAFETY: made above, dropped below when the other thread is done with it.
        let guard = unsafe { &*lock }.lock().unwrap();
        LOCK.store(lock, Ordering::Release);
        wait_until(&ARRIVED, number);
        // Long enough for it to give up spinning.
        (0..400).for_each(|_| std::hint::spin_loop());
        drop(guard);
        wait_until(&DONE, number);
        // SAFETY: from `Box::into_raw`.
        drop(unsafe { Box::from_raw(lock) });
    }
    (before, resident())
}

/// Returns how often it allocated.
#[inline(never)]
fn wait_for_each() -> u64 {
    for number in 1..=LOCKS {
        let lock = loop {
            // Null from when this thread is done with a lock until the next one is there.
            let lock = LOCK.load(Ordering::Acquire);
            if !lock.is_null() {
                break lock;
            }
            std::thread::yield_now();
        };
        ARRIVED.store(number, Ordering::Release);
        // SAFETY: it is dropped only when `DONE` says so.
        drop(unsafe { &*lock }.lock().unwrap());
        LOCK.store(std::ptr::null_mut(), Ordering::Relaxed);
        DONE.store(number, Ordering::Release);
        if number == WARM_UP {
            ALLOCATIONS.set(Some(0));
        }
    }
    ALLOCATIONS.take().unwrap_or_default()
}

fn wait_until(counter: &AtomicU64, value: u64) {
    while counter.load(Ordering::Acquire) != value {
        std::thread::yield_now();
    }
}

fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let resident: u64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
    resident * 4096
}
