//! Samples in columns.

use std::ops::Range;

use super::Text;

/// Stacks, values and labels of all samples, one after the other. Of profiles that are merged each has a column of stacks: there may be more of them
/// than of all else, and they are not copied.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// Values of each sample.
    width: usize,
    values: Vec<i64>,
    /// Indices of locations, each stack in one of the columns, leaf first.
    columns: Vec<Vec<u32>>,
    stacks: Vec<Span>,
    labels: Vec<Label>,
    label_spans: Vec<Span>,
}

/// Where something of a sample lies.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u64,
    len: u32,
    /// Of a stack: which of the columns.
    column: u32,
}

impl Span {
    fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
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
    /// Indices of locations, leaf first.
    pub stack: &'s [u32],
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
        frames: Vec<u32>,
        labels: Vec<Label>,
        lengths: &[[u32; 2]],
    ) -> Samples {
        debug_assert_eq!(values.len(), width * lengths.len());
        let spans = |which: usize| {
            let mut start = 0;
            let span = move |lengths: &[u32; 2]| {
                let span = Span { start, len: lengths[which], column: 0 };
                start += u64::from(span.len);
                span
            };
            lengths.iter().map(span).collect()
        };
        let columns = vec![frames];
        Samples { width, values, columns, stacks: spans(0), labels, label_spans: spans(1) }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stacks.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stacks.is_empty()
    }

    /// The one at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Sample<'_> {
        Sample {
            stack: self.stack(self.stacks[index]),
            values: self.values_at(index),
            labels: &self.labels[self.label_spans[index].range()],
        }
    }

    fn stack(&self, span: Span) -> &[u32] {
        &self.columns[span.column as usize][span.range()]
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
        if self.columns.is_empty() {
            self.columns.push(Vec::new());
        }
        let column = self.columns.len() - 1;
        let frames = &mut self.columns[column];
        let (start, label_start) = (frames.len(), self.labels.len());
        frames.extend(stack);
        self.labels.extend(labels);
        self.values.extend_from_slice(values);
        self.stacks.push(span(start, frames.len(), column as u32));
        self.label_spans.push(span(label_start, self.labels.len(), 0));
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

    /// Changes locations and labels where they are.
    pub fn rewrite(&mut self, mut change: impl FnMut(&mut [u32], &mut [Label])) {
        for (stack, labels) in self.stacks.iter().zip(&self.label_spans) {
            let frames = &mut self.columns[stack.column as usize];
            change(&mut frames[stack.range()], &mut self.labels[labels.range()]);
        }
    }

    /// Takes others, whose stacks stay where they are. One for which `find` gives another one before it is left out, and its values are added to
    /// that.
    pub fn absorb(
        &mut self,
        other: Samples,
        mut find: impl FnMut(&Samples, usize) -> Option<usize>,
    ) {
        debug_assert_eq!(self.width, other.width);
        let (first, first_column) = (self.len(), self.columns.len());
        let first_label = self.labels.len() as u64;
        let of_column = |span: Span| Span { column: span.column + first_column as u32, ..span };
        let of_label = |span: Span| Span { start: span.start + first_label, ..span };
        self.columns.extend(other.columns);
        self.stacks.extend(other.stacks.into_iter().map(of_column));
        self.labels.extend(other.labels);
        self.label_spans.extend(other.label_spans.into_iter().map(of_label));
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
        self.shrink(first, first_column);
    }

    /// Frees columns, from `column` on, of which less than half is in use, by the samples from `first` on.
    fn shrink(&mut self, first: usize, column: usize) {
        let mut used = vec![0; self.columns.len()];
        for span in &self.stacks[first..] {
            used[span.column as usize] += span.len as usize;
        }
        let is_wasted = |index: usize| used[index] < self.columns[index].len() / 2;
        let wasted: Vec<usize> = (column..used.len()).filter(|index| is_wasted(*index)).collect();
        for index in wasted {
            let mut frames = Vec::with_capacity(used[index]);
            for span in self.stacks[first..].iter_mut() {
                if span.column as usize == index {
                    let start = frames.len();
                    frames.extend_from_slice(&self.columns[index][span.range()]);
                    span.start = start as u64;
                }
            }
            self.columns[index] = frames;
        }
    }

    fn add_values(&mut self, to: usize, from: usize) {
        for column in 0..self.width {
            let value = self.values[from * self.width + column];
            let sum = &mut self.values[to * self.width + column];
            *sum = sum.wrapping_add(value);
        }
    }

    /// Cuts each stack to the part that `part` gives; those for which it gives none are left out.
    pub fn cut(&mut self, mut part: impl FnMut(&[u32]) -> Option<Range<usize>>) {
        let mut kept = 0;
        for index in 0..self.len() {
            let span = self.stacks[index];
            if let Some(part) = part(self.stack(span)) {
                let start = span.start + part.start as u64;
                self.put(kept, index);
                self.stacks[kept] = Span { start, len: (part.end - part.start) as u32, ..span };
                kept += 1;
            }
        }
        self.truncate(kept);
    }

    /// Takes frames out of stacks; those that have none left then are left out.
    pub fn retain_frames(&mut self, keep: impl Fn(u32) -> bool) {
        let mut kept = 0;
        for index in 0..self.len() {
            let stack = self.stacks[index];
            let frames = &mut self.columns[stack.column as usize][stack.range()];
            let mut left = 0;
            for from in 0..frames.len() {
                if keep(frames[from]) {
                    frames[left] = frames[from];
                    left += 1;
                }
            }
            if left > 0 {
                self.put(kept, index);
                self.stacks[kept] = Span { len: left as u32, ..stack };
                kept += 1;
            }
        }
        self.truncate(kept);
    }

    /// Takes labels away.
    pub fn retain_labels(&mut self, mut keep: impl FnMut(&Label) -> bool) {
        for span in &mut self.label_spans {
            let range = span.range();
            let mut end = range.start;
            for from in range.clone() {
                if keep(&self.labels[from]) {
                    self.labels[end] = self.labels[from];
                    end += 1;
                }
            }
            span.len = (end - range.start) as u32;
        }
    }

    /// Gives all of them a text label, in the place of those that they have of that key.
    pub fn set_label(&mut self, key: Text, value: Text) {
        let is_other = |label: &&Label| label.key != key || !matches!(label.value, Value::Text(_));
        let mut labels = Vec::with_capacity(self.labels.len() + self.len());
        for span in &mut self.label_spans {
            let start = labels.len();
            labels.extend(self.labels[span.range()].iter().filter(is_other));
            labels.push(Label { key, value: Value::Text(value) });
            *span = self::span(start, labels.len(), 0);
        }
        self.labels = labels;
    }

    fn put(&mut self, to: usize, from: usize) {
        if to != from {
            self.stacks[to] = self.stacks[from];
            self.label_spans[to] = self.label_spans[from];
            let width = self.width;
            self.values.copy_within(from * width..(from + 1) * width, to * width);
        }
    }

    fn truncate(&mut self, len: usize) {
        self.stacks.truncate(len);
        self.label_spans.truncate(len);
        self.values.truncate(len * self.width);
    }
}

fn span(start: usize, end: usize, column: u32) -> Span {
    Span { start: start as u64, len: (end - start) as u32, column }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(stacks: &[&[u32]]) -> Samples {
        let mut samples = Samples::new(1);
        for stack in stacks {
            samples.push(stack.iter().copied(), &[1], []);
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
        assert_eq!(found, [(&[1, 2][..], 2), (&[3], 3), (&[4, 5], 2), (&[6], 1), (&[7], 1)]);
    }

    #[test]
    fn stacks_that_were_there_take_no_room() {
        let mut all = samples(&[]);
        for _ in 0..100 {
            all.absorb(samples(&[&[1, 2, 3], &[4, 5, 6], &[1, 2, 3]]), of_same_stack);
        }
        let frames: usize = all.columns.iter().map(Vec::len).sum();
        assert!(frames <= 9, "{frames}");
        assert_eq!(all.iter().map(|sample| sample.values[0]).collect::<Vec<_>>(), [200, 100]);
    }
}
