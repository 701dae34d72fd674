//! What each kind of profile looks like.

use super::{allocators, is_internal};

/// What a kind of profile looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape<const N: usize = 2> {
    pub(super) sample_types: [(&'static str, &'static str); N],
    /// Of the sample types the one that readers show first; the last of all if empty.
    pub(super) default_type: &'static str,
    pub(super) period: (&'static str, &'static str, i64),
    /// Frames that are trimmed from the leaf side: ours and the primitive's own.
    pub(super) hide: fn(&str) -> bool,
    /// What labels of ours are called; the program's with such a key are shown as `user.kind` and so on.
    pub(super) labels: &'static [&'static str],
    /// Whether trimmed frames tell what type of object it is.
    pub(super) types: bool,
    /// Of waits seen as system calls those on locks alone are shown.
    pub(super) locks_alone: bool,
}

const CONTENTION: Shape = Shape {
    sample_types: [("contentions", "count"), ("delay", "nanoseconds")],
    default_type: "",
    period: ("contentions", "count", 1),
    hide: is_internal,
    labels: &["kind", "lock", "holder", "phase", "state"],
    types: false,
    locks_alone: false,
};

/// Shape of the `mutex` profile, Go's.
pub(crate) const MUTEX: Shape = Shape { locks_alone: true, ..CONTENTION };

/// Shape of the `block` profile, Go's.
pub(crate) const BLOCK: Shape = CONTENTION;

/// Shape of the `hold` profile, which Go has not.
pub(crate) const HOLD: Shape = Shape {
    sample_types: [("holds", "count"), ("held", "nanoseconds")],
    period: ("holds", "count", 1),
    ..CONTENTION
};

/// Shape of the `heap` profile, Go's, at a rate in bytes.
pub(crate) fn heap(rate: u64) -> Shape<4> {
    Shape {
        sample_types: [
            ("alloc_objects", "count"),
            ("alloc_space", "bytes"),
            ("inuse_objects", "count"),
            ("inuse_space", "bytes"),
        ],
        default_type: "",
        period: ("space", "bytes", i64::try_from(rate).unwrap_or(i64::MAX)),
        hide: allocators::is_internal,
        labels: &["thread", "type", "lifetime", "bytes", "age"],
        types: true,
        locks_alone: false,
    }
}

/// Shape of the `allocs` profile, Go's: as `heap`, with what was allocated first.
pub(crate) fn allocs(rate: u64) -> Shape<4> {
    Shape { default_type: "alloc_space", ..heap(rate) }
}

/// Objects and bytes under these names, of the heap's samples.
pub(crate) fn objects(names: [&'static str; 2], rate: u64) -> Shape {
    let Shape { default_type, period, hide, labels, types, locks_alone, .. } = heap(rate);
    let sample_types = [(names[0], "count"), (names[1], "bytes")];
    Shape { sample_types, default_type, period, hide, labels, types, locks_alone }
}

/// Shape of the `cpu` profile, Go's.
pub(crate) fn cpu(rate_hz: u32) -> Shape {
    Shape {
        sample_types: [("samples", "count"), ("cpu", "nanoseconds")],
        default_type: "",
        period: ("cpu", "nanoseconds", 1_000_000_000 / i64::from(rate_hz.max(1))),
        hide: |_| false,
        labels: &[],
        types: false,
        locks_alone: false,
    }
}
