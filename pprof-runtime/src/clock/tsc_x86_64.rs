//! The time stamp counter, where it can be trusted: a third of the cost of CLOCK_MONOTONIC.

use std::sync::atomic::{AtomicBool, Ordering};

static USE_TSC: AtomicBool = AtomicBool::new(false);

/// The time since an arbitrary moment, in ticks. Not ordered with the instructions around it: a few nanoseconds of blur.
#[inline]
pub(crate) fn ticks() -> u64 {
    // ORDERING: Relaxed: set before anything is timed.
    if USE_TSC.load(Ordering::Relaxed) {
        // SAFETY: every x86_64 CPU has the instruction; it touches no memory.
        unsafe { std::arch::x86_64::_rdtsc() }
    } else {
        untrusted()
    }
}

/// Out of line, for what the other path would otherwise save and restore.
#[cold]
#[inline(never)]
fn untrusted() -> u64 {
    super::monotonic::ticks()
}

/// Decides for the counter if it runs at a constant rate and the kernel has not found it unstable. Returns whether it did,
/// that is whether ticks need calibrating.
pub(super) fn choose() -> bool {
    let trusted = is_invariant() && kernel_trusts_it();
    // ORDERING: Relaxed: `calibrate` orders it.
    USE_TSC.store(trusted, Ordering::Relaxed);
    trusted
}

/// CPUID 0x8000_0007, EDX bit 8 (Intel SDM vol. 3, 19.17.1; AMD APM vol. 3, E.4.7).
fn is_invariant() -> bool {
    use std::arch::x86_64::__cpuid;
    const ADVANCED_POWER: u32 = 0x8000_0007;
    // SAFETY: every x86_64 CPU has the instruction. Later compilers than our oldest call it safe.
    #[allow(unused_unsafe)]
    let cpuid = |leaf| unsafe { __cpuid(leaf) };
    cpuid(0x8000_0000).eax >= ADVANCED_POWER && cpuid(ADVANCED_POWER).edx & (1 << 8) != 0
}

/// A kernel that gave up on the counter reads another device. Paravirtual clocks are the counter, scaled.
fn kernel_trusts_it() -> bool {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let source = std::fs::read_to_string(path).unwrap_or_default();
    matches!(source.trim(), "tsc" | "kvm-clock" | "hyperv_clocksource_tsc_page")
}
