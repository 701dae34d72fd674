//! Files that are not to stay: halves of reports, and pictures that a program shows. Who ends the process by a signal takes them away first.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

static FILES: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn files() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes its file when it goes.
#[derive(Debug)]
#[must_use]
pub struct Temporary(PathBuf);

impl Temporary {
    /// A new file.
    ///
    /// # Errors
    /// There is one of that name, or it cannot be made.
    pub fn create(path: PathBuf) -> io::Result<(Temporary, File)> {
        // Known before it can be there without being known.
        let mut files = files();
        let file = File::create_new(&path)?;
        files.insert(path.clone());
        Ok((Temporary(path), file))
    }

    /// Its name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Leaves it there, or where it has been moved.
    pub fn keep(self) {
        files().remove(&self.0);
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if files().remove(&self.0) {
            let _ = fs::remove_file(&self.0);
        }
    }
}

/// Removes all that there are. None is made while what it returns is held.
pub fn remove_all() -> impl Sized {
    let mut files = files();
    for path in std::mem::take(&mut *files) {
        let _ = fs::remove_file(path);
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_unless_they_are_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let new =
            |name| Temporary::create(directory.path().join(name)).expect("a directory of ours").0;
        let (gone, kept) = (new("gone"), new("kept"));
        let (gone_path, kept_path) = (gone.path().to_owned(), kept.path().to_owned());
        assert!(Temporary::create(gone_path.clone()).is_err(), "it is another's");
        kept.keep();
        assert!(gone_path.exists());
        drop(gone);
        assert!(!gone_path.exists() && kept_path.exists());
    }
}
