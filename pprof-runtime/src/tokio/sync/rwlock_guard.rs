//! The guards of `RwLock`: of readers and writers, borrowed or owned, of the whole value or of a part.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::raw::{Exclusive, Raw, Shared};
use super::rwlock::RwLock;
use super::shown_as_target;

/// Shared access to the value of a [`RwLock`], or to a part of it; unlocks on drop.
#[clippy::has_significant_drop]
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    access: Shared<&'a Raw>,
    /// Within the lock's value.
    part: *const T,
    marker: PhantomData<&'a T>,
}

/// As [`RwLockReadGuard`], by an `Arc` of the lock.
#[clippy::has_significant_drop]
pub struct OwnedRwLockReadGuard<T: ?Sized, U: ?Sized = T> {
    access: Shared<Arc<RwLock<T>>>,
    /// Within the lock's value.
    part: *const U,
    marker: PhantomData<T>,
}

/// Exclusive access to the value of a [`RwLock`]; unlocks on drop.
#[clippy::has_significant_drop]
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    access: Exclusive<&'a Raw>,
    /// The lock's value.
    part: *mut T,
    marker: PhantomData<&'a mut T>,
}

/// As [`RwLockWriteGuard`], by an `Arc` of the lock.
#[clippy::has_significant_drop]
pub struct OwnedRwLockWriteGuard<T: ?Sized> {
    access: Exclusive<Arc<RwLock<T>>>,
    marker: PhantomData<T>,
}

/// Exclusive access to a part of the value of a [`RwLock`], made by [`RwLockWriteGuard::map`].
#[clippy::has_significant_drop]
pub struct RwLockMappedWriteGuard<'a, T: ?Sized> {
    access: Exclusive<&'a Raw>,
    /// Within the lock's value, and ours alone.
    part: *mut T,
    marker: PhantomData<&'a mut T>,
}

/// As [`RwLockMappedWriteGuard`], by an `Arc` of the lock.
#[clippy::has_significant_drop]
pub struct OwnedRwLockMappedWriteGuard<T: ?Sized, U: ?Sized = T> {
    access: Exclusive<Arc<RwLock<T>>>,
    /// Within the lock's value, and ours alone.
    part: *mut U,
    marker: PhantomData<T>,
}

// SAFETY: as a `&T`, and the lock may be released by any thread.
unsafe impl<T: ?Sized + Sync> Send for RwLockReadGuard<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLockReadGuard<'_, T> {}
// SAFETY: as a `&U` and an `Arc` of the lock, and the lock may be released by any thread.
unsafe impl<T: ?Sized + Send + Sync, U: ?Sized + Sync> Send for OwnedRwLockReadGuard<T, U> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync, U: ?Sized + Send + Sync> Sync for OwnedRwLockReadGuard<T, U> {}
// SAFETY: as a `&mut T`, and the lock may be released by any thread.
unsafe impl<T: ?Sized + Send + Sync> Send for RwLockWriteGuard<'_, T> {}
// SAFETY: a shared guard gives out `&T` alone.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLockWriteGuard<'_, T> {}
// SAFETY: as a `&mut T` and an `Arc` of the lock, and the lock may be released by any thread.
unsafe impl<T: ?Sized + Send + Sync> Send for OwnedRwLockWriteGuard<T> {}
// SAFETY: a shared guard gives out `&T` alone.
unsafe impl<T: ?Sized + Send + Sync> Sync for OwnedRwLockWriteGuard<T> {}
// SAFETY: as a `&mut T`, and the lock may be released by any thread.
unsafe impl<T: ?Sized + Send + Sync> Send for RwLockMappedWriteGuard<'_, T> {}
// SAFETY: a shared guard gives out `&T` alone.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLockMappedWriteGuard<'_, T> {}
// SAFETY: as a `&mut U` and an `Arc` of the lock, and the lock may be released by any thread.
unsafe impl<T: ?Sized + Send + Sync, U: ?Sized + Send + Sync> Send
    for OwnedRwLockMappedWriteGuard<T, U>
{
}
// SAFETY: a shared guard gives out `&U` alone.
unsafe impl<T: ?Sized + Send + Sync, U: ?Sized + Send + Sync> Sync
    for OwnedRwLockMappedWriteGuard<T, U>
{
}

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    #[inline]
    pub(super) fn new(access: Shared<&'a Raw>, part: *const T) -> Self {
        RwLockReadGuard { access, part, marker: PhantomData }
    }

    /// A guard of the part that `f` points out.
    pub fn map<F, U: ?Sized>(this: Self, f: F) -> RwLockReadGuard<'a, U>
    where
        F: FnOnce(&T) -> &U,
    {
        let part: *const U = f(&this);
        RwLockReadGuard::new(this.access, part)
    }

    /// A guard of the part that `f` points out.
    ///
    /// # Errors
    /// The guard itself if `f` points out none.
    pub fn try_map<F, U: ?Sized>(this: Self, f: F) -> Result<RwLockReadGuard<'a, U>, Self>
    where
        F: FnOnce(&T) -> Option<&U>,
    {
        let Some(part) = f(&this).map(std::ptr::from_ref) else { return Err(this) };
        Ok(RwLockReadGuard::new(this.access, part))
    }
}

