//! The objects loaded into this process, as the loader reports them.
//!
//! Both halves that need them, the unwinder's tables and the symbolizer, read this list; neither the
//! list nor anything made from it is ever built in a signal handler: the loader takes a lock.

#[cfg_attr(target_os = "linux", path = "modules/loader_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "modules/loader_unsupported.rs")]
mod loader;

use std::path::PathBuf;

pub(crate) use loader::{current, generation};

/// One loaded ELF object.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    /// Path as the loader knows it; the main program's is resolved through `/proc/self/exe`; `[vdso]` for the vDSO.
    pub(crate) path: PathBuf,
    /// Runtime address minus link-time address.
    pub(crate) bias: u64,
    /// Loadable segments, in the loader's order (ascending).
    pub(crate) segments: Vec<Segment>,
    /// Content of the `NT_GNU_BUILD_ID` note; empty if there is none.
    pub(crate) build_id: Vec<u8>,
    /// Runtime address of `.eh_frame_hdr` and its size, from `PT_GNU_EH_FRAME`.
    pub(crate) eh_frame_hdr: Option<(u64, u64)>,
}

/// One `PT_LOAD` segment at its runtime address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Offset of `start` in the file, in bytes.
    pub(crate) file_offset: u64,
    pub(crate) executable: bool,
}

impl Module {
    /// The segment holding `address`, if it is one of this module's.
    pub(crate) fn segment_of(&self, address: u64) -> Option<&Segment> {
        self.segments.iter().find(|s| (s.start..s.end).contains(&address))
    }
}

/// Version of the loader's list: it changes whenever an object comes or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation {
    adds: u64,
    subs: u64,
}
