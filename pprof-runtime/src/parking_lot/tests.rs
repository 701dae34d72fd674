//! The same questions put to the original and to ours.

use std::cell::Cell;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Answers of both, which are to be the same.
macro_rules! same {
    ($run:ident) => {{
        let (theirs, ours) = ($run!(parking_lot_0_13), $run!(crate::parking_lot));
        assert_eq!(theirs, ours);
        assert!(!ours.is_empty());
    }};
}

/// Whether a type implements a trait.
macro_rules! is {
    ($ty:ty, $bound:path) => {{
        trait No {
            #[allow(dead_code, reason = "if it does")]
            const YES: bool = false;
        }
        impl<T: ?Sized> No for T {}
        struct Is<T: ?Sized>(PhantomData<T>);
        #[allow(dead_code, reason = "if it does not")]
        impl<T: ?Sized + $bound> Is<T> {
            const YES: bool = true;
        }
        <Is<$ty>>::YES
    }};
}

macro_rules! traits {
    ($($ty:ty),* $(,)?) => {
        vec![$((
            stringify!($ty),
            is!($ty, Send),
            is!($ty, Sync),
            is!($ty, Unpin),
            is!($ty, UnwindSafe),
            is!($ty, RefUnwindSafe),
        )),*]
    };
}

#[test]
fn auto_traits() {
    macro_rules! run {
        ($lib:path) => {{
            use $lib as lib;
            type Pinned = std::marker::PhantomPinned;
            macro_rules! of {
                ($t:ty) => {
                    traits![
                        lib::Mutex<$t>,
                        lib::FairMutex<$t>,
                        lib::ReentrantMutex<$t>,
                        lib::RwLock<$t>,
                        lib::RecursiveRwLock<$t>,
                        lib::MutexGuard<'static, $t>,
                        lib::MappedMutexGuard<'static, $t>,
                        lib::FairMutexGuard<'static, $t>,
                        lib::MappedFairMutexGuard<'static, $t>,
                        lib::ReentrantMutexGuard<'static, $t>,
                        lib::MappedReentrantMutexGuard<'static, $t>,
                        lib::RwLockReadGuard<'static, $t>,
                        lib::RwLockWriteGuard<'static, $t>,
                        lib::RwLockUpgradableReadGuard<'static, $t>,
                        lib::MappedRwLockReadGuard<'static, $t>,
                        lib::MappedRwLockWriteGuard<'static, $t>,
                        lib::RecursiveRwLockReadGuard<'static, $t>,
                        lib::RecursiveRwLockWriteGuard<'static, $t>,
                        lib::RecursiveRwLockUpgradableReadGuard<'static, $t>,
                        lib::MappedRecursiveRwLockReadGuard<'static, $t>,
                        lib::MappedRecursiveRwLockWriteGuard<'static, $t>,
                        lib::lock_api::ArcMutexGuard<lib::RawMutex, $t>,
                        lib::lock_api::ArcReentrantMutexGuard<lib::RawMutex, lib::RawThreadId, $t>,
                        lib::lock_api::ArcRwLockReadGuard<lib::RawRwLock, $t>,
                        lib::lock_api::ArcRwLockWriteGuard<lib::RawRwLock, $t>,
                        lib::lock_api::ArcRwLockUpgradableReadGuard<lib::RawRwLock, $t>,
                    ]
                };
            }
            let mut seen = of!(u8);
            seen.extend(of!(Cell<u8>));
            seen.extend(of!(Rc<u8>));
            seen.extend(of!(Pinned));
            seen.extend(traits![lib::Condvar, lib::Once, lib::OnceState, lib::WaitTimeoutResult]);
            seen
        }};
    }
    same!(run);
    assert!(is!(super::Once, Default) && is!(super::Condvar, Default));
    // The original is not built to send guards here.
    assert!(!is!(super::MutexGuard<'static, u8>, Send));
    assert!(!is!(super::RwLockReadGuard<'static, u8>, Send));
    assert!(is!(super::RwLockReadGuard<'static, u8>, Sync));
}

/// Results as text, in the order of the questions.
macro_rules! answers {
    ($($answer:expr),* $(,)?) => { vec![$(format!("{:?}", $answer)),*] };
}

#[test]
fn mutexes() {
    macro_rules! run {
        ($lib:path) => {{
            use $lib as lib;
            static LOCK: lib::Mutex<Vec<u8>> = lib::Mutex::new(Vec::new());
            LOCK.lock().push(1);
            let unsized_lock: Box<lib::Mutex<dyn Debug + Send>> = Box::new(lib::Mutex::new(7));
            let slice: &lib::Mutex<[u8]> = &lib::Mutex::new([1, 2]);
            let mut lock = lib::Mutex::from((1, 2));
            *lock.get_mut() = (3, 4);
            let mut seen = answers![LOCK.lock(), &*unsized_lock.lock(), slice, lock];
            let mut guard = lock.lock();
            seen.extend(answers![lock, guard, lock.is_locked(), lock.try_lock().is_none()]);
            seen.extend(answers![
                std::ptr::eq(lib::MutexGuard::mutex(&guard), &raw const lock),
                lib::MutexGuard::unlocked(&mut guard, || lock.is_locked()),
                lib::MutexGuard::unlocked_fair(&mut guard, || lock.try_lock().is_some()),
                lock.try_lock_for(Duration::ZERO).is_none(),
                lock.try_lock_until(Instant::now()).is_none(),
            ]);
            lib::MutexGuard::bump(&mut guard);
            let Err(guard) = lib::MutexGuard::try_map(guard, |_| None::<&mut u8>) else {
                panic!("mapped")
            };
            let Err((guard, why)) =
                lib::MutexGuard::try_map_or_err(guard, |_| Err::<&mut u8, _>("no"))
            else {
                panic!("mapped")
            };
            let guard = lib::MutexGuard::map(guard, |pair| &mut pair.1);
            let mut guard = lib::MappedMutexGuard::map(guard, |second| second);
            *guard += 1;
            seen.extend(answers![why, guard, guard.to_string()]);
            lib::MappedMutexGuard::unlock_fair(guard);
            lib::MutexGuard::unlock_fair(lock.lock());
            seen.extend(answers![lock.try_lock(), lock.try_lock_for(Duration::ZERO)]);
            // Without guards.
            {
                use lib::lock_api::{RawMutex, RawMutexFair, RawMutexTimed};
                let guard = lock.lock();
                let marker = <lib::RawMutex as RawMutex>::Guard::default();
                std::mem::forget(guard);
                // SAFETY: held, and its guard forgotten.
                unsafe { lock.force_unlock(marker) };
                // SAFETY: what is done to the raw mutex is undone.
                let raw = unsafe { lock.raw() };
                let marker = raw.lock();
                // SAFETY: held as the marker says.
                let guard = unsafe { lock.make_guard_unchecked(marker) };
                seen.extend(answers![*guard, raw.try_lock().is_none(), raw.is_locked()]);
                drop(guard);
                let marker = raw.try_lock_for(Duration::ZERO).unwrap();
                // SAFETY: held as the marker says.
                unsafe { raw.unlock_fair(marker) };
            }
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                let _guard = lock.lock();
                panic!("with the lock held");
            }));
            seen.extend(answers![panicked.is_err(), lock.is_locked(), lock.into_inner()]);

            let lock = Arc::new(lib::Mutex::new(1));
            let mut guard = lock.lock_arc();
            *guard += 1;
            seen.extend(answers![
                *guard,
                lock.try_lock_arc().is_none(),
                lock.try_lock_arc_for(Duration::ZERO).is_none(),
                lib::lock_api::ArcMutexGuard::unlocked(&mut guard, || lock.is_locked()),
            ]);
            let arc: Arc<lib::Mutex<i32>> = lib::lock_api::ArcMutexGuard::into_arc(guard);
            seen.extend(answers![Arc::strong_count(&arc), lock.is_locked()]);

            let fair = lib::FairMutex::new("fair");
            let mut guard = fair.lock();
            lib::FairMutexGuard::bump(&mut guard);
            seen.extend(answers![fair, guard, fair.try_lock().is_none()]);
            let guard: lib::MappedFairMutexGuard<'_, _> = lib::FairMutexGuard::map(guard, |s| s);
            drop(guard);
            seen.extend(answers![fair, fair.try_lock_for(Duration::ZERO), fair.is_locked()]);

            static REENTRANT: lib::ReentrantMutex<u8> = lib::ReentrantMutex::new(3);
            let mut outer = REENTRANT.lock();
            let inner = REENTRANT.try_lock().unwrap();
            let elsewhere =
                std::thread::spawn(|| (REENTRANT.try_lock().is_none(), format!("{REENTRANT:?}")));
            seen.extend(answers![
                REENTRANT,
                inner,
                elsewhere.join().unwrap(),
                REENTRANT.is_owned_by_current_thread(),
            ]);
            drop(lib::ReentrantMutexGuard::map(inner, |whole| whole));
            lib::ReentrantMutexGuard::bump(&mut outer);
            lib::ReentrantMutexGuard::unlock_fair(outer);
            seen.extend(answers![REENTRANT.is_locked(), REENTRANT.try_lock_for(Duration::ZERO)]);
            seen
        }};
    }
    same!(run);
}

#[test]
fn reader_writer_locks() {
    macro_rules! locks {
        ($lib:path, $lock:ident, $raw:ident) => {{
            use lib::lock_api::{
                ArcRwLockReadGuard, ArcRwLockUpgradableReadGuard, RwLockReadGuard as Read,
                RwLockUpgradableReadGuard as Upgradable, RwLockWriteGuard as Write,
            };
            use $lib as lib;
            static LOCK: lib::$lock<u8> = lib::$lock::new(5);
            let unsized_lock: Box<lib::$lock<dyn Debug + Send + Sync>> =
                Box::new(lib::$lock::new(7));
            let mut lock = lib::$lock::from((1, 2));
            *lock.get_mut() = (3, 4);
            let mut seen = answers![LOCK.read(), LOCK, &*unsized_lock.read(), lock];
            let busy = |seen: &mut Vec<String>| {
                seen.extend(answers![
                    lock,
                    lock.is_locked(),
                    lock.is_locked_exclusive(),
                    lock.try_read().is_some(),
                    lock.try_write().is_some(),
                    lock.try_upgradable_read().is_some(),
                    lock.try_read_for(Duration::ZERO).is_some(),
                    lock.try_read_until(Instant::now()).is_some(),
                    lock.try_write_for(Duration::ZERO).is_some(),
                    lock.try_write_until(Instant::now()).is_some(),
                    lock.try_upgradable_read_for(Duration::ZERO).is_some(),
                    lock.try_upgradable_read_until(Instant::now()).is_some(),
                ]);
            };
            busy(&mut seen);
            let mut guard = lock.read();
            busy(&mut seen);
            Read::bump(&mut guard);
            seen.extend(answers![
                guard,
                Read::unlocked(&mut guard, || lock.is_locked()),
                Read::unlocked_fair(&mut guard, || lock.is_locked()),
            ]);
            let Err(guard) = Read::try_map(guard, |_| None::<&u8>) else { panic!("mapped") };
            let guard = Read::map(guard, |pair| &pair.1);
            seen.extend(answers![guard, guard.to_string()]);
            busy(&mut seen);
            drop(guard);
            let mut guard = lock.write();
            busy(&mut seen);
            Write::bump(&mut guard);
            guard.0 += 1;
            seen.extend(answers![
                guard,
                Write::unlocked(&mut guard, || lock.is_locked()),
                Write::unlocked_fair(&mut guard, || lock.is_locked()),
            ]);
            let guard = Write::downgrade_to_upgradable(guard);
            busy(&mut seen);
            let mut guard = Upgradable::upgrade(guard);
            guard.1 += 1;
            let guard = Write::downgrade(guard);
            busy(&mut seen);
            Read::unlock_fair(guard);
            let guard = Write::map(lock.write(), |pair| &mut pair.0);
            seen.extend(answers![guard]);
            busy(&mut seen);
            drop(guard);
            let mut guard = lock.upgradable_read();
            busy(&mut seen);
            Upgradable::bump(&mut guard);
            seen.extend(answers![
                guard,
                Upgradable::unlocked(&mut guard, || lock.is_locked()),
                Upgradable::with_upgraded(&mut guard, |pair| pair.0 += 1),
                Upgradable::try_with_upgraded(&mut guard, |pair| pair.0 += 1).is_some(),
            ]);
            let reader = lock.read();
            let Err(guard) = Upgradable::try_upgrade(guard) else { panic!("upgraded") };
            let Err(guard) = Upgradable::try_upgrade_for(guard, Duration::ZERO) else {
                panic!("upgraded")
            };
            let Err(guard) = Upgradable::try_upgrade_until(guard, Instant::now()) else {
                panic!("upgraded")
            };
            busy(&mut seen);
            drop(reader);
            let Ok(guard) = Upgradable::try_upgrade_for(guard, Duration::ZERO) else {
                panic!("not upgraded")
            };
            drop(guard);
            let guard = Upgradable::downgrade(lock.upgradable_read());
            busy(&mut seen);
            drop(guard);
            Upgradable::unlock_fair(lock.upgradable_read());
            Write::unlock_fair(lock.write());
            busy(&mut seen);
            {
                use lib::lock_api::{RawRwLock, RawRwLockUpgrade};
                // SAFETY: what is done to the raw lock is undone.
                let raw: &lib::$raw = unsafe { lock.raw() };
                let shared = raw.lock_shared();
                // SAFETY: held as the state says.
                drop(unsafe { lock.make_read_guard_unchecked(shared) });
                let exclusive = raw.lock_exclusive();
                // SAFETY: as above.
                unsafe { lock.force_unlock_write(exclusive) };
                let upgradable = raw.lock_upgradable();
                // SAFETY: as above.
                let exclusive = unsafe { raw.upgrade(upgradable) };
                // SAFETY: as above.
                unsafe { raw.unlock_exclusive(exclusive) };
            }
            busy(&mut seen);
            seen.extend(answers![lock.into_inner()]);

            let lock = Arc::new(lib::$lock::new(1));
            let guard: ArcRwLockReadGuard<lib::$raw, i32> = lock.read_arc();
            seen.extend(answers![guard, lock.try_write_arc().is_none()]);
            drop(ArcRwLockReadGuard::into_arc(guard));
            *lock.write_arc() += 1;
            let guard = lock.upgradable_read_arc();
            *ArcRwLockUpgradableReadGuard::upgrade(guard) += 1;
            seen.extend(answers![lock, Arc::strong_count(&lock)]);
            seen
        }};
    }
    macro_rules! run {
        ($lib:path) => {
            locks!($lib, RwLock, RawRwLock)
        };
    }
    same!(run);
    macro_rules! run_recursive {
        ($lib:path) => {
            locks!($lib, RecursiveRwLock, RawRwLockRecursive)
        };
    }
    same!(run_recursive);
}

#[test]
fn condition_variables() {
    macro_rules! run {
        ($lib:path) => {{
            use $lib as lib;
            static PAIR: (lib::Mutex<u8>, lib::Condvar) = (lib::Mutex::new(0), lib::Condvar::new());
            let (lock, condvar) = &PAIR;
            let mut guard = lock.lock();
            let mut seen = answers![
                condvar,
                lib::Condvar::default(),
                condvar.notify_one(),
                condvar.notify_all(),
                condvar.wait_for(&mut guard, Duration::ZERO),
                condvar.wait_until(&mut guard, Instant::now()),
                condvar.wait_while_for(&mut guard, |n| *n == 0, Duration::ZERO),
                condvar.wait_while_for(&mut guard, |n| *n != 0, Duration::MAX),
                condvar.wait_while_until(&mut guard, |n| *n == 0, Instant::now()),
                condvar.wait_while_until(&mut guard, |n| *n != 0, Instant::now()),
            ];
            let notifier = std::thread::spawn(|| {
                *PAIR.0.lock() = 1;
                PAIR.1.notify_one()
            });
            condvar.wait_while(&mut guard, |n| *n == 0);
            notifier.join().unwrap();
            seen.extend(answers![guard]);
            let notifier = std::thread::spawn(|| {
                let _guard = PAIR.0.lock();
                PAIR.1.notify_all()
            });
            condvar.wait(&mut guard);
            seen.extend(answers![notifier.join().unwrap()]);
            // What is generic over raw condition variables.
            fn notify<C: lib::lock_api::RawCondvar>(condvar: &lib::lock_api::Condvar<C>) -> bool {
                condvar.notify_one()
            }
            seen.extend(answers![notify::<lib::RawCondvar>(condvar)]);
            seen
        }};
    }
    same!(run);
}

#[test]
fn once() {
    macro_rules! run {
        ($lib:path) => {{
            use $lib as lib;
            static ONCE: lib::Once = lib::Once::new();
            let mut seen = answers![ONCE, ONCE.state(), lib::Once::default()];
            seen.extend(answers![lib::Once::new_completed(), lib::OnceState::Poisoned.poisoned()]);
            let panicked = catch_unwind(|| ONCE.call_once(|| panic!("the first")));
            seen.extend(answers![panicked.is_err(), ONCE, ONCE.is_completed()]);
            seen.extend(answers![
                catch_unwind(|| ONCE.call_once(|| ())).is_err(),
                catch_unwind(|| ONCE.wait()).is_err(),
                catch_unwind(|| ONCE.call_once_force(|_| panic!("again"))).is_err(),
                ONCE,
            ]);
            let mut told = None;
            ONCE.call_once_force(|state| told = Some((state, format!("{ONCE:?}"))));
            ONCE.wait();
            ONCE.wait_force();
            ONCE.call_once(|| unreachable!());
            ONCE.call_once_force(|_| unreachable!());
            seen.extend(answers![told, ONCE, ONCE.is_completed()]);
            seen
        }};
    }
    same!(run);
}

#[test]
fn exclude_and_stay_small() {
    fn add(counter: &(dyn Fn() + Sync)) {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..5_000).for_each(|_| counter()));
            }
        });
    }
    let mutex = super::Mutex::new(0);
    add(&|| *mutex.lock() += 1);
    assert_eq!(mutex.into_inner(), 20_000);
    let mutex = super::FairMutex::new(0);
    add(&|| {
        let mut guard = mutex.lock();
        *guard += 1;
        super::FairMutexGuard::bump(&mut guard);
    });
    assert_eq!(mutex.into_inner(), 20_000);
    let lock = super::RwLock::new(0);
    add(&|| {
        let guard = lock.upgradable_read();
        let seen = *guard;
        let mut guard = super::RwLockUpgradableReadGuard::upgrade(guard);
        assert_eq!(*guard, seen);
        *guard += 1;
        let mut guard = super::RwLockWriteGuard::downgrade(guard);
        super::RwLockReadGuard::bump(&mut guard);
        assert!(*guard > seen);
    });
    assert_eq!(lock.into_inner(), 20_000);
    // As the documentation of the module has it.
    let more = |ours: usize, theirs: usize| ours - theirs;
    assert_eq!(more(size_of::<super::RawMutex>(), size_of::<parking_lot_0_13::RawMutex>()), 79);
    type TheirRawRwLock = parking_lot_0_13::RawRwLock;
    assert_eq!(more(size_of::<super::RawRwLock>(), size_of::<TheirRawRwLock>()), 80);
    type TheirReadGuard<'a> = parking_lot_0_13::RwLockReadGuard<'a, ()>;
    let guards = (size_of::<super::RwLockReadGuard<'_, ()>>(), size_of::<TheirReadGuard<'_>>());
    assert_eq!(more(guards.0, guards.1), 24);
}
