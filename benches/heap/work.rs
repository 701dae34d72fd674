//! What is done with an allocator.

use std::alloc::Layout;
use std::collections::HashMap;
use std::hint::black_box;
use std::ptr;
use std::sync::mpsc;
use std::time::Instant;

use pprof_benches::contender::Figures;
use pprof_benches::measure;

use crate::allocators::{Allocator, choose_ours};

fn layout(size: usize) -> Layout {
    Layout::from_size_align(black_box(size), 8).expect("a layout")
}

/// The least of some stretches of `count` operations, in nanoseconds each.
fn least(stretches: usize, count: u64, mut stretch: impl FnMut()) -> f64 {
    let one = |_| {
        let start = Instant::now();
        stretch();
        start.elapsed().as_nanos() as f64 / count as f64
    };
    (0..stretches).map(one).fold(f64::INFINITY, f64::min)
}

/// While another one is kept: the first of a page is where ours looks objects up, as one of many is, and would be the same one each time.
pub(crate) fn pair(allocator: &dyn Allocator, size: usize) -> f64 {
    // Long enough for some samples of small ones, and of large ones for the system's calls.
    let count = if size > 4096 { 2_000 } else { 200_000 };
    let mut first = [ptr::null_mut()];
    allocator.make(&mut first, layout(size));
    let each = least(20, count, || allocator.pairs(count, layout(size)));
    allocator.free(&first, layout(size));
    each
}

pub(crate) fn global_pair() -> f64 {
    const COUNT: u64 = 200_000;
    let layout = layout(64);
    let pair = |_| {
        // SAFETY: the size is not zero.
        let object = black_box(unsafe { std::alloc::alloc(layout) });
        // SAFETY: made above, with that layout.
        unsafe { std::alloc::dealloc(object, layout) };
    };
    least(20, COUNT, || (0..COUNT).for_each(pair))
}

pub(crate) fn batch(allocator: &dyn Allocator, size: usize) -> f64 {
    const OBJECTS: u16 = 4096;
    const BATCHES: u64 = 20;
    let mut order: Vec<u16> = (0..OBJECTS).collect();
    let mut random = 1_u64;
    for index in (1..order.len()).rev() {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        order.swap(index, (random >> 33) as usize % (index + 1));
    }
    let mut objects = vec![ptr::null_mut(); order.len()];
    least(20, BATCHES * u64::from(OBJECTS), || {
        (0..BATCHES).for_each(|_| allocator.batch(&order, &mut objects, layout(size)));
    })
}

pub(crate) fn threads(allocator: &'static dyn Allocator, threads: usize) -> f64 {
    const AT_ONCE: u64 = 1000;
    measure::throughput(threads, |_| allocator.pairs(AT_ONCE, layout(64))) / AT_ONCE as f64
}

/// Objects, by where they are.
struct Objects(Vec<*mut u8>);

// SAFETY: whoever has it owns the objects.
unsafe impl Send for Objects {}

pub(crate) fn handed_over(allocator: &'static dyn Allocator) -> f64 {
    const OBJECTS: usize = 1000;
    const BATCHES: u64 = 300;
    least(5, BATCHES * OBJECTS as u64, || {
        let (sender, receiver) = mpsc::sync_channel::<Objects>(16);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for objects in receiver {
                    allocator.free(&objects.0, layout(64));
                }
            });
            for _ in 0..BATCHES {
                let mut objects = Objects(vec![ptr::null_mut(); OBJECTS]);
                allocator.make(&mut objects.0, layout(64));
                sender.send(objects).expect("the other one takes all");
            }
            drop(sender);
        });
    })
}

pub(crate) fn growth(allocator: &dyn Allocator) -> f64 {
    least(3, 1, || allocator.grow(4 << 10, 128 << 20))
}

pub(crate) fn zeroed(allocator: &dyn Allocator) -> f64 {
    least(20, 1, || allocator.zeroed(layout(64 << 20)))
}

/// In milliseconds of CPU time.
pub(crate) fn program() -> f64 {
    let text: String =
        (0..20_000_u32).map(|n| format!("{} ", n.wrapping_mul(2_654_435_761) % 5000)).collect();
    let run = || {
        let mut counts: HashMap<String, Vec<u32>> = HashMap::new();
        for (place, word) in text.split(' ').enumerate() {
            let word = format!("word-{word}-{}", place % 7);
            counts.entry(word).or_default().push(place as u32);
        }
        let mut lines: Vec<String> =
            counts.iter().map(|(word, places)| format!("{word}: {places:?}")).collect();
        lines.sort_unstable();
        black_box(lines.concat().len())
    };
    let one = |_| {
        let start = measure::process_cpu();
        (0..5).for_each(|_| {
            run();
        });
        (measure::process_cpu() - start).as_secs_f64() * 1e3 / 5.0
    };
    (0..12).map(one).fold(f64::INFINITY, f64::min)
}

/// In MB of memory that the process has.
pub(crate) fn memory() -> f64 {
    let mut objects: Vec<Box<[u8]>> = Vec::with_capacity(400_000);
    let (mut bytes, mut random) = (0, 1_u64);
    while bytes < 200 << 20 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let size = 64 + (random >> 33) as usize % 1000 * 4;
        objects.push(vec![1; size].into_boxed_slice());
        bytes += size;
    }
    black_box(&objects);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kb = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kb.unwrap_or(f64::NAN) / 1024.0
}

/// There are two to the power of so many stacks.
const STACK_BITS: u32 = 10;

/// From a stack that the lowest bits tell.
#[inline(always)]
fn make(number: usize, bits: u32) -> Box<[u8]> {
    match bits.checked_sub(1) {
        None => vec![1; 64].into(),
        Some(fewer) if number >> fewer & 1 == 0 => left(number, fewer),
        Some(fewer) => right(number, fewer),
    }
}

#[inline(never)]
fn left(number: usize, bits: u32) -> Box<[u8]> {
    let object = make(number, bits);
    black_box(1_u8);
    object
}

#[inline(never)]
fn right(number: usize, bits: u32) -> Box<[u8]> {
    let object = make(number, bits);
    black_box(2_u16);
    object
}

/// In milliseconds, when names are known already.
pub(crate) fn snapshot() -> Figures {
    const SAMPLES: usize = 20_000;
    choose_ours();
    pprof_runtime::set_mem_profile_rate(1);
    let kept: Vec<Box<[u8]>> = (0..SAMPLES).map(|n| make(n, STACK_BITS)).collect();
    pprof_runtime::set_mem_profile_rate(0);
    let heap = pprof_runtime::lookup("heap").expect("built in");
    let mut taken = Vec::new();
    let mut take = || {
        taken.clear();
        let profile = heap.snapshot().expect("supported");
        profile.write_to(&mut taken).expect("memory");
    };
    take();
    let ms = least(10, 1, take) / 1e6;
    drop(black_box(kept));
    Figures::new(ms)
}
