//! Threads of our own, from the system itself: std's allocate before their first line can say that it is not the program's allocation.

use std::ffi::{CStr, c_void};
use std::io;
use std::mem::{self, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// As std has it where nothing else is asked for.
const STACK_BYTES: usize = 2 << 20;
/// What may be asked for.
const MAX_STACK_BYTES: usize = 1 << 30;
/// What only the thread that it is about can handle; and the one that samples.
const NOT_BLOCKED: [libc::c_int; 7] = [
    libc::SIGPROF,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGSYS,
];

/// A thread, which goes on alone if this is dropped.
#[derive(Debug)]
pub(crate) struct OwnThread {
    thread: libc::pthread_t,
    finished: Arc<AtomicBool>,
    /// Joined, or of the process that this one was forked from.
    is_gone: bool,
}

// SAFETY: the system's name of a thread, of which any thread may make use.
unsafe impl Send for OwnThread {}
// SAFETY: as above.
unsafe impl Sync for OwnThread {}

struct Start {
    name: &'static CStr,
    body: Box<dyn FnOnce() + Send>,
    finished: Arc<AtomicBool>,
}

impl OwnThread {
    /// Starts a thread of that name, which is 15 bytes long at most: the system's, for std it has none. The signals that are for any thread
    /// are blocked in it: they are meant for the program's. A panic of `body` ends it, once the panic hook has reported it.
    ///
    /// What this allocates is of the thread that calls it.
    pub(crate) fn spawn(
        name: &'static CStr,
        body: impl FnOnce() + Send + 'static,
    ) -> io::Result<OwnThread> {
        let finished = Arc::new(AtomicBool::new(false));
        let start = Start { name, body: Box::new(body), finished: Arc::clone(&finished) };
        debug_assert!(name.count_bytes() <= 15);
        let attributes = Attributes::new()?;
        let start = Box::into_raw(Box::new(start));
        let mut thread = MaybeUninit::uninit();
        // SAFETY: `run` gets what it expects, and nobody else has it.
        let result = with_signals_blocked(|| unsafe {
            libc::pthread_create(thread.as_mut_ptr(), &raw const attributes.0, run, start.cast())
        });
        if result != 0 {
            // SAFETY: made above; there is no thread that has it.
            drop(unsafe { Box::from_raw(start) });
            return Err(io::Error::from_raw_os_error(result));
        }
        // SAFETY: the call above has succeeded, and thus has filled it.
        Ok(OwnThread { thread: unsafe { thread.assume_init() }, finished, is_gone: false })
    }

    /// Whether its body has ended.
    pub(crate) fn is_finished(&self) -> bool {
        // ORDERING: Acquire pairs with the Release in `run`.
        self.finished.load(Ordering::Acquire)
    }

    pub(crate) fn is_current(&self) -> bool {
        // SAFETY: always valid to call. At the end of the process `std::thread::current` panics.
        let this = unsafe { libc::pthread_self() };
        // SAFETY: as above.
        unsafe { libc::pthread_equal(self.thread, this) != 0 }
    }

    /// Waits for it to end. Not by itself.
    pub(crate) fn join(mut self) {
        // SAFETY: neither joined nor detached: both take `self`.
        let result = unsafe { libc::pthread_join(self.thread, ptr::null_mut()) };
        // If it waits for this one, it is left alone.
        self.is_gone = result == 0;
    }

    /// For a forked child, which has no such thread: nothing is said to the system.
    pub(crate) fn forget(mut self) {
        self.is_gone = true;
    }
}

impl Drop for OwnThread {
    fn drop(&mut self) {
        if !self.is_gone {
            // SAFETY: neither joined nor detached before.
            unsafe { libc::pthread_detach(self.thread) };
        }
    }
}

extern "C" fn run(start: *mut c_void) -> *mut c_void {
    // SAFETY: `spawn` has made it for this thread alone.
    let start = *unsafe { Box::from_raw(start.cast::<Start>()) };
    set_name(start.name);
    // Nothing that the body had is seen afterwards. What a panic carries stays: it might panic as it is dropped.
    if let Err(carried) = catch_unwind(AssertUnwindSafe(start.body)) {
        mem::forget(carried);
    }
    // ORDERING: Release pairs with the Acquire in `is_finished`.
    start.finished.store(true, Ordering::Release);
    ptr::null_mut()
}

/// A thread without its name does as well: what fails is let be.
fn set_name(name: &CStr) {
    #[cfg(target_os = "linux")]
    // SAFETY: of the calling thread; reads a text that ends in a zero.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, name.as_ptr());
    }
    #[cfg(target_os = "macos")]
    // SAFETY: as above.
    unsafe {
        libc::pthread_setname_np(name.as_ptr());
    }
}

struct Attributes(libc::pthread_attr_t);

