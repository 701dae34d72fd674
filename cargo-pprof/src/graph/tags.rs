//! What part of a node's values is of samples with the same labels.

use std::collections::BTreeMap;

use crate::profile::{Label, Texts, Value};

/// Samples with the same labels, or numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tag {
    /// As printed.
    pub name: String,
    /// Of the number.
    pub unit: String,
    /// The number.
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
}

/// The tags of a node.
#[derive(Clone, Debug, Default)]
pub struct Tags {
    /// By text labels, all of a sample joined.
    pub labels: BTreeMap<String, Tag>,
    /// By numbers as printed, of samples with those text labels.
    pub numbers: BTreeMap<String, BTreeMap<String, Tag>>,
}

/// The labels of a sample as tags have them.
#[derive(Debug)]
pub(super) struct SampleTags {
    joined: String,
    /// Number, unit and as printed.
    numbers: Vec<(i64, String, String)>,
}

impl SampleTags {
    /// Of the labels of a sample; numbers of the key `bytes` alone, in `unit`, as `format` prints them.
    pub(super) fn new(
        labels: &[Label],
        texts: &Texts,
        unit: &str,
        format: impl Fn(i64, &str) -> String,
    ) -> SampleTags {
        let mut pairs = Vec::new();
        let mut numbers = Vec::new();
        for label in labels {
            let key = texts.get(label.key);
            match label.value {
                Value::Text(_) if key == "pprof::base" => {}
                Value::Text(text) => pairs.push(format!("{key}:{}", texts.get(text))),
                Value::Number(number, _) if key == "bytes" => {
                    numbers.push((number, unit.to_owned(), format(number, unit)));
                }
                Value::Number(..) => {}
            }
        }
        pairs.sort();
        SampleTags { joined: pairs.join(r"\n"), numbers }
    }
}

impl Tags {
    pub(super) fn add(&mut self, sample: &SampleTags, flat: bool, value: i64, divisor: i64) {
        if !sample.joined.is_empty() {
            let tag = self.labels.entry(sample.joined.clone());
            let new = || Tag { name: sample.joined.clone(), ..Tag::default() };
            tag.or_insert_with(new).add(flat, value, divisor);
        }
        if sample.numbers.is_empty() {
            return;
        }
        let numbers = self.numbers.entry(sample.joined.clone()).or_default();
        for (number, unit, text) in &sample.numbers {
            let new =
                || Tag { name: text.clone(), unit: unit.clone(), value: *number, ..Tag::default() };
            numbers.entry(text.clone()).or_insert_with(new).add(flat, value, divisor);
        }
    }

    pub(super) fn trim(&mut self, cutoff: i64) {
        let keep = |_: &String, tag: &mut Tag| {
            tag.flat.wrapping_abs() >= cutoff || tag.cum.wrapping_abs() >= cutoff
        };
        self.labels.retain(keep);
        self.numbers.values_mut().for_each(|numbers| numbers.retain(keep));
    }

    /// How many would be drawn of a node that has callees.
    pub(super) fn count(&self) -> usize {
        let numbers = self.numbers.values().flat_map(BTreeMap::values);
        self.labels.values().chain(numbers).filter(|tag| tag.flat != 0).count()
    }
}

/// Heaviest first.
pub fn sort(tags: &mut [&Tag], by_flat: bool) {
    tags.sort_by(|a, b| {
        let by = |x: i64, y: i64| (y.wrapping_abs().cmp(&x.wrapping_abs())).then(y.cmp(&x));
        let cum = if by_flat { std::cmp::Ordering::Equal } else { by(a.cum, b.cum) };
        cum.then(by(a.flat, b.flat)).then_with(|| a.name.cmp(&b.name))
    });
}
