//! What functions with the option `alloc` allocate: exactly, for the function that runs. One process, as the recorder is the process's.

use std::alloc::System;
use std::future::Future;
use std::hint::black_box;
use std::panic::catch_unwind;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use pprof_runtime::{Alloc, profile};
use pprof_tests::{YieldOnce, column, functions_of, stacks, sum};

#[global_allocator]
static ALLOCATOR: Alloc<System> = Alloc::new(System);

/// Objects and bytes of the path that begins with these names, leaf first.
fn allocated(profile: &pprof_format::Profile, path: &[&str]) -> [i64; 2] {
    ["alloc_objects", "alloc_space"].map(|ty| {
        let is_it = |names: &[&str]| {
            names.len() == path.len() && names.iter().zip(path).all(|(n, end)| n.ends_with(end))
        };
        column(profile, ty).map_or(0, |column| sum(profile, column, is_it))
    })
}

fn allocate(bytes: usize) {
    drop(black_box(Vec::<u8>::with_capacity(bytes)));
}

#[profile(alloc)]
fn outer(calls: usize) {
    allocate(100);
    for _ in 0..calls {
        inner();
        uncounted();
    }
    allocate(1);
}

#[profile(alloc, time = off)]
fn inner() {
    allocate(10);
    let mut grows = Vec::<u8>::with_capacity(20);
    grows.reserve_exact(30);
    black_box(grows);
}

#[profile]
fn uncounted() {
    allocate(7);
}

#[test]
fn objects_are_of_the_function_that_counts_them() {
    let profile = functions_of(|| {
        allocate(5);
        outer(3);
        allocate(5);
        uncounted();
    });
    assert_eq!(allocated(&profile, &["::outer"]), [2 + 3, 101 + 3 * 7], "{:?}", stacks(&profile));
    assert_eq!(allocated(&profile, &["::inner", "::outer"]), [3 * 3, 3 * 60]);
    assert_eq!(allocated(&profile, &["::uncounted", "::outer"]), [0, 0]);
    assert_eq!(allocated(&profile, &["::uncounted"]), [0, 0]);
}

#[profile(alloc)]
fn panics(bytes: usize) {
    allocate(bytes);
    // Without a message, which would be allocated.
    std::panic::resume_unwind(Box::new(()));
}

#[profile(alloc)]
fn recurses(depth: usize) {
    allocate(depth);
    if depth > 1 {
        recurses(depth - 1);
    }
    allocate(depth);
}

#[test]
fn panics_and_recursion_end_what_they_began() {
    let profile = functions_of(|| {
        for _ in 0..10 {
            catch_unwind(|| panics(100)).unwrap_err();
            allocate(1000);
        }
        recurses(5);
    });
    let [objects, bytes] = allocated(&profile, &["::panics"]);
    // What unwinding allocates is the function's as well, and depends on the compiler.
    assert!((10..=40).contains(&objects) && (1000..3000).contains(&bytes), "{objects} {bytes}");
    assert_eq!(allocated(&profile, &["::recurses"; 1]), [2, 10]);
    assert_eq!(allocated(&profile, &["::recurses"; 5]), [2, 2]);
}

#[profile(alloc)]
async fn waits() {
    allocate(100);
    YieldOnce::default().await;
    allocate(200);
}

#[profile(alloc)]
async fn waits_for_it() {
    allocate(1);
    waits().await;
    allocate(2);
}

#[test]
fn futures_count_while_they_are_polled() {
    let profile = functions_of(|| {
        let mut context = Context::from_waker(Waker::noop());
        let mut future = pin!(waits_for_it());
        assert!(future.as_mut().poll(&mut context).is_pending());
        allocate(5000);
        assert_eq!(future.as_mut().poll(&mut context), Poll::Ready(()));
        allocate(5000);
    });
    assert_eq!(allocated(&profile, &["::waits_for_it"]), [2, 3]);
    assert_eq!(allocated(&profile, &["::waits", "::waits_for_it"]), [2, 300]);
}

#[test]
fn threads_count_for_themselves_with_the_heap_profile_on_too() {
    for rate in [0, 1, 512 * 1024] {
        pprof_runtime::set_mem_profile_rate(rate);
        let profile = functions_of(|| {
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| (0..1000).for_each(|_| inner()));
                }
            });
        });
        assert_eq!(allocated(&profile, &["::inner"]), [4 * 3000, 4 * 60_000], "{rate}");
    }
    pprof_runtime::set_mem_profile_rate(0);
}

#[profile(alloc)]
fn ends_the_thread() {
    struct AtEnd;
    impl Drop for AtEnd {
        fn drop(&mut self) {
            inner();
            allocate(50);
        }
    }
    thread_local!(static AT_END: AtEnd = const { AtEnd });
    AT_END.with(|_| allocate(3));
}

#[test]
fn at_the_end_of_a_thread_nothing_is_counted_for_what_is_gone() {
    let profile = functions_of(|| {
        std::thread::spawn(ends_the_thread).join().unwrap();
    });
    let [objects, bytes] = allocated(&profile, &["::ends_the_thread"]);
    assert!(objects >= 1 && bytes >= 3, "{objects} {bytes}");
    assert!(allocated(&profile, &["::inner"])[0] <= 3);
}

#[profile(alloc)]
mod block {
    pub(crate) fn makes() -> Box<u64> {
        std::hint::black_box(Box::new(1))
    }
}

#[test]
fn a_block_hands_the_option_down_and_the_table_shows_it() {
    let mut table = String::new();
    let profile = functions_of(|| {
        drop(block::makes());
        table = pprof_runtime::report::table().to_string();
    });
    assert_eq!(allocated(&profile, &["::makes"]), [1, 8]);
    let head: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(head[4..], ["allocs", "bytes", "function"], "{table}");
}
