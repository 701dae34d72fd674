//! The allocator inside: what it is, what it says of itself, and how it is asked to give memory back.

use std::alloc::System;
use std::any::type_name;
use std::sync::atomic::{AtomicPtr, Ordering};

use once_cell::sync::OnceCell;

#[cfg(feature = "jemalloc")]
mod jemalloc;
#[cfg(feature = "mimalloc")]
mod mimalloc;
mod system;

/// What an allocator says of itself, for the text form of the `heap` profile: whether memory that the program has not in use is in it.
///
/// Built in are [`System`]'s, with the GNU C library from 2.33 on, and with the features of these names `jemalloc`'s (tikv-jemallocator) and
/// `mimalloc`'s, which can be purged and knows no statistics. Others are made known by [`describe`](crate::heap::describe).
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

/// A function that tells the type's name; null before there was one.
static NAME: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

static DESCRIBED: OnceCell<&'static dyn Allocator> = OnceCell::new();

/// An allocator of this type was asked for memory.
pub(super) fn note<A>() {
    let name = type_name::<A> as Name as *mut ();
    // ORDERING: Relaxed, both: code, which is there.
    if NAME.load(Ordering::Relaxed) != name {
        NAME.store(name, Ordering::Relaxed);
    }
}

/// Its type.
pub(crate) fn name() -> Option<&'static str> {
    // ORDERING: Relaxed, as above.
    let name = NAME.load(Ordering::Relaxed);
    if name.is_null() {
        return None;
    }
    // SAFETY: stored from such a function.
    let name: Name = unsafe { std::mem::transmute(name) };
    Some(name())
}

/// False if there is one.
pub(crate) fn describe(allocator: &'static dyn Allocator) -> bool {
    DESCRIBED.set(allocator).is_ok()
}

/// Tells a type's name.
type Name = fn() -> &'static str;

/// Types that need not be described.
static BUILT_IN: &[(Name, &dyn Allocator)] = &[
    (type_name::<System>, &System),
    #[cfg(feature = "jemalloc")]
    (type_name::<tikv_jemallocator::Jemalloc>, &tikv_jemallocator::Jemalloc),
    #[cfg(feature = "mimalloc")]
    (type_name::<::mimalloc::MiMalloc>, &::mimalloc::MiMalloc),
];

fn described() -> Option<&'static dyn Allocator> {
    let built_in = || {
        let name = name()?;
        BUILT_IN.iter().find(|(of, _)| of() == name).map(|(_, allocator)| *allocator)
    };
    DESCRIBED.get().copied().or_else(built_in)
}

pub(crate) fn statistics() -> Option<Statistics> {
    described()?.statistics()
}

pub(crate) fn purge() {
    if let Some(allocator) = described() {
        allocator.purge();
    }
}
