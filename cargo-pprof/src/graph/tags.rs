//! What part of a node's values is of samples with the same labels.
//!
//! A large profile has millions of these: they are numbers as long as it is not known which are shown.

use std::collections::HashMap;

use super::{Node, NodeId};
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
    of_nodes: HashMap<(NodeId, u32, u32), u32, Hasher>,
    /// The rows of nodes in `sums`, and whose each row is.
    rows: Vec<u32>,
    row_nodes: Vec<NodeId>,
    /// For each of the first sets of labels, what each row has with its callees: nearly all that is added.
    sums: Vec<Vec<i64>>,
}

/// Sums of so many sets and nodes are kept in `sums`.
const MOST_SUMS: usize = 4 << 20;

type Hasher = foldhash::fast::RandomState;

/// Of a node that no sums are of.
const NO_ROW: u32 = u32::MAX;

/// In the place of the number of what has none.
const NO_NUMBER: u32 = u32::MAX;

/// The labels of a sample as tags have them.
#[derive(Clone, Debug)]
pub(super) struct SampleTags {
    labels: u32,
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
            of_nodes: HashMap::default(),
            rows: Vec::new(),
            row_nodes: Vec::new(),
            sums: Vec::new(),
        }
    }

    /// Says which of so many nodes parts are added of, so that there are sums: without it there are none, and all goes to the nodes one by one.
    pub(super) fn expect_nodes(&mut self, count: usize, is_kept: impl Fn(NodeId) -> bool) {
        self.row_nodes = (0..count as NodeId).filter(|id| is_kept(*id)).collect();
        self.rows = vec![NO_ROW; count];
        for (row, id) in (0..).zip(&self.row_nodes) {
            self.rows[*id as usize] = row;
        }
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
        tags: &mut Vec<Tag>,
        of: &SampleTags,
        flat: bool,
        (value, divisor): (i64, i64),
    ) {
        let set = of.labels as usize;
        let is_sum = !flat && divisor == 0 && set != 0 && of.numbers.is_empty();
        let rows = self.row_nodes.len();
        let row = self.rows.get(id as usize).copied().unwrap_or(NO_ROW);
        if is_sum && row != NO_ROW && set * rows < MOST_SUMS {
            if self.sums.len() <= set {
                self.sums.resize_with(set + 1, Vec::new);
            }
            let sums = &mut self.sums[set];
            if sums.is_empty() {
                sums.resize(rows, 0);
            }
            let sum = &mut sums[row as usize];
            *sum = sum.wrapping_add(value);
            return;
        }
        let mut add = |number: Option<(u32, i64)>| {
            let key = (id, of.labels, number.map_or(NO_NUMBER, |(number, _)| number));
            let place = *self.of_nodes.entry(key).or_insert_with(|| {
                tags.push(Tag {
                    labels: of.labels,
                    number: number.map(|(number, _)| number),
                    value: number.map_or(0, |(_, value)| value),
                    ..Tag::default()
                });
                tags.len() as u32 - 1
            });
            tags[place as usize].add(flat, value, divisor);
        };
        if of.labels != 0 {
            add(None);
        }
        of.numbers.iter().for_each(|number| add(Some(*number)));
    }

    /// Gives nodes what is theirs, but parts of which a sum is less than `least`, and says what tags are called.
    pub(super) fn finish(mut self, nodes: &mut [Node], least: i64) -> Names {
        for (labels, sums) in (0..).zip(std::mem::take(&mut self.sums)) {
            for (&id, sum) in self.row_nodes.iter().zip(sums).filter(|(_, sum)| *sum != 0) {
                let tags = &mut nodes[id as usize].links_mut().tags;
                if let Some(place) = self.of_nodes.get(&(id, labels, NO_NUMBER)) {
                    tags[*place as usize].add(false, sum, 0);
                } else if sum.wrapping_abs() >= least {
                    tags.push(Tag { labels, cum: sum, ..Tag::default() });
                }
            }
        }
        let in_order = |map: HashMap<String, u32>| {
            let mut names: Vec<(String, u32)> = map.into_iter().collect();
            names.sort_by_key(|(_, index)| *index);
            names.into_iter().map(|(name, _)| name).collect()
        };
        Names { labels: in_order(self.labels), numbers: in_order(self.numbers) }
    }
}
