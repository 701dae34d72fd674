//! What the options of `#[profile]` change: which calls are timed and how generic functions are told apart. One process, as the recorder is
//! the process's.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use pprof_runtime::profile;
use pprof_tests::{YieldOnce, column, cpu_time, functions_of, has_burnt, stacks, sum};

/// The recorder is one for all tests of this file: they run one after the other.
/// Sum of a column over paths that begin with these names, leaf first; zero if there is no such column.
fn value(profile: &pprof_format::Profile, ty: &str, path: &[&str]) -> i64 {
    let is_it = |names: &[&str]| {
        names.len() >= path.len() && names.iter().zip(path).all(|(name, end)| name.ends_with(end))
    };
    column(profile, ty).map_or(0, |column| sum(profile, column, is_it))
}

fn assert_calls(profile: &pprof_format::Profile, expected: &[(&[&str], i64)]) {
    for (path, calls) in expected {
        assert_eq!(value(profile, "calls", path), *calls, "{path:?}: {:?}", stacks(profile));
    }
}

fn comments(profile: &pprof_format::Profile) -> Vec<&str> {
    profile.comment.iter().map(|comment| profile.string(*comment)).collect()
}

fn sleep(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

fn ms(ms: i64) -> i64 {
    ms * 1_000_000
}

#[profile(time = off)]
fn counted(ms: u64) {
    sleep(ms);
    exact(0);
}

#[profile(time = exact)]
fn exact(ms: u64) {
    sleep(ms);
}

#[profile]
fn calls_counted() {
    (0..3).for_each(|_| counted(10));
}

#[test]
fn what_is_not_timed_is_counted_and_its_time_is_its_callers() {
    let profile = functions_of(calls_counted);
    assert_calls(
        &profile,
        &[
            (&["::counted", "::calls_counted"], 3),
            (&["::exact", "::counted", "::calls_counted"], 3),
        ],
    );
    assert_eq!(value(&profile, "wall", &["::counted"]), 0);
    assert!(value(&profile, "wall", &["::calls_counted"]) >= ms(30));
    let comments = comments(&profile);
    assert!(comments.contains(&"time off on 1 functions: it is their callers'"), "{comments:?}");
}

fn spin(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

#[profile(time = sampled(8))]
fn sampled() {
    spin(Duration::from_micros(5));
    inside_sampled();
}

#[profile(time = sampled(4))]
fn inside_sampled() {
    spin(Duration::from_micros(5));
}

#[profile]
fn calls_sampled() {
    (0..2000).for_each(|_| sampled());
}

#[test]
fn sampled_times_are_those_of_all_calls_and_add_up() {
    let profile = adds_up(calls_sampled);
    assert_calls(
        &profile,
        &[
            (&["::sampled", "::calls_sampled"], 2000),
            (&["::inside_sampled", "::sampled", "::calls_sampled"], 2000),
        ],
    );
    let comments = comments(&profile);
    assert!(comments.contains(&"time sampled 1/8 on 1 functions"), "{comments:?}");
    assert_sampled("wall", calls_sampled, &[("::sampled", 0.5), ("::inside_sampled", 0.5)]);
}

#[profile(time = sampled(64))]
fn short(x: u64) -> u64 {
    std::hint::black_box(x ^ x >> 3)
}

const SHORT_CALLS: u64 = 2_000_000;

#[profile]
fn calls_short() {
    std::hint::black_box((0..SHORT_CALLS).fold(0, |x, y| short(x ^ y)));
}

/// Each has a look at the clock in it.
#[profile]
fn short_exact(x: u64) -> u64 {
    std::hint::black_box(x ^ x >> 3)
}

#[profile]
fn calls_short_exact() {
    std::hint::black_box((0..SHORT_CALLS).fold(0, |x, y| short_exact(x ^ y)));
}

/// Of calls that take less than a look at the clock: what that takes is not to count 64 times. Without optimization our own code takes
/// longer than the clock.
#[cfg_attr(debug_assertions, ignore = "tests/run has it in release")]
#[test]
fn what_the_clock_takes_is_nobodys() {
    // A thread that is put aside during a call that counts for 64 spoils a run.
    let is_right = || {
        let profile = functions_of(calls_short);
        let of = |path| value(&profile, "wall", &[path]);
        let (inside, around) = (of("::short"), of("::calls_short"));
        assert_eq!(value(&profile, "calls", &["::short"]), SHORT_CALLS as i64);
        let exact = value(&functions_of(calls_short_exact), "wall", &["::short_exact"]);
        // Where it counts, it is as much as of exact calls, and those around have as much too little.
        let bound = exact * 2 / 3;
        if inside < bound && around > -bound / 2 {
            return true;
        }
        eprintln!("{inside} ns inside and {around} ns around; {exact} ns of exact calls");
        false
    };
    assert!((0..10).any(|_| is_right()));
}

#[profile(time = sampled(16))]
fn recursive(depth: u32) {
    spin(Duration::from_micros(1));
    // What is in between is timed, or not: it makes no difference.
    match depth % 3 {
        0 => {}
        1 => not_timed(depth),
        _ => timed(depth),
    }
    if depth.is_multiple_of(3) && depth > 0 {
        recursive(depth - 1);
    }
}

#[profile(time = off)]
fn not_timed(depth: u32) {
    recursive(depth - 1);
}

#[profile]
fn timed(depth: u32) {
    spin(Duration::from_micros(1));
    recursive(depth - 1);
}

#[profile]
fn calls_recursive() {
    (0..1000).for_each(|_| recursive(24));
}

#[test]
fn sampled_calls_inside_of_sampled_ones_are_decided_with_them() {
    let profile = adds_up(calls_recursive);
    let calls = ["::recursive", "::timed", "::not_timed"].map(|f| value(&profile, "calls", &[f]));
    assert_eq!(calls, [25_000, 8_000, 8_000]);
    // Decided for each by itself it was off by factors of hundreds at this depth. Whoever is timed exactly has the time of those that are not
    // timed in it as well, which is the callers' of those that are sampled.
    assert_sampled("wall", calls_recursive, &[("::recursive|::timed", 1.0)]);
}

/// The profile of `work`, all of whose times are what it took.
fn adds_up(work: fn()) -> pprof_format::Profile {
    let mut wall = 0;
    let profile = functions_of(|| {
        let start = Instant::now();
        work();
        wall = start.elapsed().as_nanos() as i64;
    });
    let sum = value(&profile, "wall", &[]);
    assert!((sum - wall).abs() <= wall / 50, "{sum} of {wall}");
    profile
}

#[profile(time = sampled(9), cpu = sampled(9))]
fn both_clocks(calls: fn()) {
    spin(Duration::from_micros(5));
    calls();
}

#[profile(time = sampled(9))]
fn one_clock(calls: fn()) {
    spin(Duration::from_micros(5));
    calls();
}

#[profile(cpu = sampled(8))]
fn cpu_clock(depth: u32) {
    spin(Duration::from_micros(20));
    if depth > 0 {
        cpu_clock(depth - 1);
    }
}

#[profile(time = sampled(9))]
async fn polled_elsewhere() {
    for _ in 0..4 {
        spin(Duration::from_micros(5));
        YieldOnce::default().await;
    }
}

#[profile(time = sampled(9))]
fn polls_here<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    spin(Duration::from_micros(5));
    future.poll(&mut Context::from_waker(Waker::noop()))
}

struct CallsWhenDropped(u32);

impl Drop for CallsWhenDropped {
    fn drop(&mut self) {
        (0..self.0).for_each(|_| one_clock(|| {}));
    }
}

/// Of what `work` takes by a clock these functions have such shares, by and large. The machine may stop the thread for as long as a round
/// takes, which counts ninefold or not at all: so it is the median of rounds, of what the shortest one took.
fn assert_sampled(ty: &str, work: fn(), expected: &[(&str, f64)]) {
    let mut took = f64::INFINITY;
    let mut times: Vec<Vec<i64>> = vec![Vec::new(); expected.len()];
    let mut shares = Vec::new();
    for round in 0..40 {
        let profile = functions_of(|| {
            let (start, cpu) = (Instant::now(), cpu_time(libc::CLOCK_THREAD_CPUTIME_ID));
            work();
            let cpu = cpu_time(libc::CLOCK_THREAD_CPUTIME_ID) - cpu;
            let time = if ty == "cpu" { cpu } else { start.elapsed() };
            took = took.min(time.as_nanos() as f64);
        });
        for ((name, _), times) in expected.iter().zip(&mut times) {
            times.push(name.split('|').map(|name| value(&profile, ty, &[name])).sum());
            times.sort_unstable();
        }
        shares = times.iter().map(|times| times[round / 2] as f64 / took).collect();
        let is_near = |(share, (_, expected)): (&f64, &(&str, f64))| {
            (expected * 0.5..=expected * 1.5).contains(share)
        };
        if round >= 4 && shares.iter().zip(expected).all(is_near) {
            return;
        }
    }
    panic!("{ty} {shares:?} of {expected:?}");
}

#[test]
fn what_is_sampled_by_two_clocks_is_decided_for_each() {
    fn calls_both() {
        (0..2000).for_each(|_| one_clock(|| both_clocks(|| {})));
    }
    fn called_by_both() {
        (0..2000).for_each(|_| both_clocks(|| one_clock(|| {})));
    }
    for work in [calls_both, called_by_both] {
        assert_sampled("wall", work, &[("::one_clock", 0.5), ("::both_clocks", 0.5)]);
    }
    assert_sampled("cpu", called_by_both, &[("::both_clocks", 1.0)]);
    // Decided for each call by itself, that would be off by factors.
    assert_sampled("cpu", || (0..400).for_each(|_| cpu_clock(11)), &[("::cpu_clock", 1.0)]);
}

#[test]
fn futures_that_were_decided_for_elsewhere_follow_who_polls_them() {
    fn polls() {
        for _ in 0..500 {
            let mut future = pin!(polled_elsewhere());
            assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            while polls_here(future.as_mut()).is_pending() {}
        }
    }
    assert_sampled("busy", polls, &[("::polled_elsewhere", 0.5), ("::polls_here", 0.5)]);
}

#[test]
fn calls_while_unwinding_are_sampled_once() {
    fn unwinds() {
        let panics = AssertUnwindSafe(|| {
            let _calls = CallsWhenDropped(2000);
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(std::panic::catch_unwind(panics).is_err());
    }
    assert_sampled("wall", unwinds, &[("::one_clock", 1.0)]);
}

/// Ends of all kinds of what is not timed, or not always: by its last expression or before, by a panic, or not at all.
mod ends {
    use super::profile;
    use std::panic::resume_unwind;

    #[profile(time = off)]
    pub(super) fn early(text: &str) -> Result<u32, std::num::ParseIntError> {
        let value: u32 = text.parse()?;
        if value > 5 {
            return Ok(5);
        }
        Ok(value)
    }

    #[profile(time = sampled(3))]
    pub(super) fn by_panic(panics: bool) -> u32 {
        if panics { resume_unwind(Box::new(())) } else { 1 }
    }

    #[profile(time = off)]
    pub(super) fn never() -> ! {
        resume_unwind(Box::new(()))
    }

    #[profile(time = off)]
    #[allow(clippy::needless_return)]
    pub(super) fn always_returns(x: u32) -> u32 {
        return x;
    }

    #[profile(time = off)]
    pub(super) fn hidden(x: u32) -> impl Fn() -> u32 {
        move || x
    }

    #[profile(time = off)]
    pub(super) fn coerced(x: u32) -> Box<dyn Fn() -> u32> {
        match x {
            0 => Box::new(|| 0),
            _ => Box::new(move || x),
        }
    }

    #[profile(time = sampled(3))]
    pub(super) fn lends<'v>(values: &'v mut [u32], other: &'v mut u32) -> &'v mut u32 {
        match values.last_mut() {
            Some(value) => value,
            None => other,
        }
    }

    pub(super) struct Named;

    macro_rules! iterator {
        () => { impl Iterator<Item = u32> };
    }

    #[profile(time = off)]
    pub(super) fn has_items() -> Named {
        #[allow(dead_code)]
        struct Named;
        super::ends::Named
    }

    #[profile(time = off)]
    pub(super) fn by_macro() -> iterator!() {
        0..3
    }

    #[profile(time = off)]
    pub(super) fn nothing(values: &mut Vec<u32>) {
        if values.is_empty() {
            return;
        }
        values.clear()
    }
}

fn call_all_ends() {
    let is_panic = |call: fn()| std::panic::catch_unwind(call).is_err();
    for _ in 0..10 {
        assert_eq!([ends::early("3"), ends::early("7")], [Ok(3), Ok(5)]);
        assert!(ends::early("x").is_err());
        assert_eq!(ends::by_panic(false), 1);
        assert!(is_panic(|| _ = ends::by_panic(true)) && is_panic(|| ends::never()));
        assert_eq!(ends::always_returns(4) + ends::hidden(5)() + ends::coerced(6)(), 15);
        let (mut values, mut other) = (vec![1], 2);
        *ends::lends(&mut values, &mut other) += 1;
        ends::nothing(&mut values);
        ends::nothing(&mut values);
        let ends::Named = ends::has_items();
        assert_eq!(ends::by_macro().sum::<u32>(), 3);
        assert_eq!(*ends::lends(&mut values, &mut other), 2);
    }
}

#[test]
fn calls_are_counted_however_they_end() {
    let profile = functions_of(call_all_ends);
    let of = |name: &str| {
        let path = ["ends::", name].concat();
        [value(&profile, "calls", &[&path]), value(&profile, "panics", &[&path])]
    };
    let names = ["early", "by_panic", "never", "always_returns", "hidden", "coerced", "lends"];
    assert_eq!(names.map(of), [[30, 0], [20, 10], [10, 10], [10, 0], [10, 0], [10, 0], [20, 0]]);
    assert_eq!([of("nothing"), of("has_items"), of("by_macro")], [[20, 0], [10, 0], [10, 0]]);
}

#[profile(time = sampled(9))]
fn ends_spans_out_of_order() {
    let outer = pprof_runtime::span!("outer");
    let inner = pprof_runtime::span!("inner");
    drop(outer);
    drop(inner);
    (0..4).for_each(|_| one_clock(|| {}));
    spin(Duration::from_micros(5));
}

#[test]
fn spans_out_of_order_leave_what_was_decided() {
    fn calls() {
        (0..2000).for_each(|_| ends_spans_out_of_order());
    }
    let expected = [("::one_clock", 0.8), ("::ends_spans_out_of_order", 0.3)];
    assert_sampled("wall", calls, &expected);
}

#[profile(time = sampled(9))]
fn changes(phase: &mut Option<pprof_runtime::Span>) {
    spin(Duration::from_micros(1));
    *phase = Some(pprof_runtime::span!("phase"));
}

#[test]
fn spans_that_are_kept_leave_what_was_decided() {
    fn calls() {
        let mut phase = None;
        for _ in 0..400 {
            changes(&mut phase);
            (0..4).for_each(|_| one_clock(|| one_clock(|| {})));
        }
    }
    assert_sampled("wall", calls, &[("::one_clock", 1.0)]);
    let wall = value(&functions_of(calls), "wall", &["phase"]);
    assert!(wall.abs() < 1_000_000_000, "{wall}");
}

#[profile(time = sampled(1))]
fn sampled_all(ms: u64) {
    sleep(ms);
}

#[test]
fn one_of_one_is_exact() {
    let profile = functions_of(|| (0..5).for_each(|_| sampled_all(5)));
    assert_calls(&profile, &[(&["::sampled_all"], 5)]);
    assert!(value(&profile, "wall", &["::sampled_all"]) >= ms(25));
}

#[profile(cpu = sampled(1))]
fn burns() {
    let start = cpu_time(libc::CLOCK_THREAD_CPUTIME_ID);
    while !has_burnt(start, Duration::from_millis(20)) {
        std::hint::spin_loop();
    }
    burns_inside();
}

#[profile(cpu = sampled(1), time = off)]
fn burns_inside() {
    let start = cpu_time(libc::CLOCK_THREAD_CPUTIME_ID);
    while !has_burnt(start, Duration::from_millis(20)) {
        std::hint::spin_loop();
    }
    sleep(50);
}

#[test]
fn cpu_time_is_without_sleep_and_without_callees() {
    let profile = functions_of(burns);
    for name in ["::burns", "::burns_inside"] {
        let cpu = value(&profile, "cpu", &[name]);
        assert!((ms(20)..ms(40)).contains(&cpu), "{name}: {cpu}");
    }
    assert!(value(&profile, "wall", &["::burns"]) >= ms(90), "that of the other one too");
    assert_eq!(value(&profile, "wall", &["::burns_inside"]), 0);
}

#[profile(time = off, cpu = sampled(8))]
fn shorter_than_a_look() {
    std::hint::black_box(());
}

#[profile(time = off, cpu = sampled(8))]
fn of_short_ones() {
    (0..10).for_each(|_| shorter_than_a_look());
}

#[test]
fn looks_at_the_cpu_time_are_nobodys() {
    let mut used = 0;
    let profile = functions_of(|| {
        let before = cpu_time(libc::CLOCK_THREAD_CPUTIME_ID);
        (0..300_000).for_each(|_| shorter_than_a_look());
        (0..30_000).for_each(|_| of_short_ones());
        used = (cpu_time(libc::CLOCK_THREAD_CPUTIME_ID) - before).as_nanos() as i64;
    });
    for name in ["::shorter_than_a_look", "::of_short_ones"] {
        let cpu = value(&profile, "cpu", &[name]);
        // A look at both ends of one call of eight takes more than that, counted eight times.
        assert!((-used / 2..used).contains(&cpu), "{name}: {cpu} ns of {used} that were used");
    }
}

#[profile(generic = each)]
fn each<T: Default>() -> T {
    T::default()
}

#[profile(generic = one)]
fn one<T: Default>() -> T {
    T::default()
}

struct Of<T>(T);

#[profile(generic = each)]
impl<T: Copy> Of<T> {
    fn method(&self) -> T {
        self.0
    }

    async fn later(&self) -> T {
        YieldOnce::default().await;
        self.0
    }

    #[profile(name = "renamed")]
    fn renamed(&self) -> T {
        self.0
    }
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn instances_of_generic_functions_are_told_apart_on_demand() {
    let profile = functions_of(|| {
        for _ in 0..2 {
            assert_eq!(each::<u8>() + each::<u8>(), 0);
            assert_eq!(each::<Vec<String>>().len() + one::<Vec<u8>>().len(), 0);
            assert_eq!(one::<i64>(), 0);
            assert_eq!(Of(1i8).method() + Of(2i16).method() as i8, 3);
            assert_eq!(Of(1i8).renamed() + Of(2i16).renamed() as i8, 3);
            let of = Of(4i32);
            let mut later = pin!(of.later());
            assert!(poll(later.as_mut()).is_pending() && poll(later.as_mut()).is_ready());
        }
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(each::<u128>(), 0));
            }
        });
    });
    assert_calls(
        &profile,
        &[
            (&["options::each<u8>"], 4),
            (&["options::each<alloc::vec::Vec<alloc::string::String>>"], 2),
            (&["options::each<u128>"], 4),
            (&["options::one"], 4),
            (&["options::Of<i8>::method"], 2),
            (&["options::Of<i16>::method"], 2),
            (&["options::Of<i32>::later"], 2),
            (&["renamed"], 4),
        ],
    );
}

