//! What walking stacks outside of signal handlers needs, for as long as the process lives; and how many walks came to their end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::ticker::Ticker;
use crate::capture::unwind::{self, End};
use crate::clock;

/// How often the unwind tables follow objects that come and go.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// Everything that may allocate or take the loader's lock.
pub(super) fn prepare() {
    static FOLLOW_LOADER: Mutex<Option<Ticker>> = Mutex::new(None);
    clock::calibrate();
    unwind::refresh();
    let mut ticker = FOLLOW_LOADER.lock();
    if ticker.is_none() {
        // Without the thread, stacks through objects loaded later end early, and are counted as such.
        let refresh = || {
            unwind::refresh();
            REFRESH_INTERVAL
        };
        *ticker = Ticker::start(c"pprof-modules", REFRESH_INTERVAL, refresh).ok();
    }
}

/// How stacks ended.
pub(super) struct Ends([AtomicU64; End::COUNT]);

impl Ends {
    pub(super) const fn new() -> Ends {
        Ends([const { AtomicU64::new(0) }; End::COUNT])
    }

    pub(super) fn note(&self, end: End) {
        if let Some(count) = self.0.get(end as usize) {
            // ORDERING: Relaxed: a counter that orders nothing.
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn reset(&self) {
        // ORDERING: Relaxed, as above.
        self.0.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    }

    /// What a profile says of those that were cut short.
    pub(super) fn remarks(&self) -> impl Iterator<Item = String> {
        // ORDERING: Relaxed, as above.
        cut_short(self.0.each_ref().map(|count| count.load(Ordering::Relaxed)))
    }
}

/// As [`Ends::remarks`], of their numbers.
pub(super) fn cut_short(counts: [u64; End::COUNT]) -> impl Iterator<Item = String> {
    counts.into_iter().enumerate().filter_map(|(index, count)| {
        let end = End::from_index(index as u8).filter(|end| *end != End::Complete && count > 0)?;
        Some(format!("stacks cut short ({}): {count}", end.describe()))
    })
}
