//! Every way to wait for a channel of `crossbeam-channel` is one block event. One process, as rates are the process's.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use pprof_runtime::crossbeam_channel::{
    Receiver, RecvTimeoutError, Select, Sender, after, at, bounded, never, select, select_biased,
    tick, unbounded,
};
use pprof_tests::sum;
use pprof_tests::waits::{contentions, labels, snapshot};

/// What a wait takes at least.
const WAIT: Duration = Duration::from_millis(30);
/// Who ends it comes later than that, as the waiter may come late itself.
const LATER: Duration = Duration::from_millis(60);
/// Never passes.
const AGES: Duration = Duration::from_secs(60);

const RECV: &str = "kind=channel-recv";
const SEND: &str = "kind=channel-send";
const SELECT: &str = "kind=select";
/// Of several channels.
const NO_LOCK: &str = "";

/// Waits, while another thread gets ready to end that by and by.
fn ended_by(act: impl FnOnce() + Send, wait: impl FnOnce()) {
    let ready = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            ready.wait();
            std::thread::sleep(LATER);
            act();
        });
        ready.wait();
        wait();
    });
}

/// What the block profile must have, all in one snapshot: making one takes a while.
#[derive(Default)]
struct Waits {
    /// Kind and number, by function.
    all: BTreeMap<&'static str, (String, i64)>,
    /// The number of those with this label, or without a label of that kind.
    locks: BTreeMap<(&'static str, String), i64>,
}

impl Waits {
    /// One wait of at least `WAIT` in `function`, with this kind and, if it is given, this lock.
    fn one(&mut self, function: &'static str, words: &[&str]) {
        let (kind, number) = self.all.entry(function).or_default();
        (*kind, *number) = (words[0].to_owned(), *number + 1);
        if let Some(lock) = words.get(1) {
            *self.locks.entry((function, (*lock).to_owned())).or_default() += 1;
        }
    }

