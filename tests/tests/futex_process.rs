//! What a process may do while futexes are watched: switch that on and off, fork, take signals, cancel threads, make locks by the
//! million. One process, as what is watched is the process's.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use pprof_runtime::futex;
use pprof_tests::waits::{contentions, delay, labels, snapshot};
use pprof_tests::{stacks, sum};

#[test]
fn a_process_goes_on() {
    pprof_runtime::set_mutex_profile_fraction(1);
    pprof_runtime::set_block_profile_rate(1);
    blocking_calls_may_be_asked_for_first();
    blocking_calls_are_seen_on_request();
    calls_that_time_out_are_waits();
    cancelled_threads_end_their_waits();
    handlers_may_wait_and_wake();
    threads_end_in_thread_local_destructors();
    switching_does_no_harm();
    a_child_begins_anew();
    short_lived_locks_need_no_memory();
}

fn reset() {
    for name in ["block", "mutex"] {
        pprof_runtime::lookup(name).unwrap().reset();
    }
}

const TIME: Duration = Duration::from_millis(30);

#[inline(never)]
fn reads(fd: i32) {
    let mut byte = 0_u8;
    // SAFETY: fills one byte of ours.
    assert_eq!(unsafe { libc::read(fd, (&raw mut byte).cast(), 1) }, 1);
    std::hint::black_box(());
}

#[inline(never)]
fn reads_by_std(mut from: &std::os::unix::net::UnixStream) {
    std::io::Read::read_exact(&mut from, &mut [0]).unwrap();
    std::hint::black_box(());
}

#[inline(never)]
fn polls(fd: i32) {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one descriptor, and it is ours.
    assert_eq!(unsafe { libc::poll(&mut poll, 1, -1) }, 1);
    std::hint::black_box(());
}

#[inline(never)]
fn sleeps() {
    thread::sleep(TIME);
    std::hint::black_box(());
}

#[inline(never)]
fn accepts(listener: &std::os::unix::net::UnixListener) {
    drop(listener.accept().unwrap());
    std::hint::black_box(());
}

#[inline(never)]
fn does_not_block(fd: i32) {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let mut byte = 0_u8;
    for _ in 0..100 {
        // SAFETY: one descriptor, and it is ours.
        assert_eq!(unsafe { libc::poll(&mut poll, 1, 0) }, 0);
        // SAFETY: fills at most one byte of ours.
        let n = unsafe { libc::recv(fd, (&raw mut byte).cast(), 1, libc::MSG_DONTWAIT) };
        let error = std::io::Error::last_os_error();
        assert_eq!((n, error.raw_os_error()), (-1, Some(libc::EAGAIN)));
        // SAFETY: writes nothing.
        assert_eq!(unsafe { libc::read(-1, std::ptr::null_mut(), 0) }, -1);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EBADF));
    }
}

