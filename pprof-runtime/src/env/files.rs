//! Where profiles are written to, and how: under another name first, so that what has the right name is complete.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{self, Path, PathBuf};
use std::process;

use crate::error::{Error, ErrorKind};
use crate::profile::Profile;

const IN_A_DIRECTORY: &str = "{program}.{pid}.{profile}.pb.gz";

/// The names of a process's files.
#[derive(Debug)]
pub(super) struct Files {
    /// Absolute, and complete but for `{profile}`.
    pattern: String,
    /// The directory at the start, which whoever reads messages is in.
    directory: PathBuf,
}

impl Files {
    /// As `PPROF_OUT` says. Makes the directories that the files of `profiles` are to be in, and asks whether they can be made there: whoever
    /// is going to wait for the end of the program should know now.
    ///
    /// # Errors
    /// `InvalidInput` for a pattern that does not do, `Io` for a directory.
    pub(super) fn new(out: &str, profiles: &[&str]) -> Result<Files, Error> {
        let pattern = pattern(out, profiles)?;
        // The program may change its directory.
        let absolute = path::absolute(pattern).map_err(|e| cannot_use(Path::new(out), e))?;
        // Both parts of it are text.
        let pattern = absolute.to_string_lossy().into_owned();
        let directory = std::env::current_dir().unwrap_or_default();
        let files = Files { pattern, directory };
        for profile in profiles {
            let path = files.path(profile);
            let directory = path.parent().unwrap_or(Path::new("/"));
            fs::create_dir_all(directory)
                .and_then(|()| check_writable(directory))
                .map_err(|e| cannot_use(directory, e))?;
            if path.is_dir() {
                let e = io::Error::from(io::ErrorKind::IsADirectory);
                return Err(cannot_use(&path, e));
            }
        }
        Ok(files)
    }

    /// A file's name as seen from where the program was started.
    pub(super) fn shown<'p>(&self, path: &'p Path) -> path::Display<'p> {
        path.strip_prefix(&self.directory).unwrap_or(path).display()
    }

    fn path(&self, profile: &str) -> PathBuf {
        PathBuf::from(self.pattern.replace("{profile}", profile))
    }

    /// Writes a profile, and returns the file's name.
    ///
    /// # Errors
    /// `Io`; then no file is left.
    pub(super) fn write(&self, profile: &Profile) -> Result<PathBuf, Error> {
        let path = self.path(profile.name());
        let mut unfinished = path.clone().into_os_string();
        unfinished.push(format!(".{}.tmp", process::id()));
        let unfinished = PathBuf::from(unfinished);
        let cannot = |e: io::Error| {
            Error::with_source(ErrorKind::Io, format!("cannot write {}: {e}", path.display()), e)
        };
        let written = create_anew(&unfinished).map_err(cannot).and_then(|file| {
            let mut writer = BufWriter::new(file);
            profile.write_to(&mut writer)?;
            writer.flush().and_then(|()| fs::rename(&unfinished, &path)).map_err(cannot)
        });
        if let Err(error) = written {
            // It may not be there.
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        Ok(path)
    }
}

/// Never follows a link that somebody else has put there, as in a directory for all. What a killed process of the same number left is removed.
fn create_anew(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    match options.open(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            options.open(path)
        }
        other => other,
    }
}

fn cannot_use(path: &Path, e: io::Error) -> Error {
    let message = format!(
        "cannot write profiles to {}: {e}; set PPROF_OUT to a directory that can be written to",
        path.display()
    );
    Error::with_source(ErrorKind::Io, message, e)
}

fn check_writable(directory: &Path) -> io::Result<()> {
    let path = CString::new(directory.as_os_str().as_bytes())?;
    let mode = libc::W_OK | libc::X_OK;
    // SAFETY: a string that lives until the call returns.
    match unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), mode, libc::AT_EACCESS) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// `out` with everything put in but `{profile}`.
fn pattern(out: &str, profiles: &[&str]) -> Result<String, Error> {
    let is_file = out.ends_with(".pb.gz") || out.contains("{profile}");
    let template = if is_file { out.to_owned() } else { format!("{out}/{IN_A_DIRECTORY}") };
    let invalid = |message: &str| {
        Err(Error::new(ErrorKind::InvalidInput, format!("PPROF_OUT={out}: {message}")))
    };
    if profiles.len() > 1 && !template.contains("{profile}") {
        let message = format!(
            "one file for the {} profiles that PPROF asks for: write {{profile}} in its name, or the name of a directory",
            profiles.len()
        );
        return invalid(&message);
    }
    let filled =
        template.replace("{program}", &program()).replace("{pid}", &process::id().to_string());
    match filled.replace("{profile}", "").find(['{', '}']) {
        // What the program is called may have braces in it, which is not the user's mistake.
        Some(_) if !program().contains(['{', '}']) => {
            invalid("in braces stand {program}, {pid} and {profile}, and nothing else")
        }
        _ => Ok(filled),
    }
}

/// What the program's file is called.
fn program() -> String {
    let path = std::env::current_exe().ok();
    let path = path.or_else(|| std::env::args_os().next().map(PathBuf::from));
    let name = path.as_deref().and_then(Path::file_name);
    name.map_or_else(|| "program".to_owned(), |name| name.to_string_lossy().into_owned())
}
