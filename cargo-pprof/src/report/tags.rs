//! What values labels have, and what samples with them add up to.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::Report;
use crate::measurement::{percentage, scaled_label};
use crate::profile::Value;

/// The values of a key.
#[derive(Default)]
struct Key {
    total: i64,
    values: BTreeMap<String, i64>,
}

impl Report {
    pub(super) fn tags(&self, out: &mut dyn Write) -> io::Result<()> {
        for (key, Key { total, values }) in self.keys() {
            let of = |value: i64| match self.total > 0 {
                true => format!(" ({})", percentage(value, self.total)),
                false => String::new(),
            };
            let mut values: Vec<(String, i64)> = values.into_iter().collect();
            values.sort_by(|(a_name, a), (b_name, b)| {
                let by_size = b.wrapping_abs().cmp(&a.wrapping_abs());
                by_size.then(b.cmp(a)).then_with(|| a_name.cmp(b_name))
            });
            let head = format!("{key}:");
            let cells: Vec<(String, String)> = values
                .into_iter()
                .map(|(name, value)| (format!("{}{}:", self.value(value), of(value)), name))
                .collect();
            let first = width(&head).max(1) + 1;
            let second = cells.iter().map(|(cell, _)| width(cell)).max().unwrap_or(0) + 1;
            let (sum, all) = (self.value(total), self.value(self.total));
            writeln!(out, "{} Total {sum} of {all}{}", padded(&head, first), of(total))?;
            for (cell, name) in cells {
                writeln!(out, "{}{} {name}", padded(" ", first), padded(&cell, second))?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    fn keys(&self) -> BTreeMap<&str, Key> {
        let profile = &self.profile;
        let mut keys: BTreeMap<&str, Key> = BTreeMap::new();
        for sample in profile.samples.iter() {
            let value = sample.values[self.options.value];
            for label in sample.labels {
                let text = match label.value {
                    Value::Text(text) => profile.text(text).to_owned(),
                    Value::Number(number, _) => {
                        let unit = self.units.of(label.key);
                        scaled_label(number, unit, &self.options.output_unit)
                    }
                };
                let key = keys.entry(profile.text(label.key)).or_default();
                key.total = key.total.wrapping_add(value);
                let sum = key.values.entry(text).or_default();
                *sum = sum.wrapping_add(value);
            }
        }
        keys
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn padded(text: &str, to: usize) -> String {
    // Not by `format!`, whose widths end at 65 535.
    " ".repeat(to.saturating_sub(width(text))) + text
}
