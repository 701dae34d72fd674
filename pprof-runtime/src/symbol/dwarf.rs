//! Debug information: lines, inlined frames, and where functions are declared.

use std::borrow::Cow;
use std::io::Read;

use addr2line::Context;
use flate2::read::ZlibDecoder;
use gimli::{AttributeValue, DwarfSections, EndianSlice, NativeEndian, UnitOffset, UnitRef};
use object::{CompressionFormat, Object, ObjectSection};

use super::SourceFrame;
use super::image::ElfFile;

type Slice<'a> = EndianSlice<'a, NativeEndian>;

/// An object's debug sections.
#[derive(Debug)]
pub(super) struct Sections<'a>(DwarfSections<Cow<'a, [u8]>>);

/// Debug sections ready to be asked.
pub(super) struct Dwarf<'s>(Context<Slice<'s>>);

/// A compressed section that says it is larger is left out.
const MAX_SECTION_BYTES: u64 = 4 << 30;

impl<'a> Sections<'a> {
    pub(super) fn of(file: &ElfFile<'a>) -> Sections<'a> {
        let load = |id: gimli::SectionId| -> Result<Cow<'a, [u8]>, std::convert::Infallible> {
            let section = file.section_by_name(id.name());
            Ok(section.and_then(|s| content(&s)).unwrap_or_default())
        };
        match DwarfSections::load(load) {
            Ok(sections) => Sections(sections),
            Err(never) => match never {},
        }
    }

    /// `None` without usable debug information.
    pub(super) fn context(&self) -> Option<Dwarf<'_>> {
        let dwarf = self.0.borrow(|section| EndianSlice::new(section, NativeEndian));
        Context::from_dwarf(dwarf).ok().map(Dwarf)
    }
}

/// A section's bytes, inflated if need be; `None` for a compression we do not read.
fn content<'a>(section: &impl ObjectSection<'a>) -> Option<Cow<'a, [u8]>> {
    let compressed = section.compressed_data().ok()?;
    match compressed.format {
        CompressionFormat::None => Some(Cow::Borrowed(compressed.data)),
        CompressionFormat::Zlib if compressed.uncompressed_size <= MAX_SECTION_BYTES => {
            let mut bytes = Vec::new();
            ZlibDecoder::new(compressed.data)
                .take(compressed.uncompressed_size)
                .read_to_end(&mut bytes)
                .ok()?;
            Some(Cow::Owned(bytes))
        }
        _ => None,
    }
}

impl Dwarf<'_> {
    /// The frames at a link-time address, innermost first; empty if it is not covered. What does not parse is left out.
    pub(super) fn frames(&self, address: u64) -> Vec<SourceFrame> {
        let Ok(mut iterator) = self.0.find_frames(address).skip_all_loads() else {
            return Vec::new();
        };
        let unit = self.0.find_dwarf_and_unit(address).skip_all_loads();
        let mut frames = Vec::new();
        while let Ok(Some(frame)) = iterator.next() {
            let name = frame.function.as_ref().and_then(|f| f.raw_name().ok());
            let mut found = SourceFrame::named(name.as_deref().unwrap_or(""));
            if let Some(location) = frame.location {
                found.file = location.file.map(str::to_owned);
                found.line = location.line.unwrap_or(0);
                found.column = location.column.unwrap_or(0);
            }
            if let (Some(unit), Some(offset)) = (unit, frame.dw_die_offset) {
                found.start_line = declaration_line(unit, offset, 0).unwrap_or(0);
            }
            frames.push(found);
        }
        frames
    }
}

/// `DW_AT_decl_line` of a function, which inlined and out-of-line copies leave to the entry they come from.
fn declaration_line(
    unit: UnitRef<'_, Slice<'_>>,
    offset: UnitOffset<usize>,
    hops: u32,
) -> Option<u32> {
    const MAX_HOPS: u32 = 8;
    let entry = unit.entry(offset).ok()?;
    if let Some(line) = entry.attr_value(gimli::DW_AT_decl_line) {
        return line.udata_value().and_then(|line| u32::try_from(line).ok());
    }
    let origin = entry
        .attr_value(gimli::DW_AT_abstract_origin)
        .or_else(|| entry.attr_value(gimli::DW_AT_specification))?;
    let offset = match origin {
        AttributeValue::UnitRef(offset) => offset,
        // Into another unit only under cross-unit LTO; that unit's own entry is found if it is this one after all.
        AttributeValue::DebugInfoRef(offset) => offset.to_unit_offset(&unit.header)?,
        _ => return None,
    };
    if hops == MAX_HOPS { None } else { declaration_line(unit, offset, hops + 1) }
}
