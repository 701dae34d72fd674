//! What the readers of profiles refuse, cut or misread in one: the rules of `go tool pprof`, Parca, Grafana Alloy and Pyroscope with their defaults.
//!
//! It looks at the bytes as they would be sent, not at what this tool makes of them. What depends on the time of day, on the rest of what is
//! sent, or on how a server is set up is not looked at.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use pprof_format::{ErrorKind, Label, Profile, Sample};

use crate::driver::{Error, Ui};
use crate::fetch::{self, Sources};
use crate::measurement::is_unit;
use crate::pattern::Pattern;

/// Something that a reader takes offence at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Who; several with commas between them.
    pub reader: &'static str,
    /// Whether the whole profile is refused for it.
    pub is_refused: bool,
    /// What is wrong.
    pub rule: String,
    /// How often.
    pub count: usize,
    /// Where for the first time; empty if that says no more.
    pub example: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { reader, rule, count, example, .. } = self;
        let verdict = if self.is_refused { "refused" } else { "warning" };
        write!(f, "{verdict}: {reader}: {rule}")?;
        match (*count, example.is_empty()) {
            (1, true) => Ok(()),
            (1, false) => write!(f, ": {example}"),
            (count, true) => write!(f, ": {count}"),
            (count, false) => write!(f, ": {count}, first {example}"),
        }
    }
}

/// Prints what is found in each source; whether none is refused.
///
/// # Errors
/// A source cannot be read, or nothing printed.
pub fn run(sources: &Sources, ui: &mut Ui<'_>) -> Result<bool, Error> {
    let mut is_accepted = true;
    for name in sources.profiles.iter().chain(&sources.base) {
        let bytes = fetch::read(name, sources, ui);
        let name = name.display();
        let bytes = bytes.map_err(|error| format!("{name}: {error}"))?;
        for finding in lint(&bytes) {
            is_accepted &= !finding.is_refused;
            writeln!(ui.out, "{name}: {finding}")?;
        }
    }
    ui.out.flush()?;
    Ok(is_accepted)
}

const ALL: &str = "pprof, parca, alloy, pyroscope";
const STRICT: &str = "pprof, parca";

/// What is found in a file.
#[must_use]
pub fn lint(bytes: &[u8]) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    if bytes.is_empty() {
        findings.refused(ALL, "the file is empty", 1, String::new());
        return findings.0;
    }
    if looks_like_text(bytes) {
        findings.refused("alloy", "looks like HTML or JSON: compress it", 1, String::new());
    }
    let profile = match Profile::decode(bytes) {
        Ok(profile) => profile,
        Err(error) if fetch::decode(bytes.to_vec()).is_ok() => {
            let readers = "parca, pyroscope";
            let rule =
                "not profile.proto, but a format that pprof turns into it: write it with -proto";
            findings.refused(readers, rule, 1, error.to_string());
            return findings.0;
        }
        // Pyroscope does not look at what refers to what.
        Err(error) if error.kind() == ErrorKind::Invalid => {
            findings.refused(STRICT, "decoded, but inconsistent", 1, error.to_string());
            return findings.0;
        }
        Err(error) => {
            let readers = "pprof, parca, pyroscope";
            findings.refused(readers, "cannot be decompressed or decoded", 1, error.to_string());
            return findings.0;
        }
    };
    findings.parca(&profile);
    findings.pyroscope(&profile, plain_size(bytes));
    findings.alloy(&profile);
    findings.labels(&profile);
    findings.head(&profile);
    findings.tables(&profile);
    findings.0
}

/// Of what Alloy takes for a page of a server that reports an error.
fn looks_like_text(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    match text {
        _ if bytes.len() < 10 => false,
        [b'{' | b'[', ..] => bytes.len() > 20,
        [b'<', next, ..] => matches!(next, b'!' | b'h' | b'H' | b'b' | b'B' | b't' | b'T'),
        _ => false,
    }
}

/// Bytes of the profile without compression.
fn plain_size(bytes: &[u8]) -> usize {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        fetch::decompress(bytes).map_or(0, |plain| plain.len())
    } else {
        bytes.len()
    }
}

struct Findings(Vec<Finding>);

impl Findings {
    fn refused(&mut self, reader: &'static str, rule: &str, count: usize, example: String) {
        self.add(reader, true, rule, count, example);
    }

