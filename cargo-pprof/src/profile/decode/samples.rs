//! Samples that refer to what may come later.

use indexmap::IndexSet;

use super::wire::fields;
use super::{Ids, Raw, Result, invalid, text_at};
use crate::profile::samples::Column;
use crate::profile::stack::FrameColumn;
use crate::profile::{Label, Samples, Text, Value};

/// Samples as they are in the file, in columns.
#[derive(Default)]
pub(super) struct RawSamples {
    /// Values of the first one, and of one that has not as many.
    width: usize,
    other_width: Option<usize>,
    values: Vec<i64>,
    /// Ids of locations, or with `LARGE` the place among these.
    frames: FrameColumn,
    large: IndexSet<u64, foldhash::fast::RandomState>,
    labels: Vec<RawLabel>,
    /// The least and the greatest key of labels that say nothing.
    other_keys: [Raw; 2],
    /// How many frames and labels each has.
    lengths: Vec<[u32; 2]>,
}

/// Marks what is no id, as that takes more than 31 bits.
const LARGE: u32 = 1 << 31;

#[derive(Clone, Copy, Default)]
struct RawLabel {
    key: Raw,
    text: Raw,
    number: i64,
    unit: Raw,
}

impl RawSamples {
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<()> {
        let (frames, values, labels) = (self.frames.len(), self.values.len(), self.labels.len());
        fields(bytes, |number, field| {
            match number {
                1 => field.numbers(|id| {
                    let small = u32::try_from(id).ok().filter(|id| *id < LARGE);
                    let raw = small.unwrap_or_else(|| self.large.insert_full(id).0 as u32 | LARGE);
                    self.frames.push(raw);
                })?,
                2 => field.numbers(|value| self.values.push(value.cast_signed()))?,
                3 => {
                    let label = label(field.bytes()?)?;
                    if label.says_nothing() {
                        let [least, greatest] = self.other_keys;
                        self.other_keys = [least.min(label.key), greatest.max(label.key)];
                    } else {
                        self.labels.push(label);
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        let width = self.values.len() - values;
        if width == 0 {
            // It is wrong in any profile, and not to be kept: a file is small that has it a million times.
            self.frames.truncate(frames);
            self.labels.truncate(labels);
            self.other_width = Some(width);
            return Ok(());
        }
        if self.lengths.is_empty() {
            self.width = width;
        } else if width != self.width {
            self.other_width.get_or_insert(width);
        }
        let [frames, labels] = [self.frames.len() - frames, self.labels.len() - labels];
        self.lengths.push([frames as u32, labels as u32]);
        Ok(())
    }

    /// All of them, of a profile with so many sample types and these locations and texts.
    pub(super) fn resolve(self, types: usize, ids: &Ids, texts: &[Text]) -> Result<Samples> {
        let width = (!self.lengths.is_empty()).then_some(self.width);
        if width.or(self.other_width).is_some() {
            if types == 0 {
                return invalid("there are samples, but no sample types");
            }
            let widths = [width, self.other_width];
            if let Some(len) = widths.into_iter().flatten().find(|len| *len != types) {
                return invalid(format!("a sample has {len} values where there are {types} types"));
            }
        }
        let mut frames = self.frames;
        let mut all_exist = true;
        frames.rewrite(0..frames.len(), |raw| {
            let id = match raw & LARGE {
                0 => u64::from(raw),
                _ => self.large.get_index((raw & !LARGE) as usize).copied().unwrap_or(0),
            };
            let index = ids.get(id);
            all_exist &= index.is_some();
            index.unwrap_or(0)
        });
        if !all_exist {
            return invalid("a sample has a location that does not exist");
        }
        for key in self.other_keys.into_iter().filter(|key| *key != 0) {
            text_at(texts, key)?;
        }
        let labels = self.labels.into_iter().map(|label| label.resolve(texts));
        let labels = labels.collect::<Result<Vec<Label>>>()?;
        Ok(Samples::of_columns(types, self.values, frames, labels, &self.lengths))
    }
}

fn label(bytes: &[u8]) -> Result<RawLabel> {
    let mut label = RawLabel::default();
    fields(bytes, |number, field| {
        match number {
            1 => label.key = field.signed()?,
            2 => label.text = field.signed()?,
            3 => label.number = field.signed()?,
            4 => label.unit = field.signed()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(label)
}

impl RawLabel {
    fn says_nothing(&self) -> bool {
        [self.text, self.number, self.unit] == [0; 3]
    }

    fn resolve(self, texts: &[Text]) -> Result<Label> {
        let key = text_at(texts, self.key)?;
        let value = if self.text != 0 {
            Value::Text(text_at(texts, self.text)?)
        } else {
            let unit = if self.unit == 0 { Text::EMPTY } else { text_at(texts, self.unit)? };
            Value::Number(self.number, unit)
        };
        Ok(Label { key, value })
    }
}
