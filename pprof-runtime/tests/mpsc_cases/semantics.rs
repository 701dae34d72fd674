//! Sending, receiving, order, buffering, sharing, `Debug`.

use std::collections::BTreeSet;
use std::thread;

use super::A_MOMENT;
use crate::mpsc::{self, RecvError, SendError, TryRecvError, TrySendError};

#[test]
fn a_message_crosses_threads() {
    let (tx, rx) = mpsc::channel();
    let sender = thread::spawn(move || tx.send(10).unwrap());
    assert_eq!(rx.recv(), Ok(10));
    sender.join().unwrap();
}

#[test]
fn every_clone_reaches_the_one_receiver() {
    let (tx, rx) = mpsc::channel();
    for i in 0..10 {
        let tx = tx.clone();
        thread::spawn(move || tx.send(i).unwrap());
    }
    let received: BTreeSet<i32> = (0..10).map(|_| rx.recv().unwrap()).collect();
    assert_eq!(received, (0..10).collect());
}

#[test]
fn clone_from_leaves_the_old_channel() {
    let (mut tx, old) = mpsc::channel();
    let (other, new) = mpsc::channel();
    tx.clone_from(&other);
    tx.send(1).unwrap();
    assert_eq!(new.try_recv(), Ok(1));
    assert_eq!(old.try_recv(), Err(TryRecvError::Disconnected));

    let (mut tx, old) = mpsc::sync_channel(1);
    let (other, new) = mpsc::sync_channel(1);
    tx.clone_from(&other);
    tx.send(1).unwrap();
    assert_eq!(new.try_recv(), Ok(1));
    assert_eq!(old.try_recv(), Err(TryRecvError::Disconnected));
}

#[test]
fn a_sender_may_be_shared_by_reference() {
    let (tx, rx) = mpsc::channel();
    let (sync_tx, sync_rx) = mpsc::sync_channel(4);
    thread::scope(|s| {
        for i in 0..4 {
            let (tx, sync_tx) = (&tx, &sync_tx);
            s.spawn(move || {
                tx.send(i).unwrap();
                sync_tx.send(i).unwrap();
            });
        }
    });
    assert_eq!(rx.try_iter().sum::<i32>(), 6);
    assert_eq!(sync_rx.try_iter().sum::<i32>(), 6);
}

#[test]
fn a_receiver_may_move_between_threads() {
    let (tx, rx) = mpsc::channel();
    tx.send(1).unwrap();
    let rx = thread::spawn(move || {
        assert_eq!(rx.recv(), Ok(1));
        rx
    })
    .join()
    .unwrap();
    tx.send(2).unwrap();
    assert_eq!(rx.recv(), Ok(2));
}

#[test]
fn a_receiver_that_waits_is_woken_by_a_later_send() {
    let (tx, rx) = mpsc::channel();
    let receiver = thread::spawn(move || rx.recv());
    thread::sleep(A_MOMENT);
    tx.send("late").unwrap();
    assert_eq!(receiver.join().unwrap(), Ok("late"));
}

#[test]
fn try_recv_tells_empty_from_disconnected() {
    let (tx, rx) = mpsc::channel();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    tx.send(1).unwrap();
    assert_eq!(rx.try_recv(), Ok(1));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    drop(tx);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
}

#[test]
fn try_send_tells_full_from_disconnected() {
    let (tx, rx) = mpsc::sync_channel(1);
    assert_eq!(tx.try_send(1), Ok(()));
    assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)));
    assert_eq!(rx.recv(), Ok(1));
    assert_eq!(tx.try_send(3), Ok(()));
    drop(rx);
    assert_eq!(tx.try_send(4), Err(TrySendError::Disconnected(4)));
}

#[test]
fn a_sync_channel_buffers_exactly_its_bound() {
    for bound in 1..5 {
        let (tx, rx) = mpsc::sync_channel(bound);
        for i in 0..bound {
            assert_eq!(tx.try_send(i), Ok(()));
        }
        assert_eq!(tx.try_send(bound), Err(TrySendError::Full(bound)));
        assert_eq!(rx.try_iter().collect::<Vec<_>>(), (0..bound).collect::<Vec<_>>());
    }
}

