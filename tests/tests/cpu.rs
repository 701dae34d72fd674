//! The CPU profile is right about how much and where, by the CPU clocks. There is one profile at a time: the tests take turns.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pprof_tests::{cpu_time, has_burnt, stacks, sum};

static SERIAL: Mutex<()> = Mutex::new(());

/// CPU time per part. The ratio of two binomial shares at 100 Hz over 10 s has a standard deviation of 1.4 points.
const SECONDS: u64 = 10;

/// What each part really took: a machine that is stopped in a slice charges the stop to the slice.
static HEAVY_NS: AtomicU64 = AtomicU64::new(0);
static LIGHT_NS: AtomicU64 = AtomicU64::new(0);

#[inline(never)]
fn heavy(cpu: Duration) {
    spin(cpu, &HEAVY_NS);
}

#[inline(never)]
fn light(cpu: Duration) {
    spin(cpu, &LIGHT_NS);
}

/// Inlined, so that the loop is in its callers: they are the leaves.
#[inline(always)]
fn spin(cpu: Duration, spent: &AtomicU64) {
    let start = cpu_time(libc::CLOCK_THREAD_CPUTIME_ID);
    let mut x = 1u64;
    while !has_burnt(start, cpu) {
        for _ in 0..50_000 {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
        }
    }
    std::hint::black_box(x);
    let now = cpu_time(libc::CLOCK_THREAD_CPUTIME_ID);
    spent.fetch_add((now - start).as_nanos() as u64, Ordering::Relaxed);
}

/// Burns `cpu` in the proportion 3:1, in slices of random length: the kernel's tick drives the timers, which cannot tell apart work that
/// keeps step with it.
fn work(cpu: Duration) {
    let mut left = cpu;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    while !left.is_zero() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let now = Duration::from_micros(1_000 + random % 8_000).min(left);
        heavy(now * 3 / 4);
        light(now / 4);
        left -= now;
    }
}

#[test]
fn totals_and_shares_are_right_with_one_thread_and_with_four() {
    let _alone = SERIAL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for threads in [1, 4] {
        let guard = pprof_runtime::cpu::start().expect("nobody else profiles");
        let before = cpu_time(libc::CLOCK_PROCESS_CPUTIME_ID);
        // Started while profiling: the sampler has to find them.
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| work(Duration::from_secs(SECONDS) / threads));
            }
        });
        let cpu = cpu_time(libc::CLOCK_PROCESS_CPUTIME_ID) - before;
        let profile = guard.stop().expect("not forked");
        let profile = profile.proto();

        let total = sum(profile, 1, |_| true) as f64 / 1e9;
        let error = total / cpu.as_secs_f64() - 1.0;
        assert!(error.abs() < 0.10, "{threads} threads: {total} s of {cpu:?} sampled");

        // The leaf, below what is inlined into it.
        let on = |function: &str| {
            let leaf = |names: &[&str]| {
                names
                    .iter()
                    .position(|n| n.ends_with(function))
                    .is_some_and(|at| names[..at].iter().all(|n| !n.ends_with("::work")))
            };
            sum(profile, 1, leaf) as f64
        };
        let (heavy, light) = (on("::heavy"), on("::light"));
        let share = heavy / (heavy + light);
        let [truly_heavy, truly_light] =
            [&HEAVY_NS, &LIGHT_NS].map(|ns| ns.swap(0, Ordering::Relaxed) as f64);
        let truth = truly_heavy / (truly_heavy + truly_light);
        println!("{threads} threads: {total} s sampled of {cpu:?}; heavy {share}, truly {truth}");
        assert!((share - truth).abs() < 0.05, "{threads} threads: heavy {share}, truly {truth}");
        assert!(heavy + light > 0.8 * total * 1e9, "{heavy} + {light} ns of {total} s");

        // Whole stacks: a thread's first function is at the root.
        let whole = |names: &[&str]| names.iter().any(|n| n.ends_with("::work"));
        let rooted = sum(profile, 1, |names| on_path(names) && whole(names)) as f64;
        assert!(rooted > 0.99 * (heavy + light), "{rooted} of {heavy} + {light}");
    }
}

fn on_path(names: &[&str]) -> bool {
    names.iter().any(|n| n.ends_with("::heavy") || n.ends_with("::light"))
}

/// Threads that live for 3 ms, when scans are 10 ms apart. The kernel looks at timers from its tick, so of a time that short
/// it sees three eighths at 250 Hz, and five sixths at 1000 Hz.
#[test]
fn threads_too_short_to_be_found_register() {
    let _alone = SERIAL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let brief = || light(Duration::from_millis(3));
    let share = |body: fn(&dyn Fn())| {
        let guard = pprof_runtime::cpu::start().expect("nobody else profiles");
        let before = LIGHT_NS.load(Ordering::Relaxed);
        for _ in 0..1_000 {
            std::thread::scope(|scope| drop(scope.spawn(|| body(&brief))));
        }
        let truth = LIGHT_NS.load(Ordering::Relaxed) - before;
        let profile = guard.stop().expect("not forked");
        let seen = sum(profile.proto(), 1, |names| names.iter().any(|n| n.ends_with("::light")));
        seen as f64 / truth as f64
    };
    let unregistered = share(|work| work());
    let registered = share(|work| {
        pprof_runtime::cpu::register_thread();
        work();
    });
    println!("of their CPU time, {unregistered} without and {registered} with registration");
    assert!(registered > 0.2 && registered < 1.25, "{registered}");
    assert!(registered > 2.0 * unregistered, "{registered} is no better than {unregistered}");
    LIGHT_NS.store(0, Ordering::Relaxed);
}

#[test]
fn helpers_read_what_the_runtime_writes() {
    let profile = pprof_runtime::lookup("functions").expect("built in").snapshot().expect("empty");
    assert!(stacks(profile.proto()).is_empty());
}
