//! What the heap profiler costs: allocators bare, in ours off and on, and peers (`--features peers`), as tables.
//!
//! `cargo bench -p pprof-benches --bench heap -- [GROUP]... [--rounds N]`; with the feature `hotpath-alloc` hotpath's allocator is among the
//! peers. Go's rows are of what Go takes for it, its collector included, by `go.go`: to be compared with each other.
//!
//! Allocators are called as the compiler calls the global one: by a function of their own that nothing is put into. Each process has a second
//! thread, as glibc's allocator takes less time in one that has none.

mod allocators;
mod work;

use std::process::ExitCode;

use pprof_benches::contender::{Contender, Group, ns};
use pprof_benches::{go, harness};

use allocators::{Allocator, Row, all};

fn main() -> ExitCode {
    allocators::have_a_second_thread();
    let mut groups = Vec::new();
    for size in [16, 64, 1024, 64 << 10, 1 << 20] {
        let title = format!("{size} bytes: allocate and free at once, one thread");
        groups.push(group(format!("pair/{size}"), title, move |a| work::pair(a, size)));
    }
    groups.push(Group::new(
        "global",
        "64 bytes: allocate and free at once, by the process's global allocator",
        allocators::global("ns", work::global_pair),
    ));
    for size in [64, 1024] {
        let title = format!("{size} bytes: allocate 4096, free them in random order, an object");
        groups.push(group(format!("batch/{size}"), title, move |a| work::batch(a, size)));
    }
    for threads in [2, 8] {
        let title = format!("64 bytes: allocate and free at once, {threads} threads");
        groups.push(group(format!("threads/{threads}"), title, move |a| work::threads(a, threads)));
    }
    groups.push(group(
        "handed-over",
        "64 bytes: one thread allocates, another one frees",
        work::handed_over,
    ));
    groups.push(group("growth", "A buffer from 4 KiB to 128 MiB by doubling", work::growth));
    groups.push(group("zeroed", "64 MiB of zero, not touched", work::zeroed));
    groups.push(Group::new(
        "program",
        "Words counted in a text, by strings in hash tables: the process's global allocator, ms",
        allocators::global("ms", work::program),
    ));
    groups.push(Group::new(
        "memory",
        "200 MiB in objects of 64 to 4096 bytes: what the process takes, MB",
        allocators::global("MB", work::memory),
    ));
    groups.push(Group::new(
        "snapshot",
        "A heap profile of 20 000 live samples, of 1024 stacks, ms",
        vec![Contender::new("ours", "ms", work::snapshot)],
    ));
    groups.iter_mut().for_each(with_go);
    harness::main(&groups, 9, harness::print_rows)
}

/// Adds Go's rows to those that `go.go` knows.
fn with_go(group: &mut Group) {
    let (work, argument) = group.name.split_once('/').unwrap_or((&group.name, ""));
    let rates = match work {
        "snapshot" => &[("Go", "1")][..],
        "pair" | "batch" | "threads" | "program" | "memory" => {
            &[("Go, off", "0"), ("Go, 512 KiB", "524288")]
        }
        _ => return,
    };
    if !go::is_there() {
        return;
    }
    let unit = group.contenders.first().map_or("ns", |first| first.unit);
    let row = |(name, rate): &(&str, &str)| {
        let arguments = [work, rate, argument].map(str::to_owned);
        Contender::new(*name, unit, move || go::run("heap", &arguments))
    };
    let rows: Vec<Contender> = rates.iter().map(row).collect();
    group.contenders.extend(rows);
}

fn group(
    name: impl Into<String>,
    title: impl Into<String>,
    work: impl Fn(&'static dyn Allocator) -> f64 + Copy + 'static,
) -> Group {
    let contender = |(name, allocator, prepare): Row| {
        ns(name, move || {
            prepare();
            pprof_benches::contender::Figures::new(work(allocator))
        })
    };
    Group::new(name, title, all().into_iter().map(contender).collect())
}
