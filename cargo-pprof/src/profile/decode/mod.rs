//! `profile.proto`, read once and as it comes: samples go straight into their columns, and what they refer to, which may come later, is looked up
//! at the end.

mod samples;
mod wire;

use std::collections::HashMap;
use std::fmt;
use std::io::Read;

use super::{Function, Line, Location, Mapping, Profile, Text, Texts, ValueType};
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

/// A location with ids where indices will be.
struct RawLocation {
    location: Location,
    mapping: u64,
    lines: Vec<(u64, Line)>,
}

#[derive(Default)]
struct Tables {
    sample_types: Vec<[Raw; 2]>,
    samples: RawSamples,
    mappings: Vec<(Mapping, [Raw; 2])>,
    locations: Vec<RawLocation>,
    functions: Vec<(Function, [Raw; 3])>,
    mapping_ids: Ids,
    location_ids: Ids,
    function_ids: Ids,
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
                let mapping = mapping(field.bytes()?)?;
                if self.mapping_ids.add(mapping.0.id, self.mappings.len()) {
                    self.mappings.push(mapping);
                }
            }
            4 => {
                let location = location(field.bytes()?)?;
                if self.location_ids.add(location.location.id, self.locations.len()) {
                    self.locations.push(location);
                }
            }
            5 => {
                let function = function(field.bytes()?)?;
                if self.function_ids.add(function.0.id, self.functions.len()) {
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

    fn resolve(self) -> Result<Profile> {
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
        for (mut mapping, [file, build_id]) in self.mappings {
            (mapping.file, mapping.build_id) = (text(file)?, text(build_id)?);
            profile.mappings.push(mapping);
        }
        for (mut function, [name, system_name, filename]) in self.functions {
            function.name = text(name)?;
            function.system_name = text(system_name)?;
            function.filename = text(filename)?;
            profile.functions.push(function);
        }
        self.mapping_ids.check("mapping")?;
        self.function_ids.check("function")?;
        for RawLocation { mut location, mapping, lines } in self.locations {
            location.mapping = self.mapping_ids.get(mapping);
            location.lines.reserve_exact(lines.len());
            for (function, line) in lines {
                let Some(function) = self.function_ids.get(function) else {
                    let id = location.id;
                    return invalid(format!("location {id} has a line of no function"));
                };
                location.lines.push(Line { function, ..line });
            }
            profile.locations.push(location);
        }
        self.location_ids.check("location")?;
        let width = profile.sample_types.len();
        profile.samples = self.samples.resolve(width, &self.location_ids, &texts)?;
        Ok(profile)
    }
}

fn text_at(texts: &[Text], raw: Raw) -> Result<Text> {
    match usize::try_from(raw).ok().and_then(|raw| texts.get(raw)) {
        Some(text) => Ok(*text),
        // A file without any text may still say that it has none.
        None => malformed(format!("there is no text {raw}: the string table has {}", texts.len())),
    }
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

fn location(bytes: &[u8]) -> Result<RawLocation> {
    let (mut location, mut mapping, mut lines) = (Location::default(), 0, Vec::new());
    fields(bytes, |number, field| {
        match number {
            1 => location.id = field.number()?,
            2 => mapping = field.number()?,
            3 => location.address = field.number()?,
            4 => {
                let line = line(field.bytes()?)?;
                // Most have one, and there are many.
                if lines.is_empty() {
                    lines.reserve_exact(1);
                }
                lines.push(line);
            }
            5 => location.is_folded = field.number()? != 0,
            _ => {}
        }
        Ok(())
    })?;
    Ok(RawLocation { location, mapping, lines })
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

fn function(bytes: &[u8]) -> Result<(Function, [Raw; 3])> {
    let (mut function, mut texts) = (Function::default(), [0; 3]);
    fields(bytes, |number, field| {
        match number {
            1 => function.id = field.number()?,
            2 => texts[0] = field.signed()?,
            3 => texts[1] = field.signed()?,
            4 => texts[2] = field.signed()?,
            5 => function.start_line = field.signed()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((function, texts))
}

/// From ids to indices: ids are mostly those from 1 on.
#[derive(Default)]
struct Ids {
    dense: Vec<u32>,
    sparse: HashMap<u64, u32>,
    /// The first that says nothing or is there twice.
    wrong: Option<u64>,
}

const NONE: u32 = u32::MAX;

impl Ids {
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
