//! The heap profiler where it is hard: many threads with the CPU profiler and snapshots next to them, forks, C code that frees, memory that is not
//! there, and the ends of threads and of the process.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "objects are those that the allocator gave, with their layouts, but where a test says otherwise"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use pprof_runtime::{Alloc, cpu, lookup, set_mem_profile_rate};
use pprof_tests::values_of;

#[global_allocator]
static ALLOCATOR: Alloc<System> = Alloc::new(System);

const TAGGED_RATE: u64 = 64 * 1024;

/// In a process of its own at each rate: below 64 KiB every object is looked up from then on, and none is put at an address that tells.
fn at_each_rate(test: &str, work: impl FnOnce(u64)) {
    match std::env::var("HEAP_STRESS_RATE") {
        Ok(rate) => {
            let rate = rate.parse().unwrap();
            set_mem_profile_rate(rate);
            work(rate);
            set_mem_profile_rate(0);
        }
        Err(_) => [TAGGED_RATE, 4096].iter().for_each(|r| rerun(test, "HEAP_STRESS_RATE", *r)),
    }
}

/// Runs one test again, in a process that is told so.
fn rerun(test: &str, variable: &str, value: u64) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(variable, value.to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{errors}");
}

fn of(function: &str) -> [i64; 4] {
    values_of(&lookup("heap").unwrap().snapshot().unwrap(), function)
}

/// The number that a comment of the profile ends with; zero if there is none that begins so.
fn commented(begin: &str) -> i64 {
    let profile = lookup("heap").unwrap().snapshot().unwrap();
    let proto = profile.proto();
    let mut comments = proto.comment.iter().map(|comment| proto.string(*comment));
    let found = comments.find_map(|comment| comment.strip_prefix(begin));
    found.map_or(0, |rest| rest.rsplit(' ').next().unwrap().parse().unwrap())
}

#[inline(never)]
fn plays(balls: &mpsc::Receiver<Vec<u8>>, next: &mpsc::SyncSender<Vec<u8>>, rounds: usize) {
    for round in 0..rounds {
        let mut ball = black_box(vec![round as u8; 1 + round * 37 % 5000]);
        ball.reserve_exact(round % 3000);
        ball.shrink_to_fit();
        // Whoever is behind does not keep the others waiting.
        let _ = next.try_send(ball);
        while let Ok(mut caught) = balls.try_recv() {
            assert!(caught.iter().all(|byte| *byte == caught[0]));
            caught.extend_from_slice(&[0; 100]);
        }
    }
}

#[test]
fn sixteen_threads_under_all_profilers_lose_nothing() {
    const THREADS: usize = 16;
    let rounds = if cfg!(debug_assertions) { 3_000 } else { 20_000 };
    at_each_rate("sixteen_threads_under_all_profilers_lose_nothing", |rate| {
        let sampled = cpu::Builder::new().rate_hz(1000).start().unwrap();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let looks = scope.spawn(|| {
                // Objects that come and go, and the loader's lock held by somebody.
                while !is_over.load(Ordering::Relaxed) {
                    assert!(of("::plays").iter().all(|value| *value >= 0));
                    let libm = unsafe { libc::dlopen(c"libm.so.6".as_ptr(), libc::RTLD_NOW) };
                    assert!(!libm.is_null());
                    unsafe { libc::dlclose(libm) };
                }
            });
            let (mut senders, mut receivers): (Vec<_>, Vec<_>) =
                (0..THREADS).map(|_| mpsc::sync_channel(64)).unzip();
            // Each sends to the next one.
            senders.rotate_left(1);
            let play = |_| {
                let (sender, receiver) = (senders.pop().unwrap(), receivers.pop().unwrap());
                scope.spawn(move || plays(&receiver, &sender, rounds))
            };
            let players: Vec<_> = (0..THREADS).map(play).collect();
            players.into_iter().for_each(|player| player.join().unwrap());
            is_over.store(true, Ordering::Relaxed);
            looks.join().unwrap();
        });
        drop(sampled);
        let [objects, _, in_use, in_use_bytes] = of("::plays");
        assert!(objects > 0 && (in_use, in_use_bytes) == (0, 0), "{rate}: {in_use}");
        assert_eq!(commented("samples that were freed without"), 0);
        assert_eq!(commented("samples that were freed with another"), 0);
    });
}

