//! What an annotated function drops, it drops in the order that it would without the attribute. Compiled for editions 2024 and 2021, which
//! differ in when temporaries of a last expression go.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

thread_local!(static LOG: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) });

fn log(name: &'static str) {
    LOG.with(|log| log.borrow_mut().push(name));
}

/// Tells when it goes.
struct Part(&'static str);

impl Drop for Part {
    fn drop(&mut self) {
        log(self.0);
    }
}

impl Part {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn temporary(&self) -> Part {
        Part("temporary")
    }
}

struct Pair(Part, Part);

fn pair(names: [&'static str; 2]) -> Pair {
    Pair(Part(names[0]), Part(names[1]))
}

/// Pending once.
struct Yields(bool);

impl Future for Yields {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

fn yields() -> Yields {
    Yields(false)
}

/// What is dropped, and when, by a future that is polled so often.
fn drops(future: impl Future<Output = usize>, polls: usize) -> Vec<&'static str> {
    let mut future = Box::pin(future);
    let poll = || {
        for _ in 0..polls {
            if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                log("ready");
                break;
            }
        }
    };
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll)).is_err() {
        log("panic");
    }
    drop(future);
    LOG.take()
}

/// The same functions without an attribute, with it, and with one that makes labels of arguments before; called with these values.
macro_rules! functions {
    ($(async fn $name:ident($($pattern:pat = $value:expr => $type:ty),*) $body:block)*) => {
        #[allow(unused_variables, unused_assignments, clippy::toplevel_ref_arg)]
        mod plain {
            use super::*;
            $(pub(super) async fn $name($($pattern: $type),*) -> usize $body)*
        }
        #[allow(unused_variables, unused_assignments, clippy::toplevel_ref_arg)]
        mod annotated {
            use super::*;
            $(#[pprof_runtime::profile] pub(super) async fn $name($($pattern: $type),*) -> usize $body)*
        }
        #[allow(unused_variables, unused_assignments, clippy::toplevel_ref_arg)]
        mod labelled {
            use super::*;
            $(#[pprof_runtime::profile(labels("a" = "label"))]
            pub(super) async fn $name($($pattern: $type),*) -> usize $body)*
        }

        fn compare() {
            for polls in [0, 1, 9] {
                $(
                    let plain = drops(plain::$name($($value),*), polls);
                    let annotated = drops(annotated::$name($($value),*), polls);
                    let name = stringify!($name);
                    assert_eq!(annotated, plain, "{name}, {polls} polls");
                    let labelled = drops(labelled::$name($($value),*), polls);
                    // Where labels are made first, what a pattern binds to nothing goes last.
                    assert!(labelled == plain || name == "takes_apart", "{name}: {labelled:?}, {plain:?}");
                )*
            }
        }
    };
}

functions! {
    async fn uses_in_another_order(
        a = Part("a") => Part, b = Part("b") => Part, c = Part("c") => Part
    ) {
        yields().await;
        c.len() + a.len() + b.len()
    }
    async fn leaves_out(a = Part("a") => Part, b = Part("b") => Part, c = Part("c") => Part) {
        yields().await;
        c.len() + a.len()
    }
    async fn ignores(_a = Part("a") => Part, b = Part("b") => Part, _ = Part("_") => Part) {
        let _local = Part("local");
        yields().await;
        b.len()
    }
    async fn takes_apart(
        Pair(x, _) = pair(["x", "_"]) => Pair, (_, mut z) = (Part("_"), Part("z")) => (Part, Part),
        b = Part("b") => Part
    ) {
        yields().await;
        z = Part("another z");
        drop(x);
        b.len() + z.len()
    }
    async fn refers(ref x = Part("x") => Part, y @ Pair(..) = pair(["y", "z"]) => Pair) {
        yields().await;
        x.len() + y.0.len()
    }
    async fn assigns(mut a = Part("a") => Part, b = Part("b") => Part) {
        yields().await;
        a = Part("another a");
        a.len() + b.len()
    }
    async fn returns(a = Part("a") => Part, b = Part("b") => Part) {
        let _local = Part("local");
        if a.len() > 0 {
            yields().await;
            return b.len();
        }
        0
    }
    async fn panics(a = Part("a") => Part, b = Part("b") => Part) {
        let _local = Part("local");
        yields().await;
        if b.len() > 0 {
            std::panic::resume_unwind(Box::new(()));
        }
        a.len()
    }
    async fn ends_with_temporaries(a = Part("a") => Part, b = Part("b") => Part) {
        yields().await;
        let local = Part("local");
        a.temporary().len() + local.temporary().len() + b.temporary().len()
    }
    async fn ends_with_a_lock(m = Mutex::new(Part("m")) => Mutex<Part>, b = Part("b") => Part) {
        let _local = Part("local");
        yields().await;
        m.lock().unwrap().temporary().len() + b.len()
    }
    async fn moves_into_a_block(a = Part("a") => Part, b = Part("b") => Part) {
        yields().await;
        let inner = async move {
            let _local = Part("local");
            yields().await;
            a.len()
        };
        inner.await + b.len()
    }
}

impl Pair {
    async fn plain(self, b: Part) -> usize {
        yields().await;
        self.1.len() + b.len()
    }

    #[pprof_runtime::profile]
    async fn annotated(self, b: Part) -> usize {
        yields().await;
        self.1.len() + b.len()
    }

    async fn plain_mut(mut self, _: Part) -> usize {
        self.0 = Part("another");
        yields().await;
        drop(self.1);
        1
    }

    #[pprof_runtime::profile]
    async fn annotated_mut(mut self, _: Part) -> usize {
        self.0 = Part("another");
        yields().await;
        drop(self.1);
        1
    }
}

#[test]
fn all_is_dropped_as_without_the_attribute() {
    let values = || (pair(["x", "y"]), Part("b"));
    for on in [false, true] {
        pprof_runtime::set_function_profile(on);
        compare();
        for polls in [0, 1, 9] {
            let (pair, part) = values();
            let plain = drops(pair.plain(part), polls);
            let (pair, part) = values();
            assert_eq!(drops(pair.annotated(part), polls), plain, "{polls}");
            let (pair, part) = values();
            let plain = drops(pair.plain_mut(part), polls);
            let (pair, part) = values();
            assert_eq!(drops(pair.annotated_mut(part), polls), plain, "{polls}");
        }
    }
}

/// The same for functions that are not `async`, of those kinds that are told where their body ends.
macro_rules! blocking_functions {
    ($(fn $name:ident($($argument:ident: $type:ty = $value:expr),*) $body:block)*) => {
        mod blocking {
            use super::*;
            $(pub(super) fn $name($($argument: $type),*) -> usize $body)*
        }
        mod counted {
            use super::*;
            $(#[pprof_runtime::profile(time = off)]
            pub(super) fn $name($($argument: $type),*) -> usize $body)*
        }
        mod sampled {
            use super::*;
            $(#[pprof_runtime::profile(time = sampled(2), alloc)]
            pub(super) fn $name($($argument: $type),*) -> usize $body)*
        }

        fn compare_blocking() {
            $(
                let plain = drops(async { blocking::$name($($value),*) }, 1);
                let counted = drops(async { counted::$name($($value),*) }, 1);
                assert_eq!(counted, plain, "{}", stringify!($name));
                for _ in 0..9 {
                    let sampled = drops(async { sampled::$name($($value),*) }, 1);
                    assert_eq!(sampled, plain, "{}", stringify!($name));
                }
            )*
        }
    };
}

blocking_functions! {
    fn block_uses(a: Part = Part("a"), b: Part = Part("b")) {
        let _local = Part("local");
        b.len() + a.len()
    }
    fn block_returns(a: Part = Part("a"), b: Part = Part("b")) {
        let _local = Part("local");
        if a.len() > 0 {
            return b.temporary().len();
        }
        0
    }
    fn block_panics(a: Part = Part("a"), b: Part = Part("b")) {
        let _local = Part("local");
        if b.len() > 0 {
            std::panic::resume_unwind(Box::new(()));
        }
        a.len()
    }
    fn block_ends_with_temporaries(a: Part = Part("a"), b: Part = Part("b")) {
        let local = Part("local");
        a.temporary().len() + local.temporary().len() + b.temporary().len()
    }
    fn block_ends_with_a_lock(m: Mutex<Part> = Mutex::new(Part("m")), b: Part = Part("b")) {
        let _local = Part("local");
        m.lock().unwrap().temporary().len() + b.len()
    }
}

#[test]
fn what_ends_early_is_dropped_as_without_the_attribute_too() {
    for on in [false, true] {
        pprof_runtime::set_function_profile(on);
        compare_blocking();
    }
}

#[pprof_runtime::profile]
async fn large(bytes: [u8; 4096], mut more: [u8; 4096]) -> u8 {
    more[0] += 1;
    yields().await;
    bytes[0] + more[0]
}

async fn plain_large(bytes: [u8; 4096], mut more: [u8; 4096]) -> u8 {
    more[0] += 1;
    yields().await;
    bytes[0] + more[0]
}

#[test]
fn arguments_are_not_in_a_future_once_more() {
    let of = |future: &dyn std::any::Any| std::mem::size_of_val(future);
    let (ours, plain) = (large([0; 4096], [0; 4096]), plain_large([0; 4096], [0; 4096]));
    let (ours, plain) = (of(&ours), of(&plain));
    assert!(ours < plain + 512, "{ours} for {plain} bytes");
}
