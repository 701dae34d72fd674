//! `recv_timeout`.

use std::thread;
use std::time::{Duration, Instant};

use super::A_MOMENT;
use crate::mpsc::{self, RecvTimeoutError};

/// Long enough never to pass in a case that ends well.
const AGES: Duration = Duration::from_secs(60);

#[test]
fn a_message_at_hand_needs_no_time() {
    let (tx, rx) = mpsc::channel();
    tx.send('a').unwrap();
    tx.send('b').unwrap();
    assert_eq!(rx.recv_timeout(AGES), Ok('a'));
    assert_eq!(rx.recv_timeout(Duration::ZERO), Ok('b'));
}

#[test]
fn a_message_that_comes_in_time_ends_the_wait() {
    let (tx, rx) = mpsc::channel();
    let start = Instant::now();
    let sender = thread::spawn(move || {
        thread::sleep(A_MOMENT);
        tx.send('a').unwrap();
    });
    assert_eq!(rx.recv_timeout(AGES), Ok('a'));
    assert!(start.elapsed() < AGES);
    sender.join().unwrap();
}

#[test]
fn a_timeout_is_waited_for_in_full() {
    let (_tx, rx) = mpsc::channel::<char>();
    let (_sync_tx, sync_rx) = mpsc::sync_channel::<char>(1);
    let (_zero_tx, zero_rx) = mpsc::sync_channel::<char>(0);
    for rx in [rx, sync_rx, zero_rx] {
        let start = Instant::now();
        assert_eq!(rx.recv_timeout(A_MOMENT), Err(RecvTimeoutError::Timeout));
        assert!(start.elapsed() >= A_MOMENT);
    }
}

#[test]
fn the_channel_lives_on_after_a_timeout() {
    let (tx, rx) = mpsc::sync_channel(0);
    assert_eq!(rx.recv_timeout(A_MOMENT), Err(RecvTimeoutError::Timeout));
    let sender = thread::spawn(move || tx.send(1).unwrap());
    assert_eq!(rx.recv_timeout(AGES), Ok(1));
    sender.join().unwrap();
    assert_eq!(rx.recv_timeout(AGES), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn zero_is_a_poll() {
    let (tx, rx) = mpsc::channel::<char>();
    assert_eq!(rx.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    drop(tx);
    assert_eq!(rx.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn a_timeout_beyond_the_clock_is_no_timeout() {
    let (tx, rx) = mpsc::channel();
    let sender = thread::spawn(move || {
        thread::sleep(A_MOMENT);
        tx.send('a').unwrap();
    });
    assert_eq!(rx.recv_timeout(Duration::MAX), Ok('a'));
    assert_eq!(rx.recv_timeout(Duration::MAX), Err(RecvTimeoutError::Disconnected));
    sender.join().unwrap();
}

#[test]
fn a_hangup_ends_the_wait() {
    let (tx, rx) = mpsc::channel::<char>();
    let sender = thread::spawn(move || {
        thread::sleep(A_MOMENT);
        drop(tx);
    });
    assert_eq!(rx.recv_timeout(AGES), Err(RecvTimeoutError::Disconnected));
    sender.join().unwrap();
}

#[test]
fn messages_come_before_the_hangup() {
    let (tx, rx) = mpsc::sync_channel(1);
    tx.send('a').unwrap();
    drop(tx);
    assert_eq!(rx.recv_timeout(A_MOMENT), Ok('a'));
    assert_eq!(rx.recv_timeout(A_MOMENT), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn short_timeouts_lose_no_message() {
    const MESSAGES: u32 = 300;
    let (tx, rx) = mpsc::sync_channel(0);
    let sender = thread::spawn(move || (0..MESSAGES).for_each(|i| tx.send(i).unwrap()));
    let mut next = 0;
    loop {
        match rx.recv_timeout(Duration::from_micros(20)) {
            Ok(i) => {
                assert_eq!(i, next);
                next += 1;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    assert_eq!(next, MESSAGES);
    sender.join().unwrap();
}
