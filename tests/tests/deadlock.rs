//! Deadlocks are found, and nothing else is. One process, one test: a thread that is deadlocked stays so, and is part of every later
//! graph. The threads end with the process.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use pprof_runtime::ErrorKind;
use pprof_runtime::deadlock::{self, Deadlock, Wait};
use pprof_runtime::sync::{Mutex, TryLockError};
use pprof_tests::waits::{contentions, snapshot};
use pprof_tests::{exchange, get};

#[test]
fn deadlocks_are_found_and_nothing_else() {
    a_million_ordered_operations_are_none();
    watchdogs_need_an_interval();
    a_thread_that_locks_twice_is_one();
    cycles_of_any_length_are_found();
    the_server_shows_them();
    a_watchdog_reports_each_once();
}

/// Tries until there is one that `wanted` accepts.
fn found(wanted: impl Fn(&Deadlock) -> bool) -> Deadlock {
    (0..20_000)
        .find_map(|_| {
            std::thread::sleep(Duration::from_millis(5));
            deadlock::find().into_iter().find(|deadlock| wanted(deadlock))
        })
        .expect("a deadlock")
}

fn names(deadlock: &Deadlock) -> Vec<&str> {
    deadlock.waits().iter().map(|wait| wait.waiter().name()).collect()
}

fn is_of(deadlock: &Deadlock, name: &str) -> bool {
    names(deadlock).iter().any(|n| n.starts_with(name))
}

const OPERATIONS: u64 = 1_000_000;
const THREADS: u64 = 4;

/// Locks in ascending order, or tries in any, now and then with a pause while others want them.
fn operate(locks: &[Mutex<u64>], done: &AtomicU64, mut random: u64) {
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) as usize % below
    };
    while done.fetch_add(1, Ordering::Relaxed) < OPERATIONS {
        let (first, second) = (next(locks.len()), next(locks.len()));
        let mut held = locks[first].lock().unwrap();
        let second = match next(4) {
            0 => None,
            // As it comes, which waiting for would be a deadlock some time.
            1 => match locks[second].try_lock() {
                Ok(guard) => Some(guard),
                Err(TryLockError::WouldBlock) => None,
                Err(TryLockError::Poisoned(_)) => panic!("poisoned"),
            },
            _ if second > first => Some(locks[second].lock().unwrap()),
            _ => None,
        };
        *held += 1;
        if next(64) == 0 {
            std::thread::yield_now();
        }
        if next(2048) == 0 {
            std::thread::sleep(Duration::from_micros(20));
        }
        drop(second);
    }
}

