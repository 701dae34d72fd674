//! Profiles as text: the layout of Go's `?debug=1`.
//!
//! ```text
//! --- mutex:
//! cycles/second=1000000000
//! sampling period=1
//! 41230981 12 @ 0x55d0c4a1b2c3 0x55d0c4a1b9ff
//! #  0x55d0c4a1b2c3  server::index::Index::add  /src/index.rs:42
//! #  0x55d0c4a1b9ff  server::worker  /src/main.rs:17
//! ```
//!
//! `go tool pprof` reads the text of `mutex`, `block`, `heap` and `allocs` too, and multiplies by what it says of cycles and sampling: values
//! are in nanoseconds and already scaled, so it says so: `heap/2` is a rate of one byte. Other profiles begin with a line of their sample
//! types.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io::{self, Write};

use pprof_format::{Function, Location, Profile, Sample, ValueType};

use crate::heap::Statistics;
use crate::report::Table;

/// Writes `profile`, of the kind `name`, the largest first by the default sample type, else by the last.
pub(crate) fn write(
    name: &str,
    profile: &Profile,
    table: Option<&Table>,
    writer: &mut dyn Write,
) -> io::Result<()> {
    let row = match name {
        "mutex" | "block" => Row::Contention,
        "heap" | "allocs" => Row::Heap,
        _ => Row::Plain,
    };
    match name {
        "heap" | "allocs" => heap_header(profile, writer)?,
        "mutex" => writeln!(writer, "--- mutex:\ncycles/second=1000000000\nsampling period=1")?,
        "block" => writeln!(writer, "--- contention:\ncycles/second=1000000000")?,
        _ => {
            write!(writer, "--- {name}:\n#")?;
            for ty in &profile.sample_type {
                write!(writer, " {}/{}", profile.string(ty.ty), profile.string(ty.unit))?;
            }
            writeln!(writer)?;
        }
    }
    for comment in &profile.comment {
        writeln!(writer, "# {}", profile.string(*comment))?;
    }
    let table = table.map(Table::to_string).unwrap_or_default();
    for row in table.lines() {
        writeln!(writer, "# {row}")?;
    }
    let tables = Tables {
        profile,
        locations: profile.location.iter().map(|l| (l.id, l)).collect(),
        functions: profile.function.iter().map(|f| (f.id, f)).collect(),
    };
    let mut samples: Vec<&Sample> = profile.sample.iter().collect();
    let is_default = |ty: &&ValueType| ty.ty == profile.default_sample_type && ty.ty != 0;
    let last = profile.sample_type.len().saturating_sub(1);
    let shown = profile.sample_type.iter().position(|ty| is_default(&ty)).unwrap_or(last);
    samples.sort_by_key(|sample| Reverse(sample.value.get(shown)));
    for sample in samples {
        tables.sample(sample, row, writer)?;
    }
    Ok(())
}

/// What the text of a heap profile ends with: Go's lines, of which the ones that have no meaning here are zero, and ours.
#[derive(Debug)]
pub(crate) struct Memory {
    /// The type of the one inside.
    pub(crate) allocator: Option<&'static str>,
    pub(crate) statistics: Option<Statistics>,
    pub(crate) resident: Option<u64>,
    pub(crate) peak_resident: Option<u64>,
}

impl Memory {
    pub(crate) fn write(&self, profile: &Profile, writer: &mut dyn Write) -> io::Result<()> {
        let total = |column| u64::try_from(total(profile, column)).unwrap_or(0);
        let [made, made_bytes, in_use, in_use_bytes] = [0, 1, 2, 3].map(total);
        let statistics = self.statistics.unwrap_or_default();
        let allocated = self.statistics.map_or(in_use_bytes, |s| s.allocated);
        writeln!(writer, "\n# runtime.MemStats")?;
        let lines = [
            ("Alloc", allocated),
            ("TotalAlloc", made_bytes),
            ("Sys", statistics.mapped),
            ("Lookups", 0),
            ("Mallocs", made),
            ("Frees", made.saturating_sub(in_use)),
            ("HeapAlloc", allocated),
            ("HeapSys", statistics.mapped),
            ("HeapIdle", statistics.free),
            ("HeapInuse", statistics.mapped.saturating_sub(statistics.free)),
            ("HeapReleased", 0),
            ("HeapObjects", in_use),
            ("NextGC", 0),
            ("LastGC", 0),
            ("NumGC", 0),
        ];
        for (name, value) in lines {
            writeln!(writer, "# {name} = {value}")?;
        }
        if let Some(peak) = self.peak_resident {
            writeln!(writer, "# MaxRSS = {peak}")?;
        }
        writeln!(writer, "\n# Rust")?;
        let known = if self.statistics.is_some() { "" } else { ", Alloc, HeapAlloc" };
        writeln!(
            writer,
            "# estimated from samples: TotalAlloc, Mallocs, Frees, HeapObjects{known}"
        )?;
        let allocator = self.allocator.unwrap_or("not known: nothing was sampled yet");
        writeln!(writer, "# allocator = {allocator}")?;
        writeln!(writer, "# in use by the program, estimated = {in_use_bytes}")?;
        if let Some(statistics) = self.statistics {
            writeln!(writer, "# kept by the allocator, free = {}", statistics.free)?;
        }
        if let Some(resident) = self.resident {
            writeln!(writer, "# RSS = {resident}")?;
            writeln!(
                writer,
                "# RSS - in use = {}",
                i128::from(resident) - i128::from(in_use_bytes)
            )?;
        }
        Ok(())
    }
}

