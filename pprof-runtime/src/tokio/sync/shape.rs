//! The same questions put to tokio's types and to ours.

use std::cell::Cell;
use std::fmt::{Debug, Display};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use ::tokio::runtime::Builder;

/// Answers to `$body`, in which `$sync` is tokio's module and then ours.
macro_rules! same {
    ($sync:ident => $body:expr) => {{
        let theirs = {
            use ::tokio::sync as $sync;
            $body
        };
        let ours = {
            use crate::tokio::sync as $sync;
            $body
        };
        assert_eq!(ours, theirs);
    }};
}

/// The texts with addresses left out.
fn without_addresses(mut texts: Vec<String>) -> Vec<String> {
    for text in &mut texts {
        let mut parts = text.split("0x");
        let mut kept = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            kept.push_str("0x");
            kept.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
        }
        *text = kept;
    }
    texts
}

/// Has no traits but those that the compiler gives it.
struct Plain;

struct Probe<T: ?Sized>(PhantomData<T>);

macro_rules! probes {
    ($($method:ident $trait:ident)*) => {
        /// The answer where the trait is not implemented; where it is, a method of the type itself comes first.
        trait Without {
            $(fn $method(&self) -> &'static str {
                ""
            })*
        }

        impl<T: ?Sized> Without for Probe<T> {}

        $(impl<T: ?Sized + $trait> Probe<T> {
            fn $method(&self) -> &'static str {
                concat!(stringify!($trait), " ")
            }
        })*

        macro_rules! traits {
            ($probe:expr) => {{
                let probe = $probe;
                [$(probe.$method()),*].concat()
            }};
        }
    };
}

probes! {
    send Send sync Sync unpin Unpin unwind_safe UnwindSafe ref_unwind_safe RefUnwindSafe
    clone Clone debug Debug display Display default Default eq Eq
}

