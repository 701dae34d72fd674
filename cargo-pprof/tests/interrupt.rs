//! What is left of a report that is interrupted: nothing.
#![cfg(unix)]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("it is there");
    entries.map(|e| e.expect("there").file_name().to_string_lossy().into_owned()).collect()
}

/// A directory with a profile whose report takes a second or more to be written, and that report as it begins; started by `shell`.
fn begun(shell: &str) -> (tempfile::TempDir, Child) {
    let directory = tempfile::tempdir().expect("a directory");
    let stacks: String = (0..100_000).map(|n| format!("main;a{n};b;c;d;e;f;g {n}\n")).collect();
    fs::write(directory.path().join("folded"), stacks).expect("a directory of ours");
    let mut program = Command::new("sh")
        .args(["-c", &format!("{shell} \"$0\" -traces -output=traces folded")])
        .arg(env!("CARGO_BIN_EXE_cargo-pprof"))
        .current_dir(directory.path())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    while names(directory.path()).len() < 2 {
        assert_eq!(program.try_wait().expect("ours"), None, "it ended without a report");
        sleep(Duration::from_millis(1));
    }
    (directory, program)
}

fn signal(program: &Child, name: &str) {
    let pid = program.id().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().expect("it runs").success());
}

#[test]
fn an_interrupted_report_leaves_no_file() {
    let (directory, mut program) = begun("exec");
    signal(&program, "-TERM");
    assert_eq!(program.wait().expect("ours").signal(), Some(15), "shells see it");
    assert_eq!(names(directory.path()), ["folded"]);
}

#[cfg(target_os = "linux")]
#[test]
fn so_it_is_with_the_keys_of_the_terminal() {
    // Both are ignored by what is run in the background, as this test may be.
    for (name, number) in [("INT", 2), ("QUIT", 3)] {
        let (directory, mut program) =
            begun(&format!("ulimit -c 0; exec env --default-signal={name}"));
        signal(&program, &format!("-{name}"));
        assert_eq!(program.wait().expect("ours").signal(), Some(number));
        assert_eq!(names(directory.path()), ["folded"]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn who_is_to_ignore_a_signal_does() {
    let (directory, mut program) = begun("trap '' HUP; exec");
    signal(&program, "-HUP");
    assert_eq!(program.wait().expect("ours").code(), Some(0));
    assert!(directory.path().join("traces").exists());
    // It hears others.
    let (directory, mut program) = begun("trap '' HUP; exec");
    signal(&program, "-TERM");
    assert_eq!(program.wait().expect("ours").signal(), Some(15));
    assert_eq!(names(directory.path()), ["folded"]);
}
