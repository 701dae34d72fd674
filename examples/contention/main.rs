//! A thumbnail service whose worst lock is in a crate that it did not write.
//!
//! Requests are taken from a queue; each checks its session, gets a connection of a pool (the `r2d2` crate), and the thumbnail from a cache
//! (the `dashmap` crate). Nothing in `service.rs` speaks of profiling.
//!
//! ```text
//! cargo run --release --example contention [-- --level 0|1] [--seconds N] [--out DIR]
//! ```
//!
//! At level 0 the service runs as it is, and every lock is seen, in it and in its dependencies, by the system calls that they sleep with.
//! At level 1 the service's own locks are swapped in `use`, and tell their names, kinds and holders.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
usage: contention [--level 0|1] [--seconds N] [--out DIR]

  --level 0|1  0: locks as they are, all of them seen from below (default)
               1: the service's own locks replaced by profiled ones
  --seconds N  how long to run (default 5)
  --out DIR    where to write mutex.pb.gz and block.pb.gz (default: the current directory)
";

/// The service as it was written.
mod plain {
    mod locks {
        pub(super) use std::sync::mpsc;
        pub(super) use std::sync::{Mutex, RwLock};
        pub(super) use std::thread;
    }
    include!("service.rs");
}

/// The same with other imports: all that level 1 takes.
mod profiled {
    mod locks {
        pub(super) use pprof_runtime::sync::mpsc;
        pub(super) use pprof_runtime::sync::{Mutex, RwLock};
        pub(super) use pprof_runtime::thread;
    }
    include!("service.rs");
}

struct Flags {
    level: u8,
    time: Duration,
    out: PathBuf,
}

impl Flags {
    /// `None` if help was asked for.
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Flags>, String> {
        let mut flags = Flags { level: 0, time: Duration::from_secs(5), out: ".".into() };
        while let Some(word) = words.next() {
            if matches!(word.as_str(), "-h" | "--help") {
                return Ok(None);
            }
            if !matches!(word.as_str(), "--level" | "--seconds" | "--out") {
                return Err(format!("unknown flag {word}; --help tells the flags"));
            }
            let value = words.next().ok_or(format!("{word} needs a value"))?;
            match (word.as_str(), value.parse::<u64>()) {
                ("--out", _) => flags.out = value.into(),
                ("--level", Ok(level @ (0 | 1))) => flags.level = level as u8,
                ("--level", _) => return Err(format!("--level {value}: there are 0 and 1")),
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
            eprintln!("contention: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: Option<Flags>) -> Result<(), Box<dyn Error>> {
    let Some(Flags { level, time, out }) = flags else {
        print!("{USAGE}");
        return Ok(());
    };
    std::fs::create_dir_all(&out).map_err(|e| format!("cannot create {}: {e}", out.display()))?;

    // What it takes to be profiled: these, and at level 0 one line more.
    pprof_runtime::set_mutex_profile_fraction(1);
    pprof_runtime::set_block_profile_rate(1);
    let answered = if level == 0 {
        pprof_runtime::futex::start()?;
        plain::serve(time)
    } else {
        profiled::serve(time)
    };

    println!("{answered} thumbnails at level {level}");
    for name in ["mutex", "block"] {
        write(name, &out.join(format!("{name}.pb.gz")))?;
    }
    Ok(())
}

fn write(name: &str, path: &Path) -> Result<(), Box<dyn Error>> {
    let source = pprof_runtime::lookup(name).ok_or("no such profile")?;
    let file = File::create(path).map_err(|e| format!("cannot create {}: {e}", path.display()))?;
    source.snapshot()?.write_to(file)?;
    println!("go tool pprof -top {}", path.display());
    Ok(())
}
