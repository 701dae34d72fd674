//! Where binaries are, that a profile names.

use std::env;
use std::path::{Path, PathBuf};

use super::Binary;
use crate::paths::base;
use crate::profile::{Mapping, Profile, Text};

/// Makes mappings name what is found for them in the directories of `PPROF_BINARY_PATH`, or of `pprof/binaries` in the home directory. Files that are
/// not what the profile was taken from are told.
pub fn locate(profile: &mut Profile, say: &mut dyn FnMut(String)) {
    let directories = search_path();
    for index in 0..profile.mappings.len() {
        let mapping = &profile.mappings[index];
        let build_id = profile.text(mapping.build_id).to_owned();
        let names =
            directories.iter().flat_map(|directory| candidates(profile, mapping, directory));
        let found = names.filter(|path| path.is_file()).find(|path| {
            let Ok(binary) = Binary::open(path) else { return false };
            let is_it = build_id.is_empty() || binary.build_id == build_id;
            if !is_it {
                say(format!(
                    "Ignoring local file {}: build-id mismatch ({build_id} != {})",
                    path.display(),
                    binary.build_id
                ));
            }
            is_it
        });
        if let Some(path) = found {
            profile.mappings[index].file = profile.texts.intern(&path.to_string_lossy());
        }
    }
}

fn search_path() -> Vec<PathBuf> {
    match env::var_os("PPROF_BINARY_PATH").filter(|path| !path.is_empty()) {
        Some(path) => env::split_paths(&path).collect(),
        None => env::var_os("HOME")
            .map(|home| Path::new(&home).join("pprof/binaries"))
            .into_iter()
            .collect(),
    }
}

/// The places in one directory where the binary of a mapping may be, in the reference's order.
fn candidates(profile: &Profile, mapping: &Mapping, directory: &Path) -> Vec<PathBuf> {
    let (file, build_id) = (profile.text(mapping.file), profile.text(mapping.build_id));
    let name = if mapping.file == Text::EMPTY { "" } else { base(file) };
    // Joining an absolute path would replace the directory.
    let inner = file.trim_start_matches('/');
    let mut paths = Vec::new();
    if !build_id.is_empty() && !build_id.contains('/') && !build_id.starts_with('.') {
        let of_id = directory.join(build_id);
        paths.push(of_id.join(name));
        let entries = std::fs::read_dir(&of_id).into_iter().flatten().filter_map(Result::ok);
        let mut entries: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        entries.sort();
        paths.append(&mut entries);
        paths.push(directory.join(inner).join(build_id));
        if let Some((first, rest)) = build_id.split_at_checked(2) {
            paths.push(directory.join(first).join(format!("{rest}.debug")));
        }
    }
    if !file.is_empty() {
        let up = Path::new(inner).parent().unwrap_or(Path::new(""));
        paths.push(directory.join(name));
        paths.push(directory.join(inner));
        paths.push(directory.join(format!("{inner}.debug")));
        paths.push(directory.join(up).join(".debug").join(format!("{name}.debug")));
        paths.push(directory.join("usr/lib/debug").join(up).join(format!("{name}.debug")));
    }
    paths
}

impl Binary {
    /// Where debug information of this binary may lie apart from it, the likeliest first: by build id, and by the name that the binary has of it.
    pub(super) fn debug_places(&self, link: Option<&str>) -> Vec<PathBuf> {
        const SYSTEM: &str = "/usr/lib/debug";
        let mut paths = Vec::new();
        if let Some((first, rest)) = self.build_id.split_at_checked(2) {
            paths.push(
                Path::new(SYSTEM).join(".build-id").join(first).join(format!("{rest}.debug")),
            );
            let of = |name, inner: &str| env::var_os(name).map(|path| Path::new(&path).join(inner));
            let caches = [
                of("DEBUGINFOD_CACHE_PATH", ""),
                of("XDG_CACHE_HOME", "debuginfod_client"),
                of("HOME", ".cache/debuginfod_client"),
            ];
            paths.extend(
                caches
                    .into_iter()
                    .flatten()
                    .map(|cache| cache.join(&self.build_id).join("debuginfo")),
            );
        }
        // A name of a file, in the directories that debuggers look in.
        let directory = std::fs::canonicalize(&self.path).ok();
        let directory = directory.as_deref().and_then(Path::parent);
        if let (Some(link), Some(directory)) = (link.filter(|link| !link.contains('/')), directory)
        {
            paths.push(directory.join(link));
            paths.push(directory.join(".debug").join(link));
            let below_root = directory.strip_prefix("/").unwrap_or(directory);
            paths.push(Path::new(SYSTEM).join(below_root).join(link));
        }
        if let Some(name) = self.path.file_name().filter(|_| cfg!(target_os = "macos")) {
            let mut bundle = self.path.clone().into_os_string();
            bundle.push(".dSYM/Contents/Resources/DWARF");
            paths.push(Path::new(&bundle).join(name));
        }
        paths
    }
}