    fn check(&self) {
        let profile = snapshot("block");
        for (function, (kind, number)) in &self.all {
            let seen = labels(&profile, function);
            let count: i64 = seen.iter().map(|(_, values)| values[0]).sum();
            let delay: i64 = seen.iter().map(|(_, values)| values[1]).sum();
            assert_eq!(count, *number, "{function}: {seen:?}");
            assert!(seen.iter().all(|(l, _)| l.split(' ').any(|w| w == *kind)), "{seen:?}");
            // The machine may stop for a while.
            let least = WAIT.as_nanos() as i64 * number;
            assert!(delay >= least * 8 / 10 && delay < least * 40, "{function}: {seen:?}");
            let is_leaf = |names: &[&str]| names.first().is_some_and(|n| n.ends_with(function));
            assert_eq!(sum(&profile, 1, is_leaf), delay, "{function} is the leaf");
        }
        for ((function, lock), number) in &self.locks {
            let seen = labels(&profile, function);
            let has = |labels: &str| match lock.as_str() {
                NO_LOCK => !labels.contains("lock="),
                lock => labels.split(' ').any(|word| word == lock),
            };
            let count: i64 = seen.iter().filter(|(l, _)| has(l)).map(|(_, v)| v[0]).sum();
            assert_eq!(count, *number, "{function} on {lock}: {seen:?}");
        }
    }
}

/// A function that waits, and is found by its name.
macro_rules! waiters {
    ($($name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? $body:block)*) => {
        $(#[inline(never)] fn $name($($argument: $type),*) $(-> $result)? $body)*
    };
}

waiters! {
    receive(r: &Receiver<u8>) -> Option<u8> { r.recv().ok() }
    receive_timeout(r: &Receiver<u8>, timeout: Duration) -> Result<u8, RecvTimeoutError> {
        r.recv_timeout(timeout)
    }
    receive_deadline(r: &Receiver<u8>, deadline: Instant) -> Result<u8, RecvTimeoutError> {
        r.recv_deadline(deadline)
    }
    iterate(r: &Receiver<u8>) -> u8 {
        let mut sum = 0;
        for i in r {
            sum += i;
        }
        sum
    }
    iterate_owned(r: Receiver<u8>) -> Option<u8> { r.into_iter().next() }
    put(s: &Sender<u8>) -> bool { s.send(2).is_ok() }
    put_timeout(s: &Sender<u8>, timeout: Duration) -> bool { s.send_timeout(2, timeout).is_ok() }
    put_deadline(s: &Sender<u8>, deadline: Instant) -> bool { s.send_deadline(2, deadline).is_ok() }
    recv_time(r: &Receiver<Instant>) -> Option<Instant> { r.recv().ok() }
}

#[test]
fn every_wait_is_one_event() {
    pprof_runtime::set_block_profile_rate(1);
    let mut waits = Waits::default();
    receivers_wait(&mut waits);
    senders_wait(&mut waits);
    rendezvous(&mut waits);
    time_is_up(&mut waits);
    time_suffices(&mut waits);
    clocks_are_waited_for(&mut waits);
    select_macros_wait(&mut waits);
    select_lists_wait(&mut waits);
    waits.check();
    what_does_not_wait_is_no_event();
    waits_in_progress_are_shown();
}

fn receivers_wait(waits: &mut Waits) {
    let ((s, r), line) = (unbounded(), line!());
    let lock = format!("lock={}:{line}", file!());
    let words: &[&str] = &[RECV, &lock];
    ended_by(|| s.send(1).unwrap(), || assert_eq!(receive(&r), Some(1)));
    waits.one("::receive", words);
    ended_by(|| s.send(1).unwrap(), || assert_eq!(iterate_owned(r.clone()), Some(1)));
    waits.one("::iterate_owned", words);
    s.send(7).unwrap();
    ended_by(|| drop(s), || assert_eq!(iterate(&r), 7));
    waits.one("::iterate", words);

    let (s, r) = bounded(1);
    ended_by(|| drop(s), || assert_eq!(receive(&r), None));
    waits.one("::receive", &[RECV]);
}

fn senders_wait(waits: &mut Waits) {
    let ((s, r), line) = (bounded(1), line!());
    let lock = format!("lock={}:{line}", file!());
    s.send(1).unwrap();
    ended_by(|| assert_eq!(r.recv(), Ok(1)), || assert!(put(&s.clone())));
    waits.one("::put", &[SEND, &lock]);
    ended_by(|| drop(r), || assert!(!put(&s)));
    waits.one("::put", &[SEND, &lock]);
}

fn rendezvous(waits: &mut Waits) {
    let (s, r) = bounded(0);
    ended_by(|| s.send(1).unwrap(), || assert_eq!(receive(&r), Some(1)));
    waits.one("::receive", &[RECV]);
    ended_by(|| assert_eq!(r.recv(), Ok(2)), || assert!(put(&s)));
    waits.one("::put", &[SEND]);
}

fn time_is_up(waits: &mut Waits) {
    let (s, r) = bounded(1);
    assert_eq!(receive_timeout(&r, WAIT), Err(RecvTimeoutError::Timeout));
    waits.one("::receive_timeout", &[RECV]);
    assert_eq!(receive_deadline(&r, Instant::now() + LATER), Err(RecvTimeoutError::Timeout));
    waits.one("::receive_deadline", &[RECV]);
    s.send(1).unwrap();
    assert!(!put_timeout(&s, WAIT));
    waits.one("::put_timeout", &[SEND]);
    assert!(!put_deadline(&s, Instant::now() + LATER));
    waits.one("::put_deadline", &[SEND]);
}

fn time_suffices(waits: &mut Waits) {
    let (s, r) = bounded(1);
    ended_by(|| s.send(1).unwrap(), || assert_eq!(receive_timeout(&r, AGES), Ok(1)));
    waits.one("::receive_timeout", &[RECV]);
    let deadline = Instant::now() + AGES;
    ended_by(|| s.send(1).unwrap(), || assert_eq!(receive_deadline(&r, deadline), Ok(1)));
    waits.one("::receive_deadline", &[RECV]);
    s.send(1).unwrap();
    ended_by(|| assert_eq!(r.recv(), Ok(1)), || assert!(put_timeout(&s, AGES)));
    waits.one("::put_timeout", &[SEND]);
    ended_by(|| assert_eq!(r.recv(), Ok(2)), || assert!(put_deadline(&s, deadline)));
    waits.one("::put_deadline", &[SEND]);
    assert_eq!(receive_timeout(&r, AGES), Ok(2));
    ended_by(
        || drop(s),
        || assert_eq!(receive_timeout(&r, AGES), Err(RecvTimeoutError::Disconnected)),
    );
    waits.one("::receive_timeout", &[RECV]);
}

fn clocks_are_waited_for(waits: &mut Waits) {
    let (timer, line) = (after(LATER), line!());
    assert!(recv_time(&timer).is_some());
    waits.one("::recv_time", &[RECV, &format!("lock={}:{line}", file!())]);
    assert!(recv_time(&at(Instant::now() + LATER)).is_some());
    waits.one("::recv_time", &[RECV]);
    assert!(recv_time(&tick(LATER)).is_some());
    waits.one("::recv_time", &[RECV]);
    assert!(receive_timeout(&never(), WAIT).is_err());
    waits.one("::receive_timeout", &[RECV]);
}

waiters! {
    select_recv(r: &Receiver<u8>, other: &Receiver<u8>) -> Option<u8> {
        select! {
            recv(other) -> _ => unreachable!(),
            recv(r) -> message => message.ok(),
        }
    }
    select_send(s: &Sender<u8>, other: &Receiver<u8>) -> bool {
        select! {
            send(s, 3) -> result => result.is_ok(),
            recv(other) -> _ => unreachable!(),
        }
    }
    select_default(s: &Sender<u8>, r: &Receiver<u8>, timeout: Duration) -> Option<u8> {
        select! {
            send(s, 3) -> _ => unreachable!(),
            recv(r) -> message => message.ok(),
            default(timeout) => None,
        }
    }
    select_nothing(timeout: Duration) {
        select! { default(timeout) => {} }
    }
    select_one(r: &Receiver<u8>) -> Option<u8> {
        select! { recv(r) -> message => message.ok() }
    }
    biased(r: &Receiver<u8>, s: &Sender<u8>) -> Option<u8> {
        select_biased! {
            send(s, 3) -> _ => unreachable!(),
            recv(r) -> message => message.ok(),
        }
    }
}

fn select_macros_wait(waits: &mut Waits) {
    let ((s, r), (full, full_r), idle) = (bounded(0), bounded(1), never());
    full.send(1).unwrap();
    ended_by(|| s.send(1).unwrap(), || assert_eq!(select_recv(&r, &idle), Some(1)));
    waits.one("::select_recv", &[SELECT]);
    ended_by(|| assert_eq!(full_r.recv(), Ok(1)), || assert!(select_send(&full, &idle)));
    waits.one("::select_send", &[SELECT]);
    assert_eq!(select_default(&full, &idle, WAIT), None);
    waits.one("::select_default", &[SELECT]);
    ended_by(|| s.send(1).unwrap(), || assert_eq!(select_default(&full, &r, AGES), Some(1)));
    waits.one("::select_default", &[SELECT]);
    select_nothing(WAIT);
    waits.one("::select_nothing", &[SELECT]);
    ended_by(|| s.send(1).unwrap(), || assert_eq!(biased(&r, &full), Some(1)));
    waits.one("::biased", &[SELECT]);
    ended_by(|| drop(full_r), || assert!(!select_send(&full, &idle)));
    waits.one("::select_send", &[SELECT]);
    ended_by(|| drop(s), || assert_eq!(select_recv(&r, &idle), None));
    waits.one("::select_recv", &[SELECT]);
    let ((s, r), line) = (bounded(0), line!());
    ended_by(|| s.send(1).unwrap(), || assert_eq!(select_one(&r), Some(1)));
    waits.one("::select_one", &[SELECT, &format!("lock={}:{line}", file!())]);
}

waiters! {
    choose(list: &mut Select<'_>, r: &Receiver<u8>) -> Option<u8> { list.select().recv(r).ok() }
    choose_timeout(list: &mut Select<'_>, r: &Receiver<u8>, timeout: Duration) -> Option<u8> {
        list.select_timeout(timeout).ok()?.recv(r).ok()
    }
    choose_deadline(list: &mut Select<'_>, r: &Receiver<u8>, deadline: Instant) -> Option<u8> {
        list.select_deadline(deadline).ok()?.recv(r).ok()
    }
    await_any(list: &mut Select<'_>) -> usize { list.ready() }
    await_timeout(list: &mut Select<'_>, timeout: Duration) -> bool {
        list.ready_timeout(timeout).is_ok()
    }
    await_deadline(list: &mut Select<'_>, deadline: Instant) -> bool {
        list.ready_deadline(deadline).is_ok()
    }
}

fn select_lists_wait(waits: &mut Waits) {
    let ((s, r), line, idle) = (bounded(1), line!(), never::<u8>());
    let mut list = Select::new();
    let index = list.recv(&r);
    ended_by(|| s.send(1).unwrap(), || assert_eq!(choose(&mut list, &r), Some(1)));
    waits.one("::choose", &[SELECT, &format!("lock={}:{line}", file!())]);
    list.recv(&idle);
    ended_by(|| s.send(1).unwrap(), || assert_eq!(choose(&mut list, &r), Some(1)));
    waits.one("::choose", &[SELECT, NO_LOCK]);
    let deadline = || Instant::now() + LATER;
    assert_eq!(choose_timeout(&mut list, &r, WAIT), None);
    waits.one("::choose_timeout", &[SELECT]);
    assert_eq!(choose_deadline(&mut list, &r, deadline()), None);
    waits.one("::choose_deadline", &[SELECT]);
    ended_by(|| s.send(1).unwrap(), || assert_eq!(choose_timeout(&mut list, &r, AGES), Some(1)));
    waits.one("::choose_timeout", &[SELECT]);
    assert!(!await_timeout(&mut list, WAIT));
    waits.one("::await_timeout", &[SELECT]);
    assert!(!await_deadline(&mut list, deadline()));
    waits.one("::await_deadline", &[SELECT]);
    ended_by(|| s.send(1).unwrap(), || assert_eq!(await_any(&mut list), index));
    waits.one("::await_any", &[SELECT]);
    assert_eq!(r.recv(), Ok(1));
    ended_by(|| drop(s), || assert!(await_timeout(&mut list, AGES)));
    waits.one("::await_timeout", &[SELECT]);
}

#[inline(never)]
fn never_waits() {
    let ((s, r), past) = (bounded(1), Instant::now());
    let (zero, zero_r) = bounded::<u8>(0);
    let none = Duration::ZERO;
    for _ in 0..10 {
        assert!(r.try_recv().is_err() && r.try_iter().next().is_none());
        assert!(r.recv_timeout(none).is_err() && r.recv_deadline(past).is_err());
        assert!(zero.try_send(1).is_err() && zero.send_timeout(1, none).is_err());
        assert!(zero.send_deadline(1, past).is_err());
        select! { recv(r) -> _ => unreachable!(), send(zero, 1) -> _ => unreachable!(), default => {} }
        select! { recv(r) -> _ => unreachable!(), recv(zero_r) -> _ => unreachable!(), default(none) => {} }
        let mut list = Select::new();
        list.recv(&r);
        list.send(&zero);
        assert!(list.try_select().is_err() && list.try_ready().is_err());
        assert!(list.select_timeout(none).is_err() && list.select_deadline(past).is_err());
        assert!(list.ready_timeout(none).is_err() && list.ready_deadline(past).is_err());
        // What is at hand.
        s.send(1).unwrap();
        assert_eq!(list.ready(), 0);
        assert_eq!(list.select().recv(&r), Ok(1));
        s.send_timeout(1, AGES).unwrap();
        assert_eq!(r.recv_timeout(AGES), Ok(1));
        select! { recv(r) -> _ => unreachable!(), send(s, 2) -> result => result.unwrap() }
        select! { recv(r) -> message => assert_eq!(message, Ok(2)), recv(zero_r) -> _ => unreachable!() }
    }
}

fn what_does_not_wait_is_no_event() {
    never_waits();
    let profile = snapshot("block");
    assert_eq!(
        contentions(&profile, "::never_waits"),
        0,
        "{:?}",
        labels(&profile, "::never_waits")
    );
}

fn waits_in_progress_are_shown() {
    let (s, r) = bounded(0);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| select_recv(&r, &never()));
        let shown = || labels(&snapshot("block"), "::select_recv");
        while !shown().iter().any(|(l, _)| l.contains(SELECT) && l.contains("state=waiting")) {
            std::thread::sleep(Duration::from_millis(5));
        }
        s.send(1).unwrap();
        assert_eq!(waiter.join().unwrap(), Some(1));
        assert!(shown().iter().all(|(l, _)| !l.contains("state=waiting")), "{:?}", shown());
    });
}
