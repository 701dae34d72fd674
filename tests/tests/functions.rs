//! `#[profile]` counts exactly and times without counting anything twice. One process, as the recorder is the process's.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use pprof_runtime::profile;
use pprof_tests::{YieldOnce, stacks, sum};

fn snapshot() -> pprof_format::Profile {
    pprof_runtime::lookup("functions").unwrap().snapshot().unwrap().proto().clone()
}

fn leaf_is(function: &str) -> impl Fn(&[&str]) -> bool {
    let function = format!("::{function}");
    move |names| names.first().is_some_and(|n| n.ends_with(&function))
}

fn calls(profile: &pprof_format::Profile, function: &str) -> i64 {
    sum(profile, 0, leaf_is(function))
}

fn self_ns(profile: &pprof_format::Profile, function: &str) -> i64 {
    sum(profile, 1, leaf_is(function))
}

/// The recorder is one for all tests of this file: they run one after the other.
static SERIAL: Mutex<()> = Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    SERIAL.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn sleep(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

#[profile]
fn tiny(x: u64) -> u64 {
    std::hint::black_box(x)
}

#[profile]
fn calls_tiny(n: u64) -> u64 {
    (0..n).map(tiny).sum()
}

#[test]
fn counts_are_exact_over_threads_that_run_and_that_ended() {
    let _alone = alone();
    pprof_runtime::set_function_profile(true);
    let before = snapshot();
    for _ in 0..2 {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100).for_each(|_| assert!(calls_tiny(1_000) > 0)));
            }
            // Looking meanwhile neither disturbs nor is disturbed.
            for _ in 0..20 {
                let now = snapshot();
                assert!(calls(&now, "tiny") >= calls(&before, "tiny"));
            }
        });
    }
    let after = snapshot();
    assert_eq!(calls(&after, "tiny") - calls(&before, "tiny"), 800_000);
    assert_eq!(calls(&after, "calls_tiny") - calls(&before, "calls_tiny"), 800);
    let under = |names: &[&str]| {
        names.first().is_some_and(|n| n.ends_with("::tiny"))
            && names.get(1).is_some_and(|n| n.ends_with("::calls_tiny"))
    };
    let by_path = sum(&after, 0, under) - sum(&before, 0, under);
    assert_eq!(by_path, 800_000, "by call path");
}

#[profile]
fn fib(n: u32) -> u64 {
    if n < 2 { u64::from(n) } else { fib(n - 1) + fib(n - 2) }
}

#[test]
fn recursion_counts_no_time_twice() {
    let _alone = alone();
    pprof_runtime::set_function_profile(true);
    let before = snapshot();
    let start = Instant::now();
    assert_eq!(fib(20), 6765);
    let wall = start.elapsed().as_nanos() as i64;
    let after = snapshot();
    assert_eq!(calls(&after, "fib") - calls(&before, "fib"), 21_891);
    let time = self_ns(&after, "fib") - self_ns(&before, "fib");
    assert!(time <= wall + wall / 500, "{time} ns in {wall}");
    assert!(time > wall / 4, "{time} ns in {wall}");
}

#[profile]
fn outer() {
    sleep(20);
    inner();
    inner();
}

#[profile]
fn inner() {
    sleep(10);
}

#[test]
fn self_times_add_up_to_the_total() {
    let _alone = alone();
    pprof_runtime::set_function_profile(true);
    // The first call on a thread and of a path makes room for them: not the function's time, but this clock's.
    outer();
    // The machine may stop the thread between this clock and ours, which spoils a round, but not every round.
    let rounds: Vec<_> = (0..10).map_while(|_| time_outer().err()).collect();
    assert!(rounds.len() < 10, "{rounds:?}");
}

fn time_outer() -> Result<(), String> {
    let before = snapshot();
    let start = Instant::now();
    outer();
    let wall = start.elapsed().as_nanos() as i64;
    let after = snapshot();
    let grown = |function| self_ns(&after, function) - self_ns(&before, function);
    let (outer, inner) = (grown("outer"), grown("inner"));
    assert!(outer >= 20_000_000 && inner >= 20_000_000, "{outer} {inner}");
    assert!(outer + inner <= wall + wall / 500, "{outer} + {inner} of {wall}");
    let whole = outer + inner > wall * 99 / 100;
    if whole { Ok(()) } else { Err(format!("{outer} + {inner} of {wall}")) }
}