#[profile(time = off)]
mod untimed {
    pub(super) fn inside() {
        super::sleep(10);
        itself();
    }

    #[profile(time = exact)]
    fn itself() {
        super::sleep(10);
    }

    pub(super) struct Inner;

    #[profile(time = sampled(1))]
    impl Inner {
        pub(super) fn method(&self) {
            super::sleep(10);
        }
    }
}

#[test]
fn options_of_blocks_are_handed_down_and_ones_own_win() {
    let profile = functions_of(|| {
        untimed::inside();
        untimed::Inner.method();
    });
    assert_calls(
        &profile,
        &[(&["untimed::inside"], 1), (&["::itself", "::inside"], 1), (&["::method"], 1)],
    );
    assert_eq!(value(&profile, "wall", &["untimed::inside"]), 0);
    assert!(value(&profile, "wall", &["::itself"]) >= ms(10));
    assert!(value(&profile, "wall", &["::method"]) >= ms(10));
}

#[profile(time = off)]
async fn counted_future() {
    YieldOnce::default().await;
}

#[profile(time = sampled(1))]
async fn sampled_future() {
    YieldOnce::default().await;
}

#[profile(time = sampled(1000))]
async fn rarely_timed() {
    YieldOnce::default().await;
}

#[profile]
async fn awaits() {
    counted_future().await;
    sampled_future().await;
}

