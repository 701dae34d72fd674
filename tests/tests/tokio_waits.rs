//! One wait of 30 ms for each way to wait on a lock or channel of tokio's is one sample: at the function that waits, of the right kind, of
//! 30 ms; on both schedulers. One process, as rates are the process's.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Context;
use std::thread;
use std::time::{Duration, Instant};

use pprof_runtime::tokio::sync::{
    Barrier, Mutex, Notify, OnceCell, RwLock, Semaphore, SetOnce, broadcast, mpsc, oneshot, watch,
};
use pprof_tests::stacks;
use pprof_tests::waits::{labels, snapshot};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const WAIT: Duration = Duration::from_millis(30);

#[test]
fn every_wait_is_one_sample() {
    pprof_runtime::set_block_profile_rate(1);
    let current_thread = Builder::new_current_thread().enable_time().build().unwrap();
    let multi_thread = Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    for runtime in [&current_thread, &multi_thread] {
        mutexes(runtime);
        rwlocks(runtime);
        semaphores(runtime);
        notifies(runtime);
        once(runtime);
        queues(runtime);
        unbounded_queues(runtime);
        oneshots(runtime);
        broadcasts(runtime);
        watches(runtime);
        cancelled(runtime);
        without_budget(runtime);
        check();
        polled_once(runtime);
    }
    threads();
    names_and_holders(&current_thread);
    check();
    let left = labels(&snapshot("block"), "");
    assert!(left.iter().all(|(text, _)| !text.contains("state=waiting")), "{left:?}");
}

/// Runs an `async fn` as a task that waits, ends its wait after 30 ms, and looks at the profile.
macro_rules! task {
    ($runtime:expr, $kind:literal,
     $name:ident($($arg:ident: $type:ty = $value:expr),*) $body:block, $release:expr) => {{
        #[allow(unused_mut, reason = "some need it")]
        async fn $name($(mut $arg: $type),*) $body
        let function = concat!("::", stringify!($name), "::{{closure}}");
        let began = Instant::now();
        $runtime.block_on(async {
            let (task, pending) = spawn($name($($value),*));
            pending.await.unwrap();
            sleep(WAIT).await;
            $release;
            task.await.unwrap();
        });
        ended(function, $kind, began);
    }};
}

/// The same for a function on a thread.
macro_rules! thread {
    ($kind:literal,
     $name:ident($($arg:ident: $type:ty = $value:expr),*) $body:block, $release:expr) => {{
        #[inline(never)]
        #[allow(unused_mut, reason = "some need it")]
        fn $name($(mut $arg: $type),*) $body
        let function = concat!("::", stringify!($name));
        let began = Instant::now();
        thread::scope(|scope| {
            let ($($arg,)*) = ($($value,)*);
            scope.spawn(move || $name($($arg),*));
            until_it_waits(function);
            $release;
        });
        ended(function, $kind, began);
    }};
}

/// A task of this future, and a message from when it is pending for the first time.
fn spawn<F>(future: F) -> (JoinHandle<()>, Pending)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (tx, pending) = tokio::sync::oneshot::channel();
    let mut tx = Some(tx);
    let mut future = Box::pin(future);
    let poll = move |cx: &mut Context<'_>| {
        let polled = future.as_mut().poll(cx);
        if polled.is_pending() {
            tx.take().map(|tx| tx.send(()));
        }
        polled
    };
    (tokio::spawn(poll_fn(poll)), pending)
}

type Pending = tokio::sync::oneshot::Receiver<()>;

/// Until the function is seen to wait, and has for 30 ms.
fn until_it_waits(function: &str) {
    for _ in 0..2000 {
        thread::sleep(WAIT);
        let seen = labels(&snapshot("block"), function);
        if seen.iter().any(|(text, _)| text.ends_with("state=waiting")) {
            return thread::sleep(WAIT);
        }
    }
    panic!("{function} does not wait: {:?}", stacks(&snapshot("block")));
}

