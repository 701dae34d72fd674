//! Texts, each once.

use indexmap::IndexSet;

/// A text of a profile: two are the same if, and only if, their characters are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(u32);

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

/// The texts of a profile.
#[derive(Clone, Debug)]
pub struct Texts(IndexSet<Box<str>, foldhash::fast::RandomState>);

impl Default for Texts {
    fn default() -> Self {
        let mut texts = IndexSet::default();
        texts.insert(Box::default());
        Texts(texts)
    }
}

impl Texts {
    /// How many there are: one at least, the empty one.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The text with these characters.
    pub fn intern(&mut self, text: &str) -> Text {
        let index = match self.0.get_index_of(text) {
            Some(index) => index,
            None => self.0.insert_full(text.into()).0,
        };
        Text(u32::try_from(index).expect("a profile of 4 billion texts does not fit into memory"))
    }

    /// The characters.
    #[must_use]
    pub fn get(&self, text: Text) -> &str {
        self.0.get_index(text.0 as usize).map_or("", |text| text)
    }

    /// The characters of all, in the order of their places.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|text| &**text)
    }

    /// The text with these characters, if there is one.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<Text> {
        self.0.get_index_of(text).map(|index| Text(index as u32))
    }
}
