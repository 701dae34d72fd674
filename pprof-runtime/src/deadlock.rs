//! Who waits for whom, and which of the waits will never end.
//!
//! ```no_run
//! # fn main() -> Result<(), pprof_runtime::Error> {
//! let interval = std::time::Duration::from_secs(10);
//! let _watchdog = pprof_runtime::deadlock::watch(interval, |deadlock| eprintln!("{deadlock}"))?;
//! # Ok(()) }
//! ```
//!
//! The waits are those on the locks, channels and joins of this crate, of whatever kind, in one graph; they are known whether or not a profile is
//! on. [`find`] looks for deadlocks once, [`watch`] again and again, [`snapshot`] shows all waits. So does the server, at
//! `/debug/pprof/deadlocks`: as text, with `debug=2` also with the stacks; `debug=0` is no other form, but the same as `debug=1`.
//!
//! # What is a deadlock
//! Threads of which each waits for a lock that the next one holds, or for its end, and the last for the first; a thread that locks twice is one by
//! itself. What is reported is true: each of them was seen to wait from before the holders were read until after, so none can have released
//! anything in between, nor can it ever. Waits with a timeout end by themselves and are part of none; so are waits for a condition, a message or
//! a permit, which anybody may send.
//!
//! If tasks are among them, or guards that may go to other threads, or readers who wait in line behind a writer, that much cannot be proved: a task's
//! wait can be cancelled, its guard may be in the hands of another. Such a deadlock is reported once it has lasted a tenth of a second, and [says](Deadlock::is_certain) that it is only
//! likely.
//!
//! # What is not found
//! Deadlocks through locks that are not ours, and through the readers of a lock of whom another one has read it since: the last is
//! known.
//!
//! # Overhead
//! None while nobody waits: what is looked at is written by waits, before they sleep. A search takes microseconds while few threads wait, and a few
//! milliseconds with 16 384 waits. Names and lines of a report are read from the program's debug information, which takes longer the first time.

use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::encode::is_internal;
use crate::error::{Error, ErrorKind};
use crate::source::contention::wait_graph::{self, Cycle, Graph, Stack, Watch};
use crate::source::contention::{Actor as Id, write_name};
use crate::symbol::Symbols;

/// All waits in progress, and the deadlocks among them.
///
/// Takes a tenth of a second if there is something that may be a deadlock without being one for certain.
///
/// # Examples
/// ```
/// let graph = pprof_runtime::deadlock::snapshot();
/// assert!(graph.deadlocks().is_empty());
/// println!("{graph}");
/// ```
#[must_use]
pub fn snapshot() -> WaitGraph {
    wait_graph(Stacks::All)
}

/// The deadlocks at the moment; empty where there is none, and on platforms where they cannot be found (all but Linux).
///
/// Takes a tenth of a second if there is something that may be a deadlock without being one for certain.
#[must_use]
pub fn find() -> Vec<Deadlock> {
    let graph = wait_graph::search();
    let report = Report::new(&graph, Stacks::Deadlocks);
    graph.cycles.iter().map(|cycle| report.deadlock(cycle)).collect()
}

/// Looks for deadlocks every `interval`, and calls `on_deadlock` once for each that is found, until the result is dropped.
///
/// The call is made in a thread of ours, which has its name, `pprof-deadlock`, from the system: std knows none. Signals to the process are
/// blocked there, and in processes that it starts. It must not wait for what may be part of the deadlock: dropping the watchdog waits for it.
/// If it panics, the watchdog goes on.
///
/// # Errors
/// `InvalidInput` if `interval` is zero, `Unsupported` where deadlocks cannot be found, `System` if there is no thread to be had.
///
/// # Overhead
/// Waits that go to sleep look at the clock as if a profile was on, so that a report can say how long they have lasted.
pub fn watch(
    interval: Duration,
    mut on_deadlock: impl FnMut(&Deadlock) + Send + 'static,
) -> Result<Watchdog, Error> {
    if interval.is_zero() {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "cannot watch for deadlocks at an interval of zero: give a duration such as 10 seconds",
        ));
    }
    if !wait_graph::SUPPORTED {
        let message =
            "watching for deadlocks is not supported on this platform yet: it needs Linux";
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let found = move |graph: &Graph, cycle: &Cycle| {
        on_deadlock(&Report::new(graph, Stacks::Deadlocks).deadlock(cycle));
    };
    match Watch::start(interval, found) {
        Ok(watch) => Ok(Watchdog { _watch: watch }),
        Err(e) => {
            let message = format!("cannot start the thread that watches for deadlocks: {e}");
            Err(Error::with_source(ErrorKind::System, message, e))
        }
    }
}

