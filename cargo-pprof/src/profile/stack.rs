//! Stacks of samples, which most of a profile is: a frame takes two bytes as long as all of a column are small.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::iter::Copied;
use std::ops::Range;
use std::slice;

use super::samples::Column;

/// Indices of locations, leaf first.
#[derive(Clone, Copy)]
pub enum Stack<'s> {
    /// Of small indices.
    Narrow(&'s [u16]),
    /// Of all.
    Wide(&'s [u32]),
}

impl<'s> Stack<'s> {
    /// How many frames there are.
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            Stack::Narrow(frames) => frames.len(),
            Stack::Wide(frames) => frames.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The one at `at`, counted from the leaf.
    #[must_use]
    pub fn get(self, at: usize) -> Option<u32> {
        match self {
            Stack::Narrow(frames) => frames.get(at).map(|frame| u32::from(*frame)),
            Stack::Wide(frames) => frames.get(at).copied(),
        }
    }

    /// All, leaf first.
    #[must_use]
    pub fn iter(self) -> Frames<'s> {
        match self {
            Stack::Narrow(frames) => Frames::Narrow(frames.iter().copied()),
            Stack::Wide(frames) => Frames::Wide(frames.iter().copied()),
        }
    }
}

impl<'s> IntoIterator for Stack<'s> {
    type Item = u32;
    type IntoIter = Frames<'s>;

    fn into_iter(self) -> Frames<'s> {
        self.iter()
    }
}

impl fmt::Debug for Stack<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for Stack<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Stack::Narrow(one), Stack::Narrow(other)) => one == other,
            (Stack::Wide(one), Stack::Wide(other)) => one == other,
            _ => self.iter().eq(other.iter()),
        }
    }
}

impl Eq for Stack<'_> {}

impl Hash for Stack<'_> {
    /// Of equal stacks the same, however wide they are.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.len());
        let mut frames = self.iter();
        while let Some(frame) = frames.next() {
            let next = frames.next().unwrap_or_default();
            state.write_u64(u64::from(frame) | u64::from(next) << 32);
        }
    }
}

/// The frames of a [`Stack`].
#[derive(Clone, Debug)]
pub enum Frames<'s> {
    #[doc(hidden)]
    Narrow(Copied<slice::Iter<'s, u16>>),
    #[doc(hidden)]
    Wide(Copied<slice::Iter<'s, u32>>),
}

impl Iterator for Frames<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        match self {
            Frames::Narrow(frames) => frames.next().map(u32::from),
            Frames::Wide(frames) => frames.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Frames::Narrow(frames) => frames.size_hint(),
            Frames::Wide(frames) => frames.size_hint(),
        }
    }

    #[inline]
    fn fold<B, F: FnMut(B, u32) -> B>(self, init: B, mut f: F) -> B {
        match self {
            Frames::Narrow(frames) => frames.fold(init, |sum, frame| f(sum, u32::from(frame))),
            Frames::Wide(frames) => frames.fold(init, f),
        }
    }
}

impl DoubleEndedIterator for Frames<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<u32> {
        match self {
            Frames::Narrow(frames) => frames.next_back().map(u32::from),
            Frames::Wide(frames) => frames.next_back(),
        }
    }
}

impl ExactSizeIterator for Frames<'_> {}

/// The frames of many stacks, one after the other: narrow until one comes that is not.
#[derive(Clone, Debug)]
pub(super) enum FrameColumn {
    Narrow(Vec<u16>),
    Wide(Vec<u32>),
}

impl Default for FrameColumn {
    fn default() -> Self {
        FrameColumn::Narrow(Vec::new())
    }
}

impl FrameColumn {
    #[inline]
    pub(super) fn push(&mut self, frame: u32) {
        match self {
            FrameColumn::Narrow(frames) => match u16::try_from(frame) {
                Ok(frame) => frames.push(frame),
                Err(_) => {
                    // More is to come.
                    let spare = frames.capacity() - frames.len();
                    self.widen(spare, u32::from).push(frame);
                }
            },
            FrameColumn::Wide(frames) => frames.push(frame),
        }
    }

    pub(super) fn truncate(&mut self, len: usize) {
        match self {
            FrameColumn::Narrow(frames) => frames.truncate(len),
            FrameColumn::Wide(frames) => frames.truncate(len),
        }
    }

    /// Puts others in the places of these frames.
    pub(super) fn rewrite(&mut self, range: Range<usize>, mut other: impl FnMut(u32) -> u32) {
        for at in range {
            match self {
                FrameColumn::Narrow(frames) => {
                    let frame = other(u32::from(frames[at]));
                    match u16::try_from(frame) {
                        Ok(frame) => frames[at] = frame,
                        Err(_) => self.widen(0, u32::from)[at] = frame,
                    }
                }
                FrameColumn::Wide(frames) => frames[at] = other(frames[at]),
            }
        }
    }

