//! Waits for an initialisation: `Once`, `OnceLock`, `LazyLock`. One process, as rates are the process's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use pprof_runtime::lookup;
use pprof_runtime::sync::{LazyLock, Once, OnceLock};
use pprof_tests::waits::{assert_one_wait, contentions, delay, labels, snapshot, until_waiting};

const WAIT: Duration = Duration::from_millis(30);

#[test]
fn everything_about_initialisations() {
    pprof_runtime::set_mutex_profile_fraction(1);
    pprof_runtime::set_block_profile_rate(1);
    every_way_to_wait_is_one_event();
    every_way_to_initialise_is_charged();
    what_nobody_initialises_is_waited_for();
    who_does_not_wait_is_not_recorded();
    a_panic_ends_the_wait_of_who_minds();
    delays_are_exact();
    delays_are_exact_where_initialisers_panic();
    initialisations_are_holds();
}

/// An initialisation that begins, and ends when it is told to.
struct Gate {
    begun: (SyncSender<()>, Mutex<Receiver<()>>),
    end: (Mutex<Option<SyncSender<()>>>, Mutex<Receiver<()>>),
}

impl Gate {
    fn new() -> Gate {
        let (begin, begun) = sync_channel(1);
        let (end, ends) = sync_channel(0);
        Gate { begun: (begin, Mutex::new(begun)), end: (Mutex::new(Some(end)), Mutex::new(ends)) }
    }

    /// The initialisation.
    fn pass(&self) {
        self.begun.0.send(()).unwrap();
        let _ = self.end.1.lock().unwrap().recv();
    }

    fn until_begun(&self) {
        self.begun.1.lock().unwrap().recv().unwrap();
    }

    fn open(&self) {
        drop(self.end.0.lock().unwrap().take());
    }
}

/// Runs `initialise`, which passes the gate, in a thread, and `wait` in another, which is let in some 30 ms later. That is a block event
/// of `waiter`, and a mutex event of `initialiser`, of the same length.
fn one_wait(
    gate: &Gate,
    (initialiser, initialise): (&str, impl FnOnce() + Send),
    (waiter, wait): (&str, impl FnOnce() + Send),
) {
    let waited = thread::scope(|scope| {
        let named = thread::Builder::new().name("initialiser".into());
        named.spawn_scoped(scope, initialise).unwrap();
        gate.until_begun();
        let waiting = scope.spawn(|| timed(wait));
        until_waiting(waiter);
        thread::sleep(WAIT);
        gate.open();
        waiting.join().unwrap()
    });
    let blocked = delay(&snapshot("block"), waiter);
    assert_eq!(delay(&snapshot("block"), initialiser), 0, "{initialiser} did not wait");
    assert_charged(initialiser, blocked);
    assert_one_wait(waiter, waited, &["kind=once", "holder=initialiser"]);
}

fn timed(wait: impl FnOnce()) -> Duration {
    let began = Instant::now();
    wait();
    began.elapsed()
}

/// The mutex profile has one event, of `function`, of this many nanoseconds. Resets it.
fn assert_charged(function: &str, ns: i64) {
    let profile = snapshot("mutex");
    let charged = labels(&profile, function);
    let [(text, [1, charged])] = &charged[..] else { panic!("{function}: {charged:?}") };
    assert_eq!(text.split(' ').next(), Some("kind=once"), "{text}");
    assert!((charged - ns).abs() < ns / 20, "{function}: {charged} ns of {ns}");
    assert_eq!(delay(&profile, ""), *charged, "nobody else is charged");
    lookup("mutex").unwrap().reset();
}

type Make<'a> = Box<dyn FnOnce() -> u8 + Send + 'a>;

/// Functions to find in profiles by their names.
macro_rules! not_inlined {
    ($(fn $name:ident($($argument:ident: $ty:ty),*) $body:block)*) => { $(
        #[inline(never)]
        fn $name($($argument: $ty),*) $body
    )* };
}

not_inlined! {
    fn calls_once(once: &Once) {
        once.call_once(|| unreachable!());
    }
    fn calls_by_force(once: &Once) {
        once.call_once_force(|_| unreachable!());
    }
    fn waits(once: &Once) {
        once.wait();
    }
    fn waits_by_force(once: &Once) {
        once.wait_force();
    }
    fn gets_or_makes(cell: &OnceLock<u8>) {
        assert_eq!(*cell.get_or_init(|| unreachable!()), 1);
    }
    fn sets(cell: &OnceLock<u8>) {
        assert_eq!(cell.set(2), Err(2));
    }
    fn waits_for_value(cell: &OnceLock<u8>) {
        assert_eq!(*cell.wait(), 1);
    }
    fn dereferences(lazy: &LazyLock<u8, Make<'_>>) {
        assert_eq!(**lazy, 1);
    }
    fn forces(lazy: &LazyLock<u8, Make<'_>>) {
        assert_eq!(*LazyLock::force(lazy), 1);
    }
    fn runs_once(once: &Once, gate: &Gate) {
        once.call_once(|| gate.pass());
    }
    fn runs_by_force(once: &Once, gate: &Gate) {
        once.call_once_force(|_| gate.pass());
    }
    fn makes(cell: &OnceLock<u8>, gate: &Gate) {
        cell.get_or_init(|| {
            gate.pass();
            1
        });
    }
}

