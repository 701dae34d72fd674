//! Who waits and who holds: threads by numbers of our own, tasks by their runtime's.
//!
//! A thread's number costs one look at thread-local memory; its name is asked for once, when it first uses a lock.

use std::cell::Cell;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::capture::thread::{self, Name};

/// A thread or a task.
///
/// | bits  | content                             |
/// |-------|-------------------------------------|
/// | 0..63 | the number; zero is nobody          |
/// | 63    | a task's                            |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Actor(u64);

const TASK: u64 = 1 << 63;

impl Actor {
    pub(crate) const NOBODY: Actor = Actor(0);

    /// The calling thread.
    #[inline]
    pub(crate) fn thread() -> Actor {
        let number = NUMBER.get();
        if number == 0 { register() } else { Actor(number) }
    }

    /// A thread that is yet to start, and is to call `begin` when it does.
    pub(crate) fn reserve() -> Actor {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // ORDERING: Relaxed: a counter.
        Actor(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The calling thread is this one.
    pub(crate) fn begin(self) {
        NUMBER.set(self.0);
        if let Some(entry) = NAMES.get(self.0 as usize % NAMES.len()) {
            entry.write(self.0, thread::identify());
        }
    }

    /// The calling thread is another actor from now on, which gets its number when it is asked for.
    pub(crate) fn end_thread() {
        NUMBER.set(0);
    }

    /// The calling thread, or nobody if it has never been asked for: without the call that `thread` may take.
    #[inline]
    pub(crate) fn known_thread() -> Actor {
        Actor(NUMBER.get())
    }

    /// The task that the calling thread runs, or nobody.
    pub(crate) fn running_task() -> Actor {
        #[cfg(all(feature = "tokio", feature = "instrument"))]
        return crate::tokio::running_task().unwrap_or(Actor::NOBODY);
        #[cfg(not(all(feature = "tokio", feature = "instrument")))]
        Actor::NOBODY
    }

    /// As `running_task`, without the allocation that a thread's first question may cost; nobody, before that.
    #[allow(dead_code, reason = "of waits in code that is not ours")]
    pub(crate) fn known_task() -> Actor {
        #[cfg(all(feature = "tokio", feature = "instrument"))]
        return crate::tokio::known_task().unwrap_or(Actor::NOBODY);
        #[cfg(not(all(feature = "tokio", feature = "instrument")))]
        Actor::NOBODY
    }

    /// The task that its runtime gave this number.
    pub(crate) fn task(number: u64) -> Actor {
        Actor(number | TASK)
    }

    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Actor {
        Actor(bits)
    }

    #[inline]
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    pub(crate) fn is_task(self) -> bool {
        self.0 & TASK != 0
    }

    /// A task's number, as its runtime shows it; a thread's as we count.
    pub(crate) fn number(self) -> u64 {
        self.0 & !TASK
    }

    /// The thread's number and name in the kernel, if that is still known.
    pub(crate) fn identity(self) -> Option<(u32, Name)> {
        if self.is_task() { None } else { NAMES.get(self.0 as usize % NAMES.len())?.read(self.0) }
    }

    /// Its name: `worker-3`, `task`, or `thread` where that is not known.
    pub(crate) fn name(self) -> Name {
        let text = |text: &[u8]| {
            let mut name = [0; 16];
            name.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
            name
        };
        if self.is_task() {
            return text(b"task");
        }
        let name = self.identity().map_or([0; 16], |(_, name)| name);
        if name == [0; 16] { text(b"thread") } else { name }
    }
}

/// A name up to its first zero, what is not UTF-8 replaced.
pub(crate) fn write_name(name: &Name, into: &mut impl Write) -> fmt::Result {
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    for chunk in name.get(..end).unwrap_or(name).utf8_chunks() {
        into.write_str(chunk.valid())?;
        if !chunk.invalid().is_empty() {
            into.write_char(char::REPLACEMENT_CHARACTER)?;
        }
    }
    Ok(())
}

thread_local! {
    // No destructor: usable while the thread is being torn down.
    static NUMBER: Cell<u64> = const { Cell::new(0) };
}

/// Names are kept of the last thread with each number modulo this.
const MAX_NAMES: usize = 4096;

static NAMES: [Entry; MAX_NAMES] = [const { Entry::new() }; MAX_NAMES];

/// Written by the thread itself, once.
#[derive(Debug)]
struct Entry {
    /// Whose; zero while the rest is being written.
    number: AtomicU64,
    kernel: AtomicU32,
    name: [AtomicU64; 2],
}

impl Entry {
    const fn new() -> Self {
        Entry {
            number: AtomicU64::new(0),
            kernel: AtomicU32::new(0),
            name: [const { AtomicU64::new(0) }; 2],
        }
    }

    fn write(&self, number: u64, (kernel, name): (u32, Name)) {
        // Two threads whose numbers share an entry may write it together, 4096 threads apart: what is read then is one of theirs or
        // a mixture of two names, never anything else.
        // ORDERING: Relaxed: published by the Release below.
        self.number.store(0, Ordering::Relaxed);
        self.kernel.store(kernel, Ordering::Relaxed);
        for (word, bytes) in self.name.iter().zip(name.chunks_exact(8)) {
            let bytes = bytes.try_into().unwrap_or_default();
            word.store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
        }
        // ORDERING: Release pairs with the Acquire in `read`.
        self.number.store(number, Ordering::Release);
    }

    fn read(&self, number: u64) -> Option<(u32, Name)> {
        // ORDERING: Acquire pairs with the Release in `write`; the rest is ordered by it.
        if self.number.load(Ordering::Acquire) != number {
            return None;
        }
        let mut name = [0; 16];
        for (bytes, word) in name.chunks_exact_mut(8).zip(&self.name) {
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        Some((self.kernel.load(Ordering::Relaxed), name))
    }
}

#[cold]
fn register() -> Actor {
    let actor = Actor::reserve();
    actor.begin();
    actor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_have_numbers_and_names() {
        let here = Actor::thread();
        assert_eq!(here, Actor::thread());
        let there = std::thread::Builder::new().name("an actor".into()).spawn(Actor::thread);
        let there = there.unwrap().join().unwrap();
        assert_ne!(here, there);
        let mut name = String::new();
        write_name(&there.name(), &mut name).unwrap();
        let named = cfg!(all(target_os = "linux", not(miri)));
        assert_eq!(name, if named { "an actor" } else { "thread" });
        assert_eq!(Actor::from_bits(here.to_bits()), here);
    }

    #[test]
    fn tasks_are_no_threads() {
        let task = Actor::task(7);
        assert!(task.is_task() && task.number() == 7 && task.identity().is_none());
        assert_ne!(task, Actor::from_bits(7));
        assert_eq!(&task.name()[..5], b"task\0");
    }
}
