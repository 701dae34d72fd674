//! Locks of std and of parking_lot.

use std::hint::black_box;

use crate::{Contender, Setup, contenders, go, ns};

/// Lock, work, unlock, work.
macro_rules! run {
    ($setup:ident, $lock:expr, |$name:ident| $acquire:expr) => {{
        let lock = $lock;
        $setup.measure(|_| {
            let $name = black_box(&lock);
            let guard = $acquire;
            black_box(&*guard);
            $setup.work();
            drop(guard);
            $setup.work();
        })
    }};
}

macro_rules! run_mutex {
    ($setup:ident, $lock:expr) => {
        run!($setup, $lock, |lock| lock.lock().unwrap())
    };
}

macro_rules! run_read {
    ($setup:ident, $lock:expr) => {
        run!($setup, $lock, |lock| lock.read().unwrap())
    };
}

macro_rules! run_write {
    ($setup:ident, $lock:expr) => {
        run!($setup, $lock, |lock| lock.write().unwrap())
    };
}

macro_rules! run_plain_mutex {
    ($setup:ident, $lock:expr) => {
        run!($setup, $lock, |lock| lock.lock())
    };
}

macro_rules! run_plain_read {
    ($setup:ident, $lock:expr) => {
        run!($setup, $lock, |lock| lock.read())
    };
}

macro_rules! run_plain_write {
    ($setup:ident, $lock:expr) => {
        run!($setup, $lock, |lock| lock.write())
    };
}

/// hotpath prints its report when its guard goes; the figures are all that is wanted.
#[cfg(feature = "peers")]
macro_rules! hotpath {
    ($run:expr) => {{
        let _guard = hotpath::HotpathGuardBuilder::new("bench").build();
        let figures = $run;
        println!("{}", figures.to_line());
        std::process::exit(0)
    }};
}
#[cfg(feature = "peers")]
pub(crate) use hotpath;

pub(crate) fn mutex(s: Setup) -> Vec<Contender> {
    let mut all = contenders!(
        s,
        run_mutex,
        std::sync::Mutex::new(0_u64),
        pprof_runtime::sync::Mutex::new(0_u64)
    );
    #[cfg(feature = "peers")]
    all.extend([
        ns("hotpath", move || {
            hotpath!(run_mutex!(s, hotpath::mutex!(std::sync::Mutex::new(0_u64))))
        }),
        ns("tracing-mutex", move || {
            run_mutex!(s, tracing_mutex::stdsync::tracing::Mutex::new(0_u64))
        }),
    ]);
    all.extend(go::contenders("mutex", s));
    all
}

pub(crate) fn rwlock_read(s: Setup) -> Vec<Contender> {
    let mut all = contenders!(
        s,
        run_read,
        std::sync::RwLock::new(0_u64),
        pprof_runtime::sync::RwLock::new(0_u64)
    );
    #[cfg(feature = "peers")]
    all.extend([
        ns("hotpath", move || {
            hotpath!(run_read!(s, hotpath::rw_lock!(std::sync::RwLock::new(0_u64))))
        }),
        ns("tracing-mutex", move || {
            run_read!(s, tracing_mutex::stdsync::tracing::RwLock::new(0_u64))
        }),
    ]);
    all.extend(go::contenders("rwlock-read", s));
    all
}

pub(crate) fn rwlock_write(s: Setup) -> Vec<Contender> {
    let mut all = contenders!(
        s,
        run_write,
        std::sync::RwLock::new(0_u64),
        pprof_runtime::sync::RwLock::new(0_u64)
    );
    #[cfg(feature = "peers")]
    all.extend([
        ns("hotpath", move || {
            hotpath!(run_write!(s, hotpath::rw_lock!(std::sync::RwLock::new(0_u64))))
        }),
        ns("tracing-mutex", move || {
            run_write!(s, tracing_mutex::stdsync::tracing::RwLock::new(0_u64))
        }),
    ]);
    all.extend(go::contenders("rwlock-write", s));
    all
}

pub(crate) fn pl_mutex(s: Setup) -> Vec<Contender> {
    #[allow(unused_mut)]
    let mut all = contenders!(
        s,
        run_plain_mutex,
        parking_lot_0_13::Mutex::new(0_u64),
        pprof_runtime::parking_lot::Mutex::new(0_u64)
    );
    #[cfg(feature = "peers")]
    all.extend([
        ns("hotpath", move || {
            hotpath!(run_plain_mutex!(s, hotpath::mutex!(parking_lot_0_12::Mutex::new(0_u64))))
        }),
        ns("deadlock_detection", move || run_plain_mutex!(s, parking_lot_0_12::Mutex::new(0_u64))),
        ns("tracing-mutex", move || {
            run_plain_mutex!(s, tracing_mutex::parkinglot::tracing::Mutex::new(0_u64))
        }),
    ]);
    all
}

pub(crate) fn pl_fair_mutex(s: Setup) -> Vec<Contender> {
    contenders!(
        s,
        run_plain_mutex,
        parking_lot_0_13::FairMutex::new(0_u64),
        pprof_runtime::parking_lot::FairMutex::new(0_u64)
    )
}

pub(crate) fn pl_reentrant(s: Setup) -> Vec<Contender> {
    contenders!(
        s,
        run_plain_mutex,
        parking_lot_0_13::ReentrantMutex::new(0_u64),
        pprof_runtime::parking_lot::ReentrantMutex::new(0_u64)
    )
}

pub(crate) fn pl_rwlock_read(s: Setup) -> Vec<Contender> {
    contenders!(
        s,
        run_plain_read,
        parking_lot_0_13::RwLock::new(0_u64),
        pprof_runtime::parking_lot::RwLock::new(0_u64)
    )
}

pub(crate) fn pl_rwlock_write(s: Setup) -> Vec<Contender> {
    contenders!(
        s,
        run_plain_write,
        parking_lot_0_13::RwLock::new(0_u64),
        pprof_runtime::parking_lot::RwLock::new(0_u64)
    )
}

/// std's own mutex, whose waits level 0 sees or does not.
pub(crate) fn level_0(s: Setup) -> Vec<Contender> {
    let watched = move || {
        pprof_runtime::futex::start().expect("a program of glibc");
        crate::profiles_on();
        run_mutex!(s, std::sync::Mutex::new(0_u64))
    };
    vec![
        ns("not watched", move || run_mutex!(s, std::sync::Mutex::new(0_u64))),
        ns("watched", watched),
    ]
}