impl<T: ?Sized> OwnedRwLockReadGuard<T> {
    #[inline]
    pub(super) fn new(access: Shared<Arc<RwLock<T>>>) -> Self {
        let part = access.lock.value();
        OwnedRwLockReadGuard { access, part, marker: PhantomData }
    }
}

impl<T: ?Sized, U: ?Sized> OwnedRwLockReadGuard<T, U> {
    /// A guard of the part that `f` points out.
    pub fn map<F, V: ?Sized>(this: Self, f: F) -> OwnedRwLockReadGuard<T, V>
    where
        F: FnOnce(&U) -> &V,
    {
        let part: *const V = f(&this);
        OwnedRwLockReadGuard { access: this.access, part, marker: PhantomData }
    }

    /// A guard of the part that `f` points out.
    ///
    /// # Errors
    /// The guard itself if `f` points out none.
    pub fn try_map<F, V: ?Sized>(this: Self, f: F) -> Result<OwnedRwLockReadGuard<T, V>, Self>
    where
        F: FnOnce(&U) -> Option<&V>,
    {
        let Some(part) = f(&this).map(std::ptr::from_ref) else { return Err(this) };
        Ok(OwnedRwLockReadGuard { access: this.access, part, marker: PhantomData })
    }

    /// The lock that it holds.
    pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
        &this.access.lock
    }
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    #[inline]
    pub(super) fn new(access: Exclusive<&'a Raw>, part: *mut T) -> Self {
        RwLockWriteGuard { access, part, marker: PhantomData }
    }

    /// A guard of the part that `f` points out.
    pub fn map<F, U: ?Sized>(mut this: Self, f: F) -> RwLockMappedWriteGuard<'a, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        let part: *mut U = f(&mut this);
        RwLockMappedWriteGuard { access: this.access, part, marker: PhantomData }
    }

    /// A guard of the part that `f` points out.
    ///
    /// # Errors
    /// The guard itself if `f` points out none.
    pub fn try_map<F, U: ?Sized>(
        mut this: Self,
        f: F,
    ) -> Result<RwLockMappedWriteGuard<'a, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        let Some(part) = f(&mut this).map(std::ptr::from_mut) else { return Err(this) };
        Ok(RwLockMappedWriteGuard { access: this.access, part, marker: PhantomData })
    }

    /// Shared access to the part that `f` points out; other readers are let in.
    #[track_caller]
    pub fn downgrade_map<F, U: ?Sized>(this: Self, f: F) -> RwLockReadGuard<'a, U>
    where
        F: FnOnce(&T) -> &U,
    {
        let part: *const U = f(&this);
        RwLockReadGuard::new(this.access.downgrade(), part)
    }

    /// Shared access to the part that `f` points out; other readers are let in.
    ///
    /// # Errors
    /// The guard itself if `f` points out none.
    #[track_caller]
    pub fn try_downgrade_map<F, U: ?Sized>(this: Self, f: F) -> Result<RwLockReadGuard<'a, U>, Self>
    where
        F: FnOnce(&T) -> Option<&U>,
    {
        let Some(part) = f(&this).map(std::ptr::from_ref) else { return Err(this) };
        Ok(RwLockReadGuard::new(this.access.downgrade(), part))
    }

    /// The same access, as a guard of a part.
    pub fn into_mapped(this: Self) -> RwLockMappedWriteGuard<'a, T> {
        RwLockWriteGuard::map(this, |value| value)
    }

    /// Shared access: other readers are let in.
    #[track_caller]
    pub fn downgrade(self) -> RwLockReadGuard<'a, T> {
        RwLockReadGuard::new(self.access.downgrade(), self.part)
    }
}

