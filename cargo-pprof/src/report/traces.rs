//! All samples, one after the other.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::Report;
use crate::graph::{Info, Sites};
use crate::measurement::label;
use crate::profile::{Sample, Value};

const SEPARATOR: &str = "-----------+-------------------------------------------------------";

impl Report {
    pub(super) fn traces(&mut self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.profile_labels().join("\n"))?;
        let mut sites = Sites::new(&mut self.profile, false);
        self.free_locations();
        self.shorten_all(&mut sites.infos);
        let texts = &self.profile.texts;
        // Printed many times each: lines of callers, of which the first eleven columns are for values.
        let line = |info: Info| format!("             {}\n", info.printable(texts)).into_bytes();
        let lines: Vec<Vec<u8>> = sites.infos.iter().map(line).collect();
        for sample in self.profile.samples.iter() {
            if sample.stack.is_empty() {
                continue;
            }
            writeln!(out, "{SEPARATOR}")?;
            self.trace_labels(out, sample)?;
            let value = self.value(self.value_of(sample, self.options.value));
            let mut is_leaf = true;
            for location in sample.stack {
                let nodes = sites.of(location);
                for (at, node) in nodes.iter().enumerate() {
                    let line = &lines[*node as usize];
                    let is_inline = at + 1 != nodes.len();
                    if !is_leaf && !is_inline {
                        out.write_all(line)?;
                        continue;
                    }
                    let value = if is_leaf { value.as_str() } else { "" };
                    write!(out, "{value:>10}")?;
                    out.write_all(&line[10..line.len() - 1])?;
                    out.write_all(if is_inline { b" (inline)\n" } else { b"\n" })?;
                    is_leaf = false;
                }
            }
        }
        writeln!(out, "{SEPARATOR}")
    }

    fn trace_labels(&self, out: &mut dyn Write, sample: Sample<'_>) -> io::Result<()> {
        let profile = &self.profile;
        let mut texts: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut numbers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for tag in sample.labels {
            let key = profile.text(tag.key);
            match tag.value {
                Value::Text(text) => {
                    texts.entry(key).or_default().push(profile.text(text).to_owned());
                }
                Value::Number(number, _) => {
                    let value = label(number, self.units.of(tag.key));
                    numbers.entry(key).or_default().push(value);
                }
            }
        }
        for labels in [texts, numbers] {
            let mut lines: Vec<String> = labels
                .iter()
                .map(|(key, values)| format!("{key:>10}:  {}", values.join(" ")))
                .collect();
            lines.sort();
            for line in lines {
                writeln!(out, "{line}")?;
            }
        }
        Ok(())
    }
}
