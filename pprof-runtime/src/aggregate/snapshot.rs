//! Consistent copies of live counters, and the difference of two of them.

use std::time::{Duration, SystemTime};

/// One stack and its values.
///
/// `frames` is leaf first and holds *lookup addresses*: the exact pc for an interrupted leaf, return address minus one
/// for every caller, so that each address lies inside the instruction that was running or calling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StackSample {
    pub(crate) frames: Box<[u64]>,
    /// In the order of the profile's sample types.
    pub(crate) values: [i64; 2],
    /// The stack was cut at the depth limit or ended at an unreadable frame: callers are missing at the root.
    pub(crate) truncated: bool,
}

/// A copy of one profile's counters.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// When the copy was made.
    pub(crate) time: SystemTime,
    /// The window covered; `None` for values accumulated since the process began.
    pub(crate) duration: Option<Duration>,
    /// Distinct stacks, in no particular order.
    pub(crate) stacks: Vec<StackSample>,
    /// What is missing: values that could not be attributed to a stack. Encoded as one sample each, on a function
    /// named after the reason, so that totals stay true.
    pub(crate) lost: Vec<Lost>,
    /// Remarks written into the profile's comments: engine, counters, limits met.
    pub(crate) comments: Vec<String>,
}

/// Values lost for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Shown as a function name: `pprof_runtime::lost_samples (ring full)`.
    pub(crate) reason: &'static str,
    pub(crate) values: [i64; 2],
}
