//! Go's own, by programs in Go: built with the toolchain that `tests/run` installs, or the one that the variable `GO` names.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::contender::Figures;

/// Whether there is a toolchain: without one there are no such rows.
#[must_use]
pub fn is_there() -> bool {
    toolchain().is_some()
}

fn toolchain() -> Option<&'static PathBuf> {
    static GO: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let installed = target_dir().join("go/bin/go");
        let go = std::env::var_os("GO").map_or(installed, PathBuf::from);
        go.exists().then_some(go)
    };
    GO.get_or_init(find).as_ref()
}

/// One of the toolchain's own tools, which Go builds when it is first asked for.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn tool(name: &str) -> PathBuf {
    let go = toolchain().expect("looked for before");
    let built = Command::new(go).args(["tool", name, "-h"]).output();
    assert!(built.is_ok(), "go runs");
    let found = Command::new(go).args(["tool", "-n", name]).output().expect("go runs");
    String::from_utf8_lossy(&found.stdout).trim().into()
}

fn target_dir() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(default, PathBuf::from)
}

/// Builds the program `<bench>/go.go`, or finds it built: Go's build cache tells.
fn program(bench: &str) -> PathBuf {
    let scratch = target_dir().join("go-scratch");
    std::fs::create_dir_all(&scratch).expect("the target directory can be written");
    let scratch = scratch.canonicalize().expect("just made");
    let program = scratch.join(bench);
    let status = Command::new(toolchain().expect("looked for before"))
        .args(["build", "-o"])
        .arg(&program)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(bench).join("go.go"))
        .env("GOCACHE", scratch.join("cache"))
        .env("GOPATH", scratch.join("path"))
        .env("HOME", scratch.join("home"))
        .env("GOTOOLCHAIN", "local")
        .env("GOTELEMETRY", "off")
        .env("GO111MODULE", "off")
        .status();
    assert!(status.is_ok_and(|s| s.success()), "go build failed");
    program
}

/// What the program of a benchmark shows when it is run so.
///
/// # Panics
/// If it cannot be built, or shows nothing.
#[must_use]
pub fn run(bench: &str, arguments: &[impl AsRef<OsStr>]) -> Figures {
    let output = Command::new(program(bench)).args(arguments).output().expect("just built");
    let text = String::from_utf8_lossy(&output.stdout);
    let figures = text.lines().find_map(Figures::from_line);
    figures.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}
