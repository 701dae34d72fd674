//! Joins, parks and sleeps. One process, as rates are the process's.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use pprof_runtime::lookup;
use pprof_runtime::sync::Mutex;
use pprof_runtime::thread::{self, Builder, JoinHandle, ScopedJoinHandle};
use pprof_tests::waits::{assert_one_wait, contentions, labels, snapshot, until_waiting};

const WAIT: Duration = Duration::from_millis(30);

#[test]
fn everything_about_threads() {
    pprof_runtime::set_mutex_profile_fraction(1);
    pprof_runtime::set_block_profile_rate(1);
    joins();
    scoped_joins();
    ends_of_scopes();
    parks();
    sleeps_are_recorded_on_request();
    what_does_not_wait_is_not_recorded();
    holders_have_the_names_that_builders_give();
    assert_eq!(contentions(&snapshot("mutex"), "::joins_it"), 0, "nobody holds a thread");
    everything_is_quiet_when_it_is_off();
}

fn timed(wait: impl FnOnce()) -> Duration {
    let began = Instant::now();
    wait();
    began.elapsed()
}

#[inline(never)]
fn joins_it(handle: JoinHandle<u8>) {
    assert_eq!(handle.join().unwrap(), 7);
}

#[inline(never)]
fn joins_what_panics(handle: JoinHandle<u8>) {
    let payload = handle.join().unwrap_err();
    assert_eq!(*payload.downcast::<&str>().unwrap(), "a reason");
}

fn joins() {
    type Run = fn() -> u8;
    type Join = fn(JoinHandle<u8>);
    let of_both: [(Run, &str, Join); 2] = [
        (|| 7, "::joins_it", joins_it),
        (|| panic!("a reason"), "::joins_what_panics", joins_what_panics),
    ];
    for (run, name, join) in of_both {
        let (go, wait) = channel::<()>();
        let run = move || {
            let _ = wait.recv();
            run()
        };
        let (handle, line) = (thread::spawn(run), line!());
        let waited = std::thread::scope(|scope| {
            let joins = scope.spawn(|| timed(|| join(handle)));
            until_waiting(name);
            std::thread::sleep(WAIT);
            drop(go);
            joins.join().unwrap()
        });
        let lock = format!("lock={}:{line}", file!());
        assert_one_wait(name, waited, &["kind=join", &lock]);
    }
    // SAFETY: nothing is borrowed.
    let handle = unsafe { Builder::new().spawn_unchecked(|| std::thread::sleep(WAIT)) }.unwrap();
    let waited = timed(|| joins_unchecked(handle));
    assert_one_wait("::joins_unchecked", waited, &["kind=join"]);
}

#[inline(never)]
fn joins_unchecked(handle: JoinHandle<()>) {
    handle.join().unwrap();
}

#[inline(never)]
fn joins_scoped(handle: ScopedJoinHandle<'_, usize>) {
    assert_eq!(handle.join().unwrap(), 8);
}

fn scoped_joins() {
    let text = String::from("borrowed");
    let (text, (go, wait)) = (&text, channel::<()>());
    let waited = thread::scope(|scope| {
        let handle = scope.spawn(move || {
            let _ = wait.recv();
            text.len()
        });
        let joins = scope.spawn(|| timed(|| joins_scoped(handle)));
        until_waiting("::joins_scoped");
        std::thread::sleep(WAIT);
        drop(go);
        while !joins.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        joins.join().unwrap()
    });
    assert_one_wait("::joins_scoped", waited, &["kind=join"]);
}

/// Returns how long its end took.
#[inline(never)]
fn opens_scope(threads: u32) -> Duration {
    let mut end = None;
    thread::scope(|scope| {
        for thread in 1..=threads {
            scope.spawn(move || std::thread::sleep(WAIT * thread));
        }
        end = Some(Instant::now());
    });
    end.unwrap().elapsed()
}

/// Returns how long its end took.
#[inline(never)]
fn opens_scope_and_panics() -> Duration {
    let end = std::sync::Mutex::new(None);
    let result: thread::Result<()> = std::panic::catch_unwind(|| {
        thread::scope(|scope| {
            scope.spawn(|| std::thread::sleep(WAIT));
            *end.lock().unwrap() = Some(Instant::now());
            std::panic::resume_unwind(Box::new("a reason"));
        })
    });
    let reason: &str = *result.unwrap_err().downcast().unwrap();
    assert_eq!(reason, "a reason");
    end.into_inner().unwrap().unwrap().elapsed()
}

fn ends_of_scopes() {
    assert_one_wait("::opens_scope", opens_scope(1), &["kind=join"]);
    let waited = opens_scope(3);
    assert!(waited >= WAIT * 2, "{waited:?}");
    assert_one_wait("::opens_scope", waited, &["kind=join"]);
    // `catch_unwind` has a closure below it.
    let waited = opens_scope_and_panics();
    assert_one_wait("::opens_scope_and_panics::{{closure}}", waited, &["kind=join"]);

    thread::scope(|scope| {
        let thread = scope.spawn(|| std::thread::sleep(WAIT));
        while !thread.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        thread.join().unwrap();
    });
    assert_eq!(contentions(&snapshot("block"), ""), 0, "all were joined when they had ended");
}

