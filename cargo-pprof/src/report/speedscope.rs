//! All stacks for <https://www.speedscope.app>, a profile for each sample type, with inlined frames: its own reader of `profile.proto` leaves
//! these out. The format is `https://www.speedscope.app/file-format-schema.json`.

use std::collections::HashMap;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Error, Report};
use crate::graph::{Info, Sites};
use crate::profile::Sample;

impl Report {
    /// Written as it is made: as one value it would take many times what the profile does.
    pub(super) fn speedscope(&mut self, out: &mut dyn Write) -> Result<(), Error> {
        let sites = self.sites();
        let (frames, numbers) = self.frames_of(&sites);
        let title = match self.options.title.as_str() {
            "" => "profile",
            title => title,
        };
        let title = json!(title);
        let exporter = json!(concat!("cargo-pprof ", env!("CARGO_PKG_VERSION")));
        let active = self.options.value;
        write!(
            out,
            "{{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\"name\":{title},\
             \"exporter\":{exporter},\"activeProfileIndex\":{active},\"shared\":{{\"frames\":["
        )?;
        separated(out, frames.iter().map(Value::to_string))?;
        write!(out, "]}},\"profiles\":[")?;
        for value in 0..self.profile.sample_types.len() {
            let separator = if value == 0 { "\n" } else { ",\n" };
            write!(out, "{separator}")?;
            self.speedscope_profile(out, &sites, &numbers, value)?;
        }
        writeln!(out, "\n]}}")?;
        Ok(())
    }

    fn speedscope_profile(
        &self,
        out: &mut dyn Write,
        sites: &Sites,
        numbers: &[u32],
        value: usize,
    ) -> Result<(), Error> {
        let sample_type = self.profile.sample_types[value];
        let (ty, unit) = (self.profile.text(sample_type.ty), self.profile.text(sample_type.unit));
        let weight = |sample: Sample<'_>| self.plain(self.value_of(sample, value));
        let samples = || self.profile.samples.iter().filter(|sample| weight(*sample) != 0);
        if samples().any(|sample| weight(sample) < 0) {
            let why = format!(
                "speedscope does not show {ty} below zero, as of a difference: use -flamegraph"
            );
            return Err(Error::NotFound(why));
        }
        let end = samples().fold(0i64, |sum, sample| sum.saturating_add(weight(sample)));
        let (name, unit) = (json!(ty), json!(unit_of(unit)));
        write!(
            out,
            "{{\"type\":\"sampled\",\"name\":{name},\"unit\":{unit},\"startValue\":0,\"endValue\":{end},\"samples\":["
        )?;
        let stack = |sample: Sample<'_>| {
            let locations = sample.stack.iter().rev();
            let nodes = locations.flat_map(|location| sites.of(location).iter().rev());
            let numbers: Vec<String> =
                nodes.map(|node| numbers[*node as usize].to_string()).collect();
            format!("[{}]", numbers.join(","))
        };
        separated(out, samples().map(stack))?;
        write!(out, "],\"weights\":[")?;
        separated(out, samples().map(|sample| weight(sample).to_string()))?;
        write!(out, "]}}")?;
        Ok(())
    }

    /// All frames, and which of them each node is.
    fn frames_of(&self, sites: &Sites) -> (Vec<Value>, Vec<u32>) {
        let texts = &self.profile.texts;
        let mut known = HashMap::new();
        let mut frames = Vec::new();
        let number = |info: Info| {
            let name = match texts.get(info.name) {
                "" => info.printable(texts).into_owned(),
                name => name.to_owned(),
            };
            let line = if info.line == 0 { info.start_line } else { info.line };
            let next = frames.len() as u32;
            let key = (name, info.file, line, info.column, info.address);
            *known.entry(key).or_insert_with_key(|(name, ..)| {
                let mut frame = json!({ "name": name });
                let parts = [("line", line), ("col", info.column)];
                for (part, value) in parts.into_iter().filter(|(_, value)| *value > 0) {
                    frame[part] = json!(value);
                }
                if !info.file.is_empty() {
                    frame["file"] = json!(texts.get(info.file));
                }
                frames.push(frame);
                next
            })
        };
        let numbers = sites.infos.iter().map(number).collect();
        (frames, numbers)
    }
}

fn separated(out: &mut dyn Write, parts: impl Iterator<Item = String>) -> io::Result<()> {
    for (index, part) in parts.enumerate() {
        let separator = if index == 0 { "" } else { "," };
        write!(out, "{separator}{part}")?;
    }
    Ok(())
}

/// As speedscope calls it; it knows no others.
fn unit_of(unit: &str) -> &'static str {
    let known = ["bytes", "nanoseconds", "microseconds", "milliseconds", "seconds"];
    known.into_iter().find(|known| *known == unit).unwrap_or("none")
}
