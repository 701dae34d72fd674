//! The `heap` profile at rates above 1: estimates, and how far they may be from the truth.
//!
//! An object of `size` bytes is a sample with the chance p = 1 - e^(-size/rate), and stands for 1/p objects. So the estimate of `count` such
//! objects has the variance count * (1-p)/p, that of their bytes size² times that; of small objects of B bytes in all, sqrt(rate/B) is the
//! relative standard deviation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::ptr;

use pprof_runtime::{Alloc, lookup, set_mem_profile_rate};
use pprof_tests::values_of;

#[global_allocator]
static ALLOCATOR: Alloc<System> = Alloc::new(System);

/// Standard deviations that an estimate may be off. Some 50 of them are looked at, of normal distribution nearly: at six, one run in ten
/// million would fail by chance; at seven it is less than one in 10^9, also where some hundred samples make the upper tail thicker.
const SIGMAS: f64 = 7.0;

/// One after the other: the profile is the process's, and below 64 KiB objects are told from others in another way, for good.
#[test]
fn estimates_are_unbiased() {
    sizes_of_one_stack_do_not_mix();
    rates_change_while_objects_live();
    a_threads_first_allocation_is_not_favoured();
    what_follows_a_profile_is_not_favoured();
    interleaved_sites_share_nothing(512 * 1024);
    rates_change_to_one_that_looks_at_every_object();
    interleaved_sites_share_nothing(16 * 1024);
    sizes_of_one_stack_do_not_mix();
}

/// Objects and bytes allocated, and in use, by the stacks with this function.
fn of(function: &str) -> [i64; 4] {
    values_of(&lookup("heap").unwrap().snapshot().unwrap(), function)
}

/// An object that is not touched.
fn allocate(size: usize) -> *mut u8 {
    let layout = Layout::from_size_align(size, 1).unwrap();
    // SAFETY: the size is not zero.
    let object = unsafe { ALLOCATOR.alloc(layout) };
    assert!(!object.is_null());
    black_box(object)
}

fn free((object, size): (*mut u8, usize)) {
    let layout = Layout::from_size_align(size, 1).unwrap();
    // SAFETY: of `allocate`, with that size, and freed once.
    unsafe { ALLOCATOR.dealloc(object, layout) };
}

/// Objects that there were.
#[derive(Clone, Copy, Default)]
struct Truth {
    count: f64,
    bytes: f64,
    /// Of the estimates of both.
    variance: [f64; 2],
}

impl Truth {
    fn add(&mut self, size: usize, rate: u64, count: f64) {
        let size = size as f64;
        let p = -(-size / rate as f64).exp_m1();
        self.count += count;
        self.bytes += count * size;
        self.variance[0] += count * (1.0 - p) / p;
        self.variance[1] += count * size * size * (1.0 - p) / p;
    }

    #[track_caller]
    fn assert_is_near(&self, [objects, bytes]: [i64; 2], what: &str) {
        let sigmas = [objects as f64 - self.count, bytes as f64 - self.bytes];
        // One of either for cutting.
        let sigmas = [0, 1].map(|i| sigmas[i].abs() / (self.variance[i].sqrt() + 1.0));
        println!(
            "{what}: {objects} of {} objects, {bytes} of {} bytes: {sigmas:.2?} sigma",
            self.count, self.bytes
        );
        assert!(sigmas.iter().all(|sigma| *sigma < SIGMAS), "{what}: see above");
    }
}

/// Between two looks at the profile.
#[track_caller]
fn assert_near(before: [i64; 4], after: [i64; 4], made: &Truth, in_use: &Truth, what: &str) {
    let change = [0, 1, 2, 3].map(|column| after[column] - before[column]);
    made.assert_is_near([change[0], change[1]], what);
    in_use.assert_is_near([change[2], change[3]], &format!("{what}, in use"));
}

/// Random enough to choose sizes by. Splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ (bits >> 31)) % end as u64) as usize
    }
}

struct Site {
    name: &'static str,
    size: usize,
    churn: fn(),
}

/// A function for each size.
macro_rules! sites {
    ($($name:ident: $size:expr,)*) => {
        $(#[inline(never)]
        fn $name() {
            free((allocate($size), $size));
        })*
        const SITES: &[Site] = &[$(Site { name: stringify!($name), size: $size, churn: $name },)*];
    };
}

sites! {
    makes_64_kib: 64 * 1024,
    makes_1_kib: 1024,
    makes_32_kib: 32 * 1024,
    makes_512: 512,
    makes_16_kib: 16 * 1024,
    makes_256: 256,
}