impl<T: ?Sized> OwnedRwLockWriteGuard<T> {
    #[inline]
    pub(super) fn new(access: Exclusive<Arc<RwLock<T>>>) -> Self {
        OwnedRwLockWriteGuard { access, marker: PhantomData }
    }

    /// A guard of the part that `f` points out.
    pub fn map<F, U: ?Sized>(mut this: Self, f: F) -> OwnedRwLockMappedWriteGuard<T, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        let part: *mut U = f(&mut this);
        OwnedRwLockMappedWriteGuard { access: this.access, part, marker: PhantomData }
    }

    /// A guard of the part that `f` points out.
    ///
    /// # Errors
    /// The guard itself if `f` points out none.
    pub fn try_map<F, U: ?Sized>(
        mut this: Self,
        f: F,
    ) -> Result<OwnedRwLockMappedWriteGuard<T, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        let Some(part) = f(&mut this).map(std::ptr::from_mut) else { return Err(this) };
        Ok(OwnedRwLockMappedWriteGuard { access: this.access, part, marker: PhantomData })
    }

    /// Shared access to the part that `f` points out; other readers are let in.
    #[track_caller]
    pub fn downgrade_map<F, U: ?Sized>(this: Self, f: F) -> OwnedRwLockReadGuard<T, U>
    where
        F: FnOnce(&T) -> &U,
    {
        let part: *const U = f(&this);
        let access = this.access.downgrade();
        OwnedRwLockReadGuard { access, part, marker: PhantomData }
    }

    /// Shared access to the part that `f` points out; other readers are let in.
    ///
    /// # Errors
    /// The guard itself if `f` points out none.
    #[track_caller]
    pub fn try_downgrade_map<F, U: ?Sized>(
        this: Self,
        f: F,
    ) -> Result<OwnedRwLockReadGuard<T, U>, Self>
    where
        F: FnOnce(&T) -> Option<&U>,
    {
        let Some(part) = f(&this).map(std::ptr::from_ref) else { return Err(this) };
        let access = this.access.downgrade();
        Ok(OwnedRwLockReadGuard { access, part, marker: PhantomData })
    }

    /// The same access, as a guard of a part.
    pub fn into_mapped(this: Self) -> OwnedRwLockMappedWriteGuard<T> {
        OwnedRwLockWriteGuard::map(this, |value| value)
    }

    /// Shared access: other readers are let in.
    #[track_caller]
    pub fn downgrade(self) -> OwnedRwLockReadGuard<T> {
        OwnedRwLockReadGuard::new(self.access.downgrade())
    }

    /// The lock that it holds.
    pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
        &this.access.lock
    }
}

impl<'a, T: ?Sized> RwLockMappedWriteGuard<'a, T> {
    /// A guard of the part that `f` points out.
    pub fn map<F, U: ?Sized>(mut this: Self, f: F) -> RwLockMappedWriteGuard<'a, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        let part: *mut U = f(&mut this);
        RwLockMappedWriteGuard { access: this.access, part, marker: PhantomData }
    }

    /// A guard of the part that `f` points out.
    ///
    /// # Errors
    /// The guard itself if `f` points out none.
    pub fn try_map<F, U: ?Sized>(
        mut this: Self,
        f: F,
    ) -> Result<RwLockMappedWriteGuard<'a, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        let Some(part) = f(&mut this).map(std::ptr::from_mut) else { return Err(this) };
        Ok(RwLockMappedWriteGuard { access: this.access, part, marker: PhantomData })
    }
}

