//! Whether calls come here: asked for, not assumed, as it depends on how and when the program was linked.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::atomic::AtomicU32;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::futex::switch;
use crate::source::contention::nesting;

thread_local! {
    // No destructor: looked at in every futex call while some thread probes.
    static SEEN: Cell<u32> = const { Cell::new(0) };
}

/// A futex call of this thread has come.
pub(super) fn seen() {
    SEEN.set(SEEN.get().wrapping_add(1));
}

/// # Errors
/// `Unsupported` if some call does not come here.
pub(super) fn check() -> Result<(), Error> {
    let caller = match (arrives(call_libc), arrives(wait_in_std)) {
        (true, true) => return Ok(()),
        (false, _) => "this object's",
        (true, false) => "std's",
    };
    let message = format!(
        "futexes cannot be watched: {caller} calls of `syscall` are bound to {}, not to pprof-runtime: \
         it has to be linked into the executable together with std, not loaded at run time",
        bound_to()
    );
    Err(Error::new(ErrorKind::Unsupported, message))
}

/// Whether something comes here that `call` does.
pub(super) fn arrives(call: fn()) -> bool {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    nesting::enter();
    let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    switch::set(switch::PROBING, true);
    SEEN.set(0);
    call();
    switch::set(switch::PROBING, false);
    drop(alone);
    nesting::leave();
    SEEN.get() > 0
}

/// As std and parking_lot_core call it; nobody waits there.
fn call_libc() {
    let word = AtomicU32::new(0);
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the kernel uses the address as a key only.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, 1) };
}

/// Of all primitives this sleeps without a second thread, and takes nobody's wake-up, as `park` would.
fn wait_in_std() {
    let (lock, never) = (Mutex::new(()), Condvar::new());
    let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
    drop(never.wait_timeout(guard, Duration::from_nanos(1)));
}

/// The object that has the `syscall` which is called.
fn bound_to() -> String {
    let address = libc::syscall as *const libc::c_void;
    // SAFETY: all-zero is a valid value of it.
    let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be asked for; `found` is a local to be filled.
    if unsafe { libc::dladdr(address, &mut found) } == 0 || found.dli_fname.is_null() {
        return "an unknown object".into();
    }
    // SAFETY: a string of the loader's, good while the object is loaded.
    unsafe { CStr::from_ptr(found.dli_fname) }.to_string_lossy().into_owned()
}
