//! The `heap` profile where something is wrong: C code that frees what is ours, other layouts at the end, and memory that there is none of.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use pprof_runtime::{Alloc, mem_profile_rate, set_mem_profile_rate};
use pprof_tests::heap::{
    DROPPED, MISMATCHES, ORPHANS, Object, RATES, counted, in_a_process_of_its_own, of, random_size,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

#[global_allocator]
static ALLOCATOR: Alloc<System> = Alloc::new(System);

// What C code frees.

#[inline(never)]
fn makes_for_c(random: &mut StdRng) -> Object {
    const SIZES: [usize; 6] = [24, 200, 900, 3000, 10_000, 40_000];
    let layout = Layout::from_size_align(SIZES[random.gen_range(0..SIZES.len())], 1).unwrap();
    Object::new(&ALLOCATOR, layout, 3).expect("there is memory")
}

/// As C code does that was given it.
fn free_by_c(object: Object) {
    // SAFETY: `System` is C's `malloc`.
    unsafe { libc::free(object.address.cast()) };
}

/// Samples that C code frees are others' memory afterwards, of which the profile must not believe that it knows anything.
#[test]
fn c_code_frees_samples() {
    in_a_process_of_its_own("c_code_frees_samples", 0, || {
        for rate in RATES {
            set_mem_profile_rate(rate);
            let before = [ORPHANS, MISMATCHES].map(counted);
            let mut random = StdRng::from_entropy();
            for _ in 0..40 {
                // A sixth of these and more are samples.
                let objects: Vec<Object> = (0..500).map(|_| makes_for_c(&mut random)).collect();
                objects.into_iter().for_each(free_by_c);
                use_memory(&mut random);
            }
            let after = [ORPHANS, MISMATCHES].map(counted);
            println!("at {rate}: orphans and mismatches {before:?} to {after:?}");
            assert!(after[0] > before[0], "at {rate}");
            assert!(after.iter().sum::<u64>() > before.iter().sum::<u64>() + 100, "at {rate}");
        }
    });
}

/// Objects of all sizes, many of them at addresses where the blocks of small samples are.
fn use_memory(random: &mut StdRng) {
    let mut objects = Vec::new();
    for _ in 0..500 {
        let align = [1, 16, 4096][random.gen_range(0..3)];
        let layout = Layout::from_size_align(random_size(random, 64 * 1024), align).unwrap();
        objects.push(Object::new(&ALLOCATOR, layout, random.r#gen()).expect("there is memory"));
    }
    for object in &mut objects {
        assert!(object.resize(&ALLOCATOR, random_size(random, 64 * 1024)));
        assert!(object.resize(&ALLOCATOR, random_size(random, 64 * 1024)));
    }
    objects.into_iter().for_each(|object| object.free(&ALLOCATOR));
}

// What is not as it should be.

#[test]
fn the_programs_own_rate_comes_back() {
    in_a_process_of_its_own("the_programs_own_rate_comes_back", 0, || {
        for (name, value) in [("PPROF", "heap=1,leaks=2"), ("PPROF_OUT", "/dev/null")] {
            // SAFETY: no other thread of this process looks at the environment.
            unsafe { std::env::set_var(name, value) };
        }
        set_mem_profile_rate(4096);
        let guard = pprof_runtime::env::start().unwrap();
        assert_eq!(mem_profile_rate(), 1);
        assert_eq!(guard.stop().unwrap().len(), 0);
        assert_eq!(mem_profile_rate(), 4096);
    });
}

#[test]
fn a_watch_ends_in_a_forked_child_too() {
    in_a_process_of_its_own("a_watch_ends_in_a_forked_child_too", 0, || {
        set_mem_profile_rate(64 * 1024);
        let watches = [(); 2].map(|()| pprof_runtime::heap::watch(1 << 40, |_| ()).unwrap());
        // SAFETY: the child ends with `_exit`.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            // SAFETY: ends a child that waits for what never comes.
            unsafe { libc::alarm(60) };
            drop(watches);
            // SAFETY: ends this process without running what is the parent's.
            unsafe { libc::_exit(7) };
        }
        let mut status = 0;
        // SAFETY: our child; `status` is a local.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7, "{status:#x}");
    });
}

#[inline(never)]
fn makes_and_frees_as_another(layout: Layout, as_layout: Layout) {
    for _ in 0..1000 {
        let object = Object::new(&ALLOCATOR, layout, 1).expect("there is memory");
        Object { layout: as_layout, ..object }.free(&ALLOCATOR);
    }
}

#[test]
fn another_layout_at_the_end_is_counted() {
    in_a_process_of_its_own("another_layout_at_the_end_is_counted", 0, || {
        let layout = |size, align| Layout::from_size_align(size, align).unwrap();
        let pairs = [
            (layout(10_000, 8), layout(9000, 8)),
            (layout(200, 8), layout(30, 8)),
            (layout(200, 8), layout(200, 4)),
        ];
        for rate in [4096 * 16, 4096, 1] {
            set_mem_profile_rate(rate);
            let before = counted(MISMATCHES);
            pairs.iter().for_each(|(made, freed)| makes_and_frees_as_another(*made, *freed));
            let mismatches = counted(MISMATCHES) - before;
            println!("at {rate}: {mismatches}");
            match rate {
                1 => assert_eq!(mismatches, 3000),
                _ => assert!(mismatches > 0 && mismatches < 3000),
            }
            assert_eq!(of("makes_and_frees_as_another")[2..], [0, 0]);
        }
        assert_eq!(counted(ORPHANS), 0);
    });
}

/// The system's, while it wants to be.
struct Reluctant(AtomicU32);

const WILLING: u32 = 0;
/// Refuses what is aligned to 4 KiB and more.
const UNALIGNED: u32 = 1;
/// Refuses everything, but to make an object smaller.
const SMALLER: u32 = 2;

impl Reluctant {
    fn refuses(&self, layout: Layout) -> bool {
        match self.0.load(Ordering::Relaxed) {
            WILLING => false,
            UNALIGNED => layout.align() >= 4096,
            _ => true,
        }
    }
}

// SAFETY: the system's, or null.
unsafe impl GlobalAlloc for Reluctant {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        if self.refuses(layout) { ptr::null_mut() } else { unsafe { System.alloc(layout) } }
    }

    unsafe fn dealloc(&self, object: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(object, layout) };
    }

    unsafe fn realloc(&self, object: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > layout.size() && self.refuses(layout) {
            return ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.realloc(object, layout, size) }
    }
}

