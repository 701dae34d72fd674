//! Samples in columns.

use std::ops::Range;

use super::Text;

/// Stacks, values and labels of all samples, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// Values of each sample.
    width: usize,
    values: Vec<i64>,
    /// Indices of locations, leaf first.
    frames: Vec<u32>,
    stacks: Vec<Span>,
    labels: Vec<Label>,
    label_spans: Vec<Span>,
}

/// Where something of a sample lies.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u64,
    len: u32,
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
                let span = Span { start, len: lengths[which] };
                start += u64::from(span.len);
                span
            };
            lengths.iter().map(span).collect()
        };
        Samples { width, values, frames, stacks: spans(0), labels, label_spans: spans(1) }
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
            stack: &self.frames[self.stacks[index].range()],
            values: self.values_at(index),
            labels: &self.labels[self.label_spans[index].range()],
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
        let (start, label_start) = (self.frames.len(), self.labels.len());
        self.frames.extend(stack);
        self.labels.extend(labels);
        self.values.extend_from_slice(values);
        self.stacks.push(span(start, self.frames.len()));
        self.label_spans.push(span(label_start, self.labels.len()));
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

    /// Cuts each stack to the part that `part` gives; those for which it gives none are left out.
    pub fn cut(&mut self, mut part: impl FnMut(&[u32]) -> Option<Range<usize>>) {
        let mut kept = 0;
        for index in 0..self.len() {
            let span = self.stacks[index];
            if let Some(part) = part(&self.frames[span.range()]) {
                let start = span.start + part.start as u64;
                self.put(kept, index);
                self.stacks[kept] = Span { start, len: (part.end - part.start) as u32 };
                kept += 1;
            }
        }
        self.truncate(kept);
    }

    /// Takes frames out of stacks; those that have none left then are left out.
    pub fn retain_frames(&mut self, keep: impl Fn(u32) -> bool) {
        let mut kept = 0;
        for index in 0..self.len() {
            let range = self.stacks[index].range();
            let start = range.start;
            let mut end = start;
            for from in range {
                if keep(self.frames[from]) {
                    self.frames[end] = self.frames[from];
                    end += 1;
                }
            }
            if end > start {
                self.put(kept, index);
                self.stacks[kept] = span(start, end);
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
            *span = self::span(start, labels.len());
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

fn span(start: usize, end: usize) -> Span {
    Span { start: start as u64, len: (end - start) as u32 }
}
