//! Reads pprof profiles as `go tool pprof` does, without Go.
//!
//! ```text
//! fetch -> symbolize -> filter -> graph -> report
//! ```
#![forbid(unsafe_code)]

pub mod binary;
pub mod commands;
pub mod config;
pub mod demangle;
pub mod draw;
pub mod driver;
pub mod fetch;
pub mod filter;
pub mod flags;
pub mod graph;
pub mod layout;
pub mod lint;
pub mod measurement;
pub mod numbers;
pub mod paths;
pub mod pattern;
pub mod profile;
pub mod report;
pub mod save;
pub mod shell;
pub mod signals;
pub mod symbolize;
pub mod temporary;
pub mod viewer;

use std::ffi::OsStr;
use std::io::BufRead;

use driver::{Error, Ui};
use flags::Refusal;
use profile::Text;
use shell::Input;

const VERSION: &str = concat!("cargo-pprof ", env!("CARGO_PKG_VERSION"), "\n");

/// What the process exits with if `-lint` finds that a profile is refused.
const REFUSED: u8 = 1;

/// Does what a command line says, and returns what the process is to exit with: 0, 1 if `-lint` finds a profile that is refused, or 2 for an error,
/// which is told.
pub fn run(words: &[impl AsRef<OsStr>], input: &mut dyn BufRead, ui: &mut Ui<'_>) -> u8 {
    run_with(words, Input { bytes: input, is_edited: false }, ui)
}

/// The same, with a shell whose lines may be edited.
pub fn run_with(words: &[impl AsRef<OsStr>], input: Input<'_>, ui: &mut Ui<'_>) -> u8 {
    let arguments = match flags::parse(words) {
        Ok(arguments) => arguments,
        Err(Refusal::Help) => return print(&flags::help(), ui),
        Err(Refusal::Manual) => return print(&flags::manual(), ui),
        Err(Refusal::Version) => return print(VERSION, ui),
        Err(Refusal::Wrong { message, with_help }) => {
            let help = if with_help { flags::help() } else { String::new() };
            ui.say(&format!("{help}{message}"));
            return 2;
        }
    };
    let result = report(arguments, input, ui);
    code(result, ui)
}

fn print(text: &str, ui: &mut Ui<'_>) -> u8 {
    let written = ui.out.write_all(text.as_bytes()).and_then(|()| ui.out.flush());
    code(written.map(|()| 0).map_err(Error::from), ui)
}

/// What the process exits with; an error is told.
fn code(result: Result<u8, Error>, ui: &mut Ui<'_>) -> u8 {
    match result {
        Ok(code) => code,
        Err(Error::Closed) => 0,
        Err(Error::Message(message)) => {
            ui.say(&message);
            2
        }
    }
}

fn report(
    mut arguments: flags::Arguments,
    mut input: Input<'_>,
    ui: &mut Ui<'_>,
) -> Result<u8, Error> {
    for warning in &arguments.warnings {
        ui.say(warning);
    }
    arguments.sources.read_input(&mut input.bytes)?;
    if arguments.lint {
        let is_accepted = lint::run(&arguments.sources, ui)?;
        return Ok(if is_accepted { 0 } else { REFUSED });
    }
    let fetch::Fetched { mut profile, origins } = fetch::fetch(&arguments.sources, ui)?;
    if arguments.all_frames {
        (profile.drop_frames, profile.keep_frames) = (Text::EMPTY, Text::EMPTY);
    }
    let (mode, unknown) = symbolize::Mode::new(&arguments.symbolize);
    for option in unknown {
        ui.say(&format!("ignoring unrecognized symbolization option: {option}"));
    }
    let client = &arguments.sources.client;
    symbolize::symbolize(&mut profile, mode, &origins, client, &mut |text| ui.say(&text))?;
    filter::drop_frames(&mut profile);
    fetch::forget_origins(&mut profile);
    if !arguments.comment.is_empty() {
        let comment = profile.texts.intern(&arguments.comment);
        profile.comments.push(comment);
    }
    if !origins.is_empty() {
        fetch::save_copy(&profile, ui);
    }
    match arguments.request {
        Some(request) => {
            if let Some(shown) = driver::generate(profile, &request, &arguments.config, ui)? {
                shown.wait()?;
            }
        }
        None => shell::run(&profile, arguments.config, input, ui)?,
    }
    Ok(0)
}