#[inline(never)]
fn churns(objects: usize) {
    let kept: Vec<Vec<u8>> = (0..objects).map(|n| vec![1; 1 + n * 61 % 9000]).collect();
    drop(black_box(kept));
}

#[test]
fn forked_children_allocate_and_free_what_their_parent_had() {
    at_each_rate("forked_children_allocate_and_free_what_their_parent_had", |_| {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        churns(50);
                    }
                });
            }
            for _ in 0..50 {
                let kept: Vec<Vec<u8>> = (0..200).map(|n| vec![2; 100 + n * 40]).collect();
                let child = unsafe { libc::fork() };
                assert!(child >= 0);
                if child == 0 {
                    drop(kept);
                    churns(300);
                    unsafe { libc::_exit(17) };
                }
                assert_eq!(ended(child), 17);
            }
            is_over.store(true, Ordering::Relaxed);
        });
    });
}

/// What a child ended with, within a minute.
fn ended(child: i32) -> i32 {
    let start = Instant::now();
    let mut status = 0;
    while unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } == 0 {
        if start.elapsed() > Duration::from_secs(60) {
            unsafe { libc::kill(child, libc::SIGKILL) };
        }
        thread::sleep(Duration::from_millis(1));
    }
    assert!(libc::WIFEXITED(status), "the child hung or died: {status:#x}");
    libc::WEXITSTATUS(status)
}

#[inline(never)]
fn hands_to_c(layout: Layout) -> *mut u8 {
    black_box(unsafe { ALLOCATOR.alloc(layout) })
}

#[test]
fn what_c_code_frees_does_no_harm_and_is_counted() {
    at_each_rate("what_c_code_frees_does_no_harm_and_is_counted", |rate| {
        let most = if rate == TAGGED_RATE { 4000 } else { 20_000 };
        let before = commented("samples that were freed without");
        for size in [40, 200, 900, 3000, 20_000, 100_000] {
            let layout = Layout::from_size_align(size, 8).unwrap();
            // Samples of some thousand bytes in all are freed behind our back, and their addresses are used again.
            let objects: Vec<*mut u8> = (0..2000).map(|_| hands_to_c(layout)).collect();
            objects.iter().for_each(|object| unsafe { libc::free(object.cast()) });
            for round in 0..3 {
                let mine: Vec<(*mut u8, Layout)> = (0..most)
                    .map(|n| {
                        let layout = Layout::from_size_align(1 + (n * 7 + size) % 1000, 8);
                        let layout = layout.unwrap();
                        let object = unsafe { ALLOCATOR.alloc(layout) };
                        unsafe { object.write_bytes(n as u8, layout.size()) };
                        (object, layout)
                    })
                    .collect();
                for (n, (object, layout)) in mine.into_iter().enumerate() {
                    // Some move: what they had is there still.
                    let (object, layout) = if n % 3 == 0 {
                        let size = layout.size() + n % 500;
                        let moved = unsafe { ALLOCATOR.realloc(object, layout, size) };
                        let added = size - layout.size();
                        unsafe { moved.add(layout.size()).write_bytes(n as u8, added) };
                        (moved, Layout::from_size_align(size, 8).unwrap())
                    } else {
                        (object, layout)
                    };
                    let bytes = unsafe { std::slice::from_raw_parts(object, layout.size()) };
                    assert!(bytes.iter().all(|byte| *byte == n as u8), "{size} {round}");
                    unsafe { ALLOCATOR.dealloc(object, layout) };
                }
            }
        }
        let counted = commented("samples that were freed without")
            + commented("samples that were freed with another");
        assert!(counted > before, "{rate}: {counted}");
    });
}

