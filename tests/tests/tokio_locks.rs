//! What waiting for tokio's locks costs is charged in full, and to whoever made others wait. One process, as rates are the process's.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use pprof_runtime::tokio::sync::{Mutex, OnceCell, OwnedRwLockReadGuard, RwLock, Semaphore, mpsc};
use pprof_tests::sum;
use pprof_tests::waits::{Truth, contentions, delay, labels, snapshot};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Barrier;
use tokio::task::coop::{consume_budget, has_budget_remaining};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

const HOLD: Duration = Duration::from_millis(20);

/// The machine may stop a thread between its clock and ours, which spoils a round, but not every round.
const ROUNDS: usize = 10;

#[test]
fn everything_is_charged() {
    pprof_runtime::set_mutex_profile_fraction(1);
    pprof_runtime::set_block_profile_rate(1);
    let current_thread = Builder::new_current_thread().enable_time().build().unwrap();
    let multi_thread = Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    for runtime in [&current_thread, &multi_thread] {
        for waiters in 1..=8 {
            conserved("Mutex", waiters, || runtime.block_on(mutex_round(waiters)));
            conserved("RwLock", waiters, || runtime.block_on(rwlock_round(waiters)));
            conserved("Semaphore", waiters, || runtime.block_on(semaphore_round(waiters)));
        }
        last_reader_is_charged(runtime);
        cancelled_waits_are_charged(runtime);
        initialisers_are_charged(runtime);
    }
    holds_are_profiled(&current_thread);
    budget_used_up_is_no_wait(&current_thread);
    closing_ends_acquisitions_without_budget(&current_thread);
}

/// Rounds, until one in which both profiles have grown by what the tasks waited, within 5 %, and by their number of waits.
fn conserved(what: &str, waiters: usize, round: impl Fn() -> Arc<Truth>) {
    let totals = |name| {
        let profile = snapshot(name);
        (sum(&profile, 0, |_| true), sum(&profile, 1, |_| true))
    };
    let mut failed = Vec::new();
    for _ in 0..ROUNDS {
        pprof_runtime::lookup("mutex").unwrap().reset();
        pprof_runtime::lookup("block").unwrap().reset();
        let truth = round().waited() as f64;
        let (mutex, block) = (totals("mutex"), totals("block"));
        let near = |delay: i64| (delay as f64 / truth - 1.0).abs() < 0.05;
        if near(mutex.1) && near(block.1) && block.0 == waiters as i64 {
            let lost = sum(&snapshot("mutex"), 1, |names| names[0].contains("lost"));
            assert_eq!(lost, 0, "{what}: an unlock that was not seen");
            return;
        }
        failed.push(format!("mutex {mutex:?}, block {block:?}, in truth {truth} ns"));
    }
    panic!("{what}, {waiters} waiters: {failed:#?}");
}

async fn mutex_holder(mutex: Arc<Mutex<()>>, ready: Arc<Barrier>) {
    let guard = mutex.lock().await;
    ready.wait().await;
    sleep(HOLD).await;
    drop(guard);
}

async fn mutex_waiter(mutex: Arc<Mutex<()>>, ready: Arc<Barrier>, truth: Arc<Truth>) {
    ready.wait().await;
    drop(truth.of(mutex.lock()).await);
}

async fn mutex_round(waiters: usize) -> Arc<Truth> {
    let (mutex, truth) = (Arc::new(Mutex::new(())), Arc::new(Truth::default()));
    let ready = Arc::new(Barrier::new(waiters + 1));
    let mut tasks = vec![tokio::spawn(mutex_holder(mutex.clone(), ready.clone()))];
    for _ in 0..waiters {
        tasks.push(tokio::spawn(mutex_waiter(mutex.clone(), ready.clone(), truth.clone())));
    }
    for task in tasks {
        task.await.unwrap();
    }
    truth
}

async fn rwlock_holder(lock: Arc<RwLock<()>>, ready: Arc<Barrier>) {
    let guard = lock.write().await;
    ready.wait().await;
    sleep(HOLD).await;
    drop(guard);
}

async fn rwlock_waiter(
    lock: Arc<RwLock<()>>,
    ready: Arc<Barrier>,
    truth: Arc<Truth>,
    writes: bool,
) {
    ready.wait().await;
    if writes {
        drop(truth.of(lock.write()).await);
    } else {
        drop(truth.of(lock.read()).await);
    }
}

