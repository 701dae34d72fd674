//! What the `heap` profile can show beside what Go's does.
//!
//! The profile itself is [`lookup`]`("heap")`, of a program whose allocator is an [`Alloc`](crate::Alloc), once
//! [`set_mem_profile_rate`](crate::set_mem_profile_rate) was called.

mod frames;
mod leaks;
mod mismatches;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::encode;
use crate::error::{Error, ErrorKind};
use crate::profile::{Profile, lookup};
use crate::source::heap;
use crate::source::ticker::Ticker;

pub use crate::source::heap::{Allocator, Statistics};
pub use frames::Frame;
pub use leaks::{Leak, Leaks};
pub use mismatches::{Mismatch, mismatches};

/// The profile of what is in use, with the age of the objects as the label `age`, in seconds: of the steps 0, 1, 4, 16, 64 and so on the last
/// that they have reached.
///
/// Only of objects that are as old as `older_than` at least. What was allocated in all, in the first two columns, is in samples without
/// that label.
///
/// What lives long, and is more with each look, is a leak or a cache: `go tool pprof -tagfocus=age=64s:` shows what is older than a minute.
/// Over HTTP it is `/debug/pprof/heap?age=1` and `?older=60`.
///
/// # Errors
/// As [`Source::snapshot`](crate::Source::snapshot).
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// let profile = pprof_runtime::heap::by_age(Duration::from_secs(60))?;
/// profile.write_to(std::io::sink())?;
/// # Ok::<(), pprof_runtime::Error>(())
/// ```
pub fn by_age(older_than: Duration) -> Result<Profile, Error> {
    aged("heap-by-age", older_than)
}

fn aged(name: &'static str, older_than: Duration) -> Result<Profile, Error> {
    heap::unobserved(|| {
        let snapshot = heap::snapshot_by_age(older_than)?;
        Ok(Profile::new(name, encode::stacks(&encode::heap(heap::rate()), &snapshot)?))
    })
}

/// The profile of what was in use when that was most, since the rate was first set or the profile was reset; its time is when that was.
///
/// Sample types are `peak_objects` and `peak_space`. The peak is known to an eighth, and from 4 MiB on: counters are copied whenever so much more is in
/// use than at the last copy. Over HTTP it is `/debug/pprof/heap?peak=1`.
///
/// # Errors
/// As [`Source::snapshot`](crate::Source::snapshot).
pub fn peak() -> Result<Profile, Error> {
    heap::unobserved(|| {
        let shape = encode::objects(["peak_objects", "peak_space"], heap::rate());
        Ok(Profile::new("heap-peak", encode::stacks(&shape, &heap::snapshot_of_peak()?)?))
    })
}

/// Switches the keeping of how long objects live on or off, and returns the former setting. Off initially.
///
/// # Overhead
/// Some 0.2 µs for each sample that is freed, and up to 12 MB where there are many stacks.
pub fn set_lifetimes(on: bool) -> bool {
    heap::set_lifetimes(on)
}

/// The profile of what was freed while [`set_lifetimes`] was on, with how long it had lived as the label `lifetime`: `up to 10us`, `up to 100us` and so
/// on, and `longer` than 10 seconds.
///
/// Sample types are `freed_objects` and `freed_space`. What lives short and is much is work for the allocator that a buffer which is kept would
/// save. Over HTTP it is `/debug/pprof/heap?lifetimes=1`.
///
/// # Errors
/// As [`Source::snapshot`](crate::Source::snapshot).
///
/// # Examples
/// ```
/// pprof_runtime::heap::set_lifetimes(true);
/// // ... work ...
/// let profile = pprof_runtime::heap::lifetimes()?;
/// profile.write_to(std::io::sink())?;
/// # Ok::<(), pprof_runtime::Error>(())
/// ```
pub fn lifetimes() -> Result<Profile, Error> {
    heap::unobserved(|| {
        let shape = encode::objects(["freed_objects", "freed_space"], heap::rate());
        Ok(Profile::new("heap-lifetimes", encode::stacks(&shape, &heap::snapshot_of_lifetimes()?)?))
    })
}

/// Bytes in use, as the samples tell; zero before the rate was set.
#[must_use]
pub fn in_use() -> u64 {
    heap::in_use()
}

