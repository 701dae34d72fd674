//! Programs that show reports.

use std::env;
use std::io;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use crate::temporary::Temporary;

/// Programs of which any will do, the first that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// The user's browser, or else one that is known.
    Browser,
    /// A program and words that go before the file's name.
    Program(&'static [&'static str]),
}

/// Programs that open a file return when it is on its way to another one: for so long it is there in any case.
const GRACE: Duration = Duration::from_secs(1);

/// A file that a program shows; it is removed when this goes.
#[derive(Debug)]
#[must_use]
pub struct Shown {
    file: Option<Temporary>,
    since: Instant,
    program: String,
    child: Child,
}

impl Shown {
    /// Waits until the program ends.
    ///
    /// # Errors
    /// It ends with an error.
    pub fn wait(mut self) -> Result<(), String> {
        let status = self.child.wait().map_err(|error| format!("{}: {error}", self.program))?;
        if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", self.program)) }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        thread::sleep(GRACE.saturating_sub(self.since.elapsed()));
        self.file = None;
    }
}

/// A new file for something to show.
///
/// # Errors
/// None can be made.
pub fn file(ending: &str) -> Result<(Temporary, std::fs::File), String> {
    let place = env::temp_dir();
    let name = |number| place.join(format!("pprof-{}-{number:03}.{ending}", std::process::id()));
    for path in (1..10_000).map(name) {
        match Temporary::create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(format!("cannot write to {}: {error}", place.display())),
            Ok(made) => return Ok(made),
        }
    }
    Err(format!("too many files of this program in {}", place.display()))
}

impl Viewer {
    /// Shows a file.
    ///
    /// # Errors
    /// None of the programs is there.
    pub fn show(self, file: Temporary) -> Result<Shown, String> {
        let programs = self.programs();
        for words in &programs {
            let mut words = words.iter();
            let Some(program) = words.next() else { continue };
            let started = Command::new(program).args(words).arg(file.path()).spawn();
            if let Ok(child) = started {
                let (since, program) = (Instant::now(), program.clone());
                return Ok(Shown { file: Some(file), since, program, child });
            }
        }
        let names: Vec<&str> = programs.iter().map(|words| words[0].as_str()).collect();
        let remedy = match self {
            Viewer::Browser => "install a browser or name one in BROWSER",
            Viewer::Program(_) => "install it",
        };
        Err(format!("cannot run {}: {remedy}, or write a file with -output", names.join(", ")))
    }

    /// Each with words that go before the file's name.
    fn programs(self) -> Vec<Vec<String>> {
        let split = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        match self {
            Viewer::Program(words) => vec![words.iter().map(|word| (*word).to_owned()).collect()],
            Viewer::Browser => {
                let given = |name| env::var(name).ok().filter(|value| !value.trim().is_empty());
                let mut programs: Vec<_> = given("BROWSER").iter().map(|b| split(b)).collect();
                let others: &[&str] = match env::consts::OS {
                    "macos" => &["/usr/bin/open"],
                    "windows" => &["cmd /c start"],
                    // Browsers first: what opens files of any kind may have another program for pictures.
                    _ => &["chrome", "google-chrome", "chromium", "firefox", "sensible-browser"],
                };
                programs.extend(others.iter().map(|other| split(other)));
                if given("DISPLAY").is_some() {
                    programs.push(split("xdg-open"));
                }
                programs
            }
        }
    }
}