#[test]
fn futures_that_are_not_timed_wait_in_their_callers_time() {
    let profile = functions_of(|| {
        let mut future = pin!(awaits());
        assert!(poll(future.as_mut()).is_pending());
        sleep(20);
        assert!(poll(future.as_mut()).is_pending());
        sleep(10);
        assert!(poll(future.as_mut()).is_ready());
        for _ in 0..10 {
            let mut future = pin!(rarely_timed());
            assert!(poll(future.as_mut()).is_pending() && poll(future.as_mut()).is_ready());
        }
    });
    assert_calls(
        &profile,
        &[
            (&["::awaits"], 1),
            (&["::counted_future"], 1),
            (&["::sampled_future"], 1),
            (&["::rarely_timed"], 10),
        ],
    );
    assert_eq!(value(&profile, "polls", &["::rarely_timed"]), 20);
    assert_eq!(value(&profile, "wall", &["::counted_future"]), 0);
    let (outside, inside) =
        (value(&profile, "idle", &["::awaits"]), value(&profile, "idle", &["::sampled_future"]));
    assert!(outside >= ms(20) && inside >= ms(10), "{outside} {inside}");
}

#[profile(time = off)]
fn counted_recursion(depth: u32) {
    match depth {
        0 => panic!("expected"),
        _ => sampled_recursion(depth - 1),
    }
}

