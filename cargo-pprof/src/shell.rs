//! Reports and options line by line.

mod completion;
mod editor;

use std::io::BufRead;

use crate::commands::{self, COMMANDS};
use crate::config::{self, Config, FIELDS};
use crate::driver::{Error, Request, Ui, generate, greeting};
use crate::profile::Profile;
use crate::viewer::Shown;

pub use editor::is_possible as can_edit;
use editor::{Editor, Read};

const PROMPT: &str = "(pprof) ";

/// A comment after an option's value.
const COMMENT: &str = "//:";

/// Where lines come from.
pub struct Input<'i> {
    /// Their bytes.
    pub bytes: &'i mut dyn BufRead,
    /// Whether they are edited on the terminal instead.
    pub is_edited: bool,
}

impl std::fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input").field("is_edited", &self.is_edited).finish_non_exhaustive()
    }
}

/// Reads lines and does what they say, to the end.
///
/// # Errors
/// What is printed cannot be written any more, or nothing can be read.
pub fn run(
    profile: &Profile,
    config: Config,
    input: Input<'_>,
    ui: &mut Ui<'_>,
) -> Result<(), Error> {
    let mut shell = Shell { profile, config, shown: Vec::new() };
    shell.config.compact_labels = true;
    for line in greeting(profile, &shell.config, ui) {
        ui.say(&line);
    }
    ui.say("Entering interactive mode (type \"help\" for commands, \"o\" for options)");
    // What is no text goes to files, wherever the rest goes.
    ui.is_terminal = true;
    let mut editor = if input.is_edited { Some(Editor::new(profile)?) } else { None };
    loop {
        let read = match &mut editor {
            Some(editor) => editor.read(PROMPT)?,
            None => read_plain(input.bytes, ui)?,
        };
        let line = match read {
            Read::Line(line) => line,
            Read::Cancelled => continue,
            Read::Odd => {
                ui.say("what was typed is no UTF-8: it is left out, and all that came with it");
                continue;
            }
            Read::End => return Ok(()),
        };
        for line in shell.expand(line.trim()) {
            match shell.run(&line, ui) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(Error::Message(message)) => ui.say(&message),
                Err(Error::Closed) => return Err(Error::Closed),
            }
        }
        ui.out.flush()?;
    }
}

fn read_plain(input: &mut dyn BufRead, ui: &mut Ui<'_>) -> Result<Read, Error> {
    write!(ui.out, "{PROMPT}")?;
    ui.out.flush()?;
    let mut line = Vec::new();
    if input.read_until(b'\n', &mut line)? == 0 {
        return Ok(Read::End);
    }
    Ok(Read::Line(String::from_utf8_lossy(&line).into_owned()))
}

struct Shell<'p> {
    profile: &'p Profile,
    config: Config,
    /// Files that programs may still look at: they stay to the end.
    shown: Vec<Shown>,
}

