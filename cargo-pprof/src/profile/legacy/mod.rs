//! Profiles from before `profile.proto`: what gperftools and the first Go and Java agents wrote, and old servers and jemalloc still do.
//!
//! None of these formats has a version or a length to check, so each is asked in turn whether it knows the file. The order matters: a Java
//! contention profile begins like one of C++, and is refused there at its first attribute.
//!
//! ```text
//! cpu                                        -> Draft -> maps -> frames -> Profile
//! heap, go_count, threads, contention, java, jemalloc
//! ```

mod contention;
mod cpu;
mod draft;
mod frames;
mod go_count;
mod heap;
mod java;
mod jemalloc;
mod lines;
mod maps;
mod numbers;
mod regions;
mod threads;

use super::Profile;
use draft::Draft;
use lines::Lines;

/// Why a format does not read a file.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// It is in another format.
    Unknown,
    /// It is in this one, but broken.
    Malformed(String),
}

type Result<T> = std::result::Result<T, Refusal>;

/// Refuses a line, of which the start is told.
fn malformed<T>(why: &str, line: &str) -> Result<T> {
    const SHOWN: usize = 80;
    let mut shown: String = line.chars().take(SHOWN).collect();
    if shown.len() < line.len() {
        shown.push_str("...");
    }
    Err(Refusal::Malformed(format!("{why}: {shown:?}")))
}

/// Reads a profile of an old format; `None` if it is of none of them.
///
/// # Errors
/// A format knows it as its own, and finds it broken.
pub(crate) fn parse(bytes: &[u8]) -> std::result::Result<Option<Profile>, String> {
    let found = match cpu::parse(bytes) {
        Err(Refusal::Unknown) => parse_text(&String::from_utf8_lossy(bytes)),
        found => found,
    };
    match found {
        Ok(mut profile) => {
            frames::name_uninteresting(&mut profile);
            Ok(Some(profile))
        }
        Err(Refusal::Unknown) => Ok(None),
        Err(Refusal::Malformed(why)) => Err(why),
    }
}

fn parse_text(text: &str) -> Result<Profile> {
    let formats = [
        heap::parse,
        go_count::parse,
        threads::parse,
        contention::parse,
        java::parse,
        jemalloc::parse,
    ];
    for format in formats {
        match format(text) {
            Err(Refusal::Unknown) => {}
            found => return found,
        }
    }
    Err(Refusal::Unknown)
}

#[cfg(test)]
mod tests {
    use super::{malformed, parse};

    /// One small profile of each format.
    fn samples() -> Vec<Vec<u8>> {
        let words = |words: &[u64]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
        let texts = [
            "heap profile: 1: 8 [2: 16] @ heap_v2/524288\n1: 8 [2: 16] @ 0x11 0x22\nMAPPED_LIBRARIES:\n0-100 r-xp 0 0:0 1 /p\n",
            "goroutine profile: total 2\n2 @ 0x11 0x22\n",
            "--- threadz 1 ---\n--- Thread 1 (name: a/1) stack: ---\n 0x11 0x22\n--- Memory map: ---\n",
            "--- contentionz 1 ---\ncycles/second = 1000\nsampling period = 2\n3 4 @ 0x11 0x22\n",
            "heap_v2/512\n@ 0x11 0x22\n  t*: 1: 8 [0: 0]\nMAPPED_LIBRARIES:\n0-100 r-xp 0 0:0 1 /p\n",
            "--- heapz 1 ---\nformat = java\nresolution = bytes\n 8 1 @ 0x1 0x2\n 0x1 f (F.java:1)\n 0x2 GC\n",
        ];
        let mut samples: Vec<Vec<u8>> = texts.iter().map(|t| t.as_bytes().to_vec()).collect();
        samples.push(words(&[0, 3, 0, 100, 0, 2, 2, 0x11, 0x22, 0, 1, 0]));
        samples.push(words(&[0, 3, 1, 100, 0, 2, 2, 0x11, 0x22, 0, 1, 0]));
        samples
    }

    #[test]
    fn every_format_is_known() {
        for sample in samples() {
            let profile = parse(&sample).unwrap().expect("known");
            assert_eq!(profile.samples.len(), 1);
            assert_eq!(profile.samples.get(0).stack.get(0), Some(0));
            assert!(!profile.drop_frames.is_empty());
        }
    }

    #[test]
    fn what_is_of_no_format_is_none() {
        let others: [&[u8]; 6] =
            [b"", b"\n", b"profile", b"\0\0\0\0", b"\xff\xfe\n\xff", b"--- contentionz 1 ---"];
        for other in &others[..5] {
            assert!(parse(other).unwrap().is_none(), "{other:?}");
        }
        // A heading is all that a profile without waits has.
        assert!(parse(others[5]).unwrap().is_some());
    }

    #[test]
    fn broken_files_are_no_panics() {
        for sample in samples() {
            for end in 0..sample.len() {
                let _ = parse(&sample[..end]);
            }
            for at in 0..sample.len() {
                for byte in [0, b'9', b'-', b' ', b'\n', 0x7f, 0xff] {
                    let mut broken = sample.clone();
                    broken[at] = byte;
                    let _ = parse(&broken);
                    broken.insert(at, b'9');
                    let _ = parse(&broken);
                }
            }
        }
    }

    #[test]
    fn long_lines_are_told_in_part() {
        let told = format!("{:?}", malformed::<()>("no sample", &"ä".repeat(1000)));
        assert!(told.contains("no sample") && told.len() < 300);
    }
}
