//! The example `heap`: of all memory the cache is the top line, of what is old the leak.

use std::process::Command;

use pprof_tests::{report, workspace_dir};

#[test]
fn the_leak_is_the_top_line_of_what_is_old() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["run", "--release", "-p", "pprof-examples", "--example", "heap", "--", "--out"])
        .arg(dir.path())
        .current_dir(workspace_dir())
        .output()
        .expect("cargo runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let top = |name| {
        let top = report(&["-top", &path(name)]);
        let first = top.lines().skip_while(|l| !l.contains("flat%")).nth(1).unwrap_or_default();
        (first.to_owned(), top.clone())
    };
    let (first, all) = top("heap.pb.gz");
    assert!(first.contains("heap::service::render"), "{all}");
    let (first, old) = top("old.pb.gz");
    assert!(first.contains("heap::service::new_subscriber"), "{old}");
    assert!(!old.contains("heap::service::render"), "{old}");
    let text = std::fs::read_to_string(dir.path().join("heap.txt")).unwrap();
    for line in ["# RSS - in use = ", "# kept by the allocator, free = "] {
        assert!(text.contains(line), "{line}: {text}");
    }
}
