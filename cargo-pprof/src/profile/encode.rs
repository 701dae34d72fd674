//! `profile.proto`, written.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Ids, Profile, Sample, Text, Value, ValueType};

impl Profile {
    /// Writes the profile, compressed.
    ///
    /// # Errors
    /// The writer's.
    pub fn write(&self, writer: impl Write) -> io::Result<()> {
        // The best takes longer than all else, for a tenth less.
        let mut gzip = GzEncoder::new(writer, Compression::fast());
        self.write_plain(&mut gzip)?;
        gzip.finish()?.flush()
    }

    /// Writes the profile as it is.
    ///
    /// # Errors
    /// The writer's.
    pub fn write_plain(&self, mut writer: impl Write) -> io::Result<()> {
        let mut texts = Used::new(self);
        let mut buffer = Vec::new();
        for value_type in &self.sample_types {
            message(&mut buffer, 1, |b| put_value_type(b, value_type, &mut texts));
        }
        for sample in self.samples.iter() {
            put_sample(&mut buffer, sample, &self.location_ids, &mut texts);
            if buffer.len() > 1 << 16 {
                writer.write_all(&buffer)?;
                buffer.clear();
            }
        }
        self.put_tables(&mut buffer, &mut texts);
        for &text in &texts.order {
            put_bytes(&mut buffer, 6, self.text(text).as_bytes());
        }
        writer.write_all(&buffer)
    }

    fn put_tables(&self, buffer: &mut Vec<u8>, texts: &mut Used) {
        for mapping in &self.mappings {
            message(buffer, 3, |b| {
                put(b, 1, mapping.id);
                put(b, 2, mapping.start);
                put(b, 3, mapping.limit);
                put(b, 4, mapping.offset);
                put(b, 5, texts.number(mapping.file));
                put(b, 6, texts.number(mapping.build_id));
                put(b, 7, mapping.has_functions.into());
                put(b, 8, mapping.has_filenames.into());
                put(b, 9, mapping.has_line_numbers.into());
                put(b, 10, mapping.has_inline_frames.into());
            });
        }
        for (index, location) in self.locations.iter().enumerate() {
            message(buffer, 4, |b| {
                put(b, 1, self.location_ids.get(index));
                put(b, 2, location.mapping.get().map_or(0, |m| self.mappings[m as usize].id));
                put(b, 3, location.address);
                for line in location.lines.iter() {
                    message(b, 4, |b| {
                        put(b, 1, self.function_ids.get(line.function as usize));
                        put(b, 2, line.line.cast_unsigned());
                        put(b, 3, line.column.cast_unsigned());
                    });
                }
                put(b, 5, location.is_folded.into());
            });
        }
        for (index, function) in self.functions.iter().enumerate() {
            message(buffer, 5, |b| {
                put(b, 1, self.function_ids.get(index));
                put(b, 2, texts.number(function.name));
                put(b, 3, texts.number(function.system_name));
                put(b, 4, texts.number(function.filename));
                put(b, 5, function.start_line.cast_unsigned());
            });
        }
        put(buffer, 7, texts.number(self.drop_frames));
        put(buffer, 8, texts.number(self.keep_frames));
        put(buffer, 9, self.time_nanos.cast_unsigned());
        put(buffer, 10, self.duration_nanos.cast_unsigned());
        if self.period_type != ValueType::default() {
            message(buffer, 11, |b| put_value_type(b, &self.period_type, texts));
        }
        put(buffer, 12, self.period.cast_unsigned());
        let comments: Vec<u64> = self.comments.iter().map(|c| texts.number(*c)).collect();
        packed(buffer, 13, comments.into_iter());
        put(buffer, 14, texts.number(self.default_sample_type));
        put(buffer, 15, texts.number(self.doc_url));
    }
}

fn put_sample(buffer: &mut Vec<u8>, sample: Sample<'_>, ids: &Ids, texts: &mut Used) {
    message(buffer, 2, |b| {
        packed(b, 1, sample.stack.iter().map(|location| ids.get(location as usize)));
        packed(b, 2, sample.values.iter().map(|v| v.cast_unsigned()));
        for label in sample.labels {
            message(b, 3, |b| {
                put(b, 1, texts.number(label.key));
                match label.value {
                    Value::Text(text) => put(b, 2, texts.number_of_value(text)),
                    Value::Number(number, unit) => {
                        put(b, 3, number.cast_unsigned());
                        put(b, 4, texts.number(unit));
                    }
                }
            });
        }
    });
}

/// The texts that are used, numbered in the order of their first use.
struct Used {
    numbers: Vec<u32>,
    order: Vec<Text>,
    /// A text value of no characters needs a number other than 0, which says that there is none.
    empty_value: Option<u64>,
}

impl Used {
    fn new(profile: &Profile) -> Used {
        let mut numbers = vec![u32::MAX; profile.texts.len()];
        numbers[0] = 0;
        Used { numbers, order: vec![Text::EMPTY], empty_value: None }
    }

    fn number(&mut self, text: Text) -> u64 {
        let number = &mut self.numbers[text.index()];
        if *number == u32::MAX {
            *number = self.order.len() as u32;
            self.order.push(text);
        }
        u64::from(*number)
    }

    fn number_of_value(&mut self, text: Text) -> u64 {
        if !text.is_empty() {
            return self.number(text);
        }
        *self.empty_value.get_or_insert_with(|| {
            self.order.push(Text::EMPTY);
            self.order.len() as u64 - 1
        })
    }
}

fn put_value_type(buffer: &mut Vec<u8>, value_type: &ValueType, texts: &mut Used) {
    put(buffer, 1, texts.number(value_type.ty));
    put(buffer, 2, texts.number(value_type.unit));
}

fn varint(buffer: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        buffer.push(value as u8 | 0x80);
        value >>= 7;
    }
    buffer.push(value as u8);
}

/// A number; nothing if it is zero.
fn put(buffer: &mut Vec<u8>, field: u64, value: u64) {
    if value != 0 {
        varint(buffer, field << 3);
        varint(buffer, value);
    }
}

fn put_bytes(buffer: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(buffer, field << 3 | 2);
    varint(buffer, bytes.len() as u64);
    buffer.extend_from_slice(bytes);
}

fn packed(buffer: &mut Vec<u8>, field: u64, values: impl ExactSizeIterator<Item = u64>) {
    if values.len() != 0 {
        const LONGEST: usize = 10;
        buffer.reserve(LONGEST * values.len());
        message(buffer, field, |b| values.for_each(|value| varint(b, value)));
    }
}

/// What `write` writes, after its length.
fn message(buffer: &mut Vec<u8>, field: u64, write: impl FnOnce(&mut Vec<u8>)) {
    varint(buffer, field << 3 | 2);
    let start = buffer.len();
    // Room for a length below 128, as most are.
    buffer.push(0);
    write(buffer);
    let len = buffer.len() - start - 1;
    if len < 0x80 {
        buffer[start] = len as u8;
        return;
    }
    let mut length = Vec::with_capacity(10);
    varint(&mut length, len as u64);
    buffer.splice(start..=start, length);
}
