//! Profiles that the environment asks for: nothing is edited or built anew to profile a run.
//!
//! ```text
//! PPROF=cpu,mutex,block ./program        writes program.4711.cpu.pb.gz, ... into this directory when it ends
//! PPROF_HTTP=:6060 ./program             serves them while it runs
//! ```
//!
//! A program takes part by [`#[pprof_runtime::main]`](macro@crate::main) on its `fn main`, or by a call of [`start`].
//!
//! | variable | is |
//! |---|---|
//! | `PPROF` | what is recorded from the start of the program on, separated by commas; see below |
//! | `PPROF_OUT` | the directory of the files, made if it is not there; without it the current one. Or the name of the file, if it ends in `.pb.gz` or has `{profile}` in it. `{program}`, `{pid}` and `{profile}` are put in anywhere; `/dev/null` means no files |
//! | `PPROF_HTTP` | the address at which [`serve`] answers, such as `127.0.0.1:6060`, `:6060` or `localhost:0` |
//!
//! | in `PPROF` | default | the number is |
//! |---|---|---|
//! | `cpu`, `cpu=250` | 100 | samples per second of CPU time; see [`cpu`]. No other CPU profile can be taken meanwhile |
//! | `mutex`, `mutex=100` | 10 | one of so many contended unlocks is recorded; see [`set_mutex_profile_fraction`] |
//! | `block`, `block=1000` | 10 000 | nanoseconds; shorter waits are recorded in part; see [`set_block_profile_rate`] |
//! | `hold`, `hold=1000` | 10 000 | nanoseconds; shorter holds are recorded in part; see [`set_hold_profile_rate`] |
//! | `functions` | | see [`set_function_profile`] |
//! | `heap`, `heap=65536` | 524 288 | bytes allocated for each recorded allocation, from here on; see [`set_mem_profile_rate`]. Needs an [`Alloc`](crate::Alloc) |
//! | `allocs` | 524 288 | the same; of several numbers the smallest one holds |
//! | `leaks`, `leaks=1` | 524 288 | the same: what was not freed when the program ends, by its age and by the stacks that allocated it. [`#[pprof_runtime::main]`](macro@crate::main) says on standard error where most of it is from |
//! | `futex` | | no profile: `mutex` and `block` have locks and channels that are not ours as well; needs the feature `futex` |
//!
//! If neither `PPROF` nor `PPROF_HTTP` is set, or both are empty, nothing is started and nothing is written.
//!
//! # When files are written
//! When the guard is dropped, that is when `main` returns, by `?` or otherwise, or panics, and when the program calls
//! `std::process::exit` or C's `exit`, whichever comes first: once. A file gets its name when it is complete; until then it is called
//! `<name>.<pid>.tmp`.
//!
//! Not when the process is ended from outside or at once: by a signal that it does not handle (Ctrl-C is one), `abort`, `_exit`, or a panic
//! with `panic = "abort"`. A forked child writes nothing: what was recorded is its parent's.
//!
//! # Who is told
//! The library does not print. The guard of [`#[pprof_runtime::main]`](macro@crate::main) is the exception, as there is nobody it could return
//! an error to: it says on standard error what it wrote, where it serves, and, in one line each, what is wrong with the environment; what is
//! not wrong is done.
//! [`start`] returns the first error instead, having started nothing, and [`Guard::stop`] returns what was written.
//!
//! [`cpu`]: crate::cpu
//! [`serve`]: crate::serve
//! [`set_mutex_profile_fraction`]: crate::set_mutex_profile_fraction
//! [`set_block_profile_rate`]: crate::set_block_profile_rate
//! [`set_hold_profile_rate`]: crate::set_hold_profile_rate
//! [`set_mem_profile_rate`]: crate::set_mem_profile_rate
//! [`set_function_profile`]: crate::set_function_profile

mod at_exit;
mod files;
mod recording;
mod request;

use std::path::PathBuf;

use crate::error::{Error, ErrorKind};
use recording::Recording;
use request::Request;

/// Starts what the environment asks for; nothing, if it asks for nothing.
///
/// # Errors
/// `InvalidInput` if a variable is mistaken, `Io` if the files' directory cannot be written to or the address is in use,
/// `AlreadyRunning` if it has been started before, otherwise as what is started. Then nothing is started.
///
/// # Examples
/// ```
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let profiles = pprof_runtime::env::start()?;
///     // ... work ...
///     for file in profiles.stop()? {
///         println!("go tool pprof {}", file.display());
///     }
///     Ok(())
/// }
/// ```
pub fn start() -> Result<Guard, Error> {
    let mut mistakes = Vec::new();
    let request = Request::from_environment(&mut mistakes);
    let Some(request) = request.filter(|_| mistakes.is_empty()) else {
        return mistakes.into_iter().next().map_or(Ok(Guard { pid: None }), Err);
    };
    let mut vacant = at_exit::vacant()?;
    let recording = Recording::start(request, false, &mut mistakes);
    match mistakes.into_iter().next() {
        None => {
            at_exit::fill(&mut vacant, recording)?;
            Ok(Guard { pid: Some(std::process::id()) })
        }
        Some(mistake) => {
            recording.cancel();
            Err(mistake)
        }
    }
}

/// What the environment asked for is recorded until this is stopped or dropped, or the program ends: then the files are written.
#[derive(Debug)]
#[must_use = "dropping the guard ends the profiles at once"]
pub struct Guard {
    /// Of the process that started it; `None` if nothing was asked for.
    pid: Option<u32>,
}

impl Guard {
    /// Ends what was started, server included, and writes the files; returns their names, none if nothing was asked for.
    ///
    /// What the environment switched on is off afterwards, and the rate of heap profiles as it was.
    ///
    /// # Errors
    /// The first of those met; the other files are written all the same. `Unsupported` in a forked child.
    pub fn stop(mut self) -> Result<Vec<PathBuf>, Error> {
        let Some(pid) = self.pid.take() else { return Ok(Vec::new()) };
        if pid != std::process::id() {
            let message = "these profiles were started by the parent process, which writes them";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        // `None` where the end of the process has come first.
        let outcome = at_exit::finish(true)?.unwrap_or_default();
        match outcome.mistakes.into_iter().next() {
            None => Ok(outcome.written),
            Some(mistake) => Err(mistake),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.pid == Some(std::process::id()) {
            // What went wrong is told by `stop`.
            let _ = at_exit::finish(true);
        }
    }
}

/// The guard of `#[pprof_runtime::main]`: tells on standard error what there is to tell.
#[doc(hidden)]
#[derive(Debug)]
#[must_use]
pub struct MainGuard {
    pid: Option<u32>,
}

/// Starts what the environment asks for, as far as that can be done.
#[doc(hidden)]
pub fn main() -> MainGuard {
    let mut mistakes = Vec::new();
    let started = Request::from_environment(&mut mistakes).is_some_and(|request| {
        let vacant = at_exit::vacant();
        let filled = vacant.and_then(|mut vacant| {
            let recording = Recording::start(request, true, &mut mistakes);
            at_exit::fill(&mut vacant, recording)
        });
        filled.map_err(|mistake| mistakes.push(mistake)).is_ok()
    });
    mistakes.iter().for_each(recording::tell);
    MainGuard { pid: started.then(std::process::id) }
}

impl Drop for MainGuard {
    fn drop(&mut self) {
        if self.pid == Some(std::process::id()) {
            // The server is left to the end of the process: whoever is being answered need not be waited for.
            if let Err(mistake) = at_exit::finish(false) {
                recording::tell(&mistake);
            }
        }
    }
}
