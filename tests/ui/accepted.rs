//! Every kind of function that can be annotated, with warnings denied: the expansion causes none.
#![deny(warnings)]

use std::fmt::Debug;
use std::future::Future;
use std::num::ParseIntError;

use pprof_runtime as elsewhere;
use pprof_runtime::profile;

/// Neither `Debug` nor `Clone` nor `Send`.
struct Opaque(*const u8);

#[profile]
fn takes_and_returns(value: Opaque) -> Opaque {
    value
}

#[profile(name = "a name", crate = elsewhere)]
fn generic<T: Into<u64>, const N: usize>(values: [T; N]) -> u64
where
    T: Copy,
{
    values.iter().map(|v| (*v).into()).sum()
}

#[profile]
fn iterator<'a>(text: &'a str) -> impl Iterator<Item = &'a str> + 'a {
    text.split(' ')
}

#[profile]
fn fallible(text: &str) -> Result<u32, ParseIntError> {
    let number: u32 = text.parse()?;
    if number == 0 {
        return Ok(1);
    }
    Ok(number)
}

#[profile]
unsafe fn reads(pointer: *const u8) -> u8 {
    // SAFETY: the caller's pointer is valid.
    unsafe { *pointer }
}

#[profile]
extern "C" fn for_c(x: i32) -> i32 {
    x + 1
}

#[profile]
fn never() -> ! {
    panic!("as asked")
}

#[profile]
async fn later(text: &str) -> Result<u32, ParseIntError> {
    let number = fallible(text)?;
    std::future::ready(()).await;
    Ok(number)
}

#[profile]
async fn later_generic<T: Debug>(value: T) -> impl Debug {
    value
}

#[profile]
async fn later_borrowed(list: &mut Vec<u32>) -> &u32 {
    list.push(1);
    &list[0]
}

#[profile]
async fn later_never() -> ! {
    std::future::pending::<()>().await;
    panic!("pending futures are never ready")
}

#[profile]
fn with_inner_attributes(text: &str) -> usize {
    //! Docs from within.
    #![allow(unused_variables)]
    let unused = 1;
    text.len()
}

/// Names that the expansion uses too.
#[profile]
fn with_items_of_its_own() -> usize {
    struct Here;
    static SITE: usize = 4;
    let __pprof_guard = size_of::<Here>();
    SITE + __pprof_guard
}

#[profile]
async fn later_with_items_of_its_own() -> usize {
    const SITE: usize = 4;
    let __pprof_site = SITE;
    __pprof_site
}

struct Counter(u32);

impl Counter {
    #[profile]
    pub fn add(&mut self, n: u32) -> &mut Self {
        self.0 += n;
        self
    }

    #[profile]
    fn into_inner(self) -> u32 {
        self.0
    }
}

trait Stem {
    #[profile]
    fn default_body(&self) -> usize {
        self.stem().len()
    }

    fn stem(&self) -> &str;

    fn soon(&self) -> impl Future<Output = usize>;
}

impl Stem for str {
    #[profile]
    #[inline]
    fn stem(&self) -> &str {
        self.trim_end_matches('s')
    }

    #[profile]
    async fn soon(&self) -> usize {
        self.len()
    }
}

fn assert_send<T: Send>(value: T) -> T {
    value
}

fn main() {
    let opaque = takes_and_returns(Opaque([1].as_ptr()));
    assert!(!opaque.0.is_null());
    assert_eq!(generic([1u8, 2]), 3);
    assert_eq!(iterator("a b").count(), 2);
    assert_eq!(fallible("0").unwrap(), 1);
    assert!(fallible("x").is_err());
    // SAFETY: a reference.
    assert_eq!(unsafe { reads(&7) }, 7);
    assert_eq!(for_c(1), 2);
    assert_eq!(Counter(1).add(2).0, 3);
    assert_eq!(Counter(1).into_inner(), 1);
    assert_eq!("words".default_body(), 4);
    assert_eq!(with_inner_attributes("abc"), 3);
    assert_eq!(with_items_of_its_own(), 4);
    std::panic::set_hook(Box::new(|_| {}));
    assert!(std::panic::catch_unwind(|| never()).is_err());
    // Guards of locals must not make futures stay on one thread.
    drop(assert_send(later("1")));
    drop(later_generic(1));
    drop(later_borrowed(&mut vec![]));
    drop(later_never());
    drop("words".soon());
    drop(later_with_items_of_its_own());
}