#[profile]
fn early(n: i32) -> Option<i32> {
    if n == 0 {
        return Some(0);
    }
    let positive = u32::try_from(n).ok()?;
    assert!(positive != 13, "unlucky");
    Some(n)
}

trait Shape {
    #[profile]
    fn describe(&self) -> String {
        format!("area {}", self.area())
    }
    fn area(&self) -> u32;
}

struct Square<const N: u32>;

impl<const N: u32> Shape for Square<N> {
    #[profile]
    fn area(&self) -> u32 {
        N * N
    }
}

impl<const N: u32> Square<N> {
    #[profile(name = "renamed")]
    #[allow(clippy::unused_self)]
    unsafe fn dangerous(&self) -> impl Iterator<Item = u32> + use<N> {
        std::iter::repeat_n(N, 2)
    }
}

#[profile]
fn generic<T: Into<u64>>(x: T, f: impl Fn(u64) -> u64) -> u64 {
    f(x.into())
}

#[profile]
extern "C" fn for_c(x: i32) -> i32 {
    x + 1
}

#[profile]
#[track_caller]
fn line_of_caller() -> u32 {
    std::panic::Location::caller().line()
}

#[test]
fn every_way_out_and_every_kind_of_function() {
    let _alone = alone();
    pprof_runtime::set_function_profile(true);
    let before = snapshot();
    assert_eq!((early(0), early(-1), early(5)), (Some(0), None, Some(5)));
    assert!(std::panic::catch_unwind(|| early(13)).is_err());
    assert_eq!(Square::<3>.describe(), "area 9");
    // SAFETY: nothing is unsafe about it but its name.
    assert_eq!(unsafe { Square::<3>.dangerous() }.sum::<u32>(), 6);
    assert_eq!(generic(3u32, |x| x) + generic(4u8, |x| x), 7);
    assert_eq!(for_c(1), 2);
    assert_eq!(line_of_caller(), line!());
    let after = snapshot();
    for (function, expected) in [
        ("early", 4),
        ("describe", 1),
        ("area", 1),
        ("generic", 2),
        ("for_c", 1),
        ("line_of_caller", 1),
    ] {
        let count = calls(&after, function) - calls(&before, function);
        assert_eq!(count, expected, "{function}: {:?}", stacks(&after));
    }
    assert_eq!(
        sum(&after, 0, |names| names.first() == Some(&"renamed")),
        1,
        "{:?}",
        stacks(&after)
    );
    let nested = |names: &[&str]| {
        names.first().is_some_and(|n| n.ends_with("::area"))
            && names.get(1).is_some_and(|n| n.ends_with("::describe"))
    };
    assert_eq!(sum(&after, 0, nested), 1, "a panic left the path as it was: {:?}", stacks(&after));
}

#[profile]
async fn task(ms: u64) -> Result<u64, std::num::ParseIntError> {
    sleep(ms);
    YieldOnce::default().await;
    step(ms).await;
    let n: u64 = "7".parse()?;
    Ok(n)
}

#[profile]
async fn step(ms: u64) {
    sleep(ms);
}

/// Time spent in `poll`, by its own clock.
static POLLED_NS: AtomicI64 = AtomicI64::new(0);

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    let start = Instant::now();
    let result = future.poll(&mut Context::from_waker(Waker::noop()));
    POLLED_NS.fetch_add(start.elapsed().as_nanos() as i64, Ordering::Relaxed);
    result
}