fn blocking_calls_are_seen_on_request() {
    use std::os::fd::AsRawFd;
    use std::os::unix::net::{UnixListener, UnixStream};
    let (ours, theirs) = UnixStream::pair().unwrap();
    let path = std::env::temp_dir().join(format!("pprof-futex-{}", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let all = || {
        let after = |call: &(dyn Fn() + Sync), wake: &(dyn Fn() + Sync)| {
            thread::scope(|scope| {
                scope.spawn(call);
                thread::sleep(TIME);
                wake();
            });
        };
        let write = || std::io::Write::write_all(&mut &theirs, &[1]).unwrap();
        after(&|| reads(ours.as_raw_fd()), &write);
        after(&|| reads_by_std(&ours), &write);
        after(&|| polls(ours.as_raw_fd()), &write);
        reads(ours.as_raw_fd());
        after(&|| accepts(&listener), &|| drop(UnixStream::connect(&path).unwrap()));
        sleeps();
        does_not_block(ours.as_raw_fd());
    };
    let functions = [
        ("::reads", "kind=read"),
        ("::reads_by_std", "kind=read"),
        ("::polls", "kind=poll"),
        ("::accepts", "kind=accept"),
        ("::sleeps", "kind=sleep"),
    ];
    reset();
    all();
    let block = snapshot("block");
    for (function, _) in functions {
        assert_eq!(contentions(&block, function), 0, "{function}: not asked for");
    }
    assert!(!futex::set_blocking_io(true).unwrap());
    all();
    assert!(futex::set_blocking_io(false).unwrap());
    let block = snapshot("block");
    for (function, kind) in functions {
        let seen = labels(&block, function);
        assert!(seen.iter().all(|(text, _)| text == kind), "{function}: {seen:?}");
        // A thread that starts late finds what it would have waited for.
        let most = seen.iter().map(|(_, values)| values[1]).max();
        assert!(function != "::sleeps" || most >= Some(29_000_000), "{function}: {seen:?}");
        let leaf = sum(&block, 1, |names| names[0].ends_with(function));
        assert_eq!(leaf, delay(&block, function), "{function} is the leaf: {:?}", stacks(&block));
    }
    let kinds = ["::reads", "::polls", "::accepts"].map(|f| contentions(&block, f));
    assert!(kinds.iter().sum::<i64>() >= 2, "{kinds:?}: {:?}", stacks(&block));
    // Descriptors that are not ready may take long to say so on a busy machine.
    assert!(contentions(&block, "::does_not_block") < 50, "{:?}", stacks(&block));
    std::fs::remove_file(path).unwrap();
}

fn blocking_calls_may_be_asked_for_first() {
    assert!(!futex::set_blocking_io(true).unwrap());
    sleeps();
    assert_eq!(contentions(&snapshot("block"), "::sleeps"), 0, "not started");
    futex::start().unwrap();
    sleeps();
    assert_eq!(contentions(&snapshot("block"), "::sleeps"), 1, "{:?}", stacks(&snapshot("block")));
    assert!(futex::set_blocking_io(false).unwrap());
}

#[inline(never)]
fn times_out(mut from: &std::os::unix::net::UnixStream) {
    let error = std::io::Read::read(&mut from, &mut [0]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
}

/// `EAGAIN` is the end of a time-out too.
fn calls_that_time_out_are_waits() {
    let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(TIME)).unwrap();
    futex::set_blocking_io(true).unwrap();
    reset();
    times_out(&ours);
    pprof_tests::waits::assert_one_wait("::times_out", TIME, &["kind=read"]);
    futex::set_blocking_io(false).unwrap();
}

extern "C" fn cancelled_while_reading(fd: *mut libc::c_void) -> *mut libc::c_void {
    let mut byte = 0_u8;
    // SAFETY: fills one byte of ours. Cancelled here: this frame has nothing to clean up.
    unsafe { libc::read(fd as i32, (&raw mut byte).cast(), 1) };
    std::ptr::null_mut()
}

fn cancelled_threads_end_their_waits() {
    // glibc's own, so that no frame of std's is unwound.
    unsafe extern "C" {
        fn pthread_cancel(thread: libc::pthread_t) -> i32;
    }
    let canceled = -1_isize as *mut libc::c_void;
    futex::set_blocking_io(true).unwrap();
    for seen_waiting in [false, true] {
        reset();
        let mut pipe = [0; 2];
        // SAFETY: two descriptors to be filled.
        assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
        let (mut id, mut result) = (0, std::ptr::null_mut());
        let start = std::ptr::null();
        let fd = pipe[0] as usize as *mut libc::c_void;
        // SAFETY: a function of that type; it reads from an open descriptor.
        assert_eq!(unsafe { libc::pthread_create(&mut id, start, cancelled_while_reading, fd) }, 0);
        let function = "::cancelled_while_reading";
        while seen_waiting && labels(&snapshot("block"), function).is_empty() {
            thread::sleep(Duration::from_millis(5));
        }
        // SAFETY: joined below.
        assert_eq!(unsafe { pthread_cancel(id) }, 0);
        // SAFETY: the thread created above, once.
        assert_eq!(unsafe { libc::pthread_join(id, &mut result) }, 0);
        assert_eq!(result, canceled, "`read` is a cancellation point");
        let seen = labels(&snapshot("block"), function);
        if seen_waiting {
            assert!(matches!(&seen[..], [(text, [1, _])] if text == "kind=read"), "{seen:?}");
        }
        // SAFETY: opened above.
        pipe.iter().for_each(|fd| assert_eq!(unsafe { libc::close(*fd) }, 0));
    }
    futex::set_blocking_io(false).unwrap();
}

static SIGNALLED: AtomicU32 = AtomicU32::new(0);
static WORD: AtomicU32 = AtomicU32::new(0);

/// Waits and wakes, whatever it interrupts.
extern "C" fn handler(_: i32) {
    let time = libc::timespec { tv_sec: 0, tv_nsec: 1000 };
    let wait = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    let wake = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: always valid to call.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the calling thread's own.
    let before = unsafe { *errno };
    // SAFETY: word and time are valid for the call.
    unsafe { libc::syscall(libc::SYS_futex, WORD.as_ptr(), wait, 0, &time) };
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_futex, WORD.as_ptr(), wake, 100) };
    SIGNALLED.fetch_add(1, Ordering::Relaxed);
    // SAFETY: as above.
    unsafe { *errno = before };
}

