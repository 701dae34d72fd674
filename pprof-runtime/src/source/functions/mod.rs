//! The `functions` profile: exact calls and time of annotated functions, by call path.
//!
//! `#[profile]` puts a [`FunctionGuard`] first in a function, or wraps an async function's body in [`Instrumented`]; `span!` makes a
//! [`Span`]. All keep the thread's place in its tree of call paths ([`local`]); [`registry`] knows the trees of all threads.

mod allocations;
mod guard;
mod instances;
mod instrumented;
mod light;
mod local;
mod registry;
mod span;
mod waking;

use std::sync::atomic::{AtomicBool, Ordering};

use crate::aggregate::site::Site;
use crate::capture::registers;
use crate::clock;

pub use guard::{Frame, FunctionGuard};
pub use instances::instance;
pub use instrumented::Instrumented;
pub use light::{COUNTED, LOOKED_AT, LightFrame, LightGuard, SAMPLED};
pub(crate) use registry::{count, reset, snapshot};
pub use span::Span;
pub(crate) use waking::set_wakes;

static ENABLED: AtomicBool = AtomicBool::new(false);

/// See [`crate::set_function_profile`].
pub(crate) fn set_enabled(on: bool) -> bool {
    if on {
        clock::calibrate();
    }
    // ORDERING: Relaxed: a switch; a thread that sees it late records late.
    ENABLED.swap(on, Ordering::Relaxed)
}

/// See [`crate::set_function_histograms`].
pub(crate) fn set_histograms(on: bool) -> bool {
    // ORDERING: Relaxed: a switch.
    local::HISTOGRAMS.swap(on, Ordering::Relaxed)
}

#[inline(always)]
fn is_enabled() -> bool {
    // ORDERING: Relaxed: a switch.
    ENABLED.load(Ordering::Relaxed)
}

/// Tells where the code of an async function is: called in its body, which [`Instrumented::poll`] only calls.
#[doc(hidden)]
#[inline(always)]
pub fn locate(site: &'static Site) {
    if is_enabled() && site.address() == 0 {
        site.set_address(registers::pc());
    }
}
