//! Texts, each once.

use std::hash::BuildHasher;
use std::ops::Range;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// A text of a profile: two are the same if, and only if, their characters are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(pub(super) u32);

impl Text {
    /// No characters.
    pub const EMPTY: Text = Text(0);

    /// Whether it has no characters.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Text::EMPTY
    }

    /// Its place among the texts, from 0 to `Texts::len`.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The texts of a profile, one after the other: most are short, and each by itself would take more memory for where it is than for what it is.
#[derive(Clone, Debug)]
pub struct Texts {
    characters: String,
    /// Where each ends, and the next one starts.
    ends: Vec<usize>,
    /// Their places, by their characters.
    places: HashTable<u32>,
    hasher: foldhash::fast::RandomState,
}

impl Default for Texts {
    fn default() -> Self {
        let hasher = foldhash::fast::RandomState::default();
        let (characters, places) = (String::new(), HashTable::new());
        let mut texts = Texts { characters, ends: Vec::new(), places, hasher };
        texts.intern("");
        texts
    }
}

impl Texts {
    /// How many there are: one at least, the empty one.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The text with these characters.
    pub fn intern(&mut self, text: &str) -> Text {
        let Texts { characters, ends, places, hasher } = self;
        let characters_of = |place: &u32| &characters[range(ends, *place as usize)];
        let is_same = |place: &u32| characters_of(place) == text;
        let rehash = |place: &u32| hasher.hash_one(characters_of(place));
        match places.entry(hasher.hash_one(text), is_same, rehash) {
            Entry::Occupied(known) => Text(*known.get()),
            Entry::Vacant(new) => {
                let place = u32::try_from(ends.len());
                let place = place.expect("a profile of 4 billion texts does not fit into memory");
                new.insert(place);
                characters.push_str(text);
                ends.push(characters.len());
                Text(place)
            }
        }
    }

    /// The characters.
    #[must_use]
    pub fn get(&self, text: Text) -> &str {
        let place = text.index();
        if place < self.len() { &self.characters[range(&self.ends, place)] } else { "" }
    }

    /// The characters of all, in the order of their places.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|place| &self.characters[range(&self.ends, place)])
    }

    /// The text with these characters, if there is one.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<Text> {
        let is_same = |place: &u32| &self.characters[range(&self.ends, *place as usize)] == text;
        self.places.find(self.hasher.hash_one(text), is_same).copied().map(Text)
    }
}

fn range(ends: &[usize], place: usize) -> Range<usize> {
    let start = if place == 0 { 0 } else { ends[place - 1] };
    start..ends[place]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_there_once_and_found_again() {
        let mut texts = Texts::default();
        assert_eq!((texts.len(), texts.find("")), (1, Some(Text::EMPTY)));
        let names: Vec<String> = (0..1_000).map(|n| format!("\u{e9}{n}")).collect();
        let places: Vec<Text> = names.iter().map(|name| texts.intern(name)).collect();
        assert_eq!(texts.intern(&names[7]), places[7]);
        assert_eq!(texts.len(), 1_001);
        assert!(texts.iter().skip(1).eq(&names));
        for (name, place) in names.iter().zip(places) {
            assert_eq!((texts.get(place), texts.find(name)), (name.as_str(), Some(place)));
        }
        assert_eq!((texts.get(Text(5_000)), texts.find("none")), ("", None));
    }
}
