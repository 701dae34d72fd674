//! Annotated functions: bare, ours off and on, hotpath's, tracing's.

use std::cell::Cell;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use pprof_benches::contender::{Contender, Figures, ns};
use pprof_benches::measure;

/// The same body under each attribute.
macro_rules! function {
    ($(#[$attribute:meta])* $name:ident) => {
        $(#[$attribute])*
        #[inline(never)]
        fn $name(x: u64) -> u64 {
            black_box(x) ^ (x >> 3)
        }
    };
    ($(#[$attribute:meta])* async $name:ident) => {
        $(#[$attribute])*
        #[inline(never)]
        async fn $name(x: u64) -> u64 {
            black_box(x) ^ (x >> 3)
        }
    };
}

function!(bare);
function!(
    #[pprof_runtime::profile]
    ours
);
function!(
    #[pprof_runtime::profile(time = off)]
    counted
);
function!(
    #[pprof_runtime::profile(time = sampled(64))]
    sampled
);
function!(
    #[pprof_runtime::profile(time = sampled(1_000_000))]
    seldom_sampled
);
function!(
    #[pprof_runtime::profile(generic = each)]
    each
);

/// Handlers of requests, called in turn with the labels of one user after the other.
struct Service {
    users: Vec<pprof_runtime::Labels>,
}

#[pprof_runtime::profile(generic = each)]
#[inline(never)]
fn handler<const ROUTE: u64>(x: u64) -> u64 {
    black_box(x) ^ ROUTE
}

const HANDLERS: [fn(u64) -> u64; 16] = [
    handler::<0>,
    handler::<1>,
    handler::<2>,
    handler::<3>,
    handler::<4>,
    handler::<5>,
    handler::<6>,
    handler::<7>,
    handler::<8>,
    handler::<9>,
    handler::<10>,
    handler::<11>,
    handler::<12>,
    handler::<13>,
    handler::<14>,
    handler::<15>,
];

impl Service {
    fn new() -> Service {
        Service { users: (0..120).map(|user| pprof_runtime::labels! { "user" => user }).collect() }
    }

    fn request(&self, x: u64) -> u64 {
        let user = &self.users[x as usize % self.users.len()];
        let handler = HANDLERS[x as usize / self.users.len() % HANDLERS.len()];
        pprof_runtime::with_labels(user, || handler(x))
    }
}

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// What a counter alone takes.
fn counted_by_hand(x: u64) -> u64 {
    COUNT.with(|count| count.set(count.get() + 1));
    bare(x)
}

/// A function that is called from somewhere, and how often.
struct Path {
    function: u32,
    calls: Cell<u64>,
    last_callee: Cell<Option<&'static Path>>,
}

impl Path {
    fn new(function: u32, last_callee: Option<&'static Path>) -> &'static Path {
        let (calls, last_callee) = (Cell::new(0), Cell::new(last_callee));
        Box::leak(Box::new(Path { function, calls, last_callee }))
    }
}

thread_local! {
    static RUNNING: Cell<Option<&'static Path>> = const { Cell::new(None) };
}

/// What counting calls by their paths cannot do without: the path that runs, whether it called this function the last time, a counter, and the
/// path that runs put back.
#[inline(never)]
fn counted_on_its_path(x: u64) -> u64 {
    const THIS: u32 = 1;
    let caller = RUNNING.get();
    let path = caller.and_then(|caller| caller.last_callee.get());
    let path = path.filter(|path| path.function == THIS).expect("it was called before");
    path.calls.set(path.calls.get() + 1);
    RUNNING.set(Some(path));
    let value = black_box(x) ^ (x >> 3);
    RUNNING.set(caller);
    value
}

/// What a timed call cannot do without.
#[cfg(target_arch = "x86_64")]
fn between_reads(x: u64) -> u64 {
    use std::arch::x86_64::_rdtsc;
    // SAFETY: all processors of this architecture have it.
    black_box(unsafe { _rdtsc() });
    let value = bare(x);
    // SAFETY: as above.
    black_box(unsafe { _rdtsc() });
    value
}

function!(async bare_async);
function!(#[pprof_runtime::profile] async ours_async);

#[cfg(feature = "peers")]
mod peers {
    use super::black_box;

    function!(
        #[hotpath::measure]
        hotpath_call
    );
    function!(
        #[tracing::instrument(skip_all)]
        tracing_call
    );
    function!(#[hotpath::measure] async hotpath_async);
    function!(#[tracing::instrument(skip_all)] async tracing_async);

    pub(super) fn hotpath_sync(x: u64) -> u64 {
        hotpath_call(x)
    }
    pub(super) fn tracing_sync(x: u64) -> u64 {
        tracing_call(x)
    }
    pub(super) fn hotpath_poll(x: u64) -> u64 {
        super::finish(hotpath_async(x))
    }
    pub(super) fn tracing_poll(x: u64) -> u64 {
        super::finish(tracing_async(x))
    }
}

/// The value of a future that never waits.
#[inline(always)]
pub(crate) fn finish<F: Future<Output = u64>>(future: F) -> u64 {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("it never waits"),
    }
}

macro_rules! time {
    ($call:expr) => {
        Figures::new(measure::one_thread(|i| {
            black_box($call(i));
        }))
    };
}

/// With its guard, which would print a report at the end.
#[cfg(feature = "peers")]
macro_rules! time_hotpath {
    ($call:expr) => {{
        let _guard = hotpath::HotpathGuardBuilder::new("bench").build();
        println!("{}", time!($call).to_line());
        std::process::exit(0)
    }};
}

#[cfg(feature = "peers")]
fn subscribe() {
    use tracing_subscriber::prelude::*;
    tracing_subscriber::registry().init();
}

#[allow(unused_mut)]
pub(crate) fn sync() -> Vec<Contender> {
    let mut contenders = vec![
        ns("bare", || time!(bare)),
        ns("bare, and a counter of the thread", || time!(counted_by_hand)),
        ns("bare, and a counter of its call path", || {
            RUNNING.set(Some(Path::new(0, Some(Path::new(1, None)))));
            time!(counted_on_its_path)
        }),
        #[cfg(target_arch = "x86_64")]
        ns("bare, between two reads of the clock", || time!(between_reads)),
        ns("ours, off", || time!(ours)),
        ns("ours, on", || {
            pprof_runtime::set_function_profile(true);
            time!(ours)
        }),
        ns("ours, on, histograms", || {
            pprof_runtime::set_function_profile(true);
            pprof_runtime::set_function_histograms(true);
            time!(ours)
        }),
        ns("ours, on, with labels set", || {
            pprof_runtime::set_function_profile(true);
            pprof_runtime::with_labels(pprof_runtime::labels! { "a" => 1 }, || time!(ours))
        }),
        ns("16 functions and 120 sets of labels in turn, off", || {
            let service = Service::new();
            time!(|x| service.request(x))
        }),
        ns("16 functions and 120 sets of labels in turn, on", || {
            pprof_runtime::set_function_profile(true);
            let service = Service::new();
            time!(|x| service.request(x))
        }),
        ns("ours, time = sampled(64)", || {
            pprof_runtime::set_function_profile(true);
            time!(sampled)
        }),
        // What it takes to decide, without the looks.
        ns("ours, time = sampled(1000000)", || {
            pprof_runtime::set_function_profile(true);
            time!(seldom_sampled)
        }),
        ns("ours, time = off", || {
            pprof_runtime::set_function_profile(true);
            time!(counted)
        }),
        ns("ours, time = off, off", || time!(counted)),
        ns("ours, generic = each", || {
            pprof_runtime::set_function_profile(true);
            time!(each)
        }),
    ];
    #[cfg(feature = "peers")]
    contenders.extend([
        ns("hotpath, on", || time_hotpath!(peers::hotpath_sync)),
        ns("tracing, nobody listens", || time!(peers::tracing_sync)),
        ns("tracing, registry alone", || {
            subscribe();
            time!(peers::tracing_sync)
        }),
    ]);
    #[cfg(feature = "peers")]
    contenders.extend(crate::tracers::sync());
    contenders
}

#[allow(unused_mut)]
pub(crate) fn asynchronous() -> Vec<Contender> {
    let mut contenders = vec![
        ns("bare", || time!(|i| finish(bare_async(i)))),
        ns("ours, off", || time!(|i| finish(ours_async(i)))),
        ns("ours, on", || {
            pprof_runtime::set_function_profile(true);
            time!(|i| finish(ours_async(i)))
        }),
        ns("ours, on, wake-ups noted", || {
            pprof_runtime::set_function_profile(true);
            pprof_runtime::set_function_wakes(true);
            time!(|i| finish(ours_async(i)))
        }),
    ];
    #[cfg(feature = "peers")]
    contenders.extend([
        ns("hotpath, on", || time_hotpath!(peers::hotpath_poll)),
        ns("tracing, nobody listens", || time!(peers::tracing_poll)),
        ns("tracing, registry alone", || {
            subscribe();
            time!(peers::tracing_poll)
        }),
    ]);
    #[cfg(feature = "peers")]
    contenders.extend(crate::tracers::asynchronous());
    contenders
}
