//! Small numbers for things that labels name: locks, and whoever held them.
//!
//! A table of fixed size that any thread adds to without locks or allocation. What does not fit gets the number 0, which has no text.
//! The text is copied in when an entry is made: what it was made of may be unloaded later.
//!
//! | `Entry::state` | meaning               | leaves it                            |
//! |----------------|-----------------------|--------------------------------------|
//! | 0              | free                  | any thread, by compare-exchange to 1 |
//! | 1              | claimed, being filled | its claimer, by a Release store      |
//! | 2              | filled                | never                                |

use std::fmt;

use crate::primitive::atomic::{AtomicU32, AtomicU64, Ordering};

#[cfg(all(test, loom))]
mod model;

const FREE: u32 = 0;
const CLAIMED: u32 = 1;
const FILLED: u32 = 2;

/// Entries looked at before the table is taken for full.
const MAX_PROBES: usize = 32;

const TEXT_WORDS: usize = 12;

/// Bytes kept of a text; of longer ones the end.
pub(crate) const TEXT_BYTES: usize = TEXT_WORDS * 8;

/// What tells two things apart.
pub(crate) type Key = [u64; 3];

/// Up to `N` texts, `N` at most 65 535.
#[derive(Debug)]
pub(crate) struct Interner<const N: usize> {
    entries: [Entry; N],
}

#[derive(Debug)]
struct Entry {
    state: AtomicU32,
    len: AtomicU32,
    key: [AtomicU64; 3],
    text: [AtomicU64; TEXT_WORDS],
}

impl Entry {
    const fn new() -> Self {
        Entry {
            state: AtomicU32::new(FREE),
            len: AtomicU32::new(0),
            key: [const { AtomicU64::new(0) }; 3],
            text: [const { AtomicU64::new(0) }; TEXT_WORDS],
        }
    }

    fn holds(&self, key: &Key) -> bool {
        // ORDERING: Relaxed: ordered by the caller's Acquire load of `state`.
        self.key.iter().zip(key).all(|(word, key)| word.load(Ordering::Relaxed) == *key)
    }

    fn fill(&self, key: &Key, text: &Text) {
        let words = text
            .bytes
            .chunks_exact(8)
            .map(|b| b.iter().rev().fold(0_u64, |word, byte| word << 8 | u64::from(*byte)));
        // ORDERING: Relaxed: all published by the Release below.
        for (word, value) in self.key.iter().zip(key.iter().copied()) {
            word.store(value, Ordering::Relaxed);
        }
        for (word, value) in self.text.iter().zip(words) {
            word.store(value, Ordering::Relaxed);
        }
        self.len.store(text.len as u32, Ordering::Relaxed);
        // ORDERING: Release pairs with the Acquire loads of `state`.
        self.state.store(FILLED, Ordering::Release);
    }
}

impl<const N: usize> Interner<N> {
    pub(crate) const fn new() -> Self {
        assert!(N < u16::MAX as usize);
        Interner { entries: [const { Entry::new() }; N] }
    }

    /// The number of `key`, new with the text that `describe` writes; 0 if there is no room.
    ///
    /// # Reentrancy
    /// Atomics only: may be called under any lock and inside an allocator, if `describe` may.
    pub(crate) fn intern(&self, key: Key, describe: impl FnOnce(&mut Text)) -> u16 {
        let start = hash(&key);
        for probe in 0..MAX_PROBES.min(N) {
            let index = start.wrapping_add(probe) % N;
            let Some(entry) = self.entries.get(index) else { break };
            // ORDERING: Acquire, here and on failure below, pairs with the Release in `fill`.
            let mut state = entry.state.load(Ordering::Acquire);
            if state == FREE {
                let claim = entry.state.compare_exchange(
                    FREE,
                    CLAIMED,
                    Ordering::Relaxed,
                    Ordering::Acquire,
                );
                match claim {
                    Ok(_) => {
                        let mut text = Text::new();
                        describe(&mut text);
                        entry.fill(&key, &text);
                        return index as u16 + 1;
                    }
                    Err(now) => state = now,
                }
            }
            // An entry being filled may be for this very key: a second one at worst, with the same text.
            if state == FILLED && entry.holds(&key) {
                return index as u16 + 1;
            }
        }
        0
    }