/// A wait of `function` has ended that began after `began`: [`check`] is to find it. A look at the profile costs more than a wait.
fn ended(function: &'static str, kind: &str, began: Instant) {
    ENDED.lock().unwrap().push(Ended { function, kind: kind.into(), longest: began.elapsed() });
}

struct Ended {
    function: &'static str,
    kind: String,
    longest: Duration,
}

static ENDED: std::sync::Mutex<Vec<Ended>> = std::sync::Mutex::new(Vec::new());

/// Asserts that the block profile has one wait of each function, as its leaf, of 30 ms or what the machine has made of that, and none in
/// progress. Resets the profile.
fn check() {
    let profile = snapshot("block");
    let stacks = stacks(&profile);
    for Ended { function, kind, longest } in ENDED.lock().unwrap().drain(..) {
        let seen = labels(&profile, function);
        let count: i64 = seen.iter().map(|(_, values)| values[0]).sum();
        let delay: i64 = seen.iter().map(|(_, values)| values[1]).sum();
        assert_eq!(count, 1, "{function}: {seen:?} in {stacks:?}");
        let delay = Duration::from_nanos(delay as u64);
        assert!(delay > WAIT * 8 / 10 && delay < longest, "{function}: {delay:?} of {longest:?}");
        for (text, _) in &seen {
            assert!(text.split(' ').any(|word| word == kind), "{function}: {text}");
            assert!(!text.contains("state="), "{function}: {text}");
        }
        for (names, _) in &stacks {
            let on_stack = names.iter().any(|name| name.ends_with(function));
            // Or a closure of its own.
            assert!(!on_stack || names[0].contains(function), "{function} is the leaf: {names:?}");
        }
    }
    pprof_runtime::lookup("block").unwrap().reset();
}

fn mutexes(runtime: &Runtime) {
    let mutex = Arc::new(Mutex::new(1));
    let held = mutex.clone().try_lock_owned().unwrap();
    task!(runtime, "kind=mutex", lock(m: Arc<Mutex<i32>> = mutex.clone()) {
        *m.lock().await += 1;
    }, drop(held));
    let held = mutex.clone().try_lock_owned().unwrap();
    task!(runtime, "kind=mutex", lock_owned(m: Arc<Mutex<i32>> = mutex.clone()) {
        *m.lock_owned().await += 1;
    }, drop(held));
    assert_eq!(*mutex.try_lock().unwrap(), 3);
}

fn rwlocks(runtime: &Runtime) {
    let lock = Arc::new(RwLock::new(1));
    let writes = || lock.clone().try_write_owned().unwrap();
    let reads = || lock.clone().try_read_owned().unwrap();
    let held = writes();
    task!(runtime, "kind=rwlock-read", read(l: Arc<RwLock<i32>> = lock.clone()) {
        assert_eq!(*l.read().await, 1);
    }, drop(held));
    let held = writes();
    task!(runtime, "kind=rwlock-read", read_owned(l: Arc<RwLock<i32>> = lock.clone()) {
        assert_eq!(*l.read_owned().await, 1);
    }, drop(held));
    let held = writes();
    task!(runtime, "kind=rwlock-read", downgraded(l: Arc<RwLock<i32>> = lock.clone()) {
        assert_eq!(*l.read().await, 1);
    }, drop(held.downgrade()));
    let held = writes();
    task!(runtime, "kind=rwlock-write", write(l: Arc<RwLock<i32>> = lock.clone()) {
        *l.write().await += 1;
    }, drop(held));
    let held = reads();
    task!(runtime, "kind=rwlock-write", write_owned(l: Arc<RwLock<i32>> = lock.clone()) {
        *l.write_owned().await += 1;
    }, drop(held));
    assert_eq!(*lock.try_read().unwrap(), 3);
}

