//! `iter`, `try_iter`, `for`, and `IntoIterator` by value and by reference.

use std::thread;

use super::{A_MOMENT, Drops};
use crate::mpsc::{self, SendError, TryRecvError};

#[test]
fn iter_waits_for_each_message_and_ends_with_the_channel() {
    let (tx, rx) = mpsc::channel();
    let sender = thread::spawn(move || {
        for i in 1..=3 {
            thread::sleep(A_MOMENT / 3);
            tx.send(i).unwrap();
        }
    });
    let mut iter = rx.iter();
    assert_eq!([iter.next(), iter.next(), iter.next()], [Some(1), Some(2), Some(3)]);
    assert_eq!(iter.next(), None);
    assert_eq!(iter.next(), None);
    sender.join().unwrap();
}

#[test]
fn for_over_a_reference_leaves_the_receiver_usable() {
    let (tx, rx) = mpsc::channel();
    for i in 0..6 {
        tx.send(i).unwrap();
    }
    let mut seen = Vec::new();
    for i in &rx {
        seen.push(i);
        if i == 2 {
            break;
        }
    }
    assert_eq!(seen, [0, 1, 2]);
    drop(tx);
    assert_eq!(rx.iter().collect::<Vec<_>>(), [3, 4, 5]);
}

#[test]
fn for_over_the_receiver_itself() {
    let (tx, rx) = mpsc::sync_channel(1);
    let sender = thread::spawn(move || (0..10).for_each(|i| tx.send(i).unwrap()));
    let mut next = 0;
    for i in rx {
        assert_eq!(i, next);
        next += 1;
    }
    assert_eq!(next, 10);
    sender.join().unwrap();
}

#[test]
fn into_iter_owns_the_receiver() {
    let drops = Drops::default();
    let (tx, rx) = mpsc::channel();
    tx.send(drops.message()).unwrap();
    tx.send(drops.message()).unwrap();
    let mut iter = rx.into_iter();
    drop(iter.next());
    assert_eq!(drops.count(), 1);
    drop(iter);
    assert_eq!(drops.count(), 2);
    assert!(matches!(tx.send(drops.message()), Err(SendError(_))));
}

#[test]
fn try_iter_takes_what_is_there_and_may_be_asked_again() {
    let (tx, rx) = mpsc::channel();
    assert_eq!(rx.try_iter().next(), None);
    tx.send(1).unwrap();
    tx.send(2).unwrap();
    let mut iter = rx.try_iter();
    assert_eq!([iter.next(), iter.next(), iter.next()], [Some(1), Some(2), None]);
    tx.send(3).unwrap();
    assert_eq!(iter.next(), Some(3));
    drop(tx);
    assert_eq!(iter.next(), None);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
}

#[test]
fn try_iter_frees_room_for_senders_that_wait() {
    let (tx, rx) = mpsc::sync_channel(2);
    let sender = thread::spawn(move || (0..6).for_each(|i| tx.send(i).unwrap()));
    let mut seen = Vec::new();
    while seen.len() < 6 {
        seen.extend(rx.try_iter());
        thread::yield_now();
    }
    assert_eq!(seen, (0..6).collect::<Vec<_>>());
    sender.join().unwrap();
}

#[test]
fn iterators_take_part_in_generic_code() {
    fn total<I: IntoIterator<Item = u64>>(messages: I) -> u64 {
        messages.into_iter().sum()
    }

    let (tx, rx) = mpsc::channel();
    tx.send(1).unwrap();
    tx.send(2).unwrap();
    assert_eq!(total(rx.try_iter()), 3);
    tx.send(3).unwrap();
    drop(tx);
    assert_eq!(total(&rx), 3);
    assert_eq!(total(rx), 0);
}

#[test]
fn size_hint_promises_nothing() {
    let (tx, rx) = mpsc::channel();
    tx.send(1).unwrap();
    assert_eq!(rx.iter().size_hint(), (0, None));
    assert_eq!(rx.try_iter().size_hint(), (0, None));
    assert_eq!(rx.into_iter().size_hint(), (0, None));
}