fn handlers_may_wait_and_wake() {
    // SAFETY: all-zero is a valid action, of which the rest is set below.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler does nothing that a handler may not.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()) }, 0);
    let (lock, stop) = (Mutex::new(0_u64), AtomicBool::new(false));
    let ids = Mutex::new(Vec::new());
    let ready = Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                // SAFETY: always valid to call.
                ids.lock().unwrap().push(unsafe { libc::pthread_self() });
                ready.wait();
                while !stop.load(Ordering::Relaxed) {
                    *lock.lock().unwrap() += 1;
                    // Inside malloc too.
                    std::hint::black_box(vec![0_u8; 100]);
                }
            });
        }
        ready.wait();
        let ids = ids.lock().unwrap().clone();
        let began = Instant::now();
        while SIGNALLED.load(Ordering::Relaxed) < 2_000 && began.elapsed() < Duration::from_secs(2)
        {
            for id in &ids {
                // SAFETY: the threads run until `stop`.
                assert_eq!(unsafe { libc::pthread_kill(*id, libc::SIGUSR1) }, 0);
            }
            thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(SIGNALLED.load(Ordering::Relaxed) > 10);
}

#[inline(never)]
fn wait_at_the_end(lock: &Mutex<u32>) {
    *lock.lock().unwrap() += 1;
    std::hint::black_box(());
}

struct AtTheEnd(Arc<Mutex<u32>>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        wait_at_the_end(&self.0);
    }
}

fn threads_end_in_thread_local_destructors() {
    thread_local! {
        static LAST: std::cell::RefCell<Vec<AtTheEnd>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    reset();
    let lock = Arc::new(Mutex::new(0));
    let held = lock.lock().unwrap();
    let threads = [(); 4].map(|()| {
        let last = AtTheEnd(Arc::clone(&lock));
        thread::spawn(|| LAST.with(|l| l.borrow_mut().push(last)))
    });
    thread::sleep(TIME);
    drop(held);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(*lock.lock().unwrap(), 4);
    let seen = contentions(&snapshot("block"), "::wait_at_the_end");
    assert!(seen >= 1, "{:?}", stacks(&snapshot("block")));
}

fn switching_does_no_harm() {
    const ROUNDS: u64 = 25_000;
    let (lock, other) = (Mutex::new(0_u64), parking_lot::Mutex::new(0_u64));
    let (condvar, done) = (std::sync::Condvar::new(), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for i in 0..ROUNDS {
                    *lock.lock().unwrap() += 1;
                    *other.lock() += 1;
                    if i % 64 == 0 {
                        // With the lock held, so that others have to sleep.
                        let guard = lock.lock().unwrap();
                        drop(condvar.wait_timeout(guard, Duration::from_nanos(1)).unwrap());
                        condvar.notify_all();
                    }
                }
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        let mut on = true;
        while done.load(Ordering::Relaxed) < 4 {
            on = !on;
            if on {
                futex::start().unwrap()
            } else {
                futex::stop()
            }
            pprof_runtime::set_block_profile_rate(i64::from(on) * 1000);
            pprof_runtime::set_mutex_profile_fraction(i64::from(!on) * 3);
            thread::sleep(Duration::from_micros(300));
        }
    });
    assert_eq!((lock.into_inner().unwrap(), other.into_inner()), (4 * ROUNDS, 4 * ROUNDS));
    futex::start().unwrap();
    pprof_runtime::set_mutex_profile_fraction(1);
    pprof_runtime::set_block_profile_rate(1);
    // Nothing is left of those waits.
    let going_on = |text: &str| text.ends_with("state=waiting");
    let of_threads = labels(&snapshot("block"), "::switching_does_no_harm::{{closure}}");
    assert!(!of_threads.iter().any(|(text, _)| going_on(text)), "{of_threads:?}");
}

