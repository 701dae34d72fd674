//! Where the originals' sources are: std's in the toolchain's `rust-src`, crates' where cargo keeps them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

/// The folder that an original's files are told from.
///
/// # Panics
/// If it is missing, saying what installs it.
pub(crate) fn root(package: &str) -> PathBuf {
    if package == "std" { std_root() } else { package_root(package) }
}

fn std_root() -> PathBuf {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = stdout(Command::new(rustc).args(["--print", "sysroot"]));
    let root = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/std");
    assert!(
        root.join("src/lib.rs").exists(),
        "{} is missing: run tests/run, which installs it, or `rustup component add rust-src`; without rustup, unpack the \
         component rust-src of this very compiler there",
        root.display()
    );
    root
}

/// Of `name@0.13`, or of `name` where there is but one version.
fn package_root(package: &str) -> PathBuf {
    let (name, version) = package.split_once('@').unwrap_or((package, ""));
    let found: Vec<&Value> = metadata()["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .filter(|p| p["name"] == name && p["version"].as_str().unwrap_or("").starts_with(version))
        .collect();
    let [one] = found[..] else { panic!("{package}: {} packages of that name", found.len()) };
    let manifest = one["manifest_path"].as_str().expect("a manifest");
    Path::new(manifest).parent().expect("a manifest is in a folder").to_owned()
}

fn metadata() -> &'static Value {
    static METADATA: OnceLock<Value> = OnceLock::new();
    METADATA.get_or_init(|| {
        let json = stdout(
            Command::new(cargo())
                .args(["metadata", "--format-version=1", "--locked", "--all-features"])
                .current_dir(pprof_tests::workspace_dir()),
        );
        serde_json::from_str(&json).expect("cargo writes JSON")
    })
}

pub(crate) fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// # Panics
/// If the command fails.
fn stdout(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("UTF-8")
}
