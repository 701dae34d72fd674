//! A label set on the running code is on the samples of every profile: through closures, guards, threads, futures and tasks. One test for
//! each profile's process-wide state, run one after the other.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::Write;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use pprof_format::Profile;
use pprof_runtime::sync::Mutex;
use pprof_runtime::tokio::sync::Mutex as TokioMutex;
use pprof_runtime::{Labels, cpu, label, labelled, labels, thread, with_labels};
use pprof_tests::{YieldOnce, cpu_time, has_burnt, report};
use tokio::runtime::{Builder, Runtime};

/// The profiles are the process's: one test at a time.
static ALONE: StdMutex<()> = StdMutex::new(());

/// As of the second type.
fn by_label(profile: &Profile, key: &str) -> BTreeMap<String, i64> {
    pprof_tests::by_label(profile, 1, key)
}

fn snapshot(name: &str) -> Profile {
    pprof_runtime::lookup(name).unwrap().snapshot().unwrap().proto().clone()
}

/// Uses `millis` of this thread's CPU time.
#[inline(never)]
fn burn(millis: u64) {
    // Else what a new thread does before it is found is lost, and has no labels.
    cpu::register_thread();
    let start = cpu_time(libc::CLOCK_THREAD_CPUTIME_ID);
    while !has_burnt(start, Duration::from_millis(millis)) {
        black_box((0..1_000_u64).fold(0, |a, b| a ^ b));
    }
}

fn runtimes() -> [Runtime; 2] {
    [
        Builder::new_current_thread().enable_all().build().unwrap(),
        Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
    ]
}

#[test]
fn cpu_samples_have_the_labels_of_what_runs() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let guard = cpu::Builder::new().rate_hz(500).start().unwrap();
    let route = labels! { "case" => "closure" };
    with_labels(&route, || {
        burn(200);
        with_labels(labels! { "case" => "inner", "more" => 1 }, || burn(200));
    });
    {
        label!("case" => "guard");
        burn(200);
        // Inherited by threads, whatever their starter does meanwhile.
        let spawned = thread::spawn(|| burn(200));
        let labels = Labels::current();
        thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(Labels::current(), labels);
                label!("case" => "scoped thread");
                burn(200);
            });
        });
        spawned.join().unwrap();
    }
    burn(200);
    for (runtime, name) in runtimes().iter().zip(["current", "multi"]) {
        runtime.block_on(async {
            let handler = |id: u32| async move {
                burn(50);
                YieldAfter::default().await;
                burn(50);
                let task = pprof_runtime::tokio::spawn(async {
                    YieldAfter::default().await;
                    burn(100);
                });
                let blocking = pprof_runtime::tokio::task::spawn_blocking(|| burn(100));
                task.await.unwrap();
                blocking.await.unwrap();
                assert_eq!(Labels::current().get("request"), Some(&*id.to_string()));
            };
            let request = |id| {
                let labels = labels! { "case" => format!("{name} {id}"), "request" => id };
                tokio::spawn(labelled(labels, handler(id)))
            };
            let requests = [request(1), request(2)];
            for request in requests {
                request.await.unwrap();
            }
            assert!(Labels::current().is_empty());
        });
    }
    let profile = guard.stop().unwrap();
    let sums = by_label(profile.proto(), "case");
    // Each used at least its CPU time; the kernel's clock and ours differ by a tick or two for each stretch.
    let expected = [
        ("closure", 200),
        ("inner", 200),
        ("guard", 400),
        ("scoped thread", 200),
        ("", 200_u64),
        ("current 1", 300),
        ("current 2", 300),
        ("multi 1", 300),
        ("multi 2", 300),
    ];
    for (case, millis) in expected {
        let sampled = sums.get(case).copied().unwrap_or(0) / 1_000_000;
        assert!(
            sampled >= millis as i64 * 7 / 10 - 20,
            "{case}: {sampled} of {millis} ms in {sums:?}"
        );
        // What is not ours has no labels either.
        let most = if case.is_empty() { i64::MAX as u64 } else { millis * 14 / 10 + 100 };
        assert!(sampled <= most as i64, "{case}: {sampled} of {millis} ms in {sums:?}");
    }
    let both = profile.proto().sample.iter().filter(|s| s.label.len() == 2).count();
    assert!(both > 0, "two labels on one sample");

    let mut file = tempfile::NamedTempFile::new().unwrap();
    profile.write_to(&mut file).unwrap();
    file.flush().unwrap();
    let path = file.path().to_str().unwrap();
    let tags = report(&["-tags", path]);
    assert!(tags.contains("closure") && tags.contains("request: Total"), "{tags}");
    let top = report(&["-top", "-cum", "-tagfocus=case=inner", path]);
    assert!(top.contains("labels::burn") && top.contains("Showing nodes"), "{top}");
    let none = report(&["-top", "-tagfocus=case=no such", path]);
    assert!(!none.contains("burn"), "{none}");
}