    /// Makes it wide, with others in the places of what is there so far, and with so much room to spare.
    #[cold]
    pub(super) fn widen(&mut self, spare: usize, other: impl Fn(u16) -> u32) -> &mut Vec<u32> {
        if let FrameColumn::Narrow(frames) = self {
            let mut wide = Vec::with_capacity(frames.len() + spare);
            wide.extend(frames.iter().copied().map(other));
            *self = FrameColumn::Wide(wide);
        }
        match self {
            FrameColumn::Wide(frames) => frames,
            FrameColumn::Narrow(_) => unreachable!("it has just been made wide"),
        }
    }
}

impl Extend<u32> for FrameColumn {
    fn extend<I: IntoIterator<Item = u32>>(&mut self, frames: I) {
        frames.into_iter().for_each(|frame| self.push(frame));
    }
}

impl Column for FrameColumn {
    type Item = u32;
    type List<'c> = Stack<'c>;

    fn len(&self) -> usize {
        match self {
            FrameColumn::Narrow(frames) => frames.len(),
            FrameColumn::Wide(frames) => frames.len(),
        }
    }

    fn list(&self, range: Range<usize>) -> Stack<'_> {
        match self {
            FrameColumn::Narrow(frames) => Stack::Narrow(&frames[range]),
            FrameColumn::Wide(frames) => Stack::Wide(&frames[range]),
        }
    }

    fn retain(&mut self, range: Range<usize>, mut keep: impl FnMut(u32) -> bool) -> usize {
        match self {
            FrameColumn::Narrow(frames) => {
                Column::retain(frames, range, |frame| keep(u32::from(frame)))
            }
            FrameColumn::Wide(frames) => Column::retain(frames, range, keep),
        }
    }

    fn like(&self, capacity: usize) -> Self {
        match self {
            FrameColumn::Narrow(_) => FrameColumn::Narrow(Vec::with_capacity(capacity)),
            FrameColumn::Wide(_) => FrameColumn::Wide(Vec::with_capacity(capacity)),
        }
    }

    fn extend_from(&mut self, other: &Self, range: Range<usize>) {
        match (self, other.list(range)) {
            (FrameColumn::Narrow(frames), Stack::Narrow(other)) => frames.extend_from_slice(other),
            (FrameColumn::Wide(frames), Stack::Wide(other)) => frames.extend_from_slice(other),
            (column, other) => column.extend(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasher;

    fn column(frames: &[u32]) -> FrameColumn {
        let mut column = FrameColumn::default();
        column.extend(frames.iter().copied());
        column
    }

    #[test]
    fn is_wide_from_the_first_large_frame_on_and_loses_nothing() {
        let mut frames: Vec<u32> = (0..10).chain([65_535]).collect();
        let mut narrow = column(&frames);
        assert!(matches!(narrow, FrameColumn::Narrow(_)));
        narrow.push(65_536);
        frames.push(65_536);
        assert!(matches!(narrow, FrameColumn::Wide(_)));
        assert_eq!(narrow.list(0..12).iter().collect::<Vec<_>>(), frames);
        assert_eq!(narrow.list(0..12).iter().rev().collect::<Vec<_>>().last(), Some(&0));
    }

    #[test]
    fn others_are_put_in_the_places_of_some_though_they_are_larger() {
        let mut frames = column(&[1, 2, 3, 4, 5]);
        frames.rewrite(1..4, |frame| if frame == 2 { 20 } else { frame * 100_000 });
        assert_eq!(frames.list(0..5), Stack::Wide(&[1, 20, 300_000, 400_000, 5]));
        assert_eq!(frames.retain(0..4, |frame| frame > 10), 3);
        assert_eq!(frames.list(0..3), Stack::Wide(&[20, 300_000, 400_000]));
    }

    #[test]
    fn equal_stacks_are_equal_and_hash_so_however_wide() {
        let hasher = foldhash::fast::RandomState::default();
        for len in 0..6 {
            let wide: Vec<u32> = (0..len).collect();
            let narrow: Vec<u16> = (0..len as u16).collect();
            let (wide, narrow) = (Stack::Wide(&wide), Stack::Narrow(&narrow));
            assert_eq!(wide, narrow);
            assert_eq!(hasher.hash_one(wide), hasher.hash_one(narrow));
            let longer: Vec<u32> = (0..=len).collect();
            assert_ne!(Stack::Wide(&longer), narrow);
        }
    }
}
