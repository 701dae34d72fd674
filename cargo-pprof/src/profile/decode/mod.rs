//! `profile.proto`, read once and as it comes: samples go straight into their columns, and what they refer to, which may come later, is looked up
//! at the end.

mod samples;
mod wire;

use std::collections::HashMap;
use std::fmt;
use std::io::Read;

use super::{
    Function, Ids, Line, Location, Mapping, MappingIndex, Profile, Text, Texts, ValueType,
};
use samples::RawSamples;
use wire::{Field, fields, fields_of};

/// Why bytes are no profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// There are none.
    Empty,
    /// Two profiles, one after the other.
    Concatenated,
    /// Not the wire format, or an index that leads nowhere: it may be another format.
    Malformed(String),
    /// It is a profile, but one that contradicts itself.
    Invalid(String),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Empty => f.write_str("empty input file"),
            DecodeError::Concatenated => f.write_str("concatenated profiles detected"),
            DecodeError::Malformed(why) => write!(f, "malformed profile format: {why}"),
            DecodeError::Invalid(why) => write!(f, "malformed profile: {why}"),
        }
    }
}

impl std::error::Error for DecodeError {}

type Result<T> = std::result::Result<T, DecodeError>;

fn malformed<T>(why: impl Into<String>) -> Result<T> {
    Err(DecodeError::Malformed(why.into()))
}

fn invalid<T>(why: impl Into<String>) -> Result<T> {
    Err(DecodeError::Invalid(why.into()))
}

impl Profile {
    /// Reads a profile that is not compressed.
    ///
    /// # Errors
    /// It is none; says where it breaks the format or its own references.
    pub fn decode(bytes: &[u8]) -> Result<Profile> {
        if bytes.is_empty() {
            return Err(DecodeError::Empty);
        }
        let mut tables = Tables::default();
        fields(bytes, |number, field| tables.add(number, field))?;
        tables.resolve()
    }

    /// Reads a profile that is not compressed, of which no more is kept at a time than one of its parts.
    ///
    /// # Errors
    /// As `decode`; what cannot be read is malformed.
    pub fn decode_from(source: impl Read) -> Result<Profile> {
        let (mut tables, mut is_empty) = (Tables::default(), true);
        fields_of(source, |number, field| {
            is_empty = false;
            tables.add(number, field)
        })?;
        if is_empty { Err(DecodeError::Empty) } else { tables.resolve() }
    }
}

/// Indices of texts as they are in the file.
type Raw = i64;

/// What has been read. Mappings, locations, functions and labels are what they will be, as they would be too much to have twice; but until they are
/// resolved there are [`Numbers`] in the places of indices of mappings and functions, and [`Indices`] in those of texts.
#[derive(Default)]
struct Tables {
    sample_types: Vec<[Raw; 2]>,
    samples: RawSamples,
    mappings: Vec<Mapping>,
    locations: Vec<Location>,
    functions: Vec<Function>,
    mapping_texts: Indices,
    function_texts: Indices,
    /// Of what locations refer to.
    numbers: Numbers,
    location_ids: Ids,
    function_ids: Ids,
    mappings_by_id: ById,
    locations_by_id: ById,
    functions_by_id: ById,
    interned: Texts,
    /// Which of these each text of the file is.
    texts: Vec<Text>,
    frames: [Raw; 2],
    time_nanos: i64,
    duration_nanos: i64,
    period_type: [Raw; 2],
    period: i64,
    comments: Vec<Raw>,
    default_sample_type: Raw,
    doc_url: Raw,
}

/// Marks what takes more than 31 bits.
const LARGE: u32 = 1 << 31;

/// Ids in half their bits: those of most files are counted from one. Of others there are their places here, each time that they are named.
#[derive(Default)]
struct Numbers {
    large: Vec<u64>,
}

impl Numbers {
    #[inline]
    fn narrow(&mut self, id: u64) -> u32 {
        match u32::try_from(id) {
            Ok(small) if small < LARGE => small,
            _ => {
                let place = u32::try_from(self.large.len()).ok().filter(|place| *place < LARGE);
                self.large.push(id);
                place.expect("a file that names 2 billion large ids does not fit into memory")
                    | LARGE
            }
        }
    }

    #[inline]
    fn whole(&self, narrow: u32) -> u64 {
        match narrow.checked_sub(LARGE) {
            None => u64::from(narrow),
            Some(place) => self.large[place as usize],
        }
    }
}

/// Indices of texts in half their bits. Those that do not fit are wrong, as so many texts do not fit into memory. The first few are kept: what has one
/// of them is told, and what comes after that is not looked at. Labels that go with a sample that is cut off are wrong as well, but then the file
/// is refused for the sample.
#[derive(Default)]
struct Indices {
    wrong: Vec<Raw>,
}

/// Texts that one thing has at most.
const MOST_TEXTS: usize = 3;

