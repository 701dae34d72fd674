//! A minute of everything at once, at 999 Hz: threads that come and go, panics, modules that are loaded and unloaded, heap and locks.
//! Nothing crashes, hangs or grows, and every profile is whole.

use std::collections::HashMap;
use std::ffi::CString;
use std::hint::black_box;
use std::os::unix::ffi::OsStrExt;
use std::panic::{catch_unwind, panic_any};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pprof_runtime::sync::{Mutex, mpsc};
use pprof_runtime::{cpu, profile};
use pprof_tests::{build_library, cpu_time, sum};

const LENGTH: Duration = Duration::from_secs(60);
const STARTS: usize = 1_000;
const RATE_HZ: u32 = 999;
/// What the process may grow by between the first session and the last.
const MAX_GROWTH_KB: i64 = 32 * 1024;
/// A hang of any part is told from a slow machine by this.
const WATCHDOG: Duration = Duration::from_secs(600);

/// A panic that is meant.
struct Meant;

/// Rounds of each kind of work.
#[derive(Debug, Default)]
struct Done {
    threads: AtomicU64,
    heap: AtomicU64,
    panics: AtomicU64,
    loads: AtomicU64,
    locks: AtomicU64,
    messages: AtomicU64,
    snapshots: AtomicU64,
}

struct Load {
    stopping: AtomicBool,
    done: Done,
    shared: Mutex<HashMap<u64, String>>,
    libraries: Vec<PathBuf>,
}

impl Load {
    /// Does `round` until the end, and counts it.
    fn repeat(&self, counter: impl Fn(&Done) -> &AtomicU64, mut round: impl FnMut(u64)) {
        for number in 0.. {
            if self.stopping.load(Ordering::Relaxed) {
                return;
            }
            round(number);
            counter(&self.done).fetch_add(1, Ordering::Relaxed);
        }
    }

    fn come_and_go(&self) {
        self.repeat(
            |d| &d.threads,
            |number| {
                thread::scope(|scope| {
                    for child in 0..4 {
                        scope.spawn(move || black_box(deep(20 + child, number)));
                    }
                });
            },
        );
    }

    #[profile]
    fn use_heap(&self) {
        self.repeat(
            |d| &d.heap,
            |number| {
                let mut words: Vec<String> = (0..200).map(|n| format!("{n} {number}")).collect();
                words.sort_unstable_by(|a, b| b.cmp(a));
                let mut big = vec![0u8; 1 << (10 + number % 12)];
                big.extend_from_slice(words.concat().as_bytes());
                black_box(big);
            },
        );
    }

    fn panic(&self) {
        self.repeat(
            |d| &d.panics,
            |number| {
                let result = catch_unwind(|| fall(10 + number % 30));
                assert!(result.is_err_and(|payload| payload.is::<Meant>()));
            },
        );
    }

    fn load_and_unload(&self) {
        self.repeat(
            |d| &d.loads,
            |number| {
                let library = &self.libraries[number as usize % self.libraries.len()];
                assert_eq!(call_library(library, 20_000), 20_000);
            },
        );
    }

    #[profile]
    fn use_locks(&self) {
        self.repeat(
            |d| &d.locks,
            |number| {
                let mut map = self.shared.lock().expect("no thread panics with it");
                map.insert(number % 100, number.to_string());
                black_box(map.len());
            },
        );
    }

    fn send(&self) {
        let (sender, receiver) = mpsc::sync_channel(2);
        thread::scope(|scope| {
            scope.spawn(move || receiver.iter().map(|word: String| word.len()).sum::<usize>());
            self.repeat(
                |d| &d.messages,
                |number| sender.send(number.to_string()).expect("the receiver waits"),
            );
            drop(sender);
        });
    }

    fn take_snapshots(&self) {
        self.repeat(
            |d| &d.snapshots,
            |_| {
                for source in pprof_runtime::profiles() {
                    let profile = source.snapshot().expect("supported");
                    profile.proto().validate_strict().expect("valid");
                }
                thread::sleep(Duration::from_millis(100));
            },
        );
    }
}

#[profile]
fn deep(depth: u64, seed: u64) -> u64 {
    if depth == 0 {
        return (0..2_000).fold(seed, |x, n| black_box(x ^ n));
    }
    deep(depth - 1, seed).wrapping_add(black_box(depth))
}

#[profile]
fn fall(depth: u64) -> u64 {
    let cleanup = black_box(vec![depth; 4]);
    if depth == 0 {
        panic_any(Meant);
    }
    fall(depth - 1) + cleanup[0]
}

/// Two libraries with a function that calls back nobody and takes some time.
fn build_libraries(dir: &Path) -> Vec<PathBuf> {
    let source = "#[unsafe(no_mangle)] pub extern \"C\" fn count(n: u64) -> u64 { \
                  (0..n).fold(0, |sum, _| std::hint::black_box(sum + 1)) }";
    ["one.so", "two.so"].map(|name| build_library(dir, name, source)).into()
}

