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

mod memory;

use std::cmp::Reverse;
use std::io::{self, Write};

use pprof_format::{Profile, Sample, ValueType};

use crate::report::Table;
use crate::tables::{Line, Tables};

pub(crate) use memory::Memory;

/// Writes `profile`, of the kind `name`, the largest first by the default sample type, else by the last.
pub(crate) fn write(
    name: &str,
    profile: &Profile,
    table: Option<&Table>,
    writer: &mut dyn Write,
) -> io::Result<()> {
    let row = match name {
        "mutex" | "block" => Row::Contention,
        "heap" | "heap-by-age" | "allocs" => Row::Heap,
        _ => Row::Plain,
    };
    match name {
        "heap" | "heap-by-age" | "allocs" => heap_header(profile, writer)?,
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
    let tables = Tables::of(profile);
    let mut samples: Vec<&Sample> = profile.sample.iter().collect();
    let is_default = |ty: &&ValueType| ty.ty == profile.default_sample_type && ty.ty != 0;
    let last = profile.sample_type.len().saturating_sub(1);
    let shown = profile.sample_type.iter().position(|ty| is_default(&ty)).unwrap_or(last);
    samples.sort_by_key(|sample| Reverse(sample.value.get(shown)));
    for one in samples {
        sample(&tables, one, row, writer)?;
    }
    Ok(())
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

fn sample(
    tables: &Tables<'_>,
    sample: &Sample,
    row: Row,
    writer: &mut dyn Write,
) -> io::Result<()> {
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
    for location in tables.stack(&sample.location_id) {
        write!(writer, " {:#x}", location.address)?;
    }
    writeln!(writer)?;
    labels(tables, sample, writer)?;
    for location in tables.stack(&sample.location_id) {
        if location.line.is_empty() {
            writeln!(writer, "#\t{:#x}", location.address)?;
        }
        for Line { function, file, line } in tables.lines(location) {
            writeln!(writer, "#\t{:#x}\t{function}\t{file}:{line}", location.address)?;
        }
    }
    writeln!(writer)
}

/// As Go's profiles with labels show them; and numbers, such as ages in seconds.
fn labels(tables: &Tables<'_>, sample: &Sample, writer: &mut dyn Write) -> io::Result<()> {
    let mut separator = "# labels: {";
    for label in &sample.label {
        let key = tables.text(label.key);
        match label.str {
            // Of sizes the values tell.
            0 if key == "bytes" => continue,
            0 => write!(writer, "{separator}{key:?}:{}", label.num)?,
            text => write!(writer, "{separator}{key:?}:{:?}", tables.text(text))?,
        }
        separator = ", ";
    }
    if separator == ", " { writeln!(writer, "}}") } else { Ok(()) }
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
