//! Samples in columns.

use std::ops::Range;

use super::Text;
use super::stack::{FrameColumn, Stack};

/// Stacks, values and labels of all samples.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// Values of each sample.
    width: usize,
    values: Vec<i64>,
    stacks: Lists<FrameColumn>,
    labels: Lists<Vec<Label>>,
}

/// A list for each sample, one after the other in a few long columns: of profiles that are merged each has one, so that nothing is copied.
#[derive(Clone, Debug)]
struct Lists<C> {
    columns: Vec<C>,
    spans: Vec<Span>,
}

impl<C> Default for Lists<C> {
    fn default() -> Self {
        Lists { columns: Vec::new(), spans: Vec::new() }
    }
}

/// Where a list lies.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u64,
    len: u32,
    column: u32,
}

impl Span {
    fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }
}

/// What lists lie in.
pub(super) trait Column: Default + Extend<Self::Item> {
    type Item;
    type List<'c>
    where
        Self: 'c;

    fn len(&self) -> usize;

    fn list(&self, range: Range<usize>) -> Self::List<'_>;

    /// Leaves of a list what `keep` says, at its start; how many.
    fn retain(&mut self, range: Range<usize>, keep: impl FnMut(Self::Item) -> bool) -> usize;

    /// An empty one for the same, with room for so many.
    fn like(&self, capacity: usize) -> Self;

    /// Adds a list of another one.
    fn extend_from(&mut self, other: &Self, range: Range<usize>);
}

impl<T: Copy> Column for Vec<T> {
    type Item = T;
    type List<'c>
        = &'c [T]
    where
        T: 'c;

    fn len(&self) -> usize {
        self.len()
    }

    fn list(&self, range: Range<usize>) -> &[T] {
        &self[range]
    }

    fn retain(&mut self, range: Range<usize>, mut keep: impl FnMut(T) -> bool) -> usize {
        let list = &mut self[range];
        let mut left = 0;
        for from in 0..list.len() {
            if keep(list[from]) {
                list[left] = list[from];
                left += 1;
            }
        }
        left
    }

    fn like(&self, capacity: usize) -> Self {
        Vec::with_capacity(capacity)
    }

    fn extend_from(&mut self, other: &Self, range: Range<usize>) {
        self.extend_from_slice(&other[range]);
    }
}

impl<C: Column> Lists<C> {
    /// Those of this column, with so many in each.
    fn of(column: C, lengths: impl Iterator<Item = u32>) -> Self {
        let mut start = 0;
        let span = |len| {
            let span = Span { start, len, column: 0 };
            start += u64::from(len);
            span
        };
        Lists { spans: lengths.map(span).collect(), columns: vec![column] }
    }

    fn get(&self, index: usize) -> C::List<'_> {
        let span = self.spans[index];
        self.columns[span.column as usize].list(span.range())
    }

    /// The column of a list, and where in that it is.
    fn place(&mut self, index: usize) -> (&mut C, Range<usize>) {
        let span = self.spans[index];
        (&mut self.columns[span.column as usize], span.range())
    }

    fn push(&mut self, list: impl IntoIterator<Item = C::Item>) {
        if self.columns.is_empty() {
            self.columns.push(C::default());
        }
        let last = self.columns.len() - 1;
        let column = &mut self.columns[last];
        let start = column.len();
        column.extend(list);
        let len = (column.len() - start) as u32;
        self.spans.push(Span { start: start as u64, len, column: last as u32 });
    }

    /// Leaves of a list what `keep` says; how many.
    fn retain(&mut self, index: usize, keep: impl FnMut(C::Item) -> bool) -> usize {
        let (column, range) = self.place(index);
        let left = column.retain(range, keep);
        self.spans[index].len = left as u32;
        left
    }

    fn append(&mut self, mut other: Lists<C>) {
        let first = self.columns.len() as u32;
        self.columns.append(&mut other.columns);
        let moved = |span: Span| Span { column: span.column + first, ..span };
        self.spans.extend(other.spans.into_iter().map(moved));
    }

    /// Frees columns, from `column` on, of which less than half is in use. The lists from `first` on are in these, and no others.
    fn shrink(&mut self, first: usize, column: usize) {
        let (columns, spans) = (&mut self.columns[column..], &mut self.spans[first..]);
        let mut used = vec![0; columns.len()];
        for span in spans.iter() {
            used[span.column as usize - column] += span.len as usize;
        }
        let mut smaller: Vec<Option<C>> = columns
            .iter()
            .zip(used)
            .map(|(old, used)| (used < old.len() / 2).then(|| old.like(used)))
            .collect();
        for span in spans {
            let index = span.column as usize - column;
            if let Some(smaller) = &mut smaller[index] {
                let start = smaller.len() as u64;
                smaller.extend_from(&columns[index], span.range());
                span.start = start;
            }
        }
        for (old, smaller) in columns.iter_mut().zip(smaller) {
            if let Some(smaller) = smaller {
                *old = smaller;
            }
        }
    }
}