#[test]
fn futures_count_once_wherever_they_are_polled_and_however_they_end() {
    let _alone = alone();
    pprof_runtime::set_function_profile(true);
    let before = snapshot();
    // Polled here, then on another thread.
    let mut moved = Box::pin(task(10));
    assert!(poll(moved.as_mut()).is_pending());
    sleep(30);
    std::thread::spawn(move || assert!(matches!(poll(moved.as_mut()), Poll::Ready(Ok(7)))))
        .join()
        .unwrap();
    // Dropped midway.
    let mut dropped = Box::pin(task(0));
    assert!(poll(dropped.as_mut()).is_pending());
    drop(dropped);
    // Never polled.
    drop(task(0));
    // Two of them in turns on one thread do not get into each other's path.
    {
        let (mut a, mut b) = (pin!(task(0)), pin!(task(0)));
        assert!(poll(a.as_mut()).is_pending() && poll(b.as_mut()).is_pending());
        assert!(poll(a.as_mut()).is_ready() && poll(b.as_mut()).is_ready());
    }
    let after = snapshot();
    assert_eq!(calls(&after, "task") - calls(&before, "task"), 4);
    assert_eq!(calls(&after, "step") - calls(&before, "step"), 3);
    let busy = pprof_tests::column(&after, "busy").expect("an async function was recorded");
    let time = sum(&after, busy, leaf_is("task")) + sum(&after, busy, leaf_is("step"));
    let polled = POLLED_NS.load(Ordering::Relaxed);
    assert!(
        time >= 20_000_000 && time <= polled + polled / 500,
        "time in poll, not suspended: {time} ns of {polled}"
    );
    let roots = |names: &[&str]| names.last().is_some_and(|n| n.ends_with("::step"));
    let at_root = sum(&after, 0, roots) - sum(&before, 0, roots);
    assert_eq!(at_root, 0, "step is always under task: {:?}", stacks(&after));
}

#[profile]
fn catches() -> bool {
    std::panic::catch_unwind(|| deep_panic(3)).is_err()
}

#[profile]
fn deep_panic(depth: u32) {
    if depth == 0 {
        panic!("expected");
    }
    deep_panic(depth - 1);
}

/// Calls while its thread unwinds what is no end of the call.
struct Cleans;

impl Drop for Cleans {
    fn drop(&mut self) {
        assert!(std::thread::panicking());
        tiny(1);
        assert!(catches());
    }
}

#[profile]
fn cleans_up() {
    let _cleans = Cleans;
    panic!("expected");
}

#[test]
fn panics_are_counted_for_the_calls_they_end() {
    let _alone = alone();
    pprof_runtime::set_function_profile(true);
    let before = snapshot();
    let panics = |profile: &pprof_format::Profile, function| {
        let column = pprof_tests::column(profile, "panics");
        column.map_or(0, |column| sum(profile, column, leaf_is(function)))
    };
    assert!(catches());
    assert!(std::panic::catch_unwind(cleans_up).is_err());
    let after = snapshot();
    assert!(pprof_tests::column(&after, "panics").is_some());
    for (function, count) in [("cleans_up", 1), ("catches", 0), ("tiny", 0)] {
        assert_eq!(panics(&after, function) - panics(&before, function), count, "{function}");
    }
    // Of those in the destructor it is not known: their thread was unwinding before.
    assert_eq!(panics(&after, "deep_panic") - panics(&before, "deep_panic"), 4);
    assert_eq!(calls(&after, "deep_panic") - calls(&before, "deep_panic"), 8);
}

#[test]
fn off_records_nothing_and_switching_leaves_no_trace() {
    let _alone = alone();
    pprof_runtime::set_function_profile(true);
    let before = snapshot();
    assert!(pprof_runtime::set_function_profile(false));
    tiny(1);
    #[profile]
    fn switches_on() {
        pprof_runtime::set_function_profile(true);
        tiny(2);
    }
    #[profile]
    fn switches_off() {
        pprof_runtime::set_function_profile(false);
        tiny(3);
    }
    switches_on();
    switches_off();
    pprof_runtime::set_function_profile(true);
    tiny(4);
    let after = snapshot();
    assert_eq!(calls(&after, "tiny") - calls(&before, "tiny"), 2);
    assert_eq!(calls(&after, "switches_on"), 0);
    assert_eq!(calls(&after, "switches_off"), 1);
    let last = |names: &[&str]| names.len() == 1 && names[0].ends_with("::tiny");
    assert!(sum(&after, 0, last) >= 1, "the path is back at its root");
}

