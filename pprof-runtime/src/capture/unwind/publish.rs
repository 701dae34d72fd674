//! Publishing unwind tables to readers that may not wait, and freeing the old ones.
//!
//! A reader counts itself in, then loads the current pointer; the writer swaps the pointer, and frees what it retired
//! once every count has been seen at zero since. Counts are striped over cache lines by stack address.

use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::build;
use super::loader;
use super::table::{CodeRange, ModuleTable, Tables};
use crate::modules::{self, Generation, Module};

const STRIPES: usize = 16;

#[repr(align(64))]
struct Stripe(AtomicUsize);

static CURRENT: AtomicPtr<Tables> = AtomicPtr::new(std::ptr::null_mut());
/// How many tables there have been.
static VERSION: AtomicU64 = AtomicU64::new(0);
static READERS: [Stripe; STRIPES] = [const { Stripe(AtomicUsize::new(0)) }; STRIPES];
static WRITER: Mutex<Writer> =
    Mutex::new(Writer { seen: None, built: Vec::new(), retired: Vec::new() });

struct Writer {
    seen: Option<Generation>,
    built: Vec<(Key, Arc<ModuleTable>)>,
    /// Replaced, but perhaps still being read.
    retired: Vec<*mut Tables>,
}

// SAFETY: the pointers come from `Box::into_raw`, and only the writer, under its lock, frees them.
unsafe impl Send for Writer {}

/// What tells one loaded object from another at the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    bias: u64,
    hdr: Option<(u64, u64)>,
    build_id: Vec<u8>,
}

/// Permission to read the current tables; they are not freed while it lives.
#[derive(Debug)]
pub(crate) struct Reader {
    tables: &'static Tables,
    stripe: &'static AtomicUsize,
}

impl Reader {
    /// `None` before the first `refresh`. `hint` is any address on the caller's stack.
    ///
    /// # Signal safety
    /// Two atomic operations, no wait.
    pub(crate) fn enter(hint: u64) -> Option<Reader> {
        let index = ((hint >> 12) ^ (hint >> 21)) as usize % STRIPES;
        let Stripe(stripe) = READERS.get(index)?;
        // ORDERING: SeqCst, here and at the swap and the check in `refresh`: a reader that got the old pointer loaded it
        // before the swap, so its increment, made earlier still, is visible to every check after the swap.
        stripe.fetch_add(1, Ordering::SeqCst);
        let current = CURRENT.load(Ordering::SeqCst);
        // SAFETY: null or from `Box::into_raw`, and not freed while this stripe is counted (module docs).
        match unsafe { current.as_ref() } {
            Some(tables) => Some(Reader { tables, stripe }),
            None => {
                // ORDERING: as in `drop`.
                stripe.fetch_sub(1, Ordering::Release);
                None
            }
        }
    }

    pub(crate) fn tables(&self) -> &Tables {
        self.tables
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // ORDERING: Release: every read of the tables happens before the writer sees this count fall.
        self.stripe.fetch_sub(1, Ordering::Release);
    }
}

/// Which tables a reader that enters now will find, or later ones; zero before the first.
pub(super) fn version() -> u64 {
    // ORDERING: Acquire, see `refresh`.
    VERSION.load(Ordering::Acquire)
}

/// Brings the tables up to date with the loaded objects. Cheap when nothing changed.
///
/// Takes the loader's lock for moments and allocates: never called from a handler or from an instrumented lock.
pub(crate) fn refresh() {
    let mut writer = WRITER.lock();
    let generation = modules::generation();
    if writer.seen != Some(generation) {
        let loaded = modules::current();
        let tables = Box::new(writer.tables_of(&loaded));
        // ORDERING: SeqCst, see `Reader::enter`.
        let old = CURRENT.swap(Box::into_raw(tables), Ordering::SeqCst);
        // ORDERING: Release pairs with the Acquire in `version`: who sees it finds those tables, or later ones.
        VERSION.fetch_add(1, Ordering::Release);
        if !old.is_null() {
            writer.retired.push(old);
        }
        writer.seen = Some(generation);
    }
    writer.reclaim();
}

impl Writer {
    fn tables_of(&mut self, loaded: &[Module]) -> Tables {
        let mut ranges = Vec::new();
        let mut built = Vec::new();
        for module in loaded {
            let code = || module.segments.iter().filter(|s| s.executable);
            let Some(base) = code().map(|s| s.start).min() else { continue };
            let key = Key {
                bias: module.bias,
                hdr: module.eh_frame_hdr,
                build_id: module.build_id.clone(),
            };
            let known = self.built.iter().find(|(k, _)| *k == key).map(|(_, t)| t.clone());
            let table = known.unwrap_or_else(|| {
                let sections = loader::sections(module);
                Arc::new(sections.map_or_else(ModuleTable::default, |s| build::table(base, &s)))
            });
            for segment in code() {
                ranges.push(CodeRange {
                    start: segment.start,
                    end: segment.end,
                    table: table.clone(),
                });
            }
            built.push((key, table));
        }
        self.built = built;
        Tables::new(ranges)
    }

    /// Frees what was retired, if no reader is inside now; otherwise a later refresh will.
    fn reclaim(&mut self) {
        // ORDERING: SeqCst pairs with `Reader::enter`; its Acquire half with the Release in `Reader::drop`.
        if self.retired.is_empty()
            || READERS.iter().any(|Stripe(count)| count.load(Ordering::SeqCst) != 0)
        {
            return;
        }
        for tables in self.retired.drain(..) {
            // SAFETY: from `Box::into_raw`, swapped out before every stripe was seen at zero, so no reader holds it.
            drop(unsafe { Box::from_raw(tables) });
        }
    }
}
