//! The guards of `Mutex`: borrowed or owned, of the whole value or of a part.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::mutex::Mutex;
use super::raw::{Exclusive, Lock, Raw};
use super::shown_as_target;

/// Access to the value of a [`Mutex`]; unlocks on drop.
#[clippy::has_significant_drop]
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct MutexGuard<'a, T: ?Sized> {
    access: Exclusive<&'a Mutex<T>>,
}

/// As [`MutexGuard`], by an `Arc` of the mutex.
#[clippy::has_significant_drop]
pub struct OwnedMutexGuard<T: ?Sized> {
    access: Exclusive<Arc<Mutex<T>>>,
}

/// Access to a part of the value of a [`Mutex`], made by [`MutexGuard::map`].
#[clippy::has_significant_drop]
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct MappedMutexGuard<'a, T: ?Sized> {
    access: Exclusive<&'a Raw>,
    /// Within the mutex' value, and ours alone.
    part: *mut T,
    marker: PhantomData<&'a mut T>,
}

/// As [`MappedMutexGuard`], by an `Arc` of the mutex.
#[clippy::has_significant_drop]
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct OwnedMappedMutexGuard<T: ?Sized, U: ?Sized = T> {
    access: Exclusive<Arc<Mutex<T>>>,
    /// Within the mutex' value, and ours alone.
    part: *mut U,
}

// SAFETY: a shared guard gives out `&T` alone.
unsafe impl<T: ?Sized + Send + Sync> Sync for MutexGuard<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Sync for OwnedMutexGuard<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for MappedMutexGuard<'_, T> {}
// SAFETY: as a `&mut T`, and the lock may be released by any thread.
unsafe impl<T: ?Sized + Send> Send for MappedMutexGuard<'_, T> {}
// SAFETY: a shared guard gives out `&U` alone.
unsafe impl<T: ?Sized + Send + Sync, U: ?Sized + Send + Sync> Sync for OwnedMappedMutexGuard<T, U> {}
// SAFETY: as a `&mut U` and an `Arc` of the mutex, and the lock may be released by any thread.
unsafe impl<T: ?Sized + Send, U: ?Sized + Send> Send for OwnedMappedMutexGuard<T, U> {}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    #[inline]
    pub(super) fn new(access: Exclusive<&'a Mutex<T>>) -> Self {
        MutexGuard { access }
    }

    /// A guard of the part that `f` points out.
    pub fn map<U: ?Sized, F>(mut this: Self, f: F) -> MappedMutexGuard<'a, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        let part: *mut U = f(&mut this);
        MappedMutexGuard { access: this.access.map(Mutex::raw), part, marker: PhantomData }
    }

    /// A guard of the part that `f` points out.
    ///
    /// # Errors
    /// The guard itself if `f` points out none.
    pub fn try_map<U: ?Sized, F>(mut this: Self, f: F) -> Result<MappedMutexGuard<'a, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        let Some(part) = f(&mut this).map(std::ptr::from_mut) else { return Err(this) };
        Ok(MappedMutexGuard { access: this.access.map(Mutex::raw), part, marker: PhantomData })
    }

    /// The mutex that it locks.
    pub fn mutex(this: &Self) -> &'a Mutex<T> {
        this.access.lock
    }
}

impl<T: ?Sized> OwnedMutexGuard<T> {
    #[inline]
    pub(super) fn new(access: Exclusive<Arc<Mutex<T>>>) -> Self {
        OwnedMutexGuard { access }
    }

    /// A guard of the part that `f` points out.
    pub fn map<U: ?Sized, F>(mut this: Self, f: F) -> OwnedMappedMutexGuard<T, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        let part: *mut U = f(&mut this);
        OwnedMappedMutexGuard { access: this.access, part }
    }

    /// A guard of the part that `f` points out.
    ///
    /// # Errors
    /// The guard itself if `f` points out none.
    pub fn try_map<U: ?Sized, F>(mut this: Self, f: F) -> Result<OwnedMappedMutexGuard<T, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        let Some(part) = f(&mut this).map(std::ptr::from_mut) else { return Err(this) };
        Ok(OwnedMappedMutexGuard { access: this.access, part })
    }

    /// The mutex that it locks.
    pub fn mutex(this: &Self) -> &Arc<Mutex<T>> {
        &this.access.lock
    }
}

