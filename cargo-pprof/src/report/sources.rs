//! Source files: where they are, and their lines.

mod cargo;

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::Error;
use crate::paths::base;

/// Source files that have been read.
pub(super) struct Reader {
    source_path: String,
    trim_path: String,
    files: HashMap<String, Result<Vec<String>, String>>,
}

impl Reader {
    pub(super) fn new(source_path: &str, trim_path: &str) -> Result<Reader, Error> {
        let source_path = match source_path {
            "" => std::env::current_dir()?.to_string_lossy().into_owned(),
            path => path.to_owned(),
        };
        Ok(Reader { source_path, trim_path: trim_path.to_owned(), files: HashMap::new() })
    }

    pub(super) fn lines(&mut self, file: &str) -> Result<&[String], &str> {
        if !self.files.contains_key(file) {
            self.files.insert(file.to_owned(), self.read(file));
        }
        self.files[file].as_deref().map_err(String::as_str)
    }

    /// Whether its lines have been asked for before.
    pub(super) fn knows(&self, file: &str) -> bool {
        self.files.contains_key(file)
    }

    /// A line, from 1 on.
    pub(super) fn line(&mut self, file: &str, number: i64) -> Option<&str> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        self.lines(file).ok()?.get(index).map(String::as_str)
    }

    fn read(&self, file: &str) -> Result<Vec<String>, String> {
        let text = self.find(file)?;
        let text = String::from_utf8_lossy(&text);
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// An absolute path as it is; any other below each directory of the search path and all directories above these.
    fn find(&self, file: &str) -> Result<Vec<u8>, String> {
        let path = trim_path(file, &self.trim_path, &self.source_path);
        if path.starts_with('/') {
            let places = std::iter::once(PathBuf::from(path)).chain(cargo::places(path));
            let mut missing = None;
            for place in places {
                match read_source(&place) {
                    Ok(text) => return Ok(text),
                    Err(error) => drop(missing.get_or_insert(error)),
                }
            }
            let why = missing.map_or_else(String::new, |error| reason(&error));
            return Err(format!("open {path}: {why}"));
        }
        for directory in self.source_path.split(':') {
            for directory in Path::new(directory).ancestors() {
                if let Ok(text) = read_source(&directory.join(path)) {
                    return Ok(text);
                }
            }
        }
        Err(format!("could not find file {path} on path {}", self.source_path))
    }
}

/// The profile says which file: it may be one without end, or one that waits.
fn read_source(path: &Path) -> std::io::Result<Vec<u8>> {
    const LARGEST: u64 = 64 << 20;
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Err(std::io::Error::other("it is no file, or larger than sources are"));
    }
    let mut text = Vec::new();
    // What the system makes while it is read says that it has no length.
    fs::File::open(path)?.take(metadata.len()).read_to_end(&mut text)?;
    Ok(text)
}

/// What the system says, in lower case and without its number.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// Takes from a path what is given in `trim`; if nothing is, all up to the name of a directory of `search`.
pub(super) fn trim_path<'p>(path: &'p str, trim: &str, search: &str) -> &'p str {
    if trim.is_empty() && !search.is_empty() {
        for directory in search.split(':') {
            let wanted = format!("/{}/", base(directory));
            if let Some(at) = path.find(&wanted) {
                return &path[at + wanted.len()..];
            }
        }
    }
    let given = trim.split(':').filter(|prefix| !prefix.is_empty() || trim.contains(':'));
    for prefix in given.chain(["/proc/self/cwd/./", "/proc/self/cwd/"]) {
        let rest = path.strip_prefix(prefix);
        let rest = match prefix.ends_with('/') {
            true => rest,
            false => rest.and_then(|rest| rest.strip_prefix('/')),
        };
        if let Some(rest) = rest {
            return rest;
        }
    }
    path
}
