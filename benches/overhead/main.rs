//! What each instrument costs: off, on, absent, and the peers' (`--features peers`), as one table.
//!
//! `cargo bench -p pprof-benches --bench overhead -- [GROUP]... [--rounds N]`.

mod calls;
mod cpu;
mod labels;
mod locks;
#[cfg(feature = "peers")]
mod tracers;

use std::process::ExitCode;

use pprof_benches::contender::Group;
use pprof_benches::harness;

fn main() -> ExitCode {
    let groups = [
        Group::new("uncontended", "Mutex: lock and unlock, one thread", locks::uncontended()),
        Group::new(
            "contended",
            "Mutex: lock and unlock, two threads at it without pause",
            locks::contended(),
        ),
        Group::new("worked", "Mutex: two threads, 1 us inside and 1 us outside", locks::worked()),
        Group::new("rwlock-read", "RwLock: read and unlock, one thread", locks::read()),
        Group::new("rwlock-write", "RwLock: write and unlock, one thread", locks::write()),
        Group::new(
            "rwlock-readers",
            "RwLock: two threads that read without pause",
            locks::readers(),
        ),
        Group::new(
            "rwlock-mixed",
            "RwLock: two threads without pause, one use of eight a write",
            locks::mixed(),
        ),
        Group::new(
            "rwlock-worked",
            "RwLock: two threads, 1 us inside and 1 us outside, one use of four a write",
            locks::mixed_work(),
        ),
        Group::new("calls", "an annotated call", calls::sync()),
        Group::new("async-calls", "an annotated async call", calls::asynchronous()),
        Group::new("labels", "labels around a call, and around a poll", labels::calls()),
        Group::new("cpu", "CPU profiling: CPU time of fixed work, one thread", cpu::one_thread()),
        Group::new(
            "cpu-2",
            "CPU profiling: CPU time of fixed work, two threads",
            cpu::two_threads(),
        ),
    ];
    harness::main(&groups, 15, harness::print_rows)
}
