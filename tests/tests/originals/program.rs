//! Programs that are made of the originals' text: a package for each row, a module for each example and each file of tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use serde_json::Value;

use crate::sources;

/// A test's time: the slowest take seconds, and the machine may stand still for longer.
const TIME_OUT: Duration = Duration::from_secs(180);

/// Tests at one time: many of them sleep.
const AT_ONCE: usize = 4;

/// Times that a test is run that has failed, alone: many of the originals' tests say how long something takes at most, which the machine
/// may be too busy for.
const TRIES: usize = 4;

/// Errors shown of one module.
const MAX_ERRORS: usize = 3;

/// A generated package.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) edition: &'static str,
    pub(crate) dependencies: String,
    /// Items of its root.
    pub(crate) root: String,
    pub(crate) modules: Vec<Module>,
}

/// A file of a program.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) text: String,
    /// Where it comes from: the file, and the line there that its second line is; its first is ours.
    pub(crate) file: String,
    pub(crate) line: usize,
    /// Where each line comes from, of what is made of more than one.
    pub(crate) places: Vec<String>,
}

impl Module {
    fn origin(&self, line: u64) -> String {
        if let Some(place) = self.places.get((line as usize).saturating_sub(1)) {
            return place.clone();
        }
        format!("{}:{}", self.file, (self.line + line as usize).saturating_sub(2))
    }
}

/// What compiling and running has shown.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Names of tests that passed, `module::test`.
    pub(crate) passed: BTreeSet<String>,
    /// Names of modules that compile.
    pub(crate) compiled: BTreeSet<String>,
    /// Of each row, in words, with the place.
    pub(crate) failures: Vec<String>,
    /// Compiled libraries, by crate name.
    pub(crate) libraries: BTreeMap<String, PathBuf>,
}

/// Compiles all programs and runs all their tests.
///
/// # Panics
/// If that cannot be done for reasons that are not the originals'.
pub(crate) fn run(mut programs: Vec<Program>) -> BTreeMap<String, Outcome> {
    let folder = pprof_tests::target_dir().join("originals");
    let mut outcomes: BTreeMap<String, Outcome> =
        programs.iter().map(|p| (p.name.clone(), Outcome::default())).collect();
    // Errors of one phase of the compiler hide those of the next.
    for _ in 0..8 {
        write(&folder, &programs);
        let built = build(&folder);
        let mut broken: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for error in &built.errors {
            let (name, module, place) = locate(error, &programs);
            let text = error["message"]["rendered"].as_str().unwrap_or("no message");
            let errors = broken.entry((name, module)).or_default();
            errors.push(format!("{place}: does not compile\n{}", text.trim_end()));
        }
        for ((name, _), errors) in &broken {
            let outcome = outcomes.get_mut(name).expect("one for each program");
            let more = errors.len().saturating_sub(MAX_ERRORS);
            let more = if more > 0 { format!("\n... and {more} more") } else { String::new() };
            let shown: Vec<&str> = errors.iter().take(MAX_ERRORS).map(String::as_str).collect();
            outcome.failures.push(shown.join("\n") + &more);
        }
        if built.errors.is_empty() {
            for program in &programs {
                let outcome = outcomes.get_mut(&program.name).expect("one for each program");
                outcome.compiled = program.modules.iter().map(|m| m.name.clone()).collect();
                outcome.libraries = built.libraries.clone();
                let binary = built.binaries.get(&program.name).expect("it was built");
                run_tests(binary, program, outcome);
            }
            return outcomes;
        }
        for program in &mut programs {
            program
                .modules
                .retain(|m| !broken.contains_key(&(program.name.clone(), m.name.clone())));
        }
    }
    panic!("still not compiled: {outcomes:#?}");
}

/// Which module a compiler's message is about.
fn locate(error: &Value, programs: &[Program]) -> (String, String, String) {
    let mut spans = Vec::new();
    collect_spans(&error["message"], &mut spans);
    for span in spans {
        let path = Path::new(span["file_name"].as_str().unwrap_or(""));
        let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or("");
        let package = path.components().next().and_then(|c| c.as_os_str().to_str()).unwrap_or("");
        let module = programs
            .iter()
            .filter(|p| p.name == package)
            .flat_map(|p| &p.modules)
            .find(|m| m.name == stem);
        if let Some(module) = module {
            let place = module.origin(span["line_start"].as_u64().unwrap_or(0));
            return (package.to_owned(), module.name.clone(), place);
        }
    }
    panic!("an error of no module: {}", error["message"]["rendered"].as_str().unwrap_or("none"));
}

/// Of a message: where it is, then what expands to there, then its notes.
fn collect_spans<'v>(message: &'v Value, into: &mut Vec<&'v Value>) {
    let mut spans: Vec<&Value> = message["spans"].as_array().into_iter().flatten().collect();
    spans.sort_by_key(|span| !span["is_primary"].as_bool().unwrap_or(false));
    for mut span in spans {
        loop {
            into.push(span);
            span = &span["expansion"]["span"];
            if span.is_null() {
                break;
            }
        }
    }
    for child in message["children"].as_array().into_iter().flatten() {
        collect_spans(child, into);
    }
}

