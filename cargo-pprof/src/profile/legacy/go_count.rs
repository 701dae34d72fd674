//! What Go wrote of goroutines and threads: how many have each stack.
//!
//! ```text
//! goroutine profile: total 7
//! 4 @ 0x42e3b1 0x43f2c8 0x45a1e1
//! ```

use std::sync::LazyLock;

use regex::Regex;

use super::draft::Addresses;
use super::lines::{expression, groups, is_blank};
use super::numbers::addresses;
use super::{Draft, Lines, Refusal, Result, malformed};
use crate::numbers::integer;
use crate::profile::Profile;

static HEADING: LazyLock<Regex> =
    LazyLock::new(|| expression(r"\A([^\t\n\f\r ]+) profile: total [0-9]+\z"));

static SAMPLE: LazyLock<Regex> = LazyLock::new(|| expression(r"\A([0-9]+) @((?: 0x[0-9a-f]+)+)\z"));

/// Reads such a profile; remarks may come before its heading.
pub(super) fn parse(text: &str) -> Result<Profile> {
    let mut lines = Lines::of(text);
    let Some([ty]) = groups(&HEADING, lines.heading()) else {
        return Err(Refusal::Unknown);
    };
    let mut draft = Draft::new(&[(ty, "count")], (ty, "count"), 1);
    let mut stack = Vec::new();
    while let Some(line) = lines.advance() {
        if line.starts_with("---") {
            break;
        }
        if is_blank(line) {
            continue;
        }
        const WHAT: &str = "malformed profile format: no count with a stack";
        let Some([count, calls]) = groups(&SAMPLE, line) else { return malformed(WHAT, line) };
        let Some(count) = integer(count) else { return malformed(WHAT, line) };
        stack.clear();
        addresses(calls, &mut stack)?;
        draft.push(stack.drain(..), Addresses::Return, &[count], None);
    }
    draft.finish(lines)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::profile::Stack;
    use crate::profile::legacy::Refusal;

    #[test]
    fn counts_are_read() {
        let text = "# a remark\n\nthreadcreate profile: total 3\n2 @ 0x11 0x21\n# 0x11 f\n010 @ 0x21\n--- x ---\nnonsense\nMAPPED_LIBRARIES:\n10-30 r-xp 0 0:0 1 /p\n";
        let profile = parse(text).unwrap();
        let samples: Vec<_> = profile.samples.iter().map(|s| (s.stack, s.values)).collect();
        assert_eq!(samples, [(Stack::Wide(&[0, 1]), &[2][..]), (Stack::Wide(&[1]), &[8])]);
        assert_eq!(profile.locations[0].address, 0x10);
        assert_eq!(profile.text(profile.mappings[0].file), "/p");
        assert_eq!(profile.text(profile.period_type.ty), "threadcreate");
    }

    #[test]
    fn other_lines_are_refused() {
        assert_eq!(parse("goroutine profile: total 1 \n").unwrap_err(), Refusal::Unknown);
        assert_eq!(parse("# goroutine profile: total 1").unwrap_err(), Refusal::Unknown);
        for line in [
            "1",
            "1 @",
            " 1 @ 0x1",
            "-1 @ 0x1",
            "09 @ 0x1",
            "1 @ 0x1 ",
            "1 @ 0x12345678901234567",
            "99999999999999999999 @ 0x1",
        ] {
            let text = format!("goroutine profile: total 1\n{line}\n");
            assert!(matches!(parse(&text), Err(Refusal::Malformed(_))), "{line}");
        }
    }
}
