//! Reading the observed stack without ever faulting.
//!
//! Inside bounds known to be this thread's stack a word is a plain load. Everywhere else (a thread whose bounds nobody
//! registered, a coroutine, a wild pointer met on a broken stack) the kernel copies for us:
//! `process_vm_readv` on ourselves answers a bad address with an error instead of a signal. One call fills a window, so a
//! typical stack costs one or two calls (about 1 µs each) rather than one per frame.

use std::sync::atomic::{Ordering, compiler_fence};

#[cfg_attr(all(target_os = "linux", target_arch = "x86_64"), path = "own_stack/linux_x86_64.rs")]
#[cfg_attr(
    not(all(target_os = "linux", target_arch = "x86_64")),
    path = "own_stack/unsupported.rs"
)]
#[allow(dead_code, reason = "of waits in code that is not ours")]
mod own_stack;

/// Bytes of stack fetched by one system call.
pub(crate) const WINDOW_BYTES: usize = if cfg!(loom) { 64 } else { 8192 };

/// A range of addresses known to be mapped: from the current stack pointer to the end of this thread's stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) low: u64,
    pub(crate) high: u64,
}

/// Copy of a piece of stack made by the kernel.
#[derive(Debug)]
pub(crate) struct Window<const WORDS: usize> {
    start: u64,
    valid_bytes: usize,
    words: [u64; WORDS],
}

impl<const WORDS: usize> Window<WORDS> {
    pub(crate) const fn new() -> Self {
        Window { start: 0, valid_bytes: 0, words: [0; WORDS] }
    }

    /// Forgets what was read: the stack has changed since.
    pub(crate) fn clear(&mut self) {
        self.valid_bytes = 0;
    }

    fn get(&self, address: u64) -> Option<u64> {
        let offset = address.checked_sub(self.start)? as usize;
        if offset.checked_add(8)? > self.valid_bytes {
            return None;
        }
        self.words.get(offset / 8).copied()
    }

    /// # Signal safety
    /// One system call on memory of our own.
    fn fill(&mut self, address: u64) {
        self.start = address;
        self.valid_bytes = read_own_memory(address, &mut self.words);
    }
}

/// What a walk reads the stack through.
pub(crate) trait ReadStack {
    /// The word at `address`, or `None` if it is unaligned or unreadable.
    fn read(&mut self, address: u64) -> Option<u64>;

    /// What is found depends on the frame pointer at the start.
    fn start_fp_is_used(&mut self) {}
}

/// The stack as one walk sees it.
#[derive(Debug)]
pub(crate) struct StackMemory<'w, const WORDS: usize> {
    bounds: Option<Bounds>,
    window: &'w mut Window<WORDS>,
}

impl<'w, const WORDS: usize> StackMemory<'w, WORDS> {
    /// `bounds` must hold for the duration of the walk; `None` sends every read through the kernel.
    ///
    /// # Safety
    /// - every address in `bounds` stays readable while this value lives.
    pub(crate) unsafe fn new(bounds: Option<Bounds>, window: &'w mut Window<WORDS>) -> Self {
        window.clear();
        StackMemory { bounds, window }
    }
}

impl<const WORDS: usize> ReadStack for StackMemory<'_, WORDS> {
    /// # Signal safety
    /// A load, or at most one system call; no allocation, no lock of ours, no fault.
    fn read(&mut self, address: u64) -> Option<u64> {
        if !address.is_multiple_of(8) {
            return None;
        }
        if let Some(Bounds { low, high }) = self.bounds
            && address >= low
            && address.checked_add(8)? <= high
        {
            // SAFETY: aligned, and inside the bounds that `new`'s caller promised to be readable. Volatile because
            // the compiler knows of no object there.
            return Some(unsafe { std::ptr::read_volatile(address as *const u64) });
        }
        if let Some(word) = self.window.get(address) {
            return Some(word);
        }
        self.window.fill(address);
        self.window.get(address)
    }
}

/// Copies from our own address space; returns the number of bytes read, zero for an unreadable address.
///
/// # Signal safety
/// `getpid` and `process_vm_readv` are bare system calls. The pid is asked for each time because a forked child
/// inherits every cached value and must not read its parent.
#[cfg(target_os = "linux")]
pub(crate) fn read_own_memory(address: u64, into: &mut [u64]) -> usize {
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: size_of_val(into) };
    // A short read ends at the first unreadable page only if the request is split there: the kernel
    // transfers whole remote vectors, so one vector per page keeps what lies before the hole.
    let mut remote = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; 4];
    let mut next = address;
    let end = address.saturating_add(size_of_val(into) as u64);
    let mut count = 0;
    for piece in &mut remote {
        let page_end = (next | 0xfff).saturating_add(1).min(end);
        if next >= page_end {
            break;
        }
        *piece = libc::iovec {
            iov_base: next as *mut libc::c_void,
            iov_len: (page_end - next) as usize,
        };
        next = page_end;
        count += 1;
    }
    // SAFETY: SIGNAL-SAFE: a bare system call without arguments.
    let pid = unsafe { libc::getpid() };
    // SAFETY: SIGNAL-SAFE: a bare system call; `local` describes `into`, which is ours to write, and the kernel checks every
    // remote address itself.
    let n = unsafe { libc::process_vm_readv(pid, &local, 1, remote.as_ptr(), count, 0) };
    usize::try_from(n).unwrap_or(0)
}

