//! What walking stacks outside of signal handlers needs, for as long as the process lives.

use std::time::Duration;

use parking_lot::Mutex;

use super::ticker::Ticker;
use crate::capture::unwind;
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
        *ticker = Ticker::start("pprof-modules", REFRESH_INTERVAL, refresh).ok();
    }
}