impl Shell<'_> {
    /// Lines that stand for others.
    fn expand(&self, line: &str) -> Vec<String> {
        if line == ":" {
            return ["focus=", "ignore=", "hide=", "tagfocus=", "tagignore="]
                .map(str::to_owned)
                .to_vec();
        }
        for sample_type in &self.profile.sample_types {
            let name = self.profile.text(sample_type.ty);
            let select = format!("sample_index={name}");
            if line == name {
                return vec![select];
            }
            for (prefix, mean) in [("total_", "mean=0"), ("mean_", "mean=1")] {
                if line.strip_prefix(prefix) == Some(name) {
                    return vec![mean.to_owned(), select];
                }
            }
        }
        vec![line.to_owned()]
    }

    /// False if that was the end.
    fn run(&mut self, line: &str, ui: &mut Ui<'_>) -> Result<bool, Error> {
        if self.assign(line)? {
            return Ok(true);
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let [first, rest @ ..] = words.as_slice() else { return Ok(true) };
        match *first {
            "o" | "options" => ui.say(&self.options()),
            "exit" | "quit" | "q" => return Ok(false),
            "help" => ui.say(&self.help(&rest.join(" "))?),
            first => {
                let (request, config) = self.request(first, rest)?;
                let shown = generate(self.profile.clone(), &request, &config, ui)?;
                self.shown.extend(shown);
            }
        }
        Ok(true)
    }

    /// Whether a line sets an option, as it then has.
    fn assign(&mut self, line: &str) -> Result<bool, Error> {
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => {
                let end = value.rfind(COMMENT).unwrap_or(value.len());
                (name.trim(), Some(value[..end].trim()))
            }
            None => (line.trim(), None),
        };
        let Some(field) = config::find(name) else { return Ok(false) };
        let is_choice = field.name != name;
        let mut value = match value {
            Some(value) => value.to_owned(),
            None if is_choice || field.is_bool() => String::new(),
            None => return Err(format!("please specify a value, e.g. {name}=<val>").into()),
        };
        if is_choice {
            // As the reference has it: a choice alone chooses nothing.
            return match value.as_str() {
                "1" | "t" | "T" | "TRUE" | "true" | "True" => {
                    field.set(&mut self.config, name)?;
                    Ok(true)
                }
                _ => Err(format!("to choose it, say {}={name}", field.name).into()),
            };
        }
        if name == "sample_index" {
            let index = self.profile.sample_index(&value)?;
            value = self.profile.text(self.profile.sample_types[index].ty).to_owned();
        }
        field.set(&mut self.config, &value)?;
        Ok(true)
    }

    fn options(&self) -> String {
        let types: Vec<&str> =
            self.profile.sample_types.iter().map(|t| self.profile.text(t.ty)).collect();
        let mut lines = Vec::new();
        for field in FIELDS {
            let mut value = field.get(&self.config);
            let mut comment = String::new();
            match field.name {
                "source_path" => continue,
                _ if !field.choices.is_empty() => {
                    let mut choices: Vec<&str> = field.choices.iter().map(|c| c.0).collect();
                    choices.sort_unstable();
                    comment = format!("{COMMENT} [{}]", choices.join(" | "));
                    if value.is_empty() {
                        "(default)".clone_into(&mut value);
                    }
                }
                "sample_index" => {
                    if value.is_empty() {
                        value = types.last().map_or_else(String::new, |t| (*t).to_owned());
                    }
                    comment = format!("{COMMENT} [{}]", types.join(" | "));
                }
                "nodecount" if value == "-1" => comment = format!("{COMMENT} default"),
                _ if value.is_empty() => "\"\"".clone_into(&mut value),
                _ => {}
            }
            lines.push(format!("  {:<25} = {value:<20} {comment}", field.name));
        }
        lines.sort();
        lines.join("\n")
    }

    fn help(&self, of: &str) -> Result<String, Error> {
        if of.is_empty() {
            let mut lines = vec!["  Commands:".to_owned()];
            let line = |name: &str, what: &str| {
                let what = what.split('\n').next().unwrap_or_default();
                format!("    {name:<16} {what}")
            };
            lines.extend(COMMANDS.iter().map(|command| line(command.name, command.help)));
            lines.push(line("o/options", "List options and what they are"));
            lines.push(line("q/quit/exit/^D", "Leave"));
            lines.push("\n  Options:".to_owned());
            for field in FIELDS {
                lines.push(line(field.name, field.help));
                let choices = field.choices.iter();
                lines.extend(choices.map(|(name, what)| line(&format!("  {name}"), what)));
            }
            lines.push("\n  :   Clear focus/ignore/hide/tagfocus/tagignore".to_owned());
            lines.push("\n  type \"help <cmd|option>\" for more information".to_owned());
            return Ok(lines.join("\n"));
        }
        if let Some(command) = commands::find(of) {
            let parameter = if command.has_parameter { " <regexp>" } else { "" };
            return Ok(format!(
                "{}\n  {of}{parameter} [n] [focus_regex]* [-ignore_regex]* [-cum] [>file]\n  \
                 n entries at most, of samples that match focus_regex and not ignore_regex\n",
                command.help
            ));
        }
        let choice = |f: &config::Field| f.choices.iter().find(|c| c.0 == of).map(|c| c.1);
        match config::find(of) {
            Some(field) => Ok(format!("{}\n", choice(field).unwrap_or(field.help))),
            None => Err(format!("Unknown command: {of}").into()),
        }
    }

    /// The report that a line asks for, and the options as they are for it alone.
    fn request(&self, word: &str, rest: &[&str]) -> Result<(Request, Config), Error> {
        let mut rest = rest.to_vec();
        let mut command = commands::find(word);
        let name = word.trim_end_matches(|c: char| c.is_ascii_digit());
        if command.is_none() && !name.is_empty() && name.len() < word.len() {
            command = commands::find(name);
            rest.insert(0, &word[name.len()..]);
        }
        let Some(command) = command else {
            if config::find(word).is_some() {
                let value = rest.first().unwrap_or(&"<val>");
                return Err(format!("did you mean: {word}={value}").into());
            }
            return Err(format!("unrecognized command: {name:?}").into());
        };
        let mut words = rest.into_iter();
        let parameter = match command.has_parameter {
            true => match words.next() {
                Some(parameter) => Some(parameter.to_owned()),
                None => return Err(format!("command {name} requires an argument").into()),
            },
            false => None,
        };
        let mut config = self.config.clone();
        let (mut focus, mut ignore) = (Vec::new(), Vec::new());
        while let Some(word) = words.next() {
            if let Ok(count) = word.parse::<i32>() {
                config.nodecount = i64::from(count);
            } else if let Some(file) = word.strip_prefix('>') {
                config.output = match (file, words.len()) {
                    ("", 0) => return Err("unexpected end of line after >".to_owned().into()),
                    ("", _) => words.next().unwrap_or_default().to_owned(),
                    (file, _) => file.to_owned(),
                };
            } else if matches!(word, "-cum" | "--cum") {
                "cum".clone_into(&mut config.sort);
            } else if let Some(word) = word.strip_prefix('-') {
                ignore.push(word);
            } else {
                focus.push(word);
            }
        }
        let join = |words: &[&str]| {
            words.iter().copied().filter(|w| !w.is_empty()).collect::<Vec<_>>().join("|")
        };
        let (focus, ignore) = (join(&focus), join(&ignore));
        let (of_focus, of_ignore) = match command.name {
            "tags" => (&mut config.tagfocus, &mut config.tagignore),
            _ => (&mut config.focus, &mut config.ignore),
        };
        if !focus.is_empty() {
            *of_focus = focus;
        }
        if !ignore.is_empty() {
            *of_ignore = ignore;
        }
        if config.nodecount == -1 && matches!(command.name, "text" | "top") {
            config.nodecount = 10;
        }
        Ok((Request { command: *command, parameter }, config))
    }
}