/// Looks for deadlocks until it is dropped; made by [`watch`].
#[derive(Debug)]
#[must_use = "dropping the watchdog stops it"]
pub struct Watchdog {
    _watch: Watch,
}

impl Watchdog {
    /// Watches until the process ends.
    pub fn detach(self) {
        std::mem::forget(self);
    }
}

/// Which waits a report has stacks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stacks {
    None,
    Deadlocks,
    All,
}

pub(crate) fn wait_graph(stacks: Stacks) -> WaitGraph {
    let graph = wait_graph::search();
    let report = Report::new(&graph, stacks);
    let deadlocks = graph.cycles.iter().map(|cycle| report.deadlock(cycle)).collect();
    let mut waits: Vec<Wait> = (0..graph.waits.len()).filter_map(|i| report.wait(i)).collect();
    // Stable, so that those without a time stay as they are.
    waits.sort_by_key(|wait| std::cmp::Reverse(wait.waited));
    WaitGraph { deadlocks, waits, untracked: wait_graph::untracked() }
}

/// Number of deadlocks that are certain.
pub(crate) fn count() -> usize {
    wait_graph::count()
}

/// Who waits for whom; see [`snapshot`].
#[derive(Clone, Debug)]
pub struct WaitGraph {
    deadlocks: Vec<Deadlock>,
    waits: Vec<Wait>,
    untracked: u64,
}

impl WaitGraph {
    /// The deadlocks, in no particular order.
    #[must_use]
    pub fn deadlocks(&self) -> &[Deadlock] {
        &self.deadlocks
    }

    /// All waits, those of deadlocks too; the longest first, and those whose length is not known last.
    #[must_use]
    pub fn waits(&self) -> &[Wait] {
        &self.waits
    }

    /// Waits so far for which there was no room: while they go on, they are in no graph.
    #[must_use]
    pub fn untracked(&self) -> u64 {
        self.untracked
    }
}

/// Waits each for the next, the last for the first.
#[derive(Clone, Debug)]
pub struct Deadlock {
    waits: Vec<Wait>,
    behind: Vec<Wait>,
    certain: bool,
}

impl Deadlock {
    /// Each for the next, the last for the first.
    #[must_use]
    pub fn waits(&self) -> &[Wait] {
        &self.waits
    }

    /// Further waits that will not end either, in no particular order: what they wait for is held by one of these or of
    /// [`waits`](Deadlock::waits).
    #[must_use]
    pub fn behind(&self) -> &[Wait] {
        &self.behind
    }

    /// It will not end. If not, tasks are part of it, or readers behind a writer, and it has lasted a while: see the
    /// [module](self).
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.certain
    }
}

/// A wait in progress.
#[derive(Clone, Debug)]
pub struct Wait {
    waiter: Actor,
    task: Option<Actor>,
    kind: &'static str,
    lock: Option<String>,
    site: Option<&'static Location<'static>>,
    holder: Option<Holder>,
    ends_after: Option<Actor>,
    waited: Option<Duration>,
    timed: bool,
    stack: Vec<Frame>,
    truncated: bool,
}

impl Wait {
    /// Who waits.
    #[must_use]
    pub fn waiter(&self) -> &Actor {
        &self.waiter
    }

    /// The task that the waiting thread runs, if it runs one that is known.
    #[must_use]
    pub fn task(&self) -> Option<&Actor> {
        self.task.as_ref()
    }

    /// What is waited for: `mutex`, `rwlock-read`, `channel-recv`, `join`, ...
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Name or creation site of the lock or channel.
    #[must_use]
    pub fn lock(&self) -> Option<&str> {
        self.lock.as_deref()
    }

    /// The call that waits.
    #[must_use]
    pub fn site(&self) -> Option<&'static Location<'static>> {
        self.site
    }

    /// Who holds the lock; of several readers the one that is known.
    #[must_use]
    pub fn holder(&self) -> Option<&Holder> {
        self.holder.as_ref()
    }

    /// Who has to go on before this wait can end: the holder, the thread whose end is waited for, or a writer in line. `None` if it may end
    /// otherwise.
    #[must_use]
    pub fn ends_after(&self) -> Option<&Actor> {
        self.ends_after.as_ref()
    }

    /// For how long, if the `block` or `mutex` profile or a [watchdog](watch) was on when it began.
    #[must_use]
    pub fn waited(&self) -> Option<Duration> {
        self.waited
    }

