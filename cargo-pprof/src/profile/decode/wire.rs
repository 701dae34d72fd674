//! Fields of messages.

use std::io::{ErrorKind, Read};

use super::{DecodeError, Result, malformed};

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field<'b> {
    Number(u64),
    Bytes(&'b [u8]),
    /// Of a kind that no field here has.
    Other,
}

impl<'b> Field<'b> {
    pub(super) fn number(self) -> Result<u64> {
        match self {
            Field::Number(n) => Ok(n),
            _ => malformed("a field is no number"),
        }
    }

    pub(super) fn signed(self) -> Result<i64> {
        self.number().map(u64::cast_signed)
    }

    pub(super) fn bytes(self) -> Result<&'b [u8]> {
        match self {
            Field::Bytes(bytes) => Ok(bytes),
            _ => malformed("a field is no text and no message"),
        }
    }

    /// One number, or many in a row.
    pub(super) fn numbers(self, mut each: impl FnMut(u64)) -> Result<()> {
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

/// Takes numbers from the start of some, up to the first that is not below `end` or the last few bytes. How long a number is cannot be foretold,
/// so nothing here depends on it but where the next one is.
pub(super) fn take_small<N: Copy + Default>(
    bytes: &mut &[u8],
    end: u32,
    numbers: &mut Vec<N>,
    number: impl Fn(u32) -> N,
) {
    debug_assert!(end > 0x7f);
    // Room for so many at a time: there may be fewer numbers than bytes by far.
    const PART: usize = 1 << 12;
    let mut is_small = true;
    while is_small && !bytes.is_empty() {
        let start = numbers.len();
        numbers.resize(start + bytes.len().min(PART), N::default());
        let (places, mut count) = (&mut numbers[start..], 0);
        while count < places.len() {
            let Some(word) = bytes.first_chunk() else {
                is_small = false;
                break;
            };
            let mut word = u32::from_le_bytes(*word);
            // Of few locations all numbers take a byte: four at once.
            if word & 0x8080_8080 == 0 && count + 4 <= places.len() {
                for place in &mut places[count..count + 4] {
                    *place = number(word & 0x7f);
                    word >>= 8;
                }
                (*bytes, count) = (&bytes[4..], count + 4);
                continue;
            }
            // Where three bytes may be the last of a number.
            let last = !word & 0x0080_8080;
            let own = word & (last ^ last.wrapping_sub(1));
            let value = own & 0x7f | own >> 1 & 0x3f80 | own >> 2 & 0x1f_c000;
            if last == 0 || value >= end {
                is_small = false;
                break;
            }
            places[count] = number(value);
            (*bytes, count) = (&bytes[last.trailing_zeros() as usize / 8 + 1..], count + 1);
        }
        numbers.truncate(start + count);
    }
}

/// Calls `each` with every field of a message and its number.
#[inline]
pub(super) fn fields<'b>(
    mut bytes: &'b [u8],
    mut each: impl FnMut(u64, Field<'b>) -> Result<()>,
) -> Result<()> {
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let field = if key & 7 == 2 {
            let len = varint(&mut bytes)?;
            Field::Bytes(take(&mut bytes, len)?)
        } else {
            other(key, &mut bytes)?
        };
        each(key >> 3, field)?;
    }
    Ok(())
}

/// A field that has no length.
#[inline]
fn other<'b>(key: u64, bytes: &mut &'b [u8]) -> Result<Field<'b>> {
    match key & 7 {
        0 => Ok(Field::Number(varint(bytes)?)),
        1 => take(bytes, 8).map(|_| Field::Other),
        5 => take(bytes, 4).map(|_| Field::Other),
        other => malformed(format!("unknown wire type {other}")),
    }
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

/// Calls `each` with every field of a message that is read from `source`.
pub(super) fn fields_of(
    source: impl Read,
    mut each: impl FnMut(u64, Field<'_>) -> Result<()>,
) -> Result<()> {
    let mut window = Window { source, bytes: Vec::new(), start: 0, end: 0 };
    loop {
        // A key, and a number or a length.
        let mut rest = window.fill(2 * LONGEST_VARINT)?;
        if rest.is_empty() {
            return Ok(());
        }
        let before = rest.len();
        let key = varint(&mut rest)?;
        if key & 7 == 2 {
            let len = varint(&mut rest)?;
            let header = before - rest.len();
            window.start += header;
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            let mut rest = window.fill(len)?;
            each(key >> 3, Field::Bytes(take(&mut rest, len as u64)?))?;
            window.start += len;
        } else {
            let field = other(key, &mut rest)?;
            let taken = before - rest.len();
            each(key >> 3, field)?;
            window.start += taken;
        }
    }
}

/// Bytes of one.
const LONGEST_VARINT: usize = 10;

/// What is read at once, at least.
const CHUNK: usize = 1 << 16;

/// What has been read of a source and not been used.
struct Window<R> {
    source: R,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl<R: Read> Window<R> {
    /// What there is, with as many bytes as are asked for if the source has them: there is room only for what has come, whatever is asked for.
    fn fill(&mut self, len: usize) -> Result<&[u8]> {
        while self.end - self.start < len {
            if self.end == self.bytes.len() {
                self.bytes.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
                if self.bytes.len() - self.end < CHUNK {
                    self.bytes.resize(self.bytes.len() + self.end.max(CHUNK), 0);
                }
            }
            match self.source.read(&mut self.bytes[self.end..]) {
                Ok(0) => break,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(DecodeError::Malformed(error.to_string())),
            }
        }
        Ok(&self.bytes[self.start..self.end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_are_those_that_are_read_one_by_one() {
        // Those from the eighth on are not small or not short, and end what is taken.
        let numbers: [&[u8]; 12] = [
            &[0],
            &[0x7f],
            &[0x80, 1],
            &[0xff, 0x7f],
            &[0x80, 0x80, 1],
            &[0x85, 0],
            &[0x86, 0x80, 0],
            &[0x81, 0x80, 1],
            &[0xff, 0xff, 0x7f],
            &[0x80, 0x80, 0x80, 1],
            &[0x87, 0x80, 0x80, 0],
            &[0xff; 9],
        ];
        let mut state = 1u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % below
        };
        for round in 0..5_000 {
            // Now and then more than there is room for at a time.
            let (count, kinds) = if round % 100 == 0 { (9_000, 7) } else { (random(30), 8) };
            let kinds = if random(3) == 0 { numbers.len() } else { kinds };
            let chosen: Vec<usize> = (0..count).map(|_| random(kinds)).collect();
            let bytes: Vec<u8> = chosen.iter().flat_map(|kind| numbers[*kind]).copied().collect();
            let (mut all, mut found) = (vec![7], vec![7]);
            let is_whole = Field::Bytes(&bytes).numbers(|number| all.push(number)).is_ok();
            let mut rest = &bytes[..];
            take_small(&mut rest, 0x4001, &mut found, u64::from);
            let small = chosen.iter().take_while(|kind| **kind < 7).count();
            assert!(found.len() == 1 + small || rest.len() < 4, "{bytes:x?}: {found:?}");
            assert_eq!(Field::Bytes(rest).numbers(|number| found.push(number)).is_ok(), is_whole);
            assert_eq!(found, all);
        }
    }
}
