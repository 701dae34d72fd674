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
