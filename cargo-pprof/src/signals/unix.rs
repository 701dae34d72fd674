//! The signals of Unix.

use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::{fs, io, process, thread};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::temporary;

/// Waits for signals, on a thread of its own. Where there is none for that, they end the process as ever.
pub fn watch() {
    let ignored = ignored();
    let is_heard = |signal: &i32| ignored & 1 << (signal - 1) == 0;
    let heard = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
    let heard: Vec<i32> = heard.into_iter().filter(is_heard).collect();
    let (ready, is_ready) = mpsc::channel();
    let wait = move || {
        // This thread changes the terminal back even if it comes to the background just then.
        let mut stop = SigSet::empty();
        stop.add(Signal::SIGTTOU);
        let _ = stop.thread_block();
        let signals = Signals::new(heard);
        let _ = ready.send(());
        if let Some(signal) = signals.ok().and_then(|mut signals| signals.forever().next()) {
            end(signal);
        }
    };
    if thread::Builder::new().name("signals".to_owned()).spawn(wait).is_ok() {
        let _ = is_ready.recv();
    }
}

fn end(signal: i32) -> ! {
    let _no_more_files = temporary::remove_all();
    // Held to the end: it does not change again.
    let terminal = terminal();
    // In the background it is another's, as of the shell that has suspended this one.
    let is_ours = tcgetpgrp(io::stdin()).map_or(true, |group| group == getpgrp());
    if let Some(before) = terminal.as_ref().filter(|_| is_ours) {
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, before);
        // What is pasted comes without marks again. Not through the stream, which is locked by who writes reports.
        let _ = nix::unistd::write(io::stdout(), b"\x1b[?2004l\r\n");
    }
    // Who waits for the process is to see what has ended it.
    let _ = emulate_default_handler(signal);
    process::exit(128 + signal);
}

/// How the terminal was before it was changed, as long as it is.
static TERMINAL: Mutex<Option<Termios>> = Mutex::new(None);

fn terminal() -> MutexGuard<'static, Option<Termios>> {
    TERMINAL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does what changes the terminal for a while: a signal that ends the process meanwhile changes it back.
pub(crate) fn restoring_terminal<T>(work: impl FnOnce() -> T) -> T {
    *terminal() = tcgetattr(io::stdin()).ok();
    let result = work();
    *terminal() = None;
    result
}

/// The signals that were to be ignored from the start, as `nohup` has it: number 1 is the lowest bit.
fn ignored() -> u64 {
    // Only Linux tells without a call that is not safe.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
