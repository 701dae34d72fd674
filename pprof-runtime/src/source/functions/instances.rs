//! Sites of the instances of generic functions.

use std::any::type_name;
use std::sync::atomic::{AtomicI64, Ordering};

use super::is_enabled;
use super::local::LOCAL;
use crate::aggregate::site::Site;

/// Calls of instances that have no site of their own.
pub(super) static WITHOUT_SITE: AtomicI64 = AtomicI64::new(0);

/// The site of the instance that a closure is in: the type of that is named after the function with its type arguments.
#[doc(hidden)]
#[inline]
pub fn instance<C: Fn()>(site: &'static Site, _in_function: C) -> &'static Site {
    if is_enabled() { find(site, type_name::<C>) } else { site }
}

fn find(site: &'static Site, type_name: fn() -> &'static str) -> &'static Site {
    if let Some(known) = site.known_instance(type_name()) {
        return known;
    }
    LOCAL.with(|local| {
        // An annotated allocator comes back here for what is being made: that is counted with the others.
        let made = if local.makes_room.replace(true) {
            None
        } else {
            let made = site.make_instance(type_name);
            local.makes_room.set(false);
            made
        };
        made.unwrap_or_else(|| {
            // ORDERING: Relaxed: a counter.
            WITHOUT_SITE.fetch_add(1, Ordering::Relaxed);
            site
        })
    })
}
