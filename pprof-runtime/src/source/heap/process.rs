//! What the system says of the process's memory.

/// Bytes of memory that the process has now; `None` if the system does not tell.
#[cfg(target_os = "linux")]
pub(crate) fn resident() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let resident: u64 = pages.split(' ').nth(1)?.parse().ok()?;
    // SAFETY: always valid to call.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    resident.checked_mul(u64::try_from(page).ok()?)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn resident() -> Option<u64> {
    None
}

/// The most that it has had, in bytes.
pub(crate) fn peak_resident() -> Option<u64> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: fills `usage` if it returns zero.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: as above.
    let peak = u64::try_from(unsafe { usage.assume_init() }.ru_maxrss).ok()?;
    // In KiB, but on Apple's systems.
    Some(if cfg!(target_vendor = "apple") { peak } else { peak.saturating_mul(1024) })
}
