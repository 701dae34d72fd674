//! The allocator inside: what it is, what it says of itself, and how it is asked to give memory back.

use std::alloc::System;
use std::any::type_name;
use std::sync::atomic::{AtomicPtr, Ordering};

use once_cell::sync::OnceCell;

use crate::heap::{Allocator, Statistics};

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
