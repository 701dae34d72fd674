//! Samples of processor time, as machine words of the machine that they were taken on.
//!
//! | word | of the heading | of a stack |
//! |---|---|---|
//! | 0 | 0 | how often it was seen |
//! | 1 | 3, the words that follow | its addresses |
//! | 2 | 0 of C++, 1 of Java | the leaf |
//! | 3 | period in microseconds | its caller |
//! | 4 | 0 | ... |
//!
//! A stack that was never seen, of the address zero alone, ends them. Text follows: the memory map of a C++ program, the names of Java's methods.

use std::collections::HashMap;
use std::ops::Range;

use super::draft::Addresses;
use super::{Draft, Lines, Refusal, Result, java, maps};
use crate::profile::Profile;

/// How words lie in the file.
#[derive(Clone, Copy, Debug)]
struct Words {
    bytes: usize,
    is_big_endian: bool,
}

impl Words {
    const ALL: [Words; 4] = [
        Words { bytes: 4, is_big_endian: false },
        Words { bytes: 4, is_big_endian: true },
        Words { bytes: 8, is_big_endian: false },
        Words { bytes: 8, is_big_endian: true },
    ];

    fn take(self, from: &mut &[u8]) -> Option<u64> {
        let (word, rest) = from.split_at_checked(self.bytes)?;
        *from = rest;
        let push = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(match self.is_big_endian {
            true => word.iter().fold(0, push),
            false => word.iter().rev().fold(0, push),
        })
    }

    fn heading(self, from: &mut &[u8]) -> Option<[u64; 5]> {
        let mut words = [0; 5];
        for word in &mut words {
            *word = self.take(from)?;
        }
        Some(words)
    }
}

/// Reads such a profile, of whatever machine.
pub(super) fn parse(bytes: &[u8]) -> Result<Profile> {
    for words in Words::ALL {
        let mut rest = bytes;
        match words.heading(&mut rest) {
            Some([0, 3, 0, period @ (1..), 0]) => return native(words, rest, period),
            Some([0, 3, 1, period @ (1..), 0]) => return of_java(words, rest, period),
            _ => {}
        }
    }
    Err(Refusal::Unknown)
}

fn native(words: Words, mut rest: &[u8], period: u64) -> Result<Profile> {
    let mut stacks = Stacks::read(words, &mut rest)?;
    stacks.leave_out_signal_handler();
    let mut draft = stacks.draft(period, Addresses::ReturnButLeaf);
    maps::read(&mut draft.profile, Lines::of(&String::from_utf8_lossy(rest)))?;
    Ok(draft.profile)
}

fn of_java(words: Words, mut rest: &[u8], period: u64) -> Result<Profile> {
    let stacks = Stacks::read(words, &mut rest)?;
    let draft = stacks.draft(period, Addresses::Exact);
    java::name_locations(draft, &String::from_utf8_lossy(rest))
}

#[derive(Debug, Default)]
struct Stacks {
    stacks: Vec<Stack>,
    /// Of all stacks, without the leaves.
    callers: Vec<u64>,
}

#[derive(Debug)]
struct Stack {
    count: i64,
    leaf: Option<u64>,
    callers: Range<usize>,
}

impl Stacks {
    fn read(words: Words, rest: &mut &[u8]) -> Result<Stacks> {
        let mut found = Stacks::default();
        while !rest.is_empty() {
            let (Some(count), Some(depth)) = (words.take(rest), words.take(rest)) else {
                return Err(Refusal::Unknown);
            };
            if depth > rest.len() as u64 / 4 {
                return Err(Refusal::Unknown);
            }
            // What a file of 64 bits lacks at its end is zero.
            let mut address = || {
                words.take(rest).unwrap_or_else(|| {
                    *rest = &[];
                    0
                })
            };
            let leaf = (depth > 0).then(&mut address);
            if (count, depth, leaf) == (0, 1, Some(0)) {
                break;
            }
            let start = found.callers.len();
            found.callers.extend((1..depth).map(|_| address()));
            let callers = start..found.callers.len();
            found.stacks.push(Stack { count: count.cast_signed(), leaf, callers });
        }
        Ok(found)
    }

    /// The leaf is where the signal came in; the frames next to it may be those of the handler. They are, if nearly all stacks have them: all but
    /// one in 32, and two frames at most.
    fn leave_out_signal_handler(&mut self) {
        let Stacks { stacks, callers } = self;
        let first = |stack: &Stack| callers.get(stack.callers.clone())?.first().copied();
        let enough = stacks.len() - stacks.len() / 32;
        for _ in 0..2 {
            let mut counts: HashMap<u64, usize> = HashMap::new();
            for caller in stacks.iter().filter_map(first) {
                *counts.entry(caller).or_default() += 1;
            }
            // More than half of the stacks have it, so there is one at most.
            let Some((&handler, _)) = counts.iter().find(|(_, count)| **count >= enough) else {
                return;
            };
            for stack in stacks.iter_mut().filter(|stack| first(stack) == Some(handler)) {
                stack.callers.start += 1;
            }
        }
    }

