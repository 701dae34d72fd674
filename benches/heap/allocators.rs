//! Who is compared.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pprof_benches::contender::{Contender, Figures};
use pprof_runtime::{Alloc, config, set_mem_profile_rate};

/// An allocator whose calls are as those of the global one. The loops are its own, so that the calls are direct.
pub(crate) trait Allocator: Sync {
    fn pairs(&self, count: u64, layout: Layout);
    fn batch(&self, order: &[u16], objects: &mut [*mut u8], layout: Layout);
    fn make(&self, objects: &mut [*mut u8], layout: Layout);
    fn free(&self, objects: &[*mut u8], layout: Layout);
    fn grow(&self, from: usize, to: usize);
    fn zeroed(&self, layout: Layout);
}

#[inline(never)]
fn alloc<A: GlobalAlloc>(a: &A, layout: Layout) -> *mut u8 {
    // SAFETY: sizes are not zero.
    unsafe { a.alloc(layout) }
}

#[inline(never)]
fn dealloc<A: GlobalAlloc>(a: &A, object: *mut u8, layout: Layout) {
    // SAFETY: of `alloc`, with that layout.
    unsafe { a.dealloc(object, layout) };
}

impl<A: GlobalAlloc + Sync> Allocator for A {
    fn pairs(&self, count: u64, layout: Layout) {
        for _ in 0..count {
            dealloc(self, alloc(self, layout), layout);
        }
    }

    fn batch(&self, order: &[u16], objects: &mut [*mut u8], layout: Layout) {
        objects.iter_mut().for_each(|object| *object = alloc(self, layout));
        order.iter().for_each(|index| dealloc(self, objects[usize::from(*index)], layout));
    }

    fn make(&self, objects: &mut [*mut u8], layout: Layout) {
        objects.iter_mut().for_each(|object| *object = alloc(self, layout));
    }

    fn free(&self, objects: &[*mut u8], layout: Layout) {
        objects.iter().for_each(|object| dealloc(self, *object, layout));
    }

    fn grow(&self, from: usize, to: usize) {
        let mut layout = Layout::from_size_align(from, 8).expect("a layout");
        let mut object = alloc(self, layout);
        while layout.size() < to {
            // What is added is written, as by who grows it for that.
            // SAFETY: of that size.
            let half = unsafe { object.add(layout.size() / 2) };
            // SAFETY: as above.
            unsafe { half.write_bytes(1, layout.size() / 2) };
            // SAFETY: of `alloc` or from here, with that layout.
            object = unsafe { self.realloc(object, layout, 2 * layout.size()) };
            layout = Layout::from_size_align(2 * layout.size(), 8).expect("a layout");
        }
        dealloc(self, object, layout);
    }

    fn zeroed(&self, layout: Layout) {
        // SAFETY: the size is not zero.
        let object = std::hint::black_box(unsafe { self.alloc_zeroed(layout) });
        dealloc(self, object, layout);
    }
}

static OURS: Alloc<System> = Alloc::new(System);

fn off() {}

fn on() {
    set_mem_profile_rate(config::DEFAULT_MEM_PROFILE_RATE);
}

/// A name, an allocator, and what is called before.
pub(crate) type Row = (&'static str, &'static dyn Allocator, fn());

/// The first is what the others are compared with.
pub(crate) fn all() -> Vec<Row> {
    let ours: [Row; 3] = [
        ("System", &System, off),
        ("ours over System, off", &OURS, off),
        ("ours over System, 512 KiB", &OURS, on),
    ];
    #[cfg(feature = "peers")]
    return ours.into_iter().chain(peers::all()).collect();
    #[cfg(not(feature = "peers"))]
    ours.into()
}

#[cfg(feature = "peers")]
mod peers {
    use super::{Alloc, Row, off, on};

    use mimalloc::MiMalloc;
    use tikv_jemallocator::Jemalloc;

