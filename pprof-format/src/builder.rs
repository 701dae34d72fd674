//! Building a profile: interning of texts, functions, locations, mappings and stacks.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, SystemTime};

use crate::error::Error;
use crate::model::{Function, Label, Line, Location, Mapping, Profile, Sample, ValueType};

/// A mapping of one [`Builder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MappingId(u64);

/// A function of one [`Builder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FunctionId(u64);

/// A location of one [`Builder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocationId(u64);

/// A range of addresses and the object loaded there.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewMapping<'a> {
    /// First address.
    pub start: u64,
    /// End address, exclusive.
    pub limit: u64,
    /// Offset of `start` in the file.
    pub offset: u64,
    /// Path of the file.
    pub filename: &'a str,
    /// Build id in hexadecimal; empty if there is none.
    pub build_id: &'a str,
    /// Function names were looked up for its locations.
    pub has_functions: bool,
    /// So were file names.
    pub has_filenames: bool,
    /// So were line numbers.
    pub has_line_numbers: bool,
    /// So were inlined frames.
    pub has_inline_frames: bool,
}

/// A function.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewFunction<'a> {
    /// The name shown.
    pub name: &'a str,
    /// The linker's name; empty for the same.
    pub system_name: &'a str,
    /// Source file; empty if unknown.
    pub filename: &'a str,
    /// Line of its declaration; 0 if unknown.
    pub start_line: i64,
}

/// A line of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NewLine {
    /// The function.
    pub function: FunctionId,
    /// Line in its file; 0 if unknown.
    pub line: i64,
    /// Column; 0 if unknown.
    pub column: i64,
}

/// A key/value pair on a sample.
#[derive(Clone, Copy, Debug)]
pub struct NewLabel<'a> {
    /// Not empty.
    pub key: &'a str,
    /// A text or a number.
    pub value: LabelValue<'a>,
}

