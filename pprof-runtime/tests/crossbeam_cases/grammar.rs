//! `select!` and `select_biased!`: what can be written, and what it means.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::thread;
use std::time::Duration;

use super::{A_MOMENT, AGES};
use crate::channel::{
    self, Receiver, RecvError, SendError, Sender, bounded, never, select, select_biased, unbounded,
};

fn full() -> (Sender<u8>, Receiver<u8>) {
    let (s, r) = bounded(1);
    s.send(1).unwrap();
    (s, r)
}

#[test]
fn separators() {
    let (s, r) = bounded(3);
    select! { send(s, 1) -> result => result.unwrap() }
    select! { send(s, 2,) -> result => result.unwrap(), }
    select! {
        recv(r,) -> message => { assert_eq!(message, Ok(1)) }
        default => { unreachable!() }
    }
    select! {
        default() => unreachable!(),
        recv(r) -> message => assert_eq!(message, Ok(2)),
    }
    let none = select! { recv(r) -> message => message.ok(), default(Duration::ZERO,) => None };
    assert_eq!(none, None);
    select! { recv(r) -> _ => {}, default => {}, }
    channel::select!(recv(r) -> _ => {} default => {});
    crate::channel::select_biased![recv(r) -> _ => {}, default => {}];
    let nothing = select! { default => "nothing" };
    let nothing_in_time = select! { default(A_MOMENT) => 2 + 3 };
    assert_eq!((nothing, nothing_in_time), ("nothing", 5));
}

#[test]
fn bodies() {
    let (s, r) = bounded(9);
    for count in 0..3 {
        s.send(7).unwrap();
        let text = select! {
            recv(r) -> message => if count == 0 { "zero" } else { match message { Ok(_) => "some", _ => "none" } },
            default => unreachable!(),
        };
        assert_eq!(text, if count == 0 { "zero" } else { "some" });
    }
    s.send(7).unwrap();
    // A block is the head of this one.
    let text = select! { recv(r) -> message => { message.unwrap() }.to_string(), default => String::new() };
    assert_eq!(text, "7");
    s.send(7).unwrap();
    let sizes = select! {
        recv(r) -> message => vec::<u8, 3>(message.unwrap()).iter().fold(0, |a, b| a * 2 + b),
        default => 0,
    };
    assert_eq!(sizes, 49);
}

fn vec<T: Clone, const N: usize>(value: T) -> Vec<T> {
    vec![value; N]
}

#[test]
fn patterns() {
    let (s, r) = bounded(9);
    s.send((1, "one")).unwrap();
    s.send((2, "two")).unwrap();
    select! { recv(r) -> mut message => { message = message.map(|(i, t)| (i + 1, t)); assert_eq!(message, Ok((2, "one"))) } }
    select! { recv(r) -> ref message => assert_eq!(message.as_ref(), Ok(&(2, "two"))) }
    s.send((3, "three")).unwrap();
    select! { recv(r) -> (Ok(_) | Err(_)) => {} }
    s.send((4, "four")).unwrap();
    select! { recv(r) -> message @ (Ok(_) | Err(RecvError)) => assert!(message.is_ok()) }
    let (s, _) = bounded(1);
    select! { send(s, "back") -> result => assert_eq!(result, Err(SendError("back"))) }
}

#[test]
fn operands_may_be_any_expressions() {
    struct Pair {
        s: Sender<u8>,
        r: Receiver<u8>,
    }
    let (s, r) = bounded(9);
    let pair = Pair { s, r };
    let (by_reference, boxed) = (&pair.s, Box::new(pair.r.clone()));
    select! { send(pair.s, 1) -> result => result.unwrap() }
    select! { send(by_reference, { let one = 1; one + 1 }) -> result => result.unwrap() }
    select! { send(&by_reference, [3][0]) -> result => result.unwrap() }
    select! { send(Pair { s: pair.s.clone(), r: never() }.s, 4) -> result => result.unwrap() }
    select! { recv(pair.r) -> message => assert_eq!(message, Ok(1)) }
    select! { recv(boxed) -> message => assert_eq!(message, Ok(2)) }
    select! { recv(if pair.r.is_empty() { never() } else { (*boxed).clone() }) -> message => assert_eq!(message, Ok(3)) }
    select! { recv([&pair.r, &never()][0]) -> message => assert_eq!(message, Ok(4)) }
    let optional: Option<&Receiver<u8>> = [].first();
    select! { recv(optional.unwrap_or(&never())) -> _ => unreachable!(), default => {} }
}

