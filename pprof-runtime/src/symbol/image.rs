//! An object's file, mapped for reading while it is being asked.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use object::read::elf::ElfFile64;
use object::{NativeEndian, Object};

use crate::modules::Module;

pub(super) type ElfFile<'a> = ElfFile64<'a, NativeEndian>;

/// The bytes of an ELF file.
#[derive(Debug)]
pub(super) enum Image {
    Mapped(Mapping),
    /// Of an object that has no file.
    Copied(Vec<u8>),
}

impl Image {
    /// The file at `path`, if it is the one that was loaded as `module`.
    pub(super) fn open(path: &Path, module: &Module) -> Option<Image> {
        if module.path.as_os_str() == "[vdso]" {
            return Some(Image::Copied(copy_of_vdso(module)?));
        }
        let image = Image::Mapped(Mapping::of(&File::open(path).ok()?)?);
        let file = image.parse().ok()?;
        let build_id = file.build_id().ok().flatten().unwrap_or(&[]);
        // A file replaced since it was loaded would name the wrong functions.
        (build_id == module.build_id).then_some(())?;
        drop(file);
        Some(image)
    }

    pub(super) fn parse(&self) -> object::Result<ElfFile<'_>> {
        ElfFile::parse(match self {
            Image::Mapped(mapping) => mapping.bytes(),
            Image::Copied(bytes) => bytes.as_slice(),
        })
    }
}

/// The kernel's virtual object is an ELF file in memory, never unmapped: one segment from its header on.
fn copy_of_vdso(module: &Module) -> Option<Vec<u8>> {
    let segment = module.segments.first().filter(|s| s.file_offset == 0)?;
    // Section headers lie behind the segment, in its last page.
    let bytes = usize::try_from((segment.end - segment.start).next_multiple_of(4096)).ok()?;
    // SAFETY: whole pages of an object that stays for the life of the process.
    let slice = unsafe { std::slice::from_raw_parts(segment.start as *const u8, bytes) };
    Some(slice.to_vec())
}

/// A private read-only mapping of a whole file.
#[derive(Debug)]
pub(super) struct Mapping {
    start: *mut libc::c_void,
    bytes: usize,
}

impl Mapping {
    fn of(file: &File) -> Option<Mapping> {
        let bytes = usize::try_from(file.metadata().ok()?.len()).ok().filter(|n| *n > 0)?;
        let (protection, flags) = (libc::PROT_READ, libc::MAP_PRIVATE);
        // SAFETY: a new mapping at an address of the kernel's choice; the descriptor is open.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), bytes, protection, flags, file.as_raw_fd(), 0)
        };
        (start != libc::MAP_FAILED).then(|| Mapping { start, bytes })
    }

    /// A file cut short while it is mapped faults on access. Files of running programs are replaced, not
    /// cut: writing to one is refused by the kernel (ETXTBSY) for the program, and by convention for libraries.
    fn bytes(&self) -> &[u8] {
        // SAFETY: mapped by `of` with this length, until drop.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.bytes) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `of`, unmapped once.
        unsafe { libc::munmap(self.start, self.bytes) };
    }
}