/// Readers and writers in turn.
async fn rwlock_round(waiters: usize) -> Arc<Truth> {
    let (lock, truth) = (Arc::new(RwLock::new(())), Arc::new(Truth::default()));
    let ready = Arc::new(Barrier::new(waiters + 1));
    let mut tasks = vec![tokio::spawn(rwlock_holder(lock.clone(), ready.clone()))];
    for waiter in 0..waiters {
        let (lock, ready, truth) = (lock.clone(), ready.clone(), truth.clone());
        tasks.push(tokio::spawn(rwlock_waiter(lock, ready, truth, waiter % 2 == 0)));
    }
    for task in tasks {
        task.await.unwrap();
    }
    truth
}

async fn semaphore_round(waiters: usize) -> Arc<Truth> {
    let (semaphore, truth) = (Arc::new(Semaphore::new(0)), Arc::new(Truth::default()));
    let ready = Arc::new(Barrier::new(waiters + 1));
    let mut tasks = Vec::new();
    for _ in 0..waiters {
        let (semaphore, ready, truth) = (semaphore.clone(), ready.clone(), truth.clone());
        tasks.push(tokio::spawn(async move {
            ready.wait().await;
            truth.of(semaphore.acquire()).await.unwrap().forget();
        }));
    }
    ready.wait().await;
    sleep(HOLD).await;
    semaphore.add_permits(waiters);
    for task in tasks {
        task.await.unwrap();
    }
    truth
}

async fn first_reader(guard: OwnedRwLockReadGuard<()>) {
    sleep(HOLD).await;
    drop(guard);
}

async fn last_reader(guard: OwnedRwLockReadGuard<()>, first: tokio::task::JoinHandle<()>) {
    first.await.unwrap();
    sleep(HOLD).await;
    drop(guard);
}

async fn blocked_writer(lock: Arc<RwLock<()>>) {
    drop(lock.write().await);
}

fn last_reader_is_charged(runtime: &Runtime) {
    for readers in 1..=4 {
        let blocked = || runtime.block_on(blocked_by_readers(readers));
        charged(blocked, "::blocked_writer::{{closure}}", "::last_reader::{{closure}}");
        let mutex = snapshot("mutex");
        assert_eq!(delay(&mutex, "::first_reader::{{closure}}"), 0, "of {readers} readers");
        let seen = labels(&mutex, "::last_reader::{{closure}}");
        assert!(seen[0].0.starts_with("kind=rwlock-read"), "{seen:?}");
    }
}

async fn blocked_by_readers(readers: usize) {
    let lock = Arc::new(RwLock::new(()));
    let last = lock.clone().read_owned().await;
    let mut first = tokio::spawn(async {});
    for _ in 1..readers {
        let (guard, before) = (lock.clone().read_owned().await, first);
        first = tokio::spawn(async move {
            first_reader(guard).await;
            before.await.unwrap();
        });
    }
    let writer = tokio::spawn(blocked_writer(lock.clone()));
    // Nobody else can have the lock for reading as soon as it waits.
    while lock.try_read().is_ok() {
        tokio::task::yield_now().await;
    }
    last_reader(last, first).await;
    writer.await.unwrap();
}

/// Asserts that there is one wait, on `waiter`, and that it is charged to `holder`: in one of several rounds, as the machine may stop a task
/// before it begins to wait.
fn charged(round: impl Fn(), waiter: &str, holder: &str) {
    let mut failed = Vec::new();
    for _ in 0..ROUNDS {
        pprof_runtime::lookup("mutex").unwrap().reset();
        pprof_runtime::lookup("block").unwrap().reset();
        round();
        let (mutex, block) = (snapshot("mutex"), snapshot("block"));
        let waited = (contentions(&block, waiter), delay(&block, waiter));
        let charged = (contentions(&mutex, holder), delay(&mutex, holder));
        let long_enough = waited.1 >= HOLD.as_nanos() as i64 * 8 / 10;
        if long_enough && waited.0 == 1 && charged.0 == 1 {
            assert!((charged.1 - waited.1).abs() < waited.1 / 20, "{charged:?} of {waited:?}");
            return;
        }
        failed.push((charged, waited));
    }
    panic!("{waiter}, {holder}: {failed:?}");
}

async fn gives_up(mutex: Arc<Mutex<()>>) {
    assert!(timeout(HOLD, mutex.lock()).await.is_err());
}

async fn made_it_give_up(mutex: Arc<Mutex<()>>, waiter: impl Future<Output = ()>) {
    let guard = mutex.lock().await;
    waiter.await;
    drop(guard);
}

