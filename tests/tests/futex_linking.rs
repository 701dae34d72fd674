//! Whether calls come to us depends on how a program is linked: each way that can be built here either works, or is refused in words.
//!
//! A package of its own, outside the workspace, is written below the target directory and built for each of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use pprof_tests::{target_dir, workspace_dir};

const MANIFEST: &str = r#"
[package]
name = "fixture"
version = "0.0.0"
edition = "2024"

[lib]
crate-type = ["rlib", "cdylib", "staticlib"]

[dependencies]
libc = "0.2"
parking_lot = "0.12"
pprof-runtime = { path = "RUNTIME", features = ["futex"] }

[profile.dev]
debug = "limited"
incremental = false

[profile.release]
debug = "line-tables-only"

[profile.lto]
inherits = "release"
debug = "limited"
lto = "fat"
codegen-units = 1
panic = "abort"

[workspace]
"#;

/// Waits of two primitives; what the profiles have of them on standard output.
const LIBRARY: &str = r#"
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

static WAITER: AtomicI32 = AtomicI32::new(0);

fn until_it_sleeps() {
    let sleeps = || {
        let thread = WAITER.load(Ordering::Relaxed);
        let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat"));
        stat.is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|s| s.starts_with('S')))
    };
    while !sleeps() {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(30));
    WAITER.store(0, Ordering::Relaxed);
}

macro_rules! make {
    ($check:ident, $waits:ident, $unlocks:ident, $krate:ident, |$it:ident| $acquire:expr) => {
        #[inline(never)]
        fn $waits($it: &$krate::Mutex<u32>) {
            WAITER.store(unsafe { libc::gettid() }, Ordering::Relaxed);
            *$acquire += 1;
            std::hint::black_box(());
        }

        #[inline(never)]
        fn $unlocks(held: $krate::MutexGuard<'_, u32>) {
            drop(held);
            std::hint::black_box(());
        }

        fn $check($it: &$krate::Mutex<u32>) {
            let held = $acquire;
            std::thread::scope(|scope| {
                scope.spawn(|| $waits($it));
                until_it_sleeps();
                $unlocks(held);
            });
        }
    };
}

use std::sync;

make!(check_std, waits_for_std, unlocks_std, sync, |lock| lock.lock().unwrap());
make!(check_pl, waits_for_pl, unlocks_pl, parking_lot, |lock| lock.lock());

#[unsafe(no_mangle)]
pub extern "C" fn run() {
    pprof_runtime::set_block_profile_rate(1);
    pprof_runtime::set_mutex_profile_fraction(1);
    if let Err(error) = pprof_runtime::futex::start() {
        println!("refused: {error}");
        return;
    }
    match pprof_runtime::futex::set_blocking_io(true) {
        Ok(_) => println!("blocking I/O"),
        Err(error) => println!("no blocking I/O: {error}"),
    }
    check_std(&sync::Mutex::new(0));
    check_pl(&parking_lot::Mutex::new(0));
    for name in ["block", "mutex"] {
        let profile = pprof_runtime::lookup(name).unwrap().snapshot().unwrap();
        let p = profile.proto();
        for sample in &p.sample {
            let line = |id: &u64| {
                let location = p.location.iter().find(|l| l.id == *id).unwrap();
                let function = location.line.first().map_or(0, |line| line.function_id);
                p.function.iter().find(|f| f.id == function).map_or("?", |f| p.string(f.name))
            };
            let leaf = sample.location_id.first().map_or("", line);
            let labels = sample.label.iter().map(|l| p.string(l.str)).collect::<Vec<_>>().join(",");
            println!("{name} {leaf} {labels} {} {}", sample.value[0], sample.value[1]);
        }
    }
}
"#;

const MAIN: &str = "fn main() { fixture::run() }";

const HOST: &str = "void run(void);\nint main(void) { run(); return 0; }\n";

const LATE_HOST: &str = r#"
#include <dlfcn.h>
#include <stdio.h>
int main(int count, char **arguments) {
    void *library = dlopen(arguments[1], RTLD_NOW);
    if (!library) { puts(dlerror()); return 1; }
    ((void (*)(void))dlsym(library, "run"))();
    return 0;
}
"#;

