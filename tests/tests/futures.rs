//! What is recorded of annotated async functions besides calls: the time between polls, charged once, and how they end. One process, as the
//! recorder is the process's.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use pprof_runtime::profile;
use pprof_tests::{YieldOnce, column, stacks, sum};

/// The recorder is one for all tests of this file: they run one after the other.
static SERIAL: Mutex<()> = Mutex::new(());

/// What each column grows by on paths that begin with these names, leaf first.
struct Grown {
    before: pprof_format::Profile,
    after: pprof_format::Profile,
}

impl Grown {
    fn during(work: impl FnOnce()) -> Grown {
        let _alone = SERIAL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        pprof_runtime::set_function_profile(true);
        // So that every column is there.
        let _ = poll(pin!(waits()));
        let snapshot =
            || pprof_runtime::lookup("functions").unwrap().snapshot().unwrap().proto().clone();
        let before = snapshot();
        work();
        Grown { before, after: snapshot() }
    }

    fn of(&self, ty: &str, path: &[&str]) -> i64 {
        let is_it = |names: &[&str]| {
            names.len() >= path.len()
                && names.iter().zip(path).all(|(name, end)| name.ends_with(&format!("::{end}")))
        };
        let sum = |profile| column(profile, ty).map_or(0, |column| sum(profile, column, is_it));
        sum(&self.after) - sum(&self.before)
    }

    fn assert_counts(&self, ty: &str, expected: &[(&[&str], i64)]) {
        for (path, count) in expected {
            assert_eq!(self.of(ty, path), *count, "{ty} of {path:?}: {:?}", stacks(&self.after));
        }
    }
}

