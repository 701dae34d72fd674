//! The `heap` profile where much is going on: threads that pass objects on, forks, the beginnings and ends of things, little room, and rates of
//! all sizes.

use std::alloc::{Layout, System};
use std::ffi::{CStr, CString};
use std::hint::black_box;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use std::{ptr, thread};

use pprof_runtime::{Alloc, cpu, lookup, set_mem_profile_rate};
use pprof_tests::build_library;
use pprof_tests::heap::{
    DROPPED, MISMATCHES, ORPHANS, Object, RATES, counted, in_a_process_of_its_own, of, profile,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

#[global_allocator]
static ALLOCATOR: Alloc<System> = Alloc::new(System);

fn random_size(random: &mut StdRng) -> usize {
    pprof_tests::heap::random_size(random, 64 * 1024)
}

fn random_layout(random: &mut StdRng) -> Layout {
    let align = if random.gen_bool(0.2) { 1 << random.gen_range(0..=14) } else { 8 };
    Layout::from_size_align(random_size(random), align).unwrap()
}

#[inline(never)]
fn makes_an_object(random: &mut StdRng) -> Object {
    let object = Object::new(&ALLOCATOR, random_layout(random), random.r#gen());
    black_box(object.expect("there is memory"))
}

#[inline(never)]
fn resizes_an_object(object: &mut Object, size: usize) {
    assert!(black_box(object.resize(&ALLOCATOR, size)));
}

// Threads, profiles and libraries.

const ROUNDS: usize = if cfg!(debug_assertions) { 1_200 } else { 20_000 };

#[test]
fn threads_pass_objects_on_while_profiles_are_taken() {
    in_a_process_of_its_own("threads_pass_objects_on_while_profiles_are_taken", 0, || {
        let dir = tempfile::tempdir().expect("a scratch directory");
        let library = build_library(dir.path(), "library.so", LIBRARY);
        RATES.iter().for_each(|rate| pass_objects_on(*rate, &library));
    });
}

fn pass_objects_on(rate: u64, library: &Path) {
    set_mem_profile_rate(rate);
    let cpu = cpu::Builder::new().rate_hz(1000).start().expect("nobody else profiles");
    let done = AtomicBool::new(false);
    // ORDERING: Relaxed: a flag that orders nothing.
    let is_done = || done.load(Ordering::Relaxed);
    let (snapshots, loads) = thread::scope(|scope| {
        let snapshots = scope.spawn(|| {
            let count = (1..).find(|_| {
                for name in ["heap", "allocs"] {
                    let profile = lookup(name).unwrap().snapshot().unwrap();
                    profile.proto().validate_strict().expect("valid");
                }
                is_done()
            });
            count.unwrap()
        });
        let loads = scope.spawn(|| {
            let count = (1..).find(|_| {
                call_through(library);
                is_done()
            });
            count.unwrap()
        });
        go_around();
        // ORDERING: Relaxed, as above.
        done.store(true, Ordering::Relaxed);
        (snapshots.join().unwrap(), loads.join().unwrap())
    });
    println!("at {rate}: {snapshots} snapshots, library loaded {loads} times");
    cpu.stop().expect("not forked").proto().validate_strict().expect("valid");
    for function in ["makes_an_object", "resizes_an_object", "called_by_a_library"] {
        let [objects, _, in_use @ ..] = of(function);
        assert!(objects > 0, "{function}");
        assert_eq!(in_use, [0, 0], "{function}");
    }
    assert_eq!([ORPHANS, MISMATCHES, DROPPED].map(counted), [0; 3]);
}

/// Sixteen threads in a circle: each takes an object of the one before, does something to it, and gives it, or another, to the next.
fn go_around() {
    const THREADS: usize = 16;
    const EACH: usize = 16;
    let (mut senders, receivers): (Vec<_>, Vec<_>) =
        (0..THREADS).map(|_| mpsc::channel::<Object>()).unzip();
    let mut random = StdRng::from_entropy();
    for sender in &senders {
        (0..EACH).for_each(|_| sender.send(makes_an_object(&mut random)).unwrap());
    }
    // The first of all is the last one's next.
    senders.rotate_left(1);
    thread::scope(|scope| {
        for (sender, receiver) in senders.into_iter().zip(receivers) {
            scope.spawn(move || {
                let mut random = StdRng::from_entropy();
                for _ in 0..ROUNDS {
                    let mut object = receiver.recv().unwrap();
                    if random.gen_bool(0.5) {
                        object.free(&ALLOCATOR);
                        object = makes_an_object(&mut random);
                    } else {
                        resizes_an_object(&mut object, random_size(&mut random));
                    }
                    // The last ones find nobody who takes them.
                    if let Err(mpsc::SendError(object)) = sender.send(object) {
                        object.free(&ALLOCATOR);
                    }
                }
                drop(sender);
                receiver.iter().for_each(|object| object.free(&ALLOCATOR));
            });
        }
    });
}

/// A library with a function that calls another one.
const LIBRARY: &str =
    "#[unsafe(no_mangle)] pub extern \"C\" fn call(f: extern \"C\" fn() -> u32) -> u32 { f() + 1 }";

extern "C" fn called_by_a_library() -> u32 {
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..50 {
        let layout = random_layout(&mut random);
        Object::new(&ALLOCATOR, layout, 1).expect("there is memory").free(&ALLOCATOR);
    }
    50
}

/// Loads the library, has it call a function that allocates, and unloads it.
fn call_through(path: &Path) {
    let path = CString::new(path.as_os_str().as_bytes()).expect("no NUL");
    // SAFETY: a library of ours, without constructors.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    assert!(!library.is_null(), "the library loads");
    // SAFETY: it is open.
    let call = unsafe { libc::dlsym(library, c"call".as_ptr()) };
    assert!(!call.is_null(), "it has the function");
    type Call = extern "C" fn(extern "C" fn() -> u32) -> u32;
    // SAFETY: it has that signature, and is not used after the library is closed.
    let call: Call = unsafe { std::mem::transmute(call) };
    assert_eq!(call(called_by_a_library), 51);
    // SAFETY: nothing of it is used any more.
    assert_eq!(unsafe { libc::dlclose(library) }, 0);
}

// Beginnings and ends.

const ENDS: &str = "memory_is_had_before_main_and_at_the_ends_of_things";

/// Objects that live from before `main` until the process exits.
static EARLY: [AtomicUsize; 200] = [const { AtomicUsize::new(0) }; 200];

const SMALL: Layout = Layout::new::<[u64; 3]>();

#[inline(never)]
fn makes_small_ones(slots: &[AtomicUsize]) {
    for slot in slots {
        let object = Object::new(&ALLOCATOR, SMALL, 9).expect("there is memory");
        slot.store(object.address.expose_provenance(), Ordering::Relaxed);
    }
}

#[inline(never)]
fn frees_small_ones(slots: &[AtomicUsize]) {
    for slot in slots {
        let address = ptr::with_exposed_provenance_mut(slot.swap(0, Ordering::Relaxed));
        Object { address, layout: SMALL, byte: 9 }.free(&ALLOCATOR);
    }
}

#[inline(never)]
fn makes_before_main() {
    makes_small_ones(&EARLY[100..]);
    frees_small_ones(&EARLY[50..150]);
}

extern "C" fn before_main() {
    // SAFETY: a constant name, and no other thread changes the environment.
    let child = unsafe { libc::getenv(c"PPROF_TEST_CHILD".as_ptr()) };
    // SAFETY: a string, as it is not null.
    if child.is_null() || unsafe { CStr::from_ptr(child) }.to_bytes() != ENDS.as_bytes() {
        return;
    }
    makes_small_ones(&EARLY[..100]);
    set_mem_profile_rate(1);
    makes_before_main();
}

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

/// Allocates when its thread ends.
struct MakesInDrop;

impl Drop for MakesInDrop {
    fn drop(&mut self) {
        makes_in_a_destructor(ptr::null_mut());
    }
}

thread_local! {
    static LAST: MakesInDrop = const { MakesInDrop };
}

#[inline(never)]
extern "C" fn makes_in_a_destructor(_: *mut libc::c_void) {
    let slots = [const { AtomicUsize::new(0) }; 10];
    makes_small_ones(&slots);
    frees_small_ones(&slots);
}

static KEY: AtomicU32 = AtomicU32::new(0);

/// The thread's first allocation is its last.
extern "C" fn only_ends(_: *mut libc::c_void) -> *mut libc::c_void {
    let (key, value) = (KEY.load(Ordering::Relaxed), ptr::from_ref(&EARLY).cast());
    // SAFETY: a key that was made by `pthread_key_create`.
    assert_eq!(unsafe { libc::pthread_setspecific(key, value) }, 0);
    ptr::null_mut()
}

#[inline(never)]
extern "C" fn makes_at_exit() {
    let slots = [const { AtomicUsize::new(0) }; 10];
    makes_small_ones(&slots);
    frees_small_ones(&slots);
    frees_small_ones(&EARLY[..50]);
    frees_small_ones(&EARLY[150..]);
    let found = [of("makes_at_exit"), of("makes_before_main")];
    println!("at exit: {found:?}");
    let code = if found == [[10, 240, 0, 0], [100, 2400, 0, 0]] { 7 } else { 8 };
    // SAFETY: ends this process with what is to be told.
    unsafe { libc::_exit(code) };
}

#[test]
fn memory_is_had_before_main_and_at_the_ends_of_things() {
    in_a_process_of_its_own(ENDS, 7, || {
        // Those of before the rate was set are freed unseen.
        assert_eq!(of("makes_before_main"), [100, 2400, 50, 1200]);
        for _ in 0..10 {
            thread::spawn(|| LAST.with(|_| ())).join().unwrap();
        }
        assert_eq!(of("makes_in_a_destructor"), [100, 2400, 0, 0]);
        let mut key = 0;
        // SAFETY: a destructor that uses no argument.
        assert_eq!(unsafe { libc::pthread_key_create(&mut key, Some(makes_in_a_key)) }, 0);
        KEY.store(key, Ordering::Relaxed);
        for _ in 0..10 {
            let mut id = 0;
            // SAFETY: a function of that type.
            let made =
                unsafe { libc::pthread_create(&mut id, ptr::null(), only_ends, ptr::null_mut()) };
            assert_eq!(made, 0);
            // SAFETY: made above, and joined once.
            assert_eq!(unsafe { libc::pthread_join(id, ptr::null_mut()) }, 0);
        }
        assert_eq!(of("makes_in_a_key"), [10 * 10, 2400, 0, 0]);
        // SAFETY: a function that may run while the process exits.
        assert_eq!(unsafe { libc::atexit(makes_at_exit) }, 0);
        std::process::exit(0);
    });
}

#[inline(never)]
unsafe extern "C" fn makes_in_a_key(_: *mut libc::c_void) {
    let slots = [const { AtomicUsize::new(0) }; 10];
    makes_small_ones(&slots);
    frees_small_ones(&slots);
}

// Forks.

const FORKS: usize = if cfg!(debug_assertions) { 25 } else { 100 };

/// What the child finds; 0 if all is well, as it can only tell by its status.
fn child(inherited: Vec<Object>, looks: bool) -> i32 {
    inherited.into_iter().for_each(|object| object.free(&ALLOCATOR));
    let own = || {
        let mut random = StdRng::seed_from_u64(2);
        let objects: Vec<Object> = (0..300).map(|_| makes_an_object(&mut random)).collect();
        objects.into_iter().for_each(|object| object.free(&ALLOCATOR));
    };
    own();
    if thread::spawn(own).join().is_err() {
        return 1;
    }
    if looks && of("makes_some_to_inherit")[2..] != [0, 0] {
        return 2;
    }
    0
}

#[inline(never)]
fn makes_some_to_inherit(random: &mut StdRng) -> Vec<Object> {
    (0..200).map(|_| makes_an_object(random)).collect()
}

#[test]
fn children_of_a_fork_allocate() {
    in_a_process_of_its_own("children_of_a_fork_allocate", 0, || {
        for rate in RATES.into_iter().chain([1]) {
            set_mem_profile_rate(rate);
            fork_while_others_allocate();
        }
    });
}

fn fork_while_others_allocate() {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut random = StdRng::from_entropy();
                // ORDERING: Relaxed: a flag that orders nothing.
                while !done.load(Ordering::Relaxed) {
                    let mut object = makes_an_object(&mut random);
                    resizes_an_object(&mut object, random_size(&mut random));
                    object.free(&ALLOCATOR);
                }
            });
        }
        let mut random = StdRng::from_entropy();
        let mut inherited = makes_some_to_inherit(&mut random);
        for number in 0..FORKS {
            // SAFETY: the child ends with `_exit`, and what others have locked is what this is about.
            let pid = unsafe { libc::fork() };
            assert!(pid >= 0, "{}", std::io::Error::last_os_error());
            if pid == 0 {
                // SAFETY: ends a child that waits for what never comes.
                unsafe { libc::alarm(60) };
                let code = child(std::mem::take(&mut inherited), number == FORKS / 2);
                // SAFETY: ends this process without running what is the parent's.
                unsafe { libc::_exit(code) };
            }
            let mut status = 0;
            // SAFETY: our child; `status` is a local.
            assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
            assert!(libc::WIFEXITED(status), "child {number} ended by a signal: {status:#x}");
            assert_eq!(libc::WEXITSTATUS(status), 0, "see `child`");
        }
        // ORDERING: Relaxed, as above.
        done.store(true, Ordering::Relaxed);
        assert!(of("makes_some_to_inherit")[2] > 0, "the child has freed its own alone");
        inherited.into_iter().for_each(|object| object.free(&ALLOCATOR));
    });
    assert_eq!(of("makes_an_object")[2..], [0, 0]);
}

