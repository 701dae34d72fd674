//! Labels as frames.

use std::collections::HashMap;

use crate::measurement::scaled_label;
use crate::profile::{Function, Line, Location, Profile, Sample, Samples, Text, Value};

/// Adds a frame for each key of `roots` at the root and of `leaves` at the leaf, the first one next to the root: with the values as its function
/// and the key as its file. Whether any sample has a key of `roots`, and of `leaves`.
pub fn add_tag_frames(
    profile: &mut Profile,
    roots: &[String],
    leaves: &[String],
    unit: &str,
) -> (bool, bool) {
    if roots.is_empty() && leaves.is_empty() {
        return (true, true);
    }
    let mut frames = Frames::default();
    let samples = std::mem::take(&mut profile.samples);
    let mut with_frames = Samples::new(profile.sample_types.len());
    let (mut any_root, mut any_leaf) = (false, false);
    for sample in samples.iter() {
        let mut add = |keys: &[String], any: &mut bool| {
            let frame = |key: &String| {
                let values = values(profile, sample, key, unit);
                *any |= !values.is_empty();
                frames.get(profile, &values.join(","), key)
            };
            keys.iter().rev().map(frame).collect::<Vec<u32>>()
        };
        // Those at the root have the smaller ids, as in the reference.
        let roots = add(roots, &mut any_root);
        let mut stack = add(leaves, &mut any_leaf);
        stack.extend(sample.stack);
        stack.extend(roots);
        with_frames.push(stack, sample.values, sample.labels.iter().copied());
    }
    profile.samples = with_frames;
    (any_root || roots.is_empty(), any_leaf || leaves.is_empty())
}

/// The texts of a key, and then its numbers.
fn values(profile: &Profile, sample: Sample<'_>, key: &str, unit: &str) -> Vec<String> {
    let labels = || sample.labels.iter().filter(|label| profile.text(label.key) == key);
    let texts = labels().filter_map(|label| match label.value {
        Value::Text(text) => Some(profile.text(text).to_owned()),
        Value::Number(..) => None,
    });
    let numbers = labels().filter_map(|label| match label.value {
        Value::Number(number, unit) => Some((number, unit)),
        Value::Text(_) => None,
    });
    let has_units = numbers.clone().any(|(_, unit)| !unit.is_empty());
    let formatted = numbers.map(|(number, from)| {
        let to = if has_units { unit } else { "" };
        scaled_label(number, profile.text(from), to)
    });
    texts.chain(formatted).collect()
}

#[derive(Default)]
struct Frames {
    known: HashMap<(Text, Text), u32>,
}

impl Frames {
    fn get(&mut self, profile: &mut Profile, name: &str, file: &str) -> u32 {
        let key = (profile.texts.intern(name), profile.texts.intern(file));
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let function = profile.functions.len() as u32;
        let (name, filename) = key;
        profile.function_ids.add_new(profile.functions.len());
        profile.functions.push(Function { name, filename, ..Function::default() });
        let line = Line { function, ..Line::default() };
        profile.location_ids.add_new(profile.locations.len());
        profile.locations.push(Location { lines: line.into(), ..Location::default() });
        let index = profile.locations.len() as u32 - 1;
        self.known.insert(key, index);
        index
    }
}
