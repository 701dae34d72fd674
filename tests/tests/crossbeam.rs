//! Every way to wait for a channel of `crossbeam-channel` is one block event. One process, as rates are the process's.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use pprof_runtime::crossbeam_channel::{
    Receiver, RecvTimeoutError, Select, Sender, after, at, bounded, never, select, select_biased,
    tick, unbounded,
};
use pprof_tests::waits::{assert_one_wait, contentions, labels, snapshot};

/// What a wait takes at least.
const WAIT: Duration = Duration::from_millis(30);
/// Who ends it comes later than that, as the waiter may come late itself.
const LATER: Duration = Duration::from_millis(60);
/// Never passes.
const AGES: Duration = Duration::from_secs(60);

const RECV: &str = "kind=channel-recv";
const SEND: &str = "kind=channel-send";
const SELECT: &str = "kind=select";

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

/// A function that waits, and is found by its name.
macro_rules! waiters {
    ($($name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? $body:block)*) => {
        $(#[inline(never)] fn $name($($argument: $type),*) $(-> $result)? $body)*
    };
}

waiters! {
    recv(r: &Receiver<u8>) -> Option<u8> { r.recv().ok() }
    recv_timeout(r: &Receiver<u8>, timeout: Duration) -> Result<u8, RecvTimeoutError> {
        r.recv_timeout(timeout)
    }
    recv_deadline(r: &Receiver<u8>, deadline: Instant) -> Result<u8, RecvTimeoutError> {
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
    send(s: &Sender<u8>) -> bool { s.send(2).is_ok() }
    send_timeout(s: &Sender<u8>, timeout: Duration) -> bool { s.send_timeout(2, timeout).is_ok() }
    send_deadline(s: &Sender<u8>, deadline: Instant) -> bool { s.send_deadline(2, deadline).is_ok() }
    recv_time(r: &Receiver<Instant>) -> Option<Instant> { r.recv().ok() }
}

#[test]
fn every_wait_is_one_event() {
    pprof_runtime::set_block_profile_rate(1);
    receivers_wait();
    senders_wait();
    rendezvous();
    time_is_up();
    time_suffices();
    clocks_are_waited_for();
    select_macros_wait();
    select_lists_wait();
    what_does_not_wait_is_no_event();
    waits_in_progress_are_shown();
}

fn receivers_wait() {
    let ((s, r), line) = (unbounded(), line!());
    let lock = format!("lock={}:{line}", file!());
    let words: &[&str] = &[RECV, &lock];
    ended_by(|| s.send(1).unwrap(), || assert_eq!(recv(&r), Some(1)));
    assert_one_wait("::recv", WAIT, words);
    ended_by(|| s.send(1).unwrap(), || assert_eq!(iterate_owned(r.clone()), Some(1)));
    assert_one_wait("::iterate_owned", WAIT, words);
    s.send(7).unwrap();
    ended_by(|| drop(s), || assert_eq!(iterate(&r), 7));
    assert_one_wait("::iterate", WAIT, words);

    let (s, r) = bounded(1);
    ended_by(|| drop(s), || assert_eq!(recv(&r), None));
    assert_one_wait("::recv", WAIT, &[RECV]);
}

fn senders_wait() {
    let ((s, r), line) = (bounded(1), line!());
    let lock = format!("lock={}:{line}", file!());
    s.send(1).unwrap();
    ended_by(|| assert_eq!(r.recv(), Ok(1)), || assert!(send(&s.clone())));
    assert_one_wait("::send", WAIT, &[SEND, &lock]);
    ended_by(|| drop(r), || assert!(!send(&s)));
    assert_one_wait("::send", WAIT, &[SEND, &lock]);
}

fn rendezvous() {
    let (s, r) = bounded(0);
    ended_by(|| s.send(1).unwrap(), || assert_eq!(recv(&r), Some(1)));
    assert_one_wait("::recv", WAIT, &[RECV]);
    ended_by(|| assert_eq!(r.recv(), Ok(2)), || assert!(send(&s)));
    assert_one_wait("::send", WAIT, &[SEND]);
}

fn time_is_up() {
    let (s, r) = bounded(1);
    assert_eq!(recv_timeout(&r, WAIT), Err(RecvTimeoutError::Timeout));
    assert_one_wait("::recv_timeout", WAIT, &[RECV]);
    assert_eq!(recv_deadline(&r, Instant::now() + LATER), Err(RecvTimeoutError::Timeout));
    assert_one_wait("::recv_deadline", WAIT, &[RECV]);
    s.send(1).unwrap();
    assert!(!send_timeout(&s, WAIT));
    assert_one_wait("::send_timeout", WAIT, &[SEND]);
    assert!(!send_deadline(&s, Instant::now() + LATER));
    assert_one_wait("::send_deadline", WAIT, &[SEND]);
}

fn time_suffices() {
    let (s, r) = bounded(1);
    ended_by(|| s.send(1).unwrap(), || assert_eq!(recv_timeout(&r, AGES), Ok(1)));
    assert_one_wait("::recv_timeout", WAIT, &[RECV]);
    let deadline = Instant::now() + AGES;
    ended_by(|| s.send(1).unwrap(), || assert_eq!(recv_deadline(&r, deadline), Ok(1)));
    assert_one_wait("::recv_deadline", WAIT, &[RECV]);
    s.send(1).unwrap();
    ended_by(|| assert_eq!(r.recv(), Ok(1)), || assert!(send_timeout(&s, AGES)));
    assert_one_wait("::send_timeout", WAIT, &[SEND]);
    ended_by(|| assert_eq!(r.recv(), Ok(2)), || assert!(send_deadline(&s, deadline)));
    assert_one_wait("::send_deadline", WAIT, &[SEND]);
    assert_eq!(recv_timeout(&r, AGES), Ok(2));
    ended_by(
        || drop(s),
        || assert_eq!(recv_timeout(&r, AGES), Err(RecvTimeoutError::Disconnected)),
    );
    assert_one_wait("::recv_timeout", WAIT, &[RECV]);
}

fn clocks_are_waited_for() {
    let (timer, line) = (after(LATER), line!());
    assert!(recv_time(&timer).is_some());
    assert_one_wait("::recv_time", WAIT, &[RECV, &format!("lock={}:{line}", file!())]);
    assert!(recv_time(&at(Instant::now() + LATER)).is_some());
    assert_one_wait("::recv_time", WAIT, &[RECV]);
    assert!(recv_time(&tick(LATER)).is_some());
    assert_one_wait("::recv_time", WAIT, &[RECV]);
    assert!(recv_timeout(&never(), WAIT).is_err());
    assert_one_wait("::recv_timeout", WAIT, &[RECV]);
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

fn select_macros_wait() {
    let ((s, r), (full, full_r), idle) = (bounded(0), bounded(1), never());
    full.send(1).unwrap();
    ended_by(|| s.send(1).unwrap(), || assert_eq!(select_recv(&r, &idle), Some(1)));
    assert_one_wait("::select_recv", WAIT, &[SELECT]);
    ended_by(|| assert_eq!(full_r.recv(), Ok(1)), || assert!(select_send(&full, &idle)));
    assert_one_wait("::select_send", WAIT, &[SELECT]);
    assert_eq!(select_default(&full, &idle, WAIT), None);
    assert_one_wait("::select_default", WAIT, &[SELECT]);
    ended_by(|| s.send(1).unwrap(), || assert_eq!(select_default(&full, &r, AGES), Some(1)));
    assert_one_wait("::select_default", WAIT, &[SELECT]);
    select_nothing(WAIT);
    assert_one_wait("::select_nothing", WAIT, &[SELECT]);
    ended_by(|| s.send(1).unwrap(), || assert_eq!(biased(&r, &full), Some(1)));
    assert_one_wait("::biased", WAIT, &[SELECT]);
    ended_by(|| drop(full_r), || assert!(!select_send(&full, &idle)));
    assert_one_wait("::select_send", WAIT, &[SELECT]);
    ended_by(|| drop(s), || assert_eq!(select_recv(&r, &idle), None));
    assert_one_wait("::select_recv", WAIT, &[SELECT]);
    let ((s, r), line) = (bounded(0), line!());
    ended_by(|| s.send(1).unwrap(), || assert_eq!(select_one(&r), Some(1)));
    assert_one_wait("::select_one", WAIT, &[SELECT, &format!("lock={}:{line}", file!())]);
}

waiters! {
    choose(list: &mut Select<'_>, r: &Receiver<u8>) -> Option<u8> { list.select().recv(r).ok() }
    choose_timeout(list: &mut Select<'_>, r: &Receiver<u8>, timeout: Duration) -> Option<u8> {
        list.select_timeout(timeout).ok()?.recv(r).ok()
    }
    choose_deadline(list: &mut Select<'_>, r: &Receiver<u8>, deadline: Instant) -> Option<u8> {
        list.select_deadline(deadline).ok()?.recv(r).ok()
    }
    ready(list: &mut Select<'_>) -> usize { list.ready() }
    ready_timeout(list: &mut Select<'_>, timeout: Duration) -> bool {
        list.ready_timeout(timeout).is_ok()
    }
    ready_deadline(list: &mut Select<'_>, deadline: Instant) -> bool {
        list.ready_deadline(deadline).is_ok()
    }
}

fn select_lists_wait() {
    let ((s, r), line, idle) = (bounded(1), line!(), never::<u8>());
    let mut list = Select::new();
    let index = list.recv(&r);
    ended_by(|| s.send(1).unwrap(), || assert_eq!(choose(&mut list, &r), Some(1)));
    assert_one_wait("::choose", WAIT, &[SELECT, &format!("lock={}:{line}", file!())]);
    list.recv(&idle);
    ended_by(|| s.send(1).unwrap(), || assert_eq!(choose(&mut list, &r), Some(1)));
    assert!(labels(&snapshot("block"), "::choose").iter().all(|(l, _)| !l.contains("lock=")));
    assert_one_wait("::choose", WAIT, &[SELECT]);
    let deadline = || Instant::now() + LATER;
    assert_eq!(choose_timeout(&mut list, &r, WAIT), None);
    assert_one_wait("::choose_timeout", WAIT, &[SELECT]);
    assert_eq!(choose_deadline(&mut list, &r, deadline()), None);
    assert_one_wait("::choose_deadline", WAIT, &[SELECT]);
    ended_by(|| s.send(1).unwrap(), || assert_eq!(choose_timeout(&mut list, &r, AGES), Some(1)));
    assert_one_wait("::choose_timeout", WAIT, &[SELECT]);
    assert!(!ready_timeout(&mut list, WAIT));
    assert_one_wait("::ready_timeout", WAIT, &[SELECT]);
    assert!(!ready_deadline(&mut list, deadline()));
    assert_one_wait("::ready_deadline", WAIT, &[SELECT]);
    ended_by(|| s.send(1).unwrap(), || assert_eq!(ready(&mut list), index));
    assert_one_wait("::ready", WAIT, &[SELECT]);
    assert_eq!(r.recv(), Ok(1));
    ended_by(|| drop(s), || assert!(ready_timeout(&mut list, AGES)));
    assert_one_wait("::ready_timeout", WAIT, &[SELECT]);
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