fn semaphores(runtime: &Runtime) {
    let sem = Arc::new(Semaphore::new(0));
    task!(runtime, "kind=semaphore", acquire(s: Arc<Semaphore> = sem.clone()) {
        s.acquire().await.unwrap().forget();
    }, sem.add_permits(1));
    task!(runtime, "kind=semaphore", acquire_many(s: Arc<Semaphore> = sem.clone()) {
        s.acquire_many(2).await.unwrap().forget();
    }, sem.add_permits(2));
    task!(runtime, "kind=semaphore", acquire_owned(s: Arc<Semaphore> = sem.clone()) {
        s.acquire_owned().await.unwrap().forget();
    }, sem.add_permits(1));
    task!(runtime, "kind=semaphore", acquire_many_owned(s: Arc<Semaphore> = sem.clone()) {
        s.acquire_many_owned(2).await.unwrap().forget();
    }, sem.add_permits(2));
    assert_eq!(sem.available_permits(), 0);
    sem.add_permits(1);
    let permit = sem.try_acquire().unwrap();
    task!(runtime, "kind=semaphore", permit_dropped(s: Arc<Semaphore> = sem.clone()) {
        s.acquire().await.unwrap().forget();
    }, drop(permit));
    task!(runtime, "kind=semaphore", closed_semaphore(s: Arc<Semaphore> = sem.clone()) {
        assert!(s.acquire().await.is_err());
    }, sem.close());
}

fn notifies(runtime: &Runtime) {
    let notify = Arc::new(Notify::new());
    task!(runtime, "kind=notify", notified(n: Arc<Notify> = notify.clone()) {
        n.notified().await;
    }, notify.notify_one());
    task!(runtime, "kind=notify", notified_last(n: Arc<Notify> = notify.clone()) {
        n.notified().await;
    }, notify.notify_last());
    task!(runtime, "kind=notify", notified_all(n: Arc<Notify> = notify.clone()) {
        n.notified().await;
    }, notify.notify_waiters());
    task!(runtime, "kind=notify", notified_owned(n: Arc<Notify> = notify.clone()) {
        n.notified_owned().await;
    }, notify.notify_one());
    task!(runtime, "kind=notify", enabled(n: Arc<Notify> = notify.clone()) {
        let mut notified = std::pin::pin!(n.notified());
        assert!(!notified.as_mut().enable());
        notified.await;
    }, notify.notify_waiters());
    let barrier = Arc::new(Barrier::new(2));
    task!(runtime, "kind=barrier", wait(b: Arc<Barrier> = barrier.clone()) {
        assert!(!b.wait().await.is_leader());
    }, assert!(barrier.wait().await.is_leader()));
}

fn once(runtime: &Runtime) {
    let (cell, done) = (Arc::new(OnceCell::new()), Arc::new(tokio::sync::Notify::new()));
    let make = |cell: &Arc<OnceCell<i32>>| {
        let (cell, done) = (cell.clone(), done.clone());
        async move {
            cell.get_or_init(|| async move {
                done.notified().await;
                3
            })
            .await;
        }
    };
    let begin = |cell| {
        let _inside = runtime.enter();
        let (making, pending) = spawn(make(cell));
        runtime.block_on(pending).unwrap();
        making
    };
    let making = begin(&cell);
    task!(runtime, "kind=once", get_or_init(c: Arc<OnceCell<i32>> = cell.clone()) {
        assert_eq!(*c.get_or_init(|| async { panic!("made by another") }).await, 3);
    }, done.notify_one());
    runtime.block_on(making).unwrap();
    let cell = Arc::new(OnceCell::new());
    let making = begin(&cell);
    task!(runtime, "kind=once", get_or_try_init(c: Arc<OnceCell<i32>> = cell.clone()) {
        let init = || async {
            // Whoever made it has given up: the wait has ended, and to make it is none.
            sleep(WAIT).await;
            let seen = labels(&snapshot("block"), "::get_or_try_init::{{closure}}");
            assert!(seen.iter().all(|(text, _)| !text.contains("state=")), "{seen:?}");
            Ok::<_, Infallible>(4)
        };
        assert_eq!(c.get_or_try_init(init).await, Ok(&4));
    }, making.abort());
    let set = Arc::new(SetOnce::new());
    task!(runtime, "kind=once", wait_for_set(s: Arc<SetOnce<i32>> = set.clone()) {
        assert_eq!(*s.wait().await, 5);
    }, set.set(5).unwrap());
}