    fn draft(&self, period_us: u64, kind: Addresses) -> Draft {
        let period = period_us.cast_signed().wrapping_mul(1000);
        let types = [("samples", "count"), ("cpu", "nanoseconds")];
        let mut draft = Draft::new(&types, ("cpu", "nanoseconds"), period);
        for Stack { count, leaf, callers } in &self.stacks {
            let callers = self.callers.get(callers.clone()).unwrap_or_default();
            let values = [*count, count.wrapping_mul(period)];
            draft.push(leaf.iter().chain(callers).copied(), kind, &values, None);
        }
        draft
    }
}

#[cfg(test)]
mod tests {
    use super::{Words, parse};
    use crate::profile::Profile;
    use crate::profile::legacy::Refusal;

    fn encode(words: Words, values: &[u64]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for value in values {
            let all = value.to_be_bytes();
            let mut word = all[8 - words.bytes..].to_vec();
            if !words.is_big_endian {
                word.reverse();
            }
            bytes.extend(word);
        }
        bytes
    }

    fn stacks(profile: &Profile) -> Vec<Vec<u64>> {
        let address = |l| profile.locations[l as usize].address;
        profile.samples.iter().map(|s| s.stack.iter().map(address).collect()).collect()
    }

    #[test]
    fn words_are_of_any_machine() {
        let values = [0, 3, 0, 10_000, 0, 5, 3, 0x10, 0x21, 0x31, 7, 2, 0x10, 0x41, 0, 1, 0];
        for words in Words::ALL {
            let mut bytes = encode(words, &values);
            bytes.extend(b"0-100 r-xp 0 0:0 1 /p\n");
            let profile = parse(&bytes).unwrap();
            assert_eq!(stacks(&profile), [vec![0x10, 0x20, 0x30], vec![0x10, 0x40]], "{words:?}");
            assert_eq!(profile.samples.get(0).values, [5, 50_000_000]);
            assert_eq!(profile.period, 10_000_000);
            assert_eq!(profile.mappings.len(), 1);
        }
    }

    #[test]
    fn frames_of_the_signal_handler_go() {
        let mut values = vec![0, 3, 0, 1, 0];
        for leaf in 1..=40 {
            values.extend([1, 5, leaf, 0x101, 0x201, 0x301, 0x401]);
        }
        values.extend([1, 2, 0x900, 0x901, 0, 1, 0]);
        let profile = parse(&encode(Words::ALL[2], &values)).unwrap();
        let stacks = stacks(&profile);
        assert_eq!(stacks[39], [40, 0x300, 0x400]);
        assert_eq!(stacks[40], [0x900, 0x900]);
        // None of the handler's frames is left.
        assert!(profile.locations.iter().all(|l| l.address != 0x100));
    }

    #[test]
    fn a_leaf_that_is_unwound_again_is_there_once() {
        let values = [0, 3, 0, 1, 0, 1, 3, 0x10, 0x10, 0x20, 1, 2, 0x30, 0x40, 0, 1, 0];
        let profile = parse(&encode(Words::ALL[2], &values)).unwrap();
        assert_eq!(stacks(&profile), [vec![0x10, 0x1f], vec![0x30, 0x3f]]);
    }

    #[test]
    fn methods_of_java_have_no_addresses() {
        let values = [0, 3, 1, 1, 0, 1, 2, 3, 4, 0, 1, 0];
        let mut bytes = encode(Words::ALL[2], &values);
        bytes.extend(b" 0x00000004 a.B.c (B.java:12)\n");
        let profile = parse(&bytes).unwrap();
        assert_eq!(stacks(&profile), [[0, 0]]);
        assert_eq!(profile.locations[1].lines.get(0).unwrap().line, 12);
        // The one that is not named keeps a mapping that says nothing.
        assert_eq!(
            (profile.locations[0].mapping.get(), profile.locations[1].mapping.get()),
            (Some(0), None)
        );
    }

    #[test]
    fn hostile_sizes_are_refused() {
        let heading = [0, 3, 0, 1, 0];
        for tail in [&[1, u64::MAX][..], &[1, 1 << 32, 0], &[1]] {
            let values = [&heading, tail].concat();
            assert_eq!(parse(&encode(Words::ALL[2], &values)).unwrap_err(), Refusal::Unknown);
        }
        let values = [0, 3, 0, u64::MAX / 2, 0, u64::MAX, 1, u64::MAX];
        assert_eq!(stacks(&parse(&encode(Words::ALL[3], &values)).unwrap()), [[u64::MAX]]);
        // Two words where three are said to be: half the size is what is checked.
        let values = [0, 3, 0, 1, 0, 1, 3, 7, 8];
        assert_eq!(parse(&encode(Words::ALL[2], &values)).unwrap().samples.len(), 1);
        for other in [&[0, 3, 2, 1, 0][..], &[0, 3, 0, 0, 0], &[0, 3, 0, 1, 1], &[0, 3, 0, 1]] {
            assert_eq!(parse(&encode(Words::ALL[0], other)).unwrap_err(), Refusal::Unknown);
        }
    }
}
