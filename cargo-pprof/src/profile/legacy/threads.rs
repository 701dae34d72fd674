//! Stacks of all threads of a program, with or without names of functions.
//!
//! ```text
//! --- threadz 1 ---
//! --- Thread 7f794ab90940 (name: main/14748) stack: ---
//!   PC:  0x00bc8f1c: helper(arg *)
//!   0x0040be31: main
//! --- Thread 7f794964e700 (name: thread1/14751) stack: ---
//!   [same as previous thread]
//! ```

use std::sync::LazyLock;

use regex::Regex;

use super::draft::Addresses;
use super::lines::expression;
use super::maps::is_start;
use super::numbers::addresses;
use super::{Draft, Lines, Refusal, Result};
use crate::profile::Profile;

static HEADING: LazyLock<Regex> = LazyLock::new(|| expression("--- threadz [0-9]+ ---"));

static THREAD: LazyLock<Regex> =
    LazyLock::new(|| expression(r"--- Thread [[:xdigit:]]+ \(name: .*/[0-9]+\) stack: ---"));

/// Reads such a profile; remarks may come before its heading, or before the first thread if it has none.
pub(super) fn parse(text: &str) -> Result<Profile> {
    let mut lines = Lines::of(text);
    let mut line = lines.heading();
    if HEADING.is_match(line) {
        while let Some(next) = lines.advance() {
            line = next;
            if is_start(line) || line.starts_with('-') {
                break;
            }
        }
    } else if !THREAD.is_match(line) {
        return Err(Refusal::Unknown);
    }
    let mut draft = Draft::new(&[("thread", "count")], ("thread", "count"), 1);
    let mut stack = Vec::new();
    while !is_start(line) && !line.starts_with("---- no stack trace for") {
        if !THREAD.is_match(line) {
            return Err(Refusal::Unknown);
        }
        stack.clear();
        line = read_stack(&mut lines, &mut stack)?;
        let samples = &mut draft.profile.samples;
        if !stack.is_empty() {
            draft.push(stack.drain(..), Addresses::ReturnButLeaf, &[1], None);
        } else if let Some(last) = samples.len().checked_sub(1) {
            for value in samples.values_mut(last) {
                *value = value.wrapping_add(1);
            }
        }
    }
    draft.finish(lines)
}

/// Reads a thread's addresses, none if it is where the one before is, and gives the line after them: the last one if the file ends before.
fn read_stack<'t>(lines: &mut Lines<'t>, stack: &mut Vec<u64>) -> Result<&'t str> {
    let (mut line, mut is_same) = ("", false);
    while let Some(next) = lines.advance() {
        line = next.trim();
        if line.starts_with("---") {
            break;
        }
        if line.contains("same as previous thread") {
            is_same = true;
        } else {
            addresses(line, stack)?;
        }
    }
    if is_same {
        stack.clear();
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::profile::Stack;
    use crate::profile::legacy::Refusal;

    const THREAD: &str = "--- Thread 1f (name: a b/2) stack: ---\n";

    #[test]
    fn threads_are_counted() {
        let text = format!(
            "# x\n--- threadz 1 ---\n\nnoise\n{THREAD} PC: 0x10: f(0)\n\n 0x10: f\n 0x20 0x31\n creator: 0x41\n{THREAD}{THREAD} [same as previous thread]\n{THREAD} 0x5\n---- no stack trace for 3\nMAPPED_LIBRARIES:\n0-100: /p\n"
        );
        let profile = parse(&text).unwrap();
        let samples: Vec<_> = profile.samples.iter().map(|s| (s.stack, s.values)).collect();
        assert_eq!(samples, [(Stack::Wide(&[0, 2, 3, 4]), &[3][..]), (Stack::Wide(&[5]), &[1])]);
        assert_eq!(profile.locations[1].address, 0xf);
        assert_eq!(profile.locations[5].address, 5);
        assert_eq!(profile.mappings.len(), 1);
    }

    #[test]
    fn a_file_that_ends_within_a_stack_is_of_another_format() {
        for text in ["--- threadz 1 ---\n", THREAD, "", "x\n"] {
            assert_eq!(parse(text).unwrap_err(), Refusal::Unknown, "{text}");
        }
        let text = format!("{THREAD} 0x1\n");
        assert_eq!(parse(&text).unwrap_err(), Refusal::Unknown);
        let text = format!("{THREAD} 0x12345678901234567\n");
        assert!(matches!(parse(&text), Err(Refusal::Malformed(_))));
    }
}
