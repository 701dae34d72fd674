//! Reading and writing whole files: compression, and bounds on what a hostile one may cost.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use prost::Message;
use prost::bytes::Buf;
use prost::encoding::{DecodeContext, decode_key, skip_field};

use crate::error::{Error, ErrorKind};
use crate::model::Profile;

/// Bounds on the profiles that [`Profile::decode_with`] accepts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes after decompression. The default, 1 GiB, is several times what the largest profiles in the wild have.
    pub decompressed_bytes: usize,
    /// Samples, locations, functions, mappings, texts and sample types together. An empty one takes two bytes in the file
    /// and up to 80 in memory, so this bounds memory where the file's size does not. The default is 16 million.
    pub entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { decompressed_bytes: 1 << 30, entries: 16_000_000 }
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
            return Err(too_many("bytes", limits.decompressed_bytes));
        } else {
            bytes
        };
        if plain.is_empty() {
            return Err(Error::new(ErrorKind::Wire, "the profile is empty"));
        }
        let not_a_profile =
            |e: prost::DecodeError| Error::new(ErrorKind::Wire, format!("not a profile: {e}"));
        if count_entries(plain).map_err(not_a_profile)? > limits.entries {
            return Err(too_many("entries", limits.entries));
        }
        let profile = <Profile as Message>::decode(plain).map_err(not_a_profile)?;
        profile.validate()?;
        Ok(profile)
    }

    /// The wire form, not compressed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.encode_to_vec()
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
        return Err(too_many("bytes", limits.decompressed_bytes));
    }
    Ok(plain)
}

fn too_many(what: &str, limit: usize) -> Error {
    Error::new(ErrorKind::TooLarge, format!("the profile has more than {limit} {what}"))
}

/// Number of top-level fields: nothing is allocated for them yet.
fn count_entries(mut plain: &[u8]) -> Result<usize, prost::DecodeError> {
    let mut entries = 0;
    while plain.has_remaining() {
        let (tag, wire_type) = decode_key(&mut plain)?;
        skip_field(wire_type, tag, &mut plain, DecodeContext::default())?;
        entries += 1;
    }
    Ok(entries)
}
