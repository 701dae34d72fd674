//! The command line, by the rules of Go's `flag`: one dash or two, a value after `=` or as the next word, yes or no only after `=`, and the first
//! word without a dash ends them.

mod manual;

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};

use crate::commands::{COMMANDS, Command};
use crate::config::{Config, FIELDS, Slot};
use crate::driver::Request;
use crate::fetch::{Sources, is_program};
use crate::numbers::{float, integer};

pub use manual::{help, manual};

/// What a command line asks for.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// Where profiles are.
    pub sources: Sources,
    /// Options of reports.
    pub config: Config,
    /// The report; the shell if none is named.
    pub request: Option<Request>,
    /// How names are looked up.
    pub symbolize: String,
    /// A remark to add.
    pub comment: String,
    /// Whether frames are kept that the profile says are to be dropped.
    pub all_frames: bool,
    /// Whether the files themselves are looked at, and no report made.
    pub lint: bool,
    /// What is to be told to the user.
    pub warnings: Vec<String>,
}

/// Why there is no report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Help was asked for.
    Help,
    /// The page of the manual.
    Manual,
    /// What this is.
    Version,
    /// It is wrong; with help, or without.
    Wrong {
        /// How.
        message: String,
        /// Whether all options are to be listed.
        with_help: bool,
    },
}

fn wrong<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Wrong { message: message.into(), with_help: false })
}

/// Flags that are no options of reports.
const OTHERS: &[(&str, &str, &str)] = &[
    ("add_comment", "text", "Add a remark to the profile"),
    ("all_frames", "", "Keep frames that the profile says are to be dropped"),
    ("base", "profile", "Subtract this profile"),
    ("buildid", "id", "Build id of the program, where the profile says none"),
    ("diff_base", "profile", "Compare with this profile: shares are of it"),
    (
        "lint",
        "",
        "Say what pprof, Parca, Alloy and Pyroscope refuse in the files, instead of a report",
    ),
    ("man", "", "Print the page of the manual, for man -l -"),
    ("seconds", "n", "Over how many seconds a server is to take the profile"),
    (
        "symbolize",
        "how",
        "How names are found: none, local, fastlocal, remote, force, demangle=none|full|templates|default",
    ),
    ("timeout", "n", "For how many seconds to wait for a server"),
    ("tools", "list", "Does nothing: no other programs are needed but Graphviz, for some pictures"),
    ("tls_ca", "file", "Certificates to trust, in PEM"),
    ("tls_cert", "file", "Certificate to show to servers, in PEM"),
    ("tls_key", "file", "Its key"),
    ("version", "", "Print the version"),
];

/// Flags for a value, as older profiles have them.
const VALUES: &[(&str, &str)] = &[
    ("total_delay", "delay"),
    ("mean_delay", "delay"),
    ("contentions", "contentions"),
    ("inuse_space", "inuse_space"),
    ("inuse_objects", "inuse_objects"),
    ("alloc_space", "alloc_space"),
    ("alloc_objects", "alloc_objects"),
];

