//! All that is in a profile.

use std::collections::BTreeMap;
use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Report;
use crate::profile::{Profile, Sample, Value};

impl Report {
    pub(super) fn raw(&self, out: &mut dyn Write) -> io::Result<()> {
        let profile = &self.profile;
        for comment in &profile.comments {
            writeln!(out, "Comment: {}", profile.text(*comment))?;
        }
        if !profile.doc_url.is_empty() {
            writeln!(out, "Doc: {}", profile.text(profile.doc_url))?;
        }
        let period = profile.period_type;
        writeln!(out, "PeriodType: {} {}", profile.text(period.ty), profile.text(period.unit))?;
        writeln!(out, "Period: {}", profile.period)?;
        if let Some(time) = time(profile.time_nanos) {
            writeln!(out, "Time: {time}")?;
        }
        if profile.duration_nanos != 0 {
            let duration: String = duration(profile.duration_nanos).chars().take(4).collect();
            writeln!(out, "Duration: {duration}")?;
        }
        writeln!(out, "Samples:")?;
        let types: Vec<String> = profile
            .sample_types
            .iter()
            .map(|t| {
                let default = if t.ty == profile.default_sample_type { "[dflt]" } else { "" };
                format!("{}/{}{default}", profile.text(t.ty), profile.text(t.unit))
            })
            .collect();
        writeln!(out, "{}", types.join(" ").trim())?;
        for sample in profile.samples.iter() {
            raw_sample(out, profile, sample)?;
        }
        writeln!(out, "Locations")?;
        for index in 0..profile.locations.len() {
            raw_location(out, profile, index)?;
        }
        writeln!(out, "Mappings")?;
        for m in &profile.mappings {
            let flags = [
                (m.has_functions, "[FN]"),
                (m.has_filenames, "[FL]"),
                (m.has_line_numbers, "[LN]"),
                (m.has_inline_frames, "[IN]"),
            ];
            let flags: String = flags.iter().filter(|f| f.0).map(|f| f.1).collect();
            let (file, build_id) = (profile.text(m.file), profile.text(m.build_id));
            let (start, limit, offset) = (m.start, m.limit, m.offset);
            writeln!(out, "{}: {start:#x}/{limit:#x}/{offset:#x} {file} {build_id} {flags}", m.id)?;
        }
        Ok(())
    }
}

fn raw_sample(out: &mut dyn Write, profile: &Profile, sample: Sample<'_>) -> io::Result<()> {
    for value in sample.values {
        write!(out, " {value:>10}")?;
    }
    write!(out, ": ")?;
    for location in sample.stack {
        write!(out, "{} ", profile.location_ids.get(location as usize))?;
    }
    writeln!(out)?;
    let mut texts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut numbers: BTreeMap<&str, Vec<(i64, &str)>> = BTreeMap::new();
    for label in sample.labels {
        let key = profile.text(label.key);
        match label.value {
            Value::Text(text) => texts.entry(key).or_default().push(profile.text(text)),
            Value::Number(number, unit) => {
                numbers.entry(key).or_default().push((number, profile.text(unit)));
            }
        }
    }
    let texts = texts.iter().map(|(key, values)| format!("{key}:[{}]", values.join(" ")));
    let numbers = numbers.iter().map(|(key, values)| {
        let has_units = values.iter().any(|(_, unit)| !unit.is_empty());
        let value = |(number, unit): &(i64, &str)| match has_units {
            true => format!("{number} {unit}"),
            false => number.to_string(),
        };
        format!("{key}:[{}]", values.iter().map(value).collect::<Vec<_>>().join(" "))
    });
    for mut labels in [texts.collect::<Vec<_>>(), numbers.collect()] {
        if !labels.is_empty() {
            labels.sort();
            writeln!(out, "                {}", labels.join(" "))?;
        }
    }
    Ok(())
}

fn raw_location(out: &mut dyn Write, profile: &Profile, index: usize) -> io::Result<()> {
    let (id, location) = (profile.location_ids.get(index), &profile.locations[index]);
    write!(out, "{id:>6}: {:#x} ", location.address)?;
    if let Some(mapping) = location.mapping.get() {
        write!(out, "M={} ", profile.mappings[mapping as usize].id)?;
    }
    if location.is_folded {
        write!(out, "[F] ")?;
    }
    for (at, line) in location.lines.iter().enumerate() {
        let function = &profile.functions[line.function as usize];
        let (name, file) = (profile.text(function.name), profile.text(function.filename));
        if at > 0 {
            write!(out, "\n             ")?;
        }
        write!(out, "{name} {file}:{}:{} s={}", line.line, line.column, function.start_line)?;
        if function.name != function.system_name {
            write!(out, "({})", profile.text(function.system_name))?;
        }
    }
    writeln!(out)
}

/// In the local zone, with as many digits as it has.
fn time(nanos: i64) -> Option<String> {
    if nanos == 0 {
        return None;
    }
    let time = Timestamp::from_nanosecond(i128::from(nanos)).ok()?;
    let time = time.to_zoned(TimeZone::system());
    let seconds = time.strftime("%Y-%m-%d %H:%M:%S");
    let fraction = format!("{:09}", time.subsec_nanosecond());
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{seconds}{point}{fraction} {}", time.strftime("%z %Z")))
}

/// As Go prints durations: `1h2m3.5s`, `1.5ms`.
fn duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    let decimal = |value: u64, unit: u64| {
        let (whole, rest) = (value / unit, value % unit);
        let digits = unit.ilog10() as usize;
        let fraction = format!("{rest:0digits$}");
        let fraction = fraction.trim_end_matches('0');
        if rest == 0 { whole.to_string() } else { format!("{whole}.{fraction}") }
    };
    let text = match size {
        0 => return "0s".to_owned(),
        1..1_000 => format!("{size}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(size, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(size, 1_000_000)),
        _ => {
            let minutes = size / 60_000_000_000;
            let seconds = decimal(size % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_are_printed_as_go_does() {
        let cases = [
            (1, "1ns"),
            (1_500, "1.5µs"),
            (2_000_000, "2ms"),
            (90_000_000_000, "1m30s"),
            (3_723_500_000_000, "1h2m3.5s"),
            (-10_000_000_000, "-10s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(duration(nanos), text);
        }
    }
}
