//! Annotated functions.

use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

/// An annotated function: one static for each `#[profile]`.
#[derive(Debug)]
pub struct Site {
    name: &'static str,
    type_name: fn() -> &'static str,
    file: &'static str,
    line: u32,
    address: AtomicU64,
}

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
        Site { name, type_name, file, line, address: AtomicU64::new(0) }
    }

    /// The name to show.
    pub(crate) fn name(&self) -> &'static str {
        if self.is_renamed() { self.name } else { self.path() }
    }

    /// Whether the user chose the name.
    pub(crate) fn is_renamed(&self) -> bool {
        !self.name.is_empty()
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
