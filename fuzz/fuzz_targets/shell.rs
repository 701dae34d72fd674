//! Lines of the shell.
#![no_main]

use std::io::{self, Cursor};
use std::sync::LazyLock;

use cargo_pprof::commands::{self, Then};
use cargo_pprof::config::Config;
use cargo_pprof::driver::Ui;
use cargo_pprof::profile::Profile;
use cargo_pprof::{fetch, shell};
use libfuzzer_sys::fuzz_target;

static PROFILE: LazyLock<Profile> = LazyLock::new(|| {
    let folded = "main;a::run;read 12\nmain;a::run 3\nmain;<a as b>::c 1\n";
    fetch::decode(folded.as_bytes().to_vec()).expect("a profile")
});

fuzz_target!(|lines: &str| {
    // Files are neither written nor read, nor programs run.
    let is_harmless = |line: &&str| {
        let first = line.split_whitespace().next().unwrap_or_default();
        let name = first.trim_end_matches(|c: char| c.is_ascii_digit());
        let then = commands::find(name).map(|command| command.then);
        let reads = ["list", "disasm", "weblist"].contains(&name);
        matches!(then, None | Some(Then::Print)) && !reads && !line.contains(['>'])
    };
    let harmless = lines.lines().filter(is_harmless).filter(|line| !line.contains("output"));
    let mut bytes = Cursor::new(harmless.collect::<Vec<_>>().join("\n"));
    let input = shell::Input { bytes: &mut bytes, is_edited: false };
    let mut ui = Ui { out: &mut io::sink(), err: &mut io::sink(), is_terminal: false };
    shell::run(&PROFILE, Config::default(), input, &mut ui).expect("it goes on to the end");
});
