//! What a command line may say, as help and as a page of the manual.

use std::fmt::Write;

use super::{NOT_YET, OTHERS, VALUES};
use crate::commands::COMMANDS;
use crate::config::FIELDS;

/// What profiles may be.
const PROFILES: [(&str, &str); 9] = [
    ("profile.pb.gz", "profile.proto, compressed or not"),
    ("legacy_profile", "A file of gperftools, or of an old Go program or Java agent"),
    ("folded.txt", "Folded stacks"),
    ("perf.data", "What perf record writes, read through perf"),
    ("script.txt", "What perf script prints"),
    ("jeprof.1.heap", "A dump of jemalloc's heap profiler"),
    ("dhat-heap.json", "What DHAT writes"),
    ("http://host/profile", "What a server answers; without a path, /debug/pprof/profile"),
    ("-", "Standard input"),
];

/// What `-symbolize` takes, with colons between several.
const SYMBOLIZE: [(&str, &str); 6] = [
    ("none", "Not at all"),
    ("local", "Look into programs here alone, and ask no server"),
    ("fastlocal", "The same, for functions only: no files, lines or inlined calls"),
    ("remote", "Ask the servers that profiles come from, and look into no program"),
    ("force", "Also where there are names"),
    ("demangle=how", "How they are written"),
];

/// What goes after `demangle=`.
const DEMANGLE: [(&str, &str); 4] = [
    ("default", "Without parameters and templates"),
    ("templates", "With templates"),
    ("full", "With all that they have"),
    ("none", "As linkers see them"),
];

/// Variables of the environment.
const ENVIRONMENT: [(&str, &str); 7] = [
    (
        "PPROF_TMPDIR",
        "Where profiles from servers are kept; without it, the directory\n\
         pprof in that of HOME, or else in TMPDIR",
    ),
    (
        "PPROF_BINARY_PATH",
        "Directories where programs are looked for, with colons between them\n\
         (default: $HOME/pprof/binaries); in each one it\n\
         searches for $buildid/$name, $buildid/*, $path/$buildid,\n\
         ${buildid:0:2}/${buildid:2}.debug, $name, $path, $path.debug, $dir/.debug/$name.debug and\n\
         usr/lib/debug/$dir/$name.debug",
    ),
    ("TMPDIR", "Where files for other programs to show are, as long as they show them"),
    ("BROWSER", "What -web opens; without it, browsers that are known"),
    ("DISPLAY", "If it is set, one of those is xdg-open"),
    ("TERM", "Where it is empty or dumb the shell reads plain lines"),
    ("TZ", "Of times in reports"),
];

/// Flags of one kind, or words.
struct Section {
    title: String,
    /// As they are typed, and what they do: a line, and then more.
    flags: Vec<(String, String)>,
}

/// All flags.
fn sections() -> Vec<Section> {
    let section = |title: &str, flags| Section { title: title.to_owned(), flags };
    let with = |name: &str, value: &str| match value {
        "" => format!("-{name}"),
        value => format!("-{name}={value}"),
    };
    let reports = COMMANDS.iter().map(|command| {
        let value = if command.has_parameter { "regexp" } else { "" };
        (with(command.name, value), command.help.to_owned())
    });
    let mut fields: Vec<_> = FIELDS.iter().filter(|field| field.choices.is_empty()).collect();
    fields.sort_by_key(|field| field.name);
    let fields = fields.iter().map(|field| (with(field.name, ""), field.help.to_owned()));
    let mut sections = vec![
        section("Reports, of which one", reports.collect()),
        section("Options of reports", fields.collect()),
    ];
    for field in FIELDS.iter().filter(|field| !field.choices.is_empty()) {
        let choices = field.choices.iter().map(|(name, what)| (with(name, ""), (*what).to_owned()));
        let title = format!("{}: {}, one of", field.name, field.help);
        sections.push(section(&title, choices.collect()));
    }
    let flag = |(name, value, what): &(&str, &str, &str)| (with(name, value), (*what).to_owned());
    let others = OTHERS.iter().map(flag);
    let values = VALUES.iter().map(|(name, value)| {
        let mean = if *name == "mean_delay" { "-mean " } else { "" };
        (with(name, ""), format!("The same as {mean}-sample_index={value}"))
    });
    sections.push(section("Other options", others.chain(values).collect()));
    sections.push(section("Not in this version", NOT_YET.iter().map(flag).collect()));
    let words = |words: &[(&str, &str)]| {
        words.iter().map(|(word, what)| ((*word).to_owned(), (*what).to_owned())).collect()
    };
    sections.push(section("How -symbolize finds names", words(&SYMBOLIZE)));
    sections.push(section("How -symbolize=demangle=how writes them", words(&DEMANGLE)));
    sections.push(section("Profiles", words(&PROFILES)));
    sections
}