#[test]
fn a_sender_waits_while_the_buffer_is_full() {
    let (tx, rx) = mpsc::sync_channel(1);
    let (done, sent) = std::sync::mpsc::channel();
    let sender = thread::spawn(move || {
        for i in 0..3 {
            tx.send(i).unwrap();
            done.send(i).unwrap();
        }
    });
    assert_eq!(sent.recv(), Ok(0));
    assert_eq!(sent.recv_timeout(A_MOMENT), Err(std::sync::mpsc::RecvTimeoutError::Timeout));
    assert_eq!(rx.recv(), Ok(0));
    assert_eq!(sent.recv(), Ok(1));
    assert_eq!(sent.recv_timeout(A_MOMENT), Err(std::sync::mpsc::RecvTimeoutError::Timeout));
    assert_eq!(rx.recv(), Ok(1));
    assert_eq!(rx.recv(), Ok(2));
    assert_eq!(rx.recv(), Err(RecvError));
    sender.join().unwrap();
}

#[test]
fn each_sender_keeps_its_order() {
    const SENDERS: usize = 4;
    const MESSAGES: usize = 2_000;

    fn check(rx: mpsc::Receiver<(usize, usize)>) {
        let mut next = [0; SENDERS];
        for (sender, i) in rx {
            assert_eq!(i, next[sender]);
            next[sender] += 1;
        }
        assert_eq!(next, [MESSAGES; SENDERS]);
    }

    let (tx, rx) = mpsc::channel();
    thread::scope(|s| {
        for sender in 0..SENDERS {
            let tx = tx.clone();
            s.spawn(move || (0..MESSAGES).for_each(|i| tx.send((sender, i)).unwrap()));
        }
        drop(tx);
        s.spawn(move || check(rx));
    });

    for bound in [0, 1, 7] {
        let (tx, rx) = mpsc::sync_channel(bound);
        thread::scope(|s| {
            for sender in 0..SENDERS {
                let tx = tx.clone();
                s.spawn(move || (0..MESSAGES).for_each(|i| tx.send((sender, i)).unwrap()));
            }
            drop(tx);
            s.spawn(move || check(rx));
        });
    }
}

#[test]
fn many_senders_blocked_at_once_all_get_through() {
    let (tx, rx) = mpsc::sync_channel(1);
    thread::scope(|s| {
        for i in 0..8 {
            let tx = tx.clone();
            s.spawn(move || tx.send(i).unwrap());
        }
        drop(tx);
        thread::sleep(A_MOMENT);
        assert_eq!(rx.iter().collect::<BTreeSet<_>>(), (0..8).collect());
    });
}

#[test]
fn ping_pong_over_two_channels() {
    let (to, at) = mpsc::sync_channel::<u32>(1);
    let (back, home) = mpsc::channel::<u32>();
    let echo = thread::spawn(move || at.iter().for_each(|i| back.send(i + 1).unwrap()));
    for i in 0..500 {
        to.send(i).unwrap();
        assert_eq!(home.recv(), Ok(i + 1));
    }
    drop(to);
    assert_eq!(home.recv(), Err(RecvError));
    echo.join().unwrap();
}

#[test]
fn a_failed_send_gives_the_message_back() {
    let (tx, rx) = mpsc::channel();
    drop(rx);
    assert_eq!(tx.send(String::from("unsent")), Err(SendError(String::from("unsent"))));

    let (tx, rx) = mpsc::sync_channel(1);
    drop(rx);
    assert_eq!(tx.send(String::from("unsent")), Err(SendError(String::from("unsent"))));
}

#[test]
fn debug_output() {
    let (tx, rx) = mpsc::channel::<u8>();
    let (sync_tx, _sync_rx) = mpsc::sync_channel::<u8>(1);
    assert_eq!(format!("{tx:?}"), "Sender { .. }");
    assert_eq!(format!("{sync_tx:?}"), "SyncSender { .. }");
    assert_eq!(format!("{rx:?}"), "Receiver { .. }");
    assert_eq!(format!("{rx:#?}"), "Receiver { .. }");
    assert_eq!(format!("{:?}", rx.iter()), "Iter { rx: Receiver { .. } }");
    assert_eq!(format!("{:?}", rx.try_iter()), "TryIter { rx: Receiver { .. } }");
    assert_eq!(format!("{:#?}", rx.iter()), "Iter {\n    rx: Receiver { .. },\n}");
    assert_eq!(format!("{:?}", rx.into_iter()), "IntoIter { rx: Receiver { .. } }");
}

#[test]
fn debug_asks_nothing_of_the_message() {
    struct Opaque;
    let (tx, rx) = mpsc::channel::<Opaque>();
    assert_eq!(format!("{tx:?} {rx:?}"), "Sender { .. } Receiver { .. }");
    let (tx, _rx) = mpsc::sync_channel::<Opaque>(0);
    assert_eq!(format!("{tx:?}"), "SyncSender { .. }");
}
