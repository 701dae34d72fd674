//! Messages of every kind: without size, large, over-aligned, borrowed, only `Send`, not even `Send`, channels.

use std::cell::Cell;
use std::rc::Rc;
use std::thread;

use super::A_MOMENT;
use crate::mpsc::{self, RecvError, TrySendError};

#[test]
fn messages_without_size() {
    let (tx, rx) = mpsc::channel();
    let sender = thread::spawn(move || (0..1_000).for_each(|_| tx.send(()).unwrap()));
    assert_eq!(rx.iter().count(), 1_000);
    sender.join().unwrap();

    let (tx, rx) = mpsc::sync_channel(2);
    assert_eq!([tx.try_send(()), tx.try_send(())], [Ok(()), Ok(())]);
    assert_eq!(tx.try_send(()), Err(TrySendError::Full(())));
    assert_eq!(rx.try_iter().count(), 2);
}

#[test]
fn large_messages() {
    let (tx, rx) = mpsc::sync_channel(1);
    let sender = thread::spawn(move || {
        for i in 0..20_u8 {
            tx.send([i; 9_000]).unwrap();
        }
    });
    for i in 0..20 {
        assert!(rx.recv().unwrap().iter().all(|&byte| byte == i));
    }
    sender.join().unwrap();
}

#[test]
fn over_aligned_messages() {
    #[derive(Debug)]
    #[repr(align(128))]
    struct Aligned(u64);

    for bound in [0, 1] {
        let (tx, rx) = mpsc::sync_channel(bound);
        let sender = thread::spawn(move || tx.send(Aligned(7)).unwrap());
        let message = rx.recv().unwrap();
        assert_eq!(&raw const message as usize % 128, 0);
        assert_eq!(message.0, 7);
        sender.join().unwrap();
    }
}

#[test]
fn borrowed_messages() {
    let words: Vec<String> = ["one", "two", "three"].map(String::from).into();
    let (tx, rx) = mpsc::sync_channel(1);
    let longest = thread::scope(|s| {
        s.spawn(|| {
            let tx = tx;
            for word in &words {
                tx.send(word.as_str()).unwrap();
            }
        });
        rx.into_iter().max_by_key(|word| word.len())
    });
    assert_eq!(longest, Some("three"));
}

#[test]
fn messages_that_are_only_send() {
    let (tx, rx) = mpsc::channel();
    let sender = thread::spawn(move || tx.send(Cell::new(1)).unwrap());
    let cell = rx.recv().unwrap();
    cell.set(cell.get() + 1);
    assert_eq!(cell.into_inner(), 2);
    sender.join().unwrap();
}

#[test]
fn messages_that_stay_on_one_thread() {
    let (tx, rx) = mpsc::channel();
    let shared = Rc::new(());
    tx.send(Rc::clone(&shared)).unwrap();
    assert_eq!(Rc::strong_count(&shared), 2);
    drop(rx.recv().unwrap());
    assert_eq!(Rc::strong_count(&shared), 1);

    let (tx, rx) = mpsc::sync_channel(1);
    tx.send(Rc::clone(&shared)).unwrap();
    drop(rx);
    assert_eq!(Rc::strong_count(&shared), 1);
}

#[test]
fn a_channel_over_a_channel() {
    let (requests, inbox) = mpsc::channel::<(u32, mpsc::SyncSender<u32>)>();
    let server = thread::spawn(move || {
        for (n, reply) in inbox {
            reply.send(n * n).unwrap();
        }
    });
    for n in 0..10 {
        let (reply, answer) = mpsc::sync_channel(0);
        requests.send((n, reply)).unwrap();
        assert_eq!(answer.recv(), Ok(n * n));
        assert_eq!(answer.recv(), Err(RecvError));
    }
    drop(requests);
    server.join().unwrap();
}

#[test]
fn boxed_closures() {
    let (tx, rx) = mpsc::channel::<Box<dyn FnOnce() -> u32 + Send>>();
    let worker = thread::spawn(move || rx.iter().map(|job| job()).sum::<u32>());
    for i in 0..5 {
        tx.send(Box::new(move || i)).unwrap();
    }
    drop(tx);
    assert_eq!(worker.join().unwrap(), 10);
}

#[test]
fn a_message_may_hold_its_own_sender() {
    struct Loop(#[expect(dead_code, reason = "held, not read")] Option<mpsc::Sender<Loop>>);
    let (tx, rx) = mpsc::channel();
    tx.send(Loop(Some(tx.clone()))).unwrap();
    drop(tx);
    // Dropping the receiver drops the message, and with it the last sender of the very channel that goes away.
    drop(rx);
}

#[test]
fn a_thread_may_wait_in_a_thread_local_destructor() {
    struct Farewell(Cell<Option<mpsc::Receiver<i32>>>, Cell<Option<mpsc::Sender<i32>>>);
    impl Drop for Farewell {
        fn drop(&mut self) {
            if let (Some(rx), Some(tx)) = (self.0.take(), self.1.take()) {
                tx.send(rx.recv().unwrap() + 1).unwrap();
            }
        }
    }
    thread_local! {
        static FAREWELL: Farewell = const { Farewell(Cell::new(None), Cell::new(None)) };
    }

    let (to, at) = mpsc::channel();
    let (back, home) = mpsc::channel();
    let leaver = thread::spawn(move || {
        FAREWELL.with(|farewell| {
            farewell.0.set(Some(at));
            farewell.1.set(Some(back));
        });
    });
    thread::sleep(A_MOMENT);
    to.send(1).unwrap();
    assert_eq!(home.recv(), Ok(2));
    leaver.join().unwrap();
}
