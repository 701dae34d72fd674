//! How much is in use, and what that was when it was most.
//!
//! The counters of all stacks are copied whenever an eighth more is in use than at the last copy, by whoever allocates it: some 50 ns for each
//! stack. What is in use at a peak is known to that eighth.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::{TABLE, weight};

/// All of these in the bits of `weight`: how much is in use, was when it was copied, and makes the next copy.
static IN_USE: AtomicI64 = AtomicI64::new(0);
static COPIED: AtomicI64 = AtomicI64::new(0);
static NEXT: AtomicI64 = AtomicI64::new(FIRST);

/// When it was copied, in milliseconds of the system's time.
static WHEN: AtomicU64 = AtomicU64::new(0);

/// Somebody copies.
static COPIES: AtomicBool = AtomicBool::new(false);

/// Less is not worth it: 4 MiB.
const FIRST: i64 = (4 << 20) << weight::BYTE_BITS;

/// So much more is in use.
pub(super) fn grow(bytes: i64) {
    // ORDERING: Relaxed, all: numbers that order nothing.
    let in_use = IN_USE.fetch_add(bytes, Ordering::Relaxed).wrapping_add(bytes);
    if in_use > NEXT.load(Ordering::Relaxed) {
        copy(in_use);
    }
}

pub(super) fn shrink(bytes: i64) {
    // ORDERING: Relaxed, as above.
    IN_USE.fetch_sub(bytes, Ordering::Relaxed);
}

/// Bytes in use, estimated.
pub(crate) fn in_use() -> u64 {
    // ORDERING: Relaxed, as above. Below zero for a moment.
    u64::try_from(weight::whole(0, IN_USE.load(Ordering::Relaxed))[1]).unwrap_or(0)
}

#[cold]
#[inline(never)]
fn copy(in_use: i64) {
    // ORDERING: Acquire pairs with the Release below: the copy before is whole.
    if COPIES.swap(true, Ordering::Acquire) {
        return;
    }
    // ORDERING: Relaxed, all, as above.
    if in_use > COPIED.load(Ordering::Relaxed)
        && let Some(table) = TABLE.get()
    {
        table.for_each(|counters| {
            let [freed, freed_bytes, made, made_bytes, peak, peak_bytes] = counters.read();
            let objects = weight::in_use(made, freed).wrapping_sub(peak);
            let bytes = weight::in_use(made_bytes, freed_bytes).wrapping_sub(peak_bytes);
            counters.add([0, 0, 0, 0, objects, bytes]);
        });
        COPIED.store(in_use, Ordering::Relaxed);
        NEXT.store(in_use.saturating_add(in_use / 8).max(FIRST), Ordering::Relaxed);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        WHEN.store(now.as_millis() as u64, Ordering::Relaxed);
    }
    COPIES.store(false, Ordering::Release);
}

/// Copies what is in use if it is more than it ever was. Returns when it was most.
pub(super) fn find() -> SystemTime {
    // ORDERING: Relaxed, as above.
    copy(IN_USE.load(Ordering::Relaxed));
    SystemTime::UNIX_EPOCH + Duration::from_millis(WHEN.load(Ordering::Relaxed))
}

/// Forgets what was copied; `forget` sets the columns to zero, while nobody copies.
pub(super) fn reset(forget: impl FnOnce()) {
    // Not inside of an allocator: it may wait. ORDERING: as in `copy`.
    while COPIES.swap(true, Ordering::Acquire) {
        std::thread::yield_now();
    }
    forget();
    // ORDERING: Relaxed, both, as above.
    COPIED.store(0, Ordering::Relaxed);
    NEXT.store(FIRST, Ordering::Relaxed);
    COPIES.store(false, Ordering::Release);
}

/// In a forked child: who copied is not there.
pub(super) fn begin_child() {
    // ORDERING: Relaxed: there is one thread.
    COPIES.store(false, Ordering::Relaxed);
}
