//! What the word before the cursor may become.

use std::collections::BTreeSet;

use crate::commands::{self, COMMANDS};
use crate::config::{self, FIELDS};
use crate::profile::Profile;

/// Something that a word may become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// As it is listed.
    pub(super) name: String,
    /// What takes the word's place.
    pub(super) word: String,
}

/// What can be named in a line.
#[derive(Debug)]
pub(super) struct Completion {
    functions: BTreeSet<String>,
    sample_types: Vec<String>,
}

impl Completion {
    pub(super) fn new(profile: &Profile) -> Completion {
        let names = profile.functions.iter().map(|function| profile.text(function.name));
        let types = profile.sample_types.iter().map(|t| profile.text(t.ty).to_owned());
        Completion {
            functions: names.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            sample_types: types.collect(),
        }
    }

    /// Where the last word of what is before the cursor starts, and what it may become: the first one a command, an option or its value, further
    /// ones functions.
    pub(super) fn of(&self, line: &str) -> (usize, Vec<Candidate>) {
        let start = line
            .rfind(char::is_whitespace)
            .map_or(0, |at| at + line[at..].chars().next().map_or(0, char::len_utf8));
        let word = &line[start..];
        let before: Vec<&str> = line[..start].split_whitespace().collect();
        match before.as_slice() {
            [] => match word.split_once('=') {
                Some((option, value)) => {
                    (start + option.len() + 1, with_prefix(value, self.values(option)))
                }
                None => (start, with_prefix(word, self.words())),
            },
            ["help"] => (start, with_prefix(word, self.words())),
            [command, ..] if commands::find(command).is_some() && *command != "tags" => {
                let dash = usize::from(word.starts_with('-'));
                (start + dash, self.functions_with(&word[dash..]))
            }
            _ => (start, Vec::new()),
        }
    }

    fn words(&self) -> BTreeSet<&str> {
        let mut words = BTreeSet::from(["exit", "help", "options", "quit"]);
        words.extend(COMMANDS.iter().map(|command| command.name));
        words.extend(self.sample_types.iter().map(String::as_str));
        for field in FIELDS {
            words.insert(field.name);
            words.extend(field.choices.iter().map(|choice| choice.0));
        }
        words
    }

    fn values(&self, option: &str) -> BTreeSet<&str> {
        match config::find(option) {
            Some(field) if field.name == "sample_index" => {
                self.sample_types.iter().map(String::as_str).collect()
            }
            Some(field) if field.is_bool() => BTreeSet::from(["false", "true"]),
            Some(field) => field.choices.iter().map(|choice| choice.0).collect(),
            None => BTreeSet::new(),
        }
    }

    /// Those that start with the word, or else those that have it in them: of several of these none takes the word's place.
    fn functions_with(&self, word: &str) -> Vec<Candidate> {
        let candidate = |name: &String| Candidate { name: name.clone(), word: pattern(name) };
        let starting = self.functions.iter().filter(|name| pattern(name).starts_with(word));
        let starting: Vec<Candidate> = starting.map(candidate).collect();
        if !starting.is_empty() {
            return starting;
        }
        let having = self.functions.iter().filter(|name| name.contains(word));
        let mut having: Vec<Candidate> = having.map(candidate).collect();
        if having.len() > 1 {
            having.iter_mut().for_each(|candidate| word.clone_into(&mut candidate.word));
        }
        having
    }
}

fn with_prefix(prefix: &str, words: BTreeSet<&str>) -> Vec<Candidate> {
    let matching = words.into_iter().filter(|word| word.starts_with(prefix));
    matching.map(|word| Candidate { name: word.to_owned(), word: word.to_owned() }).collect()
}

/// A regular expression, without blanks, that the name matches.
fn pattern(name: &str) -> String {
    regex::escape(name).replace(char::is_whitespace, ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_completed_by_their_place() {
        let functions = ["app::parse", "app::print", "std::<a as b>::read"].map(str::to_owned);
        let sample_types = vec!["contentions".to_owned(), "delay".to_owned()];
        let completion = Completion { functions: functions.into(), sample_types };
        let cases: &[(&str, usize, &[&str])] = &[
            ("topp", 0, &["topproto"]),
            ("sho", 0, &["short_names", "show", "show_from", "showcolumns"]),
            ("del", 0, &["delay"]),
            ("granularity=fi", 12, &["filefunctions", "files"]),
            ("sample_index=c", 13, &["contentions"]),
            ("trim=f", 5, &["false"]),
            ("focus=x", 6, &[]),
            ("help topp", 5, &["topproto"]),
            ("top app", 4, &["app::parse", "app::print"]),
            ("top 5 -app::pa", 7, &["app::parse"]),
            ("list print", 5, &["app::print"]),
            ("peek read", 5, &[r"std::<a.as.b>::read"]),
            ("peek p", 5, &["p", "p"]),
            ("tags app", 5, &[]),
            ("nothing app", 8, &[]),
        ];
        for (line, start, words) in cases {
            let (at, found) = completion.of(line);
            let found: Vec<&str> = found.iter().map(|candidate| candidate.word.as_str()).collect();
            assert_eq!((at, found.as_slice()), (*start, *words), "{line}");
        }
        assert!(completion.of("").1.len() > 60);
    }
}
