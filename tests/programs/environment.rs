//! A program with `#[pprof_runtime::main]`: does a little of everything that can be profiled, and ends as its argument says.

use std::error::Error;
use std::thread;
use std::time::Duration;

use pprof_runtime::profile;
use pprof_runtime::sync::Mutex;
use pprof_tests::{cpu_time, has_burnt};

static LOCK: Mutex<u32> = Mutex::new(0);

#[profile]
#[inline(never)]
fn burns() {
    let start = cpu_time(libc::CLOCK_THREAD_CPUTIME_ID);
    while !has_burnt(start, Duration::from_millis(100)) {
        std::hint::black_box((0..10_000).fold(0_u64, |a, b| a ^ b));
    }
}

/// Makes another thread wait for some 30 ms.
#[inline(never)]
fn holds() {
    let mut held = LOCK.lock().unwrap();
    let waiter = thread::spawn(waits);
    thread::sleep(Duration::from_millis(30));
    *held += 1;
    drop(held);
    waiter.join().unwrap();
}

#[inline(never)]
fn waits() {
    *LOCK.lock().unwrap() += 1;
    std::hint::black_box(());
}

/// The same with a lock that is not ours.
#[inline(never)]
fn holds_stds() {
    static STDS: std::sync::Mutex<u32> = std::sync::Mutex::new(0);
    let mut held = STDS.lock().unwrap();
    let waiter = thread::spawn(|| *STDS.lock().unwrap() += 1);
    thread::sleep(Duration::from_millis(30));
    *held += 1;
    drop(held);
    waiter.join().unwrap();
}

/// Threads that go on while the program ends, one of them with all that is recorded.
fn leave_threads() {
    for work in [|| burns(), || holds()] {
        thread::spawn(move || {
            loop {
                work();
            }
        });
    }
}

struct AtTheEnd;

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        std::hint::black_box(thread::available_parallelism().is_ok());
    }
}

thread_local! {
    static LOCAL: AtTheEnd = const { AtTheEnd };
}

#[pprof_runtime::main]
fn main() -> Result<(), Box<dyn Error>> {
    LOCAL.with(|_| ());
    burns();
    holds();
    holds_stds();
    burns();
    match std::env::args().nth(1).as_deref().unwrap_or("return") {
        "return" => {}
        "fail" => drop("no number".parse::<u32>()?),
        "early" => return Ok(()),
        "panic" => panic!("as asked"),
        "exit" => std::process::exit(7),
        "exit with threads" => {
            leave_threads();
            std::process::exit(7);
        }
        "exit of a thread" => {
            leave_threads();
            thread::spawn(|| std::process::exit(7)).join().unwrap();
        }
        "exit of a thread while main returns" => {
            thread::spawn(|| std::process::exit(0));
        }
        how @ ("exit of a thread while main works" | "exit while main is sampled by a thread") => {
            if how == "exit while main is sampled by a thread" {
                let profile = thread::spawn(pprof_runtime::cpu::start).join().unwrap()?;
                std::mem::forget(profile);
                // Threads that are there already are found by and by.
                (0..3).for_each(|_| burns());
            }
            extern "C" fn take_long() {
                thread::sleep(Duration::from_millis(300));
            }
            // SAFETY: what runs then needs nothing.
            unsafe { libc::atexit(take_long) };
            thread::spawn(|| std::process::exit(7));
            loop {
                burns();
            }
        }
        // SAFETY: ends the process, which is what exit does.
        "C's exit" => unsafe { libc::exit(7) },
        "exit while written" => {
            // The writer's own panic hook, or that of a thread beside it: whatever ends the process meanwhile.
            for _ in 0..4 {
                thread::spawn(|| std::process::exit(0));
            }
        }
        // SAFETY: ends the process without anything being run.
        "_exit" => unsafe { libc::_exit(7) },
        "abort" => std::process::abort(),
        "change directory" => std::env::set_current_dir("/")?,
        "fork and return" | "fork and exit" => fork(),
        "start" => println!("{}", pprof_runtime::env::start().unwrap_err()),
        "wait" => {
            println!("ready");
            std::io::stdin().read_line(&mut String::new())?;
        }
        other => return Err(format!("{other:?} is not how this program ends").into()),
    }
    Ok(())
}

/// The child returns from here, or exits; the parent waits for that, and then does the same.
fn fork() {
    // SAFETY: the other threads have ended, but for ours, which may not be used in the child.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "{}", std::io::Error::last_os_error());
    if pid != 0 {
        let mut status = 0;
        // SAFETY: our child; `status` is a local.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        assert_eq!(status, 0, "the child has ended well");
        println!("child {pid}");
    }
    if std::env::args().nth(1).as_deref() == Some("fork and exit") {
        std::process::exit(0);
    }
}
