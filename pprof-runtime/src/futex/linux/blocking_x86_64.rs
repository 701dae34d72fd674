//! Functions of glibc that block, by their own names.
//!
//! Each of ours is a few instructions: if nobody watches, on to glibc's. Otherwise the wait begins, glibc's function is called, the wait ends.
//! It has to be glibc's function, not the system call, since these are cancellation points: a cancelled thread is unwound from within, through
//! the frame of ours. That is why the frame is written in assembly: it has nothing to clean up, as Rust's would, which might abort
//! instead. What a cancelled thread's wait leaves open is closed by a handler of `pthread_cleanup_push`.
//!
//! glibc's functions are looked up before `main`, when it is sure that no lock of the loader's is held.

use std::arch::naked_asm;
use std::ffi::{CStr, c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::calls::{errno, fail, set_errno};
use super::probe;
use crate::capture::registers::Registers;
use crate::error::{Error, ErrorKind};
use crate::futex::switch::{self, BLOCKING_IO, FLAGS, FUTEX, PROBING};
use crate::source::contention::foreign::{Outcome, Wait};
use crate::source::contention::{Kind, nesting};

/// A call that takes less did not block. A switch to another thread and back takes as long at least.
const BRIEF_NS: u64 = 5_000;

/// One that fails at once takes less, unless the machine is busy; else it has blocked until a time-out of its socket (`SO_RCVTIMEO`),
/// which counts milliseconds.
const FAILS_AT_ONCE_NS: u64 = 1_000_000;

/// Of calls that would block and must not, and of arguments that are looked at first.
const AT_ONCE: [c_int; 6] =
    [libc::EAGAIN, libc::EINPROGRESS, libc::EBADF, libc::EFAULT, libc::EINVAL, libc::ENOTSOCK];

/// What one of the functions is.
struct Function {
    name: &'static CStr,
    kind: Kind,
    /// Which argument is a timeout in milliseconds.
    timeout: usize,
}

/// Of a frame of ours: six arguments, and a `State` from `STATE` on.
const FRAME_BYTES: usize = 256;
const STATE: usize = 64;

macro_rules! functions {
    ($($index:literal $name:ident $kind:ident $mask:ident $timeout:expr,)*) => {
        static FUNCTIONS: [Function; [$($index),*].len()] = [$(Function {
            // A name and a zero.
            name: match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!("a name has no zero in it"),
            },
            kind: Kind::$kind,
            timeout: $timeout,
        }),*];

        $(
            #[doc = concat!("glibc's `", stringify!($name), "`, with an eye on it.")]
            ///
            /// # Safety
            /// As of that function.
            #[unsafe(no_mangle)]
            #[unsafe(naked)]
            unsafe extern "C" fn $name() {
                naked_asm!(
                    ".cfi_startproc",
                    "mov rax, qword ptr [rip + {flags}@GOTPCREL]",
                    "test byte ptr [rax], {mask}",
                    "jnz 2f",
                    "mov rax, qword ptr [rip + {originals}@GOTPCREL]",
                    "mov rax, qword ptr [rax + 8 * {index}]",
                    "test rax, rax",
                    "jz 2f",
                    "jmp rax",
                    "2:",
                    "push rbp",
                    // 6 is rbp, 7 rsp (System V ABI, figure 3.36).
                    ".cfi_def_cfa_offset 16",
                    ".cfi_offset 6, -16",
                    "mov rbp, rsp",
                    ".cfi_def_cfa_register 6",
                    "sub rsp, {frame}",
                    "mov qword ptr [rsp], rdi",
                    "mov qword ptr [rsp + 8], rsi",
                    "mov qword ptr [rsp + 16], rdx",
                    "mov qword ptr [rsp + 24], rcx",
                    "mov qword ptr [rsp + 32], r8",
                    "mov qword ptr [rsp + 40], r9",
                    "lea rdi, [rsp + {state}]",
                    "mov esi, {index}",
                    "mov rdx, rsp",
                    "lea rcx, [rip]",
                    "mov r8, rbp",
                    "call {begin}",
                    "mov rdi, qword ptr [rsp]",
                    "mov rsi, qword ptr [rsp + 8]",
                    "mov rdx, qword ptr [rsp + 16]",
                    "mov rcx, qword ptr [rsp + 24]",
                    "mov r8, qword ptr [rsp + 32]",
                    "mov r9, qword ptr [rsp + 40]",
                    "call rax",
                    "lea rdi, [rsp + {state}]",
                    "mov rsi, rax",
                    "call {end}",
                    "leave",
                    ".cfi_def_cfa 7, 8",
                    "ret",
                    ".cfi_endproc",
                    flags = sym FLAGS,
                    mask = const $mask,
                    originals = sym ORIGINALS,
                    index = const $index,
                    frame = const FRAME_BYTES,
                    state = const STATE,
                    begin = sym begin,
                    end = sym end,
                )
            }
        )*
    };
}

