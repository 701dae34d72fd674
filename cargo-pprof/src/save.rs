//! Files that are whole, or not there.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::driver::Error;
use crate::temporary::Temporary;

/// Writes a file under another name first: no half of it is ever there, whatever ends the process. What cannot be replaced, as it is another owner's,
/// something is mounted there or its directory takes no files, is written over once all is known; if that is ended, the other file stays.
///
/// # Errors
/// It cannot be written.
pub fn save(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Error>,
) -> Result<(), Error> {
    let name = path.display().to_string();
    let failed = |error: io::Error| format!("cannot write {name}: {error}");
    let target = followed(path).map_err(failed)?;
    let there = fs::metadata(&target).ok();
    if is_stream(path) || there.as_ref().is_some_and(|there| !there.is_file()) {
        let file = File::create(path).map_err(failed)?;
        return write(&mut Named::new(&name, file));
    }
    // Who may not write it may not replace it either.
    let old = there.as_ref().map(|_| OpenOptions::new().write(true).open(&target));
    let old = old.transpose().map_err(failed)?;
    let (part, file, is_beside) = part_of(&target, old.is_some()).map_err(failed)?;
    let mut is_like = true;
    if let Some(there) = &there {
        is_like = is_owned_alike(part.path(), there);
        // Before there is anything in it that not all are to read.
        fs::set_permissions(part.path(), there.permissions()).map_err(failed)?;
    }
    write(&mut Named::new(&name, file))?;
    if is_beside && is_like {
        match (fs::rename(part.path(), &target), &old) {
            (Ok(()), _) => {
                part.keep();
                return Ok(());
            }
            (Err(error), None) => return Err(failed(error).into()),
            // It may be a place where something is mounted.
            (Err(_), Some(_)) => {}
        }
    }
    let Some(mut old) = old else { return Ok(()) };
    let whole = part.path().to_owned();
    // If this does not come to its end, it is the only whole one.
    part.keep_while(|| {
        let mut from = File::open(&whole)?;
        old.set_len(0)?;
        io::copy(&mut from, &mut old)?;
        fs::remove_file(&whole)
    })
    .map_err(|error| format!("{}; all of it is in {}", failed(error), whole.display()).into())
}

/// Where links lead, also if nothing is there yet.
fn followed(path: &Path) -> io::Result<PathBuf> {
    /// As systems have it.
    const MOST_LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        if let Ok(found) = fs::canonicalize(&path) {
            return Ok(found);
        }
        let Ok(link) = fs::read_link(&path) else { return Ok(path) };
        path = path.parent().unwrap_or(Path::new("")).join(link);
    }
    Err(io::Error::other("links lead in a circle"))
}

/// Whether a path stands for what is open, whatever that is.
fn is_stream(path: &Path) -> bool {
    let streams = ["/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/proc"];
    streams.iter().any(|stream| path.starts_with(stream))
}

/// A new file beside `target`, or elsewhere if the directory takes none and it is `there` already.
fn part_of(target: &Path, there: bool) -> io::Result<(Temporary, File, bool)> {
    match Temporary::part_of(target) {
        Err(error) if there => match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                let elsewhere = Temporary::part_of(&std::env::temp_dir().join("report"));
                elsewhere.map(|(part, file)| (part, file, false))
            }
            _ => Err(error),
        },
        new => new.map(|(part, file)| (part, file, true)),
    }
}

/// Gives a new file the owner of another; whether it can stand in its place.
#[cfg(unix)]
fn is_owned_alike(part: &Path, there: &Metadata) -> bool {
    use std::os::unix::fs::{MetadataExt, chown};

    let owners = |file: &Metadata| (file.uid(), file.gid());
    let is_same = fs::metadata(part).is_ok_and(|part| owners(&part) == owners(there));
    let (user, group) = owners(there);
    is_same || chown(part, Some(user), Some(group)).is_ok()
}

#[cfg(not(unix))]
fn is_owned_alike(_: &Path, _: &Metadata) -> bool {
    true
}

/// What is written to, with errors that say its name.
pub(crate) struct Named<'n, W> {
    name: &'n str,
    to: W,
}

impl<'n, W: Write> Named<'n, W> {
    pub(crate) fn new(name: &'n str, to: W) -> Named<'n, W> {
        Named { name, to }
    }

    fn named<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let message = format!("cannot write {}: {error}", self.name);
            io::Error::new(error.kind(), message)
        })
    }
}

impl<W: Write> Write for Named<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes);
        self.named(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.to.flush();
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
    let name = path.display().to_string();
    let failed = |error: io::Error| format!("cannot write {name}: {error}");
    let (part, file) = Temporary::part_of(&path).map_err(failed)?;
    write(&mut Named::new(&name, file))?;
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
    fn links_to_a_file_stay_and_other_names_of_it_keep_what_was_there() {
        let directory = tempfile::tempdir().expect("a directory");
        let [path, other, link] = ["report", "other", "link"].map(|n| directory.path().join(n));
        let text = |path: &Path| fs::read_to_string(path).expect("it is there");
        // One that leads to nothing yet.
        std::os::unix::fs::symlink("report", &link).expect("a directory of ours");
        save(&link, |file| Ok(file.write_all(b"first and long")?)).expect("a directory of ours");
        assert_eq!(text(&path), "first and long");
        fs::hard_link(&path, &other).expect("a directory of ours");
        let half = save(&link, |file| {
            file.write_all(b"half")?;
            Err(Error::Message("stopped".to_owned()))
        });
        assert!(half.is_err());
        assert_eq!([text(&path), text(&other)], ["first and long", "first and long"]);
        save(&link, |file| Ok(file.write_all(b"second")?)).expect("a directory of ours");
        assert_eq!([text(&path), text(&other)], ["second", "first and long"]);
        let circle = directory.path().join("circle");
        std::os::unix::fs::symlink("circle", &circle).expect("a directory of ours");
        assert!(save(&circle, |_| Ok(())).is_err());
        fs::remove_file(&circle).expect("it is still a link");
        assert!(fs::symlink_metadata(&link).expect("it is there").is_symlink());
        assert_eq!(fs::read_dir(directory.path()).expect("it is there").count(), 3);
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