#[profile(time = sampled(2))]
fn sampled_recursion(depth: u32) {
    let _span = pprof_runtime::span!("span");
    counted_recursion(depth);
}

#[profile(time = off)]
fn takes(span: pprof_runtime::Span) {
    drop(span);
}

#[test]
fn panics_depth_and_spans_are_those_of_timed_functions() {
    let profile = functions_of(|| {
        for _ in 0..20 {
            let caught = std::panic::catch_unwind(AssertUnwindSafe(|| counted_recursion(100)));
            assert!(caught.is_err());
        }
        for _ in 0..3 {
            takes(pprof_runtime::span!("taken"));
        }
        exact(0);
    });
    let lost = value(&profile, "calls", &["pprof_runtime::lost_calls (no room for the call path)"]);
    let kept = ["::counted_recursion", "::sampled_recursion", "span"];
    let calls: i64 = kept.iter().map(|name| value(&profile, "calls", &[name])).sum();
    assert_eq!(calls + lost, 20 * (101 + 100 + 100), "{lost}");
    // Spans that are too deep to be left in any order are calls without an end.
    let panics = column(&profile, "panics").map(|c| sum(&profile, c, |names| names[0] != "span"));
    assert_eq!(panics, Some(20 * 201));
    assert_calls(&profile, &[(&["::takes", "taken"], 3)]);
    let root = |names: &[&str]| names.len() == 1 && names[0].ends_with("::exact");
    assert_eq!(sum(&profile, 0, root), 1, "the path is back at its root: {:?}", stacks(&profile));
}

#[profile(alloc)]
fn allocates() {
    drop(std::hint::black_box(vec![1_u8; 100]));
}

#[test]
fn without_an_allocator_of_ours_there_are_no_columns_of_what_is_allocated() {
    let profile = functions_of(allocates);
    assert_calls(&profile, &[(&["::allocates"], 1)]);
    assert_eq!([column(&profile, "alloc_space"), column(&profile, "alloc_objects")], [None, None]);
}