impl Attributes {
    fn new() -> io::Result<Attributes> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: fills what is ours.
        let result = unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) };
        if result != 0 {
            return Err(io::Error::from_raw_os_error(result));
        }
        // SAFETY: filled above.
        let mut attributes = Attributes(unsafe { attributes.assume_init() });
        let bytes = stack_bytes(&attributes.0);
        // The system's own size does as well, if it refuses this one.
        // SAFETY: initialised above.
        unsafe { libc::pthread_attr_setstacksize(&raw mut attributes.0, bytes) };
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, and not used again.
        unsafe { libc::pthread_attr_destroy(&raw mut self.0) };
    }
}

/// `RUST_MIN_STACK` if that is more than usual, in whole pages, and what the system takes of it. Looked up once, as std does.
fn stack_bytes(attributes: &libc::pthread_attr_t) -> usize {
    static BYTES: AtomicUsize = AtomicUsize::new(0);
    // ORDERING: Relaxed: a number that refers to nothing.
    let known = BYTES.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    let asked = std::env::var("RUST_MIN_STACK").ok().and_then(|bytes| bytes.parse::<usize>().ok());
    let own = asked.unwrap_or(STACK_BYTES).clamp(STACK_BYTES, MAX_STACK_BYTES);
    let bytes = own.saturating_add(least_stack_bytes(attributes)).next_multiple_of(64 << 10);
    // ORDERING: as above.
    BYTES.store(bytes, Ordering::Relaxed);
    bytes
}

/// What glibc takes out of a stack for itself: the thread-locals of the program, however large.
fn least_stack_bytes(attributes: &libc::pthread_attr_t) -> usize {
    type Least = unsafe extern "C" fn(*const libc::pthread_attr_t) -> libc::size_t;
    // SAFETY: the name is a text that ends in a zero.
    let least = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__pthread_get_minstack".as_ptr()) };
    if least.is_null() {
        return 0;
    }
    // SAFETY: of that name there is this function, which std calls too.
    let least = unsafe { mem::transmute::<*mut c_void, Least>(least) };
    // SAFETY: only reads what is initialised.
    unsafe { least(attributes) }
}

/// A new thread inherits its creator's signal mask, so there is no moment at which it could take a signal.
fn with_signals_blocked<T>(spawn: impl FnOnce() -> T) -> T {
    // SAFETY: all-zero is a valid set; the calls below fill both.
    let (mut blocked, mut old): (libc::sigset_t, libc::sigset_t) = unsafe { mem::zeroed() };
    // SAFETY: `blocked` is ours.
    unsafe { libc::sigfillset(&raw mut blocked) };
    for signal in NOT_BLOCKED {
        // SAFETY: as above.
        unsafe { libc::sigdelset(&raw mut blocked, signal) };
    }
    // SAFETY: both sets are ours; changes the calling thread's mask only.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const blocked, &raw mut old) };
    let result = spawn();
    // SAFETY: restores what the call above saved.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const old, ptr::null_mut()) };
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn has_its_name_and_takes_no_signal_of_the_programs() {
        let (sender, receiver) = mpsc::channel();
        let thread = OwnThread::spawn(c"an own thread", move || {
            let mut name = [0_u8; 16];
            // SAFETY: always valid to call.
            let this = unsafe { libc::pthread_self() };
            // SAFETY: the name is ours, and as long as one can be.
            unsafe {
                libc::pthread_getname_np(this, name.as_mut_ptr().cast(), name.len());
            }
            let mut mask = MaybeUninit::<libc::sigset_t>::zeroed();
            // SAFETY: filled; nothing is changed.
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), mask.as_mut_ptr()) };
            // SAFETY: filled above.
            let is_blocked = |signal| unsafe { libc::sigismember(mask.as_ptr(), signal) };
            let blocked = [libc::SIGTERM, libc::SIGPROF, libc::SIGSEGV].map(is_blocked);
            sender.send((name, blocked)).unwrap();
        })
        .unwrap();
        let (name, blocked) = receiver.recv().unwrap();
        assert_eq!(&name[..14], b"an own thread\0");
        assert_eq!(blocked, [1, 0, 0]);
        assert!(!thread.is_current());
        thread.join();
    }

    #[test]
    fn ends_by_a_panic_too_and_drops_what_its_body_had() {
        let (held, other) = (Arc::new(()), Arc::new(()));
        let (first, second) = (Arc::clone(&held), Arc::clone(&other));
        let panics = OwnThread::spawn(c"panics", move || {
            let _held = first;
            panic!("as it is to");
        });
        let dropped = OwnThread::spawn(c"goes on", move || drop(second)).unwrap();
        let panics = panics.unwrap();
        while !panics.is_finished() {
            std::thread::yield_now();
        }
        panics.join();
        assert_eq!(Arc::strong_count(&held), 1);
        drop(dropped);
        while Arc::strong_count(&other) > 1 {
            std::thread::yield_now();
        }
    }
}