#[inline(never)]
fn parks_itself() {
    thread::park();
}

#[inline(never)]
fn parks_for_long() {
    thread::park_timeout(Duration::from_secs(600));
}

#[inline(never)]
fn parks_in_vain() {
    thread::park_timeout(WAIT);
}

#[inline(never)]
fn parks_in_vain_for_ms() {
    #[allow(deprecated)]
    thread::park_timeout_ms(WAIT.as_millis() as u32);
}

#[inline(never)]
fn parks_with_token() {
    for _ in 0..50 {
        thread::current().unpark();
        thread::park();
        thread::current().unpark();
        thread::park_timeout(Duration::from_secs(600));
        thread::park_timeout(Duration::ZERO);
    }
}

fn parks() {
    let unparked: [(&str, fn()); 2] =
        [("::parks_itself", parks_itself), ("::parks_for_long", parks_for_long)];
    for (name, park) in unparked {
        let parked = std::thread::spawn(move || timed(park));
        until_waiting(name);
        std::thread::sleep(WAIT);
        parked.thread().unpark();
        assert_one_wait(name, parked.join().unwrap(), &["kind=park"]);
    }
    let expired: [(&str, fn()); 2] =
        [("::parks_in_vain", parks_in_vain), ("::parks_in_vain_for_ms", parks_in_vain_for_ms)];
    for (name, park) in expired {
        // In a thread of its own, which nobody has unparked; the ends of std's scopes do.
        let waited = std::thread::spawn(move || timed(park)).join().unwrap();
        assert_one_wait(name, waited, &["kind=park"]);
    }
    parks_with_token();
    // One may be interrupted, which looks like a wait, but not many.
    let seen = labels(&snapshot("block"), "::parks_with_token");
    let count: i64 = seen.iter().map(|(_, values)| values[0]).sum();
    assert!(count < 50, "{seen:?}");
    lookup("block").unwrap().reset();
}

#[inline(never)]
fn sleeps() {
    thread::sleep(WAIT);
}

#[inline(never)]
fn sleeps_for_ms() {
    #[allow(deprecated)]
    thread::sleep_ms(WAIT.as_millis() as u32);
}

fn sleeps_are_recorded_on_request() {
    sleeps();
    sleeps_for_ms();
    assert_eq!(contentions(&snapshot("block"), ""), 0, "off, as in Go");
    assert!(!thread::set_sleep_profile(true));
    assert_one_wait("::sleeps", timed(sleeps), &["kind=sleep"]);
    assert_one_wait("::sleeps_for_ms", timed(sleeps_for_ms), &["kind=sleep"]);
    thread::sleep(Duration::ZERO);
    assert!(thread::set_sleep_profile(false));
    sleeps();
    assert_eq!(contentions(&snapshot("block"), ""), 0);
}

fn what_does_not_wait_is_not_recorded() {
    let finished = thread::spawn(|| 7);
    while !finished.is_finished() {
        std::thread::sleep(Duration::from_millis(1));
    }
    joins_it(finished);
    thread::scope(|_| ());
    drop(thread::spawn(|| ()));
    thread::yield_now();
    thread::park_timeout(Duration::ZERO);
    assert_eq!(contentions(&snapshot("block"), ""), 0);
}

#[inline(never)]
fn locks(mutex: &Mutex<()>) {
    drop(mutex.lock().unwrap());
}

fn holders_have_the_names_that_builders_give() {
    type Hold<'a> = Box<dyn FnOnce() + Send + 'a>;
    type Start = for<'a> fn(Builder, Hold<'a>);
    // SAFETY: joined.
    let unchecked: Start =
        |builder, hold| unsafe { builder.spawn_unchecked(hold) }.unwrap().join().unwrap();
    let scoped: Start = |builder, hold| {
        thread::scope(|scope| drop(builder.spawn_scoped(scope, hold).unwrap()));
    };
    for (name, start) in [("a-worker", unchecked), ("a-scoped-worker-of-many", scoped)] {
        let mutex = Mutex::new(());
        let hold = || {
            let held = mutex.lock().unwrap();
            std::thread::scope(|scope| {
                let waiter = scope.spawn(|| locks(&mutex));
                until_waiting("::locks");
                drop(held);
                waiter.join().unwrap();
            });
        };
        start(Builder::new().name(name.into()), Box::new(hold));
        let seen = labels(&snapshot("block"), "::locks");
        // The kernel keeps 15 bytes.
        let holder = format!("holder={} at", &name[..name.len().min(15)]);
        assert!(
            !seen.is_empty() && seen.iter().all(|(text, _)| text.contains(&holder)),
            "{seen:?}"
        );
        lookup("block").unwrap().reset();
    }
}

fn everything_is_quiet_when_it_is_off() {
    pprof_runtime::set_block_profile_rate(0);
    thread::set_sleep_profile(true);
    sleeps();
    parks_in_vain();
    joins_it(thread::spawn(|| {
        std::thread::sleep(WAIT);
        7
    }));
    opens_scope(1);
    thread::set_sleep_profile(false);
    assert_eq!(contentions(&snapshot("block"), ""), 0);
}
