//! Heap and contention profiles of Java, and the names of methods that come after any of Java's samples.
//!
//! ```text
//! --- heapz 1 ---
//! format = java
//! resolution = bytes
//!           7048     1 @ 0x00000003 0x00000004
//!  0x00000003 com.example.f (F.java:12)
//!  0x00000004 GC
//! ```
//!
//! What looks like addresses are numbers of this list, so they are dropped once the names are found: profiles of two processes then add up.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;

use super::draft::{Addresses, value_type};
use super::heap::unsample;
use super::lines::{expression, groups};
use super::numbers::addresses;
use super::{Draft, Refusal, Result, malformed, regions};
use crate::numbers::integer;
use crate::profile::{Function, Granularity, Line, Profile};

static ATTRIBUTE: LazyLock<Regex> =
    LazyLock::new(|| expression("([0-9A-Za-z_ ]+)=([0-9A-Za-z_ ]+)"));

static SAMPLE: LazyLock<Regex> =
    LazyLock::new(|| expression(" *([0-9]+) +([0-9]+) +@ +([ x0-9a-f]*)"));

static LOCATION: LazyLock<Regex> =
    LazyLock::new(|| expression(r"^0x([[:xdigit:]]+)[\t\n\f\r ]+(.*)[\t\n\f\r ]*$"));

/// `function (file:line)`
static WITH_LINE: LazyLock<Regex> =
    LazyLock::new(|| expression(r"^(.*)[\t\n\f\r ]+\((.+):(-?[0-9]+)\)$"));

/// `function (/lib/shared.so)`
static WITH_PATH: LazyLock<Regex> = LazyLock::new(|| expression(r"^(.*)[\t\n\f\r ]+\((.*)\)$"));

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Heap,
    Contention,
}

/// Reads a profile of the heap, or of waits for locks; the first line is its heading.
pub(super) fn parse(text: &str) -> Result<Profile> {
    let (heading, rest) = text.split_once('\n').ok_or(Refusal::Unknown)?;
    let kind = match heading.trim() {
        "--- heapz 1 ---" => Kind::Heap,
        "--- contentionz 1 ---" => Kind::Contention,
        _ => return Err(Refusal::Unknown),
    };
    let (mut draft, rest) = attributes(kind, rest)?;
    let rest = samples(&mut draft, kind, rest)?;
    name_locations(draft, rest)
}

/// Calls `each` with lines that end, until it says that one is of the next section. Gives what is from that on.
fn section<'t>(
    mut text: &'t str,
    mut each: impl FnMut(&'t str) -> Result<bool>,
) -> Result<&'t str> {
    while let Some((line, rest)) = text.split_once('\n') {
        let line = line.trim();
        if !line.is_empty() && !each(line)? {
            break;
        }
        text = rest;
    }
    Ok(text)
}

fn attributes(kind: Kind, text: &str) -> Result<(Draft, &str)> {
    let (mut unit, mut period, mut duration_nanos) = (None, None, 0);
    let rest = section(text, |line| {
        let Some(found) = groups(&ATTRIBUTE, line) else { return Ok(false) };
        let [key, value] = found.map(str::trim);
        let number = || match integer(value) {
            Some(number) => Ok(number),
            None => malformed("an attribute is no number", line),
        };
        match (kind, key) {
            (_, "format") if value == "java" => {}
            (_, "resolution") => unit = Some(value),
            (Kind::Contention, "sampling period") => period = Some(number()?),
            (Kind::Contention, "ms since reset") => {
                duration_nanos = number()?.wrapping_mul(1_000_000);
            }
            _ => return Err(Refusal::Unknown),
        }
        Ok(true)
    })?;
    let types = unit.map(|unit| match kind {
        Kind::Heap => [("inuse_objects", "count"), ("inuse_space", unit)],
        Kind::Contention => [("contentions", "count"), ("delay", unit)],
    });
    let types: &[(&str, &str)] = types.as_ref().map_or(&[], |types| types);
    let mut draft = Draft::new(types, ("", ""), period.unwrap_or(0));
    draft.profile.duration_nanos = duration_nanos;
    if period.is_some() {
        draft.profile.period_type = value_type(&mut draft.profile, "contentions", "count");
    }
    Ok((draft, rest))
}

fn samples<'t>(draft: &mut Draft, kind: Kind, text: &'t str) -> Result<&'t str> {
    /// Bytes between two samples of Java's heap.
    const PERIOD: i64 = 512 << 10;
    let mut stack = Vec::new();
    section(text, |line| {
        // What other profiles have first is second here.
        let Some([size, count, calls]) = groups(&SAMPLE, line) else { return Ok(false) };
        stack.clear();
        addresses(calls, &mut stack)?;
        let (Some(count), Some(size)) = (integer(count), integer(size)) else {
            return malformed("malformed sample: no number", line);
        };
        if draft.profile.sample_types.is_empty() {
            return malformed("a sample, but no resolution before that says of what", line);
        }
        let (values, label) = match kind {
            Kind::Heap => {
                let Some(block_size) = size.checked_div(count) else {
                    return malformed("malformed sample: bytes of no objects", line);
                };
                let (count, size) = unsample(count, size, PERIOD);
                ([count, size], Some(draft.block_size(block_size)))
            }
            Kind::Contention => match draft.profile.period {
                0 => ([count, size], None),
                period => ([count, size].map(|value| value.wrapping_mul(period)), None),
            },
        };
        draft.push(stack.drain(..), Addresses::Exact, &values, label);
        Ok(true)
    })
}

/// What the list says of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Named<'t> {
    function: &'t str,
    file: &'t str,
    line: i64,
}

