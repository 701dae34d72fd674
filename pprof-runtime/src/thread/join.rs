//! Threads that are joined: std's, whose number in the wait-for graph is known before they start.

use std::fmt;
use std::io;
use std::os::unix::thread::{JoinHandleExt, RawPthread};
use std::panic::Location;
use std::thread::{self, Result, Thread};

use crate::labels::{Labels, with_only};
use crate::source::contention::{Actor, Event, Kind, Origin, Site, blocked};

/// Starts a thread, as [`std::thread::spawn`] does; joining it is profiled. It has the [labels](mod@crate::labels) of the caller.
///
/// Profiles show the handle's waits with the place of this call as their `lock`.
///
/// # Panics
/// If the system cannot start one; [`Builder::spawn`] says so instead.
#[track_caller]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T,
    F: Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn(f).expect("failed to spawn thread")
}

/// Settings of a thread to be, drop-in for [`std::thread::Builder`]. Profiles call the thread by its name, up to 15 bytes of it, which
/// is what the kernel keeps.
#[must_use = "must eventually spawn the thread"]
pub struct Builder {
    pub(super) inner: thread::Builder,
}

#[allow(clippy::new_without_default, reason = "std's has none")]
impl Builder {
    /// The default settings: no name, and the stack size that std gives threads.
    pub fn new() -> Builder {
        Builder { inner: thread::Builder::new() }
    }

    /// Names the thread.
    ///
    /// Spawning panics if there is a zero byte in it.
    pub fn name(self, name: String) -> Builder {
        Builder { inner: self.inner.name(name) }
    }

