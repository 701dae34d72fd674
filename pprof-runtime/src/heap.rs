//! What the `heap` profile can show beside what Go's does.
//!
//! The profile itself is [`lookup`](crate::lookup)`("heap")`, of a program whose allocator is an [`Alloc`](crate::Alloc), once
//! [`set_mem_profile_rate`](crate::set_mem_profile_rate) was called.

use std::alloc::System;
use std::time::Duration;

use crate::encode;
use crate::error::Error;
use crate::profile::Profile;
use crate::source::heap;

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
    heap::unobserved(|| {
        let snapshot = heap::snapshot_by_age(older_than)?;
        Ok(Profile::new("heap", encode::stacks(&encode::heap(heap::rate()), &snapshot)?))
    })
}

/// Asks the allocator inside of [`Alloc`](crate::Alloc) to give back to the system what it keeps; nothing if it is not known how.
///
/// So does `/debug/pprof/heap?gc=1`, before it takes the profile, which is the same with it: what was freed is in none.
pub fn purge() {
    heap::purge();
}

/// What an allocator says of itself, for the text form of the `heap` profile: whether memory that the program has not in use is in it.
///
/// That of [`System`] is built in, with the GNU C library. Others are made known by [`describe`].
pub trait Allocator: Sync {
    /// `None` if it does not know.
    fn statistics(&self) -> Option<Statistics>;

    /// Gives back to the system what it keeps.
    fn purge(&self) {}
}

/// In bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// In objects that are in use.
    pub allocated: u64,
    /// Got from the system, and not given back.
    pub mapped: u64,
    /// Of those, free: what could be allocated without the system.
    pub free: u64,
}

/// Makes known what the allocator inside of [`Alloc`](crate::Alloc) says of itself. False if that was done before.
///
/// # Examples
/// ```
/// use pprof_runtime::heap::{Allocator, Statistics, describe};
///
/// struct Jemalloc;
///
/// impl Allocator for Jemalloc {
///     fn statistics(&self) -> Option<Statistics> {
///         // From `tikv_jemalloc_ctl::stats`, after its `epoch::advance()`.
///         let (allocated, resident) = (40 << 20, 64 << 20);
///         Some(Statistics { allocated, mapped: resident, free: resident - allocated })
///     }
/// }
///
/// assert!(describe(&Jemalloc));
/// ```
pub fn describe(allocator: &'static dyn Allocator) -> bool {
    heap::describe(allocator)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
impl Allocator for System {
    fn statistics(&self) -> Option<Statistics> {
        // SAFETY: always valid to call.
        let info = unsafe { libc::mallinfo2() };
        let (arenas, mapped) = (info.arena as u64, info.hblkhd as u64);
        Some(Statistics {
            allocated: info.uordblks as u64 + mapped,
            mapped: arenas + mapped,
            free: info.fordblks as u64,
        })
    }

    fn purge(&self) {
        // SAFETY: always valid to call.
        unsafe { libc::malloc_trim(0) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
impl Allocator for System {
    fn statistics(&self) -> Option<Statistics> {
        None
    }
}
