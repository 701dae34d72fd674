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

/// In blocks what cannot be annotated is left as it is.
#[profile]
mod block {
    use std::future::Future;
    use std::pin::Pin;

    use pprof_runtime::profile;

    /// No future, and with a method that makes one.
    pub struct Builder(usize);

    impl Builder {
        pub fn new(n: usize) -> Builder {
            Builder(n)
        }

        fn boxed(&self) -> BoxFuture<usize> {
            Box::pin(std::future::ready(self.0))
        }

        pub fn start(&self) -> BoxFuture<usize> {
            self.boxed()
        }
    }

    type BoxFuture<T> = Pin<Box<dyn Future<Output = T>>>;

    pub const fn in_the_compiler() -> usize {
        4
    }

    #[unsafe(no_mangle)]
    pub extern "C" fn accepted_by_its_name(x: i32) -> i32 {
        x
    }

    #[derive(Default, Clone)]
    pub struct Words<'a, const N: usize>(pub Vec<&'a str>);

    impl<'a, const N: usize> Words<'a, N> {
        pub const ROOM: usize = N;

        pub const fn room() -> usize {
            N
        }

        #[profile(skip)]
        pub fn first(&self) -> Option<&&'a str> {
            self.0.first()
        }

        #[profile(name = "last word")]
        #[must_use]
        pub fn last(&self) -> Option<&&'a str> {
            let last = self.0.last()?;
            Some(last)
        }

        #[cfg_attr(all(), profile)]
        pub(super) fn count(&self) -> usize {
            self.0.len()
        }

        pub fn longest(&self) -> impl Future<Output = usize> + Send + use<'_, 'a, N> {
            async { self.0.iter().map(|word| word.len()).max().unwrap_or_default() }
        }

        pub fn boxed(self) -> Pin<Box<dyn Future<Output = usize> + Send + 'a>> {
            if N == 0 {
                return Box::pin(std::future::ready(0));
            }
            Box::pin(async move { self.0.len() })
        }

        pub fn either(&self, now: bool) -> impl Future<Output = usize> {
            if now {
                return std::future::ready(1);
            }
            std::future::ready(2)
        }

        #[crate::elsewhere::profile(skip)]
        pub fn by_path(&self) -> usize {
            N
        }

        pub fn items_first(&self) -> usize {
            const ONE: usize = 1;
            N + ONE
        }

        pub fn in_a_macro(&self, now: bool) -> impl Future<Output = usize> {
            let value = vec![if now { 1 } else { return std::future::ready(0) }];
            std::future::ready(value[0])
        }

        pub fn on_platforms(&self) -> impl Future<Output = usize> {
            #[cfg(unix)]
            {
                std::future::ready(1)
            }
            #[cfg(not(unix))]
            {
                std::future::ready(2)
            }
        }

        pub fn spans(&self) -> usize {
            const NAME: &str = "name";
            const SITE: &str = "site";
            let _name = pprof_runtime::span!(NAME);
            let _site = pprof_runtime::span!(SITE);
            N
        }

        pub fn passed_on(&self) -> impl Future<Output = usize> {
            let result = || {
                return 3;
            };
            std::future::ready(result())
        }
    }

    pub trait Speak {
        const LOUD: bool = false;

        fn word(&self) -> String;

        fn shout(&self) -> String {
            self.word().to_uppercase()
        }
    }

    impl<const N: usize> Speak for Words<'_, N> {
        fn word(&self) -> String {
            self.0.concat()
        }
    }

    #[profile(skip)]
    pub mod skipped {
        pub fn left_alone() {}
    }

    pub mod deeper {
        #[track_caller]
        pub fn line() -> u32 {
            std::panic::Location::caller().line()
        }
    }
}

async fn boxed_in_blocks() {
    use block::Speak;
    let words = block::Words::<4>(vec!["a", "bcd"]);
    assert_eq!((words.first(), words.last(), words.count()), (Some(&"a"), Some(&"bcd"), 2));
    assert_eq!((block::Words::<4>::room(), block::Words::<4>::ROOM), (4, 4));
    assert_eq!(words.shout(), "ABCD");
    assert_eq!(assert_send(words.longest()).await, 3);
    assert_eq!(words.either(true).await + words.either(false).await, 3);
    assert_eq!(words.passed_on().await, 3);
    assert_eq!(words.by_path() + words.items_first() + words.spans(), 13);
    assert_eq!(words.in_a_macro(true).await + words.in_a_macro(false).await, 1);
    assert_eq!(words.on_platforms().await, 1);
    assert_eq!(block::Builder::new(3).start().await, 3);
    assert_eq!(assert_send(words.boxed()).await, 2);
    assert_eq!(block::deeper::line(), line!());
    const { assert!(block::in_the_compiler() == 4) };
    assert_eq!(block::accepted_by_its_name(1), 1);
    block::skipped::left_alone();
}

fn assert_send<T: Send>(value: T) -> T {
    value
}

#[profile(time = off)]
fn counted() -> u32 {
    1
}

macro_rules! boxed {
    () => { Box<dyn Debug> };
}

#[profile]
async fn boxed_either_way(now: bool) -> boxed!() {
    if now {
        return Box::new(1);
    }
    Box::new("x")
}

trait Captures: Sized {
    fn allocations(self) {}
    fn finish(&self) {}
    fn enter(&self) {}
}

impl<T> Captures for T {}

/// What it calls is not the user's.
#[profile(time = off, alloc)]
fn captured(x: u32) -> u32 {
    x.enter();
    x
}

