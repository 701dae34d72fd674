//! Objects that were freed with another layout than they were allocated with, as a text.

use std::alloc::Layout;
use std::fmt;

use pprof_format::Sample;

use super::frames::{Frame, frames};
use crate::encode;
use crate::error::Error;
use crate::source::heap;
use crate::tables::Tables;

/// An object that was freed, or reallocated, with another layout than it was allocated with; found by [`mismatches`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Mismatch {
    /// With what it was allocated.
    pub allocated: Layout,
    /// With what it was freed.
    pub freed: Layout,
    /// Who allocated it: leaf first, inlined ones too.
    pub frames: Vec<Frame>,
}

/// Of the samples that were freed with another layout than they were allocated with, which is undefined behaviour, the first 16.
///
/// Where C code frees what Rust allocated, one may be another object that got the address of a sample, freed as it should be.
///
/// How many there were is in the comments of the `heap` profile. To find all of them, sample every object: `set_mem_profile_rate(1)`.
///
/// # Errors
/// As [`Source::snapshot`](crate::Source::snapshot).
pub fn mismatches() -> Result<Vec<Mismatch>, Error> {
    heap::unobserved(|| {
        let found = heap::first_mismatches();
        let shape = encode::objects(["objects", "space"], heap::rate());
        let stacks = heap::stacks(found.iter().map(|mismatch| mismatch.frames.clone()));
        let profile = encode::stacks(&shape, &stacks)?;
        let tables = Tables::of(&profile);
        let mismatch = |(found, sample): (heap::Mismatch, &Sample)| Mismatch {
            allocated: found.allocated,
            freed: found.freed,
            frames: frames(&tables, &sample.location_id),
        };
        Ok(found.into_iter().zip(&profile.sample).map(mismatch).collect())
    })
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mismatch { allocated, freed, frames } = self;
        writeln!(
            f,
            "freed with size {} and alignment {}, but allocated with size {} and alignment {}, by",
            freed.size(),
            freed.align(),
            allocated.size(),
            allocated.align()
        )?;
        frames.iter().try_for_each(|frame| writeln!(f, "    {frame}"))
    }
}
