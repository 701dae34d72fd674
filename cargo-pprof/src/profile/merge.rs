//! Many profiles made one.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash};
use std::mem;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::{
    Function, Label, Line, Location, Mapping, Profile, Sample, Samples, Text, Value, ValueType,
};
use crate::measurement;

/// Leaves in all of them those types of samples that all of them have, in the order of the first, and tells their values in the finest unit.
///
/// # Errors
/// There is no such type, or two of one name are in units that cannot be compared.
pub fn make_compatible(profiles: &mut [Profile]) -> Result<(), String> {
    let Some(first) = profiles.first() else { return Ok(()) };
    let mut counts: HashMap<String, usize> = HashMap::new();
    for profile in profiles.iter() {
        for value_type in &profile.sample_types {
            *counts.entry(profile.text(value_type.ty).to_owned()).or_default() += 1;
        }
    }
    let types = first.sample_types.iter().map(|t| first.text(t.ty).to_owned());
    let common: Vec<String> = types.filter(|t| counts.get(t) == Some(&profiles.len())).collect();
    if common.is_empty() {
        return Err("profiles have empty common sample type list".to_owned());
    }
    for profile in profiles.iter_mut() {
        select_types(profile, &common)?;
    }
    share_units(profiles)
}

fn select_types(profile: &mut Profile, wanted: &[String]) -> Result<(), String> {
    let find = |name: &String| {
        let found = profile.sample_types.iter().position(|t| profile.text(t.ty) == name);
        found.ok_or_else(|| format!("sample type {name:?} is not in the profile"))
    };
    let map = wanted.iter().map(find).collect::<Result<Vec<usize>, String>>()?;
    if map.len() == profile.sample_types.len() && map.iter().enumerate().all(|(i, m)| i == *m) {
        return Ok(());
    }
    let default = profile.text(profile.default_sample_type);
    if !wanted.iter().any(|name| name == default) {
        profile.default_sample_type = profile.texts.intern(&wanted[0]);
    }
    let types = map.iter().map(|&i| profile.sample_types[i]).collect();
    profile.sample_types = types;
    let mut samples = Samples::new(map.len());
    for Sample { stack, values, labels } in profile.samples.iter() {
        let values: Vec<i64> = map.iter().map(|&i| values[i]).collect();
        samples.push(stack, &values, labels.iter().copied());
    }
    profile.samples = samples;
    Ok(())
}

/// A type as texts.
type Named = (String, String);

fn named(profile: &Profile, value_type: ValueType) -> Named {
    (profile.text(value_type.ty).to_owned(), profile.text(value_type.unit).to_owned())
}

/// The finest of some types; none where there is nothing to compare.
fn finest(types: &[Named]) -> Result<Option<&Named>, String> {
    let [first, rest @ ..] = types else { return Ok(None) };
    if rest.is_empty() {
        return Ok(None);
    }
    let mut finest = first;
    for other in rest {
        let same = |name: &str| name.strip_suffix('s').unwrap_or(name).to_owned();
        if same(&finest.0) != same(&other.0) || !measurement::are_of_one_kind(&finest.1, &other.1) {
            let ((a, b), (c, d)) = (finest, other);
            return Err(format!("incompatible types: {a}/{b} and {c}/{d}"));
        }
        if measurement::scale(1, &other.1, &finest.1).0 < 1.0 {
            finest = other;
        }
    }
    Ok(Some(finest))
}

fn share_units(profiles: &mut [Profile]) -> Result<(), String> {
    let periods: Vec<Named> = profiles.iter().map(|p| named(p, p.period_type)).collect();
    let period = finest(&periods).map_err(|e| format!("period type: {e}"))?;
    let width = profiles.first().map_or(0, |p| p.sample_types.len());
    let columns: Vec<Vec<Named>> = (0..width)
        .map(|i| profiles.iter().map(|p| named(p, p.sample_types[i])).collect())
        .collect();
    let types = columns.iter().map(|column| finest(column)).collect::<Result<Vec<_>, _>>();
    let types = types.map_err(|e| format!("sample types: {e}"))?;
    for profile in profiles.iter_mut() {
        if let Some((_, unit)) = period {
            let from = profile.text(profile.period_type.unit).to_owned();
            profile.period = measurement::scale(profile.period, &from, unit).0 as i64;
            profile.period_type.unit = profile.texts.intern(unit);
        }
        let mut ratios = vec![1.0; width];
        for (i, wanted) in types.iter().enumerate() {
            if let Some((_, unit)) = wanted {
                let from = profile.text(profile.sample_types[i].unit).to_owned();
                ratios[i] = measurement::scale(1, &from, unit).0;
                profile.sample_types[i].unit = profile.texts.intern(unit);
            }
        }
        scale(profile, &ratios);
    }
    Ok(())
}