/// Has no memory for what is aligned to a page, nor for anything once it is told so.
struct Poor(AtomicBool);

static POOR: Alloc<Poor> = Alloc::new(Poor(AtomicBool::new(false)));

unsafe impl GlobalAlloc for Poor {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() >= 4096 || self.0.load(Ordering::Relaxed) {
            return std::ptr::null_mut();
        }
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, object: *mut u8, layout: Layout) {
        unsafe { System.dealloc(object, layout) };
    }
}

#[test]
fn what_has_no_room_is_counted_and_the_programs_object_is_made() {
    if std::env::var_os("HEAP_STRESS_POOR").is_none() {
        rerun("what_has_no_room_is_counted_and_the_programs_object_is_made", "HEAP_STRESS_POOR", 1);
        return;
    }
    set_mem_profile_rate(TAGGED_RATE);
    let layout = Layout::from_size_align(1000, 8).unwrap();
    for _ in 0..5000 {
        let object = unsafe { POOR.alloc(layout) };
        assert!(!object.is_null());
        let object = unsafe { POOR.realloc(object, layout, 2000) };
        assert!(!object.is_null());
        unsafe { POOR.dealloc(object, Layout::from_size_align(2000, 8).unwrap()) };
    }
    assert!(commented("samples whose end is not seen") > 10);
    // Large ones are where they are: what cannot grow stays, and is in the profile still.
    let large = Layout::from_size_align(64 << 20, 8).unwrap();
    let object = grows_in_vain(large);
    POOR.inner().0.store(true, Ordering::Relaxed);
    assert!(unsafe { POOR.alloc(layout) }.is_null());
    assert!(unsafe { POOR.realloc(object, large, 65 << 20) }.is_null());
    assert_eq!(of("grows_in_vain")[2..], [1, 64 << 20]);
    unsafe { POOR.dealloc(object, large) };
    assert_eq!(of("grows_in_vain")[2..], [0, 0]);
}

#[inline(never)]
fn grows_in_vain(layout: Layout) -> *mut u8 {
    black_box(unsafe { POOR.alloc(layout) })
}

static BEFORE_MAIN: AtomicUsize = AtomicUsize::new(0);

/// Called by the loader.
extern "C" fn before_main() {
    if unsafe { libc::getenv(c"HEAP_STRESS_ENDS".as_ptr()) }.is_null() {
        return;
    }
    set_mem_profile_rate(1);
    BEFORE_MAIN.store(made_before_main().len(), Ordering::Relaxed);
    set_mem_profile_rate(0);
    extern "C" fn at_exit() {
        churns(20);
    }
    unsafe { libc::atexit(at_exit) };
}

#[used]
#[unsafe(link_section = ".init_array")]
static INIT: extern "C" fn() = before_main;

#[inline(never)]
fn made_before_main() -> &'static [u8] {
    black_box(vec![3_u8; 300].leak())
}

#[inline(never)]
fn at_threads_end() {
    drop(black_box(vec![4_u8; 400]));
}

#[test]
fn objects_are_seen_from_before_main_to_the_end_of_threads_and_of_the_process() {
    struct AtEnd;
    impl Drop for AtEnd {
        fn drop(&mut self) {
            at_threads_end();
        }
    }
    thread_local!(static AT_END: AtEnd = const { AtEnd });
    if std::env::var_os("HEAP_STRESS_ENDS").is_none() {
        rerun(
            "objects_are_seen_from_before_main_to_the_end_of_threads_and_of_the_process",
            "HEAP_STRESS_ENDS",
            1,
        );
        return;
    }
    assert_eq!(BEFORE_MAIN.load(Ordering::Relaxed), 300);
    assert_eq!(of("made_before_main"), [1, 300, 1, 300]);
    set_mem_profile_rate(1);
    for _ in 0..10 {
        thread::spawn(|| AT_END.with(|_| ())).join().unwrap();
    }
    assert_eq!(of("at_threads_end"), [10, 4000, 0, 0]);
    // For what is called at the end of the process.
    set_mem_profile_rate(1);
}
