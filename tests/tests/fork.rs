//! A fork during a profile: the parent's goes on, and the child may take one of its own.

use std::time::Duration;

use pprof_runtime::{ErrorKind, cpu};
use pprof_tests::{cpu_time, has_burnt, sum};

fn burn(cpu: Duration) {
    let start = cpu_time(libc::CLOCK_THREAD_CPUTIME_ID);
    while !has_burnt(start, cpu) {
        std::hint::black_box((0..10_000).fold(0u64, |a, b| a ^ b));
    }
}

/// What the child finds; 0 if all is well, as it can only tell by its status.
fn child(inherited: cpu::Guard) -> i32 {
    let Err(error) = inherited.stop() else { return 1 };
    if error.kind() != ErrorKind::Unsupported {
        return 2;
    }
    let Ok(guard) = cpu::start() else { return 3 };
    burn(Duration::from_millis(300));
    let Ok(profile) = guard.stop() else { return 4 };
    if sum(profile.proto(), 1, |_| true) < 200_000_000 {
        return 5;
    }
    for source in pprof_runtime::profiles() {
        if source.snapshot().is_err() {
            return 6;
        }
    }
    0
}

#[test]
fn a_fork_leaves_the_parents_profile_and_allows_the_childs() {
    let guard = cpu::start().expect("nobody else profiles");
    burn(Duration::from_millis(200));
    // SAFETY: the one other thread of this process, the harness's, waits meanwhile; the child ends with `_exit`.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "{}", std::io::Error::last_os_error());
    if pid == 0 {
        let code = child(guard);
        // SAFETY: ends this process without running what is the parent's.
        unsafe { libc::_exit(code) };
    }
    burn(Duration::from_millis(200));
    let mut status = 0;
    // SAFETY: our child; `status` is a local.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert!(libc::WIFEXITED(status), "the child ended by a signal: {status:#x}");
    assert_eq!(libc::WEXITSTATUS(status), 0, "see `child`");
    let profile = guard.stop().expect("this is not the child");
    let total = sum(profile.proto(), 1, |_| true);
    assert!(
        total > 300_000_000 && total < 600_000_000,
        "{total} ns of 400 ms, none of the child's"
    );
}