/// A library's lock: its fork handlers take it, and others allocate while they hold it.
static LIBRARYS: AtomicBool = AtomicBool::new(false);

extern "C" fn takes_the_librarys_lock() {
    while LIBRARYS.swap(true, Ordering::Acquire) {
        thread::yield_now();
    }
}

extern "C" fn lets_go_of_the_librarys_lock() {
    LIBRARYS.store(false, Ordering::Release);
}

/// Their handlers are registered before the rate is set: they are called before ours, which take locks that an allocation may need.
#[test]
fn fork_handlers_take_locks_that_others_allocate_under() {
    in_a_process_of_its_own("fork_handlers_take_locks_that_others_allocate_under", 0, || {
        let (take, let_go) = (takes_the_librarys_lock, lets_go_of_the_librarys_lock);
        // SAFETY: functions without arguments that do not unwind.
        assert_eq!(unsafe { libc::pthread_atfork(Some(take), Some(let_go), Some(let_go)) }, 0);
        set_mem_profile_rate(4096);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut random = StdRng::from_entropy();
                // ORDERING: Relaxed: a flag that orders nothing.
                while !done.load(Ordering::Relaxed) {
                    takes_the_librarys_lock();
                    (0..100).for_each(|_| makes_an_object(&mut random).free(&ALLOCATOR));
                    lets_go_of_the_librarys_lock();
                    // The lock is not fair.
                    thread::sleep(Duration::from_micros(100));
                }
            });
            for _ in 0..FORKS {
                // SAFETY: the child ends with `_exit`, at once.
                let pid = unsafe { libc::fork() };
                if pid == 0 {
                    // SAFETY: ends this process without running what is the parent's.
                    unsafe { libc::_exit(0) };
                }
                // SAFETY: our child, of whose status nothing is asked.
                assert_eq!(unsafe { libc::waitpid(pid, ptr::null_mut(), 0) }, pid);
            }
            // ORDERING: Relaxed, as above.
            done.store(true, Ordering::Relaxed);
        });
    });
}

