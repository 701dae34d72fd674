//! The allocator inside: what it is, what it says of itself, and how it is asked to give memory back.

use std::alloc::System;
use std::any::type_name;
use std::sync::atomic::{AtomicPtr, Ordering};

use once_cell::sync::OnceCell;

/// What an allocator says of itself, for the text form of the `heap` profile: whether memory that the program has not in use is in it.
///
/// That of [`System`] is built in, with the GNU C library from 2.33 on. Others are made known by [`describe`](crate::heap::describe).
pub trait Allocator: Sync {
    /// `None` if it does not know.
    fn statistics(&self) -> Option<Statistics>;

    /// Gives back to the system what it keeps.
    fn purge(&self) {}
}

/// In bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// In objects that are in use.
    pub allocated: u64,
    /// Got from the system, and not given back.
    pub mapped: u64,
    /// Of those, free: what could be allocated without the system.
    pub free: u64,
}

impl Statistics {
    /// Of these numbers of bytes.
    #[must_use]
    pub const fn new(allocated: u64, mapped: u64, free: u64) -> Statistics {
        Statistics { allocated, mapped, free }
    }
}

/// A function that tells the type's name; null before a sample was made.
static NAME: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

static DESCRIBED: OnceCell<&'static dyn Allocator> = OnceCell::new();

/// A sample is made of an allocator of this type.
pub(super) fn note<A>() {
    let name: fn() -> &'static str = type_name::<A>;
    // ORDERING: Relaxed: code, which is there.
    NAME.store(name as *mut (), Ordering::Relaxed);
}

/// Its type.
pub(crate) fn name() -> Option<&'static str> {
    // ORDERING: Relaxed, as above.
    let name = NAME.load(Ordering::Relaxed);
    if name.is_null() {
        return None;
    }
    // SAFETY: stored from such a function.
    let name: fn() -> &'static str = unsafe { std::mem::transmute(name) };
    Some(name())
}

/// False if there is one.
pub(crate) fn describe(allocator: &'static dyn Allocator) -> bool {
    DESCRIBED.set(allocator).is_ok()
}

fn described() -> Option<&'static dyn Allocator> {
    let is_system = || name() == Some(type_name::<System>());
    DESCRIBED.get().copied().or_else(|| is_system().then_some(&System as &dyn Allocator))
}

pub(crate) fn statistics() -> Option<Statistics> {
    described()?.statistics()
}

pub(crate) fn purge() {
    if let Some(allocator) = described() {
        allocator.purge();
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
impl Allocator for System {
    fn statistics(&self) -> Option<Statistics> {
        // SAFETY: a name.
        let function = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"mallinfo2".as_ptr()) };
        // Of glibc from 2.33 on: a program linked to it would not start with an older one.
        if function.is_null() {
            return None;
        }
        // SAFETY: the function of that name, which has this type.
        let mallinfo2: unsafe extern "C" fn() -> libc::mallinfo2 =
            unsafe { std::mem::transmute(function) };
        // SAFETY: always valid to call.
        let info = unsafe { mallinfo2() };
        let (arenas, mapped) = (info.arena as u64, info.hblkhd as u64);
        Some(Statistics::new(info.uordblks as u64 + mapped, arenas + mapped, info.fordblks as u64))
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
