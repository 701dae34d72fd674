//! Random operations on an `Alloc` over several allocators: objects are whole, and the profile has each, and its end.
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "one of several calls of the allocator, for the same reason"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;

use mimalloc::MiMalloc;
use pprof_runtime::{Alloc, lookup, set_mem_profile_rate};
use pprof_tests::values_of;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tikv_jemallocator::Jemalloc;

// Not the program's allocator, so that there is nothing in the profile but what the test asks for.
static OVER_SYSTEM: Alloc<System> = Alloc::new(System);
static OVER_JEMALLOC: Alloc<Jemalloc> = Alloc::new(Jemalloc);
static OVER_MIMALLOC: Alloc<MiMalloc> = Alloc::new(MiMalloc);

/// Over each allocator, at each rate.
const OPERATIONS: usize = if cfg!(debug_assertions) { 170_000 } else { 1_000_000 };
const THREADS: usize = 4;
const SLOTS: usize = 512;
const MAX_SIZE: usize = 256 * 1024;
const MAX_ALIGN_BITS: u32 = 16;

/// As in `heap_sampling`.
const SIGMAS: f64 = 7.0;

/// Of large objects the contents are looked at up to here, from both ends.
const EDGE: usize = 2048;
static ZERO: [u8; EDGE] = [0; EDGE];

/// Filled with one byte.
#[derive(Debug)]
struct Object {
    address: usize,
    layout: Layout,
    byte: u8,
}

/// Objects that any thread may take, change and free.
type Slots = Vec<Mutex<Option<Object>>>;

/// What was asked for, and the variance of the estimate of its bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    objects: i64,
    bytes: i64,
    variance: f64,
}

impl Asked {
    fn add(&mut self, size: usize, rate: u64) {
        self.objects += 1;
        self.bytes += size as i64;
        let p = if rate == 1 { 1.0 } else { -(-(size as f64) / rate as f64).exp_m1() };
        self.variance += (size as f64).powi(2) * (1.0 - p) / p;
    }
}

fn pointer(address: usize) -> *mut u8 {
    std::ptr::with_exposed_provenance_mut(address)
}

/// The first bytes of an object, and the last.
fn edges(address: usize, size: usize) -> [&'static [u8]; 2] {
    let len = size.min(EDGE);
    // SAFETY: callers ask for objects that they own, of that size or more, which are filled.
    [0, size - len].map(|at| unsafe { std::slice::from_raw_parts(pointer(address + at), len) })
}

fn is_filled(address: usize, size: usize, byte: u8) -> bool {
    let all = [byte; EDGE];
    edges(address, size).iter().all(|edge| *edge == &all[..edge.len()])
}

/// One of eighteen powers of two is as likely as another.
fn random_size(random: &mut StdRng) -> usize {
    (random.gen_range(0.0..(MAX_SIZE as f64).ln()).exp() as usize).clamp(1, MAX_SIZE)
}

