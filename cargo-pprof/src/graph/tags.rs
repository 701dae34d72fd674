//! What part of a node's values is of samples with the same labels.
//!
//! A large profile has millions of these: they are numbers as long as it is not known which are shown.

use std::collections::HashMap;

use super::NodeId;
use crate::measurement::scaled_label;
use crate::profile::{Label, Texts, Value};

/// Samples with the same labels, or numbers, of a node.
#[derive(Clone, Debug, Default)]
pub struct Tag {
    /// Index of the text labels, all of a sample joined, in `Names`.
    pub labels: u32,
    /// Index of the number as printed, if it is of one.
    pub number: Option<u32>,
    /// The first number that is printed so.
    pub value: i64,
    /// As of a node.
    pub flat: i64,
    /// As of a node.
    pub flat_div: i64,
    /// As of a node.
    pub cum: i64,
    /// As of a node.
    pub cum_div: i64,
}

impl Tag {
    /// `flat`, or its mean.
    #[must_use]
    pub fn flat_value(&self) -> i64 {
        super::mean(self.flat, self.flat_div)
    }

    /// `cum`, or its mean.
    #[must_use]
    pub fn cum_value(&self) -> i64 {
        super::mean(self.cum, self.cum_div)
    }

    fn add(&mut self, flat: bool, value: i64, divisor: i64) {
        let (sum, div) = if flat {
            (&mut self.flat, &mut self.flat_div)
        } else {
            (&mut self.cum, &mut self.cum_div)
        };
        *sum = sum.wrapping_add(value);
        *div = div.wrapping_add(divisor);
    }

    /// Whether it has so much of anything.
    pub(super) fn weighs(&self, cutoff: i64) -> bool {
        self.flat.wrapping_abs() >= cutoff || self.cum.wrapping_abs() >= cutoff
    }
}

/// What tags are called.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Text labels of samples, joined; the first is of those that have none.
    pub labels: Vec<String>,
    /// Numbers as printed.
    pub numbers: Vec<String>,
}

/// The tags of a graph that is being built.
pub(super) struct TagTable<'t> {
    texts: &'t Texts,
    /// Of numbers, those of the key `bytes` alone.
    unit: &'t str,
    /// In what they are printed.
    output_unit: &'t str,
    known: HashMap<Vec<Label>, SampleTags, Hasher>,
    labels: HashMap<String, u32>,
    numbers: HashMap<String, u32>,
    /// Parts that are no sums, of all nodes, and where each is.
    parts: Vec<(NodeId, Tag)>,
    places: HashMap<(NodeId, u32, u32), u32, Hasher>,
    /// What each node has with its callees of the labels that are looked at, which is nearly all that is added; and the nodes of which that is not
    /// zero, or was not.
    sums: Vec<i64>,
    summed: Vec<NodeId>,
}

type Hasher = foldhash::fast::RandomState;

/// In the place of the number of what has none.
const NO_NUMBER: u32 = u32::MAX;

/// The labels of a sample as tags have them.
#[derive(Clone, Debug)]
pub(super) struct SampleTags {
    pub(super) labels: u32,
    /// As printed, and the number.
    numbers: Vec<(u32, i64)>,
}

impl<'t> TagTable<'t> {
    pub(super) fn new(texts: &'t Texts, unit: &'t str, output_unit: &'t str) -> TagTable<'t> {
        TagTable {
            texts,
            unit,
            output_unit,
            known: HashMap::default(),
            labels: HashMap::from([(String::new(), 0)]),
            numbers: HashMap::new(),
            parts: Vec::new(),
            places: HashMap::default(),
            sums: Vec::new(),
            summed: Vec::new(),
        }
    }

    /// Says that there are so many nodes, and that what has the same labels is added in a row, with `end_labels` after each: without it there are no
    /// sums, and all goes to the nodes one by one.
    pub(super) fn expect_nodes(&mut self, count: usize) {
        self.sums = vec![0; count];
    }

    pub(super) fn of(&mut self, labels: &[Label]) -> SampleTags {
        if let Some(known) = self.known.get(labels) {
            return known.clone();
        }
        let (mut pairs, mut numbers) = (Vec::new(), Vec::new());
        for label in labels {
            let key = self.texts.get(label.key);
            match label.value {
                Value::Text(_) if key == "pprof::base" => {}
                Value::Text(text) => pairs.push(format!("{key}:{}", self.texts.get(text))),
                Value::Number(number, _) if key == "bytes" => {
                    let next = self.numbers.len() as u32;
                    let text = scaled_label(number, self.unit, self.output_unit);
                    numbers.push((*self.numbers.entry(text).or_insert(next), number));
                }
                Value::Number(..) => {}
            }
        }
        pairs.sort();
        let next = self.labels.len() as u32;
        let joined = *self.labels.entry(pairs.join(r"\n")).or_insert(next);
        let tags = SampleTags { labels: joined, numbers };
        self.known.insert(labels.to_vec(), tags.clone());
        tags
    }

    pub(super) fn add(
        &mut self,
        id: NodeId,
        of: &SampleTags,
        flat: bool,
        (value, divisor): (i64, i64),
    ) {
        let is_sum = !flat && divisor == 0 && of.labels != 0 && of.numbers.is_empty();
        if let Some(sum) = self.sums.get_mut(id as usize).filter(|_| is_sum) {
            if *sum == 0 {
                self.summed.push(id);
            }
            *sum = sum.wrapping_add(value);
            return;
        }
        let mut add = |number: Option<(u32, i64)>| {
            let key = (id, of.labels, number.map_or(NO_NUMBER, |(number, _)| number));
            let place = *self.places.entry(key).or_insert_with(|| {
                let tag = Tag {
                    labels: of.labels,
                    number: number.map(|(number, _)| number),
                    value: number.map_or(0, |(_, value)| value),
                    ..Tag::default()
                };
                self.parts.push((id, tag));
                self.parts.len() as u32 - 1
            });
            self.parts[place as usize].1.add(flat, value, divisor);
        };
        if of.labels != 0 {
            add(None);
        }
        of.numbers.iter().for_each(|number| add(Some(*number)));
    }

    /// Makes parts of sums, which are all of these labels, but of those that are less than `least`.
    pub(super) fn end_labels(&mut self, labels: u32, least: i64) {
        for id in self.summed.drain(..) {
            let sum = std::mem::take(&mut self.sums[id as usize]);
            if let Some(place) = self.places.get(&(id, labels, NO_NUMBER)) {
                self.parts[*place as usize].1.add(false, sum, 0);
            } else if sum != 0 && sum.wrapping_abs() >= least {
                self.parts.push((id, Tag { labels, cum: sum, ..Tag::default() }));
            }
        }
        // To clear it takes as long as it is large.
        let used = self.places.len();
        self.places.clear();
        self.places.shrink_to(2 * used);
    }

    /// All parts, those of a node together, and what tags are called.
    pub(super) fn finish(self) -> (Vec<(NodeId, Tag)>, Names) {
        let mut parts = self.parts;
        drop(self.places);
        parts.sort_by_key(|(id, _)| *id);
        let in_order = |map: HashMap<String, u32>| {
            let mut names: Vec<(String, u32)> = map.into_iter().collect();
            names.sort_by_key(|(_, index)| *index);
            names.into_iter().map(|(name, _)| name).collect()
        };
        (parts, Names { labels: in_order(self.labels), numbers: in_order(self.numbers) })
    }
}