/// A key and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    /// The key.
    pub key: Text,
    /// The value.
    pub value: Value,
}

/// The value of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// Characters.
    Text(Text),
    /// A number, and its unit if one is given.
    Number(i64, Text),
}

/// One sample.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'s> {
    /// Where it was.
    pub stack: Stack<'s>,
    /// One for each sample type.
    pub values: &'s [i64],
    /// In the file's order, those with one key not always together.
    pub labels: &'s [Label],
}

impl Samples {
    /// None yet, of `width` values each.
    #[must_use]
    pub fn new(width: usize) -> Samples {
        Samples { width, ..Samples::default() }
    }

    /// Those whose columns these are, each with so many frames and labels.
    pub(super) fn of_columns(
        width: usize,
        values: Vec<i64>,
        frames: FrameColumn,
        labels: Vec<Label>,
        lengths: &[[u32; 2]],
    ) -> Samples {
        debug_assert_eq!(values.len(), width * lengths.len());
        Samples {
            width,
            values,
            stacks: Lists::of(frames, lengths.iter().map(|[frames, _]| *frames)),
            labels: Lists::of(labels, lengths.iter().map(|[_, labels]| *labels)),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stacks.spans.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Sample<'_> {
        Sample {
            stack: self.stacks.get(index),
            values: self.values_at(index),
            labels: self.labels.get(index),
        }
    }

    /// The values of the one at `index`.
    #[must_use]
    pub fn values_at(&self, index: usize) -> &[i64] {
        &self.values[index * self.width..][..self.width]
    }

    /// To be changed.
    pub fn values_mut(&mut self, index: usize) -> &mut [i64] {
        &mut self.values[index * self.width..][..self.width]
    }

    /// All, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Sample<'_>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Adds one; `values` are as many as there are types.
    pub fn push(
        &mut self,
        stack: impl IntoIterator<Item = u32>,
        values: &[i64],
        labels: impl IntoIterator<Item = Label>,
    ) {
        debug_assert_eq!(values.len(), self.width);
        self.stacks.push(stack);
        self.labels.push(labels);
        self.values.extend_from_slice(values);
    }

    /// Keeps those for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(Sample<'_>) -> bool) {
        let mut kept = 0;
        for index in 0..self.len() {
            if keep(self.get(index)) {
                self.put(kept, index);
                kept += 1;
            }
        }
        self.truncate(kept);
    }

    /// Puts other locations in the places of all, and changes labels where they are; both closures are handed `state`.
    pub fn rewrite<S>(
        &mut self,
        state: &mut S,
        mut location: impl FnMut(&mut S, u32) -> u32,
        mut labels: impl FnMut(&mut S, &mut [Label]),
    ) {
        for index in 0..self.len() {
            let (column, range) = self.stacks.place(index);
            column.rewrite(range, |frame| location(state, frame));
            let (column, range) = self.labels.place(index);
            labels(state, &mut column[range]);
        }
    }

    /// Takes others, whose stacks and labels stay where they are. One for which `find` gives another one before it is left out, and its values are
    /// added to that.
    pub fn absorb(
        &mut self,
        other: Samples,
        mut find: impl FnMut(&Samples, usize) -> Option<usize>,
    ) {
        debug_assert_eq!(self.width, other.width);
        let first = self.len();
        let columns = [self.stacks.columns.len(), self.labels.columns.len()];
        self.stacks.append(other.stacks);
        self.labels.append(other.labels);
        self.values.extend(other.values);
        let mut kept = first;
        for index in first..self.len() {
            self.put(kept, index);
            match find(self, kept) {
                Some(other) => self.add_values(other, kept),
                None => kept += 1,
            }
        }
        self.truncate(kept);
        self.stacks.shrink(first, columns[0]);
        self.labels.shrink(first, columns[1]);
    }