impl<'a, T: ?Sized> MappedMutexGuard<'a, T> {
    /// A guard of the part that `f` points out.
    pub fn map<U: ?Sized, F>(mut this: Self, f: F) -> MappedMutexGuard<'a, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        let part: *mut U = f(&mut this);
        MappedMutexGuard { access: this.access, part, marker: PhantomData }
    }

    /// A guard of the part that `f` points out.
    ///
    /// # Errors
    /// The guard itself if `f` points out none.
    pub fn try_map<U: ?Sized, F>(mut this: Self, f: F) -> Result<MappedMutexGuard<'a, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        let Some(part) = f(&mut this).map(std::ptr::from_mut) else { return Err(this) };
        Ok(MappedMutexGuard { access: this.access, part, marker: PhantomData })
    }
}

impl<T: ?Sized, U: ?Sized> OwnedMappedMutexGuard<T, U> {
    /// A guard of the part that `f` points out.
    pub fn map<S: ?Sized, F>(mut this: Self, f: F) -> OwnedMappedMutexGuard<T, S>
    where
        F: FnOnce(&mut U) -> &mut S,
    {
        let part: *mut S = f(&mut this);
        OwnedMappedMutexGuard { access: this.access, part }
    }

    /// A guard of the part that `f` points out.
    ///
    /// # Errors
    /// The guard itself if `f` points out none.
    pub fn try_map<S: ?Sized, F>(mut this: Self, f: F) -> Result<OwnedMappedMutexGuard<T, S>, Self>
    where
        F: FnOnce(&mut U) -> Option<&mut S>,
    {
        let Some(part) = f(&mut this).map(std::ptr::from_mut) else { return Err(this) };
        Ok(OwnedMappedMutexGuard { access: this.access, part })
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard stands for the lock being held.
        unsafe { &*self.access.lock.value() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed exclusively.
        unsafe { &mut *self.access.lock.value() }
    }
}

impl<T: ?Sized> Deref for OwnedMutexGuard<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard stands for the lock being held.
        unsafe { &*self.access.lock.value() }
    }
}

impl<T: ?Sized> DerefMut for OwnedMutexGuard<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed exclusively.
        unsafe { &mut *self.access.lock.value() }
    }
}

impl<T: ?Sized> Deref for MappedMutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: within the value, which stays where it is; the guard stands for the lock being held.
        unsafe { &*self.part }
    }
}

impl<T: ?Sized> DerefMut for MappedMutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed exclusively.
        unsafe { &mut *self.part }
    }
}

impl<T: ?Sized, U: ?Sized> Deref for OwnedMappedMutexGuard<T, U> {
    type Target = U;

    #[inline]
    fn deref(&self) -> &U {
        // SAFETY: within the value, which the `Arc` keeps alive; the guard stands for the lock being held.
        unsafe { &*self.part }
    }
}

impl<T: ?Sized, U: ?Sized> DerefMut for OwnedMappedMutexGuard<T, U> {
    #[inline]
    fn deref_mut(&mut self) -> &mut U {
        // SAFETY: as above, and the guard is borrowed exclusively.
        unsafe { &mut *self.part }
    }
}

shown_as_target!(['a, T: ?Sized] MutexGuard<'a, T>);
shown_as_target!([T: ?Sized] OwnedMutexGuard<T>);
shown_as_target!(['a, T: ?Sized] MappedMutexGuard<'a, T>);
shown_as_target!([T: ?Sized, U: ?Sized] OwnedMappedMutexGuard<T, U>);