impl Indices {
    #[inline]
    fn narrow(&mut self, raw: Raw) -> Text {
        match u32::try_from(raw) {
            Ok(small) if small < LARGE => Text(small),
            _ => {
                if self.wrong.len() < MOST_TEXTS {
                    self.wrong.push(raw);
                }
                Text((self.wrong.len() - 1) as u32 | LARGE)
            }
        }
    }

    /// Puts the text that is meant in the place of its index.
    #[inline]
    fn resolve(&self, text: &mut Text, texts: &[Text]) -> Result<()> {
        *text = match text.0.checked_sub(LARGE) {
            None => text_at(texts, text.0.into())?,
            Some(place) => return no_text(texts, self.wrong[place as usize]),
        };
        Ok(())
    }
}

/// Of what is shown as a list: small files may say the same thing a hundred million times.
const MOST_LISTED: usize = 1 << 20;

impl Tables {
    fn add(&mut self, number: u64, field: Field<'_>) -> Result<()> {
        match number {
            1 => {
                self.sample_types.push(value_type(field.bytes()?)?);
                if self.sample_types.len() > MOST_LISTED {
                    return invalid("there are more than a million sample types");
                }
            }
            2 => self.samples.add(field.bytes()?)?,
            3 => {
                let (mut mapping, texts) = mapping(field.bytes()?)?;
                if self.mappings_by_id.add(mapping.id, self.mappings.len()) {
                    let texts = texts.map(|raw| self.mapping_texts.narrow(raw));
                    [mapping.file, mapping.build_id] = texts;
                    self.mappings.push(mapping);
                }
            }
            4 => {
                let (id, location) = location(field.bytes()?, &mut self.numbers)?;
                let index = self.locations.len();
                if self.locations_by_id.add(id, index) {
                    self.location_ids.add(index, id);
                    self.locations.push(location);
                }
            }
            5 => {
                let (id, mut function, texts) = function(field.bytes()?)?;
                let index = self.functions.len();
                if self.functions_by_id.add(id, index) {
                    self.function_ids.add(index, id);
                    let texts = texts.map(|raw| self.function_texts.narrow(raw));
                    [function.name, function.system_name, function.filename] = texts;
                    self.functions.push(function);
                }
            }
            6 => {
                let text = field.bytes()?;
                if self.texts.is_empty() && !text.is_empty() {
                    return malformed("the first text is not empty");
                }
                self.texts.push(self.interned.intern(&String::from_utf8_lossy(text)));
            }
            7 => self.frames[0] = field.signed()?,
            8 => self.frames[1] = field.signed()?,
            9 if self.time_nanos != 0 => return Err(DecodeError::Concatenated),
            9 => self.time_nanos = field.signed()?,
            10 => self.duration_nanos = field.signed()?,
            11 => self.period_type = value_type(field.bytes()?)?,
            12 => self.period = field.signed()?,
            13 => {
                let comments = &mut self.comments;
                field.numbers(|n| {
                    if comments.len() <= MOST_LISTED {
                        comments.push(n.cast_signed());
                    }
                })?;
                if comments.len() > MOST_LISTED {
                    return invalid("there are more than a million comments");
                }
            }
            14 => self.default_sample_type = field.signed()?,
            15 => self.doc_url = field.signed()?,
            _ => {}
        }
        Ok(())
    }

    fn resolve(mut self) -> Result<Profile> {
        // What is free behind them is of no use to others. And glibc, once it has freed something that large, leaves holes where what comes later
        // grows: 1 MB of the peak of `-dot` on a profile of 5 MB.
        self.locations.shrink_to_fit();
        self.functions.shrink_to_fit();
        let texts = self.texts;
        let text = |raw| text_at(&texts, raw);
        let value_type = |[ty, unit]: [Raw; 2]| Ok(ValueType { ty: text(ty)?, unit: text(unit)? });
        let mut profile = Profile {
            texts: self.interned,
            sample_types: self.sample_types.into_iter().map(value_type).collect::<Result<_>>()?,
            default_sample_type: text(self.default_sample_type)?,
            comments: self.comments.into_iter().map(text).collect::<Result<_>>()?,
            doc_url: text(self.doc_url)?,
            drop_frames: text(self.frames[0])?,
            keep_frames: text(self.frames[1])?,
            time_nanos: self.time_nanos,
            duration_nanos: self.duration_nanos,
            period_type: value_type(self.period_type)?,
            period: self.period,
            ..Profile::default()
        };
        profile.mappings = self.mappings;
        for Mapping { file, build_id, .. } in &mut profile.mappings {
            for text in [file, build_id] {
                self.mapping_texts.resolve(text, &texts)?;
            }
        }
        profile.functions = self.functions;
        for Function { name, system_name, filename, .. } in &mut profile.functions {
            for text in [name, system_name, filename] {
                self.function_texts.resolve(text, &texts)?;
            }
        }
        self.mappings_by_id.check("mapping")?;
        self.functions_by_id.check("function")?;
        (profile.location_ids, profile.function_ids) = (self.location_ids, self.function_ids);
        profile.locations = self.locations;
        for (index, location) in profile.locations.iter_mut().enumerate() {
            let id_of = |narrow| self.numbers.whole(narrow);
            let mapping = location.mapping.get();
            let mapping = mapping.and_then(|id| self.mappings_by_id.get(id_of(id)));
            location.mapping = mapping.into();
            let mut all_exist = true;
            location.lines.rewrite(|line| {
                let function = self.functions_by_id.get(id_of(line.function));
                all_exist &= function.is_some();
                Line { function: function.unwrap_or(0), ..line }
            });
            if !all_exist {
                let id = profile.location_ids.get(index);
                return invalid(format!("location {id} has a line of no function"));
            }
        }
        self.locations_by_id.check("location")?;
        let width = profile.sample_types.len();
        profile.samples = self.samples.resolve(width, &self.locations_by_id, &texts)?;
        Ok(profile)
    }
}

