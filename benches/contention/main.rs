//! What profiled locks and channels cost: the original, ours with profiles off and on, and the peers (`--features peers`), alone and
//! contended, with work inside and outside of the critical section.
//!
//! `cargo bench -p pprof-benches --bench contention -- [PRIMITIVE[/THREADS[/MICROSECONDS]]]... [--rounds N]`. The figures are
//! medians over rounds in which all take turns; ratios are to the original in the same round, the median of them.

mod channels;
mod go;
mod locks;
mod tasks;
mod waits;

use std::process::ExitCode;

use pprof_benches::contender::{Contender, Figures, Group, ns};
use pprof_benches::harness;
use pprof_benches::measure::{self, work};

/// How many use it at the same time, and how long they work with and without it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    threads: usize,
    microseconds: u64,
}

impl Setup {
    /// Nanoseconds between two operations of all threads together. `operation` does its work by itself.
    pub(crate) fn measure(self, operation: impl Fn(usize) + Sync) -> Figures {
        let alone = self.threads == 1 && self.microseconds == 0;
        Figures::new(if alone {
            measure::one_thread(|_| operation(0))
        } else {
            measure::throughput(self.threads, operation)
        })
    }

    /// Work as set up, with what is measured or without.
    pub(crate) fn work(self) {
        if self.microseconds > 0 {
            work(self.microseconds);
        }
    }
}

/// Profiles as a production program would have them.
pub(crate) fn profiles_on() {
    pprof_runtime::set_mutex_profile_fraction(100);
    pprof_runtime::set_block_profile_rate(10_000);
}

/// The original, and ours off and on, by one macro that runs the same code on each type.
macro_rules! contenders {
    ($setup:ident, $run:ident, $original:expr, $ours:expr) => {
        vec![
            crate::ns("original", move || $run!($setup, $original)),
            crate::ns("ours, off", move || $run!($setup, $ours)),
            crate::ns("ours, on", move || {
                crate::profiles_on();
                $run!($setup, $ours)
            }),
        ]
    };
}
pub(crate) use contenders;

/// What is measured: its name, the numbers of threads that make sense, and the contenders.
type Primitive = (&'static str, &'static [usize], fn(Setup) -> Vec<Contender>);

const ANY: &[usize] = &[1, 2, 8];
const PAIRS: &[usize] = &[2, 8];
const ALONE: &[usize] = &[1];

const PRIMITIVES: &[Primitive] = &[
    ("mutex", ANY, locks::mutex),
    ("rwlock-read", ANY, locks::rwlock_read),
    ("rwlock-write", ANY, locks::rwlock_write),
    ("condvar", PAIRS, waits::condvar),
    ("once-lock", ANY, waits::once_lock),
    ("barrier", PAIRS, waits::barrier),
    ("park", PAIRS, waits::park),
    ("join", ALONE, waits::join),
    ("pl-mutex", ANY, locks::pl_mutex),
    ("pl-fair-mutex", ANY, locks::pl_fair_mutex),
    ("pl-reentrant", ANY, locks::pl_reentrant),
    ("pl-rwlock-read", ANY, locks::pl_rwlock_read),
    ("pl-rwlock-write", ANY, locks::pl_rwlock_write),
    ("mpsc", ANY, channels::mpsc),
    ("sync-channel", ANY, channels::sync_channel),
    ("crossbeam-unbounded", ANY, channels::crossbeam_unbounded),
    ("crossbeam-bounded", ANY, channels::crossbeam_bounded),
    ("crossbeam-rendezvous", PAIRS, channels::crossbeam_rendezvous),
    ("tokio-mutex", ANY, tasks::mutex),
    ("tokio-rwlock-read", ANY, tasks::rwlock_read),
    ("tokio-rwlock-write", ANY, tasks::rwlock_write),
    ("tokio-semaphore", ANY, tasks::semaphore),
    ("tokio-mpsc", PAIRS, tasks::mpsc),
    ("tokio-oneshot", ALONE, tasks::oneshot),
    ("level-0", ANY, locks::level_0),
];

fn main() -> ExitCode {
    let mut groups = Vec::new();
    for (name, threads, contenders) in PRIMITIVES {
        for &threads in *threads {
            for microseconds in [0, 1, 10] {
                let setup = Setup { threads, microseconds };
                let name = format!("{name}/{threads}/{microseconds}");
                groups.push(Group::new(name.clone(), name, contenders(setup)));
            }
        }
    }
    let mut header = String::new();
    harness::main(&groups, 7, |group, rounds, results| {
        let names: Vec<&str> = group.contenders.iter().map(|c| c.name.as_str()).collect();
        let line = format!("| {} |", names.join(" | "));
        if header != line {
            println!(
                "\nns an operation, medians of {rounds} rounds, and the ratio to the original\n"
            );
            println!("| primitive/threads/µs {line}");
            println!("|---|{}", "---|".repeat(names.len()));
            header = line;
        }
        print!("| {} |", group.name);
        for figures in results {
            let (median, _) = harness::column(figures, |f| f.value);
            let mut ratios: Vec<f64> =
                figures.iter().zip(&results[0]).map(|(f, first)| f.value / first.value).collect();
            ratios.sort_by(f64::total_cmp);
            let ratio = ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN);
            print!(" {median:.1} ({ratio:.2}x) |");
        }
        println!();
    })
}
