//! Reads pprof profiles as `go tool pprof` does, without Go.
//!
//! ```text
//! fetch -> symbolize -> filter -> graph -> report
//! ```
#![forbid(unsafe_code)]

pub mod commands;
pub mod config;
pub mod draw;
pub mod driver;
pub mod fetch;
pub mod filter;
pub mod flags;
pub mod graph;
pub mod layout;
pub mod measurement;
pub mod pattern;
pub mod profile;
pub mod report;
pub mod shell;
pub mod symbolize;

use std::io::BufRead;

use driver::{Error, Ui};
use flags::Refusal;
use profile::Text;

/// Does what a command line says, and returns what the process is to exit with: 0, or 2 for an error, which is told.
pub fn run(words: &[String], input: &mut dyn BufRead, ui: &mut Ui<'_>) -> u8 {
    let arguments = match flags::parse(words) {
        Ok(arguments) => arguments,
        Err(Refusal::Help) => {
            ui.say(&flags::help());
            return 0;
        }
        Err(Refusal::Wrong { message, with_help }) => {
            let help = if with_help { flags::help() } else { String::new() };
            ui.say(&format!("{help}{message}"));
            return 2;
        }
    };
    match report(arguments, input, ui) {
        Ok(()) | Err(Error::Closed) => 0,
        Err(Error::Message(message)) => {
            ui.say(&message);
            2
        }
    }
}

fn report(
    mut arguments: flags::Arguments,
    input: &mut dyn BufRead,
    ui: &mut Ui<'_>,
) -> Result<(), Error> {
    for warning in &arguments.warnings {
        ui.say(warning);
    }
    arguments.sources.read_input(input)?;
    let fetch::Fetched { mut profile, origins } = fetch::fetch(&arguments.sources, ui)?;
    if arguments.all_frames {
        (profile.drop_frames, profile.keep_frames) = (Text::EMPTY, Text::EMPTY);
    }
    let (mode, unknown) = symbolize::Mode::new(&arguments.symbolize);
    for option in unknown {
        ui.say(&format!("ignoring unrecognized symbolization option: {option}"));
    }
    symbolize::symbolize(&mut profile, mode, &origins, &arguments.sources.client)?;
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
        Some(request) => driver::generate(profile, &request, &arguments.config, ui),
        None => shell::run(&profile, arguments.config, input, ui),
    }
}