    fn add_values(&mut self, to: usize, from: usize) {
        for column in 0..self.width {
            let value = self.values[from * self.width + column];
            let sum = &mut self.values[to * self.width + column];
            *sum = sum.wrapping_add(value);
        }
    }

    /// Cuts each stack to the part that `part` gives; those for which it gives none are left out.
    pub fn cut(&mut self, mut part: impl FnMut(Stack<'_>) -> Option<Range<usize>>) {
        let mut kept = 0;
        for index in 0..self.len() {
            let span = self.stacks.spans[index];
            if let Some(part) = part(self.stacks.get(index)) {
                let start = span.start + part.start as u64;
                self.put(kept, index);
                self.stacks.spans[kept] =
                    Span { start, len: (part.end - part.start) as u32, ..span };
                kept += 1;
            }
        }
        self.truncate(kept);
    }

    /// Takes frames out of stacks; those that have none left then are left out.
    pub fn retain_frames(&mut self, keep: impl Fn(u32) -> bool) {
        let mut kept = 0;
        for index in 0..self.len() {
            if self.stacks.retain(index, &keep) > 0 {
                self.put(kept, index);
                kept += 1;
            }
        }
        self.truncate(kept);
    }

    /// Takes labels away.
    pub fn retain_labels(&mut self, mut keep: impl FnMut(&Label) -> bool) {
        for index in 0..self.len() {
            self.labels.retain(index, |label| keep(&label));
        }
    }

    /// Gives all of them a text label, in the place of those that they have of that key.
    pub fn set_label(&mut self, key: Text, value: Text) {
        let is_other = |label: &&Label| label.key != key || !matches!(label.value, Value::Text(_));
        let mut all = Lists::default();
        for index in 0..self.len() {
            let others = self.labels.get(index).iter().filter(is_other).copied();
            all.push(others.chain([Label { key, value: Value::Text(value) }]));
        }
        self.labels = all;
    }

    fn put(&mut self, to: usize, from: usize) {
        if to != from {
            self.stacks.spans[to] = self.stacks.spans[from];
            self.labels.spans[to] = self.labels.spans[from];
            let width = self.width;
            self.values.copy_within(from * width..(from + 1) * width, to * width);
        }
    }

    fn truncate(&mut self, len: usize) {
        self.stacks.spans.truncate(len);
        self.labels.spans.truncate(len);
        self.values.truncate(len * self.width);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(stacks: &[&[u32]]) -> Samples {
        let mut samples = Samples::new(1);
        for stack in stacks {
            let label = |key: &u32| Label {
                key: Text::EMPTY,
                value: Value::Number(i64::from(*key), Text::EMPTY),
            };
            samples.push(stack.iter().copied(), &[1], stack.iter().map(label));
        }
        samples
    }

    fn of_same_stack(samples: &Samples, index: usize) -> Option<usize> {
        let stack = samples.get(index).stack;
        (0..index).find(|other| samples.get(*other).stack == stack)
    }

    #[test]
    fn what_is_absorbed_is_added_to_what_is_there_or_stays() {
        let mut all = samples(&[&[1, 2], &[3]]);
        all.absorb(samples(&[&[3], &[4, 5], &[3], &[4, 5]]), of_same_stack);
        all.absorb(samples(&[&[6], &[1, 2]]), of_same_stack);
        all.push([7], &[1], []);
        let found: Vec<_> = all.iter().map(|sample| (sample.stack, sample.values[0])).collect();
        let expected = [(&[1, 2][..], 2), (&[3], 3), (&[4, 5], 2), (&[6], 1), (&[7], 1)];
        assert_eq!(found, expected.map(|(stack, value)| (Stack::Wide(stack), value)));
    }

    #[test]
    fn stacks_that_were_there_take_no_room() {
        let mut all = samples(&[]);
        for _ in 0..100 {
            all.absorb(samples(&[&[1, 2, 3], &[4, 5, 6], &[1, 2, 3]]), of_same_stack);
        }
        let frames: usize = all.stacks.columns.iter().map(Column::len).sum();
        let labels: usize = all.labels.columns.iter().map(Vec::len).sum();
        assert!(frames <= 9 && labels <= 9, "{frames} {labels}");
        assert_eq!(all.iter().map(|sample| sample.values[0]).collect::<Vec<_>>(), [200, 100]);
    }
}
