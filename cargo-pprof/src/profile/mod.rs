//! A profile as reports read it: what the wire format says with ids are indices here, and what samples hold lies in a few long vectors, so that a
//! million stacks are no million allocations.

mod aggregate;
mod decode;
mod encode;
mod foreign;
mod ids;
mod legacy;
mod lines;
mod mapping_index;
mod merge;
mod samples;
mod stack;
mod texts;

pub use aggregate::Granularity;
pub use decode::DecodeError;
pub(crate) use foreign::parse as parse_foreign;
pub use ids::Ids;
pub(crate) use legacy::parse as parse_legacy;
pub use lines::Lines;
pub use mapping_index::MappingIndex;
pub use merge::{make_compatible, merge, normalize, scale};
pub use samples::{Label, Sample, Samples, Value};
pub use stack::{Frames, Stack};
pub use texts::{Text, Texts};

/// What is measured, and in what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ValueType {
    /// `cpu`, `contentions`.
    pub ty: Text,
    /// `nanoseconds`, `count`.
    pub unit: Text,
}

/// An object and where it was loaded.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    /// As in the file; unique.
    pub id: u64,
    /// First address.
    pub start: u64,
    /// End address, exclusive.
    pub limit: u64,
    /// Offset in the file of `start`.
    pub offset: u64,
    /// Path of the object.
    pub file: Text,
    /// In hexadecimal.
    pub build_id: Text,
    /// Whether function names were looked up.
    pub has_functions: bool,
    /// Whether file names were looked up.
    pub has_filenames: bool,
    /// Whether lines were looked up.
    pub has_line_numbers: bool,
    /// Whether inlined frames were looked up.
    pub has_inline_frames: bool,
}

/// An address and what is known of it.
#[derive(Clone, Debug, Default)]
pub struct Location {
    /// Index of the mapping that it is in.
    pub mapping: MappingIndex,
    /// The address; zero where reports are not of addresses.
    pub address: u64,
    /// Innermost first.
    pub lines: Lines,
    /// Several functions are at this address.
    pub is_folded: bool,
}

/// A line of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Line {
    /// Index of the function.
    pub function: u32,
    /// Zero if unknown.
    pub line: i64,
    /// Zero if unknown.
    pub column: i64,
}

/// A function.
#[derive(Clone, Debug, Default)]
pub struct Function {
    /// As shown.
    pub name: Text,
    /// As linkers know it.
    pub system_name: Text,
    /// Source file.
    pub filename: Text,
    /// Line of the declaration; zero if unknown.
    pub start_line: i64,
}

/// Samples with the code that they were taken in.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// All texts.
    pub texts: Texts,
    /// What each value of a sample is.
    pub sample_types: Vec<ValueType>,
    /// The type that is shown if none is asked for; empty for the last one.
    pub default_sample_type: Text,
    /// In the file's order.
    pub samples: Samples,
    /// The main program first.
    pub mappings: Vec<Mapping>,
    /// In the file's order.
    pub locations: Vec<Location>,
    /// Of the locations.
    pub location_ids: Ids,
    /// In the file's order.
    pub functions: Vec<Function>,
    /// Of the functions.
    pub function_ids: Ids,
    /// Remarks.
    pub comments: Vec<Text>,
    /// A page on this kind of profile.
    pub doc_url: Text,
    /// Regular expression of frames that are dropped, with all below them.
    pub drop_frames: Text,
    /// Regular expression of frames that are not.
    pub keep_frames: Text,
    /// When it was taken, in nanoseconds since 1970; zero if unknown.
    pub time_nanos: i64,
    /// How long that took.
    pub duration_nanos: i64,
    /// What `period` is of.
    pub period_type: ValueType,
    /// Between two samples.
    pub period: i64,
}

impl Profile {
    /// The characters of a text.
    #[must_use]
    pub fn text(&self, text: Text) -> &str {
        self.texts.get(text)
    }

    /// The file of a location's mapping; empty if there is none.
    #[must_use]
    pub fn object_of(&self, location: &Location) -> Text {
        location.mapping.get().map_or(Text::EMPTY, |m| self.mappings[m as usize].file)
    }

    /// The index of the sample type with that name or number; of the default one if empty.
    ///
    /// # Errors
    /// There is none; says which there are.
    pub fn sample_index(&self, wanted: &str) -> Result<usize, String> {
        let names = || self.sample_types.iter().map(|t| self.text(t.ty));
        let last = self.sample_types.len().saturating_sub(1);
        if wanted.is_empty() {
            let default = self.text(self.default_sample_type);
            let named = names().position(|name| name == default).filter(|_| !default.is_empty());
            return Ok(named.unwrap_or(last));
        }
        if let Ok(index) = wanted.parse::<i64>() {
            return match usize::try_from(index) {
                Ok(index) if index <= last => Ok(index),
                _ => Err(format!("sample_index {wanted} is outside the range [0..{last}]")),
            };
        }
        // Profiles of older programs have `space` and `objects`.
        let short = wanted.strip_prefix("inuse_").unwrap_or(wanted);
        names().position(|name| name == wanted || name == short).ok_or_else(|| {
            let names: Vec<&str> = names().collect();
            format!("sample_index {wanted:?} must be one of: [{}]", names.join(" "))
        })
    }
}
