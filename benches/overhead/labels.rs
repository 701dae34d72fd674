//! Labels set on the running code: what `pprof.Do` is in Go.

use std::future::poll_fn;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use pprof_benches::contender::{Contender, Figures, ns};
use pprof_benches::measure;
use pprof_runtime::{Labels, labelled, labels, with_labels};

#[inline(never)]
fn bare(x: u64) -> u64 {
    black_box(x) ^ (x >> 3)
}

macro_rules! time {
    ($call:expr) => {
        Figures::new(measure::one_thread(|i| {
            black_box($call(i));
        }))
    };
}

/// Polls of one future, without end.
fn polls(future: impl Future<Output = ()>) -> Figures {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    time!(|_| future.as_mut().poll(&mut context).is_pending())
}

/// Pending for ever.
fn pending() -> impl Future<Output = ()> {
    let mut count = 0;
    poll_fn(move |_| {
        count = bare(count);
        Poll::Pending
    })
}

pub(crate) fn calls() -> Vec<Contender> {
    let route = || labels! { "route" => "/search" };
    vec![
        ns("bare", || time!(bare)),
        ns("with_labels", move || {
            let labels = route();
            time!(|i| with_labels(&labels, || bare(i)))
        }),
        ns("with_labels, inside of others", move || {
            let (outer, labels) = (labels! { "method" => "GET" }, route());
            with_labels(&outer, || time!(|i| with_labels(&labels, || bare(i))))
        }),
        ns("with_labels, a set made each time", || {
            time!(|i| with_labels(Labels::new([("route", "/search")]), || bare(i)))
        }),
        ns("with_labels, new values each time", || {
            time!(|i| with_labels(labels! { "request" => i }, || bare(i)))
        }),
        ns("a guard", move || {
            let labels = route();
            time!(|i| {
                let _guard = labels.set();
                bare(i)
            })
        }),
        ns("poll, bare", || polls(pending())),
        ns("poll, labelled", move || polls(labelled(route(), pending()))),
    ]
}