    /// Sets the size of its stack in bytes; the system may round it up.
    pub fn stack_size(self, size: usize) -> Builder {
        Builder { inner: self.inner.stack_size(size) }
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// If the system cannot start one.
    ///
    /// # Panics
    /// If there is a zero byte in the name.
    #[track_caller]
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T,
        F: Send + 'static,
        T: Send + 'static,
    {
        let (actor, origin, labels) = (Actor::reserve(), Origin::here(), Labels::current());
        let inner = self.inner.spawn(move || {
            actor.begin();
            with_only(&labels, f)
        })?;
        Ok(JoinHandle { inner, actor, origin })
    }

    /// Starts a thread that may borrow.
    ///
    /// # Errors
    /// If the system cannot start one.
    ///
    /// # Panics
    /// If there is a zero byte in the name.
    ///
    /// # Safety
    /// As of [`std::thread::Builder::spawn_unchecked`]:
    /// - what `f` and its result borrow must live until the thread has been joined; or
    /// - it borrows only what lives forever.
    #[track_caller]
    pub unsafe fn spawn_unchecked<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T,
        F: Send,
        T: Send,
    {
        let (actor, origin, labels) = (Actor::reserve(), Origin::here(), Labels::current());
        // SAFETY: the caller's promise is std's.
        let inner = unsafe {
            self.inner.spawn_unchecked(move || {
                actor.begin();
                with_only(&labels, f)
            })
        }?;
        Ok(JoinHandle { inner, actor, origin })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

/// A thread that can be waited for, drop-in for [`std::thread::JoinHandle`]. Dropped, it leaves the thread to itself.
pub struct JoinHandle<T> {
    inner: thread::JoinHandle<T>,
    actor: Actor,
    origin: Origin,
}

impl<T> JoinHandle<T> {
    /// The thread.
    #[must_use]
    pub fn thread(&self) -> &Thread {
        self.inner.thread()
    }

    /// Waits until the thread has ended, and returns what it did. A block event, unless its function has returned already.
    ///
    /// # Errors
    /// The payload of its panic.
    ///
    /// # Panics
    /// Where the system sees that a thread joins itself.
    #[inline(always)]
    #[track_caller]
    pub fn join(self) -> Result<T> {
        join(self.inner, (self.actor, self.origin), Location::caller())
    }

    /// Who it is in the wait-for graph.
    #[cfg(test)]
    pub(crate) fn actor(&self) -> Actor {
        self.actor
    }

    /// Whether the thread's function has returned. Never waits.
    pub fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }

    /// The std handle inside.
    #[inline]
    pub fn as_inner(&self) -> &thread::JoinHandle<T> {
        &self.inner
    }

    /// Takes the std handle out; waits through it are not recorded.
    #[inline]
    pub fn into_inner(self) -> thread::JoinHandle<T> {
        self.inner
    }
}

impl<T> From<JoinHandle<T>> for thread::JoinHandle<T> {
    #[inline]
    fn from(handle: JoinHandle<T>) -> Self {
        handle.inner
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

impl<T> JoinHandleExt for JoinHandle<T> {
    fn as_pthread_t(&self) -> RawPthread {
        self.inner.as_pthread_t()
    }

    fn into_pthread_t(self) -> RawPthread {
        self.inner.into_pthread_t()
    }
}

/// Joins a thread of these, as one block event of the function this is inlined into if that still runs.
#[inline(always)]
pub(super) fn join<T>(
    thread: thread::JoinHandle<T>,
    (actor, origin): (Actor, Origin),
    site: Site,
) -> Result<T> {
    // Its function has returned: what is left is the end of a thread, microseconds.
    if thread.is_finished() {
        return thread.join();
    }
    let event = Event::new(Kind::Join, Some(origin), site).of(actor);
    blocked(event, || thread.join())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::shape::same_auto_traits;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::mpsc;

    fn text(payload: &(dyn std::any::Any + Send)) -> String {
        let literal = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        literal.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
    }

    /// The same questions put to std's threads and to ours.
    #[test]
    fn joins_follow_std() {
        macro_rules! run {
            ($thread:path) => {{
                use $thread as thread;
                let mut seen = Vec::new();
                let builder = thread::Builder::new().name("a name".into()).stack_size(1 << 20);
                seen.push(format!("{:?} {builder:?}", thread::Builder::new()));
                let (go, wait) = mpsc::channel::<()>();
                let handle = builder
                    .spawn(move || {
                        let _ = wait.recv();
                        thread::current().name().map(str::to_owned)
                    })
                    .unwrap();
                seen.push(format!("{handle:?} {:?}", handle.thread().name()));
                seen.push(handle.is_finished().to_string());
                drop(go);
                seen.push(format!("{:?}", handle.join().unwrap()));

                let panics = thread::spawn(|| panic!("a reason"));
                while !panics.is_finished() {
                    thread::yield_now();
                }
                let result: thread::Result<()> = panics.join();
                seen.push(text(&*result.unwrap_err()));

                let local = String::from("borrowed");
                // SAFETY: joined below.
                let handle = unsafe { thread::Builder::new().spawn_unchecked(|| local.len()) };
                seen.push(handle.unwrap().join().unwrap().to_string());

                let bad = || thread::Builder::new().name("a\0b".into()).spawn(|| ());
                seen.push(text(&*catch_unwind(AssertUnwindSafe(bad)).unwrap_err()));

                let handle = thread::spawn(|| 7);
                let (seen_id, id) = (handle.as_pthread_t(), handle.into_pthread_t());
                // SAFETY: taken out of the handle, so ours to join, once.
                let joined = unsafe { libc::pthread_join(id, std::ptr::null_mut()) };
                seen.push(format!("{} {joined}", seen_id == id));
                seen
            }};
        }
        assert_eq!(run!(crate::thread), run!(std::thread));
    }

    #[test]
    fn has_the_shape_of_std() {
        use std::{cell::Cell, rc::Rc};
        same_auto_traits!(thread::JoinHandle<u8>, JoinHandle<u8>);
        same_auto_traits!(thread::JoinHandle<Cell<u8>>, JoinHandle<Cell<u8>>);
        same_auto_traits!(thread::JoinHandle<Rc<u8>>, JoinHandle<Rc<u8>>);
        same_auto_traits!(thread::Builder, Builder);
        let inner: thread::JoinHandle<u8> = spawn(|| 1).into();
        assert_eq!(inner.join().unwrap(), 1);
        assert_eq!(spawn(|| 2).into_inner().join().unwrap(), 2);
    }

    #[test]
    fn a_thread_is_who_its_handle_says() {
        let handle = spawn(Actor::thread);
        let actor = handle.actor;
        assert_eq!(handle.join().unwrap(), actor);
    }
}