/// How the values of a sample are written.
#[derive(Clone, Copy)]
enum Row {
    /// In their order.
    Plain,
    /// The delay first.
    Contention,
    /// What is in use, and in brackets what was allocated.
    Heap,
}

fn heap_header(profile: &Profile, writer: &mut dyn Write) -> io::Result<()> {
    let [made, mut made_bytes, in_use, in_use_bytes] =
        [0, 1, 2, 3].map(|column| total(profile, column));
    // Readers take equal numbers for a profile of what is in use alone.
    if (made, made_bytes) == (in_use, in_use_bytes) {
        made_bytes += 1;
    }
    writeln!(writer, "heap profile: {in_use}: {in_use_bytes} [{made}: {made_bytes}] @ heap/2")
}

fn total(profile: &Profile, column: usize) -> i64 {
    profile.sample.iter().filter_map(|sample| sample.value.get(column)).sum()
}

struct Tables<'p> {
    profile: &'p Profile,
    locations: HashMap<u64, &'p Location>,
    functions: HashMap<u64, &'p Function>,
}

impl Tables<'_> {
    fn sample(&self, sample: &Sample, row: Row, writer: &mut dyn Write) -> io::Result<()> {
        match (row, &sample.value[..]) {
            (Row::Contention, [count, delay]) => write!(writer, "{delay} {count} ")?,
            (Row::Heap, [made, made_bytes, in_use, in_use_bytes]) => {
                write!(writer, "{in_use}: {in_use_bytes} [{made}: {made_bytes}] ")?;
            }
            (_, values) => {
                for value in values {
                    write!(writer, "{value} ")?;
                }
            }
        }
        write!(writer, "@")?;
        let stack = || sample.location_id.iter().filter_map(|id| self.locations.get(id));
        for location in stack() {
            write!(writer, " {:#x}", location.address)?;
        }
        writeln!(writer)?;
        self.labels(sample, writer)?;
        for location in stack() {
            self.location(location, writer)?;
        }
        writeln!(writer)
    }

    /// As Go's profiles with labels show them.
    fn labels(&self, sample: &Sample, writer: &mut dyn Write) -> io::Result<()> {
        let mut separator = "# labels: {";
        for label in sample.label.iter().filter(|l| l.str != 0) {
            let (key, value) = (self.profile.string(label.key), self.profile.string(label.str));
            write!(writer, "{separator}{key:?}:{value:?}")?;
            separator = ", ";
        }
        if separator == ", " { writeln!(writer, "}}") } else { Ok(()) }
    }

    fn location(&self, location: &Location, writer: &mut dyn Write) -> io::Result<()> {
        if location.line.is_empty() {
            writeln!(writer, "#\t{:#x}", location.address)?;
        }
        for line in &location.line {
            let function = self.functions.get(&line.function_id);
            let text = |index: Option<i64>| self.profile.string(index.unwrap_or(0));
            let (name, file) = (text(function.map(|f| f.name)), text(function.map(|f| f.filename)));
            writeln!(writer, "#\t{:#x}\t{name}\t{file}:{}", location.address, line.line)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pprof_format::{Builder, NewFunction, NewLine};

    fn profile(types: [(&str, &str); 2]) -> Profile {
        let mut b = Builder::new();
        for (ty, unit) in types {
            b.sample_type(ty, unit);
        }
        b.comment("a remark");
        let mut line = |name, line| NewLine {
            function: b.function(&NewFunction { name, filename: "/a.rs", ..Default::default() }),
            line,
            column: 0,
        };
        let (f, g) = (line("f", 1), line("g", 2));
        let inlined = b.location(None, 0x10, &[f, g]);
        let bare = b.location(None, 0x20, &[]);
        b.sample(&[bare], &[1, 5], &[]);
        b.sample(&[inlined, bare], &[2, 70], &[]);
        b.build().unwrap()
    }

    fn text(name: &str, profile: &Profile) -> String {
        let mut out = Vec::new();
        write(name, profile, None, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn contention_text_is_gos() {
        let profile = profile([("contentions", "count"), ("delay", "nanoseconds")]);
        let rows = "# a remark\n\
            70 2 @ 0x10 0x20\n#\t0x10\tf\t/a.rs:1\n#\t0x10\tg\t/a.rs:2\n#\t0x20\n\n\
            5 1 @ 0x20\n#\t0x20\n\n";
        assert_eq!(
            text("mutex", &profile),
            format!("--- mutex:\ncycles/second=1000000000\nsampling period=1\n{rows}")
        );
        assert_eq!(
            text("block", &profile),
            format!("--- contention:\ncycles/second=1000000000\n{rows}")
        );
    }

    #[test]
    fn other_text_tells_its_types() {
        let profile = profile([("calls", "count"), ("wall", "nanoseconds")]);
        let text = text("functions", &profile);
        assert!(
            text.starts_with("--- functions:\n# calls/count wall/nanoseconds\n# a remark\n2 70 @")
        );
    }
}
