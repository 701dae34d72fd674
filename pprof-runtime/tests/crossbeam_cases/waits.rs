//! Waits, and what ends them.

use std::thread;
use std::time::{Duration, Instant};

use super::{A_MOMENT, AGES};
use crate::channel::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, bounded, never, unbounded,
};

#[test]
fn the_other_side_ends_a_wait() {
    let (s, r) = bounded(1);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| r.recv());
        thread::sleep(A_MOMENT);
        s.send(1).unwrap();
        assert_eq!(waiter.join().unwrap(), Ok(1));
        s.send(2).unwrap();
        let waiter = scope.spawn(|| s.send(3));
        thread::sleep(A_MOMENT);
        assert_eq!(r.recv(), Ok(2));
        assert_eq!((waiter.join().unwrap(), r.recv()), (Ok(()), Ok(3)));
    });
}

#[test]
fn hanging_up_ends_all_waits() {
    for cap in [0, 1] {
        let (s, r) = bounded::<u8>(cap);
        thread::scope(|scope| {
            let waiters = [(); 2].map(|()| scope.spawn(|| r.recv()));
            let timed = scope.spawn(|| r.recv_timeout(AGES));
            thread::sleep(A_MOMENT);
            drop(s);
            assert_eq!(waiters.map(|w| w.join().unwrap()), [Err(RecvError); 2]);
            assert_eq!(timed.join().unwrap(), Err(RecvTimeoutError::Disconnected));
        });
        let (s, r) = bounded(cap);
        (0..cap).for_each(|_| s.send("full").unwrap());
        thread::scope(|scope| {
            let waiter = scope.spawn(|| s.send("back"));
            let timed = scope.spawn(|| s.send_timeout("back", AGES));
            thread::sleep(A_MOMENT);
            drop(r);
            assert_eq!(waiter.join().unwrap(), Err(SendError("back")));
            assert_eq!(timed.join().unwrap(), Err(SendTimeoutError::Disconnected("back")));
        });
    }
}

#[test]
fn time_ends_a_wait_in_full() {
    for cap in [0, 1] {
        let (s, r) = bounded(cap);
        let start = Instant::now();
        assert_eq!(r.recv_timeout(A_MOMENT), Err(RecvTimeoutError::Timeout));
        assert_eq!(r.recv_deadline(start + 2 * A_MOMENT), Err(RecvTimeoutError::Timeout));
        assert!(start.elapsed() >= 2 * A_MOMENT);
        (0..cap).for_each(|_| s.send(0).unwrap());
        let start = Instant::now();
        assert_eq!(s.send_timeout(1, A_MOMENT), Err(SendTimeoutError::Timeout(1)));
        assert_eq!(s.send_deadline(2, start + 2 * A_MOMENT), Err(SendTimeoutError::Timeout(2)));
        assert!(start.elapsed() >= 2 * A_MOMENT);
    }
    assert_eq!(never::<u8>().recv_timeout(A_MOMENT), Err(RecvTimeoutError::Timeout));
}

#[test]
fn no_time_is_a_poll() {
    let (s, r) = bounded(1);
    let past = Instant::now();
    assert_eq!(r.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    assert_eq!(r.recv_deadline(past), Err(RecvTimeoutError::Timeout));
    assert_eq!(s.send_timeout(1, Duration::ZERO), Ok(()));
    assert_eq!(s.send_timeout(2, Duration::ZERO), Err(SendTimeoutError::Timeout(2)));
    assert_eq!(s.send_deadline(2, past), Err(SendTimeoutError::Timeout(2)));
    assert_eq!(r.recv_deadline(past), Ok(1));
    drop(s);
    assert_eq!(r.recv_deadline(past), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn a_timeout_beyond_the_clock_is_no_timeout() {
    let (s, r) = bounded(0);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| r.recv_timeout(Duration::MAX));
        thread::sleep(A_MOMENT);
        s.send_timeout(1, Duration::MAX).unwrap();
        assert_eq!(waiter.join().unwrap(), Ok(1));
        drop(s);
    });
    assert_eq!(r.recv_timeout(Duration::MAX), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn short_timeouts_lose_no_message() {
    const MESSAGES: u32 = 300;
    let (s, r) = bounded(0);
    thread::scope(|scope| {
        scope.spawn(move || (0..MESSAGES).for_each(|i| s.send(i).unwrap()));
        let mut next = 0;
        loop {
            match r.recv_timeout(Duration::from_micros(20)) {
                Ok(i) => {
                    assert_eq!(i, next);
                    next += 1;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        assert_eq!(next, MESSAGES);
    });
}

#[test]
fn iterators_wait() {
    let (s, r) = unbounded();
    thread::scope(|scope| {
        scope.spawn(move || {
            for i in 0..2 {
                thread::sleep(A_MOMENT);
                s.send(i).unwrap();
            }
        });
        assert_eq!(r.try_iter().next(), None);
        assert_eq!(r.iter().collect::<Vec<_>>(), [0, 1]);
    });
}
