//! Profiles that the environment asks for: what programs write when they end in every way, and what they say.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use pprof_format::Profile;
use pprof_tests::{Running, get, report, sum};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_environment");
const HEAP: &str = env!("CARGO_BIN_EXE_environment_heap");
const SHAPES: &str = env!("CARGO_BIN_EXE_environment_shapes");

/// A run that is over, in a directory of its own.
struct Run {
    dir: TempDir,
    pid: u32,
    output: Output,
}

/// Runs a program with these variables, of which none is inherited.
fn run(program: &str, how: &str, variables: &[(&str, &str)]) -> Run {
    let dir = tempfile::tempdir().unwrap();
    let child = command(program, how, variables, dir.path()).spawn().unwrap();
    let pid = child.id();
    Run { dir, pid, output: child.wait_with_output().unwrap() }
}

fn command(program: &str, how: &str, variables: &[(&str, &str)], dir: &Path) -> Command {
    let mut command = Command::new(program);
    for name in ["PPROF", "PPROF_OUT", "PPROF_HTTP"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied()).env("RUST_BACKTRACE", "0").arg(how).current_dir(dir);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Run {
    fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// All files in the directory, by their paths there.
    fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        let mut directories = vec![self.dir.path().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => directories.push(path),
                    false => {
                        let path = path.strip_prefix(self.dir.path()).unwrap();
                        files.push(path.display().to_string());
                    }
                }
            }
        }
        files.sort();
        files
    }

    fn profile(&self, name: &str) -> Profile {
        read(&self.dir.path().join(format!("environment.{}.{name}.pb.gz", self.pid)))
    }

    /// The program ended with this code, wrote these profiles by their usual names, and nothing else, and said so in one line.
    #[track_caller]
    fn assert_wrote(&self, code: i32, profiles: &[&str]) {
        let stderr = self.stderr();
        assert_eq!(self.output.status.code(), Some(code), "{:?}: {stderr}", self.output.status);
        let names: Vec<String> =
            profiles.iter().map(|p| format!("environment.{}.{p}.pb.gz", self.pid)).collect();
        let mut sorted = names.clone();
        sorted.sort();
        assert_eq!(self.files(), sorted, "{stderr}");
        let said = format!(
            "pprof: wrote {}; to read one: go tool pprof -http=: {}",
            names.join(", "),
            names[0]
        );
        let lines: Vec<&str> = stderr.lines().filter(|l| l.starts_with("pprof: ")).collect();
        assert_eq!(lines, [said], "{stderr}");
    }

    /// The program did what it does without the variables, and said these things besides, each in a line.
    #[track_caller]
    fn assert_said(&self, expected: &[&str]) {
        let stderr = self.stderr();
        assert_eq!(self.output.status.code(), Some(0), "{stderr}");
        let lines: Vec<&str> = stderr.lines().collect();
        assert_eq!(lines.len(), expected.len(), "{stderr}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.starts_with("pprof: ") && line.contains(expected), "{line}: {expected}");
        }
    }
}