fn queues(runtime: &Runtime) {
    type Rx = mpsc::Receiver<i32>;
    type Tx = mpsc::Sender<i32>;
    let (tx, rx) = mpsc::channel(2);
    task!(runtime, "kind=channel-recv", recv(rx: Rx = rx) {
        assert_eq!(rx.recv().await, Some(1));
    }, tx.try_send(1).unwrap());
    let (tx, rx) = mpsc::channel(2);
    task!(runtime, "kind=channel-recv", recv_none(rx: Rx = rx) {
        assert_eq!(rx.recv().await, None);
    }, drop(tx));
    let (tx, rx) = mpsc::channel(2);
    task!(runtime, "kind=channel-recv", recv_many(rx: Rx = rx) {
        assert_eq!(rx.recv_many(&mut Vec::new(), 8).await, 1);
    }, tx.try_send(1).unwrap());
    let (tx, rx) = mpsc::channel(2);
    task!(runtime, "kind=channel-recv", poll_recv(rx: Rx = rx) {
        assert_eq!(poll_fn(|cx| rx.poll_recv(cx)).await, Some(1));
    }, tx.try_send(1).unwrap());
    let (tx, rx) = mpsc::channel(2);
    task!(runtime, "kind=channel-recv", poll_recv_many(rx: Rx = rx) {
        let mut buffer = Vec::new();
        assert_eq!(poll_fn(|cx| rx.poll_recv_many(cx, &mut buffer, 8)).await, 1);
    }, tx.try_send(1).unwrap());

    let (tx, mut rx) = mpsc::channel(2);
    (0..2).for_each(|i| tx.try_send(i).unwrap());
    task!(runtime, "kind=channel-send", send(tx: Tx = tx.clone()) {
        tx.send(1).await.unwrap();
    }, rx.try_recv().unwrap());
    task!(runtime, "kind=channel-send", reserve(tx: Tx = tx.clone()) {
        tx.reserve().await.unwrap().send(1);
    }, rx.try_recv().unwrap());
    task!(runtime, "kind=channel-send", reserve_many(tx: Tx = tx.clone()) {
        tx.reserve_many(2).await.unwrap().for_each(|permit| permit.send(1));
    }, (0..2).for_each(|_| assert!(rx.try_recv().is_ok())));
    task!(runtime, "kind=channel-send", reserve_owned(tx: Tx = tx.clone()) {
        tx.reserve_owned().await.unwrap().send(1);
    }, rx.try_recv().unwrap());
    task!(runtime, "kind=channel-send", send_nowhere(tx: Tx = tx.clone()) {
        assert!(tx.send(1).await.is_err());
    }, rx.close());
    let (tx, rx) = mpsc::channel(2);
    task!(runtime, "kind=channel-send", closed(tx: Tx = tx) {
        tx.closed().await;
    }, drop(rx));
}

fn unbounded_queues(runtime: &Runtime) {
    type Rx = mpsc::UnboundedReceiver<i32>;
    let (tx, rx) = mpsc::unbounded_channel();
    task!(runtime, "kind=channel-recv", recv_unbounded(rx: Rx = rx) {
        assert_eq!(rx.recv().await, Some(1));
    }, tx.send(1).unwrap());
    let (tx, rx) = mpsc::unbounded_channel();
    task!(runtime, "kind=channel-recv", recv_many_unbounded(rx: Rx = rx) {
        assert_eq!(rx.recv_many(&mut Vec::new(), 8).await, 1);
    }, tx.send(1).unwrap());
    let (tx, rx) = mpsc::unbounded_channel();
    task!(runtime, "kind=channel-recv", poll_recv_unbounded(rx: Rx = rx) {
        assert_eq!(poll_fn(|cx| rx.poll_recv(cx)).await, None);
    }, drop(tx));
    let (tx, rx) = mpsc::unbounded_channel::<i32>();
    task!(runtime, "kind=channel-send", closed_unbounded(tx: mpsc::UnboundedSender<i32> = tx) {
        tx.closed().await;
    }, drop(rx));
}

