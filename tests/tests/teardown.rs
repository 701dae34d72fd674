//! Waits at the ends of things: in destructors of thread-locals, while the process exits, and in forked children.

use std::process::Command;
use std::time::Duration;

use pprof_runtime::sync::Mutex;
use pprof_tests::waits::{contentions, delay, snapshot};

static LOCK: Mutex<u32> = Mutex::new(0);

const HOLD: Duration = Duration::from_millis(30);

struct LocksInDrop;

impl Drop for LocksInDrop {
    #[inline(never)]
    fn drop(&mut self) {
        *LOCK.lock().unwrap() += 1;
    }
}

thread_local! {
    static LAST: LocksInDrop = const { LocksInDrop };
}

fn profiles_on() {
    pprof_runtime::set_mutex_profile_fraction(1);
    pprof_runtime::set_block_profile_rate(1);
}

/// One after the other: a fork copies what other threads are in the middle of.
#[test]
fn the_ends_of_things() {
    if std::env::var_os("EXITING").is_some() {
        exit_while_waiting();
    }
    waits_in_destructors_of_thread_locals_are_seen();
    a_forked_child_starts_without_waits_and_records_its_own();
    a_process_exits_while_threads_wait();
}

fn waits_in_destructors_of_thread_locals_are_seen() {
    profiles_on();
    let held = LOCK.lock().unwrap();
    let ending = std::thread::spawn(|| LAST.with(|_| ()));
    std::thread::sleep(HOLD);
    drop(held);
    ending.join().unwrap();
    let profile = snapshot("block");
    let name = "LocksInDrop as core::ops::drop::Drop>::drop";
    assert_eq!(contentions(&profile, name), 1, "{:?}", pprof_tests::stacks(&profile));
    assert!(delay(&profile, name) > HOLD.as_nanos() as i64 / 2);
}

/// The process itself, again, as a child that exits while a thread holds the lock.
fn a_process_exits_while_threads_wait() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_ends_of_things", "--nocapture"])
        .env("EXITING", "1")
        .output()
        .unwrap();
    assert_eq!(child.status.code(), Some(7), "{}", String::from_utf8_lossy(&child.stderr));
    assert!(String::from_utf8_lossy(&child.stdout).contains("in atexit: true"), "{child:?}");
}

fn exit_while_waiting() -> ! {
    extern "C" fn at_exit() {
        // Waits, as others do, for the thread that lets go of it a moment later.
        let count = *LOCK.lock().unwrap();
        println!("in atexit: {}", count >= 10);
    }
    profiles_on();
    // SAFETY: a function that may run while the process exits.
    assert_eq!(unsafe { libc::atexit(at_exit) }, 0);
    let (locked, is_locked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut held = LOCK.lock().unwrap();
        locked.send(()).unwrap();
        std::thread::sleep(2 * HOLD);
        *held = 10;
    });
    is_locked.recv().unwrap();
    for _ in 0..3 {
        std::thread::spawn(|| *LOCK.lock().unwrap() += 1);
    }
    // Some may be asleep when the process is gone.
    std::thread::sleep(HOLD / 2);
    std::process::exit(7)
}

/// A child has none of its parent's threads, and so none of their waits.
fn a_forked_child_starts_without_waits_and_records_its_own() {
    static HELD: Mutex<()> = Mutex::named((), "held over the fork");
    profiles_on();
    let held = HELD.lock().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| drop(HELD.lock()));
        while !waits_in_progress() {
            std::thread::sleep(Duration::from_millis(1));
        }
        // SAFETY: the child calls nothing that another thread could have locked, and ends with `_exit`.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "{}", std::io::Error::last_os_error());
        if pid == 0 {
            let code = i32::from(waits_in_progress());
            // SAFETY: ends this process without running what is the parent's.
            unsafe { libc::_exit(code) };
        }
        let mut status = 0;
        // SAFETY: our child; `status` is a local.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        assert!(libc::WIFEXITED(status), "the child ended by a signal: {status:#x}");
        assert_eq!(libc::WEXITSTATUS(status), 0, "the child has its parent's waits");
        assert!(waits_in_progress(), "the parent has its own");
        drop(held);
    });
}

fn waits_in_progress() -> bool {
    let profile = snapshot("block");
    profile.sample.iter().any(|sample| {
        let label = |key: &str| {
            let found = sample.label.iter().find(|l| profile.string(l.key) == key);
            found.map_or("", |l| profile.string(l.str))
        };
        label("state") == "waiting" && label("lock") == "held over the fork"
    })
}