/// Multiplies the values of each type. Of those that are multiplied by another number than 1 a sample must have one that is not zero then.
pub fn scale(profile: &mut Profile, ratios: &[f64]) {
    if ratios.iter().all(|ratio| *ratio == 1.0) {
        return;
    }
    for index in 0..profile.samples.len() {
        for (value, ratio) in profile.samples.values_mut(index).iter_mut().zip(ratios) {
            if *ratio != 1.0 {
                *value = measurement::to_integer((*value as f64 * ratio).round());
            }
        }
    }
    profile.samples.retain(|sample| {
        sample.values.iter().zip(ratios).any(|(value, ratio)| *ratio != 1.0 && *value != 0)
    });
}

/// Multiplies the values of a profile so that the sum of each type is that of `base`.
///
/// # Errors
/// The profiles are not of the same types.
pub fn normalize(profile: &mut Profile, base: &Profile) -> Result<(), String> {
    check_same_types(profile, base)?;
    let sums = |profile: &Profile| {
        let mut sums = vec![0i64; profile.sample_types.len()];
        for sample in profile.samples.iter() {
            for (sum, value) in sums.iter_mut().zip(sample.values) {
                *sum = sum.wrapping_add(*value);
            }
        }
        sums
    };
    let ratios: Vec<f64> = sums(base)
        .iter()
        .zip(sums(profile))
        .map(|(base, own)| if own == 0 { 0.0 } else { *base as f64 / own as f64 })
        .collect();
    scale(profile, &ratios);
    Ok(())
}

fn check_same_types(one: &Profile, other: &Profile) -> Result<(), String> {
    let period = |p: &Profile| named(p, p.period_type);
    if period(one) != period(other) {
        let ((a, b), (c, d)) = (period(one), period(other));
        return Err(format!(
            "incompatible period types {a}/{b} and {c}/{d}: profiles of one kind can be merged and compared"
        ));
    }
    let types = |p: &Profile| p.sample_types.iter().map(|t| named(p, *t)).collect::<Vec<_>>();
    if types(one) != types(other) {
        return Err(format!("incompatible sample types {:?} and {:?}", types(one), types(other)));
    }
    Ok(())
}

/// One profile of all samples: those of one stack with the same labels are added up, what no sample refers to is left out.
///
/// # Errors
/// The profiles are not of the same types.
pub fn merge(profiles: Vec<Profile>) -> Result<Profile, String> {
    let [first, rest @ ..] = profiles.as_slice() else {
        return Err("no profiles to merge".to_owned());
    };
    for other in rest {
        check_same_types(first, other)?;
    }
    let mut merger = Merger { merged: headers(&profiles), ..Merger::default() };
    let most = profiles.iter().map(|profile| profile.samples.len()).max().unwrap_or(0);
    merger.samples.reserve(most, |_| 0);
    for profile in profiles {
        merger.add(profile);
    }
    let merged = merger.merged;
    if merged.samples.iter().any(|sample| is_zero(sample.values)) {
        return merge(vec![merged]);
    }
    Ok(merged)
}

fn is_zero(values: &[i64]) -> bool {
    values.iter().all(|value| *value == 0)
}

