//! Channels of std and crossbeam. Alone, a thread sends to itself; otherwise half of the threads send and the others receive, or all
//! but one send where there can be but one receiver.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::{Contender, Figures, Setup, contenders, go};
#[cfg(feature = "peers")]
use crate::{locks::hotpath, ns};

/// Nanoseconds between two messages: `senders` send until time is up and hang up, `receivers` take until nothing comes.
fn transfer(
    senders: Vec<impl FnMut() + Send>,
    receivers: Vec<impl FnMut() -> bool + Send>,
) -> Figures {
    let (stop, received) = (AtomicBool::new(false), AtomicU64::new(0));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for mut send in senders {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    send();
                }
            });
        }
        for mut receive in receivers {
            let received = &received;
            scope.spawn(move || {
                let mut count = 0;
                while receive() {
                    count += 1;
                }
                received.fetch_add(count, Ordering::Relaxed);
            });
        }
        std::thread::sleep(Duration::from_millis(300));
        stop.store(true, Ordering::Relaxed);
    });
    Figures::new(start.elapsed().as_nanos() as f64 / received.into_inner().max(1) as f64)
}

/// Channels with one receiver.
macro_rules! run_mpsc {
    ($setup:ident, $new:expr) => {{
        let (tx, rx) = $new;
        if $setup.threads == 1 {
            let mut rx = Some(rx);
            let rx = rx.take().unwrap();
            return_alone!($setup, tx, rx)
        } else {
            let senders = (1..$setup.threads).map(|_| {
                let tx = tx.clone();
                move || {
                    tx.send(black_box(1_u64)).unwrap();
                    $setup.work();
                }
            });
            let senders: Vec<_> = senders.collect();
            drop(tx);
            let receive = move || {
                $setup.work();
                rx.recv().is_ok()
            };
            transfer(senders, vec![receive])
        }
    }};
}

macro_rules! return_alone {
    ($setup:ident, $tx:ident, $rx:ident) => {
        Figures::new(pprof_benches::measure::one_thread(|_| {
            $tx.send(black_box(1_u64)).unwrap();
            black_box($rx.recv().unwrap());
            $setup.work();
        }))
    };
}

/// Channels with as many receivers as senders.
macro_rules! run_mpmc {
    ($setup:ident, $new:expr) => {{
        let (tx, rx) = $new;
        if $setup.threads == 1 {
            return_alone!($setup, tx, rx)
        } else {
            let half = $setup.threads / 2;
            let senders = (0..half).map(|_| {
                let tx = tx.clone();
                move || {
                    tx.send(black_box(1_u64)).unwrap();
                    $setup.work();
                }
            });
            let receivers = (0..half).map(|_| {
                let rx = rx.clone();
                move || {
                    $setup.work();
                    rx.recv().is_ok()
                }
            });
            let (senders, receivers): (Vec<_>, Vec<_>) = (senders.collect(), receivers.collect());
            drop((tx, rx));
            transfer(senders, receivers)
        }
    }};
}

const BOUND: usize = 128;

pub(crate) fn mpsc(s: Setup) -> Vec<Contender> {
    #[allow(unused_mut)]
    let mut all =
        contenders!(s, run_mpsc, std::sync::mpsc::channel(), pprof_runtime::sync::mpsc::channel());
    #[cfg(feature = "peers")]
    all.push(ns("hotpath", move || {
        hotpath!(run_mpsc!(s, hotpath::channel!(std::sync::mpsc::channel::<u64>())))
    }));
    all
}

pub(crate) fn sync_channel(s: Setup) -> Vec<Contender> {
    let mut all = contenders!(
        s,
        run_mpsc,
        std::sync::mpsc::sync_channel(BOUND),
        pprof_runtime::sync::mpsc::sync_channel(BOUND)
    );
    all.extend(go::contenders("channel", s));
    all
}

pub(crate) fn crossbeam_unbounded(s: Setup) -> Vec<Contender> {
    #[allow(unused_mut)]
    let mut all = contenders!(
        s,
        run_mpmc,
        crossbeam_channel::unbounded(),
        pprof_runtime::crossbeam_channel::unbounded()
    );
    #[cfg(feature = "peers")]
    all.push(ns("hotpath", move || {
        hotpath!(run_mpmc!(s, hotpath::channel!(crossbeam_channel::unbounded::<u64>())))
    }));
    all
}

pub(crate) fn crossbeam_bounded(s: Setup) -> Vec<Contender> {
    contenders!(
        s,
        run_mpmc,
        crossbeam_channel::bounded(BOUND),
        pprof_runtime::crossbeam_channel::bounded(BOUND)
    )
}

pub(crate) fn crossbeam_rendezvous(s: Setup) -> Vec<Contender> {
    let mut all = contenders!(
        s,
        run_mpmc,
        crossbeam_channel::bounded(0),
        pprof_runtime::crossbeam_channel::bounded(0)
    );
    all.extend(go::contenders("rendezvous", s));
    all
}