fn write(folder: &Path, programs: &[Program]) {
    let members: Vec<String> = programs.iter().map(|p| format!("{:?}", p.name)).collect();
    // Profiles as in the workspace, so that what is compiled already serves.
    let manifest = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [{}]\n\n[profile.dev]\ndebug = \"full\"\n\n\
         [profile.dev.package.\"*\"]\nopt-level = 1\n",
        members.join(", ")
    );
    write_file(&folder.join("Cargo.toml"), &manifest);
    let lock = pprof_tests::workspace_dir().join("Cargo.lock");
    // Cargo takes out what is not needed, and finds nothing to add.
    fs::copy(lock, folder.join("Cargo.lock")).expect("the target directory can be written");
    for program in programs {
        let folder = folder.join(&program.name);
        write_file(&folder.join("Cargo.toml"), &program.manifest());
        let mut root = format!("#![allow(warnings)]\n{}\n", program.root);
        for Module { name, text, .. } in &program.modules {
            root += &format!("pub mod {name};\n");
            write_file(&folder.join("src").join(format!("{name}.rs")), text);
        }
        write_file(&folder.join("src/lib.rs"), &root);
    }
}

impl Program {
    fn manifest(&self) -> String {
        let Program { name, edition, dependencies, .. } = self;
        let ours = pprof_tests::workspace_dir().join("pprof-runtime");
        let dependencies = dependencies.lines().map(str::trim).collect::<Vec<_>>().join("\n");
        format!(
            "[package]\nname = {name:?}\nversion = \"0.0.0\"\nedition = {edition:?}\npublish = false\n\n\
             [features]\ndefault = [\"full\", \"sync\"]\nfull = []\nsync = []\n\n\
             [lib]\ndoctest = false\n\n[dependencies]\n\
             pprof-runtime = {{ path = {ours:?}, features = {:?} }}\n{dependencies}\n",
            ["crossbeam", "futex", "parking_lot", "tokio"]
        )
    }
}

/// Leaves a file that says the same already alone, and what was compiled from it.
fn write_file(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return;
    }
    fs::create_dir_all(path.parent().expect("a file is in a folder"))
        .and_then(|()| fs::write(path, text))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

#[derive(Debug, Default)]
struct Built {
    errors: Vec<Value>,
    binaries: BTreeMap<String, PathBuf>,
    libraries: BTreeMap<String, PathBuf>,
}

fn build(folder: &Path) -> Built {
    let mut command = Command::new(sources::cargo());
    command
        .args(["build", "--tests", "--workspace", "--keep-going", "--offline"])
        .args(["--message-format=json", "--quiet"])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", pprof_tests::target_dir())
        // What the outer cargo says of its own package.
        .env_remove("CARGO_MANIFEST_DIR");
    let Output { status, stdout, stderr } = command.output().expect("cargo runs");
    let mut built = Built::default();
    for line in String::from_utf8_lossy(&stdout).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        match message["reason"].as_str() {
            Some("compiler-message") if message["message"]["level"] == "error" => {
                // The last message counts the errors, at no place.
                let has_place =
                    message["message"]["spans"].as_array().is_some_and(|s| !s.is_empty());
                let summary = message["message"]["message"].as_str().unwrap_or("");
                if has_place || !summary.starts_with("aborting due to") {
                    built.errors.push(message);
                }
            }
            Some("compiler-artifact") => {
                let name = message["target"]["name"].as_str().unwrap_or("").to_owned();
                if let Some(binary) = message["executable"].as_str() {
                    built.binaries.insert(name, binary.into());
                } else {
                    let files = message["filenames"].as_array().into_iter().flatten();
                    let rlib = files.filter_map(Value::as_str).find(|f| f.ends_with(".rlib"));
                    built.libraries.extend(rlib.map(|file| (name, file.into())));
                }
            }
            _ => {}
        }
    }
    let silent = !status.success() && built.errors.is_empty();
    assert!(!silent, "cargo build --tests: {}", String::from_utf8_lossy(&stderr));
    built
}

/// Each test in a process of its own.
fn run_tests(binary: &Path, program: &Program, outcome: &mut Outcome) {
    let list = Command::new(binary).args(["--list", "--format=terse"]).output().expect("it runs");
    let list = String::from_utf8_lossy(&list.stdout);
    let tests: Vec<&str> = list.lines().filter_map(|l| l.strip_suffix(": test")).collect();
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                // ORDERING: Relaxed: each number once; the scope orders the rest.
                while let Some(test) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = run_test(binary, test);
                    results.lock().expect("nobody panics").push((*test, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("nobody panics");
    results.sort();
    for (test, mut result) in results {
        for _ in 1..TRIES {
            if result.is_err() {
                println!("{}: {test} failed, and is tried again", program.name);
                result = run_test(binary, test);
            }
        }
        match result {
            Ok(Ran::Passed) => {
                outcome.passed.insert(test.to_owned());
            }
            Ok(Ran::Ignored) => {}
            Err(output) => {
                let module =
                    program.modules.iter().find(|m| test.split("::").next() == Some(&m.name));
                let file = module.map_or("?", |m| &m.file);
                let line = module.map_or(0, |m| m.line);
                outcome.failures.push(format!("{file}:{line}: {test} fails\n{output}"));
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ran {
    Passed,
    /// By the original's own word.
    Ignored,
}

fn run_test(binary: &Path, test: &str) -> Result<Ran, String> {
    let child = Command::new(binary)
        .args(["--exact", test, "--test-threads=1"])
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let pid = child.id();
    let (done, waited) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || done.send(child.wait_with_output()));
        let output = waited.recv_timeout(TIME_OUT).or_else(|_| {
            // SAFETY: the child is waited for by the thread above, which has not ended: the number is still its own.
            unsafe { libc::kill(pid as libc::pid_t, libc::SIGKILL) };
            waited.recv()
        });
        let output = output.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        match (output.status.success(), text.contains("test result: ok. 1 passed")) {
            (true, true) => Ok(Ran::Passed),
            (true, false) if text.contains("1 ignored") => Ok(Ran::Ignored),
            _ => Err(format!("{}\n{text}", output.status)),
        }
    })
}
