//! Random operations on an `Alloc` over several allocators: objects are whole, and the profile has each, and its end.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::sync::Mutex;

use mimalloc::MiMalloc;
use pprof_runtime::{Alloc, set_mem_profile_rate};
use pprof_tests::heap::{DROPPED, MISMATCHES, ORPHANS, Object, counted, of, random_size};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tikv_jemallocator::Jemalloc;

// Not the program's allocator, so that there is nothing in the profile but what the test asks for.
static OVER_SYSTEM: Alloc<System> = Alloc::new(System);
static OVER_JEMALLOC: Alloc<Jemalloc> = Alloc::new(Jemalloc);
static OVER_MIMALLOC: Alloc<MiMalloc> = Alloc::new(MiMalloc);
static OVER_STRICT: Alloc<Strict> = Alloc::new(Strict(Mutex::new(BTreeMap::new())));

/// The system's, if what comes back has the layout that it was asked for with.
#[derive(Debug)]
struct Strict(Mutex<BTreeMap<usize, Layout>>);

impl Strict {
    fn gives(&self, object: *mut u8, layout: Layout) -> *mut u8 {
        assert!(!object.is_null(), "there is memory");
        assert_eq!(self.0.lock().unwrap().insert(object.addr(), layout), None);
        object
    }

    fn takes(&self, object: *mut u8, layout: Layout) {
        assert_eq!(self.0.lock().unwrap().remove(&object.addr()), Some(layout));
    }
}

// SAFETY: the system's.
unsafe impl GlobalAlloc for Strict {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        self.gives(unsafe { System.alloc(layout) }, layout)
    }

    unsafe fn dealloc(&self, object: *mut u8, layout: Layout) {
        self.takes(object, layout);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(object, layout) };
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        self.gives(unsafe { System.alloc_zeroed(layout) }, layout)
    }

    unsafe fn realloc(&self, object: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.takes(object, layout);
        // SAFETY: the caller's promise.
        let moved = unsafe { System.realloc(object, layout, size) };
        self.gives(moved, Layout::from_size_align(size, layout.align()).unwrap())
    }
}

/// Over each allocator, at each rate.
const OPERATIONS: usize = if cfg!(debug_assertions) { 125_000 } else { 1_000_000 };
const THREADS: usize = 4;
const SLOTS: usize = 512;
const MAX_SIZE: usize = 256 * 1024;
const MAX_ALIGN_BITS: u32 = 16;

/// As in `heap_sampling`.
const SIGMAS: f64 = 7.0;

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

fn size(random: &mut StdRng) -> usize {
    random_size(random, MAX_SIZE)
}

fn random_object(alloc: &impl GlobalAlloc, random: &mut StdRng) -> Object {
    let align = 1 << random.gen_range(0..=MAX_ALIGN_BITS);
    let layout = Layout::from_size_align(size(random), align).unwrap();
    let byte = random.r#gen();
    let object = match random.gen_bool(0.5) {
        true => Object::zeroed(alloc, layout, byte),
        false => Object::new(alloc, layout, byte),
    };
    object.expect("there is memory")
}

/// Operations of one thread.
fn operate(alloc: &impl GlobalAlloc, slots: &Slots, rate: u64, mut random: StdRng) -> Asked {
    let mut asked = Asked::default();
    for _ in 0..OPERATIONS / THREADS {
        let slot = &slots[random.gen_range(0..SLOTS)];
        let object = slot.lock().unwrap().take();
        let object = match object {
            None => {
                let object = random_object(alloc, &mut random);
                asked.add(object.layout.size(), rate);
                Some(object)
            }
            Some(object) if random.gen_bool(0.5) => {
                object.free(alloc);
                None
            }
            Some(mut object) => {
                let size = size(&mut random);
                assert!(object.resize(alloc, size), "there is memory");
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
    operates_over_a_strict_one: OVER_STRICT,
}

struct Subject {
    name: &'static str,
    operate: fn(&Slots, u64, StdRng) -> Asked,
    free: fn(Object),
}

impl Subject {
    /// Objects and bytes allocated, and in use.
    fn profile(&self) -> [i64; 4] {
        of(self.name)
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

/// Samples that are small get blocks that had been others': whole, aligned, and of zero if that is asked for.
fn small_samples_are_whole(alloc: &impl GlobalAlloc, random: &mut StdRng) {
    const BLOCK: usize = 4096;
    set_mem_profile_rate(64 * 1024);
    for size in [1, 200, 256, 257, 1000, 1024, 1025, 4000, 4096, 4097, 32_767] {
        let layout = Layout::from_size_align(size, 1 << random.gen_range(0..12)).unwrap();
        let mut samples = Vec::new();
        let mut found = 0;
        // So that some are kept, and some are not.
        let wanted = if size < 100 { 10 } else { 150 };
        while found < wanted {
            let object = Object::zeroed(alloc, layout, random.r#gen()).expect("there is memory");
            if !object.address.addr().is_multiple_of(BLOCK) {
                object.free(alloc);
                continue;
            }
            found += 1;
            samples.push(object);
            if samples.len() == 100 {
                samples.drain(..).for_each(|sample| sample.free(alloc));
            }
        }
        for mut sample in samples {
            for size in [random_size(random, MAX_SIZE), 1 + size / 2] {
                assert!(sample.resize(alloc, size), "there is memory");
            }
            sample.free(alloc);
        }
    }
}

/// The rates in this order: below 64 KiB objects cease to be told by their addresses, for good, while those that are live on.
#[test]
fn objects_are_whole_and_all_are_counted() {
    let all: Vec<Slots> =
        SUBJECTS.iter().map(|_| (0..SLOTS).map(|_| Mutex::new(None)).collect()).collect();
    small_samples_are_whole(&OVER_STRICT, &mut StdRng::from_entropy());
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
    // Blocks that are kept: 64 of each of three sizes at most.
    let left = OVER_STRICT.inner().0.lock().unwrap().clone();
    assert!(left.len() <= 3 * 64 && left.values().all(|l| l.align() == 4096), "{left:?}");
    assert_eq!([ORPHANS, MISMATCHES, DROPPED].map(counted), [0; 3]);
}