/// Send and Sync in all combinations.
macro_rules! traits_by_content {
    ($type:ident => $($of:ty),* $(,)?) => {{
        let mut seen = Vec::new();
        traits_by_content!(seen u8 as $type => $($of),*);
        traits_by_content!(seen Plain as $type => $($of),*);
        traits_by_content!(seen Cell<u8> as $type => $($of),*);
        traits_by_content!(seen Rc<u8> as $type => $($of),*);
        traits_by_content!(seen std::sync::MutexGuard<'static, u8> as $type => $($of),*);
        seen
    }};
    ($seen:ident $content:ty as $type:ident => $($of:ty),*) => {{
        type $type = $content;
        $($seen.push((stringify!($of), stringify!($content), traits!(Probe::<$of>(PhantomData))));)*
    }};
}

#[test]
fn types_have_the_traits_of_tokio() {
    assert_eq!(
        traits!(Probe::<Cell<u8>>(PhantomData)),
        "Send Unpin UnwindSafe Clone Debug Default Eq "
    );
    same!(sync => traits_by_content!(T =>
        sync::Mutex<T>, sync::MutexGuard<'static, T>, sync::OwnedMutexGuard<T>,
        sync::MappedMutexGuard<'static, T>, sync::OwnedMappedMutexGuard<T>,
        sync::OwnedMappedMutexGuard<u8, T>, sync::OwnedMappedMutexGuard<T, u8>,
        sync::RwLock<T>, sync::RwLockReadGuard<'static, T>, sync::OwnedRwLockReadGuard<T>,
        sync::OwnedRwLockReadGuard<u8, T>, sync::OwnedRwLockReadGuard<T, u8>,
        sync::RwLockWriteGuard<'static, T>, sync::OwnedRwLockWriteGuard<T>,
        sync::RwLockMappedWriteGuard<'static, T>, sync::OwnedRwLockMappedWriteGuard<T>,
        sync::OwnedRwLockMappedWriteGuard<u8, T>, sync::OwnedRwLockMappedWriteGuard<T, u8>,
        sync::OnceCell<T>, sync::SetOnce<T>,
        sync::mpsc::Sender<T>, sync::mpsc::Receiver<T>, sync::mpsc::WeakSender<T>,
        sync::mpsc::Permit<'static, T>, sync::mpsc::PermitIterator<'static, T>,
        sync::mpsc::OwnedPermit<T>, sync::mpsc::UnboundedSender<T>,
        sync::mpsc::UnboundedReceiver<T>, sync::mpsc::WeakUnboundedSender<T>,
        sync::oneshot::Sender<T>, sync::oneshot::Receiver<T>,
        sync::broadcast::Sender<T>, sync::broadcast::Receiver<T>, sync::broadcast::WeakSender<T>,
        sync::watch::Sender<T>, sync::watch::Receiver<T>, sync::watch::Ref<'static, T>,
    ));
    same!(sync => [
        traits!(Probe::<sync::Semaphore>(PhantomData)),
        traits!(Probe::<sync::SemaphorePermit<'static>>(PhantomData)),
        traits!(Probe::<sync::OwnedSemaphorePermit>(PhantomData)),
        traits!(Probe::<sync::Notify>(PhantomData)),
        traits!(Probe::<sync::futures::Notified<'static>>(PhantomData)),
        traits!(Probe::<sync::futures::OwnedNotified>(PhantomData)),
        traits!(Probe::<sync::Barrier>(PhantomData)),
        traits!(Probe::<sync::BarrierWaitResult>(PhantomData)),
    ]);
}

/// What a future that nobody can name is not cannot be asked: only that ours are what tokio's are.
#[test]
fn futures_move_between_threads_as_those_of_tokio() {
    fn send<T: Send>(_: T) {}
    fn both<T: Send + Sync>(_: T) {}
    macro_rules! futures {
        ($sync:ident, $content:expr, $assert:ident) => {{
            let mutex = Arc::new($sync::Mutex::new($content));
            $assert(mutex.lock());
            $assert(mutex.clone().lock_owned());
            let (tx, mut rx) = $sync::mpsc::channel(1);
            $assert(tx.reserve());
            $assert(tx.reserve_many(1));
            $assert(tx.clone().reserve_owned());
            $assert(tx.closed());
            $assert(rx.recv());
            $assert(rx.recv_many(&mut Vec::new(), 1));
            $assert(tx.send($content));
            let (unbounded_tx, mut unbounded_rx) = $sync::mpsc::unbounded_channel();
            $assert(unbounded_tx.closed());
            $assert(unbounded_rx.recv());
            $assert(unbounded_rx.recv_many(&mut Vec::new(), 1));
            let _ = unbounded_tx.send($content);
            let (mut once_tx, once_rx) = $sync::oneshot::channel();
            $assert(once_tx.closed());
            $assert(once_rx);
            let _ = once_tx.send($content);
            let (cast_tx, mut cast_rx) = $sync::broadcast::channel(1);
            $assert(cast_tx.closed());
            $assert(cast_rx.recv());
            let _ = cast_tx.send($content);
        }};
    }
    macro_rules! shared {
        ($sync:ident) => {{
            let lock = Arc::new($sync::RwLock::new(1_u8));
            both(lock.read());
            both(lock.clone().read_owned());
            both(lock.write());
            both(lock.clone().write_owned());
            let semaphore = Arc::new($sync::Semaphore::new(0));
            both(semaphore.acquire());
            both(semaphore.acquire_many(2));
            both(semaphore.clone().acquire_owned());
            both(semaphore.clone().acquire_many_owned(2));
            let notify = Arc::new($sync::Notify::new());
            both(notify.notified());
            both(notify.clone().notified_owned());
            both($sync::Barrier::new(1).wait());
            let (cell, set) = ($sync::OnceCell::new(), $sync::SetOnce::from(1_u8));
            both(cell.get_or_init(|| async { 1_u8 }));
            both(cell.get_or_try_init(|| async { Ok::<_, ()>(1_u8) }));
            both(set.wait());
            let (watch_tx, mut watch_rx) = $sync::watch::channel(1_u8);
            both(watch_tx.closed());
            both(watch_rx.changed());
            send(watch_rx.wait_for(|_| true));
        }};
    }
    same!(sync => {
        futures!(sync, 1_u8, both);
        futures!(sync, Cell::new(1_u8), send);
        shared!(sync);
    });
}

#[test]
fn statics_and_unsized_contents() {
    same!(sync => {
        static MUTEX: sync::Mutex<Vec<u8>> = sync::Mutex::const_new(Vec::new());
        static LOCK: sync::RwLock<u8> = sync::RwLock::const_new(1);
        static LIMITED: sync::RwLock<u8> = sync::RwLock::const_with_max_readers(1, 2);
        static SEMAPHORE: sync::Semaphore = sync::Semaphore::const_new(2);
        static NOTIFY: sync::Notify = sync::Notify::const_new();
        static EMPTY: sync::OnceCell<u8> = sync::OnceCell::const_new();
        static FULL: sync::OnceCell<u8> = sync::OnceCell::const_new_with(1);
        static UNSET: sync::SetOnce<u8> = sync::SetOnce::const_new();
        static SET: sync::SetOnce<u8> = sync::SetOnce::const_new_with(1);
        let any: Arc<sync::Mutex<dyn Debug + Send>> = Arc::new(sync::Mutex::new(7));
        let slice: Box<sync::RwLock<[u8]>> = Box::new(sync::RwLock::new([1, 2]));
        let readers = (LIMITED.try_read().is_ok(), [LIMITED.try_read(), LIMITED.try_read()]);
        [
            format!("{MUTEX:?} {LOCK:?} {LIMITED:?} {SEMAPHORE:?} {NOTIFY:?}"),
            format!("{EMPTY:?} {FULL:?} {UNSET:?} {SET:?}"),
            format!("{any:?} {:?} {slice:?}", any.clone().try_lock_owned().unwrap()),
            format!("{readers:?} {:?} {:?}", LIMITED.try_read(), LIMITED.try_write()),
        ]
    });
}

#[test]
fn guards_of_mutexes() {
    same!(sync => {
        let mutex = Arc::new(sync::Mutex::new((1, String::from("part"))));
        let mut seen = Vec::new();
        let mut guard = mutex.try_lock().unwrap();
        guard.0 += 1;
        seen.push(format!("{guard:?} {mutex:?} {:?}", mutex.try_lock().map(drop)));
        seen.push(mutex.try_lock().unwrap_err().to_string());
        seen.push(std::ptr::eq(sync::MutexGuard::mutex(&guard), &*mutex).to_string());
        let guard = sync::MutexGuard::try_map(guard, |_| None::<&mut u8>).unwrap_err();
        let mut part = sync::MutexGuard::map(guard, |value| &mut value.1);
        part.push('s');
        seen.push(format!("{part} {part:?} {mutex:?}"));
        let part = sync::MappedMutexGuard::try_map(part, |_| None::<&mut u8>).unwrap_err();
        let part = sync::MappedMutexGuard::map(part, |part| part);
        seen.push(format!("{part} {mutex:?}"));
        drop(part);
        let mut guard = mutex.clone().try_lock_owned().unwrap();
        guard.0 += 1;
        seen.push(format!("{guard:?} {mutex:?} {:?}", mutex.clone().try_lock_owned().map(drop)));
        seen.push(Arc::ptr_eq(sync::OwnedMutexGuard::mutex(&guard), &mutex).to_string());
        let guard = sync::OwnedMutexGuard::try_map(guard, |_| None::<&mut u8>).unwrap_err();
        let mut part = sync::OwnedMutexGuard::map(guard, |value| &mut value.1);
        part.push('s');
        let part = sync::OwnedMappedMutexGuard::try_map(part, |_| None::<&mut u8>).unwrap_err();
        let part = sync::OwnedMappedMutexGuard::map(part, |part| part);
        seen.push(format!("{part} {part:?} {mutex:?}"));
        drop(part);
        let mut mutex = Arc::into_inner(mutex).unwrap();
        mutex.get_mut().0 += 1;
        seen.push(format!("{mutex:?}"));
        seen.push(format!("{:?}", mutex.into_inner()));
        seen
    });
}

#[test]
fn guards_of_rwlocks() {
    same!(sync => {
        let lock = Arc::new(sync::RwLock::new((1, String::from("part"))));
        let mut seen = Vec::new();
        let tries = |lock: &Arc<sync::RwLock<_>>| {
            format!("{} {}", lock.try_read().is_ok(), lock.clone().try_write_owned().is_ok())
        };
        let read = lock.try_read().unwrap();
        seen.push(format!("{read:?} {lock:?} {}", tries(&lock)));
        let read = sync::RwLockReadGuard::try_map(read, |_| None::<&u8>).unwrap_err();
        let part = sync::RwLockReadGuard::map(read, |value| value.1.as_str());
        seen.push(format!("{part} {part:?} {}", tries(&lock)));
        drop(part);
        let read = lock.clone().try_read_owned().unwrap();
        seen.push(Arc::ptr_eq(sync::OwnedRwLockReadGuard::rwlock(&read), &lock).to_string());
        let read = sync::OwnedRwLockReadGuard::try_map(read, |_| None::<&u8>).unwrap_err();
        let part = sync::OwnedRwLockReadGuard::map(read, |value| value.1.as_str());
        seen.push(format!("{part} {part:?} {}", tries(&lock)));
        drop(part);
        let mut write = lock.try_write().unwrap();
        write.0 += 1;
        seen.push(format!("{write:?} {lock:?} {}", tries(&lock)));
        let write = sync::RwLockWriteGuard::try_map(write, |_| None::<&mut u8>).unwrap_err();
        let write = sync::RwLockWriteGuard::try_downgrade_map(write, |_| None::<&u8>).unwrap_err();
        let read = sync::RwLockWriteGuard::downgrade(write);
        seen.push(format!("{read:?} {lock:?} {}", tries(&lock)));
        drop(read);
        let part = sync::RwLockWriteGuard::downgrade_map(lock.try_write().unwrap(), |v| &v.0);
        seen.push(format!("{part} {lock:?} {}", tries(&lock)));
        drop(part);
        let mut part = sync::RwLockWriteGuard::map(lock.try_write().unwrap(), |v| &mut v.1);
        part.push('s');
        let part = sync::RwLockMappedWriteGuard::try_map(part, |_| None::<&mut u8>).unwrap_err();
        let part = sync::RwLockMappedWriteGuard::map(part, |part| part);
        seen.push(format!("{part} {part:?} {lock:?} {}", tries(&lock)));
        drop(part);
        drop(sync::RwLockWriteGuard::into_mapped(lock.try_write().unwrap()));
        let write = lock.clone().try_write_owned().unwrap();
        seen.push(Arc::ptr_eq(sync::OwnedRwLockWriteGuard::rwlock(&write), &lock).to_string());
        let write = sync::OwnedRwLockWriteGuard::try_map(write, |_| None::<&mut u8>).unwrap_err();
        let write =
            sync::OwnedRwLockWriteGuard::try_downgrade_map(write, |_| None::<&u8>).unwrap_err();
        let read = write.downgrade();
        seen.push(format!("{read:?} {lock:?} {}", tries(&lock)));
        drop(read);
        let write = || lock.clone().try_write_owned().unwrap();
        let part = sync::OwnedRwLockWriteGuard::downgrade_map(write(), |v| &v.0);
        seen.push(format!("{part} {lock:?} {}", tries(&lock)));
        drop(part);
        let mut part = sync::OwnedRwLockWriteGuard::map(write(), |v| &mut v.1);
        part.push('s');
        let part =
            sync::OwnedRwLockMappedWriteGuard::try_map(part, |_| None::<&mut u8>).unwrap_err();
        let part = sync::OwnedRwLockMappedWriteGuard::map(part, |part| part);
        let same = Arc::ptr_eq(sync::OwnedRwLockMappedWriteGuard::rwlock(&part), &lock);
        seen.push(format!("{part} {part:?} {same} {lock:?} {}", tries(&lock)));
        drop(part);
        drop(sync::OwnedRwLockWriteGuard::into_mapped(write()));
        let mut lock = Arc::into_inner(lock).unwrap();
        lock.get_mut().0 += 1;
        seen.push(format!("{lock:?}"));
        seen.push(format!("{:?}", lock.into_inner()));
        seen
    });
}

#[test]
fn permits_of_semaphores() {
    same!(sync => {
        let semaphore = Arc::new(sync::Semaphore::new(5));
        let mut seen = vec![sync::Semaphore::MAX_PERMITS.to_string()];
        let mut permit = semaphore.try_acquire_many(3).unwrap();
        let part = permit.split(1).unwrap();
        seen.push(format!("{permit:?} {part:?} {:?}", permit.split(9)));
        permit.merge(part);
        seen.push(format!("{} {semaphore:?}", permit.num_permits()));
        seen.push(std::ptr::eq(permit.semaphore(), &*semaphore).to_string());
        drop(permit);
        semaphore.try_acquire().unwrap().forget();
        seen.push(format!("{semaphore:?} {}", semaphore.forget_permits(1)));
        let mut permit = semaphore.clone().try_acquire_many_owned(2).unwrap();
        let part = permit.split(1).unwrap();
        seen.push(format!("{permit:?} {part:?} {}", semaphore.available_permits()));
        permit.merge(part);
        seen.push(format!("{:?}", semaphore.clone().try_acquire_many_owned(2)));
        seen.push(format!("{} {}", permit.num_permits(), Arc::ptr_eq(permit.semaphore(), &semaphore)));
        permit.forget();
        let other = Arc::new(sync::Semaphore::new(2));
        let message = |merge: &mut dyn FnMut()| {
            let panicked = catch_unwind(AssertUnwindSafe(merge)).unwrap_err();
            let text = panicked.downcast_ref::<&str>().map(ToString::to_string);
            text.or_else(|| panicked.downcast_ref::<String>().cloned())
        };
        seen.push(format!("{:?}", message(&mut || {
            let other = other.try_acquire().unwrap();
            semaphore.try_acquire().unwrap().merge(other);
        })));
        seen.push(format!("{:?}", message(&mut || {
            let other = other.clone().try_acquire_owned().unwrap();
            semaphore.clone().try_acquire_owned().unwrap().merge(other);
        })));
        seen.push(format!("{other:?} {semaphore:?}"));
        semaphore.add_permits(0);
        semaphore.close();
        seen.push(format!("{} {:?}", semaphore.is_closed(), semaphore.try_acquire()));
        seen.push(format!("{semaphore:?} {:?}", semaphore.blocking_acquire()));
        seen
    });
}

/// Polls once.
fn poll<T: Debug>(future: impl Future<Output = T>) -> String {
    format!("{:?}", pin!(future).poll(&mut Context::from_waker(Waker::noop())))
}

#[test]
fn channels() {
    same!(sync => {
        let mut seen = Vec::new();
        let (tx, mut rx) = sync::mpsc::channel(2);
        seen.push(format!("{tx:?} {rx:?} {:?}", tx.downgrade()));
        seen.push(format!("{:?} {:?} {:?}", tx.try_send(1), tx.try_send(2), tx.try_send(3)));
        seen.push(format!("{:?} {:?}", rx.try_recv(), rx.len()));
        let permit = tx.try_reserve().unwrap();
        seen.push(format!("{permit:?} {:?} {:?}", tx.try_reserve_many(1), tx.capacity()));
        seen.push(format!("{:?}", tx.clone().try_reserve_owned().map(drop)));
        permit.send(4);
        let weak = tx.downgrade();
        let other = weak.upgrade().unwrap();
        seen.push(format!("{} {} {}", tx.strong_count(), tx.weak_count(), other.same_channel(&tx)));
        seen.push(format!("{} {}", rx.sender_strong_count(), rx.sender_weak_count()));
        seen.push(format!("{} {}", rx.capacity(), rx.max_capacity()));
        let mut buffer = Vec::new();
        seen.push(format!("{} {}", poll(rx.recv()), poll(rx.recv_many(&mut buffer, 5))));
        let owned = other.try_reserve_owned().unwrap();
        seen.push(format!("{owned:?} {} {}", owned.same_channel(&owned), owned.same_channel_as_sender(&tx)));
        let other = owned.release();
        let owned = other.try_reserve_owned().unwrap();
        drop(owned.send(5));
        seen.push(format!("{} {} {}", poll(tx.send(6)), poll(tx.send(7)), poll(tx.reserve())));
        seen.push(format!("{} {}", poll(tx.reserve_many(3)), poll(tx.closed())));
        rx.close();
        seen.push(format!("{} {} {}", rx.is_closed(), rx.is_empty(), tx.is_closed()));
        seen.push(format!("{} {} {}", poll(tx.send(8)), poll(tx.closed()), poll(tx.reserve_owned())));
        seen.push(format!("{:?} {} {}", rx.try_recv(), poll(rx.recv()), poll(rx.recv())));
        seen.push(format!("{:?} {:?}", rx.try_recv(), weak.upgrade().is_some()));

        let (tx, mut rx) = sync::mpsc::unbounded_channel();
        seen.push(format!("{tx:?} {rx:?} {:?} {:?}", tx.downgrade(), tx.send(1)));
        let other = tx.downgrade().upgrade().unwrap();
        seen.push(format!("{} {} {}", tx.strong_count(), tx.weak_count(), other.same_channel(&tx)));
        seen.push(format!("{} {} {}", rx.len(), poll(rx.recv()), poll(rx.recv())));
        seen.push(format!("{:?} {}", rx.try_recv(), poll(rx.recv_many(&mut buffer, 0))));
        drop((tx, other));
        seen.push(format!("{} {:?}", poll(rx.recv()), rx.try_recv()));

        let (tx, mut rx) = sync::oneshot::channel();
        seen.push(format!("{tx:?} {rx:?} {}", poll(&mut rx)));
        seen.push(format!("{:?} {} {}", rx.try_recv(), rx.is_empty(), rx.is_terminated()));
        seen.push(format!("{:?} {} {}", tx.send(1), rx.is_empty(), poll(&mut rx)));
        seen.push(format!("{:?} {} {}", rx.try_recv(), rx.is_empty(), rx.is_terminated()));
        let (mut tx, mut rx) = sync::oneshot::channel::<u8>();
        seen.push(format!("{} {}", poll(tx.closed()), tx.is_closed()));
        rx.close();
        seen.push(format!("{} {} {:?}", poll(tx.closed()), tx.is_closed(), tx.send(1)));
        seen.push(poll(rx));

        let (tx, mut rx) = sync::broadcast::channel(2);
        seen.push(format!("{tx:?} {rx:?} {:?} {}", tx.downgrade(), poll(rx.recv())));
        let mut other = tx.subscribe();
        seen.push(format!("{:?} {:?} {:?}", tx.send(1), tx.send(2), tx.send(3)));
        seen.push(format!("{} {} {}", tx.len(), rx.len(), tx.receiver_count()));
        seen.push(format!("{} {} {:?}", poll(rx.recv()), poll(rx.recv()), other.try_recv()));
        seen.push(format!("{} {}", rx.same_channel(&other), rx.resubscribe().is_empty()));
        seen.push(format!("{} {} {}", poll(tx.closed()), rx.sender_strong_count(), rx.is_closed()));
        drop((rx, other));
        seen.push(format!("{} {:?}", poll(tx.closed()), tx.send(4)));

        let (tx, mut rx) = sync::watch::channel(0);
        seen.push(format!("{tx:?} {rx:?} {} {:?}", poll(rx.changed()), tx.send(1)));
        seen.push(format!("{:?} {:?}", rx.has_changed(), rx.borrow()));
        seen.push(poll(rx.changed()));
        seen.push(format!("{} {}", poll(rx.wait_for(|v| *v == 2)), tx.send_replace(2)));
        seen.push(poll(rx.wait_for(|v| *v == 2)));
        rx.mark_changed();
        seen.push(format!("{:?} {}", rx.has_changed(), *rx.borrow_and_update()));
        tx.send_modify(|v| *v += 1);
        seen.push(format!("{} {:?}", tx.send_if_modified(|_| false), *tx.borrow()));
        rx.mark_unchanged();
        seen.push(format!("{:?} {} {}", rx.has_changed(), tx.receiver_count(), tx.sender_count()));
        seen.push(format!("{} {}", rx.same_channel(&tx.subscribe()), poll(tx.closed())));
        drop(tx.clone());
        drop(tx);
        seen.push(format!("{} {} {:?}", poll(rx.changed()), rx.is_closed(), rx.has_changed()));
        without_addresses(seen)
    });
}

#[test]
fn notifications_and_cells() {
    same!(sync => {
        let notify = Arc::new(sync::Notify::new());
        let mut seen = vec![format!("{:?} {:?}", notify.notified(), notify.clone().notified_owned())];
        seen.push(format!("{:#?}", notify.clone().notified_owned()));
        seen.push(poll(notify.notified()));
        notify.notify_one();
        seen.push(format!("{} {}", poll(notify.clone().notified_owned()), poll(notify.notified())));
        let mut owned = Box::pin(notify.clone().notified_owned());
        seen.push(format!("{}", owned.as_mut().enable()));
        notify.notify_last();
        drop(notify);
        seen.push(format!("{} {}", owned.as_mut().enable(), poll(owned)));

        let cell = sync::OnceCell::new();
        seen.push(format!("{cell:?} {:?} {}", cell.get(), cell.initialized()));
        seen.push(poll(cell.get_or_try_init(|| async { Err::<u8, _>("no") })));
        seen.push(poll(cell.get_or_init(std::future::pending)));
        let mut making = Box::pin(cell.get_or_init(|| async { ::tokio::task::yield_now().await; 1 }));
        seen.push(poll(making.as_mut()));
        seen.push(format!("{:?} {}", cell.set(2), poll(cell.get_or_init(|| async { 3 }))));
        seen.push(format!("{} {:?}", poll(making), cell.set(2)));
        seen.push(format!("{} {}", cell == cell.clone(), cell == sync::OnceCell::from(9)));
        seen.push(format!("{:?}", sync::OnceCell::new_with(None::<u8>)));
        let mut cell = cell;
        seen.push(format!("{:?}", cell.get_mut()));
        seen.push(format!("{:?} {:?}", cell.take(), cell));
        seen.push(format!("{:?}", cell.into_inner()));

        let set = sync::SetOnce::new();
        seen.push(format!("{set:?} {:?} {} {}", set.get(), set.initialized(), poll(set.wait())));
        seen.push(format!("{:?} {:?} {}", set.set(1), set.set(2), poll(set.wait())));
        seen.push(format!("{} {:?}", set == set.clone(), sync::SetOnce::from(1).into_inner()));
        let barrier = sync::Barrier::new(2);
        seen.push(format!("{barrier:?} {} {}", poll(barrier.wait()), poll(barrier.wait())));
        without_addresses(seen)
    });
}

#[test]
fn blocking_where_tasks_run_panics() {
    same!(sync => {
        let runtime = Builder::new_current_thread().build().unwrap();
        let (mutex, lock) = (sync::Mutex::new(1), sync::RwLock::new(1));
        let semaphore = sync::Semaphore::new(1);
        let (tx, mut rx) = sync::mpsc::channel(1);
        let mut tries: Vec<Box<dyn FnMut() + '_>> = vec![
            Box::new(|| drop(mutex.blocking_lock())),
            Box::new(|| drop(lock.blocking_read())),
            Box::new(|| drop(lock.blocking_write())),
            Box::new(|| drop(semaphore.blocking_acquire())),
            Box::new(|| assert!(tx.blocking_send(1).is_ok())),
            Box::new(|| assert!(rx.blocking_recv().is_some())),
        ];
        let mut run = |inside: bool| -> Vec<bool> {
            let tries = tries.iter_mut();
            let run = || tries.map(|f| catch_unwind(AssertUnwindSafe(f)).is_ok()).collect();
            if inside { runtime.block_on(async { run() }) } else { run() }
        };
        (run(true), run(false))
    });
}

/// How often a task does what is ready at once before it has to yield.
#[test]
fn the_budget_is_used_as_by_tokio() {
    macro_rules! counted {
        ($runtime:ident, $operation:expr) => {{
            $runtime.block_on(async {
                let mut done = 0;
                let work = async {
                    loop {
                        let _ = $operation.await;
                        done += 1;
                    }
                };
                // A single poll, with the budget of a task.
                let mut work = Box::pin(work);
                std::future::poll_fn(|cx| {
                    assert!(work.as_mut().poll(cx).is_pending());
                    std::task::Poll::Ready(())
                })
                .await;
                drop(work);
                done
            })
        }};
    }
    same!(sync => {
        let runtime = Builder::new_current_thread().build().unwrap();
        let mutex = Arc::new(sync::Mutex::new(1));
        let lock = Arc::new(sync::RwLock::new(1));
        let semaphore = Arc::new(sync::Semaphore::new(3));
        let (tx, mut rx) = sync::mpsc::channel(1000);
        let (unbounded_tx, mut unbounded_rx) = sync::mpsc::unbounded_channel();
        let (cast_tx, mut cast_rx) = sync::broadcast::channel(1024);
        let (watch_tx, mut watch_rx) = sync::watch::channel(1);
        for i in 0..1000 {
            unbounded_tx.send(i).unwrap();
            cast_tx.send(i).unwrap();
        }
        let mut seen = vec![
            counted!(runtime, mutex.lock()),
            counted!(runtime, mutex.clone().lock_owned()),
            counted!(runtime, lock.read()),
            counted!(runtime, lock.clone().read_owned()),
            counted!(runtime, lock.write()),
            counted!(runtime, lock.clone().write_owned()),
            counted!(runtime, semaphore.acquire()),
            counted!(runtime, semaphore.acquire_many(2)),
            counted!(runtime, semaphore.clone().acquire_owned()),
            counted!(runtime, semaphore.clone().acquire_many_owned(2)),
            counted!(runtime, tx.send(1)),
            counted!(runtime, tx.reserve()),
            counted!(runtime, rx.recv()),
            counted!(runtime, unbounded_rx.recv()),
            counted!(runtime, cast_rx.recv()),
            counted!(runtime, watch_rx.wait_for(|_| true)),
        ];
        // Where one of them is not free: one is refused for good, another is done again and again.
        let held = lock.try_read().unwrap();
        let mut refused = Box::pin(lock.write());
        seen.push(counted!(runtime, async {
            assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(refused.as_mut().poll(cx))).await.is_pending());
            mutex.lock().await
        }));
        drop((held, watch_tx));
        assert!(seen.iter().all(|done| (50..=200).contains(done)), "{seen:?}");
        seen
    });
}