/// Copies two words from each of these addresses of our own; what cannot be read stays as it was.
#[cfg(target_os = "linux")]
pub(crate) fn gather(addresses: &[u64], into: &mut [Option<[u64; 2]>]) {
    // The kernel takes 1024 at a time (IOV_MAX), and stops at the first that it cannot read.
    const AT_ONCE: usize = 256;
    const BYTES: usize = size_of::<[u64; 2]>();
    let mut done = 0;
    while let (Some(addresses), Some(into)) = (addresses.get(done..), into.get_mut(done..))
        && !addresses.is_empty()
    {
        let mut copies = [[0_u64; 2]; AT_ONCE];
        let mut remote = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; AT_ONCE];
        let count = addresses.len().min(AT_ONCE);
        for (piece, address) in remote.iter_mut().zip(addresses) {
            *piece = libc::iovec { iov_base: *address as *mut libc::c_void, iov_len: BYTES };
        }
        let local = libc::iovec { iov_base: copies.as_mut_ptr().cast(), iov_len: count * BYTES };
        // SAFETY: a bare system call without arguments.
        let pid = unsafe { libc::getpid() };
        let (remote, len) = (remote.as_ptr(), count as libc::c_ulong);
        // SAFETY: `local` describes a part of `copies`, and the kernel checks every remote address itself.
        let n = unsafe { libc::process_vm_readv(pid, &local, 1, remote, len, 0) };
        let read = usize::try_from(n).unwrap_or(0) / BYTES;
        into.iter_mut().zip(copies).take(read).for_each(|(to, copy)| *to = Some(copy));
        // All, or up to the first that cannot be read, which is skipped.
        done += if read == count { count } else { read + 1 };
    }
}

/// Whether memory can be read without trusting its address.
pub(crate) const READS_OWN_MEMORY: bool = cfg!(target_os = "linux");

#[cfg(not(target_os = "linux"))]
pub(crate) fn gather(_addresses: &[u64], _into: &mut [Option<[u64; 2]>]) {}

#[cfg(not(target_os = "linux"))]
pub(crate) fn read_own_memory(_address: u64, _into: &mut [u64]) -> usize {
    0
}

thread_local! {
    // (low, high) of the thread's stack; (0, 0) until asked. No destructor, so usable during thread teardown.
    static STACK: std::cell::Cell<(u64, u64)> = const { std::cell::Cell::new((0, 0)) };
}

/// An impossible range.
const UNKNOWN: (u64, u64) = (1, 1);

/// Bounds of the calling thread's stack, from `sp` to its end, for code outside signal handlers.
///
/// Asked of libc once per thread: on glibc the question allocates and, for the main thread, parses `/proc/self/maps`.
/// `None` when `sp` is not on the stack libc knows (a coroutine, a signal stack).
pub(crate) fn current_bounds(sp: u64) -> Option<Bounds> {
    let (low, high) = STACK.get();
    if high == 0 {
        STACK.set(ask_libc());
        let (low, high) = STACK.get();
        return within(low, high, sp);
    }
    within(low, high, sp)
}

/// As [`current_bounds`], without asking libc, which allocates: `None` also if nobody has asked it yet.
///
/// # Signal safety
/// System calls at most: a thread that asks often has the kernel's list of mappings read, once.
#[allow(dead_code, reason = "of waits in code that is not ours")]
pub(crate) fn known_bounds(sp: u64) -> Option<Bounds> {
    thread_local! {
        // No destructor, as above.
        static ASKED: std::cell::Cell<i32> = const { std::cell::Cell::new(0) };
    }
    let (low, high) = STACK.get();
    if high != 0 {
        return within(low, high, sp);
    }
    ASKED.set(ASKED.get().saturating_add(1));
    if ASKED.get() < ASKED_OFTEN {
        return None;
    }
    ASKED.set(-ASKED_IN_VAIN);
    let (low, high) = own_stack::find(sp)?;
    // Two words, and a handler may look in between: it finds a lower bound that nothing is above.
    STACK.set((u64::MAX, 0));
    compiler_fence(Ordering::SeqCst);
    STACK.set((u64::MAX, high));
    compiler_fence(Ordering::SeqCst);
    STACK.set((low, high));
    within(low, high, sp)
}

/// Walks by system calls, of 1 to 3 µs, that cost what it costs to read the list of mappings.
#[allow(dead_code, reason = "of waits in code that is not ours")]
const ASKED_OFTEN: i32 = 16;

