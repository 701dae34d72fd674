//! tikv-jemallocator's.

use std::ffi::CStr;
use std::ptr;

use tikv_jemalloc_sys::mallctl;
use tikv_jemallocator::Jemalloc;

use super::{Allocator, Statistics};

/// 4096 stands for all arenas: `MALLCTL_ARENAS_ALL`.
const PURGE_ALL: &CStr = c"arena.4096.purge";

impl Allocator for Jemalloc {
    fn statistics(&self) -> Option<Statistics> {
        // Numbers are of the last epoch; any value begins one.
        let mut epoch = 1_u64;
        let (place, size) = (ptr::from_mut(&mut epoch).cast(), size_of::<u64>());
        // SAFETY: written from there, of that type; what it is then is not asked for.
        unsafe {
            mallctl(c"epoch".as_ptr(), ptr::null_mut(), ptr::null_mut(), place, size);
        }
        // What is mapped and not resident costs nothing.
        let (allocated, resident) = (read(c"stats.allocated")?, read(c"stats.resident")?);
        Some(Statistics::new(allocated, resident, resident.saturating_sub(allocated)))
    }

    fn purge(&self) {
        let null = ptr::null_mut;
        // SAFETY: a name that takes and gives nothing.
        unsafe { mallctl(PURGE_ALL.as_ptr(), null(), ptr::null_mut(), null(), 0) };
    }
}

/// A number of the type `size_t`; `None` if jemalloc was built without it.
fn read(name: &CStr) -> Option<u64> {
    let (mut value, mut size) = (0_usize, size_of::<usize>());
    let place = ptr::from_mut(&mut value).cast();
    // SAFETY: of that type, with its size.
    let status = unsafe { mallctl(name.as_ptr(), place, &mut size, ptr::null_mut(), 0) };
    (status == 0).then_some(value as u64)
}
