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

/// Files of one process that were left: more are a mistake.
const MOST_PARTS: u32 = 10_000;

fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AlreadyExists
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

    /// A new file for what is to stand at `target` once it is whole. What an earlier process of the same number has left stays.
    ///
    /// # Errors
    /// None can be made there.
    pub fn part_of(target: &Path) -> io::Result<(Temporary, File)> {
        let process = std::process::id();
        let mut number = 0;
        loop {
            let suffix = if number == 0 { String::new() } else { format!("-{number}") };
            let name = format!(".pprof-{process}{suffix}.part");
            match Temporary::create(target.with_file_name(name)) {
                Err(error) if is_taken(&error) && number < MOST_PARTS => number += 1,
                result => return result,
            }
        }
    }

    /// Its name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Leaves it under the first of these names that is free, and returns that. Another process may take names meanwhile: nothing is replaced.
    ///
    /// # Errors
    /// All are taken, or it cannot be moved there.
    pub fn keep_as(self, mut names: impl Iterator<Item = PathBuf>) -> io::Result<PathBuf> {
        let taken = || io::Error::new(io::ErrorKind::AlreadyExists, "all names for it are taken");
        loop {
            let name = names.next().ok_or_else(taken)?;
            match self.try_keep_as(&name) {
                Err(error) if is_taken(&error) => {}
                result => return result.map(|()| name),
            }
        }
    }

    fn try_keep_as(&self, name: &Path) -> io::Result<()> {
        match fs::hard_link(&self.0, name) {
            Err(error) if !is_taken(&error) => {}
            result => return result,
        }
        // There are file systems without links: the name is taken by an empty file first.
        let (place, _) = Temporary::create(name.to_owned())?;
        fs::rename(&self.0, name)?;
        place.keep();
        Ok(())
    }

    /// Leaves it there, or where it has been moved.
    pub fn keep(self) {
        files().remove(&self.0);
    }

    /// The same, before work that is to come to its end: a signal ends the process after it.
    pub fn keep_while<T>(self, work: impl FnOnce() -> T) -> T {
        let mut files = files();
        files.remove(&self.0);
        work()
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
    use std::io::Write;

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

    #[test]
    fn parts_that_were_left_and_names_that_are_taken_stay() {
        let directory = tempfile::tempdir().expect("a directory");
        let name = |number: u32| directory.path().join(format!("report{number}"));
        let part = || {
            let (part, mut file) = Temporary::part_of(&name(1)).expect("a directory of ours");
            file.write_all(b"whole").expect("it is open");
            part
        };
        let (left, new) = (part(), part());
        assert_ne!(left.path(), new.path());
        fs::write(name(1), "another's").expect("a directory of ours");
        assert_eq!(new.keep_as((1..4).map(name)).expect("two are free"), name(2));
        assert_eq!(part().keep_as((1..4).map(name)).expect("one is free"), name(3));
        let error = part().keep_as((1..4).map(name)).expect_err("none is free");
        assert!(is_taken(&error), "{error}");
        let read = |number| fs::read_to_string(name(number)).expect("it is there");
        assert_eq!([1, 2, 3].map(read), ["another's", "whole", "whole"]);
        assert_eq!(fs::read_dir(directory.path()).expect("it is there").count(), 4);
        drop(left);
    }
}