/// Which is to be a sample must not depend on what else is allocated: Go's #12620, and #26618 for objects larger than the rate.
fn interleaved_sites_share_nothing(rate: u64) {
    set_mem_profile_rate(rate);
    let all: Vec<&Site> = SITES.iter().collect();
    let small: Vec<&Site> = SITES.iter().filter(|site| site.size <= 1024).collect();
    for sites in [all, small] {
        // The total is the last.
        let mut missed = vec![[true; 2]; sites.len() + 1];
        for _ in 0..3 {
            for (line, [low, high]) in missed.iter_mut().zip(experiment(rate, &sites)) {
                *line = [line[0] && low, line[1] && high];
            }
            if missed.iter().all(|[low, high]| !low && !high) {
                break;
            }
        }
        // A line of 1200 samples is off by 10 %, to one side, with the chance 2.7e-4 (3.46 sigma): three times with 2e-11, and there are 40.
        assert!(missed.iter().all(|[low, high]| !low && !high), "at {rate}: {missed:?}");
    }
    set_mem_profile_rate(0);
}

/// Whether each site's estimate is too low by 10 %, or too high.
fn experiment(rate: u64, sites: &[&Site]) -> Vec<[bool; 2]> {
    let read = || sites.iter().map(|site| of(site.name)).collect::<Vec<_>>();
    let least = sites.iter().map(|site| site.size).min().unwrap();
    let rounds = 1200 * rate / least as u64;
    let before = read();
    for _ in 0..rounds {
        sites.iter().for_each(|site| (site.churn)());
    }
    let after = read();
    let (mut total, mut truth) = ([0; 2], [0; 2]);
    let mut missed = Vec::new();
    let mut look = |name: &str, found: [i64; 2], truth: [i64; 2]| {
        let ratios = [0, 1].map(|column| found[column] as f64 / truth[column] as f64);
        println!("{name} at {rate}: {ratios:.3?} of the truth");
        missed.push([
            ratios.iter().any(|ratio| *ratio < 0.9),
            ratios.iter().any(|ratio| *ratio > 1.1),
        ]);
    };
    for (site, (before, after)) in sites.iter().zip(before.into_iter().zip(after)) {
        let found = [after[0] - before[0], after[1] - before[1]];
        let made = [rounds as i64, rounds as i64 * site.size as i64];
        look(site.name, found, made);
        assert_eq!([after[2], after[3]], [0, 0], "{}: all are freed", site.name);
        for column in [0, 1] {
            total[column] += found[column];
            truth[column] += made[column];
        }
    }
    look("all of them", total, truth);
    missed
}

/// Two of these are of one class, of sizes that a profile tells apart: sums are of estimates, not estimates of sums.
const MIXED: [(usize, usize); 6] = [
    (64, 1_000_000),
    (1000, 100_000),
    (1024, 100_000),
    (8192, 20_000),
    (40_000, 4000),
    (1 << 20, 300),
];

#[inline(never)]
fn makes_all_sizes(rate: u64, kept: &mut Vec<(*mut u8, usize)>) -> [Truth; 2] {
    let (mut random, mut truth) = (Random(rate), [Truth::default(); 2]);
    let mut left = MIXED.map(|(_, count)| count);
    loop {
        let all: usize = left.iter().sum();
        if all == 0 {
            return truth;
        }
        // So that they are used up together.
        let mut number = random.below(all);
        let index = left.iter().position(|count| {
            let is_it = number < *count;
            number = number.saturating_sub(*count);
            is_it
        });
        let index = index.unwrap();
        left[index] -= 1;
        let size = MIXED[index].0;
        let object = (allocate(size), size);
        truth[0].add(size, rate, 1.0);
        if random.below(4) == 0 {
            truth[1].add(size, rate, 1.0);
            kept.push(object);
        } else {
            free(object);
        }
    }
}

fn sizes_of_one_stack_do_not_mix() {
    const RATE: u64 = 64 * 1024;
    set_mem_profile_rate(RATE);
    let mut kept = Vec::with_capacity(MIXED.iter().map(|(_, count)| count).sum());
    let before = of("makes_all_sizes");
    let [made, in_use] = makes_all_sizes(RATE, &mut kept);
    assert_near(before, of("makes_all_sizes"), &made, &in_use, "all sizes");
    kept.drain(..).for_each(free);
    assert_eq!(of("makes_all_sizes")[2..], [0, 0]);
    set_mem_profile_rate(0);
}

const RATE_SIZES: [usize; 3] = [1000, 5000, 40_000];

