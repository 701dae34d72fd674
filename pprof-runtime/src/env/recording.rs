//! What has been started, and its end.

use std::io;
use std::path::PathBuf;

use super::files::Files;
use super::request::{Instrument, Request};
use crate::cpu;
use crate::error::{Error, ErrorKind};
use crate::profile::{Profile, lookup};
use crate::serve::{Server, serve};
use crate::source::{contention, functions, heap};

/// What the environment asked for, being recorded.
#[derive(Debug)]
pub(super) struct Recording {
    instruments: Vec<Instrument>,
    cpu: Option<cpu::Guard>,
    server: Option<Server>,
    files: Option<Files>,
    /// The rate of heap profiles before.
    heap_rate: Option<u64>,
    /// Whether it is said on standard error what has been done.
    tells: bool,
}

/// What became of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) written: Vec<PathBuf>,
    pub(super) mistakes: Vec<Error>,
}

impl Recording {
    /// Starts what can be; what cannot goes to `mistakes`.
    pub(super) fn start(request: Request, tells: bool, mistakes: &mut Vec<Error>) -> Recording {
        // Its memory is none of the program's.
        heap::unobserved(|| Recording::start_unobserved(request, tells, mistakes))
    }

    fn start_unobserved(request: Request, tells: bool, mistakes: &mut Vec<Error>) -> Recording {
        let Request { instruments, files, address } = request;
        let mut recording = Recording {
            instruments: Vec::new(),
            cpu: None,
            server: None,
            files,
            heap_rate: None,
            tells,
        };
        if let Some(address) = address {
            match serve(&address) {
                Ok(server) => {
                    recording
                        .say(|| format!("serving http://{}/debug/pprof/", server.local_addr()));
                    recording.server = Some(server);
                }
                Err(e) => mistakes.push(of_variable(&format!("PPROF_HTTP={address}"), e)),
            }
        }
        for (instrument, rate) in instruments {
            match recording.switch_on(instrument, rate) {
                Ok(()) => recording.instruments.push(instrument),
                Err((word, e)) => mistakes.push(of_variable(&format!("PPROF={word}"), e)),
            }
        }
        recording
    }

    fn switch_on(
        &mut self,
        instrument: Instrument,
        rate: i64,
    ) -> Result<(), (&'static str, Error)> {
        match instrument {
            Instrument::Cpu => {
                // Checked when it was read.
                let rate_hz = u32::try_from(rate).unwrap_or(u32::MAX);
                let guard = cpu::Builder::new().rate_hz(rate_hz).start().map_err(|e| ("cpu", e))?;
                self.cpu = Some(guard);
            }
            Instrument::Mutex => drop(contention::set_mutex_fraction(rate)),
            Instrument::Block => contention::set_block_rate(rate),
            Instrument::Hold => contention::set_hold_rate(rate),
            Instrument::Functions => drop(functions::set_enabled(true)),
            Instrument::Heap => self.start_heap(rate).map_err(|e| ("heap", e))?,
            Instrument::Allocs => self.start_heap(rate).map_err(|e| ("allocs", e))?,
            Instrument::Leaks => self.start_heap(rate).map_err(|e| ("leaks", e))?,
            Instrument::Futex => start_futex().map_err(|e| ("futex", e))?,
        }
        Ok(())
    }

    /// Ends it without writing anything.
    pub(super) fn cancel(mut self) {
        self.switch_off();
    }

    /// Ends it and writes the files. The server goes on unless it is to be stopped.
    pub(super) fn finish(self, stop_server: bool) -> Outcome {
        heap::unobserved(|| self.finish_unobserved(stop_server))
    }