const SEVERAL: usize = 2;

#[profile(time = off, labels("several" = SEVERAL))]
fn has_an_item_and_labels() -> [u8; SEVERAL] {
    const SEVERAL: usize = 3;
    [SEVERAL as u8; 2]
}

#[profile(time = off)]
fn one_expression(text: &str) -> &str {
    text
}

#[profile(time = off)]
fn fails(text: &str) -> Opaque {
    panic!("{text}")
}

#[profile(time = off)]
fn always_returns(x: u32) -> u32 {
    return x;
}

#[profile(time = sampled(64))]
fn does(values: &mut Vec<u32>) {
    values.retain(|value| *value > 0)
}

#[profile(time = sampled(64))]
fn waits() {
    loop {
        std::thread::park();
    }
}

#[profile(cpu = sampled(8), time = sampled(64))]
impl Counter {
    fn sampled(&self) -> u32 {
        self.0
    }

    // Not its CPU time.
    #[profile(time = exact)]
    async fn sampled_later(&self) -> u32 {
        self.0
    }
}

#[profile(generic = each)]
fn each<'a, T: ?Sized + ToString, const N: usize>(value: &'a T) -> [(&'a T, String); N] {
    std::array::from_fn(|_| (value, value.to_string()))
}

/// Has a method of that name, and is no future.
struct Builder;

impl Builder {
    fn boxed(self) -> std::pin::Pin<Box<dyn std::future::Future<Output = u32>>> {
        Box::pin(std::future::ready(1))
    }
}

#[pprof_runtime::profile]
fn builds() -> std::pin::Pin<Box<dyn std::future::Future<Output = u32>>> {
    Builder.boxed()
}

#[profile]
async fn with_attributes(
    #[allow(unused_variables)] a: u32,
    #[expect(unused_variables)] mut_not_used: u32,
    #[cfg(any())] missing: Missing,
    #[allow(unused_mut)] mut b: u32,
    _c: u32,
    _: u32,
) -> u32 {
    b
}

#[profile]
async fn with_some_attributes(#[cfg(not(any()))] a: u32, #[cfg(any())] b: Missing) -> u32 {
    a
}

#[profile]
async fn ignores_a_guard(_: std::sync::MutexGuard<'_, u32>) {}

#[profile(labels("sum" = a + 1, "even" = a % 2 == 0, "as" = a as u8, "not" = !a, "range" = if a > 1 { 1 } else { 2 }))]
fn labelled_by_expressions(a: u32) -> u32 {
    a
}

#[profile(labels(user, r#type))]
async fn labelled_by_what_it_does_not_use(user: u32, r#type: u32) {}

#[profile(labels("first" = a))]
async fn labelled_by_a_part((a, b): (u32, u32)) -> u32 {
    b
}

enum Either {
    One(u32),
    Other(u32),
}

use Nothing::{None as Not, Some as Is};

enum Nothing {
    None,
    Some(u32),
}

#[profile(labels("taken" = a))]
async fn labelled_by_either((Either::One(mut a) | Either::Other(mut a)): Either) -> u32 {
    a += 1;
    a
}

#[profile(labels("first" = a))]
async fn labelled_beside_a_variant((a, Is(_) | Not): (u32, Nothing)) -> u32 {
    a
}

struct Fields {
    b: u32,
}

#[profile(labels("first" = b))]
async fn labelled_by_a_field(Fields { #[cfg(not(any()))] mut b, #[cfg(any())] b, #[cfg(any())] c }: Fields) -> u32 {
    b += 1;
    b
}

/// The macro's name is not the user's.
macro_rules! of_two {
    ($a:ident) => {
        #[profile(labels("first" = $a))]
        async fn labelled_by_one_of_two(($a, mut a): (u32, u32)) -> u32 {
            a += $a;
            a
        }
    };
}
of_two!(a);

/// What is annotated by a macro has its own words.
macro_rules! annotated {
    ($($item:item)*) => { $(#[profile] $item)* };
}

annotated! {
    impl Counter {
        async fn by_reference(&self, a: u32) -> u32 {
            self.0 + a
        }
        async fn by_value(mut self, (a, _): (u32, u32)) -> u32 {
            self.0 += a;
            self.0
        }
        async fn boxed(self: Box<Self>, a: u32) -> u32 {
            self.0 + a
        }
    }
}

fn main() {
    drop((labelled_by_what_it_does_not_use(1, 2), labelled_by_a_part((1, 2))));
    drop([Either::One(1), Either::Other(2)].map(labelled_by_either));
    drop((labelled_beside_a_variant((1, Is(2))), labelled_beside_a_variant((1, Not))));
    drop((labelled_by_one_of_two((1, 2)), labelled_by_a_field(Fields { b: 1 })));
    drop((Counter(1).by_reference(1), Counter(1).by_value((1, 2)), Box::new(Counter(1)).boxed(1)));
    assert_eq!(labelled_by_expressions(1), 1);
    drop((with_attributes(1, 2, 3, 4, 5), with_some_attributes(1)));
    drop(ignores_a_guard(std::sync::Mutex::new(1).lock().unwrap()));
    drop(builds());
    assert_eq!(counted() + Counter(1).sampled(), 2);
    drop(Counter(1).sampled_later());
    assert_eq!(each::<str, 2>("a").len(), 2);
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
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(std::pin::pin!(boxed_in_blocks()).poll(&mut context).is_ready());
}