const IO: u8 = BLOCKING_IO | PROBING;

/// None of the arguments.
const NONE: usize = usize::MAX;

functions! {
    0 pthread_join Join FUTEX NONE,
    1 read Read IO NONE,
    2 readv Read IO NONE,
    3 recv Read IO NONE,
    4 recvfrom Read IO NONE,
    5 recvmsg Read IO NONE,
    6 write Write IO NONE,
    7 writev Write IO NONE,
    8 send Write IO NONE,
    9 sendto Write IO NONE,
    10 sendmsg Write IO NONE,
    11 poll Poll IO 2,
    12 ppoll Poll IO NONE,
    13 epoll_wait Poll IO 3,
    14 epoll_pwait Poll IO 3,
    15 accept Accept IO NONE,
    16 accept4 Accept IO NONE,
    17 connect Connect IO NONE,
    18 nanosleep Sleep IO NONE,
    19 clock_nanosleep Sleep IO NONE,
}

/// glibc's functions, in the order of `FUNCTIONS`; null until they are looked up.
static ORIGINALS: [AtomicPtr<c_void>; FUNCTIONS.len()] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; FUNCTIONS.len()];

/// In the frame of one of ours.
#[repr(C, align(16))]
struct State {
    wait: MaybeUninit<Wait>,
    /// Whether there is a wait.
    waits: bool,
    /// What glibc keeps of a cleanup handler (`struct _pthread_cleanup_buffer` of its pthread.h).
    cleanup: MaybeUninit<[usize; 4]>,
}

const _: () = assert!(STATE.is_multiple_of(align_of::<State>()));
const _: () = assert!(STATE + size_of::<State>() <= FRAME_BYTES);

/// Begins a wait if one is to be recorded. Returns the function to call.
///
/// # Safety
/// - `state` is room for one in a frame that `pc`, `sp` and `fp` are in, and `sp` points to six arguments.
unsafe extern "C" fn begin(
    state: &mut MaybeUninit<State>,
    index: usize,
    sp: *const [usize; 6],
    pc: u64,
    fp: u64,
) -> *const c_void {
    let before = errno();
    let state = state.write(State {
        wait: MaybeUninit::uninit(),
        waits: false,
        cleanup: MaybeUninit::uninit(),
    });
    let original = original(index);
    if let Some(function) = FUNCTIONS.get(index) {
        // SAFETY: the caller's promise.
        let arguments = unsafe { &*sp };
        state.waits = is_watched(function, arguments);
        if state.waits {
            let registers = Registers { pc, sp: sp as u64, fp };
            state.wait.write(Wait::begin(function.kind, None, registers));
            push_cleanup(state);
        }
    }
    set_errno(before);
    original
}

