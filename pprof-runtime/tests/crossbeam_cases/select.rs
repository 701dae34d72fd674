//! `Select` and what it chooses.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use super::{A_MOMENT, AGES};
use crate::channel::{
    ReadyTimeoutError, RecvError, Select, SelectTimeoutError, SendError, TryReadyError,
    TrySelectError, bounded, unbounded,
};

#[test]
fn nothing_ready() {
    let ((s1, _r1), (_s2, r2)) = (bounded::<u8>(0), bounded::<u8>(1));
    let mut list = Select::new();
    assert_eq!((list.send(&s1), list.recv(&r2)), (0, 1));
    assert_eq!(list.try_select().err(), Some(TrySelectError));
    assert_eq!(list.try_ready(), Err(TryReadyError));
    let start = Instant::now();
    assert_eq!(list.select_timeout(A_MOMENT).err(), Some(SelectTimeoutError));
    assert_eq!(list.select_deadline(start + 2 * A_MOMENT).err(), Some(SelectTimeoutError));
    assert_eq!(list.ready_timeout(A_MOMENT), Err(ReadyTimeoutError));
    assert_eq!(list.ready_deadline(start + 4 * A_MOMENT), Err(ReadyTimeoutError));
    assert!(start.elapsed() >= 4 * A_MOMENT);
    assert_eq!(list.select_timeout(Duration::ZERO).err(), Some(SelectTimeoutError));
    assert_eq!(list.ready_deadline(start), Err(ReadyTimeoutError));
}

#[test]
fn an_empty_list_waits_for_its_time_only() {
    let start = Instant::now();
    assert_eq!(Select::new().try_select().err(), Some(TrySelectError));
    assert_eq!(Select::new().try_ready(), Err(TryReadyError));
    assert_eq!(Select::new().select_timeout(A_MOMENT).err(), Some(SelectTimeoutError));
    assert_eq!(Select::new().ready_timeout(A_MOMENT), Err(ReadyTimeoutError));
    assert!(start.elapsed() >= 2 * A_MOMENT);
    assert!(catch_unwind(|| Select::new().ready()).is_err());
    assert!(catch_unwind(|| Select::new().select().index()).is_err());
}

#[test]
fn what_is_ready_is_done() {
    let ((s1, r1), (s2, r2)) = (bounded(1), bounded(1));
    let mut list = Select::new();
    let (receive, send) = (list.recv(&r1), list.send(&s2));
    let chosen = list.select();
    assert_eq!(chosen.index(), send);
    assert_eq!((chosen.send(&s2, 2), r2.len()), (Ok(()), 1));
    s1.send(1).unwrap();
    assert_eq!(list.ready(), receive);
    assert_eq!(list.ready_timeout(AGES), Ok(receive));
    let chosen = list.select_timeout(AGES).unwrap();
    assert_eq!((chosen.index(), chosen.recv(&r1)), (receive, Ok(1)));
}

#[test]
fn what_is_disconnected_is_ready() {
    let ((s1, r1), (s2, r2)) = (bounded::<u8>(1), bounded::<u8>(0));
    drop((s1, r2));
    let mut list = Select::new_biased();
    list.recv(&r1);
    list.send(&s2);
    assert_eq!(list.select().recv(&r1), Err(RecvError));
    list.remove(0);
    let chosen = list.clone().try_select().unwrap();
    assert_eq!((chosen.index(), chosen.send(&s2, 7)), (1, Err(SendError(7))));
    list.remove(1);
    assert!(list.try_select().is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| list.remove(1))).is_err());
}

#[test]
fn any_of_several_or_the_first() {
    let channels = [(); 3].map(|()| unbounded());
    channels.iter().for_each(|(s, _)| (0..300).for_each(|i| s.send(i).unwrap()));
    let chosen = |mut list: Select<'static>| {
        // Leaked: they live as long as the list may.
        let channels = channels.clone().map(|(_, r)| &*Box::leak(Box::new(r)));
        for r in channels {
            list.recv(r);
        }
        let mut counts = [0; 3];
        for _ in 0..250 {
            let chosen = list.select();
            let index = chosen.index();
            chosen.recv(channels[index]).unwrap();
            counts[index] += 1;
        }
        counts
    };
    assert_eq!(chosen(Select::new_biased()), [250, 0, 0]);
    let counts = chosen(Select::new());
    assert!(counts[1] > 20 && counts[2] > 20, "{counts:?}");
}

#[test]
fn two_lists_meet() {
    // Both only wait: a rendezvous needs one that is seen by the other.
    for _ in 0..50 {
        let ((s1, r1), (s2, r2)) = (bounded(0), bounded(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut list = Select::new();
                list.send(&s1);
                list.send(&s2);
                let chosen = list.select();
                if chosen.index() == 0 { chosen.send(&s1, 1) } else { chosen.send(&s2, 2) }
                    .unwrap();
            });
            let mut list = Select::new();
            list.recv(&r1);
            list.recv(&r2);
            let chosen = list.select();
            let index = chosen.index();
            let message = if index == 0 { chosen.recv(&r1) } else { chosen.recv(&r2) };
            assert_eq!(message, Ok(index + 1));
        });
    }
}

#[test]
fn waits_end_when_something_is_ready() {
    let ((s1, r1), (_s2, r2)) = (bounded(0), bounded::<u8>(0));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut list = Select::new();
            list.recv(&r2);
            list.recv(&r1);
            let chosen = list.select_deadline(Instant::now() + AGES).unwrap();
            assert_eq!((chosen.index(), chosen.recv(&r1)), (1, Ok(5)));
            assert_eq!(list.ready_timeout(AGES), Ok(1));
            assert_eq!(r1.recv(), Err(RecvError));
        });
        thread::sleep(A_MOMENT);
        s1.send(5).unwrap();
        thread::sleep(A_MOMENT);
        drop(s1);
        waiter.join().unwrap();
    });
}