/// Wakes itself, and is pending once: on a runtime of several threads its task may go on on another.
#[derive(Default)]
struct YieldAfter(YieldOnce);

impl Future for YieldAfter {
    type Output = ();
    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<()> {
        context.waker().wake_by_ref();
        std::pin::Pin::new(&mut self.0).poll(context)
    }
}

const WAIT: Duration = Duration::from_millis(30);

#[test]
fn waits_have_the_labels_of_who_waits_and_unlocks_of_who_unlocks() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    pprof_runtime::set_block_profile_rate(1);
    pprof_runtime::set_mutex_profile_fraction(1);
    let lock = Arc::new(Mutex::new(()));
    let held = with_labels(labels! { "who" => "holder" }, || lock.lock().unwrap());
    let waiter = thread::spawn({
        let lock = Arc::clone(&lock);
        move || with_labels(labels! { "who" => "waiter" }, || drop(lock.lock().unwrap()))
    });
    // Seen while it waits, too.
    while by_label(&snapshot("block"), "who").get("waiter").is_none_or(|waited| *waited < 1_000_000)
    {
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(WAIT);
    with_labels(labels! { "who" => "unlocker" }, || drop(held));
    waiter.join().unwrap();
    let (block, mutex) = (snapshot("block"), snapshot("mutex"));
    let least = WAIT.as_nanos() as i64;
    assert!(by_label(&block, "who")["waiter"] >= least, "{block:?}");
    assert!(by_label(&mutex, "who")["unlocker"] >= least, "{mutex:?}");
    assert!(!by_label(&mutex, "who").contains_key("holder"));

    for (runtime, name) in runtimes().iter().zip(["current", "multi"]) {
        tokio_waits(runtime, name);
    }
    tool_reads_mutex();

    let before = pprof_runtime::set_contention_labels(false);
    let plain = by_label(&snapshot("block"), "who");
    pprof_runtime::set_contention_labels(before);
    assert_eq!(plain.keys().collect::<Vec<_>>(), [""]);
    pprof_runtime::set_block_profile_rate(0);
    pprof_runtime::set_mutex_profile_fraction(0);
}

/// A request whose task waits for an asynchronous lock, and whose blocking part waits for a lock.
fn tokio_waits(runtime: &Runtime, name: &str) {
    let lock = Arc::new(TokioMutex::named((), "async lock"));
    let sync_lock = Arc::new(Mutex::named((), "blocking lock"));
    runtime.block_on(async {
        let held = lock.clone().lock_owned().await;
        let waits = {
            let (lock, sync_lock) = (lock.clone(), sync_lock.clone());
            async move {
                let task = pprof_runtime::tokio::spawn(async move {
                    let held = lock.lock().await;
                    YieldAfter::default().await;
                    drop(held);
                });
                task.await.unwrap();
                let blocking = move || drop(sync_lock.lock().unwrap());
                pprof_runtime::tokio::task::spawn_blocking(blocking).await.unwrap();
            }
        };
        let request = labels! { "request" => name, "who" => "async" };
        let request = tokio::spawn(labelled(request, waits));
        tokio::time::sleep(WAIT).await;
        let (ready, go) = std::sync::mpsc::channel();
        let holder = thread::spawn(move || {
            let held = sync_lock.lock().unwrap();
            ready.send(()).unwrap();
            thread::sleep(WAIT * 3);
            drop(held);
        });
        go.recv().unwrap();
        with_labels(labels! { "request" => format!("{name} holder") }, || drop(held));
        request.await.unwrap();
        holder.join().unwrap();
    });
    let (block, mutex) = (snapshot("block"), snapshot("mutex"));
    let least = WAIT.as_nanos() as i64;
    for lock in ["async lock", "blocking lock"] {
        let waited = with_both(&block, ("request", name), ("lock", lock));
        assert!(waited >= least / 2, "{name}, {lock}: {waited} ns in {block:?}");
    }
    assert!(by_label(&mutex, "request")[&format!("{name} holder")] >= least / 2, "{mutex:?}");
    // It unlocks the asynchronous one as well, when nobody waits; that has no sample.
    assert!(!by_label(&mutex, "request").contains_key(name));
}

