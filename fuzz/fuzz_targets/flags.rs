//! Command lines, a word a line.
#![no_main]

use cargo_pprof::flags;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &str| {
    let words: Vec<String> = line.lines().map(str::to_owned).collect();
    let _ = flags::parse(&words);
});
