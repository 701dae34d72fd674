//! Which mapping a location is in.

use std::num::NonZeroU32;

/// The index of a mapping, or none: in four bytes, where an `Option<u32>` takes eight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MappingIndex(Option<NonZeroU32>);

impl MappingIndex {
    /// An index.
    ///
    /// # Panics
    /// It is the greatest of all numbers.
    #[must_use]
    #[inline]
    pub fn at(index: u32) -> Self {
        let from_one = index.checked_add(1).expect("4 billion mappings do not fit into memory");
        MappingIndex(NonZeroU32::new(from_one))
    }

    /// The index, if there is one.
    #[must_use]
    #[inline]
    pub fn get(self) -> Option<u32> {
        self.0.map(|from_one| from_one.get() - 1)
    }
}

impl From<Option<u32>> for MappingIndex {
    #[inline]
    fn from(index: Option<u32>) -> Self {
        index.map(MappingIndex::at).unwrap_or_default()
    }
}
