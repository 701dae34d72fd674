//! Over an allocator that knows what it gave: what it gets back is that, and nothing is missing in the end. For Miri too.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "objects are those that the allocator gave, with their layouts: to see that is the test"
)]

use std::alloc::System;
use std::collections::HashMap;
use std::sync::Mutex;

use super::*;

/// Every object with its layout; asserts that it is freed with it.
#[derive(Debug, Default)]
struct Strict(Mutex<HashMap<usize, Layout>>);

impl Strict {
    fn given(&self, object: *mut u8, layout: Layout) -> *mut u8 {
        self.0.lock().unwrap().insert(object.addr(), layout);
        object
    }

    fn taken(&self, object: *mut u8, layout: Layout) {
        assert_eq!(self.0.lock().unwrap().remove(&object.addr()), Some(layout));
    }
}

unsafe impl GlobalAlloc for Strict {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.given(unsafe { System.alloc(layout) }, layout)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.given(unsafe { System.alloc_zeroed(layout) }, layout)
    }

    unsafe fn dealloc(&self, object: *mut u8, layout: Layout) {
        self.taken(object, layout);
        unsafe { System.dealloc(object, layout) };
    }

    unsafe fn realloc(&self, object: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        self.taken(object, layout);
        let new_layout = Layout::from_size_align(new_size, layout.align()).unwrap();
        self.given(unsafe { System.realloc(object, layout, new_size) }, new_layout)
    }
}

#[test]
fn everything_goes_back_as_it_was_asked_for() {
    if cfg!(miri) {
        // Which has no stacks and reads no tables.
        TABLE.get_or_init(|| StackTable::new(64));
    } else {
        prepare();
    }
    let allocator = crate::Alloc::new(Strict::default());
    let rounds = if cfg!(miri) { 300 } else { 100_000 };
    // The second with blocks, as no object of the third may be at any address.
    for (rate, mask) in [(0, usize::MAX), (200, TAG - 1), (1, 0), (0, 0)] {
        MASK.store(mask, Ordering::Relaxed);
        countdown::set_rate(rate);
        let mut objects: Vec<(*mut u8, Layout)> = Vec::new();
        let mut random = 7_u64;
        for _ in 0..rounds {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = (random >> 33) as usize;
            let size = 1 + (number >> 4) % (1 << (number % 17));
            let layout = Layout::from_size_align(size, 1 << (number % 14)).unwrap();
            match number / 64 % 4 {
                _ if objects.len() < 20 => objects.push(made(&allocator, layout, number)),
                0 => objects.push(made(&allocator, layout, number)),
                1 => {
                    let index = number % objects.len();
                    let (object, layout) = objects[index];
                    let moved = unsafe { allocator.realloc(object, layout, size) };
                    let kept = layout.size().min(size) - 1;
                    if kept > 0 {
                        assert_eq!(unsafe { moved.read() }, layout.size() as u8);
                    }
                    let layout = Layout::from_size_align(size, layout.align()).unwrap();
                    objects[index] = (marked(moved, layout), layout);
                }
                _ => {
                    let (object, layout) = objects.swap_remove(number % objects.len());
                    freed(&allocator, object, layout);
                }
            }
        }
        for (object, layout) in objects {
            freed(&allocator, object, layout);
        }
    }
    countdown::set_rate(0);
    // What is left is what is kept: memory for samples.
    let left = allocator.inner().0.lock().unwrap();
    assert!(left.values().all(|layout| layout.align() == TAG), "{left:?}");
    assert!(live::all().is_empty());
    let counts = [&DROPPED, &ORPHANS].map(|count| count.load(Ordering::Relaxed));
    assert_eq!((counts, mismatches::count()), ([0; 2], 0));
}

fn marked(object: *mut u8, layout: Layout) -> *mut u8 {
    unsafe { object.write(layout.size() as u8) };
    unsafe { object.add(layout.size() - 1).write(layout.size() as u8) };
    object
}

fn made(allocator: &crate::Alloc<Strict>, layout: Layout, number: usize) -> (*mut u8, Layout) {
    let object = if number.is_multiple_of(3) {
        let object = unsafe { allocator.alloc_zeroed(layout) };
        assert_eq!(unsafe { (object.read(), object.add(layout.size() - 1).read()) }, (0, 0));
        object
    } else {
        unsafe { allocator.alloc(layout) }
    };
    assert!(object.addr().is_multiple_of(layout.align()));
    (marked(object, layout), layout)
}

fn freed(allocator: &crate::Alloc<Strict>, object: *mut u8, layout: Layout) {
    assert_eq!(unsafe { object.read() }, layout.size() as u8);
    unsafe { allocator.dealloc(object, layout) };
}

#[test]
fn sizes_are_rounded_up_to_a_class() {
    for (size, rounded) in
        [(1, 1), (15, 15), (16, 16), (17, 18), (24, 24), (100, 104), (1024, 1024), (1025, 1152)]
    {
        assert_eq!(size_of_class(class(size)), rounded);
    }
    let all = if cfg!(miri) { 1..2000 } else { 1..100_000 };
    for size in all.chain([1 << 40, (1 << 46) - 1, (1 << 46) + 1]) {
        let (rounded, class) = (size_of_class(class(size)) as usize, class(size));
        assert!(size <= rounded && rounded <= size + size / 8, "{size}: {rounded}");
        assert!(class < 1 << CLASS_BITS);
        assert_eq!(size_of_class(self::class(rounded)) as usize, rounded);
    }
}
