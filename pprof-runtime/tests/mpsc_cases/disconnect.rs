//! One side hangs up: before, during and after the other's wait; what becomes of messages on the way.

use std::panic;
use std::thread;

use super::{A_MOMENT, Drops};
use crate::mpsc::{self, RecvError, SendError, TryRecvError};

#[test]
fn recv_fails_once_the_senders_are_gone() {
    let (tx, rx) = mpsc::channel::<i32>();
    drop(tx);
    assert_eq!(rx.recv(), Err(RecvError));
    assert_eq!(rx.recv(), Err(RecvError));

    let (tx, rx) = mpsc::sync_channel::<i32>(3);
    drop(tx);
    assert_eq!(rx.recv(), Err(RecvError));
}

#[test]
fn messages_sent_before_the_hangup_still_arrive() {
    let (tx, rx) = mpsc::channel();
    thread::spawn(move || (1..=3).for_each(|i| tx.send(i).unwrap())).join().unwrap();
    assert_eq!([rx.recv(), rx.recv(), rx.recv()], [Ok(1), Ok(2), Ok(3)]);
    assert_eq!(rx.recv(), Err(RecvError));

    let (tx, rx) = mpsc::sync_channel(2);
    thread::spawn(move || (1..=2).for_each(|i| tx.send(i).unwrap())).join().unwrap();
    assert_eq!([rx.recv(), rx.recv()], [Ok(1), Ok(2)]);
    assert_eq!(rx.recv(), Err(RecvError));
}

#[test]
fn the_last_of_several_senders_ends_the_channel() {
    let (tx, rx) = mpsc::channel::<i32>();
    let second = tx.clone();
    drop(tx);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    drop(second);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
}

#[test]
fn a_hangup_wakes_a_receiver_that_waits() {
    for (bound, name) in [(None, "channel"), (Some(0), "rendezvous"), (Some(2), "sync_channel")] {
        let received = match bound {
            None => {
                let (tx, rx) = mpsc::channel::<i32>();
                let receiver = thread::spawn(move || rx.recv());
                thread::sleep(A_MOMENT);
                drop(tx);
                receiver.join().unwrap()
            }
            Some(bound) => {
                let (tx, rx) = mpsc::sync_channel::<i32>(bound);
                let receiver = thread::spawn(move || rx.recv());
                thread::sleep(A_MOMENT);
                drop(tx);
                receiver.join().unwrap()
            }
        };
        assert_eq!(received, Err(RecvError), "{name}");
    }
}

#[test]
fn a_hangup_wakes_senders_that_wait_and_gives_their_messages_back() {
    let (tx, rx) = mpsc::sync_channel(1);
    tx.send(String::from("buffered")).unwrap();
    let senders: Vec<_> = ["a", "b", "c"]
        .map(|text| {
            let tx = tx.clone();
            (text, thread::spawn(move || tx.send(String::from(text))))
        })
        .into();
    thread::sleep(A_MOMENT);
    drop(rx);
    for (text, sender) in senders {
        assert_eq!(sender.join().unwrap(), Err(SendError(String::from(text))));
    }
}

#[test]
fn a_panicking_sender_hangs_up() {
    let (tx, rx) = mpsc::channel::<i32>();
    let sender = thread::spawn(move || {
        tx.send(1).unwrap();
        // Not `panic!`: the hook would print a message and a stack into the output of a passing test.
        panic::resume_unwind(Box::new("gone"));
    });
    assert_eq!(rx.recv(), Ok(1));
    assert_eq!(rx.recv(), Err(RecvError));
    assert!(sender.join().is_err());
}

#[test]
fn a_destructor_may_receive_while_its_thread_unwinds() {
    struct Drain(mpsc::Receiver<i32>, std::sync::mpsc::Sender<i32>);
    impl Drop for Drain {
        fn drop(&mut self) {
            assert!(thread::panicking());
            self.1.send(self.0.iter().sum()).unwrap();
        }
    }

    let (tx, rx) = mpsc::sync_channel(0);
    let (sum, total) = std::sync::mpsc::channel();
    let receiver = thread::spawn(move || {
        let _drain = Drain(rx, sum);
        panic::resume_unwind(Box::new("unwind"));
    });
    for i in 1..=3 {
        tx.send(i).unwrap();
    }
    drop(tx);
    assert_eq!(total.recv(), Ok(6));
    assert!(receiver.join().is_err());
}

#[test]
fn messages_nobody_takes_are_dropped_with_the_receiver() {
    let drops = Drops::default();
    let (tx, rx) = mpsc::channel();
    for _ in 0..100 {
        tx.send(drops.message()).unwrap();
    }
    drop(rx.recv());
    assert_eq!(drops.count(), 1);
    drop(rx);
    assert_eq!(drops.count(), 100);
    drop(tx.send(drops.message()));
    assert_eq!(drops.count(), 101);
}

#[test]
fn buffered_messages_of_a_sync_channel_are_dropped_once() {
    let drops = Drops::default();
    let (tx, rx) = mpsc::sync_channel(10);
    for _ in 0..10 {
        tx.send(drops.message()).unwrap();
    }
    drop(rx);
    drop(tx);
    assert_eq!(drops.count(), 10);
}

#[test]
fn a_message_is_dropped_once_on_every_way_it_can_take() {
    let drops = Drops::default();
    let (tx, rx) = mpsc::sync_channel(1);

    drop(tx.try_send(drops.message()));
    assert_eq!(drops.count(), 0);
    drop(tx.try_send(drops.message())); // full: back in the error
    assert_eq!(drops.count(), 1);

    let waiting = tx.clone();
    let message = drops.message();
    let sender = thread::spawn(move || waiting.send(message).is_ok());
    thread::sleep(A_MOMENT);
    drop(rx.recv()); // the buffered one; then the one that waited
    drop(rx.recv());
    assert!(sender.join().unwrap());
    assert_eq!(drops.count(), 3);

    drop(rx);
    drop(tx.send(drops.message()));
    drop(tx.try_send(drops.message()));
    assert_eq!(drops.count(), 5);
}

#[test]
fn a_sender_outlives_its_receiver_and_the_other_way_round() {
    let (tx, rx) = mpsc::channel();
    drop(rx);
    assert_eq!(tx.clone().send(1), Err(SendError(1)));

    let (tx, rx) = mpsc::channel();
    tx.send(1).unwrap();
    drop(tx);
    assert_eq!(thread::spawn(move || rx.recv()).join().unwrap(), Ok(1));
}