fn headers(profiles: &[Profile]) -> Profile {
    let mut merged = Profile::default();
    let mut comments = HashSet::new();
    for profile in profiles {
        if merged.time_nanos == 0 || profile.time_nanos < merged.time_nanos {
            merged.time_nanos = profile.time_nanos;
        }
        merged.duration_nanos = merged.duration_nanos.wrapping_add(profile.duration_nanos);
        if merged.period == 0 || merged.period < profile.period {
            merged.period = profile.period;
        }
        for comment in &profile.comments {
            let comment = merged.texts.intern(profile.text(*comment));
            if comments.insert(comment) {
                merged.comments.push(comment);
            }
        }
        if merged.default_sample_type.is_empty() {
            merged.default_sample_type =
                merged.texts.intern(profile.text(profile.default_sample_type));
        }
        if merged.doc_url.is_empty() {
            merged.doc_url = merged.texts.intern(profile.text(profile.doc_url));
        }
    }
    if let Some(first) = profiles.first() {
        let mut value_type = |t: &ValueType| ValueType {
            ty: merged.texts.intern(first.text(t.ty)),
            unit: merged.texts.intern(first.text(t.unit)),
        };
        let types = first.sample_types.iter().map(&mut value_type).collect();
        merged.period_type = value_type(&first.period_type);
        merged.sample_types = types;
        merged.drop_frames = merged.texts.intern(first.text(first.drop_frames));
        merged.keep_frames = merged.texts.intern(first.text(first.keep_frames));
        merged.samples = Samples::new(first.sample_types.len());
    }
    merged
}

type Hasher = foldhash::fast::RandomState;

#[derive(Default)]
struct Merger {
    merged: Profile,
    /// Indices of `merged.samples`, by stack and labels.
    samples: HashTable<u32>,
    /// Indices of `merged.locations`.
    locations: HashTable<u32>,
    functions: HashMap<FunctionKey, u32, Hasher>,
    mappings: HashMap<MappingKey, u32, Hasher>,
    hasher: Hasher,
}

/// Addresses of one mapping tell apart what their distances from its start do.
fn location_key(location: &Location) -> impl Hash + Eq {
    (location.address, location.mapping, &location.lines, location.is_folded)
}

type FunctionKey = (i64, Text, Text, Text);

/// Size in whole pages, offset, and build id or else file.
type MappingKey = (u64, u64, Text);

/// Where things of one profile are in the merged one.
struct Seen {
    texts: Vec<Option<Text>>,
    mappings: Vec<Option<u32>>,
    locations: Vec<Option<u32>>,
    functions: Vec<Option<u32>>,
}

impl Merger {
    fn add(&mut self, mut profile: Profile) {
        let mut samples = mem::take(&mut profile.samples);
        let mut seen = Seen {
            texts: vec![None; profile.texts.len()],
            mappings: vec![None; profile.mappings.len()],
            locations: vec![None; profile.locations.len()],
            functions: vec![None; profile.functions.len()],
        };
        // The first one is the main program, whichever is used first.
        if self.merged.mappings.is_empty() && !profile.mappings.is_empty() {
            self.mapping(&profile, &mut seen, 0);
        }
        samples.retain(|sample| !is_zero(sample.values));
        samples.rewrite(
            &mut (&mut *self, &mut seen),
            |(merger, seen), location| merger.location(&profile, seen, location),
            |(merger, seen), labels| {
                for label in &mut *labels {
                    *label = merger.label(&profile, seen, label);
                }
                labels.sort_by_key(|label| (matches!(label.value, Value::Number(..)), label.key));
            },
        );
        self.unite(samples);
    }

    fn unite(&mut self, samples: Samples) {
        let Merger { merged, samples: known, hasher, .. } = self;
        let hash = |samples: &Samples, index: usize| {
            let Sample { stack, labels, .. } = samples.get(index);
            hasher.hash_one((stack, labels))
        };
        merged.samples.absorb(samples, |samples, index| {
            let sample = samples.get(index);
            let is_same = |other: &u32| {
                let other = samples.get(*other as usize);
                other.stack == sample.stack && other.labels == sample.labels
            };
            let rehash = |other: &u32| hash(samples, *other as usize);
            match known.entry(hash(samples, index), is_same, rehash) {
                Entry::Occupied(other) => Some(*other.get() as usize),
                Entry::Vacant(place) => {
                    place.insert(index as u32);
                    None
                }
            }
        });
    }