fn with_both(profile: &Profile, a: (&str, &str), b: (&str, &str)) -> i64 {
    let has = |sample: &pprof_format::Sample, (key, value)| {
        let is_it = |label: &pprof_format::Label| {
            (profile.string(label.key), profile.string(label.str)) == (key, value)
        };
        sample.label.iter().any(is_it)
    };
    let both = profile.sample.iter().filter(|sample| has(sample, a) && has(sample, b));
    both.map(|sample| sample.value[1]).sum()
}

fn tool_reads_mutex() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    pprof_runtime::lookup("mutex").unwrap().snapshot().unwrap().write_to(&mut file).unwrap();
    file.flush().unwrap();
    let path = file.path().to_str().unwrap();
    let tags = report(&["-tags", path]);
    assert!(tags.contains("unlocker") && tags.contains("kind: Total"), "{tags}");
    let focused = report(&["-traces", "-tagfocus=who=unlocker", path]);
    assert!(focused.contains("unlocker") && !focused.contains("current holder"), "{focused}");
}

#[test]
fn labels_that_come_and_go_leave_nothing_behind() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let resident = || {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages = statm.split(' ').nth(1).unwrap();
        pages.parse::<u64>().unwrap() * 4096
    };
    let request = |id: u64| with_labels(labels! { "request" => id }, || black_box(id));
    (0..10_000).for_each(|id| _ = request(id));
    let before = resident();
    (0..1_000_000).for_each(|id| _ = request(id));
    let grown = resident().saturating_sub(before);
    assert!(grown < 1 << 20, "{grown} bytes");
}

#[pprof_runtime::profile]
fn counted(next: u32) {
    if next > 0 {
        counted(next - 1);
    }
}

#[pprof_runtime::profile]
async fn counted_async() {
    YieldAfter::default().await;
    counted(0);
}

/// (calls of `function`, labels), by the value of the label `key`.
fn calls(profile: &Profile, function: &str, key: &str) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for sample in &profile.sample {
        let one = Profile { sample: vec![sample.clone()], ..profile.clone() };
        let leaf = pprof_tests::stacks(&one)[0].0[0].to_owned();
        if leaf.ends_with(function) {
            let label = sample.label.iter().find(|label| profile.string(label.key) == key);
            let value = label.map_or("", |label| profile.string(label.str));
            *sums.entry(value.to_owned()).or_default() += sample.value[0];
        }
    }
    sums
}

fn map<const N: usize>(pairs: [(&str, i64); N]) -> BTreeMap<String, i64> {
    pairs.map(|(key, value)| (key.to_owned(), value)).into()
}

#[test]
fn calls_have_the_labels_that_they_were_made_with() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    pprof_runtime::set_function_profile(true);
    let source = pprof_runtime::lookup("functions").unwrap();
    source.reset();
    counted(2);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for call in 0..1_000 {
                    with_labels(
                        labels! { "parity" => ["even", "odd"][(thread + call) % 2] },
                        || counted(1),
                    );
                    counted(0);
                }
            });
        }
    });
    let counts = calls(&snapshot("functions"), "labels::counted", "parity");
    assert_eq!(counts, map([("", 4_003), ("even", 4_000), ("odd", 4_000)]));
    for (runtime, name) in runtimes().iter().zip(["current", "multi"]) {
        runtime.block_on(async {
            for id in 0..3 {
                let request = labels! { "request" => format!("{name} {id}") };
                tokio::spawn(labelled(request, counted_async())).await.unwrap();
            }
        });
    }
    let profile = snapshot("functions");
    let expected = ["current 0", "current 1", "current 2", "multi 0", "multi 1", "multi 2"];
    assert_eq!(
        calls(&profile, "labels::counted_async", "request"),
        map(expected.map(|id| (id, 1)))
    );
    let inside = calls(&profile, "labels::counted", "request");
    assert!(expected.iter().all(|id| inside[*id] == 1), "{inside:?}");

    let mut file = tempfile::NamedTempFile::new().unwrap();
    source.snapshot().unwrap().write_to(&mut file).unwrap();
    file.flush().unwrap();
    let path = file.path().to_str().unwrap();
    let top = report(&["-sample_index=calls", "-top", "-tagfocus=parity=odd", path]);
    assert!(top.contains("4000") && top.contains("labels::counted"), "{top}");
    let tags = report(&["-sample_index=calls", "-tags", path]);
    assert!(tags.contains("multi 2"), "{tags}");

    // More than are told apart: the calls are there all the same.
    source.reset();
    (0..500).for_each(|id| with_labels(labels! { "number" => id }, || counted(0)));
    let counts = calls(&snapshot("functions"), "labels::counted", "number");
    assert_eq!(counts.values().sum::<i64>(), 500);
    assert_eq!(counts["(overflow)"], 500 - 128, "{counts:?}");
    pprof_runtime::set_function_profile(false);
}