fn oneshots(runtime: &Runtime) {
    let (tx, rx) = oneshot::channel();
    task!(runtime, "kind=channel-recv", recv_once(rx: oneshot::Receiver<i32> = rx) {
        assert_eq!(rx.await, Ok(1));
    }, tx.send(1).unwrap());
    let (tx, rx) = oneshot::channel();
    task!(runtime, "kind=channel-recv", recv_never(rx: oneshot::Receiver<i32> = rx) {
        assert!(rx.await.is_err());
    }, drop(tx));
    let (tx, rx) = oneshot::channel();
    task!(runtime, "kind=channel-recv", recv_by_reference(rx: oneshot::Receiver<i32> = rx) {
        assert_eq!((&mut rx).await, Ok(1));
        assert!(rx.is_terminated());
    }, tx.send(1).unwrap());
    let (tx, rx) = oneshot::channel();
    task!(runtime, "kind=channel-send", closed_once(tx: oneshot::Sender<i32> = tx) {
        tx.closed().await;
    }, drop(rx));
}

fn broadcasts(runtime: &Runtime) {
    type Rx = broadcast::Receiver<i32>;
    let (tx, rx) = broadcast::channel(2);
    task!(runtime, "kind=channel-recv", recv_cast(rx: Rx = rx) {
        assert_eq!(rx.recv().await, Ok(1));
    }, tx.send(1).unwrap());
    let (tx, rx) = broadcast::channel(2);
    task!(runtime, "kind=channel-recv", recv_closed_cast(rx: Rx = rx) {
        assert_eq!(rx.recv().await, Err(broadcast::error::RecvError::Closed));
    }, drop(tx));
    let (tx, rx) = broadcast::channel(2);
    task!(runtime, "kind=channel-send", closed_cast(tx: broadcast::Sender<i32> = tx) {
        tx.closed().await;
    }, drop(rx));
}

fn watches(runtime: &Runtime) {
    type Rx = watch::Receiver<i32>;
    let (tx, rx) = watch::channel(0);
    task!(runtime, "kind=channel-recv", changed(rx: Rx = rx) {
        rx.changed().await.unwrap();
    }, tx.send(1).unwrap());
    let (tx, rx) = watch::channel(0);
    task!(runtime, "kind=channel-recv", wait_for(rx: Rx = rx) {
        assert_eq!(*rx.wait_for(|value| *value == 1).await.unwrap(), 1);
    }, tx.send(1).unwrap());
    let (tx, rx) = watch::channel(0);
    task!(runtime, "kind=channel-recv", changed_never(rx: Rx = rx) {
        assert!(rx.changed().await.is_err());
    }, drop(tx));
    let (tx, rx) = watch::channel(0);
    task!(runtime, "kind=channel-send", closed_watch(tx: watch::Sender<i32> = tx) {
        tx.closed().await;
    }, drop(rx));
}