fn read(path: &Path) -> Profile {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let profile = Profile::decode(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    profile.validate().unwrap();
    profile
}

fn total_of(profile: &Profile, value: usize, function: &str) -> i64 {
    sum(profile, value, |names| names.iter().any(|name| name.ends_with(function)))
}

const ALL: &str = "cpu,mutex=1,block,hold,functions";
const NAMES: [&str; 5] = ["cpu", "mutex", "block", "hold", "functions"];

#[test]
fn all_that_is_asked_for_is_in_the_files() {
    let run = run(PROGRAM, "return", &[("PPROF", ALL)]);
    run.assert_wrote(0, &NAMES);
    let cpu = total_of(&run.profile("cpu"), 1, "environment::burns");
    assert!((100_000_000..400_000_000).contains(&cpu), "{cpu} ns of 200 ms");
    assert_eq!(total_of(&run.profile("mutex"), 0, "environment::holds"), 1);
    assert_eq!(total_of(&run.profile("block"), 0, "environment::waits"), 1);
    assert!(total_of(&run.profile("hold"), 1, "environment::holds") >= 30_000_000);
    assert_eq!(total_of(&run.profile("functions"), 0, "environment::burns"), 2);
    // Not asked for.
    assert_eq!(total_of(&run.profile("mutex"), 0, "environment::holds_stds"), 0);
}

#[test]
fn memory_is_recorded_and_what_is_not_freed_is_told() {
    // Of what is recorded besides there must be nothing.
    let list = "mutex=1,block=1,hold=1,functions,cpu,heap=1,leaks,allocs=65536";
    let run = run(HEAP, "return", &[("PPROF", list), ("PPROF_HTTP", "127.0.0.1:0")]);
    let stderr = run.stderr();
    assert_eq!(run.output.status.code(), Some(0), "{stderr}");
    for (name, in_use) in
        [("leaks", [3, 300_000]), ("heap", [3, 300_000]), ("allocs", [3, 300_000])]
    {
        let path = run.dir.path().join(format!("environment_heap.{}.{name}.pb.gz", run.pid));
        let profile = read(&path);
        assert_eq!(profile.period, 1, "of all that are asked for the smallest");
        let of = |column, function| total_of(&profile, column, function);
        assert_eq!([2, 3].map(|column| of(column, "::forgets")), in_use, "{name}");
        assert_eq!([2, 3].map(|column| of(column, "::frees")), [0, 0], "{name}");
        assert_eq!(of(1, "::frees"), 1_000_000);
    }
    let (told, wrote) = stderr.rsplit_once("pprof: wrote ").expect("both are told");
    assert!(wrote.contains("leaks.pb.gz"), "{stderr}");
    let (_, told) = told.split_once("pprof: at the end of the program ").expect("it is told");
    // That of standard output is the program's.
    assert!(told.starts_with("301024 bytes in 4 objects are in use, of 2 stacks"), "{stderr}");
    let top = told.split("\n\n").nth(1).expect("at least one stack");
    let mut lines = top.lines();
    assert_eq!(lines.next(), Some("300000 bytes in 3 objects, allocated by"));
    assert!(lines.next().is_some_and(|line| line.contains("environment_heap::forgets  ")), "{top}");
    assert!(!told.contains("pprof_runtime") && !told.contains("lang_start"), "{told}");
}

#[test]
fn rates_are_those_asked_for() {
    let run = run(PROGRAM, "return", &[("PPROF", "cpu=250,block=1,mutex=1,futex")]);
    run.assert_wrote(0, &["cpu", "block", "mutex"]);
    assert_eq!(run.profile("cpu").period, 4_000_000);
    assert_eq!(total_of(&run.profile("mutex"), 0, "environment::holds_stds"), 1, "by futex");
}

#[test]
fn the_real_pprof_reads_what_is_written() {
    let run = run(PROGRAM, "return", &[("PPROF", "functions"), ("PPROF_OUT", "out.pb.gz")]);
    assert_eq!(run.files(), ["out.pb.gz"], "{}", run.stderr());
    let top = report(&["-top", &run.dir.path().join("out.pb.gz").display().to_string()]);
    assert!(top.contains("environment::burns"), "{top}");
}

#[test]
fn nothing_is_done_unless_it_is_asked_for() {
    for variables in [
        &[][..],
        &[("PPROF", "")],
        &[("PPROF", " "), ("PPROF_HTTP", "")],
        &[("PPROF_OUT", "elsewhere")],
    ] {
        let run = run(PROGRAM, "return", variables);
        assert_eq!(run.files(), [""; 0]);
        run.assert_said(&[]);
    }
}

#[test]
fn every_orderly_end_writes_once() {
    for (how, code) in [
        ("return", 0),
        ("early", 0),
        ("fail", 1),
        ("panic", 101),
        ("exit", 7),
        ("exit with threads", 7),
        ("exit of a thread", 7),
        ("exit of a thread while main returns", 0),
        // std takes the main thread's alternate stack away when another thread ends the process.
        ("exit of a thread while main works", 7),
        ("exit while written", 0),
        ("C's exit", 7),
        ("change directory", 0),
    ] {
        eprintln!("{how}");
        let run = run(PROGRAM, how, &[("PPROF", ALL)]);
        run.assert_wrote(code, &NAMES);
        assert!(total_of(&run.profile("cpu"), 1, "environment::burns") >= 100_000_000, "{how}");
        assert!(total_of(&run.profile("functions"), 0, "environment::burns") >= 2, "{how}");
        assert!(total_of(&run.profile("mutex"), 0, "environment::holds") >= 1, "{how}");
    }
}

#[test]
fn a_main_thread_that_did_not_start_the_profile_keeps_its_stack_too() {
    let run = run(PROGRAM, "exit while main is sampled by a thread", &[]);
    assert_eq!(run.output.status.code(), Some(7), "{}", run.output.status);
}

#[test]
fn an_abrupt_end_leaves_nothing_behind() {
    for how in ["_exit", "abort"] {
        let run = run(PROGRAM, how, &[("PPROF", ALL)]);
        assert!(!run.output.status.success());
        assert_eq!((run.files(), run.stderr()), (vec![], String::new()));
    }
}

#[test]
fn a_forked_child_leaves_the_files_to_its_parent() {
    for how in ["fork and return", "fork and exit"] {
        let run = run(PROGRAM, how, &[("PPROF", ALL)]);
        assert!(run.stdout().starts_with("child "), "{}", run.stderr());
        run.assert_wrote(0, &NAMES);
        // One file for all of a program's processes: the parent's.
        let run = self::run(PROGRAM, how, &[("PPROF", "functions"), ("PPROF_OUT", "out.pb.gz")]);
        assert_eq!(run.files(), ["out.pb.gz"]);
        run.assert_said(&["wrote out.pb.gz; to read one: go tool pprof -http=: out.pb.gz"]);
    }
}

#[test]
fn files_are_called_as_asked_for() {
    for (out, expected) in [
        ("a/b", "a/b/environment.{pid}.functions.pb.gz"),
        ("a/", "a/environment.{pid}.functions.pb.gz"),
        ("{profile}", "functions"),
        ("{program}/{pid}/{profile}.of.{profile}", "environment/{pid}/functions.of.functions"),
        ("{pid}.pb.gz", "{pid}.pb.gz"),
        ("{pid}", "{pid}/environment.{pid}.functions.pb.gz"),
    ] {
        let run = run(PROGRAM, "return", &[("PPROF", "functions"), ("PPROF_OUT", out)]);
        assert_eq!(run.files(), [expected.replace("{pid}", &run.pid.to_string())], "{out}");
        let said = format!("wrote {}; to read one: ", run.files()[0]);
        run.assert_said(&[&said]);
    }
    let run = run(PROGRAM, "return", &[("PPROF", ALL), ("PPROF_OUT", "/dev/null")]);
    assert_eq!(run.files(), [""; 0]);
    run.assert_said(&[]);
}

#[test]
fn what_is_there_is_replaced_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.pb.gz");
    let elsewhere = dir.path().join("elsewhere");
    fs::write(&elsewhere, "not ours").unwrap();
    std::os::unix::fs::symlink(&elsewhere, &out).unwrap();
    let out_text = out.display().to_string();
    run(PROGRAM, "return", &[("PPROF", "functions"), ("PPROF_OUT", &out_text)]);
    assert!(fs::symlink_metadata(&out).unwrap().is_file());
    assert_eq!(total_of(&read(&out), 0, "environment::burns"), 2);
    assert_eq!(fs::read(&elsewhere).unwrap(), b"not ours");
}

