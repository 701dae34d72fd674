//! The message types, field by field as in `profile.proto`.
//!
//! String indices are `i64` as on the wire; index 0 is the empty string and means "not given". Ids are `u64`; id 0
//! means "none".

/// Samples with the code they were taken in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// What each value of a sample is; as many as every sample has values.
    pub sample_type: Vec<ValueType>,
    /// The samples, in no particular order.
    pub sample: Vec<Sample>,
    /// Loaded objects; the first is the main program.
    pub mapping: Vec<Mapping>,
    /// Addresses that samples refer to.
    pub location: Vec<Location>,
    /// Functions that locations refer to.
    pub function: Vec<Function>,
    /// Texts; the first is empty.
    pub string_table: Vec<String>,
    /// String index of a regular expression: frames matching it, and all below them, are dropped on display.
    pub drop_frames: i64,
    /// String index of a regular expression: frames matching it are kept in spite of `drop_frames`.
    pub keep_frames: i64,
    /// When the profile was taken, in nanoseconds since the Unix epoch.
    pub time_nanos: i64,
    /// The window it covers, in nanoseconds; 0 if it has none.
    pub duration_nanos: i64,
    /// What `period` counts.
    pub period_type: Option<ValueType>,
    /// Distance between sampled events.
    pub period: i64,
    /// String indices of free-form remarks.
    pub comment: Vec<i64>,
    /// String index of the sample type shown first; 0 for the last one.
    pub default_sample_type: i64,
    /// String index of a page about this kind of profile.
    pub doc_url: i64,
}

/// A type and its unit, as string indices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ValueType {
    /// What is measured: `cpu`, `contentions`.
    pub ty: i64,
    /// In what: `nanoseconds`, `count`.
    pub unit: i64,
}

/// A stack and its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Location ids, leaf first.
    pub location_id: Vec<u64>,
    /// One value for each sample type, in that order.
    pub value: Vec<i64>,
    /// Key/value pairs.
    pub label: Vec<Label>,
}

/// A key with a text or a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Label {
    /// String index.
    pub key: i64,
    /// String index of a text; 0 if the value is a number.
    pub str: i64,
    /// The number, if `str` is 0.
    pub num: i64,
    /// String index of the number's unit.
    pub num_unit: i64,
}

/// A range of addresses and the object loaded there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// Unique and not 0.
    pub id: u64,
    /// First address.
    pub memory_start: u64,
    /// End address, exclusive.
    pub memory_limit: u64,
    /// Offset in the file of `memory_start`.
    pub file_offset: u64,
    /// String index of the path.
    pub filename: i64,
    /// String index of the build id, in hexadecimal.
    pub build_id: i64,
    /// Whether function names were looked up.
    pub has_functions: bool,
    /// Whether file names were looked up.
    pub has_filenames: bool,
    /// Whether line numbers were looked up.
    pub has_line_numbers: bool,
    /// Whether inlined frames were looked up.
    pub has_inline_frames: bool,
}

/// An address and what is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// Unique and not 0.
    pub id: u64,
    /// The mapping it lies in; 0 if unknown.
    pub mapping_id: u64,
    /// The address, inside the instruction that was running or calling.
    pub address: u64,
    /// Inlined frames, innermost first; the last is the function that was not inlined.
    pub line: Vec<Line>,
    /// The linker merged several functions into this code.
    pub is_folded: bool,
}

/// A line of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Line {
    /// The function.
    pub function_id: u64,
    /// Line in the function's file; 0 if unknown.
    pub line: i64,
    /// Column; 0 if unknown.
    pub column: i64,
}

/// A function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Function {
    /// Unique and not 0.
    pub id: u64,
    /// String index of the name shown.
    pub name: i64,
    /// String index of the name the linker knows.
    pub system_name: i64,
    /// String index of the source file.
    pub filename: i64,
    /// Line of its declaration; 0 if unknown.
    pub start_line: i64,
}

impl Profile {
    /// The text at `index`; empty if there is none.
    #[must_use]
    pub fn string(&self, index: i64) -> &str {
        usize::try_from(index)
            .ok()
            .and_then(|i| self.string_table.get(i))
            .map_or("", String::as_str)
    }
}
