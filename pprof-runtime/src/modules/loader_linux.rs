//! The loader's list through `dl_iterate_phdr`.
//!
//! Callbacks run under the loader's lock: they allocate nothing but copy into room made before.

use std::ffi::{CStr, OsStr, c_int, c_void};
use std::mem::offset_of;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::{Generation, Module, Segment};

/// What one object needs to be copied; sizes are those seen in practice, with room to spare.
const MAX_SEGMENTS: usize = 16;
const MAX_PATH_BYTES: usize = 1024;
const MAX_BUILD_ID_BYTES: usize = 64;

struct Raw {
    path: [u8; MAX_PATH_BYTES],
    path_len: usize,
    bias: u64,
    segments: [Segment; MAX_SEGMENTS],
    segment_count: usize,
    build_id: [u8; MAX_BUILD_ID_BYTES],
    build_id_len: usize,
    eh_frame_hdr: Option<(u64, u64)>,
}

const NO_SEGMENT: Segment = Segment { start: 0, end: 0, file_offset: 0, executable: false };

impl Raw {
    const EMPTY: Raw = Raw {
        path: [0; MAX_PATH_BYTES],
        path_len: 0,
        bias: 0,
        segments: [NO_SEGMENT; MAX_SEGMENTS],
        segment_count: 0,
        build_id: [0; MAX_BUILD_ID_BYTES],
        build_id_len: 0,
        eh_frame_hdr: None,
    };
}

/// The loaded objects; the main program first, as the loader reports it.
pub(crate) fn current() -> Vec<Module> {
    // Twice the objects there are now: more may come between the two visits.
    let mut room: Vec<Raw> = Vec::with_capacity(count() * 2 + 8);
    visit(&mut |object, _| {
        if room.len() < room.capacity() {
            room.push(Raw::EMPTY);
            if let Some(raw) = room.last_mut() {
                copy(object, raw);
            }
        }
        0
    });
    room.iter().enumerate().map(|(i, raw)| module(i, raw)).collect()
}

/// Changes whenever an object comes or goes.
pub(crate) fn generation() -> Generation {
    let mut generation = None;
    visit(&mut |object, size| {
        // Older C libraries pass a shorter struct.
        if size >= offset_of!(libc::dl_phdr_info, dlpi_subs) + size_of::<u64>() {
            generation = Some(Generation { adds: object.dlpi_adds, subs: object.dlpi_subs });
        }
        1
    });
    generation.unwrap_or_else(|| Generation { adds: count() as u64, subs: 0 })
}

fn count() -> usize {
    let mut count = 0;
    visit(&mut |_, _| {
        count += 1;
        0
    });
    count
}

type Visitor<'a> = &'a mut dyn FnMut(&libc::dl_phdr_info, usize) -> c_int;

/// Calls `visitor` for each object until it returns other than zero.
fn visit(mut visitor: Visitor<'_>) {
    unsafe extern "C" fn trampoline(
        object: *mut libc::dl_phdr_info,
        size: libc::size_t,
        visitor: *mut c_void,
    ) -> c_int {
        // SAFETY: `visit` passes a pointer to its visitor, which outlives the call.
        let visitor = unsafe { &mut *visitor.cast::<Visitor<'_>>() };
        // SAFETY: the loader passes a valid object for the duration of the call.
        visitor(unsafe { &*object }, size)
    }
    // SAFETY: the callback has the type the loader calls and gets what it expects.
    unsafe { libc::dl_iterate_phdr(Some(trampoline), (&raw mut visitor).cast()) };
}

fn copy(object: &libc::dl_phdr_info, raw: &mut Raw) {
    raw.bias = object.dlpi_addr;
    if !object.dlpi_name.is_null() {
        // SAFETY: the loader's name is a C string, valid during the call.
        let name = unsafe { CStr::from_ptr(object.dlpi_name) }.to_bytes();
        raw.path_len = copy_bytes(name, &mut raw.path);
    }
    let headers = if object.dlpi_phdr.is_null() {
        &[]
    } else {
        // SAFETY: the loader describes `dlpi_phnum` program headers there.
        unsafe { std::slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum)) }
    };
    for header in headers {
        let start = raw.bias.wrapping_add(header.p_vaddr);
        match header.p_type {
            libc::PT_LOAD => {
                if let Some(slot) = raw.segments.get_mut(raw.segment_count) {
                    *slot = Segment {
                        start,
                        end: start.saturating_add(header.p_memsz),
                        file_offset: header.p_offset,
                        executable: header.p_flags & libc::PF_X != 0,
                    };
                    raw.segment_count += 1;
                }
            }
            libc::PT_GNU_EH_FRAME => raw.eh_frame_hdr = Some((start, header.p_memsz)),
            _ => {}
        }
    }
    for header in
        headers.iter().filter(|h| h.p_type == libc::PT_NOTE && h.p_flags & libc::PF_R != 0)
    {
        let start = raw.bias.wrapping_add(header.p_vaddr);
        let end = start.saturating_add(header.p_filesz);
        let loaded = raw.segments.get(..raw.segment_count).unwrap_or(&[]);
        if !loaded.iter().any(|s| s.start <= start && end <= s.end) {
            continue;
        }
        let bytes = header.p_filesz as usize;
        // SAFETY: inside a loaded segment, which the loader keeps mapped during this call.
        let notes = unsafe { std::slice::from_raw_parts(start as *const u8, bytes) };
        if let Some(id) = build_id(notes) {
            raw.build_id_len = copy_bytes(id, &mut raw.build_id);
        }
    }
}

