//! All samples, one after the other.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::Report;
use crate::graph::Sites;
use crate::measurement::label;
use crate::profile::{Sample, Value};

const SEPARATOR: &str = "-----------+-------------------------------------------------------";

impl Report {
    pub(super) fn traces(&mut self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.profile_labels().join("\n"))?;
        let sites = Sites::new(&mut self.profile, false);
        let texts = &self.profile.texts;
        // Printed many times each.
        let names: Vec<_> = sites.infos.iter().map(|info| info.printable(texts)).collect();
        for sample in self.profile.samples.iter() {
            if sample.stack.is_empty() {
                continue;
            }
            writeln!(out, "{SEPARATOR}")?;
            self.trace_labels(out, sample)?;
            let mut value = sample.values[self.options.value];
            let divisor = self.options.divisor.map_or(0, |index| sample.values[index]);
            if divisor != 0 {
                value = value.wrapping_div(divisor);
            }
            let mut value = self.value(value);
            for location in sample.stack {
                let nodes = sites.of(*location);
                for (at, node) in nodes.iter().enumerate() {
                    let inline = if at + 1 == nodes.len() { "" } else { " (inline)" };
                    writeln!(out, "{value:>10}   {}{inline}", names[*node as usize])?;
                    value.clear();
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
