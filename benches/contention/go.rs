//! Go's own locks and channels with the same profiles, by a program of `contention/go.go`: built with the toolchain that `tests/run` installs,
//! or the one that the variable `GO` names; left out if there is none.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::{Contender, Figures, Setup, ns};

/// Go's with profiles off and on.
pub(crate) fn contenders(primitive: &'static str, setup: Setup) -> Vec<Contender> {
    let row = |name, profiles| ns(name, move || run(primitive, setup, profiles));
    if toolchain().is_some() { vec![row("Go, off", "off"), row("Go, on", "on")] } else { vec![] }
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

fn target_dir() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(default, PathBuf::from)
}

/// Builds the program, or finds it built: Go's build cache tells.
fn program() -> PathBuf {
    let (scratch, source) = (
        target_dir().join("go-scratch"),
        Path::new(env!("CARGO_MANIFEST_DIR")).join("contention/go.go"),
    );
    std::fs::create_dir_all(&scratch).expect("the target directory can be written");
    let scratch = scratch.canonicalize().expect("just made");
    let program = scratch.join("contention");
    let status = Command::new(toolchain().expect("looked for before"))
        .args(["build", "-o"])
        .arg(&program)
        .arg(source)
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

fn run(primitive: &str, setup: Setup, profiles: &str) -> Figures {
    let output = Command::new(program())
        .args([primitive, &setup.threads.to_string(), &setup.microseconds.to_string(), profiles])
        .output()
        .expect("just built");
    let text = String::from_utf8_lossy(&output.stdout);
    let figures = text.lines().find_map(Figures::from_line);
    figures.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}