    fn add(&mut self, reader: &'static str, is_refused: bool, rule: &str, n: usize, at: String) {
        if n > 0 {
            let rule = rule.to_owned();
            self.0.push(Finding { reader, is_refused, rule, count: n, example: at });
        }
    }

    /// All of `faults`: how many there are, and the first.
    fn each(
        &mut self,
        reader: &'static str,
        is_refused: bool,
        rule: &str,
        faults: impl Iterator<Item = String>,
    ) {
        let mut faults = faults;
        if let Some(first) = faults.next() {
            let count = faults.count() + 1;
            self.add(reader, is_refused, rule, count, first);
        }
    }

    fn parca(&mut self, profile: &Profile) {
        if profile.string_table.is_empty() {
            self.refused("parca", "no string table", 1, String::new());
        }
        let tables: [(&str, Vec<u64>); 3] = [
            ("mapping", profile.mapping.iter().map(|m| m.id).collect()),
            ("function", profile.function.iter().map(|f| f.id).collect()),
            ("location", profile.location.iter().map(|l| l.id).collect()),
        ];
        for (what, ids) in tables {
            let wrong = (1u64..).zip(&ids).filter(|(place, id)| place != *id);
            let faults = wrong.map(|(place, id)| format!("{what} {id} at place {place}"));
            self.each("parca", true, &format!("{what} ids that do not count from 1"), faults);
        }
        let nameless = samples(profile).filter(|(_, s)| s.label.iter().any(|l| l.key == 0));
        self.each("parca", true, "samples with a label without a key", nameless.map(place));
    }

    /// The defaults of `pkg/validation/limits.go` there.
    fn pyroscope(&mut self, profile: &Profile, size: usize) {
        const BYTES: usize = 4 << 20;
        const SAMPLES: usize = 16_000;
        const LABELS: usize = 100;
        const DEPTH: usize = 1000;
        const TEXT: usize = 65_535;
        if size > BYTES {
            let rule = format!("more than {BYTES} bytes without compression");
            self.refused("pyroscope", &rule, size, String::new());
        }
        if profile.sample.len() > SAMPLES {
            let rule = format!("more than {SAMPLES} samples");
            self.refused("pyroscope", &rule, profile.sample.len(), String::new());
        }
        let many = samples(profile).filter(|(_, s)| s.label.len() > LABELS);
        let rule = format!("samples with more than {LABELS} labels");
        self.each("pyroscope", true, &rule, many.map(place));
        let types = profile.sample_type.iter().map(|t| profile.string(t.ty));
        let dashed = types.filter(|ty| ty.contains('-')).map(quoted);
        self.each("pyroscope", true, "sample types with a dash", dashed);
        let deep = samples(profile).filter(|(_, s)| s.location_id.len() > DEPTH);
        let rule = format!("stacks of more than {DEPTH} frames, of which the leaves are cut off");
        self.each("pyroscope", false, &rule, deep.map(place));
        let long = profile.string_table.iter().filter(|text| text.len() > TEXT);
        let start = |text: &String| quoted(&text.chars().take(40).collect::<String>());
        let rule = format!("texts of more than {TEXT} bytes, of which the start is cut off");
        self.each("pyroscope", false, &rule, long.map(start));
    }

