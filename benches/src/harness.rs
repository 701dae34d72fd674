//! The table of a benchmark: each measurement is a process of its own, as most contenders can be switched on but not off again.
//!
//! All contenders of a group take turns, round by round, so that what else the machine does hits them alike; the ratio is of
//! medians, to the first of its group.

use std::process::{Command, ExitCode};

use crate::contender::{Contender, Figures, Group};

/// Runs the groups that the command line names, `[GROUP]... [--rounds N]`, all if it names none, and shows each by `print`.
pub fn main(
    groups: &[Group],
    default_rounds: usize,
    mut print: impl FnMut(&Group, usize, &[Vec<Figures>]),
) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["--run", group, index] = words[..] {
        return run_one(groups, group, index);
    }
    let mut rounds = default_rounds;
    let mut chosen = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match *word {
            "--rounds" => match rest.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0) {
                Some(n) => rounds = n,
                None => return refuse("--rounds takes a number above zero"),
            },
            word if groups.iter().any(|group| group.is_called(word)) => chosen.push(word),
            other => {
                let names: Vec<_> = groups.iter().map(|group| group.name.as_str()).collect();
                return refuse(&format!("{other:?} is no group; there are {}", names.join(", ")));
            }
        }
    }
    for group in groups {
        if chosen.is_empty() || chosen.iter().any(|word| group.is_called(word)) {
            match compare(&group.name, &group.contenders, rounds) {
                Ok(results) => print(group, rounds, &results),
                Err(error) => return refuse(&error),
            }
        }
    }
    ExitCode::SUCCESS
}

fn refuse(message: &str) -> ExitCode {
    eprintln!("benchmark: {message}");
    ExitCode::from(2)
}

/// The child: one contender once, its figures to standard output.
fn run_one(groups: &[Group], group: &str, index: &str) -> ExitCode {
    let group = groups.iter().find(|g| g.name == group);
    let index = index.parse().unwrap_or(usize::MAX);
    let Some(contender) = group.and_then(|g| g.contenders.get(index)) else {
        return refuse("no such contender");
    };
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

/// Median and least of a figure over the rounds.
///
/// # Panics
/// If there is none.
pub fn column(figures: &[Figures], of: impl Fn(&Figures) -> f64) -> (f64, f64) {
    let mut values: Vec<f64> = figures.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0])
}

/// A table with a row for each contender.
pub fn print_rows(group: &Group, rounds: usize, results: &[Vec<Figures>]) {
    let Group { title, contenders, .. } = group;
    let extra = results.iter().flatten().any(|f| f.extra.is_some());
    println!("\n### {title} ({rounds} rounds in turns)\n");
    print!("| contender | median | min | ratio | ratio of minima | peak MB |");
    println!("{}", if extra { " start ms | stop ms | samples |" } else { "" });
    println!("|---|---|---|---|---|---|{}", if extra { "---|---|---|" } else { "" });
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