fn every_way_to_wait_is_one_event() {
    type OfOnce = fn(&Once);
    let of_once: [(&str, OfOnce); 4] = [
        ("::calls_once", calls_once),
        ("::calls_by_force", calls_by_force),
        ("::waits", waits),
        ("::waits_by_force", waits_by_force),
    ];
    for (name, wait) in of_once {
        let (gate, once) = (Gate::new(), Once::new());
        one_wait(&gate, ("::runs_once", || runs_once(&once, &gate)), (name, || wait(&once)));
    }
    type OfCell = fn(&OnceLock<u8>);
    let of_cell: [(&str, OfCell); 3] = [
        ("::gets_or_makes", gets_or_makes),
        ("::sets", sets),
        ("::waits_for_value", waits_for_value),
    ];
    for (name, wait) in of_cell {
        let (gate, cell) = (Gate::new(), OnceLock::new());
        one_wait(&gate, ("::makes", || makes(&cell, &gate)), (name, || wait(&cell)));
    }
    type OfLazy = fn(&LazyLock<u8, Make<'_>>);
    let of_lazy: [(&str, OfLazy); 2] = [("::dereferences", dereferences), ("::forces", forces)];
    for ((maker, make), (waiter, wait)) in [(of_lazy[0], of_lazy[1]), (of_lazy[1], of_lazy[0])] {
        let gate = Gate::new();
        let lazy: LazyLock<u8, Make<'_>> = LazyLock::new(Box::new(|| {
            gate.pass();
            1
        }));
        one_wait(&gate, (maker, || make(&lazy)), (waiter, || wait(&lazy)));
    }
}

fn every_way_to_initialise_is_charged() {
    let (gate, once) = (Gate::new(), Once::named("a-once"));
    let initialise = || runs_by_force(&once, &gate);
    one_wait(&gate, ("::runs_by_force", initialise), ("::waits", || waits(&once)));
}

#[inline(never)]
fn runs_at_last(once: &Once) {
    once.call_once(|| ());
}

fn what_nobody_initialises_is_waited_for() {
    let once = Once::named("a-once");
    let waited = thread::scope(|scope| {
        let waiting = scope.spawn(|| timed(|| waits(&once)));
        until_waiting("::waits");
        thread::sleep(WAIT);
        runs_at_last(&once);
        waiting.join().unwrap()
    });
    assert_charged("::runs_at_last", delay(&snapshot("block"), "::waits"));
    let texts = labels(&snapshot("block"), "::waits");
    assert!(texts.iter().all(|(text, _)| !text.contains("holder=")), "{texts:?}");
    assert_one_wait("::waits", waited, &["kind=once", "lock=a-once"]);
}

fn who_does_not_wait_is_not_recorded() {
    let (once, cell, lazy) = (Once::new(), OnceLock::new(), LazyLock::new(|| 1));
    for _ in 0..2 {
        once.call_once(|| ());
        once.wait();
        once.wait_force();
        assert_eq!(*cell.get_or_init(|| 1), *lazy);
        assert_eq!(cell.wait(), cell.get().unwrap());
    }
    assert!(catch_unwind(|| Once::new().call_once(|| panic!("not recorded either"))).is_err());
    for profile in ["block", "mutex"] {
        assert_eq!(contentions(&snapshot(profile), ""), 0, "{profile}");
    }
}

#[inline(never)]
fn panics_inside(once: &Once, gate: &Gate) {
    let panics = || {
        once.call_once(|| {
            gate.pass();
            panic!("a reason");
        });
    };
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
}

#[inline(never)]
fn calls_in_vain(once: &Once) {
    once.call_once(|| unreachable!());
}

fn a_panic_ends_the_wait_of_who_minds() {
    type OfOnce = fn(&Once);
    let of_once: [(&str, OfOnce); 2] = [("::calls_in_vain", calls_in_vain), ("::waits", waits)];
    for (name, wait) in of_once {
        let (gate, once) = (Gate::new(), Once::new());
        let told = || assert!(catch_unwind(AssertUnwindSafe(|| wait(&once))).is_err());
        one_wait(&gate, ("::panics_inside", || panics_inside(&once, &gate)), (name, told));
        assert!(!once.is_completed());
    }
}

