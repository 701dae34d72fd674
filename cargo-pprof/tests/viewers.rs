//! Programs that show reports, as others that leave a note of what they were given.
#![cfg(unix)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

/// A directory with programs, and one for temporary files.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().expect("a directory"));
        fs::create_dir(place.path("tmp")).expect("a directory of ours");
        fs::create_dir(place.path("bin")).expect("a directory of ours");
        fs::write(place.path("folded"), "main;a 3\nmain;b 4\n").expect("a directory of ours");
        // In the place of Graphviz, which need not be there.
        place.program(
            "dot",
            "case $1 in *svg) echo '<svg/>';; *pdf) echo %PDF;; *) echo %!PS;; esac",
        );
        place
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a directory of ours");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }

    /// A viewer: it notes its words, and keeps the file.
    fn viewer(&self, name: &str) {
        let there = self.0.path().display();
        let script = format!(
            "echo \"$0 $*\" >{there}/words; for file; do :; done; /bin/cp \"$file\" {there}/seen"
        );
        self.program(name, &script);
    }

    fn run(&self, words: &[&str], browser: &str, input: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-pprof"));
        command.args(words).arg("folded").current_dir(self.0.path());
        command.env("PATH", self.path("bin")).env("TMPDIR", self.path("tmp"));
        command.env("BROWSER", browser).env_remove("DISPLAY");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = command.spawn().expect("it runs");
        program.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
        program.wait_with_output().expect("it ends")
    }

    /// What the viewer was given: its words, and how the file began.
    fn seen(&self) -> (String, String) {
        let read = |name| text(&fs::read(self.path(name)).expect("a viewer ran"));
        (read("words"), read("seen"))
    }

    fn is_clean(&self) -> bool {
        fs::read_dir(self.path("tmp")).expect("it is there").next().is_none()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ending(path: &str) -> &str {
    Path::new(path.trim_end()).extension().and_then(|e| e.to_str()).unwrap_or_default()
}

#[test]
fn each_viewer_gets_its_kind_of_file() {
    for (command, program, end, begin) in [
        ("-web", "firefox", "svg", "<"),
        ("-eog", "eog", "svg", "<"),
        ("-evince", "evince", "pdf", "%PDF"),
        ("-gv", "gv", "ps", "%!PS"),
        ("-kcachegrind", "kcachegrind", "grind", "positions: instr line"),
    ] {
        let place = Place::new();
        place.viewer(program);
        let output = place.run(&[command], "", "");
        assert!(output.status.success() && output.stdout.is_empty(), "{}", text(&output.stderr));
        let (words, seen) = place.seen();
        assert!(words.contains(&format!("/{program} ")) && ending(&words) == end, "{words}");
        assert!(seen.starts_with(begin), "{command}: {seen}");
        assert!(place.is_clean(), "{command}");
    }
}

#[test]
fn the_browser_that_is_named_comes_first() {
    let place = Place::new();
    place.viewer("firefox");
    place.viewer("mine");
    assert!(place.run(&["-web"], "mine --new-window", "").status.success());
    let (words, _) = place.seen();
    assert!(words.contains("/mine --new-window ") && ending(&words) == "svg", "{words}");
}

#[test]
fn files_are_there_as_long_as_the_shell() {
    let place = Place::new();
    // The file is looked at later, as by a browser that runs already.
    let there = place.0.path().display().to_string();
    place.program(
        "firefox",
        &format!("(/bin/sleep 0.4; /bin/cp \"$1\" {there}/seen) & echo >{there}/words"),
    );
    let output = place.run(&[], "", "web\ntop\n");
    assert!(text(&output.stdout).contains("flat%"), "it goes on");
    assert!(place.seen().1.starts_with('<'));
    assert!(place.is_clean());
}

#[test]
fn what_is_missing_is_told() {
    let place = Place::new();
    let output = place.run(&["-web"], "", "");
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(
        error.contains("firefox") && error.contains("BROWSER") && error.contains("-output"),
        "{error}"
    );
    assert!(place.is_clean());
    assert_eq!(place.run(&["-web", "-output=a.svg"], "", "").status.code(), Some(0));
    assert!(place.path("a.svg").exists());
    place.program("gv", "exit 3");
    let output = place.run(&["-gv"], "", "");
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("gv ended with"));
}

#[test]
fn shells_that_save_at_the_same_time_take_names_of_their_own() {
    let place = Place::new();
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| place.run(&[], "", "svg\n"));
        }
    });
    for number in 1..=12 {
        let name = format!("profile{number:03}.svg");
        assert!(place.path(&name).exists(), "{name}");
    }
}

#[test]
fn who_cannot_write_says_where() {
    let place = Place::new();
    let output = place.run(&["-svg", "-output=/dev/full"], "", "");
    let error = text(&output.stderr);
    // Not every system has it; none has a place to write to there.
    assert!(
        output.status.code() == Some(2) && error.contains("cannot write /dev/full: "),
        "{error}"
    );
}
