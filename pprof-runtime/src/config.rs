//! Rates and limits, each with its unit.

/// Most frames kept of one stack; what lies further towards the root is cut and the stack marked truncated.
///
/// Go keeps 64 for CPU and 128 elsewhere; Rust stacks are deeper before inlining is expanded, so one limit serves all.
pub const MAX_DEPTH_FRAMES: usize = 128;

/// CPU sampling rate used by `cpu::start()`, in samples per second of CPU time; Go's.
pub const DEFAULT_CPU_RATE_HZ: u32 = 100;

/// Highest CPU sampling rate accepted, in samples per second of CPU time.
///
/// The kernel's tick caps delivered signals far below this; the rest arrives as timer overrun, that is as weight.
pub const MAX_CPU_RATE_HZ: u32 = 10_000;

/// Mean number of bytes allocated between two samples of the `heap` and `allocs` profiles; Go's. For
/// [`set_mem_profile_rate`](crate::set_mem_profile_rate).
pub const DEFAULT_MEM_PROFILE_RATE: u64 = 512 * 1024;

/// Longest call path of annotated functions, in frames. Recursion beyond it folds into its last frame; other calls beyond it are
/// counted on `pprof_runtime::lost_calls`.
pub const MAX_CALL_DEPTH: u32 = 128;

/// Call paths of annotated functions kept for all running threads, each some 300 to 400 bytes; calls on further ones are counted on
/// `pprof_runtime::lost_calls`. While the table that a thread finds its paths by is doubled the thread stands still, for 0.1 µs a path.
pub const MAX_CALL_PATHS: usize = 262_144;

/// Call paths kept of threads that ended, each up to 1 KiB; calls on further ones are counted on `pprof_runtime::lost_calls`.
pub const MAX_ENDED_CALL_PATHS: usize = 65_536;

/// Label sets kept for one CPU profile, each as large as its text and some 200 bytes; samples with further ones are labelled
/// `labels=overflow`. Of the 32 768 stacks of a profile half may have labels: those are told apart first.
pub const MAX_SAMPLED_LABEL_SETS: usize = 65_536;

/// Label sets kept for profiles that accumulate while the program runs, all taken together; what is recorded with further ones is labelled
/// `labels=overflow`. Of the 16 384 stacks of each of these profiles half may have labels.
pub const MAX_RECORDED_LABEL_SETS: usize = 16_384;

/// Sets of labels that calls of one function from one path are told apart by, in each thread; calls with further ones are labelled
/// `labels=overflow`.
pub const MAX_PATH_LABEL_SETS: usize = 256;

/// Values of one key that profiles that accumulate while the program runs tell apart; samples with further ones have the value
/// `(overflow)`, and their other labels. 2 KiB for each key.
pub const MAX_LABEL_VALUES: usize = 128;

/// Keys whose values are told apart there: the first that sets are made with, be they recorded or not. All values of further ones are
/// `(overflow)`.
pub const MAX_LABEL_KEYS: usize = 256;

/// Labels of one set; of more, those whose keys come last in the alphabet are left out.
pub const MAX_LABELS: usize = 64;

/// Bytes kept of a label's key, and of its value; what is longer is cut there.
pub const MAX_LABEL_BYTES: usize = 256;

/// Stands for the values that found no room.
pub(crate) const OVERFLOW_VALUE: &str = "(overflow)";

/// How a set that found no room is shown.
pub(crate) const OVERFLOW_LABEL: (&str, &str) = ("labels", "overflow");

/// Stands for the sets that found no room. No set has this number; 0 is that of no set.
pub(crate) const OVERFLOW_LABELS: u64 = 1;

/// Instances of generic functions with `#[profile(generic = each)]` that have a site of their own, in the whole process, each about 150
/// bytes; calls of further ones are counted on the function as a whole, and in a comment of the profile.
pub const MAX_GENERIC_INSTANCES: usize = 4096;

/// Call paths of running threads whose calls' durations are kept, each 6 KiB; those of further paths are in no percentile, and in a
/// comment of the profile. See [`set_function_histograms`](crate::set_function_histograms).
pub const MAX_HISTOGRAMS: usize = 4096;
