//! The C library's.

use std::alloc::System;

use super::{Allocator, Statistics};

#[cfg(all(target_os = "linux", target_env = "gnu"))]
impl Allocator for System {
    fn statistics(&self) -> Option<Statistics> {
        // SAFETY: a name.
        let function = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"mallinfo2".as_ptr()) };
        // Of glibc from 2.33 on: a program linked to it would not start with an older one.
        if function.is_null() {
            return None;
        }
        // SAFETY: the function of that name, which has this type.
        let mallinfo2: unsafe extern "C" fn() -> libc::mallinfo2 =
            unsafe { std::mem::transmute(function) };
        // SAFETY: always valid to call.
        let info = unsafe { mallinfo2() };
        let (mapped, kept) = (info.hblkhd as u64, info.fordblks as u64);
        let in_arenas = info.uordblks as u64;
        let allocated = in_arenas + mapped;
        let resident = crate::source::heap::resident();
        // What was trimmed is counted as if it were there. Large objects need not be resident.
        let free = resident.map_or(kept, |all| kept.min(all.saturating_sub(in_arenas)));
        let all = (info.arena as u64 + mapped).saturating_sub(kept - free);
        Some(Statistics::new(allocated, all, free))
    }

    fn purge(&self) {
        // SAFETY: always valid to call.
        unsafe { libc::malloc_trim(0) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
impl Allocator for System {
    fn statistics(&self) -> Option<Statistics> {
        None
    }
}
