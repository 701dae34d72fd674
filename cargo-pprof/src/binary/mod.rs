//! Programs and libraries on this machine: what their addresses are called, and the code there.
//!
//! Addresses here are those that the linker gave. [`Binary::link_address`] makes them of addresses of a profile.

mod code;
mod debug;
mod find;
mod frames;
mod symbols;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use object::{Architecture, BinaryFormat, Object, ObjectKind, ObjectSegment, SegmentFlags, elf};

pub use code::{Instruction, Syntax};
pub use find::locate;
pub use frames::{Detail, Frame};
pub use symbols::{Symbol, Symbols};

use crate::profile::Mapping;

/// What tells a binary from other files is in so many bytes.
const MAGIC_BYTES: u64 = 1024;

/// A program or a library, read whole.
#[derive(Debug)]
pub struct Binary {
    path: PathBuf,
    bytes: Vec<u8>,
    /// In hexadecimal; empty if it has none.
    build_id: String,
    format: BinaryFormat,
    /// It is loaded where the linker put it.
    is_fixed: bool,
    base: u64,
    segments: Vec<Segment>,
    debug: OnceLock<Box<debug::Files>>,
}

/// A part of a file and where it is in memory.
#[derive(Clone, Copy, Debug)]
struct Segment {
    address: u64,
    size: u64,
    offset: u64,
    file_size: u64,
    is_code: bool,
}

impl Binary {
    /// Reads one.
    ///
    /// # Errors
    /// It is not there, or no binary.
    pub fn open(path: &Path) -> Result<Binary, String> {
        let failed = |what: String| format!("cannot read {}: {what}", path.display());
        let metadata = fs::metadata(path).map_err(|error| failed(error.to_string()))?;
        // What the system makes while it is read has no length, and may have no end.
        if !metadata.is_file() || metadata.len() == 0 {
            return Err(failed("it is no file, or empty".to_owned()));
        }
        let read = |file: File| -> std::io::Result<Vec<u8>> {
            let mut file = file.take(metadata.len());
            let mut bytes = Vec::new();
            (&mut file).take(MAGIC_BYTES).read_to_end(&mut bytes)?;
            if object::FileKind::parse(bytes.as_slice()).is_ok() {
                bytes.try_reserve_exact(usize::try_from(metadata.len()).unwrap_or(usize::MAX))?;
                file.read_to_end(&mut bytes)?;
            }
            Ok(bytes)
        };
        let bytes = File::open(path).and_then(read).map_err(|error| failed(error.to_string()))?;
        Binary::parse(path, bytes).map_err(|error| failed(error.to_string()))
    }

    fn parse(path: &Path, bytes: Vec<u8>) -> object::Result<Binary> {
        let object = object::File::parse(bytes.as_slice())?;
        let build_id = object.build_id()?.unwrap_or_default();
        let segments = object.segments().map(|segment| {
            let (offset, file_size) = segment.file_range();
            let is_code = match segment.flags() {
                SegmentFlags::Elf { p_flags, .. } => p_flags.contains(elf::PF_X),
                _ => true,
            };
            let (address, size) = (segment.address(), segment.size());
            Segment { address, size, offset, file_size, is_code }
        });
        let base = match object.format() {
            // Where its header is.
            BinaryFormat::MachO => object
                .segments()
                .find(|segment| matches!(segment.name(), Ok(Some("__TEXT"))))
                .map_or(0, |text| text.address()),
            _ => object.relative_address_base(),
        };
        Ok(Binary {
            path: path.to_owned(),
            build_id: build_id.iter().map(|byte| format!("{byte:02x}")).collect(),
            format: object.format(),
            is_fixed: object.kind() == ObjectKind::Executable
                && object.format() == BinaryFormat::Elf,
            base,
            segments: segments.collect(),
            debug: OnceLock::new(),
            bytes,
        })
    }

    fn object(&self) -> object::Result<object::File<'_>> {
        object::File::parse(self.bytes.as_slice())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is what a profile says: true also where one of both does not say.
    #[must_use]
    pub fn has_build_id(&self, wanted: &str) -> bool {
        wanted.is_empty() || self.build_id.is_empty() || self.build_id.eq_ignore_ascii_case(wanted)
    }

    /// An address of a profile as the linker gave it; nothing if it is not of this binary.
    #[must_use]
    pub fn link_address(&self, mapping: &Mapping, address: u64) -> Option<u64> {
        let into = address.checked_sub(mapping.start)?;
        if self.format != BinaryFormat::Elf {
            // Profiles of these systems have the place of the header.
            return match mapping.start {
                0 => Some(address),
                _ => self.base.checked_add(into),
            };
        }
        let is_here = |address: u64, segment: &&Segment| {
            address.checked_sub(segment.address).is_some_and(|into| into < segment.size)
        };
        let code = || self.segments.iter().filter(|segment| segment.is_code);
        if (self.is_fixed || mapping.start == 0) && code().any(|s| is_here(address, &s)) {
            return Some(address);
        }
        let offset = into.checked_add(mapping.offset)?;
        let is_in = |segment: &&Segment| {
            offset.checked_sub(segment.offset).is_some_and(|into| into < segment.file_size)
        };
        let segment = code().find(is_in).or_else(|| self.segments.iter().find(is_in))?;
        Some(segment.address.wrapping_add(offset - segment.offset))
    }

    fn architecture(&self) -> Architecture {
        self.object().map_or(Architecture::Unknown, |object| object.architecture())
    }
}
