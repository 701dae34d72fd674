//! Heap profiles of jemalloc, as `prof.dump` writes them and `jeprof` reads them.
//!
//! ```text
//! heap_v2/524288
//!   t*: 28106: 56637512 [0: 0]
//!   t0: 24000: 50000000 [0: 0]
//! @ 0x5f1b4a 0x5f1c20
//!   t*: 13: 6688 [0: 0]
//! MAPPED_LIBRARIES:
//! ```
//!
//! That is: the mean number of bytes between two samples, then for all threads and for each, objects and bytes in use, and the same of all that were
//! allocated, if that is counted. Samples are told as they were taken, not what they stand for.

use std::sync::LazyLock;

use regex::Regex;

use super::draft::Addresses;
use super::heap::unsample;
use super::lines::{expression, groups, is_blank};
use super::maps::is_start;
use super::numbers::{addresses, decimal};
use super::{Draft, Lines, Refusal, Result, frames, malformed};
use crate::profile::Profile;

static VALUES: LazyLock<Regex> = LazyLock::new(|| {
    expression(r"^ *t(\*|[0-9]+): *([0-9]+): *([0-9]+) *\[ *([0-9]+): *([0-9]+) *\]")
});

/// Those in use come last, as the last type is shown if none is asked for.
const TYPES: [(&str, &str); 4] = [
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
];

pub(super) fn parse(text: &str) -> Result<Profile> {
    let mut lines = Lines::of(text);
    let heading = lines.advance().unwrap_or_default().trim_end();
    let rate = heading.strip_prefix("heap_v2/").and_then(|rate| rate.parse::<i64>().ok());
    let Some(rate) = rate.filter(|rate| *rate > 0) else { return Err(Refusal::Unknown) };
    let mut samples: Vec<(Vec<u64>, [i64; 4])> = Vec::new();
    let mut stack = None;
    while let Some(line) = lines.advance() {
        if is_start(line) {
            break;
        }
        if is_blank(line) {
            continue;
        }
        if let Some(calls) = line.strip_prefix('@') {
            let mut found = Vec::new();
            addresses(calls, &mut found)?;
            stack = Some(found);
            continue;
        }
        let Some([thread, objects, bytes, all_objects, all_bytes]) = groups(&VALUES, line) else {
            return malformed("malformed sample: no numbers of objects and bytes", line);
        };
        // Threads are parts of the sum, and what comes before the first stack is the sum of all.
        if thread != "*" {
            continue;
        }
        let Some(stack) = stack.take() else { continue };
        let scaled = |objects, bytes| {
            let (objects, bytes) = (decimal(objects, line)?, decimal(bytes, line)?);
            Ok(unsample(objects, bytes, rate))
        };
        let (all_objects, all_bytes) = scaled(all_objects, all_bytes)?;
        let (objects, bytes) = scaled(objects, bytes)?;
        samples.push((stack, [all_objects, all_bytes, objects, bytes]));
    }
    // Mostly what was allocated is not counted.
    let has_alloc = samples.iter().any(|(_, values)| values[..2] != [0, 0]);
    let from = if has_alloc { 0 } else { 2 };
    let mut draft = Draft::new(&TYPES[from..], ("space", "bytes"), rate);
    for (stack, values) in samples {
        draft.push(stack, Addresses::Return, &values[from..], None);
    }
    let mut profile = draft.finish(lines)?;
    frames::name_those_of_jemalloc(&mut profile);
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_USE: &str = "heap_v2/512\n  t*: 3: 30 [0: 0]\n  t0: 3: 30 [0: 0]\n@ 0x11 0x22\n  t*: 100: 51200 [0: 0]\n  t0: 100: 51200 [0: 0]\n@\n  t*: 1: 1048576 [0: 0]\n\nMAPPED_LIBRARIES:\n0-100 r-xp 0 0:0 1 /p\n";

    #[test]
    fn sums_of_all_threads_are_read_and_scaled() {
        let profile = parse(IN_USE).unwrap();
        let types: Vec<&str> = profile.sample_types.iter().map(|t| profile.text(t.ty)).collect();
        assert_eq!(types, ["inuse_objects", "inuse_space"]);
        let values: Vec<&[i64]> = profile.samples.iter().map(|s| s.values).collect();
        // 1 / (1 - 1/e) = 1.58; and what is far larger than the rate was always sampled.
        assert_eq!(values, [[158, 80997], [1, 1_048_576]]);
        assert_eq!(profile.locations[0].address, 0x10);
        assert_eq!(profile.text(profile.mappings[0].file), "/p");
        assert_eq!(profile.period, 512);
    }

    #[test]
    fn what_was_allocated_is_there_if_it_was_counted() {
        let text = "heap_v2/1\n@ 0x11\n  t*: 1: 8 [3: 24]\n";
        let profile = parse(text).unwrap();
        assert_eq!(profile.samples.get(0).values, [3, 24, 1, 8]);
    }

    #[test]
    fn other_texts_are_none_and_broken_ones_are_told() {
        for text in [
            "",
            "heap_v2/",
            "heap_v2/0\n",
            "heap_v2/x\n",
            "heap profile: 1: 8 [1: 8] @ heap_v2/1\n",
        ] {
            assert!(matches!(parse(text), Err(Refusal::Unknown)), "{text}");
        }
        for line in
            ["nonsense", "@ 0x12345678901234567", "@ 0x1\n  t*: 99999999999999999999: 1 [0: 0]"]
        {
            let told = parse(&format!("heap_v2/512\n{line}\n"));
            assert!(matches!(told, Err(Refusal::Malformed(_))), "{line}: {told:?}");
        }
        // A sum without a stack is of all.
        assert_eq!(parse("heap_v2/512\n  t*: 3: 30 [0: 0]\n").unwrap().samples.len(), 0);
    }
}
