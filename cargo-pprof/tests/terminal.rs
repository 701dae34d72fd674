//! The shell on a terminal, as somebody sits at it.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use nix::pty::openpty;
use nix::sys::termios::{LocalFlags, tcgetattr};

const PROMPT: &str = "(pprof) ";

/// A program on a terminal of its own.
struct Terminal {
    directory: tempfile::TempDir,
    program: Child,
    /// Where the program is.
    side: OwnedFd,
    keys: File,
    /// What is shown, as it comes.
    shown: Receiver<String>,
}

impl Terminal {
    fn new(term: &str) -> Terminal {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("folded"), "main;leaf 3\nmain;other 4\n").expect("ours");
        let pty = openpty(None, None).expect("a terminal");
        let side = || Stdio::from(pty.slave.try_clone().expect("it is open"));
        let program = Command::new(env!("CARGO_BIN_EXE_cargo-pprof"))
            .arg("folded")
            .current_dir(directory.path())
            .env("TERM", term)
            .env("XDG_STATE_HOME", directory.path().join("state"))
            .stdin(side())
            .stdout(side())
            .stderr(side())
            .spawn()
            .expect("it runs");
        let keys = File::from(pty.master);
        let mut screen = keys.try_clone().expect("it is open");
        let (sender, shown) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // An error when the program has gone.
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
                if sender.send(text).is_err() {
                    break;
                }
            }
        });
        let mut terminal = Terminal { directory, program, side: pty.slave, keys, shown };
        terminal.until(PROMPT);
        terminal
    }

    /// What is shown until that is.
    fn until(&mut self, what: &str) -> String {
        let mut text = String::new();
        while !text.contains(what) {
            let more = self.shown.recv_timeout(Duration::from_secs(60));
            text += &more.unwrap_or_else(|error| panic!("{error} before {what:?}: {text}"));
        }
        text
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("it reads");
    }

    /// Presses keys that end a line, and returns what that prints.
    fn enter(&mut self, keys: &str) -> String {
        self.press(keys);
        // The line is drawn anew with each key: what it prints comes after the last.
        self.press("\r");
        let mut text = self.until("\n");
        while !text[text.find('\n').unwrap_or(0)..].contains(PROMPT) {
            text += &self.until(PROMPT);
        }
        text
    }

    /// How the program ends, as it is to now.
    fn end(&mut self) -> ExitStatus {
        for _ in 0..6000 {
            if let Some(status) = self.program.try_wait().expect("ours") {
                return status;
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.program.kill().expect("ours");
        panic!("it goes on: {:?}", self.shown.try_iter().collect::<String>());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

#[test]
fn lines_are_completed_edited_and_remembered() {
    let mut terminal = Terminal::new("xterm");
    terminal.enter("fold\t >out");
    let written = fs::read_to_string(terminal.path("out")).expect("the command was completed");
    assert_eq!(written, "main;leaf 3\nmain;other 4\n");
    let peek = terminal.enter("peek eaf\t");
    assert!(peek.contains("peek leaf") && peek.contains("| leaf"), "{peek}");
    let list = terminal.enter("top -oth\t");
    assert!(list.contains("top -other") && list.contains("leaf\r\n"), "{list}");
    // The arrow up brings the line before, of which the last word is taken away.
    let again = terminal.enter("\u{1b}[A\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}leaf");
    assert!(again.contains("focus=leaf"), "{again}");
    // What is interrupted is no line, and no end.
    terminal.press("nonsense\u{3}");
    terminal.until(PROMPT);
    let after = terminal.enter("folded");
    assert!(after.contains("main;leaf 3") && !after.contains("unrecognized"), "{after}");
    terminal.press("\u{4}");
    assert_eq!(terminal.end().code(), Some(0));
    let history = fs::read_to_string(terminal.path("state/pprof/history")).expect("it is kept");
    assert!(history.contains("folded >out\n") && !history.contains("nonsense"), "{history}");
}

#[test]
fn a_terminal_without_means_has_plain_lines() {
    let mut terminal = Terminal::new("dumb");
    terminal.press("fold\t\n");
    terminal.until("unrecognized command: \"fold\"");
    terminal.press("quit\n");
    assert_eq!(terminal.end().code(), Some(0));
    assert!(!terminal.path("state").exists());
}

#[test]
fn lines_that_come_together_are_each_done() {
    let mut terminal = Terminal::new("xterm");
    terminal.press("granularity=lines\rpeek leaf\r");
    let text = terminal.until("| leaf");
    assert!(!text.contains("unrecognized"), "{text}");
    terminal.press("\u{1b}[200~tags\nfolded\npeek other\n\u{1b}[201~\r");
    let text = terminal.until("| other");
    assert!(text.contains("main;leaf 3"), "{text}");
    // A byte of no character costs what comes with it, and not the shell.
    terminal.keys.write_all(b"peek \xff").expect("it reads");
    let text = terminal.until("no UTF-8");
    // Between two lines the terminal takes the key itself.
    let end = text.find("no UTF-8").unwrap_or(0);
    if !text[end..].contains(PROMPT) {
        terminal.until(PROMPT);
    }
    terminal.press("\u{4}");
    assert_eq!(terminal.end().code(), Some(0));
    let history = fs::read_to_string(terminal.path("state/pprof/history")).expect("it is kept");
    assert!(history.contains("tags\nfolded\npeek other\n"), "{history}");
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    let mut terminal = Terminal::new("xterm");
    let is_plain = |terminal: &Terminal| {
        let flags = tcgetattr(&terminal.side).expect("it is open").local_flags;
        flags.contains(LocalFlags::ICANON | LocalFlags::ECHO)
    };
    // The prompt is shown after the terminal has been changed.
    assert!(!is_plain(&terminal));
    terminal.press("half a li");
    // Not SIGHUP, which this test may have to ignore, nor SIGINT, which takes the line away as its key does.
    let pid = terminal.program.id().to_string();
    let kill = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(kill.expect("it runs").success());
    assert_eq!(terminal.end().signal(), Some(15));
    assert!(is_plain(&terminal));
    terminal.until("\u{1b}[?2004l");
}
