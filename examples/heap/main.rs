//! A news service with a cache, much that lives for a moment, and a leak.
//!
//! Clients come, subscribe to topics, read articles and leave. Articles are rendered for each reader and kept in a cache of the latest; what a
//! client leaves behind is in `service.rs`. Nothing there speaks of profiling.
//!
//! ```text
//! cargo run --release --example heap [-- --clients N] [--out DIR]
//! ```
//!
//! The cache is what takes the most memory, and it is meant to. What tells a leak from it is age: of what is older than half of the run, the
//! cache has nothing any more.

mod service;

use std::alloc::System;
use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use pprof_runtime::{Alloc, Profile, config, heap};

const USAGE: &str = "\
usage: heap [--clients N] [--out DIR]

  --clients N  how many clients come and leave (default 20000)
  --out DIR    where to write heap.pb.gz, old.pb.gz and heap.txt (default: the current directory)
";

// What it takes to be profiled: this, and a line in `run`.
#[global_allocator]
static ALLOCATOR: Alloc<System> = Alloc::new(System);

struct Flags {
    clients: u64,
    out: PathBuf,
}

impl Flags {
    /// `None` if help was asked for.
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Flags>, String> {
        let mut flags = Flags { clients: 20_000, out: ".".into() };
        while let Some(word) = words.next() {
            if matches!(word.as_str(), "-h" | "--help") {
                return Ok(None);
            }
            if !matches!(word.as_str(), "--clients" | "--out") {
                return Err(format!("unknown flag {word}; --help tells the flags"));
            }
            let value = words.next().ok_or(format!("{word} needs a value"))?;
            match (word.as_str(), value.parse::<u64>()) {
                ("--out", _) => flags.out = value.into(),
                (_, Ok(clients)) if clients > 0 => flags.clients = clients,
                _ => return Err(format!("--clients {value}: not a positive number of clients")),
            }
        }
        Ok(Some(flags))
    }
}

fn main() -> ExitCode {
    let result = Flags::parse(std::env::args().skip(1)).map_err(Into::into).and_then(run);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("heap: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: Option<Flags>) -> Result<(), Box<dyn Error>> {
    let Some(Flags { clients, out }) = flags else {
        print!("{USAGE}");
        return Ok(());
    };
    std::fs::create_dir_all(&out).map_err(|e| format!("cannot create {}: {e}", out.display()))?;

    pprof_runtime::set_mem_profile_rate(config::DEFAULT_MEM_PROFILE_RATE);
    let start = Instant::now();
    let service = service::run(clients);

    // While the service is there.
    let older_than = start.elapsed() / 2;
    let all = pprof_runtime::lookup("heap").ok_or("no such profile")?.snapshot()?;
    write(&all, &out.join("heap.pb.gz"))?;
    write(&heap::by_age(older_than)?, &out.join("old.pb.gz"))?;
    let text = out.join("heap.txt");
    all.write_text(create(&text)?)?;
    println!("or its last lines: {}", text.display());
    println!("{} articles were read", service.read());
    Ok(())
}

fn write(profile: &Profile, path: &Path) -> Result<(), Box<dyn Error>> {
    profile.write_to(create(path)?)?;
    println!("go tool pprof -top {}", path.display());
    Ok(())
}

fn create(path: &Path) -> Result<File, String> {
    File::create(path).map_err(|e| format!("cannot create {}: {e}", path.display()))
}
