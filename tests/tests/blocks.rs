//! `#[profile]` on blocks, and on functions that return futures: each call is counted, and counted once. One process, as the recorder is
//! the process's.
#![deny(clippy::items_after_statements)]

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use pprof_runtime::profile;
use pprof_tests::{YieldOnce, sum};

#[profile]
mod service {
    pub(crate) fn free() -> u32 {
        const NONE: u32 = 0;
        inner::deep() + NONE
    }

    #[profile(skip)]
    pub(crate) fn skipped() -> u32 {
        helper()
    }

    const fn constant() -> u32 {
        const ONE: u32 = 1;
        ONE
    }

    fn helper() -> u32 {
        constant()
    }

    pub(crate) mod inner {
        pub(crate) fn deep() -> u32 {
            Worker(2).shared()
        }

        pub(crate) struct Worker(pub(crate) u32);

        impl Worker {
            pub(crate) fn shared(&self) -> u32 {
                self.0
            }

            #[profile(name = "chosen name")]
            pub(crate) fn named(&self) -> u32 {
                self.0
            }
        }

        pub(crate) trait Run {
            fn input(&self) -> u32;

            fn run(&self) -> u32 {
                self.input() + 1
            }
        }

        impl Run for Worker {
            fn input(&self) -> u32 {
                self.0
            }
        }

        #[profile(skip)]
        impl Drop for Worker {
            fn drop(&mut self) {}
        }
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn is_a_test_all_the_same() {
            assert_eq!(super::constant(), 1);
        }
    }
}

struct Slow;

async fn work(ms: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(ms));
    YieldOnce::default().await;
    std::thread::sleep(Duration::from_millis(ms));
    ms
}

#[profile]
impl Slow {
    fn returned(&self, ms: u64) -> impl Future<Output = u64> + Send {
        async move { work(ms).await }
    }

    fn handed_on(&self, ms: u64) -> impl Future<Output = u64> {
        let twice = ms * 2;
        work(twice - ms)
    }

    fn pinned<'a>(&'a self, ms: u64) -> Pin<Box<dyn Future<Output = u64> + Send + 'a>> {
        Box::pin(async move { work(ms).await })
    }

    fn boxed(&self, ms: u64) -> BoxFuture<'_, u64> {
        async move { work(ms).await }.boxed()
    }

    fn early(&self, ms: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
        if ms == 2 {
            return Box::pin(work(2));
        }
        Box::pin(async move { work(ms).await })
    }

    fn one_of_two(&self, ms: u64) -> impl Future<Output = u64> {
        if ms == 0 {
            return work(1);
        }
        work(ms)
    }
}

/// What a macro such as `async_trait` makes of an async method.
trait Boxed {
    #[profile]
    fn later<'life, 'trait_>(
        &'life self,
        ms: u64,
    ) -> ::core::pin::Pin<
        Box<dyn ::core::future::Future<Output = u64> + ::core::marker::Send + 'trait_>,
    >
    where
        'life: 'trait_,
        Self: 'trait_,
    {
        Box::pin(async move {
            if let ::core::option::Option::Some(ret) = ::core::option::Option::None::<u64> {
                #[allow(unreachable_code)]
                return ret;
            }
            let ret: u64 = { work(ms).await };
            #[allow(unreachable_code)]
            ret
        })
    }
}

impl Boxed for Slow {}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

#[test]
fn every_call_in_a_block_is_counted_once() {
    use service::inner::{Run, Worker};
    pprof_runtime::set_function_profile(true);
    let snapshot = || pprof_runtime::lookup("functions").unwrap().snapshot().unwrap();
    let before = snapshot();
    for _ in 0..3 {
        assert_eq!(service::free() + service::skipped(), 3);
        assert_eq!(Worker(4).named() + Worker(4).run(), 9);
    }
    let slow = Slow;
    for ms in [2, 3] {
        assert_eq!(block_on(slow.returned(ms)), ms);
        assert_eq!(block_on(slow.handed_on(ms)), ms);
        assert_eq!(block_on(slow.pinned(ms)), ms);
        assert_eq!(block_on(slow.boxed(ms)), ms);
        assert_eq!(block_on(slow.early(ms)), ms);
        assert_eq!(block_on(slow.one_of_two(ms)), ms);
        assert_eq!(block_on(slow.later(ms)), ms);
    }
    // Made, and never polled.
    drop(slow.returned(1));
    let after = snapshot();
    let grown = |column: usize, name: &str| {
        let leaf_is = |names: &[&str]| names.first().is_some_and(|leaf| leaf.ends_with(name));
        sum(after.proto(), column, leaf_is) - sum(before.proto(), column, leaf_is)
    };
    for (name, calls) in [
        ("service::free", 3),
        ("service::helper", 3),
        ("service::skipped", 0),
        ("service::constant", 0),
        ("inner::deep", 3),
        ("Worker::shared", 3),
        ("chosen name", 3),
        ("Run::run", 3),
        ("::input", 3),
        ("::drop", 0),
        ("::returned", 2),
        ("::handed_on", 2),
        ("::pinned", 2),
        ("::boxed", 2),
        ("Slow::early", 2),
        ("::one_of_two", 2),
        ("::later", 2),
    ] {
        let stacks = pprof_tests::stacks(after.proto());
        assert_eq!(grown(0, name), calls, "{name}: {stacks:?}");
    }
    for name in ["::returned", "::handed_on", "::pinned", "::boxed", "Slow::early", "::later"] {
        assert!(grown(1, name) >= 10_000_000, "{name}: the time of its polls: {}", grown(1, name));
    }
}
