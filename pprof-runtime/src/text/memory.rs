//! What the text of a heap profile ends with.

use std::io::{self, Write};

use pprof_format::Profile;

use super::total;
use crate::source::heap::{self, Statistics};

/// Go's lines, of which the ones that have no meaning here are zero, and ours.
#[derive(Debug)]
pub(crate) struct Memory {
    /// The type of the one inside.
    allocator: Option<&'static str>,
    statistics: Option<Statistics>,
    resident: Option<u64>,
    peak_resident: Option<u64>,
}

impl Memory {
    /// Of this moment.
    pub(crate) fn now() -> Memory {
        Memory {
            allocator: heap::inner_name(),
            statistics: heap::statistics(),
            resident: heap::resident(),
            peak_resident: heap::peak_resident(),
        }
    }

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
        let allocator = self.allocator.unwrap_or("not known: no allocation was seen");
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
