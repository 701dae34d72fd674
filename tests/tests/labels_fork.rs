//! A fork while other threads make labels: the child has what its parent had set, and can make its own.

use std::sync::atomic::{AtomicBool, Ordering};

use pprof_runtime::{Labels, labels, with_labels};

static STOP: AtomicBool = AtomicBool::new(false);

/// What the child finds; 0 if all is well, as it can only tell by its status.
fn child(held: &Labels) -> i32 {
    if Labels::current() != *held || Labels::current().get("held") != Some("1") {
        return 1;
    }
    // Found again or made again, of any part of the table: it is equal.
    for value in 0..200 {
        let made = labels! { "child" => value };
        if made != labels! { "child" => value } || made.get("child") != Some(&*value.to_string()) {
            return 2;
        }
    }
    if labels! { "held" => 1 } != *held {
        return 3;
    }
    let own = || (0..200).all(|value| with_labels(labels! { "own" => value % 7 }, is_own));
    let threads = [(); 4].map(|()| std::thread::spawn(own));
    for thread in threads {
        if !thread.join().is_ok_and(|fine| fine) {
            return 4;
        }
    }
    0
}

fn is_own() -> bool {
    Labels::current().get("own").is_some()
}

fn make_labels() {
    // ORDERING: Relaxed: a flag that orders nothing.
    while !STOP.load(Ordering::Relaxed) {
        // Those of the children, so that it is their part of the table that is locked.
        for value in 0..7 {
            drop((
                labels! { "held" => 1 },
                labels! { "child" => value },
                labels! { "own" => value },
            ));
        }
    }
}

fn ended_with(pid: libc::pid_t) -> i32 {
    let mut status = 0;
    // SAFETY: our child; `status` is a local.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert!(libc::WIFEXITED(status), "the child ended by a signal: {status:#x}");
    libc::WEXITSTATUS(status)
}

fn in_child(fork: impl Fn() -> libc::pid_t, child: impl Fn() -> i32) -> i32 {
    let pid = fork();
    assert!(pid >= 0, "{}", std::io::Error::last_os_error());
    if pid == 0 {
        // SAFETY: ends a child that waits for what never comes.
        unsafe { libc::alarm(20) };
        let code = child();
        // SAFETY: ends this process without running what is the parent's.
        unsafe { libc::_exit(code) };
    }
    ended_with(pid)
}

/// What the profiles of the parent's records say in a child.
fn has_remark() -> bool {
    let profile = pprof_runtime::lookup("block").unwrap().snapshot().unwrap();
    let profile = profile.proto();
    profile.comment.iter().any(|comment| profile.string(*comment).contains("had at a fork"))
}

#[test]
fn a_child_has_its_parents_labels_and_makes_its_own() {
    let makers = [(); 4].map(|()| std::thread::spawn(make_labels));
    // SAFETY: the child ends with `_exit`, and what others have locked is what this is about.
    let fork = || unsafe { libc::fork() };
    let held = labels! { "held" => 1 };
    let mut lost = 0;
    with_labels(&held, || {
        for _ in 0..100 {
            assert_eq!(in_child(fork, || child(&held)), 0, "see `child`");
            // One part at least, and a child of the child's.
            let grandchild = || in_child(fork, || i32::from(has_remark()));
            lost += in_child(fork, grandchild);
        }
    });
    assert!(lost > 0, "nothing was locked by another thread in any child");
    assert!(!has_remark(), "the parent has lost nothing");
    // ORDERING: Relaxed: as in `make_labels`.
    STOP.store(true, Ordering::Relaxed);
    makers.into_iter().for_each(|maker| maker.join().unwrap());
}