    /// Text labels become labels of series there.
    fn labels(&mut self, profile: &Profile) {
        const NAME: usize = 1024;
        const VALUE: usize = 2048;
        const NAMES: usize = 30;
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        let mut long_values = BTreeMap::<&str, usize>::new();
        let (mut both, mut crowded) = (Vec::new(), Vec::new());
        for (index, sample) in samples(profile) {
            let texts: Vec<&Label> = sample.label.iter().filter(|label| label.str != 0).collect();
            for label in &texts {
                let name = profile.string(label.key);
                *names.entry(name).or_default() += 1;
                if profile.string(label.str).len() > VALUE {
                    *long_values.entry(name).or_default() += 1;
                }
            }
            let keys: HashSet<i64> = texts.iter().map(|label| label.key).collect();
            if keys.len() > NAMES {
                crowded.push(place((index, sample)));
            }
            if texts.iter().any(|label| label.num != 0) {
                both.push(place((index, sample)));
            }
        }
        let names = || names.keys().copied().filter(|name| !name.is_empty());
        let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let is_name = |name: &str| {
            name.chars().all(is_letter) && !name.starts_with(|c: char| c.is_ascii_digit())
        };
        // Newer servers make underscores of dots.
        let dotted = |name: &&str| is_name(&name.replace('.', "_")) && !is_name(name);
        let wrong = names().filter(|name| !is_name(&name.replace('.', "_")));
        self.each(
            "pyroscope",
            true,
            "label names other than [a-zA-Z_][a-zA-Z0-9_]*",
            wrong.map(quoted),
        );
        let rule = "label names with dots, refused by older servers";
        self.each("pyroscope", false, rule, names().filter(dotted).map(quoted));
        let long = names().filter(|name| name.len() > NAME).map(quoted);
        self.each("pyroscope", true, &format!("label names of more than {NAME} bytes"), long);
        let long = long_values.keys().map(|name| quoted(name));
        let rule = format!("labels with values of more than {VALUE} bytes");
        self.each("pyroscope", true, &rule, long);
        let rule = format!("samples with more than {NAMES} label names");
        self.each("pyroscope", true, &rule, crowded.into_iter());
        let rule = "samples with a label that is both a text and a number: one of these is read";
        self.each(ALL, false, rule, both.into_iter());
    }

    /// Without these names there are no deltas of what accumulates.
    fn alloy(&mut self, profile: &Profile) {
        let accumulating = [
            ("alloc_objects", "count"),
            ("alloc_space", "bytes"),
            ("contentions", "count"),
            ("delay", "nanoseconds"),
        ];
        let types =
            profile.sample_type.iter().map(|t| (profile.string(t.ty), profile.string(t.unit)));
        let wrong = types
            .filter(|(ty, unit)| accumulating.iter().any(|(name, of)| name == ty && of != unit));
        let rule = "sample types whose deltas are not taken, for their units";
        self.each("alloy", false, rule, wrong.map(|(ty, unit)| format!("{ty}/{unit}")));
    }

    fn head(&mut self, profile: &Profile) {
        let mut missing = |is_missing: bool, reader, rule: &str| {
            self.add(reader, false, rule, usize::from(is_missing), String::new());
        };
        missing(profile.sample_type.is_empty(), ALL, "no sample types");
        missing(profile.sample.is_empty(), ALL, "no samples");
        missing(profile.time_nanos == 0, "parca", "no time: it is kept under 1970");
        missing(profile.duration_nanos == 0, "parca", "no duration: there are no values by second");
        let has_period = profile.period_type.is_some_and(|t| t.ty != 0) && profile.period != 0;
        missing(!has_period, "parca", "no period or period type: it is part of the name there");
        let types: Vec<&str> = profile.sample_type.iter().map(|t| profile.string(t.ty)).collect();
        let default = profile.string(profile.default_sample_type);
        missing(
            !default.is_empty() && !types.contains(&default),
            "pprof",
            "the default sample type is none of the sample types",
        );
        let expressions =
            [profile.drop_frames, profile.keep_frames].map(|text| profile.string(text));
        let wrong = expressions.into_iter().filter(|text| Pattern::new(text).is_err());
        self.each(
            "pprof",
            true,
            "drop_frames or keep_frames that is no regular expression",
            wrong.map(quoted),
        );
        let twice = types.iter().enumerate().filter(|(at, ty)| types[..*at].contains(ty));
        self.each(
            "pprof",
            false,
            "sample types that are there twice",
            twice.map(|(_, ty)| quoted(ty)),
        );
        let unknown = types.iter().filter(|ty| !KNOWN_TYPES.contains(ty));
        let rule = "sample types that readers have no page for: they are shown by name";
        self.each("pyroscope", false, rule, unknown.map(|ty| quoted(ty)));
        let units = profile.sample_type.iter().map(|t| profile.string(t.unit));
        let unknown = units.filter(|unit| !is_unit(unit) && *unit != "count");
        self.each(
            ALL,
            false,
            "units that are none: values are shown as counts",
            unknown.map(quoted),
        );
    }

