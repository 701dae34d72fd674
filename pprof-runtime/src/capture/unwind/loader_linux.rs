//! Copying an object's unwind sections while the loader holds it in place.

use std::ffi::{c_int, c_void};

use super::build::Sections;
use crate::modules::Module;

/// The unwind sections of `module`, or `None` if it has none or has been unloaded.
///
/// The object is looked up twice under the loader's lock, once for sizes and once to copy, so that nothing is allocated
/// while that lock is held.
pub(super) fn sections(module: &Module) -> Option<Sections> {
    let (hdr_address, hdr_bytes) = module.eh_frame_hdr?;
    let segment = module.segment_of(hdr_address)?;
    let hdr_bytes = hdr_bytes.min(segment.end - hdr_address);
    let mut hdr = vec![0; usize::try_from(hdr_bytes).ok()?];
    copy_if_loaded(module, hdr_address, &mut hdr)?;

    let address = Sections::eh_frame_address(&hdr, hdr_address)?;
    let segment = module.segment_of(address)?;
    let mut bytes = vec![0; usize::try_from(segment.end - address).ok()?];
    copy_if_loaded(module, address, &mut bytes)?;
    Some(Sections { hdr_address, address, bytes })
}

struct Request<'a> {
    bias: u64,
    hdr_address: u64,
    address: u64,
    into: &'a mut [u8],
    found: bool,
}

/// Copies `into.len()` bytes from `address`, which lies in a segment of `module`, if the loader still has that module.
fn copy_if_loaded(module: &Module, address: u64, into: &mut [u8]) -> Option<()> {
    let hdr_address = module.eh_frame_hdr?.0;
    let mut request = Request { bias: module.bias, hdr_address, address, into, found: false };
    // SAFETY: `visit` has the type the loader calls, and `request` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut request).cast()) };
    request.found.then_some(())
}

/// Called by the loader, under its lock: no allocation, no panic.
unsafe extern "C" fn visit(
    object: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    request: *mut c_void,
) -> c_int {
    // SAFETY: the loader passes a valid object for the duration of the call.
    let object = unsafe { &*object };
    // SAFETY: `copy_if_loaded` passes its exclusive `Request`.
    let request = unsafe { &mut *request.cast::<Request<'_>>() };
    if object.dlpi_addr != request.bias || object.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: the loader describes `dlpi_phnum` program headers at `dlpi_phdr`.
    let headers =
        unsafe { std::slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum)) };
    let at = |p: &libc::Elf64_Phdr| request.bias.wrapping_add(p.p_vaddr);
    if !headers.iter().any(|p| p.p_type == libc::PT_GNU_EH_FRAME && at(p) == request.hdr_address) {
        return 0;
    }
    let end = request.address.saturating_add(request.into.len() as u64);
    let inside = headers.iter().any(|p| {
        p.p_type == libc::PT_LOAD
            && p.p_flags & libc::PF_R != 0
            && at(p) <= request.address
            && end <= at(p).saturating_add(p.p_memsz)
    });
    if inside {
        let source = request.address as *const u8;
        let bytes = request.into.len();
        // SAFETY: the source lies in a readable segment of an object the loader keeps mapped during this call; the
        // destination is ours, of that length, and cannot overlap a file mapping.
        unsafe { std::ptr::copy_nonoverlapping(source, request.into.as_mut_ptr(), bytes) };
        request.found = true;
    }
    1
}