/// A line for each flag.
#[must_use]
pub fn help() -> String {
    let mut text = String::from(
        "usage: cargo pprof <report> [options] [program] <profile>...\n\
         \x20      cargo pprof [options] [program] <profile>...   for a shell\n\n\
         Reads profiles of pprof. Several are added up. --trim-path is -trim_path, --no-trim is -trim=false.\n",
    );
    for Section { title, flags } in sections() {
        let _ = writeln!(text, "\n{title}:");
        for (flag, what) in flags {
            let what = what.split('\n').next().unwrap_or_default();
            let _ = writeln!(text, "  {flag:<22} {what}");
        }
    }
    text += "\nEnvironment:\n";
    for (name, what) in ENVIRONMENT {
        let what = what.replace('\n', &format!("\n{:25}", ""));
        let _ = writeln!(text, "  {name:<22} {what}");
    }
    text
}

const BEFORE: &str = r".SH NAME
cargo-pprof \- read profiles of pprof
.SH SYNOPSIS
.B cargo pprof
.I report
.RI [ options ]
.RI [ program ]
.IR profile ...
.br
.B cargo pprof
.RI [ options ]
.RI [ program ]
.IR profile ...
.SH DESCRIPTION
Prints, draws or writes a report of profiles, as
.B go tool pprof
does. Without a report it reads commands line by line: a report's name with its options as words, or
.IR option = value ;
.B help
lists them.
.PP
Profiles are files, addresses, or \- for standard input. Several are added up. If the first of several words is a program, it takes the place of the one that
the profiles name.
.PP
Options come before profiles, with one dash or two. A value comes after = or as the next word; yes or no, only after =. Dashes in names are the same
as underscores:
.B \-\-trim\-path
is
.BR \-trim_path .
.BI \-\-no\- option
is
.BI \- option =false\fR.
.SH OPTIONS
";

const AFTER: &str = r#".SH EXIT STATUS
0, or 2 if something is wrong. With
.B \-lint
1 if a profile is refused. 130 if a signal ends it.
.SH ENVIRONMENT
"#;

const END: &str = r#".SH FILES
.TP
.I $XDG_STATE_HOME/pprof/history
Lines of the shell, or else in
.IR ~/.local/state .
.SH SEE ALSO
.BR dot (1)
"#;

/// A page for `man`.
#[must_use]
pub fn manual() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!(".TH CARGO-PPROF 1 \"\" \"cargo-pprof {version}\"\n{BEFORE}");
    for Section { title, flags } in sections() {
        let _ = writeln!(text, ".SS {}", roff(&title));
        for (flag, what) in flags {
            let _ = writeln!(text, ".TP\n.B {}\n{}", roff(&flag), roff(&what));
        }
    }
    text += AFTER;
    for (name, what) in ENVIRONMENT {
        let _ = writeln!(text, ".TP\n.B {name}\n{}", roff(&what.replace('\n', " ")));
    }
    text + END
}

/// Without what means something there: backslashes, dashes, and what would begin a request.
fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    let lines = escaped.lines().map(|line| match line {
        line if line.starts_with(['.', '\'']) => format!("\\&{line}"),
        line => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n.br\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbolize::Mode;

    #[test]
    fn every_flag_is_in_help_and_manual() {
        let (help, manual) = (help(), manual());
        let fields = FIELDS.iter().flat_map(|field| match field.choices {
            [] => vec![field.name],
            choices => choices.iter().map(|choice| choice.0).collect(),
        });
        let commands = COMMANDS.iter().map(|command| command.name);
        let others = OTHERS.iter().chain(&NOT_YET).map(|other| other.0);
        let others = others.chain(VALUES.iter().map(|value| value.0));
        for name in commands.chain(fields).chain(others) {
            let has = |text: &str, flag: String| {
                text.lines().any(|line| {
                    let rest = line.strip_prefix(&flag);
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '=']))
                })
            };
            assert!(has(&help, format!("  -{name}")), "{name}");
            assert!(has(&manual, format!(".B \\-{name}")), "{name}");
        }
    }

    #[test]
    fn every_word_of_symbolize_is_in_help_and_manual() {
        let (help, manual) = (help(), manual());
        let words = "none local fastlocal remote force \
            demangle=default demangle=templates demangle=full demangle=none";
        for word in words.split_whitespace() {
            assert_eq!(Mode::new(word).1, [""; 0], "{word}");
            let line = word.strip_prefix("demangle=").unwrap_or(word);
            assert!(help.contains(&format!("\n  {line} ")), "{word}");
            assert!(manual.contains(&format!("\n.B {line}\n")), "{word}");
        }
        let described = SYMBOLIZE.map(|word| word.0.replace("=how", "=default"));
        assert_eq!(Mode::new(&described[1..].join(":")).1, [""; 0]);
    }

    #[test]
    fn text_is_no_request() {
        assert_eq!(roff("a-b\\c\n.d\n'e"), "a\\-b\\ec\n.br\n\\&.d\n.br\n\\&'e");
    }
}