    fn tables(&mut self, profile: &Profile) {
        let negative = samples(profile).filter(|(_, s)| s.value.iter().any(|value| *value < 0));
        self.each("parca, pyroscope", false, "samples below zero", negative.map(place));
        let nameless = profile.function.iter().filter(|f| f.name == 0);
        self.each(
            ALL,
            false,
            "functions without a name",
            nameless.map(|f| format!("function {}", f.id)),
        );
        let unnamed = |l: &&pprof_format::Location| l.line.iter().all(|line| line.function_id == 0);
        let of = |l: &pprof_format::Location| format!("location {} at {:#x}", l.id, l.address);
        let lost = profile.location.iter().filter(|l| l.mapping_id == 0).filter(unnamed);
        let rule = "locations without names and without a mapping: nobody can find their names";
        self.each(ALL, false, rule, lost.map(of));
        let without_id: HashSet<u64> =
            profile.mapping.iter().filter(|m| m.build_id == 0).map(|m| m.id).collect();
        let lost = profile.location.iter().filter(|l| without_id.contains(&l.mapping_id));
        let rule = "locations without names in mappings without a build id: servers cannot find their names";
        self.each("parca, pyroscope", false, rule, lost.filter(unnamed).map(of));
        let mapping =
            |l: &pprof_format::Location| profile.mapping.iter().find(|m| m.id == l.mapping_id);
        let outside = profile.location.iter().filter(|l| {
            let is_outside = |m: &pprof_format::Mapping| {
                m.memory_limit != 0 && !(m.memory_start..=m.memory_limit).contains(&l.address)
            };
            l.address != 0 && mapping(l).is_some_and(is_outside)
        });
        self.each(STRICT, false, "locations outside of their mapping", outside.map(of));
    }
}

/// What Go, async-profiler and the agents of Grafana and Datadog write.
const KNOWN_TYPES: [&str; 22] = [
    "alloc_in_new_tlab_bytes",
    "alloc_in_new_tlab_objects",
    "alloc_objects",
    "alloc_space",
    "block",
    "contentions",
    "cpu",
    "delay",
    "goroutine",
    "goroutines",
    "inuse_objects",
    "inuse_space",
    "lock_count",
    "lock_time",
    "mutex",
    "objects",
    "samples",
    "sample",
    "space",
    "thread",
    "threadcreate",
    "wall",
];

fn samples(profile: &Profile) -> impl Iterator<Item = (usize, &Sample)> {
    profile.sample.iter().enumerate()
}

