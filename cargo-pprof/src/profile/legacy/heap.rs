//! Heap profiles as text, of tcmalloc and of Go.
//!
//! ```text
//! heap profile:    144:  8498176 [   144:  8498176] @ heapz_v2/524288
//!      1:     9216 [     1:     9216] @ 0xc635c8 0x42ecc3 0x42e14c
//! ```
//!
//! That is: blocks in use and their bytes, the same of all that were allocated, then how they were sampled. With `_v2` one byte in as many was
//! taken on the mean, which makes a block of S bytes appear with a probability of 1 - exp(-S / rate): what is told is divided by that.

use std::sync::LazyLock;

use regex::Regex;

use super::draft::Addresses;
use super::lines::{expression, groups, is_blank};
use super::maps::is_start;
use super::numbers::{addresses, decimal};
use super::{Draft, Lines, Refusal, Result, malformed};
use crate::profile::Profile;

const TOTALS: &str = r"heap profile: *([0-9]+): *([0-9]+) *\[ *([0-9]+): *([0-9]+) *\]";

static HEADING: LazyLock<Regex> =
    LazyLock::new(|| expression(&format!("{TOTALS} *@ *(heap[_a-z0-9]*)/?([0-9]*)")));

/// How much the heap grew, and how much of it is free: nothing is sampled there.
static WHOLE_HEADING: LazyLock<Regex> =
    LazyLock::new(|| expression(&format!("{TOTALS} @ (?:growth|fragmentation)")));

static SAMPLE: LazyLock<Regex> = LazyLock::new(|| {
    expression(r"(-?[0-9]+): *(-?[0-9]+) *\[ *([0-9]+): *([0-9]+) *\] @([ x0-9a-f]*)")
});

/// What the heading says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heading {
    period: i64,
    is_sampled: bool,
    /// Whether more was allocated than is in use.
    has_alloc: bool,
}

impl Heading {
    fn parse(line: &str) -> Result<Heading> {
        let Some(found) = groups(&HEADING, line) else {
            return match WHOLE_HEADING.is_match(line) {
                true => Ok(Heading { period: 1, is_sampled: false, has_alloc: false }),
                false => Err(Refusal::Unknown),
            };
        };
        let [objects, bytes, alloc_objects, alloc_bytes, kind, rate] = found;
        let rate: i64 = match rate {
            "" => 0,
            rate => rate.parse().map_err(|_| Refusal::Unknown)?,
        };
        let differs = |alloc: &str, in_use: &str| alloc != in_use && alloc != "0";
        let has_alloc = differs(alloc_objects, objects) || differs(alloc_bytes, bytes);
        let (period, is_sampled) = match kind {
            "heapz_v2" | "heap_v2" => (rate, true),
            "heapprofile" => (1, false),
            // Go wrote twice its rate, as the first version of tcmalloc did.
            "heap" => (rate / 2, true),
            _ => return Err(Refusal::Unknown),
        };
        Ok(Heading { period, is_sampled, has_alloc })
    }

    /// Those in use come last, as the last type is shown if none is asked for.
    fn types(self) -> &'static [(&'static str, &'static str)] {
        match self.has_alloc {
            true => &[
                ("alloc_objects", "count"),
                ("alloc_space", "bytes"),
                ("inuse_objects", "count"),
                ("inuse_space", "bytes"),
            ],
            false => &[("objects", "count"), ("space", "bytes")],
        }
    }
}

/// Reads such a profile, of which the heading is the first line.
pub(super) fn parse(text: &str) -> Result<Profile> {
    let mut lines = Lines::of(text);
    let heading = Heading::parse(lines.advance().unwrap_or_default())?;
    let mut draft = Draft::new(heading.types(), ("space", "bytes"), heading.period);
    let mut stack = Vec::new();
    while let Some(line) = lines.advance() {
        let line = line.trim();
        if is_blank(line) {
            continue;
        }
        if is_start(line) {
            break;
        }
        let (values, block_size, calls) = sample(line, heading)?;
        stack.clear();
        addresses(calls, &mut stack)?;
        let label = draft.block_size(block_size);
        let values = if heading.has_alloc { &values[..] } else { &values[2..] };
        draft.push(stack.drain(..), Addresses::Return, values, Some(label));
    }
    draft.finish(lines)
}