#[inline(never)]
fn wait_in_the_child(lock: &Mutex<u32>) {
    *lock.lock().unwrap() += 1;
    std::hint::black_box(());
}

/// What the child finds; 0 if all is well, as it can only tell by its status.
fn child() -> i32 {
    reset();
    if snapshot("block").sample.iter().any(|sample| sample.value[1] > 0) {
        return 1;
    }
    let lock = Mutex::new(0);
    let held = lock.lock().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| wait_in_the_child(&lock));
        thread::sleep(TIME);
        drop(held);
    });
    if *lock.lock().unwrap() != 1 { 2 } else { 0 }
}

fn a_child_begins_anew() {
    let lock = Mutex::new(());
    let held = lock.lock().unwrap();
    thread::scope(|scope| {
        // The parent has a waiter, which the child has not.
        scope.spawn(|| drop(lock.lock().unwrap()));
        thread::sleep(TIME);
        // SAFETY: the child uses what it can, and ends with `_exit`.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "{}", std::io::Error::last_os_error());
        if pid == 0 {
            let code = child();
            // SAFETY: ends this process without running what is the parent's.
            unsafe { libc::_exit(code) };
        }
        let mut status = 0;
        // SAFETY: our child; `status` is a local.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        drop(held);
        assert!(libc::WIFEXITED(status), "the child ended by a signal: {status:#x}");
        assert_eq!(libc::WEXITSTATUS(status), 0, "see `child`");
    });
}

fn resident_kb() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A wait and a wake-up at an address, as a contended lock makes them, without two threads to take turns.
fn contend(address: usize) {
    let time = libc::timespec { tv_sec: 0, tv_nsec: 1 };
    let wait = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the caller's word, and a time of ours.
    unsafe { libc::syscall(libc::SYS_futex, address, wait, 0, &time) };
}

fn short_lived_locks_need_no_memory() {
    let contend_some = |locks: usize| {
        // A million addresses, one after the other: 4 bytes of untouched zeros each.
        let words: Vec<AtomicU32> = (0..locks).map(|_| AtomicU32::new(0)).collect();
        for word in &words {
            contend(word.as_ptr() as usize);
        }
    };
    // Threads that really wait for locks which are made, contended once and dropped.
    let contend_locks = |locks: usize| {
        thread::scope(|scope| {
            for _ in 0..locks {
                let lock = Arc::new(Mutex::new(()));
                let held = lock.lock().unwrap();
                let other = Arc::clone(&lock);
                let thread = scope.spawn(move || drop(other.lock().unwrap()));
                thread::yield_now();
                drop(held);
                thread.join().unwrap();
            }
        });
    };
    contend_some(1_000);
    contend_locks(200);
    let before = resident_kb();
    contend_some(100_000);
    contend_locks(1_000);
    let grown = resident_kb() - before;
    // Of which the words are 400, if the allocator keeps them.
    assert!(grown < 1024, "{grown} KiB");
    let full = "no account left";
    let block = snapshot("block");
    assert!(!block.comment.iter().any(|c| block.string(*c).contains(full)));
}