    fn text(&mut self, profile: &Profile, seen: &mut Seen, text: Text) -> Text {
        let place = &mut seen.texts[text.index()];
        *place.get_or_insert_with(|| self.merged.texts.intern(profile.text(text)))
    }

    fn label(&mut self, profile: &Profile, seen: &mut Seen, label: &Label) -> Label {
        let value = match label.value {
            Value::Text(text) => Value::Text(self.text(profile, seen, text)),
            Value::Number(number, unit) => Value::Number(number, self.text(profile, seen, unit)),
        };
        Label { key: self.text(profile, seen, label.key), value }
    }

    #[inline]
    fn location(&mut self, profile: &Profile, seen: &mut Seen, index: u32) -> u32 {
        match seen.locations[index as usize] {
            Some(known) => known,
            None => self.new_location(profile, seen, index),
        }
    }

    fn new_location(&mut self, profile: &Profile, seen: &mut Seen, index: u32) -> u32 {
        let location = &profile.locations[index as usize];
        let mapping = location.mapping.get().map(|m| self.mapping(profile, seen, m as usize));
        // From there on, as where a mapping starts differs from process to process.
        let from_start = match location.mapping.get() {
            Some(m) => location.address.wrapping_sub(profile.mappings[m as usize].start),
            None => location.address,
        };
        let mut lines = location.lines.clone();
        lines.rewrite(|line| {
            let function = self.function(profile, seen, line.function);
            Line { function, ..line }
        });
        let Merger { merged: Profile { mappings, locations, .. }, hasher, .. } = self;
        let start = mapping.map_or(0, |m| mappings[m as usize].start);
        let next = locations.len() as u32;
        let new = Location {
            mapping: mapping.into(),
            address: from_start.wrapping_add(start),
            lines,
            is_folded: location.is_folded,
        };
        let is_same = |other: &u32| location_key(&locations[*other as usize]) == location_key(&new);
        let rehash = |other: &u32| hasher.hash_one(location_key(&locations[*other as usize]));
        let found = self.locations.entry(hasher.hash_one(location_key(&new)), is_same, rehash);
        let index_in_merged = match found {
            Entry::Occupied(other) => *other.get(),
            Entry::Vacant(place) => *place.insert(next).get(),
        };
        if index_in_merged == next {
            locations.push(new);
        }
        seen.locations[index as usize] = Some(index_in_merged);
        index_in_merged
    }

    fn function(&mut self, profile: &Profile, seen: &mut Seen, index: u32) -> u32 {
        if let Some(known) = seen.functions[index as usize] {
            return known;
        }
        let function = &profile.functions[index as usize];
        let name = self.text(profile, seen, function.name);
        let system_name = self.text(profile, seen, function.system_name);
        let filename = self.text(profile, seen, function.filename);
        let start_line = function.start_line;
        let functions = &mut self.merged.functions;
        let next = functions.len() as u32;
        let key = (start_line, name, system_name, filename);
        let index_in_merged = *self.functions.entry(key).or_insert_with(|| {
            functions.push(Function { name, system_name, filename, start_line });
            next
        });
        seen.functions[index as usize] = Some(index_in_merged);
        index_in_merged
    }

    fn mapping(&mut self, profile: &Profile, seen: &mut Seen, index: usize) -> u32 {
        if let Some(known) = seen.mappings[index] {
            return known;
        }
        const PAGE: u64 = 0x1000;
        let mapping = &profile.mappings[index];
        let file = self.text(profile, seen, mapping.file);
        let build_id = self.text(profile, seen, mapping.build_id);
        let size = mapping.limit.wrapping_sub(mapping.start).wrapping_add(PAGE - 1);
        let name = if build_id.is_empty() { file } else { build_id };
        let mappings = &mut self.merged.mappings;
        let next = mappings.len() as u32;
        let key = (size - size % PAGE, mapping.offset, name);
        let index_in_merged = *self.mappings.entry(key).or_insert_with(|| {
            mappings.push(Mapping { id: u64::from(next) + 1, file, build_id, ..mapping.clone() });
            next
        });
        seen.mappings[index] = Some(index_in_merged);
        index_in_merged
    }
}
