//! CPU profilers at 100 Hz over a fixed amount of work: none, ours, the `pprof` crate.

use std::hint::black_box;
use std::time::{Duration, Instant};

use pprof_benches::contender::{Contender, Figures};
use pprof_benches::measure;

const RATE_HZ: u32 = 100;

fn seconds(name: &'static str, run: fn() -> Figures) -> Contender {
    Contender::new(name, "s", run)
}

/// Thirty frames deep, as programs are.
#[inline(never)]
fn descend(depth: u32, x: u64) -> u64 {
    let x = if depth == 0 { crunch(x) } else { descend(depth - 1, x ^ u64::from(depth)) };
    black_box(x).rotate_left(1)
}

/// About a millisecond.
#[inline(never)]
fn crunch(mut x: u64) -> u64 {
    for _ in 0..300_000 {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    x
}

fn work(threads: usize) {
    let thread = || {
        (1..=1_500_u64).for_each(|i| {
            black_box(descend(30, i));
        });
    };
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(thread)));
        thread();
    });
}

fn without(threads: usize) -> Figures {
    let cpu = measure::process_cpu();
    work(threads);
    Figures::new((measure::process_cpu() - cpu).as_secs_f64())
}

fn ours(threads: usize) -> Figures {
    let start = Instant::now();
    let guard = pprof_runtime::cpu::Builder::default()
        .rate_hz(RATE_HZ)
        .start()
        .expect("nobody else profiles");
    let started = start.elapsed();
    let cpu = measure::process_cpu();
    work(threads);
    let cpu = measure::process_cpu() - cpu;
    let stop = Instant::now();
    let profile = guard.stop().expect("not forked");
    profile.write_to(Vec::new()).expect("memory takes it");
    let samples = profile.proto().sample.iter().map(|s| s.value[0]).sum::<i64>();
    profiled(cpu, started, stop.elapsed(), samples)
}

fn profiled(cpu: Duration, start: Duration, stop: Duration, samples: i64) -> Figures {
    let asked = cpu.as_secs_f64() * f64::from(RATE_HZ);
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let extra = Some([ms(start), ms(stop), samples as f64 / asked]);
    Figures { extra, ..Figures::new(cpu.as_secs_f64()) }
}

#[cfg(feature = "peers")]
fn pprof_crate(threads: usize) -> Figures {
    use pprof::protos::Message;

    let start = Instant::now();
    let guard = pprof::ProfilerGuardBuilder::default()
        .frequency(RATE_HZ as i32)
        .build()
        .expect("nobody else profiles");
    let started = start.elapsed();
    let cpu = measure::process_cpu();
    work(threads);
    let cpu = measure::process_cpu() - cpu;
    let stop = Instant::now();
    let report = guard.report().build().expect("it has samples");
    let profile = report.pprof().expect("it can be encoded");
    black_box(profile.encode_to_vec());
    let samples = report.data.values().map(|count| *count as i64).sum();
    profiled(cpu, started, stop.elapsed(), samples)
}

#[allow(unused_mut)]
pub(crate) fn one_thread() -> Vec<Contender> {
    let mut contenders = vec![seconds("none", || without(1)), seconds("ours, 100 Hz", || ours(1))];
    #[cfg(feature = "peers")]
    contenders.push(seconds("pprof crate, 100 Hz", || pprof_crate(1)));
    contenders
}

#[allow(unused_mut)]
pub(crate) fn two_threads() -> Vec<Contender> {
    let mut contenders = vec![seconds("none", || without(2)), seconds("ours, 100 Hz", || ours(2))];
    #[cfg(feature = "peers")]
    contenders.push(seconds("pprof crate, 100 Hz", || pprof_crate(2)));
    contenders
}
