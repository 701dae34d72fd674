//! The example `contention`: the worst lock of a program that nobody edited, in a crate that it depends on, is the top line at level 0.

use std::path::Path;
use std::process::Command;

use pprof_tests::{report, workspace_dir};

fn run(level: &str, out: &Path) {
    let status = Command::new(env!("CARGO"))
        .args(["run", "--release", "-p", "pprof-examples", "--example", "contention", "--"])
        .args(["--level", level, "--seconds", "3", "--out"])
        .arg(out)
        .current_dir(workspace_dir())
        .status();
    assert!(status.expect("cargo runs").success());
}

#[test]
fn the_worst_lock_is_found_in_a_dependency() {
    let dir = tempfile::tempdir().unwrap();
    run("0", dir.path());
    let [mutex, block] = ["mutex", "block"]
        .map(|name| dir.path().join(format!("{name}.pb.gz")).display().to_string());
    let top = report(&["-top", &mutex]);
    let first = top.lines().skip_while(|l| !l.contains("flat%")).nth(1).unwrap_or_default();
    assert!(first.contains("dashmap::mapref::one::RefMut"), "{top}");
    assert!(top.lines().any(|l| l.contains("contention::plain::thumbnail")), "{top}");
    let top = report(&["-top", &block]);
    assert!(top.contains("<dashmap::DashMap<K,V,S> as dashmap::t::Map<K,V,S>>::"), "{top}");
    // Which of lock_api's locks it is, is told by its trait; nothing is left whose kind is unknown.
    let tags = report(&["-tags", &block]);
    assert!(tags.contains(": rwlock-write") && !tags.contains(": futex"), "{tags}");
    // The program's own locks alone, with their names and holders.
    run("1", dir.path());
    let top = report(&["-top", &mutex]);
    assert!(
        top.contains("contention::profiled::next_request") && !top.contains("dashmap"),
        "{top}"
    );
    let tags = report(&["-tags", &block]);
    for tag in ["holder:", "channel-send", "service.rs:"] {
        assert!(tags.contains(tag), "{tag}: {tags}");
    }
}