// Little room, and rates of all sizes.

/// The least that glibc gives a thread; code that is not optimised takes more.
const STACK_BYTES: usize = if cfg!(debug_assertions) { 32 << 10 } else { 16 << 10 };

extern "C" fn makes_on_a_small_stack(_: *mut libc::c_void) -> *mut libc::c_void {
    for size in (1..20_000).step_by(100) {
        let layout = Layout::from_size_align(size, 8).unwrap();
        let mut object = Object::new(&ALLOCATOR, layout, 2).expect("there is memory");
        resizes_an_object(&mut object, 2 * size);
        object.free(&ALLOCATOR);
    }
    ptr::null_mut()
}

#[test]
fn little_room_is_enough() {
    in_a_process_of_its_own("little_room_is_enough", 0, || {
        for rate in [64 * 1024, 1] {
            set_mem_profile_rate(rate);
            let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
            // SAFETY: initialises them.
            assert_eq!(unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) }, 0);
            // SAFETY: initialised above.
            let sized =
                unsafe { libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), STACK_BYTES) };
            assert_eq!(sized, 0);
            let mut id = 0;
            // SAFETY: a function of that type, which uses no argument.
            let made = unsafe {
                libc::pthread_create(
                    &mut id,
                    attributes.as_ptr(),
                    makes_on_a_small_stack,
                    ptr::null_mut(),
                )
            };
            assert_eq!(made, 0);
            // SAFETY: made above, and joined once.
            assert_eq!(unsafe { libc::pthread_join(id, ptr::null_mut()) }, 0);
        }
        assert!(of("makes_on_a_small_stack")[0] >= 400);
    });
}

