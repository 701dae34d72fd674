//! The `functions` profile as a table of functions, for a terminal or a log.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{self, Write};

use crate::aggregate::columns::{Column, Values};
use crate::aggregate::path_snapshot::PathSnapshot;
use crate::aggregate::site::SiteKey;
use crate::clock;
use crate::source::functions;

/// Rows shown unless [`Table::top`] says otherwise.
const TOP: usize = 30;

/// What annotated functions took since the process began or the profile was last reset, one row for each, the largest self time first.
///
/// `total` is the time of calls with all that they call, and of recursive calls counts the outermost alone; `self` is without annotated
/// callees, and `self%` its share of what all functions took together. Of async functions both are busy and idle time. `p50`, `p95` and
/// `p99` are how long half of the calls took at most, and so on, if [`set_function_histograms`](crate::set_function_histograms) was on;
/// `allocs` and `bytes`, of functions with the option `alloc`, `panics` and `cancelled` are there if there were any. Names are those of the source; [`Display`](fmt::Display) shows 30 rows.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Row>,
    top: usize,
    self_ns: i64,
    /// What is not exact, and what happened.
    remarks: Vec<String>,
}

#[derive(Clone, Debug)]
struct Row {
    name: &'static str,
    values: Values,
    total_ns: i64,
    /// In nanoseconds, of 50, 95 and 99 percent.
    percentiles: Option<[i64; 3]>,
}

/// Takes the table of what has been recorded so far.
///
/// # Examples
/// ```
/// #[pprof_runtime::profile]
/// fn square(x: u64) -> u64 {
///     x * x
/// }
///
/// pprof_runtime::set_function_profile(true);
/// assert_eq!((0..4).map(square).sum::<u64>(), 14);
/// let table = pprof_runtime::report::table().to_string();
/// assert!(table.lines().any(|row| row.trim_start().starts_with("4 ") && row.ends_with("square")));
/// ```
#[must_use]
pub fn table() -> Table {
    Table::of(&functions::snapshot())
}

/// Prints [`table`] to standard output; if that is closed, to nobody.
pub fn print() {
    // `print!` would panic.
    let _ = write!(io::stdout().lock(), "{}", table());
}

impl Table {
    /// Shows the `rows` functions of the largest self time, and says how many more there are.
    #[must_use]
    pub fn top(self, rows: usize) -> Table {
        Table { top: rows, ..self }
    }

    pub(crate) fn of(snapshot: &PathSnapshot) -> Table {
        let mut rows: HashMap<SiteKey, Row> = HashMap::new();
        let mut self_ns = 0;
        for sample in &snapshot.paths {
            let wall = wall(&sample.values);
            self_ns += wall;
            let mut seen = HashSet::new();
            for (depth, site) in sample.path.iter().map(|site| SiteKey(site)).enumerate() {
                let row = rows.entry(site).or_insert_with(|| Row::of(site, snapshot));
                if depth == 0 {
                    row.values += sample.values;
                }
                if seen.insert(site) {
                    row.total_ns += wall;
                }
            }
        }
        let lost = snapshot.lost.iter().map(|lost| {
            self_ns += wall(&lost.values);
            let total_ns = wall(&lost.values);
            Row { name: lost.reason, values: lost.values, total_ns, percentiles: None }
        });
        let lost: Vec<Row> = lost.collect();
        let mut rows: Vec<Row> = rows.into_values().chain(lost).collect();
        rows.sort_by_key(|row| (-wall(&row.values), -row.values[Column::Calls], row.name));
        let is_exact = snapshot.comments.len() <= 1;
        let remarks = if is_exact { Vec::new() } else { snapshot.comments.clone() };
        Table { rows, top: TOP, self_ns, remarks }
    }
}

fn wall(values: &Values) -> i64 {
    values[Column::Busy] + values[Column::Idle]
}

impl Row {
    fn of(site: SiteKey, snapshot: &PathSnapshot) -> Row {
        let percentiles = snapshot.durations.get(&site).and_then(|durations| {
            let ns = |percent| {
                let ticks = durations.percentile(percent)?;
                Some(i64::try_from(clock::ticks_to_ns(ticks)).unwrap_or(i64::MAX))
            };
            Some([ns(50)?, ns(95)?, ns(99)?])
        });
        Row { name: site.0.name(), values: Values::default(), total_ns: 0, percentiles }
    }

    fn cells(&self, columns: &[Shown], all_ns: i64) -> Vec<String> {
        let percentile = |which: usize| match self.percentiles {
            Some(percentiles) => time(percentiles[which]),
            None => "-".to_owned(),
        };
        let cell = |column: &Shown| match column {
            Shown::Count(_, column) => self.values[*column].to_string(),
            Shown::Total => time(self.total_ns),
            Shown::Own => time(wall(&self.values)),
            Shown::Share => {
                let share = wall(&self.values).max(0) as f64 / all_ns.max(1) as f64;
                format!("{:.1}%", share * 100.0)
            }
            Shown::Percentile(_, which) => percentile(*which),
        };
        columns.iter().map(cell).collect()
    }
}

