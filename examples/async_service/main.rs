//! An HTTP service on tokio whose profiles tell which route it was that took the time.
//!
//! A middleware labels each request with its method and route; the labels go along with the request's future from thread to thread, into the
//! tasks and blocking calls that it starts, and are on the samples of every profile.
//!
//! ```text
//! cargo run --release --example async_service [-- --seconds N] [--out DIR]
//! ```
//!
//! `service.rs` is the service; here it is served on a port of its own, asked by clients over HTTP, and profiled.
#![forbid(unsafe_code)]

mod clients;
mod service;

use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use pprof_runtime::{Profile, cpu};

const USAGE: &str = "\
usage: async_service [--seconds N] [--out DIR]

  --seconds N  how long to serve (default 5)
  --out DIR    where to write cpu.pb.gz, functions.pb.gz, block.pb.gz and mutex.pb.gz (default: the current directory)
";

struct Flags {
    time: Duration,
    out: PathBuf,
}

impl Flags {
    /// `None` if help was asked for.
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Flags>, String> {
        let mut flags = Flags { time: Duration::from_secs(5), out: ".".into() };
        while let Some(word) = words.next() {
            if matches!(word.as_str(), "-h" | "--help") {
                return Ok(None);
            }
            if !matches!(word.as_str(), "--seconds" | "--out") {
                return Err(format!("unknown flag {word}; --help tells the flags"));
            }
            let value = words.next().ok_or(format!("{word} needs a value"))?;
            match (word.as_str(), value.parse::<u64>()) {
                ("--out", _) => flags.out = value.into(),
                (_, Ok(seconds)) if seconds > 0 => flags.time = Duration::from_secs(seconds),
                _ => return Err(format!("--seconds {value}: not a positive number of seconds")),
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
            eprintln!("async_service: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: Option<Flags>) -> Result<(), Box<dyn Error>> {
    let Some(Flags { time, out }) = flags else {
        print!("{USAGE}");
        return Ok(());
    };
    std::fs::create_dir_all(&out).map_err(|e| format!("cannot create {}: {e}", out.display()))?;
    pprof_runtime::set_function_profile(true);
    pprof_runtime::set_function_histograms(true);
    pprof_runtime::set_block_profile_rate(1);
    pprof_runtime::set_mutex_profile_fraction(1);
    let profile = cpu::start()?;

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let answered = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(async { axum::serve(listener, service::router()).await });
        let answered = clients::ask(address, time).await?;
        server.abort();
        Ok::<u64, std::io::Error>(answered)
    })?;

    println!("{answered} requests answered");
    let cpu = profile.stop()?;
    pprof_runtime::report::print();
    write(&cpu, &out)?;
    for name in ["functions", "block", "mutex"] {
        let source = pprof_runtime::lookup(name).ok_or("no such profile")?;
        write(&source.snapshot()?, &out)?;
    }
    Ok(())
}

fn write(profile: &Profile, out: &Path) -> Result<(), Box<dyn Error>> {
    let path = out.join(format!("{}.pb.gz", profile.name()));
    let file = File::create(&path).map_err(|e| format!("cannot create {}: {e}", path.display()))?;
    profile.write_to(file)?;
    println!("go tool pprof -tags {}", path.display());
    Ok(())
}