/// What flags have set.
#[derive(Default)]
struct Parsed {
    arguments: Arguments,
    reports: Vec<(&'static Command, Option<String>)>,
    /// Choices of one option, by the option.
    choices: Vec<(&'static str, &'static str)>,
    values: Vec<&'static str>,
    base: String,
    diff_base: String,
}

/// Reads a command line, without the name of the program.
///
/// # Errors
/// It asks for help, or it is wrong.
pub fn parse(words: &[impl AsRef<OsStr>]) -> Result<Arguments, Refusal> {
    let mut parsed = Parsed::default();
    // Flags are text; only names of files may be anything.
    let texts: Vec<Cow<'_, str>> = words.iter().map(|w| w.as_ref().to_string_lossy()).collect();
    let mut at = 0;
    while let Some(word) = texts.get(at) {
        let Some(flag) = word.strip_prefix('-').filter(|flag| !flag.is_empty()) else { break };
        at += 1;
        let flag = flag.strip_prefix('-').unwrap_or(flag);
        if flag.is_empty() {
            break;
        }
        let (typed, mut value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        };
        if typed.is_empty() || typed.starts_with('-') {
            return Err(Refusal::Wrong {
                message: format!("bad flag syntax: {word}"),
                with_help: true,
            });
        }
        let name = &typed.replace('-', "_");
        match name.as_str() {
            "h" | "help" => return Err(Refusal::Help),
            "man" => return Err(Refusal::Manual),
            "version" => return Err(Refusal::Version),
            _ => {}
        }
        let (name, is_bool) = match (is_bool(name), negated(name)) {
            (Some(is_bool), _) => (name.as_str(), is_bool),
            (None, Some(name)) if value.is_none() => {
                value = Some("false");
                (name, true)
            }
            (None, Some(_)) => {
                let flag = word.split('=').next().unwrap_or(word);
                return wrong(format!("flag takes no value: {flag}"));
            }
            _ => return unknown(name, word.starts_with("--")),
        };
        if !is_bool && value.is_none() {
            value = texts.get(at).map(|value| &**value);
            at += 1;
            if value.is_none() {
                return Err(Refusal::Wrong {
                    message: format!("flag needs an argument: -{name}"),
                    with_help: true,
                });
            }
        }
        set(&mut parsed, name, value).map_err(|message| Refusal::Wrong {
            message: format!("invalid value {:?} for flag -{name}: {message}", value.unwrap_or("")),
            with_help: true,
        })?;
    }
    let (options, rest) = words.split_at(at.min(words.len()));
    // One that is lost in the text would be another name.
    if let Some(word) = options.iter().find(|word| word.as_ref().to_str().is_none()) {
        return wrong(format!("{} is no UTF-8, as options must be", word.as_ref().display()));
    }
    finish(parsed, rest.iter().map(|word| word.as_ref().to_owned()).collect())
}

/// Whether a flag is yes or no; nothing if there is none of that name.
fn is_bool(name: &str) -> Option<bool> {
    if let Some(command) = COMMANDS.iter().find(|command| command.name == name) {
        return Some(!command.has_parameter);
    }
    for field in FIELDS {
        if field.choices.iter().any(|choice| choice.0 == name) {
            return Some(true);
        }
        if field.name == name && field.choices.is_empty() {
            return Some(field.is_bool());
        }
    }
    if let Some((_, value, _)) = OTHERS.iter().find(|other| other.0 == name) {
        return Some(value.is_empty());
    }
    VALUES.iter().any(|(flag, _)| *flag == name).then_some(true)
}

/// The option that a name with `no` before it turns off.
fn negated(name: &str) -> Option<&'static str> {
    let name = name.strip_prefix("no_")?;
    FIELDS.iter().find(|field| field.name == name && field.is_bool()).map(|field| field.name)
}

/// Beyond this no flag is near.
const LONGEST_NAME: usize = 40;

/// As `OTHERS`: flags of the reference that are not here yet, and what there is instead.
const NOT_YET: [(&str, &str, &str); 2] = [
    ("http", "host:port", "The web interface; what -web and -flamegraph draw is seen in a browser"),
    ("no_browser", "", "The web interface, without a browser"),
];

/// What it says is told as it was typed: with underscores, or with two dashes and more of them.
fn unknown(name: &str, is_long: bool) -> Result<Arguments, Refusal> {
    let as_typed = |name: &str| match is_long {
        true => format!("--{}", name.replace('_', "-")),
        false => format!("-{name}"),
    };
    if NOT_YET.iter().any(|flag| flag.0 == name) {
        return wrong(format!(
            "{}: there is no web interface in this version; -web opens a graph in a browser, -flamegraph -output=out.html writes a page",
            as_typed(name)
        ));
    }
    let mut names: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
    for field in FIELDS {
        match field.choices {
            [] => names.push(field.name),
            choices => names.extend(choices.iter().map(|choice| choice.0)),
        }
    }
    names.extend(OTHERS.iter().chain(&NOT_YET).map(|other| other.0));
    names.extend(VALUES.iter().map(|value| value.0));
    let nearest = names
        .iter()
        .filter(|_| name.len() < LONGEST_NAME)
        .min_by_key(|other| (distance(name, other), **other));
    // A third of the letters may be wrong.
    let hint = nearest.filter(|other| distance(name, other) <= name.len().div_ceil(3).min(2));
    let hint = hint.map_or(String::new(), |other| format!("; did you mean {}?", as_typed(other)));
    let message = format!("flag provided but not defined: {}{hint}", as_typed(name));
    Err(Refusal::Wrong { message, with_help: hint.is_empty() })
}

