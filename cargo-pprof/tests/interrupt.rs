//! What is left of a report that is interrupted: nothing.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("it is there");
    entries.map(|e| e.expect("there").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn an_interrupted_report_leaves_no_file() {
    let directory = tempfile::tempdir().expect("a directory");
    // Long enough to be written for a second or more.
    let stacks: String = (0..100_000).map(|n| format!("main;a{n};b;c;d;e;f;g {n}\n")).collect();
    fs::write(directory.path().join("folded"), stacks).expect("a directory of ours");
    let mut program = Command::new(env!("CARGO_BIN_EXE_cargo-pprof"))
        .args(["-traces", "-output=traces", "folded"])
        .current_dir(directory.path())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    while names(directory.path()).len() < 2 {
        assert_eq!(program.try_wait().expect("ours"), None, "it ended without a report");
        sleep(Duration::from_millis(1));
    }
    let pid = program.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("it runs").success());
    assert_eq!(program.wait().expect("ours").code(), Some(130));
    assert_eq!(names(directory.path()), ["folded"]);
}