fn cancelled_waits_are_charged(runtime: &Runtime) {
    let round = || {
        let mutex = Arc::new(Mutex::new(()));
        runtime.block_on(made_it_give_up(mutex.clone(), gives_up(mutex)));
    };
    charged(round, "::gives_up::{{closure}}", "::made_it_give_up::{{closure}}");
}

async fn initialises(cell: Arc<OnceCell<u8>>) {
    cell.get_or_init(|| async {
        sleep(HOLD).await;
        1
    })
    .await;
}

async fn asks(cell: Arc<OnceCell<u8>>) {
    cell.get_or_init(|| async { unreachable!() }).await;
}

fn initialisers_are_charged(runtime: &Runtime) {
    let round = || {
        runtime.block_on(async {
            let cell = Arc::new(OnceCell::new());
            // Both by this task: whoever is polled first is first.
            tokio::join!(initialises(cell.clone()), asks(cell.clone()));
        });
    };
    charged(round, "::asks::{{closure}}", "::initialises::{{closure}}");
    assert_eq!(delay(&snapshot("block"), "::initialises::{{closure}}"), 0, "it does not wait");
}

async fn long_hold(mutex: &Mutex<()>, lock: &Arc<RwLock<()>>) {
    let guards = (mutex.lock().await, lock.clone().write_owned().await, lock);
    sleep(HOLD).await;
    let read = guards.1.downgrade();
    sleep(HOLD).await;
    drop(read);
}

fn holds_are_profiled(runtime: &Runtime) {
    pprof_runtime::set_hold_profile_rate(1);
    runtime.block_on(long_hold(&Mutex::new(()), &Arc::new(RwLock::new(()))));
    pprof_runtime::set_hold_profile_rate(0);
    let seen = labels(&snapshot("hold"), "::long_hold::{{closure}}");
    let held = |kind: &str| -> (i64, i64) {
        let of_kind = seen.iter().filter(|(text, _)| text.split(' ').any(|word| word == kind));
        of_kind.fold((0, 0), |sum, (_, values)| (sum.0 + values[0], sum.1 + values[1]))
    };
    let hold = HOLD.as_nanos() as i64;
    for (kind, times) in [("kind=mutex", 2), ("kind=rwlock-write", 1), ("kind=rwlock-read", 1)] {
        let (holds, time) = held(kind);
        assert_eq!(holds, 1, "{kind} in {seen:?}");
        assert!(time >= times * hold, "{kind}: {time} ns in {seen:?}");
    }
}

async fn works_until_it_must_yield(mutex: &Mutex<u32>, semaphore: &Semaphore) {
    let (tx, mut rx) = mpsc::channel(2);
    for i in 0..1000 {
        *mutex.lock().await += 1;
        drop(semaphore.acquire().await.unwrap());
        tx.send(i).await.unwrap();
        assert_eq!(rx.recv().await, Some(i));
    }
}

/// Nobody else uses the lock: that the task has to yield now and then is not the lock's fault.
fn budget_used_up_is_no_wait(runtime: &Runtime) {
    pprof_runtime::lookup("block").unwrap().reset();
    runtime.block_on(async {
        tokio::spawn(async {
            works_until_it_must_yield(&Mutex::new(0), &Semaphore::new(1)).await;
        })
        .await
        .unwrap();
    });
    let seen = labels(&snapshot("block"), "::works_until_it_must_yield::{{closure}}");
    assert_eq!(seen, []);
}

/// A task without budget has taken a permit, and is told at its next turn: that the semaphore has been closed since, as by tokio's own.
fn closing_ends_acquisitions_without_budget(runtime: &Runtime) {
    macro_rules! run {
        ($($semaphore:tt)*) => {{
            let semaphore = $($semaphore)*::new(2);
            runtime.block_on(runtime.spawn(async move {
                while has_budget_remaining() {
                    consume_budget().await;
                }
                let mut acquisition = pin!(semaphore.acquire());
                let polled =
                    acquisition.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
                assert!(polled, "there is no budget");
                assert_eq!(semaphore.available_permits(), 1, "it has one");
                semaphore.close();
                yield_now().await;
                assert!(acquisition.await.is_err());
                semaphore.available_permits()
            }))
            .unwrap()
        }};
    }
    assert_eq!(run!(Semaphore), 2);
    assert_eq!(run!(tokio::sync::Semaphore), 2);
}
