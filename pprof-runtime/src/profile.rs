//! Profiles by name, as `runtime/pprof` has them: `lookup`, `profiles`, and what a snapshot can be written as.

use std::fmt;
use std::io::Write;
use std::time::{Duration, Instant};

use crate::aggregate::path_snapshot::PathSnapshot;
use crate::aggregate::snapshot::Snapshot;
use crate::error::{Error, ErrorKind};
use crate::report::Table;
use crate::source::{contention, functions, heap};
use crate::{encode, text};

/// An encoded profile: what was recorded, with names, files and lines.
#[derive(Clone, Debug)]
pub struct Profile {
    name: &'static str,
    proto: pprof_format::Profile,
    /// What the text form begins with.
    table: Option<Table>,
}

impl Profile {
    pub(crate) fn new(name: &'static str, proto: pprof_format::Profile) -> Self {
        Profile { name, proto, table: None }
    }

    /// The kind of profile: `cpu`, or the name it was looked up by.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Writes the gzip-compressed `profile.proto` that `go tool pprof` reads.
    ///
    /// # Errors
    /// `Io` if the writer fails.
    ///
    /// # Examples
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let profile = pprof_runtime::lookup("mutex").expect("built in").snapshot()?;
    /// profile.write_to(std::fs::File::create("mutex.pb.gz")?)?;
    /// # Ok(()) }
    /// ```
    pub fn write_to(&self, writer: impl Write) -> Result<(), Error> {
        self.proto.write_to(writer).map_err(|e| self.cannot_write(e))
    }

    /// Writes the profile as text, in the layout of Go's `?debug=1`. That of `functions` begins with [`report::table`](crate::report::table).
    ///
    /// # Errors
    /// `Io` if the writer fails.
    pub fn write_text(&self, mut writer: impl Write) -> Result<(), Error> {
        let write = |writer: &mut dyn Write| {
            text::write(self.name, &self.proto, self.table.as_ref(), writer)?;
            // Of a window they would be of another time.
            if matches!(self.name, "heap" | "allocs") && self.proto.duration_nanos == 0 {
                text::Memory::now().write(&self.proto, writer)?;
            }
            writer.flush()
        };
        write(&mut writer).map_err(|e| self.cannot_write(e))
    }

    /// The decoded form.
    #[must_use]
    pub fn proto(&self) -> &pprof_format::Profile {
        &self.proto
    }

    fn cannot_write(&self, e: std::io::Error) -> Error {
        Error::with_source(ErrorKind::Io, format!("cannot write the {} profile: {e}", self.name), e)
    }
}

/// One of the profiles that accumulate while the program runs.
///
/// Counters only grow, from the start of the process; see [`Source::delta`] for what happens in a window.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Source(&'static Kind);

