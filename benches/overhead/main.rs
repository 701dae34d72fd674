//! What each instrument costs: off, on, absent, and the peers' (`--features peers`), as one table.
//!
//! Each measurement is a process of its own, as most contenders can be switched on but not off again. All
//! contenders of a group take turns, round by round, so that what else the machine does hits them alike; the ratio is of
//! medians, to the first of its group. `cargo bench -p pprof-benches -- [GROUP]... [--rounds N]`.

mod calls;
mod contender;
mod cpu;
mod locks;
mod measure;

use std::process::{Command, ExitCode};

use contender::{Contender, Figures};

fn groups() -> Vec<(&'static str, &'static str, Vec<Contender>)> {
    vec![
        ("uncontended", "Mutex: lock and unlock, one thread", locks::uncontended()),
        (
            "contended",
            "Mutex: lock and unlock, two threads at it without pause",
            locks::contended(),
        ),
        ("worked", "Mutex: two threads, 1 us inside and 1 us outside", locks::worked()),
        ("rwlock-read", "RwLock: read and unlock, one thread", locks::read()),
        ("rwlock-write", "RwLock: write and unlock, one thread", locks::write()),
        ("rwlock-readers", "RwLock: two threads that read without pause", locks::readers()),
        (
            "rwlock-mixed",
            "RwLock: two threads without pause, one use of eight a write",
            locks::mixed(),
        ),
        (
            "rwlock-worked",
            "RwLock: two threads, 1 us inside and 1 us outside, one use of four a write",
            locks::mixed_work(),
        ),
        ("calls", "an annotated call", calls::sync()),
        ("async-calls", "an annotated async call", calls::asynchronous()),
        ("cpu", "CPU profiling: CPU time of fixed work, one thread", cpu::one_thread()),
        ("cpu-2", "CPU profiling: CPU time of fixed work, two threads", cpu::two_threads()),
    ]
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["--run", group, index] = words[..] {
        return run_one(group, index);
    }
    let mut rounds = 15;
    let mut chosen = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match *word {
            "--rounds" => match rest.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0) {
                Some(n) => rounds = n,
                None => return refuse("--rounds takes a number above zero"),
            },
            group if groups().iter().any(|(name, ..)| *name == group) => chosen.push(group),
            other => {
                let names: Vec<_> = groups().iter().map(|(name, ..)| *name).collect();
                return refuse(&format!("{other:?} is no group; there are {}", names.join(", ")));
            }
        }
    }
    for (name, title, contenders) in groups() {
        if chosen.is_empty() || chosen.contains(&name) {
            match compare(name, &contenders, rounds) {
                Ok(results) => print(title, rounds, &contenders, &results),
                Err(error) => return refuse(&error),
            }
        }
    }
    ExitCode::SUCCESS
}

fn refuse(message: &str) -> ExitCode {
    eprintln!("overhead: {message}");
    ExitCode::from(2)
}

/// The child: one contender once, its figures to standard output.
fn run_one(group: &str, index: &str) -> ExitCode {
    let contender =
        groups().into_iter().find(|(name, ..)| *name == group).and_then(|(_, _, contenders)| {
            contenders.into_iter().nth(index.parse().unwrap_or(usize::MAX))
        });
    let Some(contender) = contender else { return refuse("no such contender") };
    println!("{}", (contender.run)().to_line());
    // Past whatever a peer would print at the end.
    std::process::exit(0);
}

fn compare(
    group: &str,
    contenders: &[Contender],
    rounds: usize,
) -> Result<Vec<Vec<Figures>>, String> {
    let program = std::env::current_exe().map_err(|e| format!("cannot find myself: {e}"))?;
    let mut results = vec![Vec::new(); contenders.len()];
    for _ in 0..rounds {
        for (index, contender) in contenders.iter().enumerate() {
            let output = Command::new(&program)
                .args(["--run", group, &index.to_string()])
                .output()
                .map_err(|e| format!("cannot start {}: {e}", contender.name))?;
            let text = String::from_utf8_lossy(&output.stdout);
            let figures = text.lines().rev().find_map(Figures::from_line).ok_or_else(|| {
                format!("{}: {}", contender.name, String::from_utf8_lossy(&output.stderr))
            })?;
            results[index].push(figures);
        }
    }
    Ok(results)
}

fn print(title: &str, rounds: usize, contenders: &[Contender], results: &[Vec<Figures>]) {
    let extra = results.iter().flatten().any(|f| f.extra.is_some());
    println!("\n### {title} ({rounds} rounds in turns)\n");
    print!("| contender | median | min | ratio | ratio of minima | peak MB |");
    println!("{}", if extra { " start ms | stop ms | samples |" } else { "" });
    println!("|---|---|---|---|---|---|{}", if extra { "---|---|---|" } else { "" });
    let column = |figures: &[Figures], of: fn(&Figures) -> f64| {
        let mut values: Vec<f64> = figures.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        (values[values.len() / 2], values[0])
    };
    let Some(first) = results.first() else { return };
    let base = column(first, |f| f.value);
    for (contender, figures) in contenders.iter().zip(results) {
        let (median, min) = column(figures, |f| f.value);
        let (peak, _) = column(figures, |f| f.peak_mb);
        let unit = contender.unit;
        print!(
            "| {} | {median:.2} {unit} | {min:.2} {unit} | {:.3}x | {:.3}x | {peak:.0} |",
            contender.name,
            median / base.0,
            min / base.1,
        );
        match figures.first().and_then(|f| f.extra.as_ref()) {
            Some(_) => {
                let of = |index: usize| {
                    let mut values: Vec<f64> =
                        figures.iter().filter_map(|f| f.extra.map(|e| e[index])).collect();
                    values.sort_by(f64::total_cmp);
                    values[values.len() / 2]
                };
                println!(" {:.1} | {:.1} | {:.0} % |", of(0), of(1), of(2) * 100.0);
            }
            None => println!("{}", if extra { " | | |" } else { "" }),
        }
    }
}
