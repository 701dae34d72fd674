//! The command line.

use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: server [--addr HOST:PORT] [--seconds N] [--out DIR]

  --addr HOST:PORT  where to serve profiles; port 0 for any free one (default 127.0.0.1:6060)
  --seconds N       end after N seconds (default: run until interrupted)
  --out DIR         with --seconds, write cpu.pb.gz, mutex.pb.gz, block.pb.gz and functions.pb.gz
                    into DIR at the end
";

#[derive(Debug)]
pub(crate) struct Flags {
    pub(crate) addr: String,
    pub(crate) seconds: Option<u64>,
    pub(crate) out: Option<PathBuf>,
}

impl Flags {
    /// `None` if help was asked for.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Flags>, String> {
        let mut flags = Flags { addr: "127.0.0.1:6060".to_owned(), seconds: None, out: None };
        while let Some(word) = words.next() {
            let (name, inline) = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word, None),
            };
            if matches!(name.as_str(), "-h" | "--help") {
                return Ok(None);
            }
            if !matches!(name.as_str(), "--addr" | "--seconds" | "--out") {
                return Err(format!("unknown flag {name}; --help tells the flags"));
            }
            let value = inline.or_else(|| words.next()).ok_or(format!("{name} needs a value"))?;
            match name.as_str() {
                "--addr" => flags.addr = value,
                "--out" => flags.out = Some(value.into()),
                _ => {
                    let seconds = value.parse().ok().filter(|n| *n > 0);
                    let wrong = || format!("--seconds {value}: not a positive number of seconds");
                    flags.seconds = Some(seconds.ok_or_else(wrong)?);
                }
            }
        }
        if flags.out.is_some() && flags.seconds.is_none() {
            return Err("--out needs --seconds: files are written at the end".to_owned());
        }
        Ok(Some(flags))
    }
}