/// All four values of a line, the size of a block, and the text of its stack.
fn sample(line: &str, heading: Heading) -> Result<([i64; 4], i64, &str)> {
    let Some(found) = groups(&SAMPLE, line) else {
        return malformed("malformed sample: no numbers of objects and bytes", line);
    };
    let [objects, bytes, alloc_objects, alloc_bytes, calls] = found;
    let mut block_size = 0;
    let mut scaled = |objects: &str, bytes: &str| {
        let (count, size) = (decimal(objects, line)?, decimal(bytes, line)?);
        if count == 0 && size != 0 {
            return malformed("malformed sample: bytes of no objects", line);
        }
        if count != 0 {
            block_size = size.wrapping_div(count);
        }
        Ok(if heading.is_sampled { unsample(count, size, heading.period) } else { (count, size) })
    };
    let (alloc_count, alloc_size) = match heading.has_alloc {
        true => scaled(alloc_objects, alloc_bytes)?,
        false => (0, 0),
    };
    let (count, size) = scaled(objects, bytes)?;
    Ok(([alloc_count, alloc_size, count, size], block_size, calls))
}

/// How many objects and bytes there were, from those that were sampled.
pub(super) fn unsample(count: i64, size: i64, rate: i64) -> (i64, i64) {
    if count == 0 || size == 0 {
        return (0, 0);
    }
    // All are there with a rate of one, and without one there is nothing to go by.
    if rate <= 1 {
        return (count, size);
    }
    let (count, size) = (count as f64, size as f64);
    let scale = 1.0 / (1.0 - (-(size / count) / rate as f64).exp());
    ((count * scale) as i64, (size * scale) as i64)
}

#[cfg(test)]
mod tests {
    use super::{Heading, parse, unsample};
    use crate::profile::Value;
    use crate::profile::legacy::Refusal;

    #[test]
    fn headings_say_how_it_was_sampled() {
        let heading = |period, is_sampled, has_alloc| Heading { period, is_sampled, has_alloc };
        let cases = [
            ("1: 2 [1: 2] @ heap_v2/512", heading(512, true, false)),
            ("1: 2 [3: 4] @ heapz_v2/512", heading(512, true, true)),
            ("1: 2 [0: 0] @ heapz_v2", heading(0, true, false)),
            ("1: 2 [1: 2] @ heap/1025", heading(512, true, false)),
            ("1: 2 [1: 2] @ heapprofile", heading(1, false, false)),
            ("1: 2 [3: 4] @ growthz", heading(1, false, false)),
            ("1: 2 [3: 4] @ fragmentation", heading(1, false, false)),
        ];
        for (text, found) in cases {
            assert_eq!(Heading::parse(&format!("heap profile: {text}")), Ok(found), "{text}");
        }
        for text in ["1: 2 [1: 2] @ heap_v3/1", "1: 2 [1: 2] @ heap/99999999999999999999", "1: 2"] {
            assert_eq!(Heading::parse(&format!("heap profile: {text}")), Err(Refusal::Unknown));
        }
    }

    #[test]
    fn samples_are_scaled() {
        assert_eq!(unsample(0, 5, 512), (0, 0));
        assert_eq!(unsample(5, 10, 1), (5, 10));
        // 1 / (1 - 1/e) = 1.58
        assert_eq!(unsample(100, 51200, 512), (158, 80997));
        for (count, size, rate) in
            [(i64::MAX, 1, i64::MAX), (-1, i64::MIN, 2), (1, i64::MIN, 2), (i64::MIN, -1, 3)]
        {
            let _ = unsample(count, size, rate);
        }
    }

    #[test]
    fn in_use_comes_after_allocated() {
        let text = "heap profile: 1: 16 [3: 48] @ heapprofile\n  1: 16 [3: 48] @ 0x11 0x21\n0: 0 [2: 64] @\nMAPPED_LIBRARIES:\n";
        let profile = parse(text).unwrap();
        let values: Vec<&[i64]> = profile.samples.iter().map(|s| s.values).collect();
        assert_eq!(values, [[3, 48, 1, 16], [2, 64, 0, 0]]);
        let sizes: Vec<Value> = profile.samples.iter().map(|s| s.labels[0].value).collect();
        assert!(matches!(sizes[..], [Value::Number(16, _), Value::Number(32, _)]));
        assert_eq!(profile.samples.get(1).stack.len(), 0);
    }

    #[test]
    fn broken_samples_are_told() {
        for line in [
            "nonsense",
            "0: 8 [0: 0] @ 0x1",
            "1: 99999999999999999999 [1: 1] @ 0x1",
            "1: 8 [1: 8] @ 0x12345678901234567",
        ] {
            let text = format!("heap profile: 1: 8 [1: 8] @ heapprofile\n{line}\n");
            let told = parse(&text).unwrap_err();
            assert!(matches!(told, Refusal::Malformed(why) if why.contains("malformed sample")));
        }
        let text = "heap profile: 1: 8 [1: 8] @ heap_v2/2\n-1: -9223372036854775808 [1: 8] @ 0x0\n";
        assert_eq!(parse(text).unwrap().locations[0].address, u64::MAX);
    }
}