fn sleep(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

fn ms(ms: i64) -> i64 {
    ms * 1_000_000
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Pending for so many polls.
struct Yield(u32);

impl Future for Yield {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match self.0.checked_sub(1) {
            Some(left) => {
                self.0 = left;
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

#[profile]
async fn waits() {
    YieldOnce::default().await;
}

#[profile]
async fn waits_inside() {
    sleep(5);
    waits().await;
    YieldOnce::default().await;
}

#[test]
fn the_time_between_polls_is_the_innermost_futures() {
    let mut wall = Duration::ZERO;
    let grown = Grown::during(|| {
        let start = Instant::now();
        let mut future = Box::pin(waits_inside());
        assert!(poll(future.as_mut()).is_pending());
        sleep(30);
        // On another thread, which ends.
        let moved = std::thread::spawn(move || {
            assert!(poll(future.as_mut()).is_pending());
            future
        });
        let mut future = moved.join().unwrap();
        sleep(10);
        assert!(poll(future.as_mut()).is_ready());
        wall = start.elapsed();
    });
    let (inside, outside) = (&["waits", "waits_inside"][..], &["waits_inside"][..]);
    grown.assert_counts("calls", &[(inside, 1), (outside, 1)]);
    grown.assert_counts("polls", &[(inside, 2), (outside, 3)]);
    grown.assert_counts("cancelled", &[(inside, 0), (outside, 0)]);
    assert!(grown.of("idle", inside) >= ms(30) && grown.of("idle", outside) >= ms(10));
    assert!(grown.of("busy", outside) >= ms(5));
    let (busy, idle) = (
        grown.of("busy", inside) + grown.of("busy", outside),
        grown.of("idle", inside) + grown.of("idle", outside),
    );
    let walls = grown.of("wall", inside) + grown.of("wall", outside);
    assert_eq!(busy + idle, walls);
    let wall = wall.as_nanos() as i64;
    assert!(walls <= wall + wall / 500, "nothing twice: {walls} of {wall}");
}

#[profile]
async fn first_branch() {
    Yield(2).await;
}

#[profile]
async fn second_branch() {
    Yield(1).await;
}

#[profile]
async fn joins() {
    futures::join!(first_branch(), second_branch());
}

#[test]
fn branches_are_idle_each_for_themselves() {
    let grown = Grown::during(|| {
        let mut future = pin!(joins());
        assert!(poll(future.as_mut()).is_pending());
        sleep(20);
        assert!(poll(future.as_mut()).is_pending());
        sleep(10);
        assert!(poll(future.as_mut()).is_ready());
    });
    let (first, second) =
        (grown.of("idle", &["first_branch"]), grown.of("idle", &["second_branch"]));
    assert!(first >= ms(30) && second >= ms(20) && second < first, "{first} {second}");
    assert_eq!(grown.of("idle", &["joins"]), 0);
    grown.assert_counts(
        "polls",
        &[(&["first_branch"], 3), (&["second_branch"], 2), (&["joins"], 3)],
    );
}

#[profile]
async fn selects() {
    let slow = pin!(loses());
    futures::future::select(slow, pin!(Yield(1))).await;
}

#[profile]
async fn loses() {
    Yield(9).await;
}

#[profile]
async fn goes_on() {
    {
        let slow = Box::pin(loses());
        futures::future::select(slow, pin!(Yield(1))).await;
    }
    Yield(1).await;
}

#[test]
fn a_future_dropped_while_pending_is_cancelled_and_its_waiting_ends() {
    let grown = Grown::during(|| {
        let mut future = pin!(selects());
        assert!(poll(future.as_mut()).is_pending());
        assert!(poll(future.as_mut()).is_ready());
        let mut future = pin!(goes_on());
        assert!(poll(future.as_mut()).is_pending());
        assert!(poll(future.as_mut()).is_pending());
        sleep(20);
        assert!(poll(future.as_mut()).is_ready());
    });
    grown.assert_counts(
        "cancelled",
        &[
            (&["loses", "selects"], 1),
            (&["selects"], 0),
            (&["loses", "goes_on"], 1),
            (&["goes_on"], 0),
        ],
    );
    assert!(grown.of("idle", &["goes_on"]) >= ms(20), "not the dropped future's any more");
}

#[profile]
fn drops<T>(future: T) {
    drop(future);
}

struct CallsInDrop;

#[profile]
impl Drop for CallsInDrop {
    fn drop(&mut self) {}
}

#[profile]
async fn holds() {
    let _held = CallsInDrop;
    waits().await;
}

#[test]
fn a_cancelled_future_is_seen_where_it_was_polled_or_on_another_thread_where_it_is_dropped() {
    let grown = Grown::during(|| {
        // Never polled: no call.
        drops(Box::pin(holds()));
        // Polled to the end: not cancelled.
        let mut future = Box::pin(holds());
        assert!(poll(future.as_mut()).is_pending() && poll(future.as_mut()).is_ready());
        drops(future);
        let start = || {
            let mut future = Box::pin(holds());
            assert!(poll(future.as_mut()).is_pending());
            future
        };
        drops(start());
        // Its tree is gone with the thread.
        drops(std::thread::spawn(start).join().unwrap());
        let future = start();
        std::thread::spawn(move || drops(future)).join().unwrap();
    });
    let stack = &["waits", "holds", "drops"];
    grown.assert_counts("calls", &[(&["holds"], 4), (stack, 0), (&["holds", "drops"], 0)]);
    grown.assert_counts(
        "cancelled",
        &[(&["waits"], 3), (&["holds"], 3), (stack, 2), (&stack[1..], 2)],
    );
    // What its drop calls is inside of it.
    grown.assert_counts("calls", &[(&["drop", "holds"], 4), (&["drop", "holds", "drops"], 2)]);
}

#[profile]
async fn panics(first: bool) {
    if !first {
        YieldOnce::default().await;
    }
    panic!("expected");
}

#[profile]
async fn joins_a_panic() {
    futures::join!(waits(), panics(true));
}

#[profile]
fn drop_of_another(future: impl Future<Output = ()>) {
    struct InDrop<F: FnOnce()>(Option<F>);
    impl<F: FnOnce()> Drop for InDrop<F> {
        fn drop(&mut self) {
            self.0.take().unwrap()();
        }
    }
    let _runs = InDrop(Some(|| assert!(poll(pin!(future)).is_ready())));
    panic!("expected");
}

#[profile]
async fn done() {}

#[test]
fn a_panic_is_no_cancellation_and_counts_for_all_it_ends() {
    let grown = Grown::during(|| {
        let caught = |work: &mut dyn FnMut()| {
            assert!(std::panic::catch_unwind(AssertUnwindSafe(work)).is_err());
        };
        let mut future = Box::pin(panics(false));
        assert!(poll(future.as_mut()).is_pending());
        caught(&mut || _ = poll(future.as_mut()));
        drop(future);
        caught(&mut || _ = poll(pin!(joins_a_panic())));
        caught(&mut || drop_of_another(done()));
    });
    grown.assert_counts(
        "panics",
        &[
            (&["panics"], 2),
            (&["joins_a_panic"], 1),
            (&["waits", "joins_a_panic"], 1),
            (&["drop_of_another"], 1),
            (&["done"], 0),
        ],
    );
    grown.assert_counts("cancelled", &[(&["panics"], 0), (&["joins_a_panic"], 0), (&["waits"], 0)]);
    grown.assert_counts("calls", &[(&["done", "drop_of_another"], 1)]);
}

struct CountedInDrop;

impl Drop for CountedInDrop {
    #[profile(time = off)]
    fn drop(&mut self) {}
}

type Boxed = Pin<Box<dyn Future<Output = ()>>>;

#[profile(time = off)]
fn drops_and_panics(another: Option<Boxed>) {
    if another.is_some() {
        drop(another);
        panic!("expected");
    }
}

#[profile]
async fn meets(another: Option<Boxed>) {
    let _held = CountedInDrop;
    waits().await;
    // The second time it is known.
    drops_and_panics(None);
    drops_and_panics(another);
}

#[test]
fn a_panic_is_of_the_call_that_it_ends_whatever_was_dropped_on_its_callers_path_meanwhile() {
    let grown = Grown::during(|| {
        let mut first: Boxed = Box::pin(meets(None));
        assert!(poll(first.as_mut()).is_pending());
        let mut second: Boxed = Box::pin(meets(Some(first)));
        assert!(poll(second.as_mut()).is_pending());
        let end = AssertUnwindSafe(|| poll(second.as_mut()));
        assert!(std::panic::catch_unwind(end).is_err());
    });
    let dropped = &["drop", "meets"];
    grown.assert_counts("calls", &[(&["drops_and_panics"], 2), (dropped, 2)]);
    grown.assert_counts("panics", &[(&["drops_and_panics", "meets"], 1), (dropped, 0)]);
}

#[test]
fn switching_off_between_polls_leaves_nothing_open() {
    let grown = Grown::during(|| {
        let mut future = Box::pin(waits_inside());
        assert!(poll(future.as_mut()).is_pending());
        pprof_runtime::set_function_profile(false);
        assert!(poll(future.as_mut()).is_pending());
        sleep(30);
        pprof_runtime::set_function_profile(true);
        assert!(poll(future.as_mut()).is_ready());
        // First polled while it was off: counted with the first poll that is seen.
        let mut late = Box::pin(waits());
        pprof_runtime::set_function_profile(false);
        assert!(poll(late.as_mut()).is_pending());
        pprof_runtime::set_function_profile(true);
        assert!(poll(late.as_mut()).is_ready());
        // Cancelled while it was off.
        let mut dropped = Box::pin(waits());
        assert!(poll(dropped.as_mut()).is_pending());
        pprof_runtime::set_function_profile(false);
        drop(dropped);
        pprof_runtime::set_function_profile(true);
    });
    let waits = &["waits"][..];
    grown.assert_counts("calls", &[(&["waits_inside"], 1), (waits, 3)]);
    grown.assert_counts("polls", &[(&["waits_inside"], 2), (waits, 3)]);
    grown.assert_counts("cancelled", &[(&["waits_inside"], 0), (waits, 0)]);
    let idle = grown.of("idle", &["waits_inside"]) + grown.of("idle", waits);
    assert!(idle < ms(30), "what nobody looked at is nobody's: {idle}");
}

#[test]
fn deltas_and_resets_have_every_column() {
    let source = pprof_runtime::lookup("functions").unwrap();
    let grown = Grown::during(|| {
        let mut future = Box::pin(waits());
        assert!(poll(future.as_mut()).is_pending());
        let delta = std::thread::scope(|scope| {
            let delta = scope.spawn(|| source.delta(Duration::from_millis(200), &|| false));
            sleep(100);
            drop(future);
            delta.join().unwrap().unwrap()
        });
        let sum = |profile: &pprof_format::Profile, ty| {
            sum(profile, column(profile, ty).unwrap(), |names| names[0].ends_with("::waits"))
        };
        let delta = delta.proto();
        assert_eq!((sum(delta, "calls"), sum(delta, "polls"), sum(delta, "cancelled")), (0, 0, 1));
        assert!(sum(delta, "idle") >= ms(100));
        source.reset();
        let after = source.snapshot().unwrap();
        assert_eq!((sum(after.proto(), "polls"), sum(after.proto(), "idle")), (0, 0));
    });
    assert!(grown.after.sample.is_empty() || grown.of("calls", &["waits"]) < 0, "reset");
}
