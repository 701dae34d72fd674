//! Waits of locks and channels that are not ours: std's, parking_lot's, crossbeam's, in the program and in everything it depends on.
//!
//! Nothing is edited. These all sleep and wake by one C function, `syscall`. Where this crate is linked into an executable, with the feature
//! `futex`, its own definition of that function is the one that they are bound to. It does what libc's does, and after [`start`] looks at
//! those calls that wait on a futex or wake from one:
//!
//! ```text
//! std::sync::Mutex::lock ── free ─────────────► (nothing of ours runs)
//!      └─ held ─ spin ─ syscall(SYS_futex, WAIT) ─ ours: stamp, stack ─ the kernel ─ the wait is recorded
//! drop of the guard ─ somebody sleeps ─ syscall(SYS_futex, WAKE) ─ ours: charge this stack ─ the kernel
//! ```
//!
//! What is recorded is in the `block` and `mutex` profiles, whose rates have to be set as for our own types. The label `kind` says what was
//! waited for; it, and that frames of the primitive are left out so that the leaf is the function that uses it, is told by the names of the
//! functions on the stack. Only locks are in the `mutex` profile. What none of the known primitives' names is on has the kind `futex`. A wait of
//! one of our own types is counted once, by that type.
//!
//! Also seen: the end of threads that are joined, and on request what blocks in [reading, writing and sleeping](set_blocking_io).
//!
//! # What it does not see
//! - spinning before the sleep, and locks of C (`pthread_mutex_lock`), which call the kernel themselves;
//! - locks by their own account: parking_lot wakes threads one by one, so each unlock is charged with the whole wait of the
//!   thread that it lets in, and not with a part of the waits of those that it leaves asleep. Sums are right;
//! - the function that unlocks, where unlocking is the last thing that it does and the compiler made a jump of it. Its caller is charged.
//!
//! # Overhead
//! Off: a comparison in every call of `syscall`. On: nothing for locks that are free, and some 1 to 3 µs for each sleep and each wake-up of a
//! sleeper.
//!
//! # Where it works
//! Linux on x86_64; with glibc, dynamic or static, and with musl; with LTO or without. [`start`] asks whether calls do come here, and
//! refuses if they do not: as in a library that is loaded into a running program, whose calls were bound to libc before.
//!
//! # Examples
//! ```
//! use std::sync::Mutex;
//! use std::time::Duration;
//!
//! pprof_runtime::set_block_profile_rate(1);
//! pprof_runtime::set_mutex_profile_fraction(1);
//! pprof_runtime::futex::start()?;
//! let lock = Mutex::new(());
//! std::thread::scope(|scope| {
//!     let held = lock.lock().unwrap();
//!     scope.spawn(|| drop(lock.lock().unwrap()));
//!     std::thread::sleep(Duration::from_millis(20));
//!     drop(held);
//! });
//! assert!(pprof_runtime::lookup("block").unwrap().count() > 0);
//! pprof_runtime::futex::stop();
//! # Ok::<(), pprof_runtime::Error>(())
//! ```

mod switch;

#[cfg_attr(
    all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64"),
        target_pointer_width = "64",
        not(miri)
    ),
    path = "linux/mod.rs"
)]
#[cfg_attr(
    not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64"),
        target_pointer_width = "64",
        not(miri)
    )),
    path = "unsupported.rs"
)]
mod interposed;

use crate::capture::registers;
use crate::error::Error;
use crate::source::contention::foreign;

/// Begins to record waits of locks and channels that are not ours. Does nothing if that is on already.
///
/// Off initially. A wait is seen if it begins after this call. To be called once the program is set up, outside signal handlers.
///
/// # Errors
/// `Unsupported` on other platforms, and if calls of `syscall` do not come here: in a library loaded at run time; if another library
/// defines that function too; if std is not linked into the same object and is bound elsewhere.
pub fn start() -> Result<(), Error> {
    if !registers::SUPPORTED {
        return Err(Error::unsupported_platform("watching futexes"));
    }
    interposed::check()?;
    foreign::prepare();
    switch::set(switch::FUTEX, true);
    Ok(())
}

/// Ends what [`start`] began. Waits that have begun are recorded when they end.
pub fn stop() {
    switch::set(switch::FUTEX, false);
}

/// Whether waits that are not ours are being recorded.
#[must_use]
pub fn is_running() -> bool {
    switch::is_set(switch::FUTEX)
}

/// Chooses whether calls that block in I/O are in the `block` profile too while this [runs](is_running), and returns the former setting. Off
/// initially: Go does not show them.
///
/// | `kind` | functions |
/// |---|---|
/// | `read` | `read`, `readv`, `recv`, `recvfrom`, `recvmsg` |
/// | `write` | `write`, `writev`, `send`, `sendto`, `sendmsg` |
/// | `poll` | `poll`, `ppoll`, `epoll_wait`, `epoll_pwait` |
/// | `accept`, `connect` | `accept`, `accept4`; `connect` |
/// | `sleep` | `nanosleep`, `clock_nanosleep` |
///
/// as called by Rust code and by C code linked to it, by these names. Calls of less than 5 µs are no waits, nor are those of less than 1 ms
/// that say they would block (`EAGAIN`): such that take longer end at a time-out of their socket. They remain cancellation points.
///
/// # Errors
/// `Unsupported` where these functions cannot be watched: only with a glibc that is linked dynamically.
///
/// # Overhead
/// Some 1 to 3 µs for every such call, whether or not it blocks.
pub fn set_blocking_io(on: bool) -> Result<bool, Error> {
    interposed::check_blocking_io()?;
    Ok(switch::set(switch::BLOCKING_IO, on))
}