/// How many letters two words differ by; two that have changed places are one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let least = changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                if swapped { least.min(rows[i - 2][j - 2] + 1) } else { least }
            };
        }
    }
    rows[a.len()][b.len()]
}

fn yes_or_no(value: Option<&str>) -> Result<bool, String> {
    match value {
        None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some(_) => Err("it is neither true nor false".to_owned()),
    }
}

fn set(parsed: &mut Parsed, name: &str, value: Option<&str>) -> Result<(), String> {
    let text = || value.unwrap_or_default().to_owned();
    if let Some(command) = COMMANDS.iter().find(|command| command.name == name) {
        parsed.reports.retain(|(other, _)| other.name != name);
        if command.has_parameter {
            if !text().is_empty() {
                parsed.reports.push((command, Some(text())));
            }
        } else if yes_or_no(value)? {
            parsed.reports.push((command, None));
        }
        return Ok(());
    }
    for field in FIELDS {
        if let Some((choice, _)) = field.choices.iter().find(|choice| choice.0 == name) {
            parsed.choices.retain(|(_, other)| other != choice);
            if yes_or_no(value)? {
                parsed.choices.push((field.name, choice));
            }
            return Ok(());
        }
        if field.name != name {
            continue;
        }
        match field.slot(&mut parsed.arguments.config) {
            Slot::Bool(slot) => *slot = yes_or_no(value)?,
            Slot::Int(slot) => *slot = whole(&text())?,
            Slot::Float(slot) => {
                *slot = float(&text()).ok_or("it is no number")?;
            }
            Slot::Text(slot) => *slot = text(),
        }
        return Ok(());
    }
    if let Some((flag, _)) = VALUES.iter().find(|(flag, _)| *flag == name) {
        parsed.values.retain(|other| other != flag);
        if yes_or_no(value)? {
            parsed.values.push(flag);
        }
        return Ok(());
    }
    match name {
        "add_comment" => parsed.arguments.comment = text(),
        "all_frames" => parsed.arguments.all_frames = yes_or_no(value)?,
        "lint" => parsed.arguments.lint = yes_or_no(value)?,
        "base" => parsed.base = text(),
        "diff_base" => parsed.diff_base = text(),
        "buildid" => parsed.arguments.sources.build_id = text(),
        "symbolize" => parsed.arguments.symbolize = text(),
        "seconds" => parsed.arguments.sources.client.seconds = positive(&text())?,
        "timeout" => parsed.arguments.sources.client.timeout = positive(&text())?,
        "tools" => {
            let message = "-tools is not needed, and does nothing".to_owned();
            parsed.arguments.warnings.push(message);
        }
        "tls_ca" => parsed.arguments.sources.client.tls_ca = text(),
        "tls_cert" => parsed.arguments.sources.client.tls_cert = text(),
        "tls_key" => parsed.arguments.sources.client.tls_key = text(),
        _ => return Err("it does nothing".to_owned()),
    }
    Ok(())
}

fn whole(text: &str) -> Result<i64, String> {
    integer(text).ok_or_else(|| "it is no whole number".to_owned())
}

/// A number of seconds; none if it is not above zero.
fn positive(text: &str) -> Result<Option<u64>, String> {
    Ok(u64::try_from(whole(text)?).ok().filter(|seconds| *seconds > 0))
}

