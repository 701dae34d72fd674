//! Lines from a terminal: edited, completed by the tabulator key, and remembered.

use std::collections::VecDeque;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Helper};

use super::completion::{Candidate, Completion};
use crate::driver::Error;
use crate::profile::Profile;
use crate::save::save;
use crate::signals;

/// Lines that are remembered.
const REMEMBERED: usize = 1000;

/// Whether standard input and output are a terminal on which a line can be edited.
#[must_use]
pub fn is_possible() -> bool {
    let term = env::var("TERM").unwrap_or_default();
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    is_terminal && !matches!(term.as_str(), "" | "dumb")
}

/// A line, or why there is none.
pub(super) enum Read {
    Line(String),
    /// The user wants to begin anew.
    Cancelled,
    /// What was typed is no text.
    Odd,
    End,
}

pub(super) struct Editor {
    editor: rustyline::Editor<Completion, MemHistory>,
    history: Option<History>,
    last: String,
    /// What came with the line before.
    pasted: VecDeque<String>,
}

impl Editor {
    pub(super) fn new(profile: &Profile) -> Result<Editor, String> {
        let failed = |error| format!("cannot read from the terminal: {error}");
        let config = Config::builder().completion_type(CompletionType::List);
        let config = config.max_history_size(REMEMBERED).map_err(failed)?.build();
        let memory = MemHistory::with_config(&config);
        let mut editor = rustyline::Editor::with_history(config, memory).map_err(failed)?;
        editor.set_helper(Some(Completion::new(profile)));
        // A shell without memory is better than none.
        let opened = history_file().and_then(|path| History::open(path).ok());
        let (history, lines) = opened.unzip();
        for line in lines.unwrap_or_default() {
            let _ = editor.add_history_entry(line);
        }
        Ok(Editor { editor, history, last: String::new(), pasted: VecDeque::new() })
    }

    pub(super) fn read(&mut self, prompt: &str) -> io::Result<Read> {
        if let Some(line) = self.pasted.pop_front() {
            return Ok(self.remembered(line));
        }
        let line = signals::restoring_terminal(|| self.editor.readline(prompt));
        match line {
            Ok(text) => {
                let lines = text.split(['\n', '\r']).filter(|line| !line.trim().is_empty());
                self.pasted.extend(lines.map(str::to_owned));
                let first = self.pasted.pop_front().unwrap_or_default();
                Ok(self.remembered(first))
            }
            Err(ReadlineError::Interrupted) => Ok(Read::Cancelled),
            Err(ReadlineError::Eof) => Ok(Read::End),
            Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                Ok(Read::Odd)
            }
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn remembered(&mut self, line: String) -> Read {
        if is_memorable(&line) && self.last != line {
            let _ = self.editor.add_history_entry(&line);
            // Now, as a signal may end the shell at any time.
            let _ = self.history.as_ref().map(|history| history.add(&line));
            self.last.clone_from(&line);
        }
        Read::Line(line)
    }
}

/// Whether it says something, and nothing to the terminal when it is shown again.
fn is_memorable(line: &str) -> bool {
    !line.trim().is_empty() && !line.contains(char::is_control)
}

/// A file of lines, to which other shells may add at the same time.
struct History(PathBuf);

impl History {
    /// What is in it goes with it. It is cut to the last lines.
    fn open(path: PathBuf) -> Result<(History, Vec<String>), Error> {
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            read => read.unwrap_or_default(),
        };
        let text = String::from_utf8_lossy(&bytes);
        let all: Vec<&str> = text.lines().collect();
        let last = &all[all.len().saturating_sub(REMEMBERED)..];
        if last.len() < all.len() {
            save(&path, |file| Ok(file.write_all((last.join("\n") + "\n").as_bytes())?))?;
        }
        let lines = last.iter().filter(|line| is_memorable(line));
        Ok((History(path), lines.map(|line| (*line).to_owned()).collect()))
    }

    fn add(&self, line: &str) -> io::Result<()> {
        if let Some(directory) = self.0.parent() {
            fs::create_dir_all(directory)?;
        }
        append(&self.0)?.write_all(format!("{line}\n").as_bytes())
    }
}

/// Opens a file that nobody else is to read, as lines may name what is secret.
fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn history_file() -> Option<PathBuf> {
    let given = |name| env::var_os(name).filter(|value| Path::new(value).is_absolute());
    let home = || Some(PathBuf::from(given("HOME")?).join(".local/state"));
    let state = given("XDG_STATE_HOME").map(PathBuf::from).or_else(home)?;
    Some(state.join("pprof/history"))
}

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, candidates) = self.of(&line[..cursor]);
        // Names are words of whoever wrote the profile: the terminal is not to obey them.
        let shown = |name: &str| name.replace(char::is_control, "\u{fffd}");
        let pair = |c: Candidate| Pair { display: shown(&c.name), replacement: c.word };
        Ok((start, candidates.into_iter().map(pair).collect()))
    }
}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {}
impl Validator for Completion {}
impl Helper for Completion {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_remembered() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("there/is/none");
        let open = || History::open(path.clone()).expect("a directory of ours");
        let line = |n: usize| format!("top {n}");
        let add = |range: std::ops::Range<usize>| {
            let (history, _) = open();
            range.for_each(|n| history.add(&line(n)).expect("a directory of ours"));
        };
        let has = |range: std::ops::Range<usize>| open().1 == range.map(line).collect::<Vec<_>>();
        add(0..3);
        add(3..5);
        assert!(has(0..5));
        add(5..REMEMBERED + 10);
        assert!(has(10..REMEMBERED + 10));
        let count = fs::read(&path).expect("it is kept").split(|byte| *byte == b'\n').count();
        assert_eq!(count, REMEMBERED + 1);
        assert!(History::open(directory.path().to_owned()).is_err(), "it is no file");
    }

    #[test]
    fn what_is_odd_in_the_file_costs_no_other_line() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("history");
        fs::write(&path, b"top\npeek \xff\n\x1b[2J\ntree\n").expect("a directory of ours");
        let (history, lines) = History::open(path.clone()).expect("it is there");
        assert_eq!(lines, ["top", "peek \u{fffd}", "tree"]);
        history.add("text").expect("it is ours");
        let kept = fs::read(&path).expect("it is there");
        assert_eq!(kept, b"top\npeek \xff\n\x1b[2J\ntree\ntext\n");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_reads_it() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("history");
        let (history, _) = History::open(path.clone()).expect("a directory of ours");
        history.add("top").expect("a directory of ours");
        assert_eq!(fs::metadata(path).expect("it is there").permissions().mode() & 0o777, 0o600);
    }
}