fn place((index, _): (usize, &Sample)) -> String {
    format!("sample {index}")
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use pprof_format::{Function, Location, Mapping, ValueType};

    use super::*;

    /// One sample of one location, that nobody objects to.
    fn profile() -> Profile {
        let texts =
            ["", "cpu", "nanoseconds", "main", "key", "value", "/bin/a", "id", "a b", "k.v"];
        let cpu = ValueType { ty: 1, unit: 2 };
        Profile {
            string_table: texts.map(str::to_owned).to_vec(),
            sample_type: vec![cpu],
            period_type: Some(cpu),
            period: 1,
            time_nanos: 1,
            duration_nanos: 1,
            sample: vec![Sample {
                location_id: vec![1],
                value: vec![1],
                label: vec![Label { key: 4, str: 5, ..Label::default() }],
            }],
            mapping: vec![Mapping { id: 1, filename: 6, build_id: 7, ..Mapping::default() }],
            location: vec![Location {
                id: 1,
                mapping_id: 1,
                line: vec![pprof_format::Line { function_id: 1, ..Default::default() }],
                ..Location::default()
            }],
            function: vec![Function { id: 1, name: 3, ..Function::default() }],
            ..Profile::default()
        }
    }

    /// What is found in that profile with a change.
    fn found(change: impl FnOnce(&mut Profile)) -> Vec<String> {
        let mut profile = profile();
        change(&mut profile);
        lint(&profile.encode()).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_whole_profile_is_fine() {
        assert_eq!(found(|_| ()), [""; 0]);
    }

    #[test]
    fn each_rule_is_told() {
        type Change = fn(&mut Profile);
        let cases: &[(Change, &str)] = &[
            (
                |p| p.sample[0].location_id[0] = 9,
                "refused: pprof, parca: decoded, but inconsistent: ",
            ),
            (
                |p| {
                    p.location[0].id = 7;
                    p.sample[0].location_id[0] = 7;
                },
                "refused: parca: location ids that do not count from 1: location 7 at place 1",
            ),
            (
                |p| p.sample[0].label[0].key = 0,
                "refused: parca: samples with a label without a key: sample 0",
            ),
            (
                |p| p.sample = vec![p.sample[0].clone(); 16_001],
                "refused: pyroscope: more than 16000 samples: 16001",
            ),
            (
                |p| p.sample[0].label = vec![p.sample[0].label[0]; 101],
                "refused: pyroscope: samples with more than 100 labels: sample 0",
            ),
            (
                |p| p.string_table[1] = "cpu-time".to_owned(),
                "refused: pyroscope: sample types with a dash: \"cpu-time\"",
            ),
            (
                |p| p.sample[0].location_id = vec![1; 1001],
                "warning: pyroscope: stacks of more than 1000 frames, of which the leaves are cut off: sample 0",
            ),
            (
                |p| p.string_table[3] = "x".repeat(5 << 20),
                "refused: pyroscope: more than 4194304 bytes without compression: 52",
            ),
            (
                |p| p.sample[0].label[0].key = 8,
                "refused: pyroscope: label names other than [a-zA-Z_][a-zA-Z0-9_]*: \"a b\"",
            ),
            (
                |p| p.sample[0].label[0].key = 9,
                "warning: pyroscope: label names with dots, refused by older servers: \"k.v\"",
            ),
            (
                |p| p.string_table[5] = "x".repeat(2049),
                "refused: pyroscope: labels with values of more than 2048 bytes: \"key\"",
            ),
            (
                |p| p.sample[0].label[0].num = 3,
                "warning: pprof, parca, alloy, pyroscope: samples with a label that is both a text and a number: one of these is read: sample 0",
            ),
            (
                |p| {
                    p.string_table[1] = "delay".to_owned();
                    p.string_table[2] = "ms".to_owned();
                },
                "warning: alloy: sample types whose deltas are not taken, for their units: delay/ms",
            ),
            (|p| p.time_nanos = 0, "warning: parca: no time"),
            (|p| p.period_type = None, "warning: parca: no period"),
            (|p| p.default_sample_type = 3, "warning: pprof: the default sample type"),
            (
                |p| {
                    p.string_table[3] = "(".to_owned();
                    p.drop_frames = 3;
                },
                "refused: pprof: drop_frames or keep_frames that is no regular expression: \"(\"",
            ),
            (
                |p| p.string_table[2] = "lines".to_owned(),
                "warning: pprof, parca, alloy, pyroscope: units that are none: values are shown as counts: \"lines\"",
            ),
            (
                |p| {
                    p.sample[0].value[0] = -1;
                    p.sample.push(p.sample[0].clone());
                },
                "warning: parca, pyroscope: samples below zero: 2, first sample 0",
            ),
            (
                |p| p.function[0].name = 0,
                "warning: pprof, parca, alloy, pyroscope: functions without a name: function 1",
            ),
            (
                |p| {
                    p.location[0].line.clear();
                    p.mapping[0].build_id = 0;
                },
                "warning: parca, pyroscope: locations without names in mappings without a build id",
            ),
            (
                |p| {
                    (p.mapping[0].memory_start, p.mapping[0].memory_limit) = (16, 32);
                    p.location[0].address = 0x40;
                },
                "warning: pprof, parca: locations outside of their mapping: location 1 at 0x40",
            ),
        ];
        for (index, (change, expected)) in cases.iter().enumerate() {
            let found = found(change);
            let is_there = found.iter().any(|finding| finding.starts_with(expected));
            assert!(is_there, "{index}: {found:?}");
        }
    }

    #[test]
    fn what_is_no_profile_is_refused() {
        let refused = |bytes: &[u8]| -> Vec<String> {
            lint(bytes).iter().filter(|f| f.is_refused).map(|f| f.reader.to_owned()).collect()
        };
        assert_eq!(refused(b""), [ALL]);
        assert_eq!(refused(b"main;a 3\nmain;b 4\n"), ["parca, pyroscope"]);
        let undecoded = "pprof, parca, pyroscope";
        assert_eq!(refused(b"\n <!doctype html>"), ["alloy", undecoded]);
        assert_eq!(refused(b"\x1f\x8b\x08 and no more"), [undecoded]);
        let whole = profile().encode();
        assert_eq!(refused(&whole[..whole.len() - 1]), [undecoded]);
    }
}