fn text_at(texts: &[Text], raw: Raw) -> Result<Text> {
    match usize::try_from(raw).ok().and_then(|raw| texts.get(raw)) {
        Some(text) => Ok(*text),
        // A file without any text may still say that it has none.
        None => no_text(texts, raw),
    }
}

fn no_text<T>(texts: &[Text], raw: Raw) -> Result<T> {
    malformed(format!("there is no text {raw}: the string table has {}", texts.len()))
}

fn value_type(bytes: &[u8]) -> Result<[Raw; 2]> {
    let mut value_type = [0; 2];
    fields(bytes, |number, field| {
        match number {
            1 => value_type[0] = field.signed()?,
            2 => value_type[1] = field.signed()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(value_type)
}

fn mapping(bytes: &[u8]) -> Result<(Mapping, [Raw; 2])> {
    let (mut mapping, mut texts) = (Mapping::default(), [0; 2]);
    fields(bytes, |number, field| {
        match number {
            1 => mapping.id = field.number()?,
            2 => mapping.start = field.number()?,
            3 => mapping.limit = field.number()?,
            4 => mapping.offset = field.number()?,
            5 => texts[0] = field.signed()?,
            6 => texts[1] = field.signed()?,
            7 => mapping.has_functions = field.number()? != 0,
            8 => mapping.has_filenames = field.number()? != 0,
            9 => mapping.has_line_numbers = field.number()? != 0,
            10 => mapping.has_inline_frames = field.number()? != 0,
            _ => {}
        }
        Ok(())
    })?;
    Ok((mapping, texts))
}

/// An id and its location, with numbers in the places of what that refers to.
fn location(bytes: &[u8], numbers: &mut Numbers) -> Result<(u64, Location)> {
    let (mut id, mut location, mut mapping) = (0, Location::default(), 0);
    // Nearly all have one.
    let (mut first, mut others) = (None, Vec::new());
    fields(bytes, |number, field| {
        match number {
            1 => id = field.number()?,
            2 => mapping = field.number()?,
            3 => location.address = field.number()?,
            4 => {
                let (function, line) = line(field.bytes()?)?;
                let line = Line { function: numbers.narrow(function), ..line };
                if first.is_none() {
                    first = Some(line);
                } else {
                    others.extend(first.filter(|_| others.is_empty()));
                    others.push(line);
                }
            }
            5 => location.is_folded = field.number()? != 0,
            _ => {}
        }
        Ok(())
    })?;
    location.mapping = MappingIndex::at(numbers.narrow(mapping));
    location.lines = match first {
        Some(line) if others.is_empty() => line.into(),
        _ => others.into(),
    };
    Ok((id, location))
}

fn line(bytes: &[u8]) -> Result<(u64, Line)> {
    let (mut function, mut line) = (0, Line::default());
    fields(bytes, |number, field| {
        match number {
            1 => function = field.number()?,
            2 => line.line = field.signed()?,
            3 => line.column = field.signed()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((function, line))
}

fn function(bytes: &[u8]) -> Result<(u64, Function, [Raw; 3])> {
    let (mut id, mut function, mut texts) = (0, Function::default(), [0; 3]);
    fields(bytes, |number, field| {
        match number {
            1 => id = field.number()?,
            2 => texts[0] = field.signed()?,
            3 => texts[1] = field.signed()?,
            4 => texts[2] = field.signed()?,
            5 => function.start_line = field.signed()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((id, function, texts))
}

/// From ids to indices: ids are mostly those from 1 on.
#[derive(Default)]
struct ById {
    dense: Vec<u32>,
    sparse: HashMap<u64, u32>,
    /// The first that says nothing or is there twice.
    wrong: Option<u64>,
}

const NONE: u32 = u32::MAX;

impl ById {
    /// Whether it is one of its own: if not, what has it is not to be kept, as a file is small that has it a million times.
    fn add(&mut self, id: u64, index: usize) -> bool {
        if id == 0 || self.get(id).is_some() {
            self.wrong.get_or_insert(id);
            return false;
        }
        let near = 2 * index + 1024;
        match usize::try_from(id).ok().filter(|id| *id < near) {
            Some(id) => {
                if self.dense.len() <= id {
                    self.dense.resize(id + 1, NONE);
                }
                self.dense[id] = index as u32;
            }
            None => drop(self.sparse.insert(id, index as u32)),
        }
        true
    }

    fn check(&self, what: &str) -> Result<()> {
        match self.wrong {
            None => Ok(()),
            Some(0) => invalid(format!("a {what} has the id 0, which says that there is none")),
            Some(id) => invalid(format!("more than one {what} has the id {id}")),
        }
    }

    #[inline]
    fn get(&self, id: u64) -> Option<u32> {
        match usize::try_from(id).ok().and_then(|id| self.dense.get(id)) {
            Some(index) if *index != NONE => Some(*index),
            _ if self.sparse.is_empty() => None,
            _ => self.sparse.get(&id).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field of less than two million bytes.
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let len = content.len();
        let head = [number << 3 | 2, len as u8 | 0x80, (len >> 7) as u8 | 0x80, (len >> 14) as u8];
        [&head, content].concat()
    }

    fn varint(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    fn number(field: u8, value: u64) -> Vec<u8> {
        [vec![field << 3], varint(value)].concat()
    }

    /// With two texts, an empty one and `a`.
    fn decoded(fields: &[Vec<u8>]) -> Result<Profile> {
        let texts = [field(1, b""), field(6, b""), field(6, b"a")].concat();
        Profile::decode(&[texts, fields.concat()].concat())
    }

    #[test]
    fn what_locations_refer_to_is_found_whatever_its_id_is() {
        let ids = [1, (1 << 31) - 1, 1 << 31, u64::from(u32::MAX), 1 << 32, u64::MAX];
        // What is referred to comes last; the last location has all, and the one before is in no mapping.
        let line = |id: u64| field(4, &[number(1, id), number(2, id >> 8)].concat());
        let location = |id, mapping, lines: &[u64]| {
            let lines = lines.iter().flat_map(|id| line(*id)).collect();
            field(4, &[number(1, id), number(2, mapping), lines].concat())
        };
        let mut fields: Vec<_> = ids.iter().map(|id| location(*id, *id, &[*id])).collect();
        fields.push(location(5, 0, &[]));
        fields.push(location(6, 1, &ids));
        fields.extend(ids.map(|id| field(3, &number(1, id))));
        fields.extend(ids.map(|id| field(5, &number(1, id))));
        let profile = decoded(&fields).expect("valid");
        let found = |index: usize| {
            let location = &profile.locations[index];
            let lines =
                location.lines.iter().map(|line| (line.function, line.line.cast_unsigned()));
            (profile.location_ids.get(index), location.mapping.get(), lines.collect::<Vec<_>>())
        };
        let lines: Vec<_> = (0..).zip(ids.map(|id| id >> 8)).collect();
        for (index, id) in ids.iter().enumerate() {
            assert_eq!(found(index), (*id, Some(index as u32), vec![lines[index]]));
        }
        assert_eq!(found(6), (5, None, vec![]));
        assert_eq!(found(7), (6, Some(0), lines));
    }

    #[test]
    fn the_first_text_that_is_not_there_is_told() {
        let function =
            |id, name: i64| field(5, &[number(1, id), number(2, name.cast_unsigned())].concat());
        for wrong in [-1, 2, 1 << 31, (1 << 31) + 1, 1 << 32, i64::MIN] {
            let good = (1..4).map(|id| function(id, 1));
            let bad = (4..9).map(|id| function(id, wrong + i64::from(id > 4)));
            let Err(DecodeError::Malformed(why)) = decoded(&good.chain(bad).collect::<Vec<_>>())
            else {
                panic!("{wrong} is accepted")
            };
            assert_eq!(why, format!("there is no text {wrong}: the string table has 2"));
        }
    }

    #[test]
    fn what_is_listed_a_million_times_is_refused() {
        let comments = field(13, &vec![0; MOST_LISTED]);
        let few = [field(1, b""), field(6, b""), comments.clone()].concat();
        assert_eq!(Profile::decode(&few).expect("valid").comments.len(), MOST_LISTED);
        let many = [few, comments].concat();
        let Err(DecodeError::Invalid(why)) = Profile::decode(&many) else { panic!("accepted") };
        assert_eq!(why, "there are more than a million comments");
    }
}