#[test]
fn a_thread_that_ends_may_call_on_from_its_destructors() {
    let _alone = alone();
    pprof_runtime::set_function_profile(true);
    struct CallsInDrop;
    impl Drop for CallsInDrop {
        fn drop(&mut self) {
            tiny(1);
        }
    }
    thread_local!(static LATE: CallsInDrop = const { CallsInDrop });
    let before = snapshot();
    let lost =
        |p: &pprof_format::Profile| sum(p, 0, |n| n[0].starts_with("pprof_runtime::lost_calls"));
    std::thread::spawn(|| {
        LATE.with(|_| ());
        tiny(1);
    })
    .join()
    .unwrap();
    let after = snapshot();
    let counted = calls(&after, "tiny") - calls(&before, "tiny");
    assert_eq!(counted + lost(&after) - lost(&before), 2);
}

#[test]
fn names_files_and_lines_are_the_functions_own() {
    let _alone = alone();
    pprof_runtime::set_function_profile(true);
    tiny(1);
    assert!(poll(pin!(step(0))).is_ready());
    #[profile(name = "an original")]
    fn original() {}
    original();
    let profile = snapshot();
    let source: Vec<&str> = include_str!("functions.rs").lines().collect();
    for (name, declaration) in [
        ("functions::tiny", "fn tiny("),
        ("functions::step", "async fn step("),
        ("an original", "    fn original("),
    ] {
        let is_it = |f: &&pprof_format::Function| profile.string(f.name) == name;
        let function = profile.function.iter().find(is_it).expect(name);
        let file = profile.string(function.filename);
        assert!(file.starts_with('/') && file.ends_with("tests/tests/functions.rs"), "{file}");
        let line =
            source.iter().position(|l| l.starts_with(declaration)).expect("above") as i64 + 1;
        // The declaration, or the attribute just above it.
        let start = function.start_line;
        assert!((line - 1..=line).contains(&start), "{name}: {start}, not {line}");
        let location = profile.location.iter().find(|l| l.line[0].function_id == function.id);
        assert_ne!(
            location.expect("called").mapping_id,
            0,
            "{name}: its address is in the program"
        );
    }
}

#[profile]
fn with_spans() {
    sleep(5);
    let first = pprof_runtime::span!("first span");
    sleep(5);
    inner();
    drop(first);
    sleep(5);
    let _second = pprof_runtime::span!("second span");
    sleep(5);
}

#[test]
fn spans_are_callees_of_what_they_are_in() {
    let _alone = alone();
    pprof_runtime::set_function_profile(true);
    let before = snapshot();
    let start = Instant::now();
    with_spans();
    let wall = start.elapsed().as_nanos() as i64;
    let after = snapshot();
    let path = |column, path: &[&str]| {
        let is_it = |names: &[&str]| {
            names.len() == path.len()
                && names.iter().zip(path).all(|(name, end)| name.ends_with(end))
        };
        sum(&after, column, is_it) - sum(&before, column, is_it)
    };
    let mut total = 0;
    for (names, least_ms) in [
        (&["::with_spans"][..], 10),
        (&["first span", "::with_spans"], 5),
        (&["::inner", "first span", "::with_spans"], 10),
        (&["second span", "::with_spans"], 5),
    ] {
        assert_eq!(path(0, names), 1, "{names:?} {:?}", stacks(&after));
        let ns = path(1, names);
        assert!(ns >= least_ms * 1_000_000, "{names:?}: {ns}");
        total += ns;
    }
    assert!(total <= wall + wall / 500, "nothing twice: {total} of {wall}");
}

/// Two spans that outlive the function they began in.
#[profile]
fn lends_spans() -> [pprof_runtime::Span; 2] {
    [pprof_runtime::span!("outer span"), pprof_runtime::span!("inner span")]
}

/// Ends a span that its caller has begun.
#[profile]
fn ends(span: pprof_runtime::Span) {
    drop(span);
    sleep(5);
}

#[profile]
fn deeper(depth: u32) {
    if depth > 0 {
        let _span = pprof_runtime::span!("at every depth");
        let early = pprof_runtime::span!("ended in between");
        let late = pprof_runtime::span!("ended next");
        drop(early);
        drop(late);
        deeper(depth - 1);
    }
}