    fn finish_unobserved(mut self, stop_server: bool) -> Outcome {
        let mut outcome = Outcome::default();
        // First: the others' work is none of the program's.
        let cpu = self.cpu.take().map(cpu::Guard::stop);
        let others = self.instruments.iter().filter_map(|i| self.snapshot(*i));
        let profiles: Vec<Result<Profile, Error>> = cpu.into_iter().chain(others).collect();
        self.switch_off();
        if let Some(files) = &self.files {
            for written in profiles.into_iter().map(|profile| files.write(&profile?)) {
                match written {
                    Ok(path) => outcome.written.push(path),
                    Err(e) => outcome.mistakes.push(e),
                }
            }
            if let Some(first) = outcome.written.first() {
                let names = outcome.written.iter().map(|path| files.shown(path).to_string());
                let names = names.collect::<Vec<_>>().join(", ");
                let first = files.shown(first);
                self.say(|| format!("wrote {names}; to read one: go tool pprof -http=: {first}"));
            }
        }
        if let Some(server) = self.server.take().filter(|_| !stop_server) {
            server.detach();
        }
        if self.tells {
            outcome.mistakes.iter().for_each(tell);
        }
        outcome
    }

    /// `None` if that is none.
    fn snapshot(&self, instrument: Instrument) -> Option<Result<Profile, Error>> {
        match instrument {
            Instrument::Cpu | Instrument::Futex => None,
            Instrument::Leaks => Some(crate::heap::in_use_at_exit().map(|(profile, leaks)| {
                self.say(|| format!("at the end of the program {leaks}"));
                profile
            })),
            _ => Some(lookup(instrument.profile()?)?.snapshot()),
        }
    }

    fn switch_off(&mut self) {
        self.cpu = None;
        for instrument in self.instruments.drain(..) {
            match instrument {
                Instrument::Cpu => {}
                Instrument::Mutex => drop(contention::set_mutex_fraction(0)),
                Instrument::Block => contention::set_block_rate(0),
                Instrument::Hold => contention::set_hold_rate(0),
                Instrument::Functions => drop(functions::set_enabled(false)),
                Instrument::Heap | Instrument::Allocs | Instrument::Leaks => {}
                Instrument::Futex => stop_futex(),
            }
        }
        if let Some(rate) = self.heap_rate.take() {
            heap::set_rate(rate);
        }
    }

    /// All of its profiles are of one recording: the smaller number holds.
    fn start_heap(&mut self, rate: i64) -> Result<(), Error> {
        let (before, rate) = (heap::rate(), rate.unsigned_abs());
        heap::set_rate(if before == 0 { rate } else { rate.min(before) });
        if heap::observed(heap::is_seen) {
            self.heap_rate.get_or_insert(before);
            return Ok(());
        }
        heap::set_rate(before);
        let message = "this program's allocator is not seen: make a pprof_runtime::Alloc its #[global_allocator], or leave this out";
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    fn say(&self, message: impl FnOnce() -> String) {
        if self.tells {
            to_stderr(&message());
        }
    }
}

#[cfg(feature = "futex")]
use crate::futex::{start as start_futex, stop as stop_futex};

#[cfg(not(feature = "futex"))]
fn start_futex() -> Result<(), Error> {
    let message = "this program is built without it: enable the feature `futex` of pprof-runtime, or leave futex out";
    Err(Error::new(ErrorKind::Unsupported, message))
}

#[cfg(not(feature = "futex"))]
fn stop_futex() {}

fn of_variable(variable: &str, e: Error) -> Error {
    Error::with_source(e.kind(), format!("{variable}: {e}"), e)
}

/// Says what is wrong.
pub(super) fn tell(mistake: &Error) {
    to_stderr(&mistake.to_string());
}

/// In one system call, past std's lock: at the end of the process that may be held by whoever.
fn to_stderr(message: &str) {
    let text = format!("pprof: {}\n", message.trim_end());
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        // SAFETY: as many bytes as there are.
        let written = unsafe { libc::write(libc::STDERR_FILENO, rest.as_ptr().cast(), rest.len()) };
        match usize::try_from(written) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            // If nobody reads it, there is nobody else to tell.
            Err(_) => return,
        }
    }
}