#[test]
fn types_are_inferred() {
    let (s, r) = unbounded();
    select! { send(s, Default::default()) -> result => assert!(result.is_ok()) }
    let message: Result<Vec<u16>, _> = select! { recv(r) -> message => message };
    assert_eq!(message, Ok(vec![]));
    // Each closure has a type of its own, and here it is the channel's.
    let (s, r) = bounded(1);
    let base = 40;
    select! { send(s, move |x: u8| base + x) -> result => assert!(result.is_ok()), recv(never::<u8>()) -> _ => {} }
    assert_eq!(r.recv().unwrap()(2), 42);
    let (s, r) = bounded(1);
    select! { send(s, vec![1, 2].into_iter().map(|x| x + 1)) -> result => assert!(result.is_ok()) }
    assert_eq!(r.recv().unwrap().sum::<i32>(), 5);
}

#[test]
fn messages_are_computed_when_they_are_sent() {
    let ((s, _r), (full, _full_r)) = (bounded(1), full());
    let computed = Cell::new(0);
    let compute = |value| {
        computed.set(computed.get() + 1);
        value
    };
    select! { send(full, compute(1)) -> _ => unreachable!(), default => {} }
    select! { send(full, compute(1)) -> _ => unreachable!(), default(A_MOMENT) => {} }
    assert_eq!(computed.get(), 0);
    select! { send(full, compute(1)) -> _ => unreachable!(), send(s, compute(2)) -> result => result.unwrap() }
    assert_eq!(computed.get(), 1);
    // What is sent is moved, and only then.
    let text = String::from("text");
    let (to, from) = bounded(1);
    select! { send(to, text) -> result => result.unwrap(), default(AGES) => drop(text) }
    assert_eq!(from.recv().unwrap(), "text");
}

#[test]
fn operands_are_evaluated_in_order_and_once() {
    let order = RefCell::new(Vec::new());
    let ((s, r), (full, _full_r)) = (bounded(1), full());
    let note = |what| order.borrow_mut().push(what);
    let of = |what, r: &Receiver<u8>| {
        note(what);
        r.clone()
    };
    select! {
        recv(of("first", &never())) -> _ => {}
        default({ note("timeout"); A_MOMENT }) => note("default"),
        send({ note("second"); &full }, { note("message"); 1 }) -> _ => {}
        recv(of("third", &r)) -> _ => {}
    }
    assert_eq!(order.take(), ["first", "second", "third", "timeout", "default"]);
    select! {
        default({ note("timeout"); A_MOMENT }) => note("default"),
        send({ note("first"); &s }, { note("message"); 1 }) -> _ => note("sent"),
    }
    assert_eq!(order.take(), ["first", "timeout", "message", "sent"]);
}

#[test]
fn temporaries_live_until_the_body_has_run() {
    struct Noted<'n>(Receiver<u8>, &'n RefCell<Vec<&'static str>>);
    impl Drop for Noted<'_> {
        fn drop(&mut self) {
            self.1.borrow_mut().push("dropped");
        }
    }
    let (order, (s, r)) = (RefCell::new(Vec::new()), bounded(1));
    s.send(1).unwrap();
    select! {
        recv(Noted(r.clone(), &order).0) -> _ => order.borrow_mut().push("body"),
        recv(never::<u8>()) -> _ => {}
    }
    assert_eq!(order.take(), ["body", "dropped"]);
}

#[test]
fn nothing_is_borrowed_in_bodies() {
    for selected in [true, false] {
        let (s, mut r) = bounded(1);
        if selected {
            s.send(String::from("text")).unwrap();
        }
        let text = String::new();
        let text = select! {
            recv(r) -> message => { r = never(); drop(s); message.unwrap() }
            recv(never::<u8>()) -> _ => text,
            default => { drop(r); r = bounded(1).1; drop(s); text }
        };
        assert_eq!((text.is_empty(), r.is_empty()), (!selected, true));
        let (s, r) = full();
        select! {
            send(s, 1) -> _ => unreachable!(),
            default(A_MOMENT) => drop((s, r)),
        }
    }
}

/// What a body does to the function that it is in.
fn leave(how: &str, r: &Receiver<u8>) -> Result<u8, RecvError> {
    let mut rounds = 0;
    'outer: loop {
        loop {
            rounds += 1;
            let message = select! {
                recv(r) -> message => message?,
                recv(never::<u8>()) -> _ => continue,
                default => match how {
                    "return" => return Ok(10 + rounds),
                    "break" => break 'outer,
                    "continue" if rounds < 3 => continue,
                    "inner" => break,
                    _ => 0,
                },
            };
            return Ok(message + 20);
        }
        if rounds > 4 {
            return Ok(40 + rounds);
        }
    }
    Ok(30 + rounds)
}

#[test]
fn bodies_may_leave() {
    let (s, r) = bounded(1);
    let ways = ["return", "break", "continue", "inner"].map(|how| leave(how, &r));
    assert_eq!(ways, [Ok(11), Ok(31), Ok(20), Ok(45)]);
    s.send(1).unwrap();
    assert_eq!(leave("", &r), Ok(21));
    drop(s);
    assert_eq!(leave("", &r), Err(RecvError));
}

