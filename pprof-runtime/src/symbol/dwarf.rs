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
                let declaration = Declaration::of(unit, offset);
                found.start_line = declaration.line.unwrap_or(0);
                let name = declaration.name.and_then(|name| unit.attr_string(name).ok());
                found.type_argument = name.and_then(|name| first_argument(&name.to_string_lossy()));
            }
            frames.push(found);
        }
        frames
    }
}

/// What the entries of a function say, of which inlined and out-of-line copies leave most to the one they come from.
#[derive(Default)]
struct Declaration<'s> {
    line: Option<u32>,
    name: Option<AttributeValue<Slice<'s>>>,
}

impl<'s> Declaration<'s> {
    fn of(unit: UnitRef<'_, Slice<'s>>, offset: UnitOffset<usize>) -> Declaration<'s> {
        const MAX_HOPS: u32 = 8;
        let (mut declaration, mut next) = (Declaration::default(), Some(offset));
        for _ in 0..=MAX_HOPS {
            let Some(entry) = next.and_then(|offset| unit.entry(offset).ok()) else { break };
            let line = || entry.attr_value(gimli::DW_AT_decl_line)?.udata_value()?.try_into().ok();
            declaration.line = declaration.line.or_else(line);
            declaration.name = declaration.name.or_else(|| entry.attr_value(gimli::DW_AT_name));
            if declaration.line.is_some() && declaration.name.is_some() {
                break;
            }
            let origin = entry
                .attr_value(gimli::DW_AT_abstract_origin)
                .or_else(|| entry.attr_value(gimli::DW_AT_specification));
            next = match origin {
                Some(AttributeValue::UnitRef(offset)) => Some(offset),
                // Into another unit only under cross-unit LTO; that unit's own entry is found if it is this one after all.
                Some(AttributeValue::DebugInfoRef(offset)) => offset.to_unit_offset(&unit.header),
                _ => None,
            };
        }
        declaration
    }
}

/// `a::B<C>` of `push<a::B<C>, alloc::alloc::Global>`.
fn first_argument(name: &str) -> Option<Box<str>> {
    let (_, arguments) = name.split_once('<')?;
    let mut depth = 0_i32;
    for (at, byte) in arguments.bytes().enumerate() {
        match byte {
            b'<' | b'(' | b'[' | b'{' => depth += 1,
            // Not of an arrow.
            b'>' if at > 0 && arguments.as_bytes().get(at - 1) == Some(&b'-') => {}
            b',' | b'>' if depth == 0 => return arguments.get(..at).map(Box::from),
            b'>' | b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::first_argument;

    #[test]
    fn the_first_type_is_told_from_the_others() {
        for (name, expected) in [
            ("push<u64, alloc::alloc::Global>", Some("u64")),
            ("new<a::B<c::D, e::F>>", Some("a::B<c::D, e::F>")),
            ("insert<(u64, [u8; 4]), a::B>", Some("(u64, [u8; 4])")),
            ("call<fn(u8, u8) -> u64, u8>", Some("fn(u8, u8) -> u64")),
            ("{closure#0}<alloc::string::String>", Some("alloc::string::String")),
            ("main", None),
            ("cut<a::B", None),
        ] {
            assert_eq!(first_argument(name).as_deref(), expected, "{name}");
        }
    }
}