fn finish(parsed: Parsed, mut profiles: Vec<OsString>) -> Result<Arguments, Refusal> {
    let Parsed { mut arguments, reports, choices, values, base, diff_base } = parsed;
    if profiles.is_empty() {
        let message = "no profile source specified".to_owned();
        return Err(Refusal::Wrong { message, with_help: true });
    }
    if profiles.len() > 1 && is_program(&profiles[0]) {
        arguments.sources.program = Some(profiles.remove(0).to_string_lossy().into_owned());
    }
    let is_late = |word: &&OsString| word.len() > 1 && word.as_encoded_bytes().starts_with(b"-");
    for word in profiles.iter().filter(is_late) {
        let word = word.display();
        let message = format!("{word} is taken for a profile: options come before these");
        arguments.warnings.push(message);
    }
    arguments.sources.profiles = profiles;
    for field in FIELDS {
        let given: Vec<&str> =
            choices.iter().filter(|(of, _)| *of == field.name).map(|(_, c)| *c).collect();
        match given.as_slice() {
            [] => {}
            [choice] => {
                if let Slot::Text(slot) = field.slot(&mut arguments.config) {
                    (*choice).clone_into(slot);
                }
            }
            several => return wrong(format!("conflicting options set: {several:?}")),
        }
    }
    arguments.request = match reports.as_slice() {
        [] => None,
        [(command, parameter)] => {
            Some(Request { command: **command, parameter: parameter.clone() })
        }
        _ => return wrong("must set at most one output format"),
    };
    if arguments.lint && arguments.request.is_some() {
        return wrong("-lint is no report: leave it out, or the report");
    }
    for (flag, value) in VALUES.iter().filter(|(flag, _)| values.contains(flag)) {
        if arguments.config.sample_index.is_empty() {
            (*value).clone_into(&mut arguments.config.sample_index);
        } else {
            let message = format!("Multiple value selections, ignoring -{flag}");
            arguments.warnings.push(message);
        }
    }
    arguments.config.mean |= values.contains(&"mean_delay");
    if !base.is_empty() && !diff_base.is_empty() {
        return wrong("-base and -diff_base flags cannot both be specified");
    }
    let sources = &mut arguments.sources;
    sources.is_diff = !diff_base.is_empty();
    let base = [base, diff_base].into_iter().filter(|name| !name.is_empty());
    sources.base = base.map(OsString::from).collect();
    sources.normalize = arguments.config.normalize;
    if sources.normalize && sources.base.is_empty() {
        return wrong("must have base profile to normalize by");
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Arguments, Refusal> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn config(line: &str) -> Config {
        parsed(line).unwrap_or_else(|refusal| panic!("{line}: {refusal:?}")).config
    }

    #[test]
    fn dashes_are_underscores() {
        for line in ["-trim_path=a p", "--trim-path=a p", "--trim-path a p", "-trim-path a p"] {
            assert_eq!(config(line).trim_path, "a", "{line}");
        }
        assert!(!config("--no-trim p").trim && !config("-trim=false p").trim);
        let line = parsed("--diff-base b --top p").expect("it is right");
        assert_eq!((line.sources.base, line.sources.is_diff), (vec!["b".into()], true));
    }

    #[test]
    fn numbers_may_be_written_in_many_ways() {
        let config = config("-nodecount=1_0 -nodefraction=0x1p-2 -edgefraction=.5 p");
        let numbers = (config.nodecount, config.nodefraction, config.edgefraction);
        assert_eq!(numbers, (10, 0.25, 0.5));
    }

    #[cfg(unix)]
    #[test]
    fn options_are_text_and_profiles_are_not() {
        use std::os::unix::ffi::OsStrExt;

        let odd = |bytes: &'static [u8]| OsStr::from_bytes(bytes);
        let refused = parse(&[OsStr::new("-output"), odd(b"o\xff"), OsStr::new("p")]);
        assert!(
            matches!(refused, Err(Refusal::Wrong { message, .. }) if message.contains("UTF-8"))
        );
        let profiles = [OsStr::new("-top"), odd(b"p\xff")];
        let sources = parse(&profiles).expect("any name is one").sources;
        assert_eq!(sources.profiles, profiles[1..]);
    }

    #[test]
    fn mistakes_have_a_remedy() {
        let cases = [
            (
                "--sample-indx=1 p",
                "flag provided but not defined: --sample-indx; did you mean --sample-index?",
            ),
            (
                "-node_cuont=1 p",
                "flag provided but not defined: -node_cuont; did you mean -nodecount?",
            ),
            (
                "--no-inlines p",
                "flag provided but not defined: --no-inlines; did you mean --noinlines?",
            ),
            ("--no-trim=true p", "flag takes no value: --no-trim"),
            ("--no-focus p", "flag provided but not defined: --no-focus"),
            ("-nodecount=x p", "invalid value \"x\" for flag -nodecount: it is no whole number"),
            ("-lint -top p", "-lint is no report: leave it out, or the report"),
        ];
        for (line, expected) in cases {
            match parsed(line) {
                Err(Refusal::Wrong { message, .. }) => assert_eq!(message, expected, "{line}"),
                other => panic!("{line}: {other:?}"),
            }
        }
        assert_eq!(parsed("--version").unwrap_err(), Refusal::Version);
        assert_eq!(parsed("-man").unwrap_err(), Refusal::Manual);
    }
}
