//! Where this machine has the sources of crates and of the standard library: profiles name the places of the machine that built the program.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Other places of a file, the likeliest first.
pub(super) fn places(path: &str) -> Vec<PathBuf> {
    let cargo = || home("CARGO_HOME", ".cargo");
    if let Some((_, inner)) = path.split_once("/registry/src/") {
        let registry = cargo().map(|cargo| cargo.join("registry/src"));
        let Some(registry) = registry else { return Vec::new() };
        // Directories of an index have the name of its address, and a number that Cargo's version makes of it.
        let of_crate = inner.split_once('/').map_or("", |(_, of_crate)| of_crate);
        let others = entries(&registry).into_iter().map(|index| index.join(of_crate));
        return std::iter::once(registry.join(inner)).chain(others).collect();
    }
    if let Some((_, inner)) = path.split_once("/git/checkouts/") {
        return cargo().map(|cargo| cargo.join("git/checkouts").join(inner)).into_iter().collect();
    }
    let of_compiler = path.strip_prefix("/rustc/").and_then(|rest| rest.split_once('/'));
    let Some((commit, inner)) = of_compiler else { return Vec::new() };
    let toolchains = home("RUSTUP_HOME", ".rustup").map(|rustup| rustup.join("toolchains"));
    let toolchains = toolchains.map(|toolchains| entries(&toolchains)).unwrap_or_default();
    // Lines of another version would be others. What is installed says the first digits: `1.95.0 (59807616e 2026-04-14)`.
    let Some(digits) = commit.get(..9) else { return Vec::new() };
    let version = format!("({digits} ");
    let is_of = |toolchain: &PathBuf| {
        let manifest = toolchain.join("lib/rustlib/multirust-channel-manifest.toml");
        fs::read_to_string(manifest).is_ok_and(|manifest| manifest.contains(&version))
    };
    let sources = |toolchain: PathBuf| toolchain.join("lib/rustlib/src/rust").join(inner);
    toolchains.into_iter().filter(is_of).map(sources).collect()
}

fn home(variable: &str, in_home: &str) -> Option<PathBuf> {
    let given = env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    given.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(in_home)))
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
