//! Debug information of a binary, wherever it is: in the binary, in a file of its own, in one that it shares with others, in one for each of its
//! units, or in a package of these.

use std::borrow::Cow;
use std::collections::HashMap;
use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};

use flate2::Crc;
use gimli::{
    DwarfPackageSections, DwarfSections, DwoId, EndianSlice, Reader, RunTimeEndian, Section,
    SectionId,
};
use object::{CompressedData, CompressionFormat, Object, ObjectSection};

use super::Binary;

pub(super) type Slice<'a> = EndianSlice<'a, RunTimeEndian>;
type Sections<'a> = DwarfSections<Cow<'a, [u8]>>;

/// All sections of a file may be so many times its size when they are inflated, and a bit; otherwise none is.
const MOST_INFLATED: u64 = 64;
const FREE_BYTES: u64 = 64 << 20;

/// The files beside a binary that its debug information is in.
#[derive(Debug)]
pub(super) struct Files {
    /// What was taken from the binary, when it was stripped.
    separate: Option<Binary>,
    /// What several binaries have in common.
    shared: Option<Binary>,
    package: Option<Binary>,
}

impl Files {
    pub(super) fn separate(&self) -> Option<&Binary> {
        self.separate.as_ref()
    }
}

/// All debug sections.
pub(super) struct Debug<'f> {
    endian: RunTimeEndian,
    main: Sections<'f>,
    shared: Option<Sections<'f>>,
    package: Option<DwarfPackageSections<Cow<'f, [u8]>>>,
    /// Of units that have files of their own.
    split: HashMap<u64, Sections<'static>>,
}

impl Debug<'_> {
    fn slice<'s>(&self, section: &'s [u8]) -> Slice<'s> {
        EndianSlice::new(section, self.endian)
    }

    /// What there is in one file.
    pub(super) fn dwarf(&self) -> gimli::Dwarf<Slice<'_>> {
        self.main.borrow_with_sup(self.shared.as_ref(), |section| self.slice(section))
    }

    /// Units in files of their own have their addresses here.
    pub(super) fn may_be_split(&self) -> bool {
        !self.dwarf().debug_addr.reader().is_empty()
    }

    /// Reads the files of units that have one.
    pub(super) fn load_split(
        &mut self,
        units: impl IntoIterator<Item = (u64, PathBuf)>,
        beside: Option<&Path>,
    ) {
        for (id, path) in units {
            // Where the compiler put it, or beside the binary that was moved here.
            let moved = path.file_name().and_then(|name| Some(beside?.join(name)));
            let places = std::iter::once(path).chain(moved);
            let Some(binary) = places.filter_map(|p| Binary::open(&p).ok()).next() else {
                continue;
            };
            let load = |id: SectionId| -> Result<Cow<'static, [u8]>, Infallible> {
                let section = id.dwo_name().map(|name| binary.section(name));
                Ok(Cow::Owned(section.unwrap_or_default().into_owned()))
            };
            let Ok(sections) = DwarfSections::load(load);
            self.split.insert(id, sections);
        }
    }

    /// The part of a unit that is elsewhere.
    pub(super) fn of_unit<'s>(
        &'s self,
        id: DwoId,
        parent: &gimli::Dwarf<Slice<'s>>,
    ) -> Option<gimli::Dwarf<Slice<'s>>> {
        if let Some(package) = &self.package {
            let empty = EndianSlice::new(&[], self.endian);
            let package = package.borrow(|section| self.slice(section), empty).ok()?;
            if let Ok(Some(unit)) = package.find_cu(id, parent) {
                return Some(unit);
            }
        }
        let mut dwarf = self.split.get(&id.0)?.borrow(|section| self.slice(section));
        dwarf.make_dwo(parent);
        Some(dwarf)
    }
}

impl Binary {
    pub(super) fn debug_files(&self) -> &Files {
        self.debug.get_or_init(|| {
            let separate = if self.has_debug_info() { None } else { self.separate() };
            let shared = separate.as_ref().unwrap_or(self).shared();
            let package = self.package().or_else(|| separate.as_ref()?.package());
            Box::new(Files { separate, shared, package })
        })
    }