/// The value of a label.
#[derive(Clone, Copy, Debug)]
pub enum LabelValue<'a> {
    /// A text.
    Str(&'a str),
    /// A number and its unit, which may be empty.
    Num(i64, &'a str),
}

/// Makes a [`Profile`], each distinct thing once; ids count from 1 in the order of first use.
#[derive(Debug)]
pub struct Builder {
    profile: Profile,
    strings: HashMap<String, i64>,
    mappings: HashMap<(u64, u64, u64, i64), u64>,
    functions: HashMap<(i64, i64, i64, i64), u64>,
    locations: HashMap<(u64, u64, Vec<Line>), u64>,
    samples: HashMap<(Vec<u64>, Vec<Label>), usize>,
    fault: Option<Error>,
}

impl Default for Builder {
    fn default() -> Self {
        Builder::new()
    }
}

impl Builder {
    /// An empty profile.
    #[must_use]
    pub fn new() -> Self {
        let mut builder = Builder {
            profile: Profile::default(),
            strings: HashMap::new(),
            mappings: HashMap::new(),
            functions: HashMap::new(),
            locations: HashMap::new(),
            samples: HashMap::new(),
            fault: None,
        };
        builder.string("");
        builder
    }

    fn string(&mut self, text: &str) -> i64 {
        if let Some(index) = self.strings.get(text) {
            return *index;
        }
        let index = self.profile.string_table.len() as i64;
        self.profile.string_table.push(text.to_owned());
        self.strings.insert(text.to_owned(), index);
        index
    }

    fn value_type(&mut self, ty: &str, unit: &str) -> ValueType {
        ValueType { ty: self.string(ty), unit: self.string(unit) }
    }

    /// Adds a sample type; samples have their values in the order of these calls.
    pub fn sample_type(&mut self, ty: &str, unit: &str) -> &mut Self {
        let value_type = self.value_type(ty, unit);
        self.profile.sample_type.push(value_type);
        self
    }

    /// Sets what one sample stands for.
    pub fn period(&mut self, ty: &str, unit: &str, period: i64) -> &mut Self {
        self.profile.period_type = Some(self.value_type(ty, unit));
        self.profile.period = period;
        self
    }

    /// Sets the sample type that readers show first.
    pub fn default_sample_type(&mut self, ty: &str) -> &mut Self {
        self.profile.default_sample_type = self.string(ty);
        self
    }

    /// Sets when the profile was taken.
    pub fn time(&mut self, time: SystemTime) -> &mut Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.profile.time_nanos = nanos(since);
        self
    }

    /// Sets the window covered.
    pub fn duration(&mut self, duration: Duration) -> &mut Self {
        self.profile.duration_nanos = nanos(duration);
        self
    }

    /// Adds a remark.
    pub fn comment(&mut self, text: &str) -> &mut Self {
        let index = self.string(text);
        self.profile.comment.push(index);
        self
    }

    /// The mapping of these addresses and file. What is known of it (`has_…`) is what the first call said.
    pub fn mapping(&mut self, new: &NewMapping<'_>) -> MappingId {
        let filename = self.string(new.filename);
        let build_id = self.string(new.build_id);
        let next = self.profile.mapping.len() as u64 + 1;
        let key = (new.start, new.limit, new.offset, filename);
        let id = *self.mappings.entry(key).or_insert(next);
        if id == next {
            self.profile.mapping.push(Mapping {
                id,
                memory_start: new.start,
                memory_limit: new.limit,
                file_offset: new.offset,
                filename,
                build_id,
                has_functions: new.has_functions,
                has_filenames: new.has_filenames,
                has_line_numbers: new.has_line_numbers,
                has_inline_frames: new.has_inline_frames,
            });
        }
        MappingId(id)
    }

    /// The function of that name, file and start line.
    pub fn function(&mut self, new: &NewFunction<'_>) -> FunctionId {
        let name = self.string(new.name);
        let system_name =
            if new.system_name.is_empty() { name } else { self.string(new.system_name) };
        let filename = self.string(new.filename);
        let next = self.profile.function.len() as u64 + 1;
        let key = (name, system_name, filename, new.start_line);
        let id = *self.functions.entry(key).or_insert(next);
        if id == next {
            let start_line = new.start_line;
            self.profile.function.push(Function { id, name, system_name, filename, start_line });
        }
        FunctionId(id)
    }

    /// The location of that address in that mapping with these lines, innermost first.
    pub fn location(
        &mut self,
        mapping: Option<MappingId>,
        address: u64,
        lines: &[NewLine],
    ) -> LocationId {
        let mapping_id = mapping.map_or(0, |m| m.0);
        let line: Vec<Line> = lines
            .iter()
            .map(|l| Line { function_id: l.function.0, line: l.line, column: l.column })
            .collect();
        let next = self.profile.location.len() as u64 + 1;
        let id = *self.locations.entry((mapping_id, address, line.clone())).or_insert(next);
        if id == next {
            self.profile.location.push(Location {
                id,
                mapping_id,
                address,
                line,
                is_folded: false,
            });
        }
        LocationId(id)
    }

    /// Adds values to the sample of this stack, leaf first, and these labels, in this order.
    ///
    /// A wrong number of values, and a label without a key, is reported by [`build`](Builder::build).
    pub fn sample(&mut self, stack: &[LocationId], values: &[i64], labels: &[NewLabel<'_>]) {
        let types = self.profile.sample_type.len();
        if values.len() != types {
            let n = values.len();
            self.fault.get_or_insert_with(|| {
                Error::invalid(format!(
                    "a sample has {n} values, but there are {types} sample types"
                ))
            });
            return;
        }
        let label: Vec<Label> = labels.iter().map(|l| self.label(l)).collect();
        let location_id: Vec<u64> = stack.iter().map(|l| l.0).collect();
        let next = self.profile.sample.len();
        let index = *self.samples.entry((location_id.clone(), label.clone())).or_insert(next);
        match self.profile.sample.get_mut(index) {
            Some(sample) => {
                for (sum, value) in sample.value.iter_mut().zip(values) {
                    *sum = sum.saturating_add(*value);
                }
            }
            None => self.profile.sample.push(Sample { location_id, value: values.to_vec(), label }),
        }
    }

    fn label(&mut self, new: &NewLabel<'_>) -> Label {
        if new.key.is_empty() {
            self.fault.get_or_insert_with(|| Error::invalid("a label has no key"));
        }
        let key = self.string(new.key);
        match new.value {
            LabelValue::Str(text) => Label { key, str: self.string(text), num: 0, num_unit: 0 },
            LabelValue::Num(num, unit) => Label { key, str: 0, num, num_unit: self.string(unit) },
        }
    }

    /// The profile.
    ///
    /// # Errors
    /// The first mistake made in building it: a wrong number of values, a label without a key, an id of another builder.
    pub fn build(self) -> Result<Profile, Error> {
        match self.fault {
            Some(fault) => Err(fault),
            None => {
                self.profile.validate_strict()?;
                Ok(self.profile)
            }
        }
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_things_are_one_and_equal_stacks_add_up() {
        let mut b = Builder::new();
        b.sample_type("samples", "count").sample_type("cpu", "nanoseconds");
        let f = NewFunction { name: "f", system_name: "_f", filename: "f.rs", start_line: 3 };
        let (f1, f2) = (b.function(&f), b.function(&f));
        assert_eq!(f1, f2);
        let m = b.mapping(&NewMapping {
            start: 16,
            limit: 32,
            filename: "/bin/x",
            ..Default::default()
        });
        let line = |line| [NewLine { function: f1, line, column: 0 }];
        let (a, c) = (b.location(Some(m), 20, &line(4)), b.location(Some(m), 24, &line(5)));
        assert_ne!(a, c);
        assert_eq!(a, b.location(Some(m), 20, &line(4)));
        let label = |v| [NewLabel { key: "k", value: LabelValue::Str(v) }];
        b.sample(&[a, c], &[1, 10], &[]);
        b.sample(&[a, c], &[2, 20], &[]);
        b.sample(&[a, c], &[4, 40], &label("v"));
        b.sample(&[c, a], &[8, 80], &label("w"));
        let p = b.build().unwrap();
        let values: Vec<_> = p.sample.iter().map(|s| s.value.clone()).collect();
        assert_eq!(values, [[3, 30], [4, 40], [8, 80]]);
        assert_eq!((p.function.len(), p.location.len(), p.mapping.len()), (1, 2, 1));
        p.validate_strict().unwrap();
    }

    #[test]
    fn mistakes_are_told_by_build() {
        let mut b = Builder::new();
        b.sample_type("samples", "count");
        b.sample(&[], &[1, 2], &[]);
        assert_eq!(
            b.build().unwrap_err().to_string(),
            "a sample has 2 values, but there are 1 sample types"
        );
        let mut b = Builder::new();
        b.sample_type("samples", "count");
        b.sample(&[LocationId(7)], &[1], &[]);
        assert!(b.build().unwrap_err().to_string().contains("location 7"));
    }
}
