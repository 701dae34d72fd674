//! What the kernel calls the calling thread. Miri, which does not know these calls, counts as another system.

/// Bytes of a name, padded with zeros.
pub(crate) type Name = [u8; 16];

/// The kernel's number of the calling thread, and its name, of which the kernel keeps 15 bytes.
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) fn identify() -> (u32, Name) {
    let mut name = [0; 16];
    // SAFETY: fills the 16 bytes it is given.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    // SAFETY: a system call without arguments.
    let id = unsafe { libc::gettid() };
    (id.unsigned_abs(), name)
}

/// Elsewhere threads have no number, and the names that are there cannot be had without allocating.
#[cfg(any(not(target_os = "linux"), miri))]
pub(crate) fn identify() -> (u32, Name) {
    (0, [0; 16])
}

/// Has these bytes, whole pages of anonymous memory, read as zero in a forked child. False if the kernel cannot.
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) fn wipe_on_fork<T>(memory: &'static T) -> bool {
    let start = std::ptr::from_ref(memory).cast_mut().cast();
    // SAFETY: changes nothing in this process; refused with an error if the range is not as demanded.
    unsafe { libc::madvise(start, size_of::<T>(), libc::MADV_WIPEONFORK) == 0 }
}

/// Not there elsewhere: a child takes over what its parent's threads were doing.
#[cfg(any(not(target_os = "linux"), miri))]
pub(crate) fn wipe_on_fork<T>(_memory: &'static T) -> bool {
    false
}
