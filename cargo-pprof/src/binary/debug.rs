//! Debug information of a binary, wherever it is: in the binary, in a file of its own, in one that it shares with others, in one for each of its
//! units, or in a package of these.

use std::borrow::Cow;
use std::collections::HashMap;
use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};

use flate2::Crc;
use gimli::{DwarfPackageSections, DwarfSections, DwoId, EndianSlice, RunTimeEndian, SectionId};
use object::{Object, ObjectSection};

use super::Binary;

pub(super) type Slice<'a> = EndianSlice<'a, RunTimeEndian>;
type Sections<'a> = DwarfSections<Cow<'a, [u8]>>;

/// A section that says it is larger when it is inflated is left out.
const MAX_SECTION_BYTES: u64 = 4 << 30;

/// The files that debug information of a binary is in.
pub(super) struct Files<'b> {
    main: &'b Binary,
    /// What was taken from the binary, when it was stripped.
    separate: Option<Binary>,
    /// What several binaries have in common.
    shared: Option<Binary>,
    package: Option<Binary>,
}

impl<'b> Files<'b> {
    pub(super) fn of(main: &'b Binary) -> Files<'b> {
        let separate = if main.has_debug_info() { None } else { main.separate() };
        let holder = separate.as_ref().unwrap_or(main);
        Files { main, shared: holder.shared(), package: main.package(), separate }
    }

    /// The file with the most to say of names.
    pub(super) fn holder(&self) -> &Binary {
        self.separate.as_ref().unwrap_or(self.main)
    }

    pub(super) fn sections(&self) -> Debug<'_> {
        Debug {
            endian: self.holder().endian(),
            main: self.holder().sections(),
            shared: self.shared.as_ref().map(|shared| shared.sections()),
            package: self.package.as_ref().and_then(Binary::package_sections),
            split: HashMap::new(),
        }
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

    /// Reads the files of units that have one.
    pub(super) fn load_split(&mut self, units: impl IntoIterator<Item = (u64, PathBuf)>) {
        for (id, path) in units {
            let Ok(binary) = Binary::open(&path) else { continue };
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
    fn endian(&self) -> RunTimeEndian {
        match self.object().is_ok_and(|object| object.is_little_endian()) {
            true => RunTimeEndian::Little,
            false => RunTimeEndian::Big,
        }
    }

    /// What a section holds, inflated; nothing if there is none, or none that can be read.
    fn section(&self, name: &str) -> Cow<'_, [u8]> {
        let Ok(object) = self.object() else { return Cow::default() };
        let section = object.section_by_name(name);
        let stored = section.and_then(|section| section.compressed_data().ok());
        let stored = stored.filter(|stored| stored.uncompressed_size <= MAX_SECTION_BYTES);
        stored.and_then(|stored| stored.decompress().ok()).unwrap_or_default()
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
        !self.section(".debug_info").is_empty()
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
        let files = self.debug_files(name).into_iter();
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
