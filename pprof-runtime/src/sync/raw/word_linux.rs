//! An atomic word that threads can sleep on: a futex.

use std::sync::atomic::AtomicU32;

#[derive(Debug)]
pub(crate) struct Word(AtomicU32);

impl Word {
    pub(crate) const fn new(value: u32) -> Self {
        Word(AtomicU32::new(value))
    }

    /// The value, for looking at it and changing it.
    #[inline]
    pub(crate) fn atomic(&self) -> &AtomicU32 {
        &self.0
    }

    pub(crate) fn get_mut(&mut self) -> &mut u32 {
        self.0.get_mut()
    }

    /// Sleeps while the value is `seen`; may return early, so look again.
    pub(crate) fn sleep(&self, seen: u32) {
        let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
        let forever = std::ptr::null::<libc::timespec>();
        // SAFETY: the word is valid for the call and the kernel only reads it. Any outcome (woken, changed, interrupted)
        // means: look again.
        unsafe { libc::syscall(libc::SYS_futex, self.0.as_ptr(), operation, seen, forever) };
    }

    /// Wakes all that sleep on it. Whoever began to sleep after the value was changed does not sleep.
    pub(crate) fn wake_all(&self) {
        let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: the kernel uses the address as a key only.
        unsafe { libc::syscall(libc::SYS_futex, self.0.as_ptr(), operation, i32::MAX) };
    }
}