fn copy_bytes(from: &[u8], to: &mut [u8]) -> usize {
    let len = from.len().min(to.len());
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
    len
}

/// The `NT_GNU_BUILD_ID` among ELF notes: each is three words (name size, content size, type), name, content, the latter
/// two padded to four bytes (gABI, "Note Section").
fn build_id(mut notes: &[u8]) -> Option<&[u8]> {
    const NT_GNU_BUILD_ID: u32 = 3;
    loop {
        let (words, rest) = notes.split_at_checked(12)?;
        let word = |i: usize| {
            words.get(i * 4..i * 4 + 4).and_then(|w| w.try_into().ok()).map(u32::from_ne_bytes)
        };
        let (name_len, content_len, ty) = (word(0)? as usize, word(1)? as usize, word(2)?);
        let (name, rest) = rest.split_at_checked(name_len.checked_next_multiple_of(4)?)?;
        let content = rest.get(..content_len)?;
        if ty == NT_GNU_BUILD_ID && name.starts_with(b"GNU\0") {
            return Some(content);
        }
        notes = rest.get(content_len.checked_next_multiple_of(4)?..)?;
    }
}

fn module(index: usize, raw: &Raw) -> Module {
    let name = raw.path.get(..raw.path_len).unwrap_or(&[]);
    let path = match name {
        b"" if index == 0 => std::fs::read_link("/proc/self/exe")
            .map(without_deleted)
            .unwrap_or_else(|_| PathBuf::from("[main]")),
        b"linux-vdso.so.1" | b"linux-gate.so.1" | b"" => PathBuf::from("[vdso]"),
        name => PathBuf::from(OsStr::from_bytes(name)),
    };
    Module {
        path,
        bias: raw.bias,
        segments: raw.segments.get(..raw.segment_count).unwrap_or(&[]).to_vec(),
        build_id: raw.build_id.get(..raw.build_id_len).unwrap_or(&[]).to_vec(),
        eh_frame_hdr: raw.eh_frame_hdr,
    }
}

/// The kernel marks the path of a file that has been removed or replaced.
fn without_deleted(path: PathBuf) -> PathBuf {
    match path.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(stripped) => PathBuf::from(OsStr::from_bytes(stripped)),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_the_program_its_libraries_and_the_vdso() {
        let modules = current();
        assert_eq!(modules[0].path, std::env::current_exe().unwrap());
        let here = lists_the_program_its_libraries_and_the_vdso as *const () as u64;
        assert!(modules[0].segment_of(here).is_some_and(|s| s.executable));
        assert!(modules[0].eh_frame_hdr.is_some());
        assert!(modules.iter().any(|m| m.path.to_string_lossy().contains("libc.so")));
        assert!(modules.iter().any(|m| m.path.as_os_str() == "[vdso]"));
        assert!(modules.iter().filter(|m| m.build_id.len() >= 8).count() >= 2);
        assert_eq!(generation(), generation());
    }

    #[test]
    fn finds_a_build_id_among_notes_and_survives_nonsense() {
        let note = |ty: u32, name: &[u8], content: &[u8]| {
            let mut bytes = Vec::new();
            for word in [name.len() as u32, content.len() as u32, ty] {
                bytes.extend(word.to_ne_bytes());
            }
            for part in [name, content] {
                bytes.extend(part);
                bytes.resize(bytes.len().next_multiple_of(4), 0);
            }
            bytes
        };
        let notes = [note(1, b"GNU\0", b"abi"), note(3, b"GNU\0", b"\x01\x02\x03")].concat();
        assert_eq!(build_id(&notes), Some(&b"\x01\x02\x03"[..]));
        for cut in 0..notes.len() - 1 {
            assert_eq!(build_id(&notes[..cut]), None);
        }
        assert_eq!(build_id(&[0xff; 64]), None);
    }
}
