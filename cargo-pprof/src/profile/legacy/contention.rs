//! Waits for locks, of C++ programs and of Go: how long, how many, and where.
//!
//! ```text
//! --- contentionz 1 ---
//! cycles/second = 3201000000
//! sampling period = 100
//!   19490304       27 @ 0xbccc97 0xc61202 0x42ed5f
//! ```

use std::sync::LazyLock;

use regex::Regex;

use super::draft::Addresses;
use super::lines::{expression, groups, is_blank};
use super::numbers::{addresses, attribute, decimal};
use super::{Draft, Lines, Refusal, Result};
use crate::profile::Profile;

const HEADINGS: [&str; 3] = ["--- contentionz ", "--- mutex:", "--- contention:"];

static SAMPLE: LazyLock<Regex> = LazyLock::new(|| expression(r"([0-9]+) *([0-9]+) @([ x0-9a-f]*)"));

/// Reads such a profile, of which the heading is the first line.
pub(super) fn parse(text: &str) -> Result<Profile> {
    let mut lines = Lines::of(text);
    let heading = lines.advance().unwrap_or_default();
    if !HEADINGS.iter().any(|known| heading.starts_with(known)) {
        return Err(Refusal::Unknown);
    }
    let attributes = Attributes::read(&mut lines)?;
    let types = [("contentions", "count"), ("delay", "nanoseconds")];
    let mut draft = Draft::new(&types, ("contentions", "count"), attributes.period);
    draft.profile.duration_nanos = attributes.duration_nanos;
    let mut stack = Vec::new();
    // The first sample is the line that was no attribute.
    let mut next = Some(lines.current());
    while let Some(line) = next.map(str::trim) {
        if line.starts_with("---") {
            break;
        }
        if !is_blank(line) {
            let Some([delay, count, calls]) = groups(&SAMPLE, line) else {
                return Err(Refusal::Unknown);
            };
            let values = attributes.unsample(decimal(count, line)?, decimal(delay, line)?);
            stack.clear();
            addresses(calls, &mut stack)?;
            draft.push(stack.drain(..), Addresses::Return, &values, None);
        }
        next = lines.advance();
    }
    draft.finish(lines)
}

/// What is said before the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Attributes {
    period: i64,
    cycles_per_second: i64,
    duration_nanos: i64,
}

impl Attributes {
    fn read(lines: &mut Lines<'_>) -> Result<Attributes> {
        let mut attributes = Attributes { period: 1, cycles_per_second: 0, duration_nanos: 0 };
        while let Some(line) = lines.advance() {
            let line = line.trim();
            if is_blank(line) {
                continue;
            }
            let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with("---"))
            else {
                break;
            };
            let value = value.trim();
            match key.trim() {
                "cycles/second" => attributes.cycles_per_second = attribute(value)?,
                "sampling period" => attributes.period = attribute(value)?,
                "ms since reset" => {
                    attributes.duration_nanos = attribute(value)?.wrapping_mul(1_000_000);
                }
                "discarded samples" => {}
                // `format` and `resolution` are of Java.
                _ => return Err(Refusal::Unknown),
            }
        }
        Ok(attributes)
    }

    /// How many waits there were, and how long they took, from those that were sampled. Delays are in cycles if it is said how many make a second.
    fn unsample(self, count: i64, delay: i64) -> [i64; 2] {
        let Attributes { period, cycles_per_second, .. } = self;
        if period <= 0 {
            return [count, delay];
        }
        let delay = match cycles_per_second {
            1.. => (delay as f64 * period as f64 / (cycles_per_second as f64 / 1e9)) as i64,
            _ => delay,
        };
        [count.wrapping_mul(period), delay]
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::profile::legacy::Refusal;

    fn values(attributes: &str, sample: &str) -> [i64; 2] {
        let text = format!("--- contentionz 1 ---\n{attributes}{sample}\n");
        let profile = parse(&text).unwrap();
        profile.samples.get(0).values.try_into().unwrap()
    }

    #[test]
    fn waits_are_scaled() {
        let sample = " 300 4 @ 0x11 0x21";
        assert_eq!(values("", sample), [4, 300]);
        assert_eq!(values("sampling period = 10\n", sample), [40, 300]);
        let attributes = "cycles/second = 3000000000\n\nsampling period = 10\n";
        assert_eq!(values(attributes, sample), [40, 1000]);
        let attributes = "sampling period = 0\ncycles/second = 5\n";
        assert_eq!(values(attributes, sample), [4, 300]);
        let attributes = "sampling period = 0x7fffffffffffffff\ncycles/second = 1\n";
        assert_eq!(values(attributes, "9223372036854775807 3 @ 0x1")[1], i64::MAX);
    }

    #[test]
    fn other_sections_end_the_samples() {
        let text = "--- mutex:\nms since reset = 3\n1 2 @ 0x1\n--- other ---\nx\n--- Memory map: ---\n00-10: /p\n";
        let profile = parse(text).unwrap();
        assert_eq!((profile.samples.len(), profile.mappings.len()), (1, 1));
        assert_eq!(profile.duration_nanos, 3_000_000);
        assert!(parse("--- contention:").unwrap().samples.is_empty());
    }

    #[test]
    fn what_is_of_others_is_left_to_them() {
        for text in [
            "",
            "--- heapz 1 ---\n",
            "--- contentionz 1 ---\nformat = java\n",
            "--- contentionz 1 ---\nsampling period = x\n",
            "--- contentionz 1 ---\nnonsense\n",
        ] {
            assert_eq!(parse(text).unwrap_err(), Refusal::Unknown, "{text}");
        }
        let text = "--- contentionz 1 ---\n99999999999999999999 1 @ 0x1\n";
        assert!(matches!(parse(text), Err(Refusal::Malformed(_))));
    }
}
