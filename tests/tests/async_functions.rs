//! An annotated async function returns its future as any function may, and is called as before: compiled for editions 2024 and 2021, which
//! differ in what such a future may borrow.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use pprof_runtime::profile;

fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing is waited for"),
    }
}

struct Words<'a>(Vec<&'a str>);

#[profile]
impl<'a> Words<'a> {
    async fn first(&self, _or: &str) -> &'a str {
        self.0[0]
    }

    async fn add(&mut self, word: &'a str) -> &mut Self {
        self.0.push(word);
        self
    }

    async fn count(self: Pin<&mut Self>) -> usize {
        self.0.len()
    }
}

#[profile]
async fn first_of<'a>(words: &'a [&'a str], otherwise: &str) -> &'a str {
    words.first().copied().unwrap_or(if otherwise.is_empty() { "" } else { "nothing" })
}

/// In these, lifetimes may be left out in async functions alone.
#[profile]
async fn longest(
    words: impl Iterator<Item = &str>,
    most: &(impl Into<usize> + Copy + '_),
) -> usize {
    let most = (*most).into();
    words.map(str::len).filter(|len| *len <= most).max().unwrap_or(0)
}

#[test]
fn futures_borrow_what_they_are_given() {
    let text = "a b".to_owned();
    let mut words = Words(Vec::new());
    let found = {
        let other = "c".to_owned();
        now(now(words.add(&text[..1])).add(&text[2..]));
        now(words.first(&other))
    };
    assert_eq!((found, now(pin!(words).count())), ("a", 2));
    assert_eq!(now(first_of(&[], "x")), "nothing");
    assert_eq!(now(longest(text.split(' '), &2u8)), 1);
}

trait Answers {
    fn sent(&self, to: &str) -> impl Future<Output = String> + Send;

    async fn kept(&self, to: &str) -> String;
}

#[profile]
trait Asks: Answers {
    async fn asked(&self, by: &str) -> String {
        self.kept(by).await + &self.sent(by).await
    }
}

struct Friend;

#[profile]
impl Answers for Friend {
    async fn sent(&self, to: &str) -> String {
        format!("to {to}")
    }

    async fn kept(&self, to: &str) -> String {
        format!("for {to} ")
    }
}

impl Asks for Friend {}

#[test]
fn traits_are_implemented_as_by_async_functions() {
    assert_eq!(now(Friend.asked("me")), "for me to me");
}

#[profile]
async fn deep(levels: u32) -> u32 {
    if levels == 0 { 0 } else { Box::pin(deep(levels - 1)).await + 1 }
}

async fn called(with: impl AsyncFn(&str) -> usize) -> usize {
    with("four").await
}

#[profile]
async fn length(text: &str) -> usize {
    text.len()
}

#[test]
fn they_call_themselves_and_are_passed_on() {
    fn is_send(future: impl Send + 'static) {
        drop(future);
    }
    is_send(deep(1));
    assert_eq!(now(deep(3)), 3);
    assert_eq!(now(called(length)), 4);
}

/// A macro below sees what it would see otherwise, and the compiler still warns of what is not used.
#[expect(unused_must_use)]
#[test]
fn results_that_must_be_used_are_missed() {
    #[profile]
    #[must_use]
    async fn important() -> u32 {
        1
    }
    async fn careless() {
        important().await;
    }
    now(careless());
}

#[test]
fn a_future_has_room_for_its_arguments_as_before() {
    async fn plain((block, waits): ([u8; 4096], bool)) -> usize {
        if waits {
            std::future::pending::<()>().await;
        }
        block.len()
    }
    #[profile]
    async fn annotated((block, waits): ([u8; 4096], bool)) -> usize {
        if waits {
            std::future::pending::<()>().await;
        }
        block.len()
    }
    let [before, after] =
        [size_of_val(&plain(([0; 4096], true))), size_of_val(&annotated(([0; 4096], true)))];
    assert!((1..=128).contains(&(after - before)), "{before} and {after} bytes");
}

/// Called as the compiler's lints would have it of others.
#[derive(Debug)]
pub struct Source(u8);

#[profile]
impl Source {
    /// Counts down.
    pub async fn next(&mut self) -> Option<u8> {
        self.0.checked_sub(1)
    }

    /// Counts nothing.
    pub async fn plus(&self, #[allow(non_snake_case)] N: u8) -> u8 {
        self.0 + N
    }
}

/// Has a function of its own.
pub trait Stops {
    /// Says whether it does.
    #[profile]
    #[expect(async_fn_in_trait)]
    async fn stop(&self) -> bool {
        true
    }
}

impl Stops for Source {}

/// What this is about, lints say where it is compiled.
#[test]
fn lints_find_nothing_in_them_that_is_not_there() {
    let mut source = Source(1);
    assert_eq!(now(source.next()), Some(0));
    assert_eq!((now(source.plus(2)), now(source.stop())), (3, true));
}