static RELUCTANT: Alloc<Reluctant> = Alloc::new(Reluctant(AtomicU32::new(WILLING)));

fn be(mood: u32) {
    RELUCTANT.inner().0.store(mood, Ordering::Relaxed);
}

const MIDDLE: usize = 16 * 1024;

/// Into a list whose own memory is not made here.
#[inline(never)]
fn makes_reluctantly(into: &mut Vec<Object>) {
    let layout = Layout::from_size_align(MIDDLE, 8).unwrap();
    for _ in 0..500 {
        into.extend(Object::new(&RELUCTANT, layout, 4));
    }
}

#[inline(never)]
fn resizes_reluctantly(objects: &mut [Object], size: usize) -> usize {
    objects.iter_mut().filter_map(|o| o.resize(&RELUCTANT, size).then_some(())).count()
}

fn free_all(objects: &mut Vec<Object>) {
    objects.drain(..).for_each(|object| object.free(&RELUCTANT));
    assert_eq!(of("reluctantly")[2..], [0, 0]);
}

/// There is no memory only if there were none without the profile.
#[test]
fn memory_is_refused_only_if_there_is_none() {
    in_a_process_of_its_own("memory_is_refused_only_if_there_is_none", 0, || {
        let mut objects = Vec::with_capacity(500);
        for rate in RATES {
            set_mem_profile_rate(rate);
            be(WILLING);
            makes_reluctantly(&mut objects);
            let made = of("makes_reluctantly");
            assert!(made[2] > 0);
            be(SMALLER);
            makes_reluctantly(&mut objects);
            assert_eq!(objects.len(), 500, "no more");
            assert_eq!(resizes_reluctantly(&mut objects, 2 * MIDDLE), 0);
            assert_eq!(of("makes_reluctantly"), made, "all are there still, and no more");
            assert_eq!(resizes_reluctantly(&mut objects, MIDDLE - 1), 500);
            assert_eq!(resizes_reluctantly(&mut objects, 100), 500);
            assert_eq!(resizes_reluctantly(&mut objects, 2 * MIDDLE), 0);
            be(UNALIGNED);
            assert_eq!(resizes_reluctantly(&mut objects, 2 * MIDDLE), 500);
            free_all(&mut objects);

            // Samples are known there, too, where no memory tells them.
            let before = of("makes_reluctantly");
            makes_reluctantly(&mut objects);
            assert_eq!(objects.len(), 500);
            let made = of("makes_reluctantly");
            // Sums are cut to whole objects.
            let made_now = made[0] - before[0];
            assert!(made[2] > 0 && made_now.abs_diff(made[2]) <= 1, "{before:?} {made:?}");
            assert_eq!(resizes_reluctantly(&mut objects, 2 * MIDDLE - 1), 500);
            assert_eq!(resizes_reluctantly(&mut objects, MIDDLE), 500);
            free_all(&mut objects);
        }
        assert_eq!([ORPHANS, MISMATCHES, DROPPED].map(counted), [0; 3]);
    });
}