    /// The text of a number that `intern` gave out.
    pub(crate) fn text(&self, number: u16) -> Option<String> {
        let entry = self.entries.get(usize::from(number).checked_sub(1)?)?;
        // ORDERING: Acquire pairs with the Release in `fill`.
        if entry.state.load(Ordering::Acquire) != FILLED {
            return None;
        }
        // ORDERING: Relaxed, here and below: ordered by the load above.
        let len = entry.len.load(Ordering::Relaxed) as usize;
        let bytes = entry.text.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes());
        let bytes: Vec<u8> = bytes.take(len).collect();
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// FNV-1a over words, with a final mix.
fn hash(key: &Key) -> usize {
    let mix = |hash: u64, word: &u64| {
        let hash = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        hash ^ hash >> 29
    };
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325, mix);
    (hash ^ hash >> 32) as usize
}

/// A text of bounded size, written without allocating; of a longer one the end is kept.
#[derive(Debug)]
pub(crate) struct Text {
    bytes: [u8; TEXT_BYTES],
    len: usize,
}

impl Text {
    const fn new() -> Self {
        Text { bytes: [0; TEXT_BYTES], len: 0 }
    }

    fn push(&mut self, text: &[u8]) {
        let text = text.get(text.len().saturating_sub(TEXT_BYTES)..).unwrap_or(text);
        let excess = (self.len + text.len()).saturating_sub(TEXT_BYTES);
        self.bytes.copy_within(excess..self.len, 0);
        self.len -= excess;
        if let Some(room) = self.bytes.get_mut(self.len..self.len + text.len()) {
            room.copy_from_slice(text);
            self.len += text.len();
        }
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    #[test]
    fn a_key_has_one_number_and_its_first_text() {
        let table = Interner::<64>::new();
        let first = table.intern([1, 2, 3], |t| write!(t, "a {}", 1).unwrap());
        let second = table.intern([1, 2, 4], |t| t.write_str("second").unwrap());
        assert_ne!(first, second);
        assert_eq!(table.intern([1, 2, 3], |_| unreachable!()), first);
        assert_eq!(table.text(first).unwrap(), "a 1");
        assert_eq!(table.text(second).unwrap(), "second");
        assert_eq!(table.text(0), None);
    }

    #[test]
    fn a_full_table_says_so_and_long_texts_keep_their_end() {
        let table = Interner::<8>::new();
        let numbers: Vec<u16> =
            (0..20).map(|i| table.intern([i, 0, 0], |t| write!(t, "{i}").unwrap())).collect();
        assert_eq!(numbers.iter().filter(|n| **n == 0).count(), 12);
        let table = Interner::<8>::new();
        let long: String = (0..40).map(|i| format!("{i:03}/")).collect();
        let number = table.intern([1, 1, 1], |t| {
            t.write_str(&long).unwrap();
            write!(t, ":{}", 77).unwrap();
        });
        let text = table.text(number).unwrap();
        assert_eq!(text.len(), TEXT_BYTES);
        assert!(format!("{long}:77").ends_with(&text), "{text}");
    }

    #[test]
    fn threads_agree_on_texts() {
        let table = &Interner::<256>::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || {
                    for i in 0..if cfg!(miri) { 60_u64 } else { 10_000 } {
                        let number =
                            table.intern([i % 50, 7, 0], |t| write!(t, "{}", i % 50).unwrap());
                        if number != 0 {
                            assert_eq!(table.text(number).unwrap(), (i % 50).to_string());
                        }
                    }
                });
            }
        });
    }
}
