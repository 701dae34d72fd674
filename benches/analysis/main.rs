//! What `cargo pprof` and the real `go tool pprof` take for the same reports of the same profiles: CPU time, user and system, and the most memory,
//! of whole processes.
//!
//! `cargo bench -p pprof-benches --bench analysis -- [start] [small] [medium] [large] [--rounds N]`, or `small/top` and so on.

mod generator;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::LazyLock;

use pprof_benches::contender::{Contender, Figures, Group};
use pprof_benches::go;
use pprof_benches::harness::{self, print_rows};

use generator::Shape;

/// A kind of report, as it is asked for.
const REPORTS: [(&str, &[&str]); 8] = [
    ("top", &["-top", "{one}"]),
    ("peek", &["-peek=f00042$", "{one}"]),
    ("tree", &["-tree", "{one}"]),
    ("dot", &["-dot", "{one}"]),
    ("traces", &["-traces", "{one}"]),
    ("raw", &["-raw", "{one}"]),
    ("merge", &["-proto", "-output={out}", "{one}", "{other}"]),
    ("diff", &["-top", "-diff_base={other}", "{one}"]),
];

/// What the reference takes minutes for.
const OF_LARGE: [&str; 2] = ["top", "merge"];

const SHAPES: [(&str, Shape); 4] = [
    ("start", Shape { samples: 100, depth: 5..20 }),
    ("small", Shape { samples: 10_000, depth: 50..200 }),
    ("medium", Shape { samples: 100_000, depth: 50..200 }),
    ("large", Shape { samples: 1_000_000, depth: 50..150 }),
];

fn main() -> ExitCode {
    let mut groups = Vec::new();
    for (size, shape) in SHAPES {
        for (report, words) in REPORTS {
            let is_of_large = size == "large" && OF_LARGE.contains(&report);
            let is_of_start = size == "start" && report == "top";
            if !(is_of_large || is_of_start || matches!(size, "small" | "medium")) {
                continue;
            }
            let mut contenders = Vec::new();
            // A large one takes the reference many minutes and all of the memory.
            if go::is_there() && size != "large" {
                let shape = shape.clone();
                contenders.push(Contender::new("go tool pprof", "ms", move || {
                    measure(&go::tool("pprof"), size, &shape, words)
                }));
            }
            let shape = shape.clone();
            contenders.push(Contender::new("cargo pprof", "ms", move || {
                measure(&PROGRAM, size, &shape, words)
            }));
            let title = format!("{report}, {size}: CPU time of the process");
            groups.push(Group::new(format!("{size}/{report}"), title, contenders));
        }
    }
    harness::main(&groups, 3, print_rows)
}

/// Ours, built as it is installed.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let build = ["build", "--release", "--quiet", "--package", "cargo-pprof"];
    let built = Command::new(env!("CARGO")).args(build).current_dir(root()).status();
    assert!(built.is_ok_and(|status| status.success()), "cargo-pprof is built");
    target().join("release/cargo-pprof")
});

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Runs a program once.
fn measure(program: &Path, size: &str, shape: &Shape, words: &[&str]) -> Figures {
    let directory = target().join("analysis");
    fs::create_dir_all(&directory).expect("the target directory can be written");
    let profile = |seed: u64| {
        let path = directory.join(format!("{size}.{seed}.pb.gz"));
        if !path.exists() {
            shape.write(seed, &path).expect("the target directory can be written");
        }
        path.display().to_string()
    };
    let (one, other) = (profile(1), profile(2));
    let out = directory.join("out").display().to_string();
    let words: Vec<String> = words
        .iter()
        .map(|w| w.replace("{one}", &one).replace("{other}", &other).replace("{out}", &out))
        .collect();
    let mut command = Command::new(program);
    command.args(&words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    #[expect(
        clippy::zombie_processes,
        reason = "it is waited for below, which tells its memory too"
    )]
    let child = command.spawn().expect("it runs");
    let pid = child.id().cast_signed();
    // SAFETY: all-zero is a valid value, which the call below fills.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let mut status = 0;
    // SAFETY: both are locals for the call to fill; nobody else waits for the child.
    assert_eq!(unsafe { libc::wait4(pid, &mut status, 0, &mut usage) }, pid);
    assert_eq!(status, 0, "{words:?}");
    let ms = |time: libc::timeval| time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3;
    let peak_mb = usage.ru_maxrss as f64 / 1024.0;
    Figures { value: ms(usage.ru_utime) + ms(usage.ru_stime), peak_mb, extra: None }
}