/// The machine may stop a thread between its clock and ours, which spoils a round, but not every round.
const ROUNDS: usize = 10;

fn until_a_round_is_right(what: &str, round: impl Fn() -> Result<(), String>) {
    let wrong: Vec<_> = (0..ROUNDS).map_while(|_| round().err()).collect();
    assert!(wrong.len() < ROUNDS, "{what}: {wrong:#?}");
}

/// Both profiles have these waits, and nothing else since they were reset.
fn check(waits: usize, waited_ns: u64, initialiser: &str) -> Result<(), String> {
    let (mutex, block) = (snapshot("mutex"), snapshot("block"));
    let near = |what: &str, ns: i64| {
        let right = (ns as f64 / waited_ns as f64 - 1.0).abs() < 0.05;
        if right { Ok(()) } else { Err(format!("{what}: {ns} ns, in truth {waited_ns}")) }
    };
    near("mutex", delay(&mutex, ""))?;
    near("mutex, on who initialises", delay(&mutex, initialiser))?;
    near("block", delay(&block, ""))?;
    let seen = contentions(&block, "");
    if seen == waits as i64 { Ok(()) } else { Err(format!("{seen} waits of {waits}")) }
}

fn reset() {
    for profile in ["block", "mutex"] {
        lookup(profile).unwrap().reset();
    }
}

#[inline(never)]
fn initialises(once: &Once, begun: &std::sync::Barrier) {
    once.call_once(|| {
        begun.wait();
        thread::sleep(Duration::from_millis(20));
    });
}

fn delays_are_exact() {
    for waiters in 1..=8 {
        until_a_round_is_right(&format!("{waiters} waiters"), || {
            reset();
            let (once, waited) = (Once::new(), AtomicU64::new(0));
            let begun = std::sync::Barrier::new(waiters + 1);
            thread::scope(|scope| {
                scope.spawn(|| initialises(&once, &begun));
                for waiter in 0..waiters {
                    let (once, begun, waited) = (&once, &begun, &waited);
                    scope.spawn(move || {
                        begun.wait();
                        let wait = [calls_once, waits, calls_by_force, waits_by_force][waiter % 4];
                        let ns = timed(|| wait(once)).as_nanos() as u64;
                        waited.fetch_add(ns, Ordering::Relaxed);
                    });
                }
            });
            check(waiters, waited.into_inner(), "::initialises")
        });
    }
    reset();
}

/// Panics, but for the last of `tries`. Returns how long it took to begin, or to be told that nothing is to be done.
#[inline(never)]
fn tries(once: &Once, tries: &AtomicUsize, begun: &std::sync::Barrier) -> Duration {
    let began = Instant::now();
    let mut waited = None;
    let initialise = || {
        once.call_once_force(|state| {
            waited = Some(began.elapsed());
            if !state.is_poisoned() {
                begun.wait();
            }
            thread::sleep(Duration::from_millis(10));
            assert_eq!(tries.fetch_sub(1, Ordering::Relaxed), 1, "not yet");
        });
    };
    let result = catch_unwind(AssertUnwindSafe(initialise));
    assert!(result.is_ok() || waited.is_some());
    waited.unwrap_or_else(|| began.elapsed())
}

fn delays_are_exact_where_initialisers_panic() {
    for waiters in [1, 3, 6] {
        until_a_round_is_right(&format!("{waiters} waiters, two panics"), || {
            reset();
            let (once, left, waited) = (Once::new(), AtomicUsize::new(2), AtomicU64::new(0));
            let begun = std::sync::Barrier::new(waiters + 1);
            thread::scope(|scope| {
                scope.spawn(|| tries(&once, &left, &begun));
                for _ in 0..waiters {
                    scope.spawn(|| {
                        begun.wait();
                        let ns = tries(&once, &left, &begun).as_nanos() as u64;
                        waited.fetch_add(ns, Ordering::Relaxed);
                    });
                }
            });
            assert!(once.is_completed());
            check(waiters, waited.into_inner(), "::tries")
        });
    }
    reset();
}

#[inline(never)]
fn takes_its_time(once: &Once) {
    once.call_once(|| thread::sleep(WAIT));
}

fn initialisations_are_holds() {
    pprof_runtime::set_hold_profile_rate(1);
    takes_its_time(&Once::named("a-once"));
    pprof_runtime::set_hold_profile_rate(0);
    let held = labels(&snapshot("hold"), "::takes_its_time");
    let [(text, [1, ns])] = &held[..] else { panic!("{held:?}") };
    assert!(text.starts_with("kind=once lock=a-once holder="), "{text}");
    assert!(*ns >= WAIT.as_nanos() as i64 * 9 / 10, "{ns}");
}