/// So many bytes of each size.
#[inline(never)]
fn makes_at_some_rate(bytes: usize, kept: &mut Vec<(*mut u8, usize)>) {
    for size in RATE_SIZES {
        (0..bytes / size).for_each(|_| kept.push((allocate(size), size)));
    }
}

/// Makes objects at each of these rates and lets go of a third of those that there are, whatever rate they were made at.
fn through_rates(rates: &[u64]) {
    let before = of("makes_at_some_rate");
    let (mut kept, mut alive) = (Vec::new(), Vec::new());
    let (mut made, mut random) = (Truth::default(), Random(rates.len() as u64));
    for rate in rates {
        // A hundred samples of each size, and more: fewer would be too far from the normal distribution.
        let bytes = 128 * (*rate).max(64 * 1024) as usize;
        let room = RATE_SIZES.iter().map(|size| bytes / size).sum();
        kept.reserve(room);
        alive.reserve(room);
        set_mem_profile_rate(*rate);
        makes_at_some_rate(bytes, &mut kept);
        alive.extend(kept.drain(..).map(|object| (object, *rate)));
        // What is made while the profile is off is not in it, and is freed with the others.
        if *rate != 0 {
            RATE_SIZES.iter().for_each(|size| made.add(*size, *rate, (bytes / size) as f64));
        }
        for _ in 0..alive.len() / 3 {
            free(alive.swap_remove(random.below(alive.len())).0);
        }
        let mut in_use = Truth::default();
        for ((_, size), rate) in alive.iter().filter(|(_, rate)| *rate != 0) {
            in_use.add(*size, *rate, 1.0);
        }
        assert_near(before, of("makes_at_some_rate"), &made, &in_use, &format!("to {rate}"));
    }
    alive.drain(..).for_each(|(object, _)| free(object));
    assert_eq!(of("makes_at_some_rate")[2..], [0, 0], "all are freed");
    set_mem_profile_rate(0);
}

fn rates_change_while_objects_live() {
    const K: u64 = 1024;
    through_rates(&[64 * K, 512 * K, 64 * K, 0, 64 * K, 128 * K]);
}

/// Those that are told by their addresses are alive when addresses cease to tell.
fn rates_change_to_one_that_looks_at_every_object() {
    const K: u64 = 1024;
    through_rates(&[64 * K, 4 * K, 64 * K, 0, 1, 512 * K, 64 * K]);
}

extern "C" fn makes_its_first_object(_: *mut libc::c_void) -> *mut libc::c_void {
    free((allocate(FIRST_SIZE), FIRST_SIZE));
    ptr::null_mut()
}

const FIRST_SIZE: usize = 16 * 1024;

/// Nor is it neglected, or the same in all threads: they are at few addresses, and are made one right after the other. Not by std, which
/// allocates in each thread.
fn a_threads_first_allocation_is_not_favoured() {
    const RATE: u64 = 64 * 1024;
    const AT_ONCE: usize = 8;
    const ROUNDS: usize = 500;
    set_mem_profile_rate(RATE);
    let before = of("makes_its_first_object");
    for _ in 0..ROUNDS {
        let make = |()| {
            let mut id = 0;
            // SAFETY: a function of that type, which uses no argument.
            let made = unsafe {
                libc::pthread_create(&mut id, ptr::null(), makes_its_first_object, ptr::null_mut())
            };
            assert_eq!(made, 0);
            id
        };
        for id in [(); AT_ONCE].map(make) {
            // SAFETY: made above, and joined once.
            assert_eq!(unsafe { libc::pthread_join(id, ptr::null_mut()) }, 0);
        }
    }
    let mut made = Truth::default();
    made.add(FIRST_SIZE, RATE, (ROUNDS * AT_ONCE) as f64);
    assert_near(before, of("makes_its_first_object"), &made, &Truth::default(), "first ones");
    set_mem_profile_rate(0);
}

#[inline(never)]
fn follows_a_profile() {
    free((allocate(FIRST_SIZE), FIRST_SIZE));
}

/// What is allocated for a profile is not looked at, and must not leave a count that is near its end.
fn what_follows_a_profile_is_not_favoured() {
    const RATE: u64 = 64 * 1024;
    const ROUNDS: usize = 300;
    set_mem_profile_rate(RATE);
    let before = of("follows_a_profile");
    for _ in 0..ROUNDS {
        lookup("heap").unwrap().snapshot().unwrap();
        follows_a_profile();
    }
    let mut made = Truth::default();
    made.add(FIRST_SIZE, RATE, ROUNDS as f64);
    assert_near(before, of("follows_a_profile"), &made, &Truth::default(), "after profiles");
    set_mem_profile_rate(0);
}
