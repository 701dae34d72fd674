//! Channels with a bound of zero: no message is ever between the two sides.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{A_MOMENT, Drops};
use crate::mpsc::{self, RecvError, SendError, TryRecvError, TrySendError};

#[test]
fn a_message_is_handed_over() {
    let (tx, rx) = mpsc::sync_channel(0);
    let sender = thread::spawn(move || tx.send(53).unwrap());
    assert_eq!(rx.recv(), Ok(53));
    sender.join().unwrap();
    assert_eq!(rx.recv(), Err(RecvError));
}

#[test]
fn send_returns_only_when_the_message_was_taken() {
    let taken = AtomicBool::new(false);
    let (tx, rx) = mpsc::sync_channel(0);
    thread::scope(|s| {
        s.spawn(|| {
            tx.send(()).unwrap();
            // ORDERING: pairs with the Release store before `recv`; the channel orders the two on its own.
            assert!(taken.load(Ordering::Acquire));
        });
        thread::sleep(A_MOMENT);
        // ORDERING: pairs with the Acquire load above.
        taken.store(true, Ordering::Release);
        assert_eq!(rx.recv(), Ok(()));
    });
}

#[test]
fn try_send_is_full_until_a_receiver_waits() {
    let (tx, rx) = mpsc::sync_channel(0);
    assert_eq!(tx.try_send(1), Err(TrySendError::Full(1)));
    let receiver = thread::spawn(move || rx.recv());
    while tx.try_send(2).is_err() {
        thread::yield_now();
    }
    assert_eq!(receiver.join().unwrap(), Ok(2));
    assert_eq!(tx.try_send(3), Err(TrySendError::Disconnected(3)));
}

#[test]
fn try_recv_is_empty_until_a_sender_waits() {
    let (tx, rx) = mpsc::sync_channel(0);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    let sender = thread::spawn(move || tx.send(1).unwrap());
    let message = loop {
        match rx.try_recv() {
            Err(TryRecvError::Empty) => thread::yield_now(),
            other => break other,
        }
    };
    assert_eq!(message, Ok(1));
    sender.join().unwrap();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
}

#[test]
fn try_iter_takes_from_senders_that_wait() {
    let (tx, rx) = mpsc::sync_channel(0);
    let senders: Vec<_> = (0..3)
        .map(|i| {
            let tx = tx.clone();
            thread::spawn(move || tx.send(i).unwrap())
        })
        .collect();
    let mut sum = 0;
    let mut count = 0;
    while count < 3 {
        for i in rx.try_iter() {
            sum += i;
            count += 1;
        }
        thread::yield_now();
    }
    assert_eq!(sum, 3);
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

#[test]
fn a_sender_that_waits_gets_its_message_back_when_the_receiver_goes() {
    let drops = Drops::default();
    let (tx, rx) = mpsc::sync_channel(0);
    let message = drops.message();
    let sender = thread::spawn(move || tx.send(message));
    thread::sleep(A_MOMENT);
    drop(rx);
    let returned = sender.join().unwrap();
    assert!(matches!(returned, Err(SendError(_))));
    assert_eq!(drops.count(), 0);
    drop(returned);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_relay_of_rendezvous_channels() {
    let (first, mut last) = mpsc::sync_channel::<u32>(0);
    for _ in 0..4 {
        let (tx, rx) = mpsc::sync_channel(0);
        let from = std::mem::replace(&mut last, rx);
        thread::spawn(move || {
            for i in from {
                tx.send(i + 1).unwrap();
            }
        });
    }
    let source = thread::spawn(move || (0..100).for_each(|i| first.send(i).unwrap()));
    assert_eq!(last.iter().collect::<Vec<_>>(), (4..104).collect::<Vec<_>>());
    source.join().unwrap();
}