#[test]
fn a_task_has_the_labels_of_its_creator_alone() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let task = with_labels(labels! { "who" => "creator" }, || {
        let _entered = runtime.enter();
        pprof_runtime::tokio::spawn(async { Labels::current() })
    });
    let driven = with_labels(labels! { "request" => 1 }, || runtime.block_on(task));
    assert_eq!(driven.unwrap(), labels! { "who" => "creator" });
}

#[test]
fn what_is_cancelled_is_cleared_up_with_its_labels() {
    struct Tells(std::sync::mpsc::Sender<Labels>);
    impl Drop for Tells {
        fn drop(&mut self) {
            self.0.send(Labels::current()).unwrap();
        }
    }
    let (tell, told) = std::sync::mpsc::channel();
    let request = || labels! { "request" => 1 };
    let mut future = Box::pin(labelled(request(), async move {
        let _tells = Tells(tell);
        YieldOnce::default().await;
    }));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_pending());
    drop(future);
    assert_eq!(told.recv().unwrap(), request());
    assert!(Labels::current().is_empty());
}

#[inline(never)]
fn takes(lock: &Mutex<()>) {
    drop(lock.lock().unwrap());
    black_box(());
}

#[test]
fn labels_of_waits_that_are_not_recorded_take_no_room_and_ours_are_told_from_theirs() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Waits of a thousandth of that: next to none is recorded.
    pprof_runtime::set_block_profile_rate(1_000_000_000_000);
    let source = pprof_runtime::lookup("block").unwrap();
    source.reset();
    let lock = Arc::new(Mutex::new(()));
    let wait = |request: u64| {
        let held = lock.lock().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let labels = labels! { "unseen" => request, "kind" => "theirs", "empty" => "" };
                with_labels(labels, || takes(&lock));
            });
            pprof_tests::waits::until_waiting("::takes");
            std::thread::sleep(Duration::from_millis(2));
            drop(held);
        });
    };
    (0..4).for_each(wait);
    assert!(!by_label(&snapshot("block"), "unseen").contains_key("3"));
    pprof_runtime::set_block_profile_rate(1);
    wait(99);
    let block = snapshot("block");
    pprof_runtime::set_block_profile_rate(0);
    let least = 1_000_000;
    assert!(with_both(&block, ("unseen", "99"), ("kind", "mutex")) >= least, "{block:?}");
    assert!(with_both(&block, ("user.kind", "theirs"), ("empty", "(empty)")) >= least, "{block:?}");
    assert!(!by_label(&block, "kind").contains_key("theirs"));
}

struct Handler {
    name: &'static str,
}

impl Handler {
    #[pprof_runtime::profile(labels("handler" = self.name, id))]
    fn handle(&self, id: u64, _secret: &str) -> Labels {
        counted(0);
        if id == 0 {
            return Labels::current();
        }
        Labels::current()
    }

    #[pprof_runtime::profile(labels(id, "handler" = self.name))]
    async fn handle_async(&self, id: String) -> Labels {
        YieldAfter::default().await;
        drop(id);
        Labels::current()
    }

    #[pprof_runtime::profile(labels(id))]
    fn handle_boxed(&self, id: u64) -> std::pin::Pin<Box<dyn Future<Output = Labels> + Send>> {
        if id == 7 {
            return Box::pin(async { Labels::current() });
        }
        Box::pin(async move {
            YieldAfter::default().await;
            black_box(id);
            Labels::current()
        })
    }
}

#[test]
fn arguments_become_labels_by_name() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    pprof_runtime::set_function_profile(true);
    pprof_runtime::lookup("functions").unwrap().reset();
    let handler = Handler { name: "h" };
    assert_eq!(handler.handle(3, "secret"), labels! { "handler" => "h", "id" => 3 });
    let [current, multi] = runtimes();
    let labelled = current.block_on(handler.handle_async("4".to_owned()));
    assert_eq!(labelled, labels! { "handler" => "h", "id" => 4 });
    for id in [7, 8] {
        let labelled = multi.block_on(multi.spawn(handler.handle_boxed(id))).unwrap();
        assert_eq!(labelled, labels! { "id" => id });
    }
    assert!(Labels::current().is_empty());
    let profile = snapshot("functions");
    assert_eq!(calls(&profile, "Handler::handle", "id"), map([("3", 1)]));
    assert_eq!(calls(&profile, "labels::counted", "handler"), map([("h", 1)]));
    assert_eq!(calls(&profile, "Handler::handle_async", "id"), map([("4", 1)]));
    assert_eq!(calls(&profile, "Handler::handle_boxed", "id"), map([("7", 1), ("8", 1)]));
    pprof_runtime::set_function_profile(false);
}