    /// Whether it ends by itself after a time.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        self.timed
    }

    /// Where it waits, leaf first, inlined calls apart. Of a task, where it was polled when it began to wait, if the `block` profile was on. Empty if
    /// it is not known.
    #[must_use]
    pub fn stack(&self) -> &[Frame] {
        &self.stack
    }

    /// Whether callers are missing at the root of the stack.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }
}

/// Who holds a lock.
#[derive(Clone, Debug)]
pub struct Holder {
    actor: Actor,
    site: Option<&'static Location<'static>>,
    shared: bool,
}

impl Holder {
    /// The thread or task that took the lock.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Where it was taken.
    #[must_use]
    pub fn site(&self) -> Option<&'static Location<'static>> {
        self.site
    }

    /// Whether others may hold it as well, as readers do.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared
    }
}

/// A thread or a task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Actor {
    id: Id,
    name: String,
    kernel: Option<u32>,
}

impl Actor {
    fn new(id: Id) -> Actor {
        let mut name = String::new();
        // A `String` takes everything.
        let _ = write_name(&id.name(), &mut name);
        Actor { id, name, kernel: id.identity().map(|(kernel, _)| kernel).filter(|k| *k != 0) }
    }

    fn known(id: Id) -> Option<Actor> {
        (id != Id::NOBODY).then(|| Actor::new(id))
    }

    /// A thread's name, of which the system keeps 15 bytes; `thread` if it is not known, `task` if it is one.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kernel's number of the thread.
    #[must_use]
    pub fn thread_id(&self) -> Option<u32> {
        self.kernel
    }

    /// The number that the task has in its runtime.
    #[must_use]
    pub fn task_id(&self) -> Option<u64> {
        self.id.is_task().then(|| self.id.number())
    }
}

/// A call on a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    address: u64,
    function: Option<String>,
    file: Option<String>,
    line: u32,
}

impl Frame {
    /// In the instruction that calls.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.address
    }

    /// The function, demangled.
    #[must_use]
    pub fn function(&self) -> Option<&str> {
        self.function.as_deref()
    }

    /// Its source file.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The line of the call; zero if unknown.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line
    }
}

/// From a graph to what is shown of it.
struct Report<'g> {
    graph: &'g Graph,
    stacks: HashMap<usize, Stack>,
    symbols: Symbols,
}

impl<'g> Report<'g> {
    fn new(graph: &'g Graph, stacks: Stacks) -> Report<'g> {
        let wanted: Vec<usize> = match stacks {
            Stacks::None => Vec::new(),
            Stacks::Deadlocks => {
                graph.cycles.iter().flat_map(|cycle| cycle.waits.iter().copied()).collect()
            }
            Stacks::All => (0..graph.waits.len()).collect(),
        };
        let stacks = match wanted.is_empty() {
            true => HashMap::new(),
            false => graph.stacks(wanted.into_iter()),
        };
        let symbols = Symbols::of(stacks.values().flat_map(|s| s.frames.iter().copied()));
        Report { graph, stacks, symbols }
    }

    fn deadlock(&self, cycle: &Cycle) -> Deadlock {
        let waits = |indices: &[usize]| indices.iter().filter_map(|i| self.wait(*i)).collect();
        let (waits, behind) = (waits(&cycle.waits), waits(&cycle.behind));
        Deadlock { waits, behind, certain: cycle.certain }
    }

    fn wait(&self, index: usize) -> Option<Wait> {
        let wait = self.graph.waits.get(index)?;
        let entry = &wait.waiting.entry;
        let stack = self.stacks.get(&index);
        Some(Wait {
            waiter: Actor::new(entry.actor),
            task: Actor::known(entry.task),
            kind: entry.tag.kind().unwrap_or("other"),
            lock: entry.tag.lock(),
            site: entry.site,
            holder: wait.holder.map(|holder| Holder {
                actor: Actor::new(holder.actor),
                site: holder.site,
                shared: holder.shared,
            }),
            ends_after: wait.ends_after.and_then(Actor::known),
            waited: wait.waited(),
            timed: entry.timed,
            stack: stack.map(|stack| self.frames(stack)).unwrap_or_default(),
            truncated: stack.is_some_and(|stack| stack.truncated),
        })
    }

    /// Without our own frames at the leaf.
    fn frames(&self, stack: &Stack) -> Vec<Frame> {
        let mut frames: Vec<Frame> = Vec::new();
        for address in &stack.frames {
            let lines = self.symbols.get(*address).map_or(&[][..], |resolved| &resolved.frames);
            let frame = |function, file, line| Frame { address: *address, function, file, line };
            if lines.is_empty() {
                frames.push(frame(None, None, 0));
            }
            let lines = lines.iter().map(|l| frame(Some(l.name.clone()), l.file.clone(), l.line));
            frames.extend(lines);
        }
        let ours = |frame: &Frame| frame.function.as_deref().is_some_and(is_internal);
        match frames.iter().position(|frame| !ours(frame)) {
            Some(users) => frames.split_off(users),
            None => frames,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.task_id(), self.kernel) {
            (Some(task), _) => write!(f, "task {task}"),
            (None, Some(kernel)) => write!(f, "thread {:?} ({kernel})", self.name),
            (None, None) => write!(f, "thread {:?} (#{})", self.name, self.id.number()),
        }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.function {
            Some(function) => f.write_str(function)?,
            None => write!(f, "{:#x}", self.address)?,
        }
        match &self.file {
            Some(file) => write!(f, " ({file}:{})", self.line),
            None => Ok(()),
        }
    }
}

/// In one line, without the stack.
impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_waiter(f)?;
        f.write_str(" waits for ")?;
        self.write_what(f)?;
        if let Some(holder) = &self.holder {
            write!(f, ", {holder}")?;
        }
        Ok(())
    }
}