struct Kind {
    name: &'static str,
    description: &'static str,
    count: fn() -> usize,
    snapshot: fn() -> Result<Encoded, Error>,
    reset: fn(),
    /// Two snapshots and the time between them, which the argument waits for.
    delta: fn(Wait<'_>) -> Result<Encoded, Error>,
}

/// A profile, and the table of one that has it.
type Encoded = (pprof_format::Profile, Option<Table>);

fn encode_stacks<const N: usize>(
    shape: &encode::Shape<N>,
    snapshot: &Snapshot<N>,
) -> Result<Encoded, Error> {
    Ok((encode::stacks(shape, snapshot)?, None))
}

fn encode_functions(snapshot: &PathSnapshot) -> Result<Encoded, Error> {
    Ok((encode::functions(snapshot)?, Some(Table::of(snapshot))))
}

/// Lets the window of a delta pass; an error ends it.
type Wait<'a> = &'a mut dyn FnMut() -> Result<(), Error>;

fn encode_heap(
    shape: fn(u64) -> encode::Shape<4>,
    snapshot: &Snapshot<4>,
) -> Result<Encoded, Error> {
    encode_stacks(&shape(heap::rate()), snapshot)
}

fn heap_snapshot(shape: fn(u64) -> encode::Shape<4>) -> Result<Encoded, Error> {
    encode_heap(shape, &heap::snapshot()?)
}

fn heap_delta(shape: fn(u64) -> encode::Shape<4>, wait: Wait<'_>) -> Result<Encoded, Error> {
    let before = heap::snapshot()?;
    wait()?;
    encode_heap(shape, &before.change_until(heap::snapshot()?))
}

/// Sorted by name.
static KINDS: [Kind; 6] = [
    Kind {
        name: "allocs",
        description: "Every allocation since the start, by the stack that made it. Switch it on with \
                      set_mem_profile_rate, in a program whose allocator is an Alloc.",
        count: heap::count,
        reset: heap::reset,
        snapshot: || heap_snapshot(encode::allocs),
        delta: |wait| heap_delta(encode::allocs, wait),
    },
    Kind {
        name: "block",
        description: "Waits on locks and channels, by the stack that waited. Switch it on with \
                      set_block_profile_rate.",
        count: contention::block_count,
        reset: contention::reset_block,
        snapshot: || encode_stacks(&encode::BLOCK, &contention::block_snapshot()?),
        delta: |wait| {
            let before = contention::block_snapshot()?;
            wait()?;
            encode_stacks(&encode::BLOCK, &before.until(contention::block_snapshot()?))
        },
    },
    Kind {
        name: "functions",
        description: "Calls and time of functions annotated with #[profile], by call path. Switch it \
                      on with set_function_profile.",
        count: functions::count,
        reset: functions::reset,
        snapshot: || encode_functions(&functions::snapshot()),
        delta: |wait| {
            let before = functions::snapshot();
            wait()?;
            encode_functions(&functions::snapshot().since(&before))
        },
    },
    Kind {
        name: "heap",
        description: "What is allocated and not yet freed, by the stack that allocated it. Switch it \
                      on with set_mem_profile_rate, in a program whose allocator is an Alloc.",
        count: heap::count,
        reset: heap::reset,
        snapshot: || heap_snapshot(encode::heap),
        delta: |wait| heap_delta(encode::heap, wait),
    },
    Kind {
        name: "hold",
        description: "How long locks are held, by the stack that released them. Switch it on with \
                      set_hold_profile_rate.",
        count: contention::hold_count,
        reset: contention::reset_hold,
        snapshot: || encode_stacks(&encode::HOLD, &contention::hold_snapshot()?),
        delta: |wait| {
            let before = contention::hold_snapshot()?;
            wait()?;
            encode_stacks(&encode::HOLD, &before.until(contention::hold_snapshot()?))
        },
    },
    Kind {
        name: "mutex",
        description: "Waits on locks, by the stack that unlocked and so ended them. Switch it on with \
                      set_mutex_profile_fraction.",
        count: contention::mutex_count,
        reset: contention::reset_mutex,
        snapshot: || encode_stacks(&encode::MUTEX, &contention::mutex_snapshot()?),
        delta: |wait| {
            let before = contention::mutex_snapshot()?;
            wait()?;
            encode_stacks(&encode::MUTEX, &before.until(contention::mutex_snapshot()?))
        },
    },
];

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Kind {}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.0.name).finish()
    }
}

/// Every profile that accumulates, sorted by name. The `cpu` profile is not among them: see [`crate::cpu`].
#[must_use]
pub fn profiles() -> Vec<Source> {
    KINDS.iter().map(Source).collect()
}

/// The profile of that name, if there is one.
///
/// # Examples
/// ```
/// assert_eq!(pprof_runtime::lookup("mutex").unwrap().name(), "mutex");
/// assert!(pprof_runtime::lookup("no such profile").is_none());
/// ```
#[must_use]
pub fn lookup(name: &str) -> Option<Source> {
    KINDS.iter().find(|kind| kind.name == name).map(Source)
}

impl Source {
    /// The name that [`lookup`] knows it by.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// One sentence on what it shows.
    #[must_use]
    pub fn description(&self) -> &'static str {
        self.0.description
    }

    /// Number of distinct stacks recorded.
    #[must_use]
    pub fn count(&self) -> usize {
        (self.0.count)()
    }

    /// What has been recorded since the process began.
    ///
    /// # Errors
    /// `Unsupported` on platforms whose stacks cannot be captured yet.
    pub fn snapshot(&self) -> Result<Profile, Error> {
        let (proto, table) = heap::unobserved(|| (self.0.snapshot)())?;
        Ok(Profile { name: self.name(), proto, table })
    }

    /// Sets every value back to zero: later snapshots begin here. What is recorded at this very moment may be in or not.
    ///
    /// Not in Go, whose values only grow. Deltas that are being collected miss what was before.
    pub fn reset(&self) {
        (self.0.reset)();
    }

    /// What is recorded during `window` from now; blocks for that long, or until `cancelled` says so.
    ///
    /// # Errors
    /// `Cancelled` if it was; otherwise as [`snapshot`](Source::snapshot).
    pub fn delta(&self, window: Duration, cancelled: &dyn Fn() -> bool) -> Result<Profile, Error> {
        // What is allocated for the profile is not the program's.
        let (proto, table) = heap::unobserved_but(|observed| {
            let cancelled = || {
                let mut is_cancelled = false;
                observed(&mut || is_cancelled = cancelled());
                is_cancelled
            };
            (self.0.delta)(&mut || wait(window, &cancelled))
        })?;
        Ok(Profile { name: self.name(), proto, table })
    }
}

/// Sleeps for `window`, asking `cancelled` ten times a second.
pub(crate) fn wait(window: Duration, cancelled: &dyn Fn() -> bool) -> Result<(), Error> {
    const ASK: Duration = Duration::from_millis(100);
    let start = Instant::now();
    loop {
        if cancelled() {
            return Err(Error::new(ErrorKind::Cancelled, "the collection was cancelled"));
        }
        let left = window.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(ASK));
    }
}