    pub(super) fn debug(&self) -> Debug<'_> {
        let Files { separate, shared, package } = self.debug_files();
        let holder = separate.as_ref().unwrap_or(self);
        Debug {
            endian: holder.endian(),
            main: holder.sections(),
            shared: shared.as_ref().map(Binary::sections),
            package: package.as_ref().and_then(Binary::package_sections),
            split: HashMap::new(),
        }
    }

    fn endian(&self) -> RunTimeEndian {
        match self.object().is_ok_and(|object| object.is_little_endian()) {
            true => RunTimeEndian::Little,
            false => RunTimeEndian::Big,
        }
    }

    /// What a section holds, inflated; nothing if there is none, or none that can be read.
    fn section(&self, name: &str) -> Cow<'_, [u8]> {
        let Ok(object) = self.object() else { return Cow::default() };
        let stored = object.section_by_name(name).and_then(|s| s.compressed_data().ok());
        let can_be_read = |stored: &CompressedData<'_>| {
            stored.format == CompressionFormat::None
                || self.inflated_bytes() <= self.most_inflated()
        };
        let stored = stored.filter(can_be_read);
        stored.and_then(|stored| stored.decompress().ok()).unwrap_or_default()
    }

    /// What all sections would have that are compressed.
    fn inflated_bytes(&self) -> u64 {
        let Ok(object) = self.object() else { return 0 };
        let stored = object.sections().filter_map(|section| section.compressed_data().ok());
        let stored = stored.filter(|stored| stored.format != CompressionFormat::None);
        stored.fold(0, |sum, stored| stored.uncompressed_size.saturating_add(sum))
    }

    fn most_inflated(&self) -> u64 {
        (self.bytes.len() as u64).saturating_mul(MOST_INFLATED).saturating_add(FREE_BYTES)
    }

    fn sections(&self) -> Sections<'_> {
        let Ok(sections) = DwarfSections::load(|id| Ok::<_, Infallible>(self.section(id.name())));
        sections
    }

    fn package_sections(&self) -> Option<DwarfPackageSections<Cow<'_, [u8]>>> {
        let section = |id: SectionId| id.dwo_name().map(|name| self.section(name));
        DwarfPackageSections::load(|id| Ok::<_, gimli::Error>(section(id).unwrap_or_default())).ok()
    }

    fn has_debug_info(&self) -> bool {
        let Ok(object) = self.object() else { return false };
        object.section_by_name(".debug_info").is_some_and(|section| section.size() > 0)
    }

    /// The file that its debug information was moved to.
    fn separate(&self) -> Option<Binary> {
        let object = self.object().ok()?;
        let link = object.gnu_debuglink().ok().flatten();
        let name = link.and_then(|(name, _)| std::str::from_utf8(name).ok());
        let is_it = |binary: &Binary| {
            let is_same = !self.build_id.is_empty() && binary.build_id == self.build_id;
            let has_sum = || {
                let mut sum = Crc::new();
                sum.update(&binary.bytes);
                link.is_some_and(|(_, wanted)| sum.sum() == wanted)
            };
            binary.has_debug_info() && (is_same || self.build_id.is_empty() && has_sum())
        };
        let files = self.debug_places(name).into_iter();
        // A link may lead back.
        files
            .filter(|path| *path != self.path)
            .filter_map(|path| Binary::open(&path).ok())
            .find(is_it)
    }

    /// The file that holds what this one has in common with others.
    fn shared(&self) -> Option<Binary> {
        let object = self.object().ok()?;
        let (name, id) = object.gnu_debugaltlink().ok()??;
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = Path::new(std::str::from_utf8(name).ok()?);
        let beside = fs::canonicalize(&self.path).ok();
        let beside = beside.as_deref().and_then(Path::parent).map(|up| up.join(name));
        let of_system = Path::new("/usr/lib/debug/.dwz").join(name.file_name()?);
        let files = beside.into_iter().chain([of_system]);
        files.filter_map(|path| Binary::open(&path).ok()).find(|binary| binary.build_id == id)
    }

    /// The package of the files that its units have.
    fn package(&self) -> Option<Binary> {
        let mut path = self.path.clone().into_os_string();
        path.push(".dwp");
        Binary::open(Path::new(&path)).ok()
    }
}