/// Waits that end because nobody waits any longer.
fn cancelled(runtime: &Runtime) {
    let mutex = Arc::new(Mutex::new(1));
    let held = mutex.clone().try_lock_owned().unwrap();
    task!(runtime, "kind=mutex", aborted(m: Arc<Mutex<i32>> = mutex.clone()) {
        let task = async move { drop(m.lock().await) };
        // As a task of its own, and of this function.
        assert!(timeout(5 * WAIT, task).await.is_err());
    }, {});
    task!(runtime, "kind=mutex", selected(m: Arc<Mutex<i32>> = mutex.clone()) {
        tokio::select! {
            _ = m.lock() => panic!("it is held"),
            () = sleep(5 * WAIT) => {}
        }
    }, {});
    drop(held);
    let (tx, rx) = mpsc::channel::<i32>(1);
    async fn abandoned(mut rx: mpsc::Receiver<i32>) {
        rx.recv().await;
    }
    let began = Instant::now();
    runtime.block_on(async {
        let (task, pending) = spawn(abandoned(rx));
        pending.await.unwrap();
        sleep(WAIT).await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    ended("::abandoned::{{closure}}", "kind=channel-recv", began);
    drop(tx);
}

/// Until the task would have to yield.
fn use_up_budget() {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    while let std::task::Poll::Ready(budget) = tokio::task::coop::poll_proceed(&mut cx) {
        budget.made_progress();
    }
}

/// A task that would have to yield waits like any other.
fn without_budget(runtime: &Runtime) {
    let mutex = Arc::new(Mutex::new(1));
    let held = mutex.clone().try_lock_owned().unwrap();
    task!(runtime, "kind=mutex", tired_lock(m: Arc<Mutex<i32>> = mutex.clone()) {
        use_up_budget();
        *m.lock().await += 1;
    }, drop(held));
    let (tx, mut rx) = mpsc::channel(1);
    tx.try_send(1).unwrap();
    task!(runtime, "kind=channel-send", tired_send(tx: mpsc::Sender<i32> = tx) {
        use_up_budget();
        tx.send(1).await.unwrap();
    }, rx.try_recv().unwrap());
    let (tx, rx) = mpsc::channel(1);
    task!(runtime, "kind=channel-recv", tired_recv(rx: mpsc::Receiver<i32> = rx) {
        use_up_budget();
        assert_eq!(rx.recv().await, Some(1));
    }, tx.try_send(1).unwrap());
    let notify = Arc::new(Notify::new());
    task!(runtime, "kind=notify", tired_notified(n: Arc<Notify> = notify.clone()) {
        use_up_budget();
        n.notified().await;
    }, notify.notify_one());
}

/// By hand, and then used otherwise: no wait is left.
fn polled_once(runtime: &Runtime) {
    let (tx, mut rx) = mpsc::channel::<i32>(1);
    let (once_tx, mut once_rx) = oneshot::channel::<i32>();
    runtime.block_on(async {
        poll_fn(|cx| {
            assert!(rx.poll_recv(cx).is_pending());
            assert!(std::pin::Pin::new(&mut once_rx).poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
    });
    assert!(rx.try_recv().is_err());
    once_rx.close();
    let seen = labels(&snapshot("block"), "::polled_once");
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen.iter().all(|(text, _)| !text.contains("state=")), "{seen:?}");
    pprof_runtime::lookup("block").unwrap().reset();
    drop((tx, once_tx));
}

fn threads() {
    let mutex = Arc::new(Mutex::new(1));
    let held = mutex.clone().try_lock_owned().unwrap();
    thread!("kind=mutex", blocking_lock(m: Arc<Mutex<i32>> = mutex.clone()) {
        *m.blocking_lock() += 1;
    }, drop(held));
    let held = mutex.clone().try_lock_owned().unwrap();
    thread!("kind=mutex", blocking_lock_owned(m: Arc<Mutex<i32>> = mutex.clone()) {
        *m.blocking_lock_owned() += 1;
    }, drop(held));
    let lock = Arc::new(RwLock::new(1));
    let held = lock.clone().try_write_owned().unwrap();
    thread!("kind=rwlock-read", blocking_read(l: Arc<RwLock<i32>> = lock.clone()) {
        assert_eq!(*l.blocking_read(), 1);
    }, drop(held));
    let held = lock.clone().try_read_owned().unwrap();
    thread!("kind=rwlock-write", blocking_write(l: Arc<RwLock<i32>> = lock.clone()) {
        *l.blocking_write() += 1;
    }, drop(held));
    let sem = Arc::new(Semaphore::new(0));
    thread!("kind=semaphore", blocking_acquire(s: Arc<Semaphore> = sem.clone()) {
        s.blocking_acquire().unwrap().forget();
    }, sem.add_permits(1));
    thread!("kind=semaphore", blocking_acquire_many(s: Arc<Semaphore> = sem.clone()) {
        s.blocking_acquire_many(2).unwrap().forget();
    }, sem.add_permits(2));
    thread!("kind=semaphore", blocking_acquire_owned(s: Arc<Semaphore> = sem.clone()) {
        s.blocking_acquire_owned().unwrap().forget();
    }, sem.add_permits(1));
    thread!("kind=semaphore", blocking_acquire_many_owned(s: Arc<Semaphore> = sem.clone()) {
        s.blocking_acquire_many_owned(2).unwrap().forget();
    }, sem.add_permits(2));
    let (tx, rx) = mpsc::channel(1);
    thread!("kind=channel-recv", blocking_recv(rx: mpsc::Receiver<i32> = rx) {
        assert_eq!(rx.blocking_recv(), Some(1));
    }, tx.try_send(1).unwrap());
    let (tx, rx) = mpsc::unbounded_channel();
    thread!("kind=channel-recv", blocking_recv_many(rx: mpsc::UnboundedReceiver<i32> = rx) {
        assert_eq!(rx.blocking_recv_many(&mut Vec::new(), 8), 1);
    }, tx.send(1).unwrap());
    let (tx, mut rx) = mpsc::channel(1);
    tx.try_send(1).unwrap();
    thread!("kind=channel-send", blocking_send(tx: mpsc::Sender<i32> = tx) {
        tx.blocking_send(2).unwrap();
    }, rx.try_recv().unwrap());
    let (tx, rx) = oneshot::channel();
    thread!("kind=channel-recv", blocking_recv_once(rx: oneshot::Receiver<i32> = rx) {
        assert_eq!(rx.blocking_recv(), Ok(1));
    }, tx.send(1).unwrap());
    let (tx, rx) = broadcast::channel(1);
    thread!("kind=channel-recv", blocking_recv_cast(rx: broadcast::Receiver<i32> = rx) {
        assert_eq!(rx.blocking_recv(), Ok(1));
    }, tx.send(1).unwrap());
}

fn names_and_holders(runtime: &Runtime) {
    static NAMED: Mutex<()> = Mutex::named((), "the pool");
    async fn holder(end: &tokio::sync::Notify) -> u32 {
        let (_held, line) = (NAMED.lock().await, line!());
        end.notified().await;
        line
    }
    async fn named() {
        drop(NAMED.lock().await);
    }
    let end = Arc::new(tokio::sync::Notify::new());
    let began = Instant::now();
    let (text, expected) = runtime.block_on(async {
        let ended = end.clone();
        let holding = tokio::spawn(async move { holder(&ended).await });
        // The one scheduler's queue is in order.
        let (waiting, pending) = spawn(named());
        pending.await.unwrap();
        sleep(WAIT).await;
        let seen = labels(&snapshot("block"), "::named::{{closure}}");
        end.notify_one();
        waiting.await.unwrap();
        let line = holding.await.unwrap();
        let holder = format!("holder=task at {}:{line}", file!());
        (seen[0].0.clone(), format!("kind=mutex lock=the pool {holder} state=waiting"))
    });
    assert_eq!(text, expected);
    ended("::named::{{closure}}", "kind=mutex", began);
    // Not named: by where it was made.
    let (lock, line) = (Arc::new(Semaphore::new(0)), line!());
    let place = format!("lock={}:{line}", file!());
    let waiting = lock.clone();
    async fn unnamed(semaphore: Arc<Semaphore>) {
        semaphore.acquire().await.unwrap().forget();
    }
    let began = Instant::now();
    runtime.block_on(async {
        let (task, pending) = spawn(unnamed(waiting));
        pending.await.unwrap();
        sleep(WAIT).await;
        lock.add_permits(1);
        task.await.unwrap();
    });
    ended("::unnamed::{{closure}}", &place, began);
}