impl<T: ?Sized, U: ?Sized> OwnedRwLockMappedWriteGuard<T, U> {
    /// A guard of the part that `f` points out.
    pub fn map<F, V: ?Sized>(mut this: Self, f: F) -> OwnedRwLockMappedWriteGuard<T, V>
    where
        F: FnOnce(&mut U) -> &mut V,
    {
        let part: *mut V = f(&mut this);
        OwnedRwLockMappedWriteGuard { access: this.access, part, marker: PhantomData }
    }

    /// A guard of the part that `f` points out.
    ///
    /// # Errors
    /// The guard itself if `f` points out none.
    pub fn try_map<F, V: ?Sized>(
        mut this: Self,
        f: F,
    ) -> Result<OwnedRwLockMappedWriteGuard<T, V>, Self>
    where
        F: FnOnce(&mut U) -> Option<&mut V>,
    {
        let Some(part) = f(&mut this).map(std::ptr::from_mut) else { return Err(this) };
        Ok(OwnedRwLockMappedWriteGuard { access: this.access, part, marker: PhantomData })
    }

    /// The lock that it holds.
    pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
        &this.access.lock
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: within the value, which stays where it is and has no writer while the guard is there.
        unsafe { &*self.part }
    }
}

impl<T: ?Sized, U: ?Sized> Deref for OwnedRwLockReadGuard<T, U> {
    type Target = U;

    #[inline]
    fn deref(&self) -> &U {
        // SAFETY: within the value, which the `Arc` keeps alive and which has no writer while the guard is there.
        unsafe { &*self.part }
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the value, which stays where it is and is this guard's alone.
        unsafe { &*self.part }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed exclusively.
        unsafe { &mut *self.part }
    }
}

impl<T: ?Sized> Deref for OwnedRwLockWriteGuard<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the `Arc` keeps the value alive, and it is this guard's alone.
        unsafe { &*self.access.lock.value() }
    }
}

impl<T: ?Sized> DerefMut for OwnedRwLockWriteGuard<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed exclusively.
        unsafe { &mut *self.access.lock.value() }
    }
}

impl<T: ?Sized> Deref for RwLockMappedWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: within the value, which stays where it is and is this guard's alone.
        unsafe { &*self.part }
    }
}

impl<T: ?Sized> DerefMut for RwLockMappedWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed exclusively.
        unsafe { &mut *self.part }
    }
}

impl<T: ?Sized, U: ?Sized> Deref for OwnedRwLockMappedWriteGuard<T, U> {
    type Target = U;

    #[inline]
    fn deref(&self) -> &U {
        // SAFETY: within the value, which the `Arc` keeps alive and which is this guard's alone.
        unsafe { &*self.part }
    }
}

impl<T: ?Sized, U: ?Sized> DerefMut for OwnedRwLockMappedWriteGuard<T, U> {
    #[inline]
    fn deref_mut(&mut self) -> &mut U {
        // SAFETY: as above, and the guard is borrowed exclusively.
        unsafe { &mut *self.part }
    }
}

shown_as_target!(['a, T: ?Sized] RwLockReadGuard<'a, T>);
shown_as_target!([T: ?Sized, U: ?Sized] OwnedRwLockReadGuard<T, U>);
shown_as_target!(['a, T: ?Sized] RwLockWriteGuard<'a, T>);
shown_as_target!([T: ?Sized] OwnedRwLockWriteGuard<T>);
shown_as_target!(['a, T: ?Sized] RwLockMappedWriteGuard<'a, T>);
shown_as_target!([T: ?Sized, U: ?Sized] OwnedRwLockMappedWriteGuard<T, U>);