#[test]
fn operands_may_leave() {
    fn send(s: &Sender<u8>, text: &str) -> Result<u8, std::num::ParseIntError> {
        loop {
            let timeout = Ok(A_MOMENT);
            select! {
                send(s, text.parse()?) -> result => result.expect("a receiver"),
                recv(never::<u8>()) -> _ => {}
                default(timeout?) => return Ok(0),
            }
            select! {
                send(s, if text.is_empty() { break } else { 1 }) -> _ => {}
                recv(if text.is_empty() { break } else { never::<u8>() }) -> _ => {}
                default(Duration::ZERO) => return Ok(1),
            }
        }
        Ok(2)
    }
    let (s, r) = bounded(1);
    assert_eq!((send(&s, "5"), r.recv()), (Ok(1), Ok(5)));
}

#[test]
fn bodies_of_async_functions_may_await() {
    async fn wait(r: &Receiver<u8>) -> u8 {
        select! { recv(r) -> message => async { message.unwrap() }.await, default => 0 }
    }
    let (_s, r) = full();
    let mut future = std::pin::pin!(wait(&r));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert_eq!(future.as_mut().poll(&mut context), std::task::Poll::Ready(1));
}

#[test]
fn macros_may_write_it() {
    macro_rules! first_of {
        (else $other:block $($op:ident($($arg:expr),*) -> $res:pat => $body:expr,)*) => {
            select! { $($op($($arg),*) -> $res => $body,)* default => $other }
        };
    }
    let ((s, r), result) = (bounded(1), "its own");
    let sent = first_of! { else { false } send(s, 1 + 1) -> result => result.is_ok(), };
    let message = first_of! { else { 0 } recv(r) -> x => x.unwrap(), };
    assert_eq!((sent, message, result), (true, 2, "its own"));
}

#[test]
fn names_do_not_meet_the_users() {
    let (channel0, list) = bounded(2);
    let (timeout, choice, selected) = (A_MOMENT, "choice", "selected");
    channel0.send(choice).unwrap();
    let result = select! {
        recv(list) -> message => (message, choice, selected),
        default(timeout) => (Ok("late"), choice, selected),
    };
    assert_eq!(result, (Ok("choice"), "choice", "selected"));
}

#[test]
fn one_within_another() {
    let ((s, r), (to, from)) = (bounded(1), bounded(1));
    s.send(1).unwrap();
    select! {
        recv(r) -> message => select! {
            send(to, select! { recv(r) -> _ => 0, default => message.unwrap() + 1 }) -> result => select! {
                default => result.unwrap(),
            },
        },
    }
    assert_eq!(from.recv(), Ok(2));
}

#[test]
fn any_or_the_first_that_is_ready() {
    let channels = [(); 2].map(|()| unbounded());
    channels.iter().for_each(|(s, _)| (0..400).for_each(|i| s.send(i).unwrap()));
    let [(_s1, r1), (_s2, r2)] = channels;
    let (mut any, mut first) = ([0; 2], [0; 3]);
    for _ in 0..200 {
        select! { recv(r1) -> _ => any[0] += 1, recv(r2) -> _ => any[1] += 1 }
        select_biased! {
            recv(never::<u8>()) -> _ => first[0] += 1,
            recv(r1) -> _ => first[1] += 1,
            recv(r2) -> _ => first[2] += 1,
            default => unreachable!(),
        }
    }
    assert!(any[0] > 30 && any[1] > 30, "{any:?}");
    assert_eq!(first, [0, 200, 0]);
}

#[test]
fn waits_end_by_message_room_and_hangup() {
    let ((s, r), (full, full_r)) = (bounded(0), full());
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let wait = || {
                select! {
                    recv(r) -> message => format!("{message:?}"),
                    send(full, 9) -> result => format!("{result:?}"),
                }
            };
            [wait(), wait(), select_biased! { send(full, 9) -> _ => String::new(), recv(r) -> message => format!("{message:?}") }]
        });
        thread::sleep(A_MOMENT);
        s.send(5).unwrap();
        thread::sleep(A_MOMENT);
        assert_eq!(full_r.recv(), Ok(1));
        thread::sleep(A_MOMENT);
        drop(s);
        assert_eq!(waiter.join().unwrap(), ["Ok(5)", "Ok(())", "Err(RecvError)"]);
    });
}

#[test]
fn two_selects_meet() {
    let ((s1, r1), (s2, r2)) = (bounded(0), bounded(0));
    thread::scope(|scope| {
        scope.spawn(move || {
            for i in 0..200 {
                select! { send(s1, i) -> result => result.unwrap(), send(s2, i) -> result => result.unwrap() }
            }
        });
        for i in 0..200 {
            select! { recv(r1) -> message => assert_eq!(message, Ok(i)), recv(r2) -> message => assert_eq!(message, Ok(i)) }
        }
    });
}
