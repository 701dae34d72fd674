//! `profile.proto`, read in two passes over its bytes: the tables, which may come last, and then the samples, straight into their columns.

use std::collections::HashMap;
use std::fmt;

use super::{
    Function, Label, Line, Location, Mapping, Profile, Samples, Text, Texts, Value, ValueType,
};

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
        let tables = Tables::read(bytes)?;
        let (mut profile, texts) = tables.resolve()?;
        profile.samples = read_samples(bytes, &profile, &texts)?;
        Ok(profile)
    }
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
enum Field<'b> {
    Number(u64),
    Bytes(&'b [u8]),
    /// Of a kind that no field here has.
    Other,
}

impl<'b> Field<'b> {
    fn number(self) -> Result<u64> {
        match self {
            Field::Number(n) => Ok(n),
            _ => malformed("a field is no number"),
        }
    }

    fn signed(self) -> Result<i64> {
        self.number().map(u64::cast_signed)
    }

    fn bytes(self) -> Result<&'b [u8]> {
        match self {
            Field::Bytes(bytes) => Ok(bytes),
            _ => malformed("a field is no text and no message"),
        }
    }

    /// One number, or many in a row.
    fn numbers(self, mut each: impl FnMut(u64)) -> Result<()> {
        match self {
            Field::Number(n) => each(n),
            Field::Bytes(mut bytes) => {
                while !bytes.is_empty() {
                    each(varint(&mut bytes)?);
                }
            }
            Field::Other => return malformed("a field is no number"),
        }
        Ok(())
    }
}

#[inline]
fn varint(bytes: &mut &[u8]) -> Result<u64> {
    if let [first, rest @ ..] = bytes
        && *first < 0x80
    {
        *bytes = rest;
        return Ok(u64::from(*first));
    }
    let mut value = 0;
    for (i, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            *bytes = &bytes[i + 1..];
            return Ok(value);
        }
    }
    malformed("a number does not end")
}

/// Calls `each` with every field of a message and its number.
#[inline]
fn fields<'b>(
    mut bytes: &'b [u8],
    mut each: impl FnMut(u64, Field<'b>) -> Result<()>,
) -> Result<()> {
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let field = match key & 7 {
            0 => Field::Number(varint(&mut bytes)?),
            1 => take(&mut bytes, 8).map(|_| Field::Other)?,
            2 => {
                let len = varint(&mut bytes)?;
                Field::Bytes(take(&mut bytes, len)?)
            }
            5 => take(&mut bytes, 4).map(|_| Field::Other)?,
            other => return malformed(format!("unknown wire type {other}")),
        };
        each(key >> 3, field)?;
    }
    Ok(())
}

#[inline]
fn take<'b>(bytes: &mut &'b [u8], len: u64) -> Result<&'b [u8]> {
    match bytes.split_at_checked(usize::try_from(len).unwrap_or(usize::MAX)) {
        Some((taken, rest)) => {
            *bytes = rest;
            Ok(taken)
        }
        None => malformed("a field is longer than what it is in"),
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
struct Tables<'b> {
    sample_types: Vec<[Raw; 2]>,
    mappings: Vec<(Mapping, [Raw; 2])>,
    locations: Vec<RawLocation>,
    functions: Vec<(Function, [Raw; 3])>,
    texts: Vec<&'b [u8]>,
    frames: [Raw; 2],
    time_nanos: i64,
    duration_nanos: i64,
    period_type: [Raw; 2],
    period: i64,
    comments: Vec<Raw>,
    default_sample_type: Raw,
    doc_url: Raw,
}

