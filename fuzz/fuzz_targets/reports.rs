//! Every report of a profile.
#![no_main]

use std::io;

use cargo_pprof::commands::{COMMANDS, Then};
use cargo_pprof::config::Config;
use cargo_pprof::driver::{Request, Ui, generate};
use cargo_pprof::fetch;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(profile) = fetch::decode(bytes.to_vec()) else { return };
    // Those that neither run programs nor read the files that a profile names.
    let commands = COMMANDS.iter().filter(|c| matches!(c.then, Then::Print | Then::Save(_)));
    for command in commands.filter(|c| !matches!(c.name, "list" | "disasm" | "weblist")) {
        let parameter = command.has_parameter.then(|| ".".to_owned());
        let request = Request { command: *command, parameter };
        let mut ui = Ui { out: &mut io::sink(), err: &mut io::sink(), is_terminal: false };
        let _ = generate(profile.clone(), &request, &Config::default(), &mut ui);
    }
});
