//! How long futures that were woken are kept waiting for a poll. One process, as the switch is the process's.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::sleep;
use std::time::Duration;

use futures::channel::oneshot::{self, Receiver};
use pprof_runtime::profile;
use pprof_tests::{column, stacks, sum};

#[test]
fn what_could_run_and_did_not_is_scheduled() {
    pprof_runtime::set_function_profile(true);
    nothing_is_noted_unless_asked_for();
    assert!(!pprof_runtime::set_function_wakes(true));
    from_a_wake_up_to_the_poll();
    who_yields_is_scheduled_at_once();
    tasks_wait_for_a_thread_that_is_held();
    inside_of_a_poll_another_wakes();
    a_future_does_not_hold_its_task();
    assert!(pprof_runtime::set_function_wakes(false));
}

const TIME: Duration = Duration::from_millis(20);

/// In nanoseconds, of `function` itself.
fn value(ty: &str, function: &str) -> i64 {
    let profile = pprof_runtime::lookup("functions").unwrap().snapshot().unwrap();
    let profile = profile.proto();
    let column = column(profile, ty).unwrap_or_else(|| panic!("{ty}: {:?}", stacks(profile)));
    sum(profile, column, |names| names[0].ends_with(&format!("::{function}")))
}

fn at_least(time: Duration) -> impl Fn(&i64) -> bool {
    move |ns| *ns >= time.as_nanos() as i64
}

/// Counts.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn poll<F: Future>(future: Pin<&mut F>, wakes: &Arc<Wakes>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(wakes))))
}

#[profile]
async fn is_not_asked(receiver: Receiver<()>) {
    receiver.await.unwrap();
}

fn nothing_is_noted_unless_asked_for() {
    let (sender, receiver) = oneshot::channel();
    let (mut future, wakes) = (pin!(is_not_asked(receiver)), Arc::default());
    assert!(poll(future.as_mut(), &wakes).is_pending());
    sender.send(()).unwrap();
    assert!(poll(future.as_mut(), &wakes).is_ready());
    let profile = pprof_runtime::lookup("functions").unwrap().snapshot().unwrap();
    assert_eq!(column(profile.proto(), "scheduled"), None);
}

#[profile]
async fn serves(receiver: Receiver<()>) {
    receives(receiver).await;
}

#[profile]
async fn receives(receiver: Receiver<()>) {
    receiver.await.unwrap();
}

fn from_a_wake_up_to_the_poll() {
    let (sender, receiver) = oneshot::channel();
    let (mut future, wakes) = (pin!(serves(receiver)), Arc::default());
    assert!(poll(future.as_mut(), &wakes).is_pending());
    sleep(TIME);
    // Polled for nothing: nobody has woken it.
    assert!(poll(future.as_mut(), &wakes).is_pending());
    sleep(TIME);
    sender.send(()).unwrap();
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1, "who is to be woken is");
    sleep(TIME);
    assert!(poll(future.as_mut(), &wakes).is_ready());
    let (scheduled, idle) = (value("scheduled", "receives"), value("idle", "receives"));
    assert!(at_least(TIME)(&scheduled), "{scheduled}");
    assert!(at_least(2 * TIME)(&(idle - scheduled)), "{scheduled} of {idle}");
    assert_eq!(value("scheduled", "serves"), 0, "it is the innermost one's, as idle is");
}

/// Wakes its task and lets others run.
async fn yield_now() {
    let mut is_over = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut is_over, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[profile]
async fn yields() {
    yield_now().await;
}

fn who_yields_is_scheduled_at_once() {
    let (mut future, wakes) = (pin!(yields()), Arc::default());
    assert!(poll(future.as_mut(), &wakes).is_pending());
    sleep(TIME);
    assert!(poll(future.as_mut(), &wakes).is_ready());
    let (scheduled, idle) = (value("scheduled", "yields"), value("idle", "yields"));
    assert!(at_least(TIME)(&scheduled), "{scheduled} of {idle}");
    assert_eq!(scheduled, idle);
}

#[profile]
async fn is_kept_waiting(receiver: tokio::sync::oneshot::Receiver<()>) {
    receiver.await.unwrap();
}

fn tasks_wait_for_a_thread_that_is_held() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let waits = tokio::spawn(is_kept_waiting(receiver));
        let holds = tokio::spawn(async {
            sender.send(()).unwrap();
            sleep(TIME);
        });
        holds.await.unwrap();
        waits.await.unwrap();
    });
    let scheduled = value("scheduled", "is_kept_waiting");
    assert!(at_least(TIME)(&scheduled), "{scheduled}");
}

#[profile]
async fn is_blocked_on(receiver: Receiver<()>) {
    receiver.await.unwrap();
}

#[profile]
async fn blocks() {
    yield_now().await;
    let (sender, receiver) = oneshot::channel();
    let (mut inside, wakes) = (pin!(is_blocked_on(receiver)), Arc::default());
    assert!(poll(inside.as_mut(), &wakes).is_pending());
    sleep(TIME);
    sender.send(()).unwrap();
    assert!(poll(inside.as_mut(), &wakes).is_ready());
}

/// That `blocks` was woken before it was polled says nothing of what it polls itself.
fn inside_of_a_poll_another_wakes() {
    let (mut future, wakes) = (pin!(blocks()), Arc::default());
    assert!(poll(future.as_mut(), &wakes).is_pending());
    assert!(poll(future.as_mut(), &wakes).is_ready());
    assert!(at_least(TIME)(&value("idle", "is_blocked_on")));
    assert_eq!(value("scheduled", "is_blocked_on"), 0);
}

/// As of runtimes that drop a task when nobody can wake it any more.
struct Task(Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>);

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

#[profile]
async fn waits_forever() {
    std::future::pending().await
}

fn a_future_does_not_hold_its_task() {
    let task = Arc::new(Task(Mutex::new(Some(Box::pin(waits_forever())))));
    let left: Weak<Task> = Arc::downgrade(&task);
    let waker = Waker::from(Arc::clone(&task));
    let mut future = task.0.lock().unwrap();
    let polled = future.as_mut().unwrap().as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    drop(future);
    drop((task, waker));
    assert!(left.upgrade().is_none());
    assert_eq!(value("cancelled", "waits_forever"), 1);
}