/// A column of the table.
#[derive(Clone, Copy)]
enum Shown {
    Count(&'static str, Column),
    Total,
    Own,
    Share,
    Percentile(&'static str, usize),
}

impl Shown {
    fn head(self) -> String {
        let head = match self {
            Shown::Count(head, _) | Shown::Percentile(head, _) => head,
            Shown::Total => "total",
            Shown::Own => "self",
            Shown::Share => "self%",
        };
        head.to_owned()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut columns =
            vec![Shown::Count("calls", Column::Calls), Shown::Total, Shown::Own, Shown::Share];
        if self.rows.iter().any(|row| row.percentiles.is_some()) {
            let percentiles = ["p50", "p95", "p99"].into_iter().enumerate();
            columns.extend(percentiles.map(|(which, head)| Shown::Percentile(head, which)));
        }
        const RARE: [(&str, Column); 4] = [
            ("allocs", Column::Objects),
            ("bytes", Column::Bytes),
            ("panics", Column::Panics),
            ("cancelled", Column::Cancelled),
        ];
        for (head, column) in RARE {
            if self.rows.iter().any(|row| row.values[column] != 0) {
                columns.push(Shown::Count(head, column));
            }
        }
        let shown = &self.rows[..self.rows.len().min(self.top)];
        let mut lines = vec![columns.iter().map(|column| column.head()).collect::<Vec<_>>()];
        lines.extend(shown.iter().map(|row| row.cells(&columns, self.self_ns)));
        let width = |cell: &String| cell.chars().count();
        let widths: Vec<usize> = (0..columns.len())
            .map(|at| lines.iter().filter_map(|line| line.get(at)).map(width).max().unwrap_or(0))
            .collect();
        let names = std::iter::once("function").chain(shown.iter().map(|row| row.name));
        for (line, name) in lines.iter().zip(names) {
            for (cell, width) in line.iter().zip(&widths) {
                write!(f, "{cell:>width$}  ")?;
            }
            writeln!(f, "{name}")?;
        }
        match self.rows.len() - shown.len() {
            0 => {}
            more => writeln!(f, "and {more} more functions")?,
        }
        self.remarks.iter().try_for_each(|remark| writeln!(f, "# {remark}"))
    }
}

/// A time in the largest unit that it has one of, to three digits or more. Sums of weighted ones may be below zero, of few calls.
fn time(ns: i64) -> String {
    let (sign, ns) = (if ns < 0 { "-" } else { "" }, ns.unsigned_abs());
    let units = [("s", 1e9), ("ms", 1e6), ("us", 1e3)];
    match units.into_iter().find(|(_, unit)| ns as f64 >= *unit) {
        Some((name, unit)) => {
            let value = ns as f64 / unit;
            let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
            format!("{sign}{value:.digits$}{name}")
        }
        None => format!("{sign}{ns}ns"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::aggregate::path_snapshot::{LostCalls, NO_ROOM, PathSample};
    use crate::aggregate::site::Site;

    static A: Site = Site::new("a", || "", "a.rs", 1);
    static B: Site = Site::new("b", || "", "b.rs", 1);

    fn snapshot(paths: &[(&[&'static Site], [i64; 3])]) -> PathSnapshot {
        let paths = paths
            .iter()
            .map(|(path, [calls, busy, panics])| PathSample {
                set: None,
                path: path.to_vec(),
                values: Values::of(|column| match column {
                    Column::Calls => *calls,
                    Column::Busy => *busy,
                    Column::Panics => *panics,
                    _ => 0,
                }),
            })
            .collect();
        PathSnapshot {
            time: SystemTime::UNIX_EPOCH,
            duration: None,
            paths,
            lost: Vec::new(),
            columns: Vec::new(),
            durations: HashMap::new(),
            comments: Vec::new(),
        }
    }

    #[test]
    fn recursion_is_in_a_total_once() {
        let snapshot = snapshot(&[
            (&[&A], [1, 1_000, 0]),
            (&[&B, &A], [2, 6_500_000, 0]),
            (&[&A, &B, &A], [3, 500, 1]),
        ]);
        let table = Table::of(&snapshot);
        let expected = "\
            calls   total    self   self%  panics  function\n    \
                2  6.50ms  6.50ms  100.0%       0  b\n    \
                4  6.50ms  1.50us    0.0%       1  a\n";
        assert_eq!(table.to_string(), expected);
        assert!(table.top(1).to_string().ends_with("  b\nand 1 more functions\n"));
    }

    #[test]
    fn what_is_lost_or_not_exact_is_told() {
        let mut snapshot = snapshot(&[(&[&A], [1, 1_000, 0])]);
        let values = Values::of(|column| match column {
            Column::Calls => 5,
            Column::Busy => 3_000,
            _ => 0,
        });
        snapshot.lost.push(LostCalls { reason: NO_ROOM, values });
        snapshot.comments = vec!["calls are exact".to_owned(), "some remark".to_owned()];
        let expected = format!(
            "calls   total    self  self%  function\n    \
                5  3.00us  3.00us  75.0%  {NO_ROOM}\n    \
                1  1.00us  1.00us  25.0%  a\n\
             # calls are exact\n# some remark\n"
        );
        assert_eq!(Table::of(&snapshot).to_string(), expected);
    }

    #[test]
    fn times_have_three_digits() {
        let times = [0, 999, 1_000, 12_340, 999_000, 61_000_000_000, -1_500].map(time);
        assert_eq!(times, ["0ns", "999ns", "1.00us", "12.3us", "999us", "61.0s", "-1.50us"]);
    }
}