/// Loads the library, calls its function and unloads it.
fn call_library(path: &Path, n: u64) -> u64 {
    let path = CString::new(path.as_os_str().as_bytes()).expect("no NUL");
    // SAFETY: a library of ours, without constructors.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    assert!(!library.is_null(), "the library loads");
    // SAFETY: it is open.
    let count = unsafe { libc::dlsym(library, c"count".as_ptr()) };
    assert!(!count.is_null(), "it has the function");
    // SAFETY: `count` has that signature; it is not used after the library is closed.
    let count: extern "C" fn(u64) -> u64 = unsafe { std::mem::transmute(count) };
    let result = count(n);
    // SAFETY: nothing of it is used any more.
    assert_eq!(unsafe { libc::dlclose(library) }, 0);
    result
}

/// A line of `/proc/self/status`.
fn status(name: &str) -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|l| l.strip_prefix(name)).expect("the kernel tells it");
    line.trim_start_matches(':')
        .split_whitespace()
        .next()
        .and_then(|n| n.parse().ok())
        .expect("a number")
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux").count()
}

fn start() -> cpu::Guard {
    cpu::Builder::new().rate_hz(RATE_HZ).start().expect("the former profile has ended")
}

/// A profile of that length: valid, and its time is the process's CPU time.
fn session(length: Duration) {
    let guard = start();
    let before = cpu_time(libc::CLOCK_PROCESS_CPUTIME_ID);
    thread::sleep(length);
    let used = cpu_time(libc::CLOCK_PROCESS_CPUTIME_ID) - before;
    let profile = guard.stop().expect("not forked");
    let proto = profile.proto();
    proto.validate_strict().expect("valid");
    let total = Duration::from_nanos(sum(proto, 1, |_| true) as u64);
    let lost = sum(proto, 1, |names| names.iter().any(|n| n.contains("lost_samples")));
    let share = total.as_secs_f64() / used.as_secs_f64();
    println!("{total:?} of {used:?} CPU time ({share:.3}), {} ms of it lost", lost / 1_000_000);
    let comments: Vec<&str> = proto.comment.iter().map(|c| proto.string(*c)).collect();
    assert!(share > 0.7 && share < 1.1, "{share}: {comments:?}");
}

#[test]
fn a_minute_of_everything() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let load = Arc::new(Load {
        stopping: AtomicBool::new(false),
        done: Done::default(),
        shared: Mutex::new(HashMap::new()),
        libraries: build_libraries(dir.path()),
    });
    let usual_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Meant>() {
            usual_hook(info);
        }
    }));
    pprof_runtime::set_mutex_profile_fraction(1);
    pprof_runtime::set_block_profile_rate(1);
    pprof_runtime::set_function_profile(true);
    // Once, for what stays: the sampler's memory, and its handler.
    drop(start());

    let begin = Instant::now();
    thread::spawn(move || {
        thread::sleep(WATCHDOG);
        eprintln!("stress: something hangs");
        std::process::abort();
    });
    let (threads, descriptors) = (status("Threads"), open_descriptors());
    let work: [fn(&Load); 9] = [
        Load::come_and_go,
        Load::use_heap,
        Load::panic,
        Load::load_and_unload,
        Load::use_locks,
        Load::use_locks,
        Load::use_locks,
        Load::send,
        Load::take_snapshots,
    ];
    let workers: Vec<_> = work
        .into_iter()
        .map(|work| {
            let load = Arc::clone(&load);
            thread::spawn(move || work(&load))
        })
        .collect();

    for number in 0..STARTS {
        let guard = start();
        if number % 50 == 0 {
            guard.stop().expect("not forked").proto().validate_strict().expect("valid");
        }
    }
    println!("{STARTS} starts in {:?}", begin.elapsed());
    session(Duration::from_secs(5));
    // Its own: what is mapped of its files comes and goes with each snapshot.
    let memory = status("RssAnon");
    loop {
        session(Duration::from_secs(5));
        if begin.elapsed() >= LENGTH {
            break;
        }
    }
    let growth = status("RssAnon") - memory;

    load.stopping.store(true, Ordering::Relaxed);
    for worker in workers {
        assert!(worker.join().is_ok(), "no part of the load failed");
    }
    println!("{:?}; grown by {growth} kB to {} kB", load.done, memory + growth);
    let Done { threads: t, heap, panics, loads, locks, messages, snapshots } = &load.done;
    for counter in [t, heap, panics, loads, locks, messages, snapshots] {
        assert!(counter.load(Ordering::Relaxed) > 10, "all have worked: {:?}", load.done);
    }
    assert_eq!(status("Threads"), threads, "threads of ours are left");
    assert_eq!(open_descriptors(), descriptors, "descriptors are left");
    assert!(growth < MAX_GROWTH_KB, "it has grown by {growth} kB");
}