/// Whoever drops its future has taken nothing, and those behind it in the queue go on.
#[test]
fn cancelling_loses_nothing() {
    let poll = |future: std::pin::Pin<&mut dyn Future<Output = ()>>, done: bool| {
        assert_eq!(future.poll(&mut Context::from_waker(Waker::noop())).is_ready(), done);
    };
    let mutex = super::Mutex::new(());
    // Whether the first of those who wait has been let in already when it is dropped.
    for let_in in [false, true] {
        let mut held = Some(mutex.try_lock().unwrap());
        let mut first = Box::pin(async { drop(mutex.lock().await) });
        let mut second = Box::pin(async { drop(mutex.lock().await) });
        poll(first.as_mut(), false);
        poll(second.as_mut(), false);
        if let_in {
            held = None;
            assert!(mutex.try_lock().is_err(), "it is handed on");
        }
        drop(first);
        drop(held);
        poll(second.as_mut(), true);
        assert!(mutex.try_lock().is_ok());
    }
    // One that has the lock, but no budget to go on with it.
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut locking = Box::pin(async {
            while ::tokio::task::coop::has_budget_remaining() {
                ::tokio::task::coop::consume_budget().await;
            }
            drop(mutex.lock().await);
        });
        poll(locking.as_mut(), false);
        assert!(mutex.try_lock().is_err());
        drop(locking);
        assert!(mutex.try_lock().is_ok());
    });
    let lock = super::RwLock::new(());
    let held = lock.try_read().unwrap();
    let mut writer = Box::pin(async { drop(lock.write().await) });
    let mut reader = Box::pin(async { drop(lock.read().await) });
    poll(writer.as_mut(), false);
    poll(reader.as_mut(), false);
    drop(writer);
    poll(reader.as_mut(), true);
    drop(held);
    assert!(lock.try_write().is_ok());
    let semaphore = super::Semaphore::new(1);
    let mut many = Box::pin(async { drop(semaphore.acquire_many(2).await.unwrap()) });
    poll(many.as_mut(), false);
    assert!(semaphore.try_acquire().is_err(), "they are kept for it");
    drop(many);
    assert_eq!(semaphore.available_permits(), 1);
    let (tx, mut rx) = super::mpsc::channel(1);
    let mut receiving = Box::pin(async { assert!(rx.recv().await.is_some()) });
    poll(receiving.as_mut(), false);
    tx.try_send(1).unwrap();
    drop(receiving);
    assert_eq!(rx.try_recv(), Ok(1));
    tx.try_send(2).unwrap();
    let mut sending = Box::pin(async { assert!(tx.send(3).await.is_ok()) });
    poll(sending.as_mut(), false);
    drop(sending);
    assert_eq!((rx.try_recv().ok(), rx.try_recv().ok()), (Some(2), None));
    let notify = super::Notify::new();
    let (mut first, mut second) = (Box::pin(notify.notified()), Box::pin(notify.notified()));
    poll(first.as_mut(), false);
    poll(second.as_mut(), false);
    notify.notify_one();
    drop(first);
    poll(second.as_mut(), true);
}

#[test]
fn guards_give_access() {
    fn reads<G: Deref<Target = u8> + Debug + Display>(guard: G) -> u8 {
        *guard
    }
    fn writes<G: DerefMut<Target = u8> + Debug + Display>(mut guard: G) -> u8 {
        *guard += 1;
        reads(guard)
    }
    same!(sync => {
        let (mutex, lock) = (Arc::new(sync::Mutex::new(1)), Arc::new(sync::RwLock::new(1)));
        [
            writes(mutex.try_lock().unwrap()),
            writes(mutex.clone().try_lock_owned().unwrap()),
            writes(sync::MutexGuard::map(mutex.try_lock().unwrap(), |v| v)),
            writes(sync::OwnedMutexGuard::map(mutex.clone().try_lock_owned().unwrap(), |v| v)),
            reads(lock.try_read().unwrap()),
            reads(lock.clone().try_read_owned().unwrap()),
            writes(lock.try_write().unwrap()),
            writes(lock.clone().try_write_owned().unwrap()),
            writes(sync::RwLockWriteGuard::into_mapped(lock.try_write().unwrap())),
            writes(sync::OwnedRwLockWriteGuard::into_mapped(lock.clone().try_write_owned().unwrap())),
        ]
    });
}