#[test]
fn spans_may_be_dropped_in_any_order() {
    let _alone = alone();
    pprof_runtime::set_function_profile(true);
    let before = snapshot();
    let start = Instant::now();
    // More than a path may be long, if any of it stayed.
    for _ in 0..300 {
        let [outer, inner_span] = lends_spans();
        drop(outer);
        drop(inner_span);
        let first = pprof_runtime::span!("first");
        let second = pprof_runtime::span!("second");
        drop(first);
        drop(second);
    }
    for _ in 0..3 {
        ends(pprof_runtime::span!("ended inside"));
    }
    // Deeper than is kept.
    deeper(200);
    inner();
    let after = snapshot();
    let wall = start.elapsed().as_nanos() as i64;
    let grown = |column, is_it: &dyn Fn(&[&str]) -> bool| {
        sum(&after, column, is_it) - sum(&before, column, is_it)
    };
    let is = |path: &'static [&str]| {
        move |names: &[&str]| {
            names.len() == path.len()
                && names.iter().zip(path).all(|(name, end)| name.ends_with(end))
        }
    };
    for (path, calls) in [
        (&["::inner"][..], 1),
        (&["first"], 300),
        (&["second", "first"], 300),
        (&["outer span", "::lends_spans"], 300),
        (&["inner span", "outer span", "::lends_spans"], 300),
        (&["ended inside"], 3),
        (&["::ends", "ended inside"], 3),
    ] {
        assert_eq!(grown(0, &is(path)), calls, "{path:?}");
    }
    assert!(grown(1, &is(&["::ends", "ended inside"])) >= 15_000_000, "the rest of that call too");
    let all = grown(1, &|_| true);
    assert!(all <= wall + wall / 500, "nothing twice: {all} of {wall}");
    let comments = || after.comment.iter().map(|&index| &after.string_table[index as usize]);
    // Each of those loops, and every depth that is kept.
    let strays = comments().find_map(|c| c.strip_suffix("inside of")?.split(' ').next());
    let strays: u32 = strays.expect("a comment").parse().unwrap();
    assert!((903..=1103).contains(&strays), "{strays}");
}

/// Tells when it goes.
struct Told(&'static str);

static GONE: std::sync::Mutex<Vec<&str>> = std::sync::Mutex::new(Vec::new());

impl Drop for Told {
    fn drop(&mut self) {
        GONE.lock().unwrap().push(self.0);
    }
}

struct Owner(#[allow(dead_code, reason = "it is dropped")] Told);

/// The same function with and without the attribute.
macro_rules! drops_arguments {
    ($(#[$attribute:meta])* $name:ident) => {
        impl Owner {
            $(#[$attribute])*
            async fn $name(self, a: Told, (_, b): (Told, Told), _: Told, _c: Told, mut d: Told) {
                let _local = Told("local");
                d.0 = "changed d";
                tokio::task::yield_now().await;
                let _last_used = (&b, &a);
            }
        }
    };
}

drops_arguments!(plain);
drops_arguments!(
    #[profile]
    annotated
);

#[test]
fn arguments_of_async_functions_are_dropped_as_without_the_attribute() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let told = Told;
    let arguments =
        || (told("a"), (told("part"), told("b")), told("unnamed"), told("c"), told("d"));
    let gone = |future: Pin<Box<dyn Future<Output = ()>>>, is_polled: bool| {
        GONE.lock().unwrap().clear();
        if is_polled {
            runtime.block_on(future)
        } else {
            drop(future)
        }
        std::mem::take(&mut *GONE.lock().unwrap())
    };
    for is_polled in [true, false] {
        let (a, b, u, c, d) = arguments();
        let plain = gone(Box::pin(Owner(told("self")).plain(a, b, u, c, d)), is_polled);
        let (a, b, u, c, d) = arguments();
        let annotated = gone(Box::pin(Owner(told("self")).annotated(a, b, u, c, d)), is_polled);
        assert_eq!(annotated, plain);
    }
}
