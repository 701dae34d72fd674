//! Lines from a terminal: edited, completed by the tabulator key, and remembered.

use std::env;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Helper};

use super::completion::Completion;
use crate::driver::save;
use crate::profile::Profile;

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
    End,
}

pub(super) struct Editor {
    editor: rustyline::Editor<Completion, MemHistory>,
    /// Where lines are remembered, and those since the start.
    file: Option<PathBuf>,
    new: Vec<String>,
}

impl Editor {
    pub(super) fn new(profile: &Profile) -> Result<Editor, String> {
        let failed = |error| format!("cannot read from the terminal: {error}");
        let config = Config::builder().completion_type(CompletionType::List);
        let config = config.max_history_size(REMEMBERED).map_err(failed)?.build();
        let history = MemHistory::with_config(&config);
        let mut editor = rustyline::Editor::with_history(config, history).map_err(failed)?;
        editor.set_helper(Some(Completion::new(profile)));
        let file = history_file();
        for line in remembered(file.as_deref()) {
            let _ = editor.add_history_entry(line);
        }
        Ok(Editor { editor, file, new: Vec::new() })
    }

    pub(super) fn read(&mut self, prompt: &str) -> io::Result<Read> {
        match self.editor.readline(prompt) {
            Ok(line) => {
                if !line.trim().is_empty() && self.new.last() != Some(&line) {
                    let _ = self.editor.add_history_entry(&line);
                    self.new.push(line.clone());
                }
                Ok(Read::Line(line))
            }
            Err(ReadlineError::Interrupted) => Ok(Read::Cancelled),
            Err(ReadlineError::Eof) => Ok(Read::End),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            remember(file, &mut self.new);
        }
    }
}

/// Adds to what other shells may have written meanwhile. A shell without memory is better than none: errors are nobody's.
fn remember(file: &Path, new: &mut Vec<String>) {
    if new.is_empty() {
        return;
    }
    let mut lines = remembered(Some(file));
    lines.append(new);
    lines.drain(..lines.len().saturating_sub(REMEMBERED));
    let _ = file.parent().map(fs::create_dir_all);
    let _ = save(file, |file| Ok(file.write_all((lines.join("\n") + "\n").as_bytes())?));
}

fn remembered(file: Option<&Path>) -> Vec<String> {
    let text = file.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
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
        let pairs = candidates.into_iter().map(|c| Pair { display: c.name, replacement: c.word });
        Ok((start, pairs.collect()))
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
        let file = directory.path().join("there/is/none");
        let lines = |range: std::ops::Range<usize>| -> Vec<String> {
            range.map(|n| format!("top {n}")).collect()
        };
        remember(&file, &mut lines(0..3));
        remember(&file, &mut lines(3..5));
        assert_eq!(remembered(Some(&file)), lines(0..5));
        remember(&file, &mut lines(5..REMEMBERED + 10));
        assert_eq!(remembered(Some(&file)), lines(10..REMEMBERED + 10));
        remember(directory.path(), &mut lines(0..1));
    }
}