/// The package, written once; built by one test at a time.
fn package() -> PathBuf {
    static WRITING: Mutex<()> = Mutex::new(());
    let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = target_dir().join("futex-fixture");
    std::fs::create_dir_all(dir.join("src")).unwrap();
    let runtime = workspace_dir().join("pprof-runtime");
    let manifest = MANIFEST.replace("RUNTIME", runtime.to_str().unwrap());
    for (file, text) in [
        ("Cargo.toml", manifest.as_str()),
        ("src/lib.rs", LIBRARY),
        ("src/main.rs", MAIN),
        ("host.c", HOST),
        ("late_host.c", LATE_HOST),
    ] {
        let path = dir.join(file);
        // Unchanged files are not built again.
        if std::fs::read_to_string(&path).ok().as_deref() != Some(text) {
            std::fs::write(&path, text).unwrap();
        }
    }
    if !dir.join("Cargo.lock").exists() {
        std::fs::copy(workspace_dir().join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
    }
    dir
}

fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    output
}

/// Builds with these arguments and flags; returns where the results are.
fn build(directory: &str, arguments: &[&str], flags: &str) -> PathBuf {
    let dir = package();
    let target = dir.join("target");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.arg("build").args(arguments).current_dir(&dir);
    cargo.env("CARGO_TARGET_DIR", &target).env("RUSTFLAGS", flags);
    succeed(&mut cargo);
    target.join(directory)
}

fn run(program: impl AsRef<std::ffi::OsStr>, arguments: &[&Path]) -> String {
    let output = succeed(Command::new(program).args(arguments));
    String::from_utf8(output.stdout).unwrap()
}

/// Both locks are in both profiles, by what waits and by what unlocks.
fn assert_works(output: &str) {
    let mut delays = Vec::new();
    for (start, function) in [
        ("block ", "waits_for_std"),
        ("block ", "waits_for_pl"),
        ("mutex ", "unlocks_std"),
        ("mutex ", "unlocks_pl"),
    ] {
        let of_it = |line: &&str| {
            let mut words = line.split_whitespace();
            words.next() == Some(start.trim())
                && words.next().is_some_and(|leaf| leaf.ends_with(function))
        };
        let lines: Vec<&str> = output.lines().filter(of_it).collect();
        let number = |line: &str, n| line.rsplit(' ').nth(n).unwrap().parse::<i64>().unwrap();
        let sum = |n| lines.iter().map(|line| number(line, n)).sum::<i64>();
        assert!(!lines.is_empty(), "{start}{function}:\n{output}");
        assert_eq!(sum(1), 1, "{start}{function}:\n{output}");
        assert!(lines.iter().all(|line| line.contains(" mutex")), "{function}:\n{output}");
        delays.push(sum(0));
    }
    for (blocked, charged) in [(delays[0], delays[2]), (delays[1], delays[3])] {
        assert!(blocked >= 29_000_000, "{output}");
        assert!((blocked - charged).abs() <= blocked / 20, "{output}");
    }
}

#[test]
fn a_release_build_works() {
    let dir = build("release", &["--release"], "");
    let output = run(dir.join("fixture"), &[]);
    assert_works(&output);
    assert!(
        output.contains("\nblocking I/O\n") || output.starts_with("blocking I/O\n"),
        "{output}"
    );
    libraries_of_that_build(&dir);
}

fn libraries_of_that_build(dir: &Path) {
    let package = package();
    let compile = |source: &str, out: &str, libraries: &[&str]| {
        let program = dir.join(out);
        let mut cc = Command::new("cc");
        cc.arg(package.join(source)).arg("-o").arg(&program).arg("-L").arg(dir).args(libraries);
        succeed(&mut cc);
        program
    };
    let library = dir.join("libfixture.so");
    // Bound to libc before the library came.
    let late = compile("late_host.c", "late_host", &["-ldl"]);
    let output = run(late, &[&library]);
    assert!(
        output.starts_with("refused: futexes cannot be watched: this object's calls"),
        "{output}"
    );
    assert!(output.contains("libc.so"), "{output}");
    // Found before libc: ours comes first in the order of the libraries.
    let rpath = format!("-Wl,-rpath,{}", dir.display());
    let linked = compile("host.c", "linked_host", &["-l:libfixture.so", &rpath]);
    assert_works(&run(linked, &[]));
    // In the executable itself.
    let libraries = ["-l:libfixture.a", "-lpthread", "-ldl", "-lm", "-lgcc_s"];
    assert_works(&run(compile("host.c", "static_host", &libraries), &[]));
}