/// Calls `on_crossing` with the heap profile whenever [`in_use`] has come to be `bytes` or more, until the result is dropped; again once it was an
/// eighth below that.
///
/// It is looked at ten times a second, by a thread of ours, in which the call is made; what is shorter may be missed. If it panics, the
/// watch goes on. What it waits for is in no profile of waits. The thread has its name, `pprof-heap`, from the system: std knows none.
/// Signals to the process are blocked there, and in processes that it starts.
///
/// # Errors
/// `System` if there is no thread to be had.
///
/// # Examples
/// ```no_run
/// let watch = pprof_runtime::heap::watch(2 << 30, |profile| {
///     let written = std::fs::File::create("large.pb.gz").map(|file| profile.write_to(file));
///     if !matches!(written, Ok(Ok(()))) {
///         eprintln!("the profile of the large heap could not be written");
///     }
/// })?;
/// watch.detach();
/// # Ok::<(), pprof_runtime::Error>(())
/// ```
pub fn watch(
    bytes: u64,
    mut on_crossing: impl FnMut(&Profile) + Send + 'static,
) -> Result<Watch, Error> {
    const INTERVAL: Duration = Duration::from_millis(100);
    let mut is_above = false;
    let tick = move || {
        let in_use = heap::in_use();
        if !is_above && in_use >= bytes {
            is_above = true;
            if let Some(Ok(profile)) = lookup("heap").map(|heap| heap.snapshot()) {
                let call = || heap::observed(|| on_crossing(&profile));
                // What it panics with was told by the panic hook.
                let _ = catch_unwind(AssertUnwindSafe(call));
            }
        } else if in_use < bytes - bytes / 8 {
            is_above = false;
        }
        INTERVAL
    };
    match Ticker::start(c"pprof-heap", INTERVAL, tick) {
        Ok(ticker) => Ok(Watch { _ticker: ticker }),
        Err(e) => {
            let message = format!("cannot start the thread that watches the heap: {e}");
            Err(Error::with_source(ErrorKind::System, message, e))
        }
    }
}

/// Watches the heap until it is dropped; made by [`watch`].
#[derive(Debug)]
#[must_use = "dropping it ends the watch"]
pub struct Watch {
    _ticker: Ticker,
}

impl Watch {
    /// Watches until the process ends.
    pub fn detach(self) {
        std::mem::forget(self);
    }
}

/// Where what is in use and older than `older_than` was allocated, the most first.
///
/// At the end of `main`, with a tenth of its time, say, it tells what was forgotten: what is in statics and thread-locals is there as well.
///
/// # Errors
/// As [`Source::snapshot`](crate::Source::snapshot).
///
/// # Examples
/// ```
/// let leaks = pprof_runtime::heap::leaks(std::time::Duration::from_secs(60))?;
/// println!("{leaks}");
/// # Ok::<(), pprof_runtime::Error>(())
/// ```
pub fn leaks(older_than: Duration) -> Result<Leaks, Error> {
    Ok(Leaks::of(by_age(older_than)?.proto(), older_than))
}

/// What is not freed, as a profile and as what to tell of it.
pub(crate) fn in_use_at_exit() -> Result<(Profile, Leaks), Error> {
    let profile = aged("leaks", Duration::ZERO)?;
    let leaks = Leaks::of(profile.proto(), Duration::ZERO);
    Ok((profile, leaks))
}

/// Asks the allocator inside of [`Alloc`](crate::Alloc) to give back to the system what it keeps; nothing if it is not known how.
///
/// So does `/debug/pprof/heap?gc=1`, before it takes the profile, which is the same with it: what was freed is in none.
pub fn purge() {
    heap::purge();
}

/// Makes known what the allocator inside of [`Alloc`](crate::Alloc) says of itself, if that is not [built in](Allocator). False if that was done
/// before.
///
/// # Examples
/// ```
/// use pprof_runtime::heap::{Allocator, Statistics, describe};
///
/// struct Arenas;
///
/// impl Allocator for Arenas {
///     fn statistics(&self) -> Option<Statistics> {
///         // From the allocator's own counters.
///         let (allocated, resident) = (40 << 20, 64 << 20);
///         Some(Statistics::new(allocated, resident, resident - allocated))
///     }
/// }
///
/// assert!(describe(&Arenas));
/// ```
pub fn describe(allocator: &'static dyn Allocator) -> bool {
    heap::describe(allocator)
}
