//! Files that are whole, or not there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::driver::Error;
use crate::temporary::Temporary;

/// Writes a file under another name first: no half of it is ever there. What cannot be replaced is written where it is.
///
/// # Errors
/// It cannot be written.
pub fn save(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Error>,
) -> Result<(), Error> {
    let failed = |error: io::Error| format!("cannot write {}: {error}", path.display());
    // A link stays one; and what is in these two may be anything.
    let is_special = ["/dev", "/proc"].iter().any(|special| path.starts_with(special));
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let there = fs::metadata(&target).ok();
    let is_special = is_special || there.as_ref().is_some_and(|there| !there.is_file());
    let new = if is_special { None } else { part_of(&target).map_err(failed)? };
    let Some((part, file)) = new else {
        let file = File::create(path).map_err(failed)?;
        return write(&mut Named { path, file });
    };
    // Before there is anything in it that not all are to read.
    if let Some(there) = there {
        fs::set_permissions(part.path(), there.permissions()).map_err(failed)?;
    }
    write(&mut Named { path, file })?;
    fs::rename(part.path(), &target).map_err(failed)?;
    part.keep();
    Ok(())
}

/// Nothing where the directory does not take a new file.
fn part_of(target: &Path) -> io::Result<Option<(Temporary, File)>> {
    match Temporary::part_of(target) {
        Err(error) => match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Ok(None),
            _ => Err(error),
        },
        Ok(new) => Ok(Some(new)),
    }
}

/// A file whose errors say its name.
struct Named<'p> {
    path: &'p Path,
    file: File,
}

impl Named<'_> {
    fn named<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let message = format!("cannot write {}: {error}", self.path.display());
            io::Error::new(error.kind(), message)
        })
    }
}

impl Write for Named<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes);
        self.named(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.file.flush();
        self.named(flushed)
    }
}

/// Writes a file under the first of these names that is free, and returns that; what has one of them stays. All are of one directory, and there is one
/// name at least.
///
/// # Errors
/// It cannot be written.
pub fn save_new(
    names: impl IntoIterator<Item = PathBuf>,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Error>,
) -> Result<PathBuf, Error> {
    let mut names = names.into_iter().peekable();
    let path = names.peek().cloned().unwrap_or_default();
    let failed = |error: io::Error| format!("cannot write {}: {error}", path.display());
    let (part, file) = Temporary::part_of(&path).map_err(failed)?;
    write(&mut Named { path: &path, file })?;
    Ok(part.keep_as(names).map_err(failed)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_whatever_was_left_beside_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("report");
        fs::write(&path, "before").expect("a directory of ours");
        let (left, _) = Temporary::part_of(&path).expect("a directory of ours");
        let result = save(&path, |file| {
            file.write_all(b"half")?;
            Err(Error::Message("stopped".to_owned()))
        });
        assert!(matches!(result, Err(Error::Message(message)) if message == "stopped"));
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "before");
        assert_eq!(fs::read_dir(directory.path()).expect("it is there").count(), 2);
        drop(left);
    }

    #[cfg(unix)]
    #[test]
    fn what_only_the_owner_may_read_is_so_from_the_start() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("report");
        fs::write(&path, "before").expect("a directory of ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        let modes = || -> Vec<u32> {
            let entries = fs::read_dir(directory.path()).expect("it is there");
            let mode = |entry: fs::DirEntry| entry.metadata().expect("it is there").permissions();
            entries.map(|entry| mode(entry.expect("it is there")).mode() & 0o777).collect()
        };
        save(&path, |file| {
            assert_eq!(modes(), [0o600, 0o600]);
            Ok(file.write_all(b"after")?)
        })
        .expect("a directory of ours");
        assert_eq!(modes(), [0o600]);
    }
}
