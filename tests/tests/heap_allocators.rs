//! What allocators that are not the system's say of themselves in heap profiles, and that they give memory back.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::sync::{Mutex, PoisonError};

use mimalloc::MiMalloc;
use pprof_runtime::{Alloc, heap, lookup, set_mem_profile_rate};
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Alloc<Jemalloc> = Alloc::new(Jemalloc);
static OTHER: Alloc<MiMalloc> = Alloc::new(MiMalloc);

static ONE: Mutex<()> = Mutex::new(());

const BYTES: usize = 64 << 20;
const LAYOUT: Layout = Layout::new::<[u64; 256]>();

/// Allocates so much in small objects, and frees them.
fn churns(alloc: &impl GlobalAlloc) {
    let objects: Vec<_> = (0..BYTES / LAYOUT.size())
        .map(|_| {
            // SAFETY: the size is not zero.
            let object = unsafe { alloc.alloc(LAYOUT) };
            assert!(!object.is_null());
            // SAFETY: of that size.
            unsafe { object.write_bytes(1, LAYOUT.size()) };
            object
        })
        .collect();
    for object in black_box(objects) {
        // SAFETY: of that allocator, with that layout.
        unsafe { alloc.dealloc(object, LAYOUT) };
    }
}

/// The number in the line of the profile's text that begins so; `None` if there is no such line.
fn line(begin: &str) -> Option<u64> {
    let mut text = Vec::new();
    lookup("heap").unwrap().snapshot().unwrap().write_text(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let rest = text.lines().find_map(|line| line.strip_prefix(begin))?;
    Some(rest.rsplit(' ').next().unwrap().parse().unwrap())
}

fn resident() -> u64 {
    line("# RSS = ").expect("Linux tells")
}

#[test]
fn jemalloc_tells_what_it_keeps_and_gives_it_back() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    set_mem_profile_rate(64 * 1024);
    let kept = black_box(vec![1_u8; 10 << 20]);
    churns(&ALLOCATOR);
    let allocated = line("# HeapAlloc = ").expect("in any case");
    // Ours are in it as well.
    assert!((10 << 20..BYTES as u64).contains(&allocated), "{allocated}");
    let (free, before) = (line("# kept by the allocator, free = ").expect("it knows"), resident());
    heap::purge();
    let (left, after) = (line("# kept by the allocator, free = ").expect("it knows"), resident());
    println!("{allocated} allocated, free {free} and then {left}, resident {before} and {after}");
    // It may have given back most by itself.
    assert!(left <= free && after < before + (8 << 20), "{free} {left} {before} {after}");
    // Of 53 to 106 MB that are free 7 to 37 MB stay, whatever it is told.
    assert!(left < BYTES as u64 * 3 / 4, "{left}");
    drop(kept);
    set_mem_profile_rate(0);
}

#[test]
fn mimalloc_gives_back_what_it_keeps() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    // The last one that was sampled is the one to purge.
    set_mem_profile_rate(1);
    // SAFETY: the size is not zero, and it is freed below.
    let object = unsafe { OTHER.alloc(LAYOUT) };
    set_mem_profile_rate(0);
    churns(&OTHER);
    let before = resident();
    heap::purge();
    let after = resident();
    println!("resident {before} and {after}");
    assert!(after + BYTES as u64 / 4 < before, "{before} {after}");
    // SAFETY: as allocated.
    unsafe { OTHER.dealloc(object, LAYOUT) };
}
