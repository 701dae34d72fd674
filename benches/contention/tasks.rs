//! Locks and channels of tokio, by tasks: one on its thread, or several on two workers.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use crate::{Contender, Figures, Setup, contenders};
#[cfg(feature = "peers")]
use crate::{locks::hotpath, ns};

fn runtime(setup: Setup) -> Runtime {
    let mut builder = if setup.threads == 1 {
        Builder::new_current_thread()
    } else {
        Builder::new_multi_thread()
    };
    builder.worker_threads(2).build().expect("a runtime")
}

/// Nanoseconds between two operations of all tasks.
fn tasks<F: Future<Output = ()> + Send>(
    setup: Setup,
    operation: impl Fn(usize) -> F + Clone + Send + 'static,
) -> Figures {
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let start = Instant::now();
    runtime(setup).block_on(async {
        let running: Vec<_> = (0..setup.threads)
            .map(|task| {
                let (stop, done, operation) = (stop.clone(), done.clone(), operation.clone());
                tokio::spawn(async move {
                    let mut count = 0;
                    // With one thread nobody else can look at the clock.
                    while !(stop.load(Ordering::Relaxed)
                        || count % 1024 == 0 && start.elapsed() > Duration::from_millis(300))
                    {
                        operation(task).await;
                        count += 1;
                    }
                    stop.store(true, Ordering::Relaxed);
                    done.fetch_add(count, Ordering::Relaxed);
                })
            })
            .collect();
        for task in running {
            task.await.expect("no task panics");
        }
    });
    Figures::new(start.elapsed().as_nanos() as f64 / done.load(Ordering::Relaxed).max(1) as f64)
}

/// Acquire, work, release, work.
macro_rules! run {
    ($setup:ident, $lock:expr, |$name:ident| $acquire:expr) => {{
        let lock = Arc::new($lock);
        tasks($setup, move |_| {
            let $name = lock.clone();
            async move {
                let guard = $acquire;
                black_box(&guard);
                $setup.work();
                drop(guard);
                $setup.work();
            }
        })
    }};
}

macro_rules! run_mutex {
    ($setup:ident, $lock:expr) => {
        run!($setup, $lock, |lock| lock.lock().await)
    };
}

macro_rules! run_read {
    ($setup:ident, $lock:expr) => {
        run!($setup, $lock, |lock| lock.read().await)
    };
}

macro_rules! run_write {
    ($setup:ident, $lock:expr) => {
        run!($setup, $lock, |lock| lock.write().await)
    };
}

macro_rules! run_semaphore {
    ($setup:ident, $lock:expr) => {
        run!($setup, $lock, |lock| lock.acquire().await.unwrap())
    };
}

pub(crate) fn mutex(s: Setup) -> Vec<Contender> {
    #[allow(unused_mut)]
    let mut all = contenders!(
        s,
        run_mutex,
        tokio::sync::Mutex::new(0_u64),
        pprof_runtime::tokio::sync::Mutex::new(0_u64)
    );
    #[cfg(feature = "peers")]
    all.push(ns("hotpath", move || {
        hotpath!(run_mutex!(s, hotpath::mutex!(tokio::sync::Mutex::new(0_u64))))
    }));
    all
}

pub(crate) fn rwlock_read(s: Setup) -> Vec<Contender> {
    contenders!(
        s,
        run_read,
        tokio::sync::RwLock::new(0_u64),
        pprof_runtime::tokio::sync::RwLock::new(0_u64)
    )
}

pub(crate) fn rwlock_write(s: Setup) -> Vec<Contender> {
    contenders!(
        s,
        run_write,
        tokio::sync::RwLock::new(0_u64),
        pprof_runtime::tokio::sync::RwLock::new(0_u64)
    )
}

pub(crate) fn semaphore(s: Setup) -> Vec<Contender> {
    contenders!(
        s,
        run_semaphore,
        tokio::sync::Semaphore::new(1),
        pprof_runtime::tokio::sync::Semaphore::new(1)
    )
}

/// All but one task send.
macro_rules! run_mpsc {
    ($setup:ident, $new:expr) => {{
        let start = Instant::now();
        let received = runtime($setup).block_on(async {
            let (tx, mut rx) = $new;
            for _ in 1..$setup.threads {
                let tx = tx.clone();
                tokio::spawn(async move {
                    while start.elapsed() < Duration::from_millis(300) {
                        for _ in 0..64 {
                            tx.send(black_box(1_u64)).await.unwrap();
                            $setup.work();
                        }
                    }
                });
            }
            drop(tx);
            let receiver = tokio::spawn(async move {
                let mut count = 0_u64;
                while rx.recv().await.is_some() {
                    count += 1;
                    $setup.work();
                }
                count
            });
            receiver.await.expect("no task panics")
        });
        Figures::new(start.elapsed().as_nanos() as f64 / received.max(1) as f64)
    }};
}

pub(crate) fn mpsc(s: Setup) -> Vec<Contender> {
    #[allow(unused_mut)]
    let mut all = contenders!(
        s,
        run_mpsc,
        tokio::sync::mpsc::channel(128),
        pprof_runtime::tokio::sync::mpsc::channel(128)
    );
    #[cfg(feature = "peers")]
    all.push(ns("hotpath", move || {
        hotpath!(run_mpsc!(
            s,
            hotpath::channel!(tokio::sync::mpsc::channel::<u64>(128), capacity = 128)
        ))
    }));
    all
}

macro_rules! run_oneshot {
    ($setup:ident, $new:expr) => {
        tasks($setup, move |_| async move {
            let (tx, rx) = $new;
            tx.send(black_box(1_u64)).unwrap();
            black_box(rx.await.unwrap());
            $setup.work();
        })
    };
}

/// Made, sent and received.
pub(crate) fn oneshot(s: Setup) -> Vec<Contender> {
    contenders!(
        s,
        run_oneshot,
        tokio::sync::oneshot::channel(),
        pprof_runtime::tokio::sync::oneshot::channel()
    )
}