#[test]
fn any_rate_is_set_while_all_allocate() {
    in_a_process_of_its_own("any_rate_is_set_while_all_allocate", 0, || {
        const MANY: [u64; 8] = [64 * 1024, 1, 2, 0, 64, u64::MAX, 1 << 62, 512 * 1024];
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for number in 0..1000 {
                        set_mem_profile_rate(MANY[number % MANY.len()]);
                        thread::yield_now();
                    }
                });
                scope.spawn(|| {
                    let mut random = StdRng::from_entropy();
                    for _ in 0..5000 {
                        let mut object = makes_an_object(&mut random);
                        resizes_an_object(&mut object, random_size(&mut random));
                        object.free(&ALLOCATOR);
                    }
                });
            }
            scope.spawn(|| (0..10).for_each(|_| lookup("heap").unwrap().reset()));
        });
        for rate in MANY {
            set_mem_profile_rate(rate);
            // More than there is, which is counted down all the same.
            for size in [1 << 62, isize::MAX as usize, 8] {
                let layout = Layout::from_size_align(size, 1).unwrap();
                let object = Object::new(&ALLOCATOR, layout, 1);
                assert_eq!(object.is_some(), size == 8);
                if let Some(mut object) = object {
                    assert!(!object.resize(&ALLOCATOR, isize::MAX as usize));
                    object.free(&ALLOCATOR);
                }
            }
        }
        let profile = profile();
        profile.proto().validate_strict().expect("valid");
        for sample in &profile.proto().sample {
            assert!(sample.value.iter().all(|value| *value >= 0), "{:?}", sample.value);
        }
        for function in ["makes_an_object", "resizes_an_object"] {
            assert_eq!(of(function)[2..], [0, 0], "{function}");
        }
    });
}
