//! Sending, receiving, buffering, sharing, hanging up, iterating.

use std::collections::BTreeSet;
use std::thread;

use super::A_MOMENT;
use crate::channel::{
    Receiver, RecvError, SendError, Sender, TryRecvError, TrySendError, bounded, never, unbounded,
};

#[test]
fn lengths_and_capacities() {
    let (s, r) = unbounded();
    assert_eq!((s.capacity(), r.capacity()), (None, None));
    assert_eq!((s.len(), s.is_empty(), s.is_full()), (0, true, false));
    s.send(1).unwrap();
    assert_eq!((r.len(), r.is_empty(), r.is_full()), (1, false, false));

    let (s, r) = bounded(2);
    assert_eq!((s.capacity(), r.capacity()), (Some(2), Some(2)));
    s.send(1).unwrap();
    assert_eq!((s.len(), s.is_empty(), s.is_full()), (1, false, false));
    s.send(2).unwrap();
    assert_eq!((r.len(), r.is_empty(), r.is_full()), (2, false, true));

    let (s, r) = bounded::<u8>(0);
    assert_eq!((s.capacity(), s.len(), s.is_empty(), s.is_full()), (Some(0), 0, true, true));
    assert_eq!((r.capacity(), r.len(), r.is_empty(), r.is_full()), (Some(0), 0, true, true));
    assert_eq!((never::<u8>().capacity(), never::<u8>().is_full()), (Some(0), true));
}

#[test]
fn same_channel() {
    let ((s1, r1), (s2, r2)) = (bounded::<u8>(1), bounded::<u8>(1));
    assert!(s1.same_channel(&s1.clone()) && r1.same_channel(&r1.clone()));
    assert!(!s1.same_channel(&s2) && !r1.same_channel(&r2));
    assert!(never::<u8>().same_channel(&never()));
}

#[test]
fn trying_tells_full_empty_and_disconnected_apart() {
    let (s, r) = bounded(1);
    assert_eq!(r.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(s.try_send(1), Ok(()));
    assert_eq!(s.try_send(2), Err(TrySendError::Full(2)));
    let (other, other_r) = (s.clone(), r.clone());
    drop((s, r));
    assert_eq!(other.try_send(3), Err(TrySendError::Full(3)), "a receiver is left");
    drop(other);
    assert_eq!(other_r.try_recv(), Ok(1));
    assert_eq!(other_r.try_recv(), Err(TryRecvError::Disconnected));
    let (s, _) = bounded(1);
    assert_eq!(s.try_send(String::from("back")), Err(TrySendError::Disconnected("back".into())));
    assert_eq!(s.send(String::from("back")), Err(SendError("back".into())));
    let (_, r) = unbounded::<u8>();
    assert_eq!(r.recv(), Err(RecvError));
}

#[test]
fn clone_from_leaves_the_old_channel() {
    let ((mut s, old), (other, new)) = (bounded(1), bounded(1));
    s.clone_from(&other);
    s.send(1).unwrap();
    assert_eq!((new.try_recv(), old.try_recv()), (Ok(1), Err(TryRecvError::Disconnected)));
}

#[test]
fn every_message_reaches_one_receiver() {
    const MESSAGES: usize = 500;
    let run = |(s, r): (Sender<usize>, Receiver<usize>)| {
        let received = thread::scope(|scope| {
            for sender in 0..2 {
                let s = s.clone();
                scope.spawn(move || {
                    (0..MESSAGES).for_each(|i| s.send(sender * MESSAGES + i).unwrap());
                });
            }
            drop(s);
            let threads = [r.clone(), r].map(|r| {
                scope.spawn(move || {
                    let received: Vec<usize> = r.into_iter().collect();
                    for sender in 0..2 {
                        let of = |i: &&usize| **i / MESSAGES == sender;
                        assert!(received.iter().filter(of).is_sorted(), "each sender's order");
                    }
                    received
                })
            });
            threads.map(|thread| thread.join().unwrap()).concat()
        });
        assert_eq!(received.len(), 2 * MESSAGES);
        assert_eq!(received.into_iter().collect::<BTreeSet<_>>().len(), 2 * MESSAGES);
    };
    run(unbounded());
    for cap in [0, 1, 7] {
        run(bounded(cap));
    }
}

#[test]
fn iterators() {
    let (s, r) = unbounded();
    (0..3).for_each(|i| s.send(i).unwrap());
    assert_eq!(r.iter().take(1).collect::<Vec<_>>(), [0]);
    assert_eq!(r.try_iter().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(r.try_iter().next(), None);
    s.send(3).unwrap();
    drop(s);
    let mut seen = Vec::new();
    for i in &r {
        seen.push(i);
    }
    assert_eq!((seen, r.into_iter().next()), (vec![3], None));
}

#[test]
fn messages_left_are_dropped_with_the_channel() {
    let message = std::sync::Arc::new(());
    let (s, r) = bounded(2);
    s.send(message.clone()).unwrap();
    drop(r);
    assert!(s.send(message.clone()).is_err());
    drop(s);
    assert_eq!(std::sync::Arc::strong_count(&message), 1);
}

#[test]
fn a_rendezvous_needs_both() {
    let (s, r) = bounded(0);
    assert_eq!(s.try_send(1), Err(TrySendError::Full(1)));
    assert_eq!(r.try_recv(), Err(TryRecvError::Empty));
    thread::scope(|scope| {
        scope.spawn(|| s.send(2).unwrap());
        thread::sleep(A_MOMENT);
        assert_eq!(r.recv(), Ok(2));
        scope.spawn(|| assert_eq!(r.recv(), Ok(3)));
        thread::sleep(A_MOMENT);
        s.send(3).unwrap();
    });
}