impl Object {
    fn new(alloc: &impl GlobalAlloc, random: &mut StdRng) -> Object {
        let align = 1 << random.gen_range(0..=MAX_ALIGN_BITS);
        let layout = Layout::from_size_align(random_size(random), align).unwrap();
        let is_zeroed = random.gen_bool(0.5);
        // SAFETY: the size is not zero, both.
        let object =
            unsafe { if is_zeroed { alloc.alloc_zeroed(layout) } else { alloc.alloc(layout) } };
        let object = Object { address: object.expose_provenance(), layout, byte: random.r#gen() };
        object.assert_is_there();
        if is_zeroed {
            let edges = edges(object.address, layout.size());
            assert!(edges.iter().all(|edge| *edge == &ZERO[..edge.len()]), "not zero: {layout:?}");
        }
        object.fill();
        object
    }

    fn assert_is_there(&self) {
        assert!(self.address != 0 && self.address.is_multiple_of(self.layout.align()), "{self:?}");
    }

    fn fill(&self) {
        // SAFETY: ours, of that size.
        unsafe { pointer(self.address).write_bytes(self.byte, self.layout.size()) };
    }

    fn assert_is_whole(&self) {
        assert!(is_filled(self.address, self.layout.size(), self.byte), "{self:?}");
    }

    fn resize(&mut self, alloc: &impl GlobalAlloc, size: usize) {
        self.assert_is_whole();
        let before = self.layout;
        // SAFETY: of this allocator with that layout; the size is not zero.
        let moved = unsafe { alloc.realloc(pointer(self.address), before, size) };
        self.address = moved.expose_provenance();
        self.layout = Layout::from_size_align(size, before.align()).unwrap();
        self.assert_is_there();
        assert!(
            is_filled(self.address, size.min(before.size()), self.byte),
            "{before:?} to {self:?}"
        );
        self.fill();
    }

    fn free(self, alloc: &impl GlobalAlloc) {
        self.assert_is_whole();
        // SAFETY: of this allocator with that layout.
        unsafe { alloc.dealloc(pointer(self.address), self.layout) };
    }
}

/// Operations of one thread.
fn operate(alloc: &impl GlobalAlloc, slots: &Slots, rate: u64, mut random: StdRng) -> Asked {
    let mut asked = Asked::default();
    for _ in 0..OPERATIONS / THREADS {
        let slot = &slots[random.gen_range(0..SLOTS)];
        let object = slot.lock().unwrap().take();
        let object = match object {
            None => {
                let object = Object::new(alloc, &mut random);
                asked.add(object.layout.size(), rate);
                Some(object)
            }
            Some(object) if random.gen_bool(0.5) => {
                object.free(alloc);
                None
            }
            Some(mut object) => {
                let size = random_size(&mut random);
                object.resize(alloc, size);
                asked.add(size, rate);
                Some(object)
            }
        };
        // Another thread may have put one there.
        let other = std::mem::replace(&mut *slot.lock().unwrap(), object);
        if let Some(other) = other {
            other.free(alloc);
        }
    }
    asked
}

/// A function of its own for each allocator, to be found in the profile by.
macro_rules! over {
    ($($name:ident: $alloc:ident,)*) => {
        $(#[inline(never)]
        fn $name(slots: &Slots, rate: u64, random: StdRng) -> Asked {
            std::hint::black_box(operate(&$alloc, slots, rate, random))
        })*
        const SUBJECTS: &[Subject] = &[$(Subject {
            name: stringify!($name),
            operate: $name,
            free: |object| object.free(&$alloc),
        },)*];
    };
}

over! {
    operates_over_system: OVER_SYSTEM,
    operates_over_jemalloc: OVER_JEMALLOC,
    operates_over_mimalloc: OVER_MIMALLOC,
}

struct Subject {
    name: &'static str,
    operate: fn(&Slots, u64, StdRng) -> Asked,
    free: fn(Object),
}

impl Subject {
    /// Objects and bytes allocated, and in use.
    fn profile(&self) -> [i64; 4] {
        values_of(&lookup("heap").unwrap().snapshot().unwrap(), self.name)
    }

    /// By several threads; what they asked for, and what the profile says that they did.
    fn operate(&self, slots: &Slots, rate: u64) -> (Asked, [i64; 2]) {
        set_mem_profile_rate(rate);
        let before = self.profile();
        let asked = std::thread::scope(|scope| {
            let start = |_| {
                let random = StdRng::from_entropy();
                scope.spawn(move || (self.operate)(slots, rate, random))
            };
            let threads: Vec<_> = (0..THREADS).map(start).collect();
            threads.into_iter().fold(Asked::default(), |sum, thread| {
                let of = thread.join().expect("see above");
                Asked {
                    objects: sum.objects + of.objects,
                    bytes: sum.bytes + of.bytes,
                    variance: sum.variance + of.variance,
                }
            })
        });
        let after = self.profile();
        (asked, [after[0] - before[0], after[1] - before[1]])
    }
}

/// The rates in this order: below 64 KiB objects cease to be told by their addresses, for good, while those that are live on.
#[test]
fn objects_are_whole_and_all_are_counted() {
    let all: Vec<Slots> =
        SUBJECTS.iter().map(|_| (0..SLOTS).map(|_| Mutex::new(None)).collect()).collect();
    for (subject, slots) in SUBJECTS.iter().zip(&all) {
        let (asked, [_, bytes]) = subject.operate(slots, 64 * 1024);
        let sigmas = (bytes - asked.bytes) as f64 / asked.variance.sqrt();
        println!("{}: {asked:?}, {bytes} bytes estimated, off by {sigmas:.2} sigma", subject.name);
        assert!(sigmas.abs() < SIGMAS, "see above");
    }
    for (subject, slots) in SUBJECTS.iter().zip(&all) {
        let (asked, found) = subject.operate(slots, 1);
        assert_eq!(found, [asked.objects, asked.bytes], "{}", subject.name);
        assert!(subject.profile()[2] > 0, "{}: what is in the slots", subject.name);
        for slot in slots {
            if let Some(object) = slot.lock().unwrap().take() {
                (subject.free)(object);
            }
        }
        assert_eq!(subject.profile()[2..], [0, 0], "{}: all are freed", subject.name);
    }
    set_mem_profile_rate(0);
    let profile = lookup("heap").unwrap().snapshot().unwrap();
    let comments: Vec<&str> =
        profile.proto().comment.iter().map(|c| profile.proto().string(*c)).collect();
    assert!(
        !comments.iter().any(|c| c.contains("freed") || c.contains("not seen")),
        "{comments:?}"
    );
}
