//! Articles and queries, made of sentences that ship with the program, and what is done to their words.

use pprof_runtime::profile;

/// A text to index.
#[derive(Debug)]
pub(crate) struct Article {
    pub(crate) number: u64,
    pub(crate) text: String,
}

const PROSE: &str = include_str!("prose.txt");

/// Sentences in an article: enough that indexing one takes some hundred microseconds.
const SENTENCES: u64 = 120;

/// The article of that number: always the same.
#[profile]
pub(crate) fn article(number: u64) -> Article {
    let sentences: Vec<&str> = PROSE.split_inclusive(['.', '\n']).filter(|s| s.len() > 2).collect();
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = String::new();
    for _ in 0..SENTENCES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let index = (state % sentences.len() as u64) as usize;
        text.push_str(sentences.get(index).copied().unwrap_or(""));
    }
    Article { number, text }
}

/// The query of that number: three words in a row from the prose.
pub(crate) fn query(number: u64) -> String {
    let words: Vec<&str> = PROSE.split_whitespace().collect();
    let start = (number.wrapping_mul(7919) % (words.len() as u64 - 3)) as usize;
    words.get(start..start + 3).unwrap_or(&[]).join(" ")
}

/// The words of a text, in lower case, without punctuation.
#[profile]
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        } else if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// A word without its ending, so that `indexing` finds `indexed`.
#[profile]
pub(crate) fn stem(word: &str) -> String {
    const ENDINGS: [&str; 12] =
        ["ations", "ation", "ingly", "ings", "ness", "ing", "edly", "ed", "ies", "es", "ly", "s"];
    let mut stem = word;
    // Twice, for endings upon endings.
    for _ in 0..2 {
        for ending in ENDINGS {
            if let Some(shorter) = stem.strip_suffix(ending)
                && shorter.chars().filter(|c| "aeiouy".contains(*c)).count() > 0
            {
                stem = shorter;
                break;
            }
        }
    }
    stem.to_owned()
}