impl<'b> Tables<'b> {
    fn read(bytes: &'b [u8]) -> Result<Tables<'b>> {
        let mut tables = Tables::default();
        fields(bytes, |number, field| {
            match number {
                1 => tables.sample_types.push(value_type(field.bytes()?)?),
                3 => tables.mappings.push(mapping(field.bytes()?)?),
                4 => tables.locations.push(location(field.bytes()?)?),
                5 => tables.functions.push(function(field.bytes()?)?),
                6 => {
                    let text = field.bytes()?;
                    if tables.texts.is_empty() && !text.is_empty() {
                        return malformed("the first text is not empty");
                    }
                    tables.texts.push(text);
                }
                7 => tables.frames[0] = field.signed()?,
                8 => tables.frames[1] = field.signed()?,
                9 if tables.time_nanos != 0 => return Err(DecodeError::Concatenated),
                9 => tables.time_nanos = field.signed()?,
                10 => tables.duration_nanos = field.signed()?,
                11 => tables.period_type = value_type(field.bytes()?)?,
                12 => tables.period = field.signed()?,
                13 => field.numbers(|n| tables.comments.push(n.cast_signed()))?,
                14 => tables.default_sample_type = field.signed()?,
                15 => tables.doc_url = field.signed()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(tables)
    }

    /// The profile without samples, and which of its texts is which of the file's.
    fn resolve(self) -> Result<(Profile, Vec<Text>)> {
        let mut interned = Texts::default();
        let texts: Vec<Text> =
            self.texts.iter().map(|t| interned.intern(&String::from_utf8_lossy(t))).collect();
        let text = |raw| text_at(&texts, raw);
        let value_type = |[ty, unit]: [Raw; 2]| Ok(ValueType { ty: text(ty)?, unit: text(unit)? });
        let mut profile = Profile {
            texts: interned,
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
        let mappings = Ids::of("mapping", profile.mappings.iter().map(|m| m.id))?;
        let functions = Ids::of("function", profile.functions.iter().map(|f| f.id))?;
        for RawLocation { mut location, mapping, lines } in self.locations {
            location.mapping = mappings.get(mapping);
            for (function, line) in lines {
                let Some(function) = functions.get(function) else {
                    let id = location.id;
                    return invalid(format!("location {id} has a line of no function"));
                };
                location.lines.push(Line { function, ..line });
            }
            profile.locations.push(location);
        }
        Ok((profile, texts))
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
            4 => lines.push(line(field.bytes()?)?),
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
struct Ids {
    dense: Vec<u32>,
    sparse: HashMap<u64, u32>,
}

const NONE: u32 = u32::MAX;

impl Ids {
    fn of(what: &str, ids: impl ExactSizeIterator<Item = u64>) -> Result<Ids> {
        let mut known = Ids { dense: vec![NONE; ids.len() + 1], sparse: HashMap::new() };
        for (index, id) in ids.enumerate() {
            if id == 0 {
                return invalid(format!("a {what} has the id 0, which says that there is none"));
            }
            let dense = usize::try_from(id).ok().and_then(|id| known.dense.get_mut(id));
            let before = match dense {
                Some(place) => std::mem::replace(place, index as u32) != NONE,
                None => known.sparse.insert(id, index as u32).is_some(),
            };
            if before {
                return invalid(format!("more than one {what} has the id {id}"));
            }
        }
        Ok(known)
    }

    #[inline]
    fn get(&self, id: u64) -> Option<u32> {
        match self.dense.get(id as usize) {
            Some(index) => Some(*index).filter(|index| *index != NONE),
            None => self.sparse.get(&id).copied(),
        }
    }
}

fn read_samples(bytes: &[u8], profile: &Profile, texts: &[Text]) -> Result<Samples> {
    let locations = Ids::of("location", profile.locations.iter().map(|l| l.id))?;
    let width = profile.sample_types.len();
    let mut samples = Samples::new(width);
    let (mut stack, mut values, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    fields(bytes, |number, field| {
        if number != 2 {
            return Ok(());
        }
        stack.clear();
        values.clear();
        labels.clear();
        let mut is_whole = true;
        fields(field.bytes()?, |number, field| {
            match number {
                1 => field.numbers(|id| match locations.get(id) {
                    Some(index) => stack.push(index),
                    None => is_whole = false,
                })?,
                2 => field.numbers(|value| values.push(value.cast_signed()))?,
                3 => labels.extend(label(field.bytes()?, texts)?),
                _ => {}
            }
            Ok(())
        })?;
        if width == 0 {
            return invalid("there are samples, but no sample types");
        }
        if values.len() != width {
            let len = values.len();
            return invalid(format!("a sample has {len} values where there are {width} types"));
        }
        if !is_whole {
            return invalid("a sample has a location that does not exist");
        }
        samples.push(stack.iter().copied(), &values, labels.iter().copied());
        Ok(())
    })?;
    Ok(samples)
}

fn label(bytes: &[u8], texts: &[Text]) -> Result<Option<Label>> {
    let (mut key, mut text, mut number, mut unit) = (0, 0, 0, 0);
    fields(bytes, |field_number, field| {
        match field_number {
            1 => key = field.signed()?,
            2 => text = field.signed()?,
            3 => number = field.signed()?,
            4 => unit = field.signed()?,
            _ => {}
        }
        Ok(())
    })?;
    let key = text_at(texts, key)?;
    Ok(if text != 0 {
        Some(Label { key, value: Value::Text(text_at(texts, text)?) })
    } else if number != 0 || unit != 0 {
        let unit = if unit == 0 { Text::EMPTY } else { text_at(texts, unit)? };
        Some(Label { key, value: Value::Number(number, unit) })
    } else {
        None
    })
}
