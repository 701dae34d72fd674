//! `cargo pprof`: see the library.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use cargo_pprof::driver::{Ui, is_terminal};
use cargo_pprof::shell::{Input, can_edit};
use cargo_pprof::signals;

fn main() -> ExitCode {
    let mut words: Vec<OsString> = std::env::args_os().skip(1).collect();
    // Cargo hands on the name of its subcommand.
    if words.first().is_some_and(|word| word == "pprof") && std::env::var_os("CARGO").is_some() {
        words.remove(0);
    }
    signals::watch();
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    let mut ui = Ui { out: &mut out, err: &mut err, is_terminal: is_terminal() };
    let input = Input { bytes: &mut io::stdin().lock(), is_edited: can_edit() };
    ExitCode::from(cargo_pprof::run_with(&words, input, &mut ui))
}
