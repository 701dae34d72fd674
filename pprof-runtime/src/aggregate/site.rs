//! Annotated functions.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use crate::config::MAX_GENERIC_INSTANCES;

/// An annotated function: one static for each `#[profile]`.
#[derive(Debug)]
pub struct Site {
    name: &'static str,
    type_name: fn() -> &'static str,
    file: &'static str,
    line: u32,
    /// 1 of so many calls is timed; zero for none.
    time: u32,
    /// As `time`, of CPU time.
    cpu: u32,
    /// Whether what its calls allocate is counted.
    counts_allocations: bool,
    address: AtomicU64,
    /// The sites of a generic function's instances, latest first.
    instances: AtomicPtr<Instance>,
    is_instance: bool,
}

/// One of the functions that a generic one stands for; never freed.
#[derive(Debug)]
struct Instance {
    site: Site,
    type_name: &'static str,
    next: *mut Instance,
}

/// Instances of all sites.
static INSTANCES: AtomicUsize = AtomicUsize::new(0);

impl Site {
    /// `name` is the user's choice, else empty; `type_name` is that of an item in the function.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(
        name: &'static str,
        type_name: fn() -> &'static str,
        file: &'static str,
        line: u32,
    ) -> Self {
        Site {
            name,
            type_name,
            file,
            line,
            time: 1,
            cpu: 0,
            counts_allocations: false,
            address: AtomicU64::new(0),
            instances: AtomicPtr::new(ptr::null_mut()),
            is_instance: false,
        }
    }

    /// With 1 of `time` calls timed, none if it is zero, and the CPU time of 1 of `cpu` calls.
    #[doc(hidden)]
    #[must_use]
    pub const fn looked_at(mut self, time: u32, cpu: u32) -> Self {
        self.time = time;
        self.cpu = cpu;
        self
    }

    /// With what its calls allocate counted.
    #[doc(hidden)]
    #[must_use]
    pub const fn allocations(mut self) -> Self {
        self.counts_allocations = true;
        self
    }

    pub(crate) fn counts_allocations(&self) -> bool {
        self.counts_allocations
    }

    /// How many calls there are for each that is timed; zero if none is.
    pub(crate) fn time(&self) -> u32 {
        self.time
    }

    /// As `time`, of CPU time.
    pub(crate) fn cpu(&self) -> u32 {
        self.cpu
    }

    /// The site of the instance in which a type has this name.
    pub(crate) fn known_instance(&'static self, type_name: &'static str) -> Option<&'static Site> {
        // By place first: there is mostly one copy of each name.
        let by_place = |known: &&Instance| ptr::eq(known.type_name, type_name);
        let by_text = |known: &&Instance| known.type_name == type_name;
        let found = self.instances().find(by_place).or_else(|| self.instances().find(by_text));
        found.map(|instance| &instance.site)
    }

    fn instances(&self) -> impl Iterator<Item = &'static Instance> {
        // ORDERING: Acquire pairs with the Release in `make_instance`: an instance is whole.
        let first = self.instances.load(Ordering::Acquire);
        // SAFETY: null or an instance, which is never freed.
        let instance = |instance: *mut Instance| unsafe { instance.as_ref() };
        std::iter::successors(instance(first), move |known| instance(known.next))
    }

    /// Makes the site of an instance; `None` if there are too many. `type_name` tells the name of an item in it.
    #[cold]
    pub(crate) fn make_instance(
        &'static self,
        type_name: fn() -> &'static str,
    ) -> Option<&'static Site> {
        // ORDERING: Relaxed: a budget.
        if INSTANCES.fetch_add(1, Ordering::Relaxed) >= MAX_GENERIC_INSTANCES {
            INSTANCES.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let mut site =
            Site::new("", type_name, self.file, self.line).looked_at(self.time, self.cpu);
        site.counts_allocations = self.counts_allocations;
        site.is_instance = true;
        let next = ptr::null_mut();
        let mut made = Box::new(Instance { site, type_name: type_name(), next });
        // ORDERING: Acquire, here and below: pairs with the Release of whoever made the first one.
        let mut first = self.instances.load(Ordering::Acquire);
        loop {
            // Another thread may have been faster; what was made is then one too many.
            if let Some(known) = self.known_instance(type_name()) {
                INSTANCES.fetch_sub(1, Ordering::Relaxed);
                return Some(known);
            }
            made.next = first;
            let pushed = Box::into_raw(made);
            // ORDERING: Release pairs with the Acquire in `known_instance`.
            match self.instances.compare_exchange(
                first,
                pushed,
                Ordering::Release,
                Ordering::Acquire,
            ) {
                // SAFETY: made above, and never freed from here on.
                Ok(_) => return Some(unsafe { &(*pushed).site }),
                Err(other) => first = other,
            }
            // SAFETY: made above, and not shared, as it was not pushed.
            made = unsafe { Box::from_raw(pushed) };
        }
    }

    /// The name to show.
    pub(crate) fn name(&self) -> &'static str {
        if self.is_renamed() { self.name } else { self.path() }
    }

    /// Whether the user chose the name.
    pub(crate) fn is_renamed(&self) -> bool {
        !self.name.is_empty()
    }

    /// Whether it is one of several that have their code's name but for type arguments.
    pub(crate) fn is_instance(&self) -> bool {
        self.is_instance
    }

    /// The function's Rust path.
    pub(crate) fn path(&self) -> &'static str {
        // The item is named `path::of::function::Item`; in an async function `{{closure}}` stands between.
        let name = (self.type_name)();
        let name = name.rsplit_once("::").map_or(name, |(function, _item)| function);
        name.strip_suffix("::{{closure}}").unwrap_or(name)
    }

    pub(crate) fn file(&self) -> &'static str {
        self.file
    }

    /// Line of the attribute's function.
    pub(crate) fn line(&self) -> u32 {
        self.line
    }

    /// An address inside the function's code; zero if none is known.
    pub(crate) fn address(&self) -> u64 {
        // ORDERING: Relaxed: a number that refers to nothing of ours.
        self.address.load(Ordering::Relaxed)
    }

    pub(crate) fn set_address(&self, address: u64) {
        // ORDERING: Relaxed, as above.
        self.address.store(address, Ordering::Relaxed);
    }
}

/// A site, told from others by its address alone, so that what changes in it does not matter to a map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SiteKey(pub(crate) &'static Site);

impl PartialEq for SiteKey {
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self.0, other.0)
    }
}

impl Eq for SiteKey {}

impl std::hash::Hash for SiteKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        ptr::from_ref(self.0).hash(state);
    }
}