#[test]
fn fat_lto_and_aborting_panics_work() {
    let dir = build("lto", &["--profile=lto", "--bin=fixture"], "");
    assert_works(&run(dir.join("fixture"), &[]));
}

#[test]
fn a_static_glibc_works() {
    let dir = build(
        "x86_64-unknown-linux-gnu/debug",
        &["--bin=fixture", "--target=x86_64-unknown-linux-gnu"],
        "-Ctarget-feature=+crt-static",
    );
    let output = run(dir.join("fixture"), &[]);
    assert_works(&output);
    assert!(output.contains("no blocking I/O: "), "{output}");
}

#[test]
fn a_dynamic_std_works() {
    let dir = build("debug", &["--bin=fixture"], "-Cprefer-dynamic");
    let output = succeed(Command::new("rustc").args(["--print", "target-libdir"])).stdout;
    let libraries = String::from_utf8(output).unwrap();
    let libraries = libraries.trim();
    let output = succeed(Command::new(dir.join("fixture")).env("LD_LIBRARY_PATH", libraries));
    assert_works(&String::from_utf8(output.stdout).unwrap());
}

#[test]
fn musl_works() {
    let sysroot = succeed(Command::new("rustc").args(["--print", "sysroot"])).stdout;
    let target = "x86_64-unknown-linux-musl";
    let std =
        Path::new(String::from_utf8(sysroot).unwrap().trim()).join("lib/rustlib").join(target);
    if !std.exists() {
        // Not on every machine; CI installs it.
        eprintln!("skipped: rustup target add {target}");
        return;
    }
    let dir = build("x86_64-unknown-linux-musl/debug", &["--bin=fixture", "--target", target], "");
    let output = run(dir.join("fixture"), &[]);
    assert_works(&output);
    assert!(output.contains("no blocking I/O: "), "{output}");
}

/// Sanitizers stand before functions of libc too, and do not work without being called.
#[test]
fn sanitizers_work() {
    let sysroot = Command::new("rustc").args(["+nightly", "--print", "sysroot"]).output();
    let sysroot = sysroot.map(|output| String::from_utf8(output.stdout).unwrap());
    let sources = "lib/rustlib/src/rust/library/std/src/lib.rs";
    if !sysroot.is_ok_and(|sysroot| Path::new(sysroot.trim()).join(sources).exists()) {
        // Not on every machine; CI installs it.
        eprintln!("skipped: rustup toolchain install nightly --component rust-src");
        return;
    }
    let dir = package();
    let (target, built) = ("x86_64-unknown-linux-gnu", dir.join("target/thread-sanitizer"));
    let mut cargo = Command::new("cargo");
    cargo.args(["+nightly", "build", "-Zbuild-std", "--bin=fixture", "--target", target]);
    // As this test is run by a cargo, which has chosen its own compiler.
    cargo.current_dir(&dir).env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTC").env_remove("CARGO");
    cargo.env("CARGO_TARGET_DIR", &built).env("RUSTFLAGS", "-Zsanitizer=thread");
    succeed(&mut cargo);
    let output = run(built.join(target).join("debug/fixture"), &[]);
    assert_works(&output);
    assert!(output.contains("no blocking I/O: "), "{output}");
}

/// What two versions of it do to one process cannot be linked, or worse: that is said before anything is built.
#[test]
fn two_versions_are_refused() {
    let dir = package().join("two-versions");
    let manifest = |name: &str, version: &str, rest: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2024\"\n{rest}")
    };
    let runtime = workspace_dir().join("pprof-runtime");
    let dependencies = format!(
        "[dependencies]\npprof-runtime = {{ path = {runtime:?} }}\n\
         older = {{ package = \"pprof-runtime\", path = \"older\" }}\n\
         [workspace]\n"
    );
    for (package, text) in [
        ("", manifest("program", "0.0.0", &dependencies)),
        ("older", manifest("pprof-runtime", "0.0.1", "links = \"pprof_runtime\"\n")),
    ] {
        let package = dir.join(package);
        std::fs::create_dir_all(package.join("src")).unwrap();
        std::fs::write(package.join("Cargo.toml"), text).unwrap();
        std::fs::write(package.join("build.rs"), "fn main() {}").unwrap();
        std::fs::write(package.join("src/lib.rs"), "").unwrap();
    }
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo.args(["metadata", "--offline", "--format-version=1"]).current_dir(&dir);
    let output = output.output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "both were accepted");
    assert!(message.contains("links to the native library `pprof_runtime`"), "{message}");
}