#[test]
fn mistakes_are_said_and_the_rest_goes_on() {
    let functions = "wrote environment.";
    for (list, expected) in [
        ("functions,cpuu", "PPROF=functions,cpuu: \"cpuu\" is not known: write some of cpu, mutex"),
        ("functions,cpu=0", "\"0\" is not a whole number from 1 to 10000"),
        ("functions,mutex=many", "\"many\" is not a whole number above zero"),
        ("functions=1,functions", "functions takes no number: write functions"),
        ("functions,futex", "write futex,mutex,block"),
    ] {
        let run = run(PROGRAM, "return", &[("PPROF", list)]);
        run.assert_said(&[expected, functions]);
        assert_eq!(total_of(&run.profile("functions"), 0, "environment::burns"), 2, "{list}");
    }
    for (out, expected) in [
        ("/proc/none", "cannot write profiles to /proc/none: No such file or directory"),
        (PROGRAM, "File exists (os error 17); set PPROF_OUT to a directory that can be written to"),
        ("out.pb.gz", "PPROF_OUT=out.pb.gz: one file for the 2 profiles that PPROF asks for"),
        ("{name}", "PPROF_OUT={name}: in braces stand {program}, {pid} and {profile}"),
    ] {
        let run = run(PROGRAM, "return", &[("PPROF", "cpu,functions"), ("PPROF_OUT", out)]);
        run.assert_said(&[expected]);
        assert_eq!(run.files(), [""; 0]);
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (address, expected) in [
        (address.as_str(), "Address already in use (os error 98); choose another port, or 0"),
        ("nowhere", "PPROF_HTTP=nowhere: cannot serve profiles at \"nowhere\": "),
    ] {
        let run = run(PROGRAM, "return", &[("PPROF", "functions"), ("PPROF_HTTP", address)]);
        run.assert_said(&[expected, functions]);
    }
}

#[test]
fn what_cannot_be_written_in_the_end_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let variables = [("PPROF", "cpu,functions"), ("PPROF_OUT", "out")];
    let mut child = command(PROGRAM, "wait", &variables, dir.path());
    let mut child = Running(child.stdin(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    fs::remove_dir(dir.path().join("out")).unwrap();
    drop(child.0.stdin.take());
    let mut stderr = String::new();
    child.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(child.0.wait().unwrap().success(), "{stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(
        matches!(lines[..], [cpu, functions]
        if cpu.starts_with("pprof: cannot write ") && cpu.contains(".cpu.pb.gz: No such file")
        && functions.contains(".functions.pb.gz: No such file")),
        "{stderr}"
    );
}

#[test]
fn a_killed_process_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = command(PROGRAM, "wait", &[("PPROF", ALL)], dir.path());
    let mut child = Running(child.stdin(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn profiles_are_served_while_the_program_runs() {
    let dir = tempfile::tempdir().unwrap();
    let variables = [("PPROF", "functions"), ("PPROF_HTTP", "localhost:0")];
    let mut child = command(PROGRAM, "wait", &variables, dir.path());
    let mut child = Running(child.stdin(Stdio::piped()).spawn().unwrap());
    let mut stderr = BufReader::new(child.0.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let address = line.strip_prefix("pprof: serving http://").unwrap_or_else(|| panic!("{line}"));
    let address = address.trim_end().strip_suffix("/debug/pprof/").unwrap();
    let mut ready = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let (head, body) = get(address, "/debug/pprof/functions");
    assert!(head.contains(" 200 "), "{head}");
    assert_eq!(total_of(&Profile::decode(&body).unwrap(), 0, "environment::burns"), 2);
    drop(child.0.stdin.take());
    assert!(child.0.wait().unwrap().success());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn every_main_may_have_it() {
    for (how, code) in [
        ("exit_code", 7),
        ("never", 7),
        ("profile_below", 0),
        ("profile_above", 0),
        ("tokio_below", 0),
        ("tokio_above", 0),
        ("tokio_above_all", 0),
    ] {
        let variables = [("PPROF", "functions"), ("PPROF_OUT", "{profile}")];
        let run = run(SHAPES, how, &variables);
        assert_eq!(run.output.status.code(), Some(code), "{how}: {}", run.stderr());
        assert_eq!(run.files(), ["functions"], "{how}: {}", run.stderr());
        let functions = read(&run.dir.path().join("functions"));
        // Recorded by a guard that is inside of that of the profiles, whichever attribute stands first.
        let is_called = i64::from(code == 0);
        assert_eq!(sum(&functions, 0, |names| names == ["main"]), is_called, "{how}");
        assert!(sum(&functions, 1, |names| names == ["main"]) >= is_called, "{how}");
        // Without variables it is the same program.
        let plain = self::run(SHAPES, how, &[]);
        assert_eq!(plain.output.status.code(), Some(code), "{how}");
        assert_eq!((plain.files(), plain.stderr()), (vec![], String::new()), "{how}");
    }
}

#[test]
fn by_hand_mistakes_are_errors() {
    let by_hand = |variables: &[(&str, &str)]| {
        let run = run(SHAPES, "by hand", variables);
        assert_eq!((run.output.status.code(), run.stderr()), (Some(0), String::new()));
        let files = run.files();
        (run.stdout(), files)
    };
    let (said, files) = by_hand(&[("PPROF", "functions,mutex"), ("PPROF_OUT", "{profile}")]);
    assert_eq!((said.trim(), files.len()), ("Err(AlreadyRunning) 2 files", 2));
    assert_eq!(by_hand(&[]), ("Ok(()) 0 files\n".to_owned(), vec![]));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (variable, value, kind) in [
        ("PPROF", "mutex,cpuu", "InvalidInput"),
        ("PPROF_OUT", "/proc/none", "Io"),
        ("PPROF_HTTP", address.as_str(), "Io"),
    ] {
        let (said, files) = by_hand(&[("PPROF", "mutex"), (variable, value)]);
        assert!(said.starts_with(kind) && said.ends_with("; nothing is on: true\n"), "{said}");
        assert_eq!(files, Vec::<String>::new(), "{variable}");
    }
}