    static OVER_JEMALLOC: Alloc<Jemalloc> = Alloc::new(Jemalloc);
    static OVER_MIMALLOC: Alloc<MiMalloc> = Alloc::new(MiMalloc);
    static DHAT: dhat::Alloc = dhat::Alloc;
    /// Counts, and knows no stacks.
    #[cfg(feature = "hotpath-alloc")]
    static HOTPATH: hotpath::CountingAllocator = hotpath::CountingAllocator::new();

    /// jemalloc's profiler is built in, and waits to be switched on.
    #[unsafe(export_name = "_rjem_malloc_conf")]
    static CONF: &[u8; 46] = b"prof:true,prof_active:false,lg_prof_sample:19\0";

    fn jemallocs() {
        let active = true;
        // SAFETY: the option is a `bool` that is written.
        let result = unsafe {
            tikv_jemalloc_sys::mallctl(
                c"prof.active".as_ptr(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                (&raw const active).cast_mut().cast(),
                size_of::<bool>(),
            )
        };
        assert_eq!(result, 0, "jemalloc was built with its profiler");
    }

    fn dhats() {
        std::mem::forget(dhat::Profiler::builder().testing().build());
    }

    pub(super) fn all() -> Vec<Row> {
        vec![
            ("dhat over System", &DHAT, dhats),
            #[cfg(feature = "hotpath-alloc")]
            ("hotpath over System", &HOTPATH, off),
            ("jemalloc", &Jemalloc, off),
            ("ours over jemalloc, off", &OVER_JEMALLOC, off),
            ("ours over jemalloc, 512 KiB", &OVER_JEMALLOC, on),
            ("jemalloc's own profiler, 512 KiB", &Jemalloc, jemallocs),
            ("mimalloc", &MiMalloc, off),
            ("ours over mimalloc, off", &OVER_MIMALLOC, off),
            ("ours over mimalloc, 512 KiB", &OVER_MIMALLOC, on),
        ]
    }
}

/// The process's: the system's, or ours over it. To choose takes a look at a flag, in all.
struct Chosen;

static IS_OURS: AtomicBool = AtomicBool::new(false);

#[global_allocator]
static GLOBAL: Chosen = Chosen;

// SAFETY: as both: an object of ours is one of the system's if it was made before the profile was on, as all are of which it is not known.
unsafe impl GlobalAlloc for Chosen {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if IS_OURS.load(Ordering::Relaxed) {
            // SAFETY: the caller's promise.
            unsafe { OURS.alloc(layout) }
        } else {
            // SAFETY: as above.
            unsafe { System.alloc(layout) }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if IS_OURS.load(Ordering::Relaxed) {
            // SAFETY: the caller's promise.
            unsafe { OURS.alloc_zeroed(layout) }
        } else {
            // SAFETY: as above.
            unsafe { System.alloc_zeroed(layout) }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, object: *mut u8, layout: Layout) {
        if IS_OURS.load(Ordering::Relaxed) {
            // SAFETY: the caller's promise.
            unsafe { OURS.dealloc(object, layout) };
        } else {
            // SAFETY: as above.
            unsafe { System.dealloc(object, layout) };
        }
    }

    #[inline]
    unsafe fn realloc(&self, object: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if IS_OURS.load(Ordering::Relaxed) {
            // SAFETY: the caller's promise.
            unsafe { OURS.realloc(object, layout, new_size) }
        } else {
            // SAFETY: as above.
            unsafe { System.realloc(object, layout, new_size) }
        }
    }
}

/// The process allocates by ours from here on.
pub(crate) fn choose_ours() {
    IS_OURS.store(true, Ordering::Relaxed);
}

/// Work of the process's own allocator.
pub(crate) fn global(unit: &'static str, work: fn() -> f64) -> Vec<Contender> {
    let row = |name: &'static str, prepare: fn()| {
        Contender::new(name, unit, move || {
            prepare();
            Figures::new(work())
        })
    };
    vec![
        row("System", off),
        row("ours, off", choose_ours),
        row("ours, 512 KiB", || {
            choose_ours();
            on();
        }),
    ]
}

/// That does nothing.
pub(crate) fn have_a_second_thread() {
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_secs(1000));
        }
    });
}