fn a_million_ordered_operations_are_none() {
    pprof_runtime::set_block_profile_rate(1);
    let locks: Vec<Mutex<u64>> = (0..6).map(Mutex::new).collect();
    let (done, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let (searches, seen) = std::thread::scope(|scope| {
        let searcher = scope.spawn(|| {
            let (mut searches, mut seen) = (0, HashSet::new());
            while !stop.load(Ordering::Relaxed) {
                let deadlocks = deadlock::find();
                assert!(deadlocks.is_empty(), "{}", deadlocks[0]);
                searches += 1;
                if searches % 64 == 0 {
                    // What would have made a cycle, had there been one: waits with their holders.
                    let graph = deadlock::snapshot();
                    assert!(graph.deadlocks().is_empty(), "{graph}");
                    let pair =
                        |wait: &Wait| Some((wait.waiter().clone(), wait.ends_after()?.clone()));
                    seen.extend(graph.waits().iter().filter_map(pair));
                }
            }
            (searches, seen.len())
        });
        let (locks, done) = (&locks, &done);
        let threads: Vec<_> = (0..THREADS)
            .map(|i| scope.spawn(move || operate(locks, done, 0x9e37_79b9_7f4a_7c15 ^ (i + 1))))
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        stop.store(true, Ordering::Relaxed);
        searcher.join().unwrap()
    });
    let waits = contentions(&snapshot("block"), "::operate");
    println!("{searches} searches, {waits} waits, {seen} pairs of waiter and holder");
    assert!(waits > 1_000, "{waits} waits");
    assert!(seen > 0, "edges were seen in {searches} searches");
    pprof_runtime::set_block_profile_rate(0);
    pprof_runtime::lookup("block").unwrap().reset();
    assert!(deadlock::snapshot().waits().is_empty(), "nobody waits any more");
}

fn watchdogs_need_an_interval() {
    let error = deadlock::watch(Duration::ZERO, |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

/// Lines of `lock_twice` that take the first lock, and that wait for the second.
const TAKEN_AT: u32 = line!() + 5;
const WAITS_AT: u32 = line!() + 6;

#[inline(never)]
fn lock_twice(first: &Mutex<()>, second: &Mutex<()>, ready: &Barrier) {
    let held = first.lock().unwrap();
    ready.wait();
    drop(second.lock().unwrap());
    drop(held);
}

/// Threads `name-0`, `name-1`, ... each of which holds a lock `name` and waits for that of the next; then `behind` more that wait for the
/// first's.
fn plant(name: &'static str, threads: usize, behind: usize) {
    let locks: Arc<[Mutex<()>]> = (0..threads).map(|_| Mutex::named((), name)).collect();
    let ready = Arc::new(Barrier::new(threads + behind));
    let spawn = |name: String, run: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new().name(name).spawn(run).unwrap();
    };
    for i in 0..threads {
        let (locks, ready) = (Arc::clone(&locks), Arc::clone(&ready));
        let run = move || {
            lock_twice(&locks[i], &locks[(i + 1) % threads], &ready);
        };
        spawn(format!("{name}-{i}"), Box::new(run));
    }
    for i in 0..behind {
        let (locks, ready) = (Arc::clone(&locks), Arc::clone(&ready));
        let run = move || {
            ready.wait();
            drop(locks[0].lock().unwrap());
        };
        spawn(format!("{name}-behind-{i}"), Box::new(run));
    }
}

fn has_frame(wait: &Wait, function: &str) -> bool {
    wait.stack().iter().any(|f| f.function().is_some_and(|name| name.ends_with(function)))
}

/// Everything that a report should say of threads in `lock_twice`.
fn check(deadlock: &Deadlock, name: &str, threads: usize) {
    assert!(deadlock.is_certain());
    let mut sorted = names(deadlock);
    sorted.sort_unstable();
    let expected: Vec<String> = (0..threads).map(|i| format!("{name}-{i}")).collect();
    assert_eq!(sorted, expected);
    for (wait, next) in deadlock.waits().iter().zip(deadlock.waits().iter().cycle().skip(1)) {
        assert_eq!((wait.kind(), wait.lock()), ("mutex", Some(name)), "{wait}");
        assert_eq!(wait.ends_after(), Some(next.waiter()), "each waits for the next: {deadlock}");
        let holder = wait.holder().expect("held");
        assert_eq!(holder.actor(), next.waiter());
        assert!(!holder.is_shared() && !wait.is_timed());
        let (held_at, site) = (holder.site().unwrap(), wait.site().unwrap());
        assert_eq!((held_at.file(), held_at.line()), (file!(), TAKEN_AT));
        assert_eq!((site.file(), site.line()), (file!(), WAITS_AT));
        let thread = format!("/proc/self/task/{}/comm", wait.waiter().thread_id().unwrap());
        let comm = std::fs::read_to_string(&thread).expect("the kernel knows that thread");
        assert_eq!(comm.trim_end(), wait.waiter().name());
        let leaf = wait.stack().first().expect("a stack");
        assert!(leaf.function().unwrap().ends_with("::lock_twice"), "{:?}", wait.stack());
        assert_eq!(leaf.line(), WAITS_AT);
        assert!(leaf.file().unwrap().ends_with(file!()), "{leaf}");
        assert!(has_frame(wait, "thread_start"), "down to the root: {:?}", wait.stack());
        assert!(!wait.is_truncated());
        let text = deadlock.to_string();
        assert!(
            text.contains(&format!("{}\n    waits for mutex ({name}) at", wait.waiter())),
            "{text}"
        );
        assert!(text.contains(&format!("\n    held by {}, taken at", wait.waiter())), "{text}");
        assert!(text.contains("::lock_twice ("), "{text}");
    }
}

fn a_thread_that_locks_twice_is_one() {
    plant("alone", 1, 0);
    let deadlock = found(|deadlock| is_of(deadlock, "alone"));
    check(&deadlock, "alone", 1);
    let text = deadlock.to_string();
    let first = format!("Deadlock: {} waits for itself\n", deadlock.waits()[0].waiter());
    assert!(text.starts_with(&first), "{text}");
    assert_eq!(deadlock.waits()[0].waited(), None, "neither a profile nor a watchdog was on");
}

fn cycles_of_any_length_are_found() {
    for (name, threads, behind) in [("two", 2, 2), ("three", 3, 0), ("eight", 8, 3)] {
        plant(name, threads, behind);
        let deadlock = found(|d| is_of(d, name) && d.behind().len() == behind);
        check(&deadlock, name, threads);
        let holder = format!("{name}-0");
        for wait in deadlock.behind() {
            assert!(wait.waiter().name().starts_with(&format!("{name}-behind")));
            assert_eq!(wait.ends_after().unwrap().name(), holder);
        }
        if name == "two" {
            println!("{deadlock}");
        }
    }
    let graph = deadlock::snapshot();
    assert_eq!(graph.deadlocks().len(), 4, "{graph}");
    assert_eq!(graph.waits().len(), 1 + 4 + 3 + 11);
    assert!(graph.waits().iter().all(|wait| !wait.stack().is_empty()));
    assert_eq!(graph.untracked(), 0);
}

fn the_server_shows_them() {
    let server = pprof_runtime::serve("127.0.0.1:0").expect("a free port");
    let address = server.local_addr().to_string();
    let text = |path: &str| {
        let (head, body) = get(&address, &format!("/debug/pprof/{path}"));
        (head, String::from_utf8(body).expect("text"))
    };
    let (head, short) = text("deadlocks?debug=1");
    assert!(
        head.starts_with("HTTP/1.1 200") && head.contains("text/plain; charset=utf-8"),
        "{head}"
    );
    assert!(short.starts_with("deadlocks: 4\nwaits: 19\n"), "{short}");
    let lines = short.lines().skip_while(|line| *line != "All waits:").skip(1);
    assert_eq!(lines.count(), 19, "a line for each: {short}");
    assert!(short.contains("Deadlock: 8 threads wait for each other\n"), "{short}");
    assert!(!short.contains("::lock_twice ("), "no stacks: {short}");
    for path in ["deadlocks", "deadlocks?debug=0"] {
        assert_eq!(text(path).1, short, "{path}: the same");
    }
    let (_, long) = text("deadlocks?debug=2");
    let stacks = long.matches("::lock_twice (").count();
    assert_eq!(stacks, 2 * (1 + 2 + 3 + 8), "in a deadlock and among all: {long}");
    let (head, body) = exchange(
        &address,
        &format!("HEAD /debug/pprof/deadlocks HTTP/1.1\r\nHost: {address}\r\n\r\n"),
    );
    assert!(head.starts_with("HTTP/1.1 200") && body.is_empty(), "{head}");
    for (path, message) in [
        ("deadlocks?debug=x", "invalid value for \"debug\" - must be an integer"),
        ("deadlocks?seconds=1", "the seconds param does not apply to deadlocks"),
    ] {
        let (head, body) = text(path);
        assert!(head.starts_with("HTTP/1.1 400") && body.contains(message), "{head} {body}");
    }
    let (_, index) = text("");
    assert!(
        index.contains("<td align=\"right\">4</td><td><a href=\"deadlocks?debug=1\">"),
        "{index}"
    );
    server.stop();
}

fn a_watchdog_reports_each_once() {
    let (tell, told) = std::sync::mpsc::channel();
    let mut first = true;
    let watchdog = deadlock::watch(Duration::from_millis(10), move |deadlock| {
        tell.send(deadlock.clone()).unwrap();
        assert!(!std::mem::take(&mut first), "a panic ends this call, and not the watchdog");
    });
    let watchdog = watchdog.expect("a thread");
    let next = || told.recv_timeout(Duration::from_secs(100)).expect("a report");
    let known: Vec<Deadlock> = (0..4).map(|_| next()).collect();
    for name in ["alone", "two", "three", "eight"] {
        assert_eq!(known.iter().filter(|d| is_of(d, name)).count(), 1, "{name}");
    }
    plant("watched", 2, 0);
    let deadlock = next();
    check(&deadlock, "watched", 2);
    for wait in deadlock.waits() {
        assert!(wait.waited().expect("stamped") > Duration::ZERO);
        assert!(wait.to_string().contains("s, held by"), "{wait}");
    }
    std::thread::sleep(Duration::from_millis(100));
    assert!(told.try_recv().is_err(), "each is reported once");
    drop(watchdog);
    // It is gone, and the callback with it.
    assert!(matches!(told.try_recv(), Err(std::sync::mpsc::TryRecvError::Disconnected)));
}
