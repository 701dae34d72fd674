//! Samples that refer to what may come later.

use indexmap::IndexSet;

use super::wire::{Field, fields, take_small};
use super::{ById, Indices, LARGE, Raw, Result, invalid, text_at};
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
    /// Ids of locations, or from `LARGE` on the place among these: from `NARROW_LARGE` on, as long as the column is narrow.
    frames: FrameColumn,
    large: IndexSet<u64, foldhash::fast::RandomState>,
    labels: Vec<Label>,
    label_texts: Indices,
    /// The least and the greatest key of labels that say nothing.
    other_keys: [Raw; 2],
    /// How many frames and labels each has.
    lengths: Vec<[u32; 2]>,
}

/// Ids that are smaller are kept as they are: those of most files are counted from one. Of others there are addresses, in any order.
const NARROW_LARGE: u16 = 0xC000;

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
                1 => match field {
                    Field::Bytes(ids) => self.add_frames(ids)?,
                    id => self.add_frame(id.number()?),
                },
                2 => field.numbers(|value| self.values.push(value.cast_signed()))?,
                3 => {
                    let label = label(field.bytes()?)?;
                    if label.says_nothing() {
                        let [least, greatest] = self.other_keys;
                        self.other_keys = [least.min(label.key), greatest.max(label.key)];
                    } else {
                        self.labels.push(label.narrow(&mut self.label_texts));
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

    fn add_frames(&mut self, mut ids: &[u8]) -> Result<()> {
        const END: u32 = NARROW_LARGE as u32;
        match &mut self.frames {
            FrameColumn::Narrow(frames) => take_small(&mut ids, END, frames, |id| id as u16),
            FrameColumn::Wide(frames) => take_small(&mut ids, LARGE, frames, |id| id),
        }
        Field::Bytes(ids).numbers(|id| self.add_frame(id))
    }

    fn add_frame(&mut self, id: u64) {
        match u32::try_from(id) {
            Ok(small) if small < u32::from(NARROW_LARGE) => self.frames.push(small),
            _ => self.add_large(id),
        }
    }

    fn add_large(&mut self, id: u64) {
        if let FrameColumn::Narrow(frames) = &mut self.frames {
            let (place, _) = self.large.insert_full(id);
            match u16::try_from(place).ok().and_then(|place| place.checked_add(NARROW_LARGE)) {
                Some(raw) => return frames.push(raw),
                None => {
                    let spare = frames.capacity() - frames.len();
                    self.frames.widen(spare, |raw| match raw.checked_sub(NARROW_LARGE) {
                        Some(place) => u32::from(place) | LARGE,
                        None => u32::from(raw),
                    });
                }
            }
        }
        let small = u32::try_from(id).ok().filter(|id| *id < LARGE);
        let raw = small.unwrap_or_else(|| self.large.insert_full(id).0 as u32 | LARGE);
        self.frames.push(raw);
    }

    /// All of them, of a profile with so many sample types and these locations and texts.
    pub(super) fn resolve(self, types: usize, ids: &ById, texts: &[Text]) -> Result<Samples> {
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
        let first = match frames {
            FrameColumn::Narrow(_) => u32::from(NARROW_LARGE),
            FrameColumn::Wide(_) => LARGE,
        };
        let mut all_exist = true;
        frames.rewrite(0..frames.len(), |raw| {
            let id = match raw.checked_sub(first) {
                None => u64::from(raw),
                Some(place) => self.large.get_index(place as usize).copied().unwrap_or(0),
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
        let mut labels = self.labels;
        for Label { key, value } in &mut labels {
            self.label_texts.resolve(key, texts)?;
            match value {
                // A file without any text may still say that it has no unit.
                Value::Number(_, Text::EMPTY) => {}
                Value::Text(text) | Value::Number(_, text) => {
                    self.label_texts.resolve(text, texts)?;
                }
            }
        }
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

    fn narrow(self, indices: &mut Indices) -> Label {
        let key = indices.narrow(self.key);
        let value = match self.text {
            0 => Value::Number(self.number, indices.narrow(self.unit)),
            text => Value::Text(indices.narrow(text)),
        };
        Label { key, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Stack;

    fn varint(out: &mut Vec<u8>, mut value: u64) {
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }

    /// A sample of one value.
    fn sample(locations: &[u64]) -> Vec<u8> {
        let mut packed = Vec::new();
        locations.iter().for_each(|id| varint(&mut packed, *id));
        let mut bytes = vec![0x0a];
        varint(&mut bytes, packed.len() as u64);
        bytes.extend(packed);
        bytes.extend([0x12, 1, 7]);
        bytes
    }

    /// The stacks of locations with these ids, in this order, are found again; whether their frames took two bytes.
    fn is_narrow(ids: &[u64]) -> bool {
        let (mut raw, mut known) = (RawSamples::default(), ById::default());
        for (index, id) in ids.iter().enumerate() {
            assert!(known.add(*id, index));
        }
        // Twice, and the other way around.
        for stack in ids.chunks(100).chain(ids.rchunks(70)) {
            raw.add(&sample(stack)).unwrap();
        }
        let samples = raw.resolve(1, &known, &[]).unwrap();
        let indices: Vec<u32> = (0..ids.len() as u32).collect();
        let stacks = indices.chunks(100).chain(indices.rchunks(70));
        assert!(samples.iter().map(|sample| sample.stack).eq(stacks.map(Stack::Wide)));
        samples.iter().all(|sample| matches!(sample.stack, Stack::Narrow(_)))
    }

    #[test]
    fn locations_are_found_whatever_their_ids_are() {
        assert!(is_narrow(&(1..=65_535).collect::<Vec<_>>()));
        assert!(!is_narrow(&(1..=70_000).collect::<Vec<_>>()));
        // As addresses; more than fit beside small ones are wide.
        let address = |n: u64| (1 << 40) + 16 * n;
        assert!(is_narrow(&(0..0x4000).map(address).collect::<Vec<_>>()));
        assert!(!is_narrow(&(0..=0x4000).map(address).collect::<Vec<_>>()));
        assert!(is_narrow(&[1, 0xbfff, 0xc000, 0xffff, 0x1_0000, 1 << 31, u64::MAX]));
        let mut mixed: Vec<u64> = (0xbff0..0xf000).chain((0..9_000).map(address)).collect();
        mixed.extend([u64::MAX, 1 << 31, (1 << 31) - 1, 5]);
        assert!(!is_narrow(&mixed));
    }
}
