//! Stacks as other tools write them: text, told from each other by its first lines.

mod dhat;
mod folded;
mod perf;

use std::collections::HashMap;

use super::{Function, Label, Line, Location, Mapping, Profile, Samples, Text, ValueType};

/// The profile that some text is; nothing if it is in none of these formats.
///
/// # Errors
/// It begins like one, and goes on otherwise.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Profile>, String> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(None) };
    if dhat::begins(text) {
        return dhat::parse(text).map(Some);
    }
    if perf::begins(text) {
        return perf::parse(text).map(Some);
    }
    if folded::begins(text) {
        return folded::parse(text).map(Some);
    }
    Ok(None)
}

/// A profile in the making, each location once.
struct Draft {
    profile: Profile,
    functions: HashMap<(Text, Text), u32>,
    mappings: HashMap<Text, u32>,
    locations: HashMap<(u64, Option<Line>, Option<u32>), u32>,
}

impl Draft {
    fn new(sample_types: &[(&str, &str)]) -> Draft {
        let mut profile = Profile::default();
        let texts = &mut profile.texts;
        let value_type = |(ty, unit): &(&str, &str)| ValueType {
            ty: texts.intern(ty),
            unit: texts.intern(unit),
        };
        profile.sample_types = sample_types.iter().map(value_type).collect();
        profile.samples = Samples::new(sample_types.len());
        Draft {
            profile,
            functions: HashMap::new(),
            mappings: HashMap::new(),
            locations: HashMap::new(),
        }
    }

    /// The location of a function, if one is known, at an address of an object.
    fn location(&mut self, address: u64, function: &str, object: &str) -> u32 {
        let line = (!function.is_empty()).then(|| self.line_of(function, "", 0));
        let Draft { profile, mappings, .. } = self;
        let mapping = (!object.is_empty()).then(|| {
            let file = profile.texts.intern(object);
            *mappings.entry(file).or_insert_with(|| {
                let id = profile.mappings.len() as u64 + 1;
                profile.mappings.push(Mapping {
                    id,
                    file,
                    has_functions: true,
                    ..Mapping::default()
                });
                profile.mappings.len() as u32 - 1
            })
        });
        self.place(address, line, mapping)
    }

    /// The location of a line of a function's file.
    fn line(&mut self, address: u64, function: &str, file: &str, line: i64) -> u32 {
        let line = self.line_of(function, file, line);
        self.place(address, Some(line), None)
    }

    fn line_of(&mut self, function: &str, file: &str, line: i64) -> Line {
        let Draft { profile, functions, .. } = self;
        let name = profile.texts.intern(function);
        let filename = profile.texts.intern(file);
        let function = *functions.entry((name, filename)).or_insert_with(|| {
            let (system_name, start_line) = (name, 0);
            profile.functions.push(Function { name, system_name, filename, start_line });
            profile.functions.len() as u32 - 1
        });
        Line { function, line, column: 0 }
    }

    fn place(&mut self, address: u64, line: Option<Line>, mapping: Option<u32>) -> u32 {
        let Draft { profile, locations, .. } = self;
        *locations.entry((address, line, mapping)).or_insert_with(|| {
            profile.locations.push(Location {
                mapping: mapping.into(),
                address,
                lines: line.into_iter().collect(),
                is_folded: false,
            });
            profile.locations.len() as u32 - 1
        })
    }

    fn sample(&mut self, stack: &[u32], values: &[i64], labels: Vec<Label>) {
        self.profile.samples.push(stack.iter().copied(), values, labels);
    }
}