/// Further ones before the list is read again, if this was not on the thread's own stack.
#[allow(dead_code, reason = "of waits in code that is not ours")]
const ASKED_IN_VAIN: i32 = 1024;

fn within(low: u64, high: u64, sp: u64) -> Option<Bounds> {
    (low <= sp && sp < high).then_some(Bounds { low: sp, high })
}

/// `(lowest, end)` of the calling thread's stack; an impossible range if libc cannot tell. Miri has no such call.
#[cfg(all(target_os = "linux", not(miri)))]
fn ask_libc() -> (u64, u64) {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: always valid to call.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: initialises `attributes` when it returns zero.
    if unsafe { libc::pthread_getattr_np(this, attributes.as_mut_ptr()) } != 0 {
        return UNKNOWN;
    }
    let mut base = std::ptr::null_mut();
    let mut size = 0;
    // SAFETY: `attributes` was initialised above; the other two are ours to write.
    let failed = unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &mut base, &mut size) };
    // SAFETY: initialised above and not used afterwards.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    let base = base as u64;
    match base.checked_add(size as u64) {
        Some(end) if failed == 0 && size > 0 => (base, end),
        _ => UNKNOWN,
    }
}

#[cfg(any(not(target_os = "linux"), miri))]
fn ask_libc() -> (u64, u64) {
    UNKNOWN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(window: &mut Window<16>) -> StackMemory<'_, 16> {
        // SAFETY: no bounds are claimed.
        unsafe { StackMemory::new(None, window) }
    }

    #[test]
    fn reads_own_words_through_the_kernel() {
        let words = [11u64, 22, 33];
        let mut window = Window::new();
        let mut memory = reader(&mut window);
        assert_eq!(memory.read(words.as_ptr() as u64), Some(11));
        assert_eq!(memory.read(words.as_ptr() as u64 + 16), Some(33));
    }

    #[test]
    fn wild_addresses_are_refused_not_faulted() {
        let mut window = Window::new();
        let mut memory = reader(&mut window);
        for address in [0, 8, 4096, 7, u64::MAX, u64::MAX - 7, 1 << 63, 0x7fff_ffff_f000] {
            assert_eq!(memory.read(address), None, "{address:#x}");
        }
    }

    #[test]
    fn a_read_keeps_what_lies_before_a_hole() {
        // SAFETY: an anonymous mapping of two pages, the second made inaccessible; unmapped below.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                8192,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(base, libc::MAP_FAILED);
        // SAFETY: the second page of the mapping above.
        assert_eq!(unsafe { libc::mprotect(base.wrapping_add(4096), 4096, libc::PROT_NONE) }, 0);
        let mut window = Window::new();
        let mut memory = reader(&mut window);
        assert_eq!(memory.read(base as u64 + 4088), Some(0));
        assert_eq!(memory.read(base as u64 + 4096), None);
        // SAFETY: mapped above, no longer used.
        unsafe { libc::munmap(base, 8192) };
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[test]
    fn bounds_are_found_without_libc() {
        let check = || {
            let local = 0u64;
            let address = &raw const local as u64;
            assert_eq!(known_bounds(address), None, "not asked often");
            let found = (0..ASKED_OFTEN).find_map(|_| known_bounds(address)).expect("a stack");
            // What libc knows is that, or less: it has its own words above.
            let (low, high) = ask_libc();
            assert!(low <= address && found.low == address && found.high <= high, "{found:x?}");
            assert!(found.high > address, "{found:x?}");
            // Not a stack that the thread was not given.
            let elsewhere = Box::new(0u64);
            assert_eq!(known_bounds(&raw const *elsewhere as u64), None);
            assert_eq!(own_stack::find(&raw const *elsewhere as u64), None);
        };
        std::thread::spawn(check).join().unwrap();
    }

    #[test]
    fn gathering_skips_what_is_not_there() {
        let words: Vec<[u64; 2]> = (0..1000).map(|i| [i, i + 1]).collect();
        let mut addresses: Vec<u64> = words.iter().map(|w| w.as_ptr() as u64).collect();
        let mut expected: Vec<_> = words.iter().copied().map(Some).collect();
        for (at, wild) in [(0, 8), (1, 0), (255, u64::MAX), (256, 16), (777, 1 << 63), (999, 64)] {
            addresses[at] = wild;
            expected[at] = None;
        }
        let mut read = vec![None; addresses.len()];
        gather(&addresses, &mut read);
        assert_eq!(read, expected);
    }

    #[test]
    fn bounds_hold_a_local() {
        let local = 0u64;
        let address = &raw const local as u64;
        let bounds = current_bounds(address).expect("a test thread runs on the stack libc gave it");
        assert!(bounds.low <= address && address < bounds.high);
        assert_eq!(current_bounds(16), None);
    }
}
