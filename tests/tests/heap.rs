//! The `heap` and `allocs` profiles at rate 1: every allocation, exactly.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "objects are those that the allocator gave, with their layouts: to see that is the test"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::{Mutex, PoisonError};

use pprof_runtime::{Alloc, lookup, set_mem_profile_rate};
use pprof_tests::values_of;

#[global_allocator]
static ALLOCATOR: Alloc<System> = Alloc::new(System);

/// The profile is the process's.
fn alone<T>(test: impl FnOnce() -> T) -> T {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    set_mem_profile_rate(1);
    let result = test();
    set_mem_profile_rate(0);
    result
}

/// Objects and bytes allocated, and in use, by the stacks with this function.
fn of(function: &str) -> [i64; 4] {
    values_of(&lookup("heap").unwrap().snapshot().unwrap(), function)
}

#[expect(clippy::vec_box, reason = "many objects are to be counted")]
#[inline(never)]
fn makes_boxes(count: usize) -> Vec<Box<[u8; 24]>> {
    let mut boxes = Vec::with_capacity(count);
    (0..count).for_each(|_| boxes.push(Box::new([7; 24])));
    black_box(boxes)
}

#[test]
fn every_object_is_counted_and_its_end_too() {
    alone(|| {
        let boxes = makes_boxes(1000);
        assert_eq!(of("makes_boxes"), [1001, 24_000 + 8_000, 1001, 32_000]);
        drop(boxes);
        assert_eq!(of("makes_boxes"), [1001, 32_000, 0, 0]);
    });
}

#[inline(never)]
fn grows() -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::with_capacity(100);
    bytes.resize(100, 3);
    bytes.reserve_exact(900);
    bytes.resize(1000, 4);
    bytes.truncate(500);
    bytes.shrink_to_fit();
    black_box(bytes)
}

#[test]
fn what_grows_is_freed_and_made_anew() {
    alone(|| {
        let bytes = grows();
        assert!(bytes.iter().take(100).all(|b| *b == 3) && bytes.iter().skip(100).all(|b| *b == 4));
        assert_eq!(of("heap::grows"), [3, 1600, 1, 500]);
        drop(bytes);
        assert_eq!(of("heap::grows")[2..], [0, 0]);
    });
}

#[inline(never)]
fn of_all_layouts(work: impl Fn(Layout)) {
    let mut align = 1;
    while align <= 64 * 1024 {
        for size in [1, 7, 24, 100, 4095, 4096, 5000, 32 * 1024, 1 << 20] {
            work(Layout::from_size_align(size, align).unwrap());
        }
        align *= 2;
    }
    for megabytes in [16, 64, 256] {
        work(Layout::from_size_align(megabytes << 20, 1).unwrap());
    }
    // The last call would be no call, but a jump.
    black_box(());
}

#[test]
fn every_layout_is_kept_and_zero_is_zero() {
    alone(|| {
        of_all_layouts(|layout| unsafe {
            let object = ALLOCATOR.alloc(layout);
            assert!(!object.is_null() && object.addr().is_multiple_of(layout.align()));
            object.write_bytes(0xab, layout.size());
            ALLOCATOR.dealloc(object, layout);
            let object = ALLOCATOR.alloc_zeroed(layout);
            assert!(object.addr().is_multiple_of(layout.align()));
            let step = (layout.size() / 4096).max(1);
            assert!((0..layout.size()).step_by(step).all(|at| object.add(at).read() == 0));
            object.write(5);
            let grown = ALLOCATOR.realloc(object, layout, layout.size() + 9000);
            assert!(grown.read() == 5 && grown.addr().is_multiple_of(layout.align()));
            let layout = Layout::from_size_align(layout.size() + 9000, layout.align()).unwrap();
            let shrunk = ALLOCATOR.realloc(grown, layout, 1);
            assert_eq!(shrunk.read(), 5);
            ALLOCATOR.dealloc(shrunk, Layout::from_size_align(1, layout.align()).unwrap());
        });
        let [objects, bytes, in_use, in_use_bytes] = of("of_all_layouts");
        assert_eq!((objects, in_use, in_use_bytes), (4 * (17 * 9 + 3), 0, 0));
        let sizes =
            17 * (1 + 7 + 24 + 100 + 4095 + 4096 + 5000 + 32 * 1024 + (1 << 20)) + (336 << 20);
        assert_eq!(bytes, 3 * sizes + (9000 + 1) * objects / 4);
    });
}