impl Wait {
    fn write_waiter(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.waiter)?;
        if let Some(task) = &self.task {
            write!(f, ", which runs {task},")?;
        }
        Ok(())
    }

    fn write_what(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        if let Some(lock) = &self.lock {
            write!(f, " ({lock})")?;
        }
        match (&self.ends_after, &self.holder) {
            (Some(actor), None) => write!(f, " of {actor}")?,
            (Some(actor), Some(holder)) if *actor != holder.actor => {
                write!(f, " behind {actor}")?;
            }
            _ => {}
        }
        if let Some(site) = self.site {
            write!(f, " at {site}")?;
        }
        if let Some(waited) = self.waited {
            write!(f, " for {waited:.3?}")?;
        }
        if self.timed { f.write_str(", up to a timeout") } else { Ok(()) }
    }

    fn write_stack(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for frame in &self.stack {
            writeln!(f, "        {frame}")?;
        }
        if self.truncated { writeln!(f, "        ...") } else { Ok(()) }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "held by {}", self.actor)?;
        if self.shared {
            f.write_str(" and perhaps others")?;
        }
        self.site.map_or(Ok(()), |site| write!(f, ", taken at {site}"))
    }
}

/// Who waits for whom, line by line, each with its stack if that is known.
impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let likely = if self.certain { "Deadlock" } else { "Likely deadlock" };
        let tasks = |wait: &Wait| wait.task.is_some() || wait.waiter.task_id().is_some();
        let who = if self.waits.iter().any(tasks) { "threads and tasks" } else { "threads" };
        match self.waits.len() {
            1 => writeln!(f, "{likely}: {} waits for itself", self.waits[0].waiter)?,
            n => writeln!(f, "{likely}: {n} {who} wait for each other")?,
        }
        for wait in &self.waits {
            writeln!(f)?;
            wait.write_waiter(f)?;
            f.write_str("\n    waits for ")?;
            wait.write_what(f)?;
            writeln!(f)?;
            if let Some(holder) = &wait.holder {
                writeln!(f, "    {holder}")?;
            }
            wait.write_stack(f)?;
        }
        if !self.behind.is_empty() {
            writeln!(f, "\nBehind it:")?;
        }
        self.behind.iter().try_for_each(|wait| writeln!(f, "    {wait}"))
    }
}

/// The deadlocks, then all waits.
impl fmt::Display for WaitGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "deadlocks: {}\nwaits: {}", self.deadlocks.len(), self.waits.len())?;
        if self.untracked > 0 {
            writeln!(f, "waits not shown, for want of room, so far: {}", self.untracked)?;
        }
        if !wait_graph::SUPPORTED {
            writeln!(f, "deadlocks cannot be found on this platform yet")?;
        }
        for deadlock in &self.deadlocks {
            write!(f, "\n{deadlock}")?;
        }
        if !self.waits.is_empty() {
            writeln!(f, "\nAll waits:")?;
        }
        for wait in &self.waits {
            writeln!(f, "    {wait}")?;
            wait.write_stack(f)?;
        }
        Ok(())
    }
}