fn is_watched(function: &Function, arguments: &[usize; 6]) -> bool {
    let flags = switch::flags();
    if flags & PROBING != 0 {
        probe::seen();
    }
    let wanted = if function.kind == Kind::Join { FUTEX } else { FUTEX | BLOCKING_IO };
    let waits = arguments.get(function.timeout).is_none_or(|timeout| *timeout as c_int != 0);
    flags & wanted == wanted && waits && !nesting::is_nested()
}

/// The wait is over.
///
/// # Safety
/// - `state` was filled by `begin`.
unsafe extern "C" fn end(state: &mut MaybeUninit<State>, result: isize) -> isize {
    // SAFETY: the caller's promise.
    let state = unsafe { state.assume_init_mut() };
    if state.waits {
        let after = errno();
        pop_cleanup(state);
        let at_once = result as c_int == -1 && AT_ONCE.contains(&after);
        let brief_ns = if at_once { FAILS_AT_ONCE_NS } else { BRIEF_NS };
        // SAFETY: `begin` has written it, and it is read once.
        let wait = unsafe { state.wait.assume_init_read() };
        wait.end_if_longer(brief_ns);
        set_errno(after);
    }
    result
}

unsafe extern "C" {
    fn _pthread_cleanup_push(
        buffer: *mut [usize; 4],
        routine: unsafe extern "C" fn(*mut c_void),
        argument: *mut c_void,
    );
    fn _pthread_cleanup_pop(buffer: *mut [usize; 4], execute: c_int);
}

fn push_cleanup(state: &mut State) {
    let argument = std::ptr::from_mut(state).cast();
    // SAFETY: the buffer lies in a frame that stays until it is popped, or unwound after the handler has run.
    unsafe { _pthread_cleanup_push(state.cleanup.as_mut_ptr(), cancelled, argument) };
}

fn pop_cleanup(state: &mut State) {
    // SAFETY: pushed by `begin`, and what was pushed since has been popped.
    unsafe { _pthread_cleanup_pop(state.cleanup.as_mut_ptr(), 0) };
}

/// The thread ends while it waits.
unsafe extern "C" fn cancelled(state: *mut c_void) {
    // SAFETY: what `push_cleanup` passed, in a frame that is being unwound and still there.
    let state = unsafe { &*state.cast::<State>() };
    // SAFETY: written by `begin`, and read by nobody else: `end` is not reached.
    unsafe { state.wait.assume_init_read() }.end(Outcome::GaveUp);
}

/// Before `main`, of the program or of the library that this is in.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK_UP: extern "C" fn() = look_up;

extern "C" fn look_up() {
    for index in 0..FUNCTIONS.len() {
        original(index);
    }
}

/// glibc's function, looked up if that has not been done: a call before `look_up`, from another library's initialisation.
fn original(index: usize) -> *const c_void {
    let (Some(function), Some(known)) = (FUNCTIONS.get(index), ORIGINALS.get(index)) else {
        return missing as *const c_void;
    };
    // ORDERING: Relaxed: code, which is there from the start.
    let original = known.load(Ordering::Relaxed);
    if !original.is_null() {
        return original;
    }
    // SAFETY: a name that ends with a zero.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, function.name.as_ptr()) };
    let original = if found.is_null() { missing as *mut c_void } else { found };
    // ORDERING: Relaxed, as above.
    known.store(original, Ordering::Relaxed);
    original
}

/// Stands for a function that no other library has.
extern "C" fn missing() -> isize {
    fail(libc::ENOSYS.into()) as isize
}

/// # Errors
/// `Unsupported` if calls that block do not come here.
pub(super) fn check() -> Result<(), Error> {
    if probe::arrives(poll_nothing) {
        return Ok(());
    }
    let message = "blocking I/O cannot be watched: calls of `poll` are not bound to pprof-runtime, which has \
                   to be linked into the executable, not loaded at run time";
    Err(Error::new(ErrorKind::Unsupported, message))
}

fn poll_nothing() {
    // SAFETY: no descriptors, and no wait.
    unsafe { libc::poll(std::ptr::null_mut(), 0, 0) };
}