impl<'t> Named<'t> {
    fn parse(text: &'t str) -> Named<'t> {
        if let Some([function, file, line]) = groups(&WITH_LINE, text) {
            let line = line.parse().map_or(0, |line: i64| line.max(0));
            return Named { function, file, line };
        }
        let (function, file) = match groups(&WITH_PATH, text) {
            Some([function, path]) => (function, base(path)),
            None if text.contains("generated stub/JIT") => ("STUB", ""),
            // States of the machine: `GC`, `VM`.
            None => (text, ""),
        };
        Named { function, file, line: 0 }
    }
}

/// The last part of a path, as Go's `filepath.Base` has it.
fn base(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    match (path, trimmed) {
        ("", _) => ".",
        (_, "") => "/",
        _ => trimmed.rsplit('/').next().unwrap_or(trimmed),
    }
}

/// Makes a profile of samples and the list of names after them.
pub(super) fn name_locations(draft: Draft, text: &str) -> Result<Profile> {
    let mut named: Vec<Option<Named<'_>>> = vec![None; draft.profile.locations.len()];
    // Of one name there is one function, in the file that is told first.
    let mut files: HashMap<&str, &str> = HashMap::new();
    for line in text.split('\n').map(str::trim) {
        let Some([number, name]) = groups(&LOCATION, line) else { continue };
        let Ok(number) = u64::from_str_radix(number, 16) else {
            return malformed("the number of a location has more than 64 bits", line);
        };
        let place = draft.find(number).and_then(|index| named.get_mut(index as usize));
        if let Some(place) = place {
            let name = Named::parse(name);
            files.entry(name.function).or_insert(name.file);
            *place = Some(name);
        }
    }
    let mut profile = draft.profile;
    let mut functions: HashMap<&str, u32> = HashMap::new();
    for (location, named) in profile.locations.iter_mut().zip(named) {
        let Some(Named { function: name, line, .. }) = named else { continue };
        let function = *functions.entry(name).or_insert_with(|| {
            let index = profile.functions.len() as u32;
            let file = files.get(name).copied().unwrap_or_default();
            let (name, filename) = (profile.texts.intern(name), profile.texts.intern(file));
            let function = Function { name, system_name: name, filename, start_line: 0 };
            profile.functions.push(function);
            index
        });
        location.lines = Line { function, line, column: 0 }.into();
        location.address = 0;
    }
    regions::assign(&mut profile);
    profile.aggregate(Granularity {
        inlines: true,
        functions: true,
        files: true,
        lines: true,
        columns: false,
        addresses: false,
    });
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use super::{Named, base, parse};
    use crate::profile::legacy::Refusal;

    #[test]
    fn names_have_files_and_lines() {
        let named = |function, file, line| Named { function, file, line };
        let cases = [
            ("a.B.c (B.java:12)", named("a.B.c", "B.java", 12)),
            ("a.B.c (B.java:-2)", named("a.B.c", "B.java", 0)),
            ("a (b) (c:99999999999999999999)", named("a (b)", "c", 0)),
            ("read (/lib/x/libc.so)", named("read", "libc.so", 0)),
            ("read ()", named("read", ".", 0)),
            ("0x7f generated stub/JIT", named("STUB", "", 0)),
            ("GC", named("GC", "", 0)),
        ];
        for (text, found) in cases {
            assert_eq!(Named::parse(text), found, "{text}");
        }
        assert_eq!([base("/"), base("a//"), base("a")], ["/", "a", "a"]);
    }

    #[test]
    fn heap_is_scaled_and_named() {
        let text = "--- heapz 1 ---\nformat = java\nresolution = bytes\n 1048576 2 @ 0x1 0x2\n\n 0x2 f (A.java:3)\n 0x1 f (B.java:4)\n 0x9 g (C.java:1)\nnonsense\n 0x1 GC";
        let profile = parse(text).unwrap();
        assert_eq!(profile.samples.get(0).values, [3, 1_658_822]);
        let names: Vec<&str> = profile.functions.iter().map(|f| profile.text(f.name)).collect();
        assert_eq!(names, ["GC", "f"]);
        assert_eq!(profile.text(profile.functions[1].filename), "A.java");
        assert!(profile.mappings.is_empty());
    }

    #[test]
    fn waits_are_multiplied_by_the_period() {
        let text = "--- contentionz 1 ---\nformat = java\nresolution = microseconds\nsampling period = 100\nms since reset = 2\n 14 3 @ 0x1\n";
        let profile = parse(text).unwrap();
        assert_eq!(profile.samples.get(0).values, [300, 1400]);
        assert_eq!((profile.period, profile.duration_nanos), (100, 2_000_000));
        assert_eq!(profile.text(profile.sample_types[1].unit), "microseconds");
        assert_eq!(profile.locations[0].mapping.get(), Some(0));
    }

    #[test]
    fn broken_ones_are_refused() {
        let others = ["", "--- heapz 1 ---", "--- heapz 1 ---\nformat = c\n", "x\n"];
        for text in others {
            assert_eq!(parse(text).unwrap_err(), Refusal::Unknown, "{text}");
        }
        let heap = "--- heapz 1 ---\nresolution = bytes\n";
        let broken = [
            "--- heapz 1 ---\n 1 1 @ 0x1\n".to_owned(),
            "--- contentionz 1 ---\nsampling period = x\n".to_owned(),
            format!("{heap} 1 0 @ 0x1\n"),
            format!("{heap} 99999999999999999999 1 @ 0x1\n"),
            format!("{heap} 09 1 @ 0x1\n"),
            format!("{heap} 1 1 @ 0x12345678901234567\n"),
            format!("{heap} 1 1 @ 0x1\n 0x12345678901234567 f\n"),
        ];
        for text in broken {
            assert!(matches!(parse(&text), Err(Refusal::Malformed(_))), "{text}");
        }
    }
}
