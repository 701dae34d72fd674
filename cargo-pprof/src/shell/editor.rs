//! Lines from a terminal: edited, completed by the tabulator key, and remembered.

use std::env;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Helper};

use super::completion::Completion;
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
    editor: rustyline::Editor<Completion, FileHistory>,
    history: Option<PathBuf>,
}

impl Editor {
    pub(super) fn new(profile: &Profile) -> Result<Editor, String> {
        let config = || -> rustyline::Result<Config> {
            let config =
                Config::builder().max_history_size(REMEMBERED)?.history_ignore_dups(true)?;
            Ok(config.completion_type(CompletionType::List).auto_add_history(true).build())
        };
        let editor = config().and_then(rustyline::Editor::with_config);
        let mut editor =
            editor.map_err(|error| format!("cannot read from the terminal: {error}"))?;
        editor.set_helper(Some(Completion::new(profile)));
        // A shell without memory is better than none.
        let history = history_file();
        if let Some(path) = &history {
            let _ = editor.load_history(path);
        }
        Ok(Editor { editor, history })
    }

    pub(super) fn read(&mut self, prompt: &str) -> io::Result<Read> {
        match self.editor.readline(prompt) {
            Ok(line) => Ok(Read::Line(line)),
            Err(ReadlineError::Interrupted) => Ok(Read::Cancelled),
            Err(ReadlineError::Eof) => Ok(Read::End),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        if let Some(path) = &self.history {
            let _ = path.parent().map(fs::create_dir_all);
            let _ = self.editor.append_history(path);
        }
    }
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
