//! Reading and writing whole files: compression, and bounds on what a hostile one may cost.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost::{DecodeError, Message};

use crate::error::{Error, ErrorKind};
use crate::model::Profile;

/// Bounds on the profiles that [`Profile::decode_with`] accepts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes after decompression. The default, 1 GiB, is several times what the largest profiles in the wild have.
    pub decompressed_bytes: usize,
    /// Bytes that the profile takes in memory, as estimated before it is read: an empty entry takes two bytes in the file and up to
    /// 80 in memory, so the file's size is no bound. The default is 2 GiB; reading takes up to twice as much for a moment.
    pub memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { decompressed_bytes: 1 << 30, memory_bytes: 2 << 30 }
    }
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

impl Profile {
    /// Reads a profile, gzip-compressed or plain, and checks it with [`validate`](Profile::validate).
    ///
    /// # Errors
    /// What is wrong with it, and where; within the default [`Limits`].
    pub fn decode(bytes: &[u8]) -> Result<Profile, Error> {
        Profile::decode_with(bytes, &Limits::default())
    }

    /// [`decode`](Profile::decode) within limits of one's own.
    ///
    /// # Errors
    /// As `decode`; `TooLarge` beyond `limits`.
    pub fn decode_with(bytes: &[u8], limits: &Limits) -> Result<Profile, Error> {
        let decompressed;
        let plain = if bytes.starts_with(&GZIP_MAGIC) {
            decompressed = decompress(bytes, limits)?;
            &decompressed
        } else if bytes.len() > limits.decompressed_bytes {
            return Err(too_large("decompressed", limits.decompressed_bytes));
        } else {
            bytes
        };
        if plain.is_empty() {
            return Err(Error::new(
                ErrorKind::Wire,
                "the file is empty: there is no profile in it",
            ));
        }
        let not_a_profile =
            |e: DecodeError| Error::new(ErrorKind::Wire, format!("not a profile: {e}"));
        if memory_bytes(plain).map_err(not_a_profile)? > limits.memory_bytes {
            return Err(too_large("in memory", limits.memory_bytes));
        }
        let profile = <Profile as Message>::decode(plain).map_err(not_a_profile)?;
        profile.validate()?;
        Ok(profile)
    }

    /// The wire form, not compressed. A string table without the empty string gets it, so that no profile is written as nothing at
    /// all, which readers take for an empty file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.encode_to_vec();
        if self.string_table.is_empty() {
            let empty = Profile { string_table: vec![String::new()], ..Profile::default() };
            bytes.extend(empty.encode_to_vec());
        }
        bytes
    }

    /// Writes the compressed wire form, as profiles are kept in files.
    ///
    /// # Errors
    /// The writer's.
    pub fn write_to(&self, writer: impl Write) -> io::Result<()> {
        let mut encoder = GzEncoder::new(writer, Compression::fast());
        encoder.write_all(&self.encode())?;
        encoder.finish()?.flush()
    }
}

fn decompress(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, Error> {
    let mut plain = Vec::new();
    // One byte more than allowed tells a full profile from one that is too large.
    let most = limits.decompressed_bytes as u64 + 1;
    MultiGzDecoder::new(bytes).take(most).read_to_end(&mut plain).map_err(|e| {
        Error::new(ErrorKind::Gzip, format!("cannot decompress the profile: {e}; is it complete?"))
    })?;
    if plain.len() > limits.decompressed_bytes {
        return Err(too_large("decompressed", limits.decompressed_bytes));
    }
    Ok(plain)
}

fn too_large(form: &str, limit: usize) -> Error {
    Error::new(ErrorKind::TooLarge, format!("the profile is larger than {limit} bytes {form}"))
}

/// What the decoded profile would take, from above: nothing is allocated for it yet.
fn memory_bytes(plain: &[u8]) -> Result<usize, DecodeError> {
    const SAMPLE: u32 = 2;
    const LOCATION: u32 = 4;
    const STRING: u32 = 6;
    const COMMENT: u32 = 13;
    /// A sample's lists of numbers.
    const NUMBERS: [u32; 2] = [1, 2];
    const ENTRY_BYTES: usize = 80;
    /// The first entry of a list makes room for four.
    const NESTED_ENTRY_BYTES: usize = 4 * 32;
    const LIST_BYTES: usize = 4 * size_of::<u64>();

    let mut total = 0usize;
    for_each_field(plain, |tag, content| {
        let bytes = match tag {
            // A byte that is no UTF-8 is replaced by three.
            STRING => content.len().saturating_mul(3),
            // Packed, of a byte each at the least.
            COMMENT => content.len().saturating_mul(size_of::<i64>()),
            _ => content.len(),
        };
        total = total.saturating_add(ENTRY_BYTES).saturating_add(bytes);
        if tag != SAMPLE && tag != LOCATION {
            return Ok(());
        }
        for_each_field(content, |nested, content| {
            let bytes = if tag == SAMPLE && NUMBERS.contains(&nested) {
                content.len().saturating_mul(size_of::<u64>()).saturating_add(LIST_BYTES)
            } else {
                NESTED_ENTRY_BYTES
            };
            total = total.saturating_add(bytes);
            Ok(())
        })
    })?;
    Ok(total)
}

/// Tags and contents of a message's fields; for numbers, the content is their encoding.
fn for_each_field(
    mut message: &[u8],
    mut visit: impl FnMut(u32, &[u8]) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    while !message.is_empty() {
        let (tag, wire_type) = decode_key(&mut message)?;
        let field = message;
        skip_field(wire_type, tag, &mut message, DecodeContext::default())?;
        let mut content = field.get(..field.len() - message.len()).unwrap_or(&[]);
        if wire_type == WireType::LengthDelimited {
            decode_varint(&mut content)?;
        }
        visit(tag, content)?;
    }
    Ok(())
}
