//! `cargo pprof`: see the library.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use cargo_pprof::driver::{Ui, is_terminal};
use cargo_pprof::shell::{Input, can_edit};
use cargo_pprof::temporary;

/// As shells have it for SIGINT, which is 2.
const INTERRUPTED: i32 = 128 + 2;

fn main() -> ExitCode {
    let mut words: Vec<OsString> = std::env::args_os().skip(1).collect();
    // Cargo hands on the name of its subcommand.
    if words.first().is_some_and(|word| word == "pprof") && std::env::var_os("CARGO").is_some() {
        words.remove(0);
    }
    if !is_ignoring() {
        // The thread that waits for signals takes the place of their default, which would leave halves of files. Without it they stay.
        let _ = ctrlc::set_handler(|| {
            let _held = temporary::remove_all();
            std::process::exit(INTERRUPTED);
        });
    }
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    let mut ui = Ui { out: &mut out, err: &mut err, is_terminal: is_terminal() };
    let input = Input { bytes: &mut io::stdin().lock(), is_edited: can_edit() };
    ExitCode::from(cargo_pprof::run_with(&words, input, &mut ui))
}

/// Whether one of the signals that are waited for was to be ignored from the start, as `nohup` has it. All of them are waited for or none: then
/// none is, so that the ignored one stays so, and the others may leave halves of files.
fn is_ignoring() -> bool {
    // SIGHUP, SIGINT and SIGTERM: 1, 2 and 15, of which the first has the lowest bit.
    const WAITED_FOR: u64 = 1 | 1 << 1 | 1 << 14;
    // Only Linux tells without a call that is not safe.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & WAITED_FOR != 0)
}
