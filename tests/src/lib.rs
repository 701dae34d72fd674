//! What the tests of this package share: clocks to burn by, what is inside of profiles, and the real `go tool pprof`.

pub mod heap;
pub mod waits;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command, Output};
use std::sync::{Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

/// CPU time of a clock: `CLOCK_THREAD_CPUTIME_ID` or `CLOCK_PROCESS_CPUTIME_ID`.
#[must_use]
pub fn cpu_time(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a local for the call to fill.
    assert_eq!(unsafe { libc::clock_gettime(clock, &mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Whether this thread has used `cpu` since `start`.
#[must_use]
pub fn has_burnt(start: Duration, cpu: Duration) -> bool {
    cpu_time(libc::CLOCK_THREAD_CPUTIME_ID).saturating_sub(start) >= cpu
}

/// The sum of `profile`'s values of one type over samples that `keep` accepts, given the names on the stack, leaf first, inlined
/// frames apart.
#[must_use]
pub fn sum(
    profile: &pprof_format::Profile,
    value: usize,
    mut keep: impl FnMut(&[&str]) -> bool,
) -> i64 {
    stacks(profile).iter().filter(|(names, _)| keep(names)).map(|(_, values)| values[value]).sum()
}

/// Builds a library of this source, which has the name `name` in `dir`.
///
/// # Panics
/// If that does not succeed.
#[must_use]
pub fn build_library(dir: &Path, name: &str, source: &str) -> PathBuf {
    let (file, library) = (dir.join("library.rs"), dir.join(name));
    std::fs::write(&file, source).expect("a scratch directory");
    let status = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
        .args(["--edition=2024", "--crate-type=cdylib", "-Cdebuginfo=1", "-o"])
        .args([&library, &file])
        .status();
    assert!(status.expect("rustc runs").success());
    library
}

/// The `functions` profile of what `work` does, one at a time: the recorder is the process's.
///
/// # Panics
/// If there is no such profile.
pub fn functions_of(work: impl FnOnce()) -> pprof_format::Profile {
    static SERIAL: Mutex<()> = Mutex::new(());
    let _alone = SERIAL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    pprof_runtime::set_function_profile(true);
    let source = pprof_runtime::lookup("functions").unwrap();
    source.reset();
    work();
    source.snapshot().unwrap().proto().clone()
}

/// The place of the sample type of that name, if the profile has it.
#[must_use]
pub fn column(profile: &pprof_format::Profile, ty: &str) -> Option<usize> {
    profile.sample_type.iter().position(|sample_type| profile.string(sample_type.ty) == ty)
}

/// The sums of one type's values, by the value of the label `key`; what has none is by nothing.
#[must_use]
pub fn by_label(profile: &pprof_format::Profile, value: usize, key: &str) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for sample in &profile.sample {
        let label = sample.label.iter().find(|label| profile.string(label.key) == key);
        let label = label.map_or("", |label| profile.string(label.str));
        *sums.entry(label.to_owned()).or_default() += sample.value[value];
    }
    sums
}

/// Every sample's names, leaf first, inlined frames apart, and its values.
#[must_use]
pub fn stacks(profile: &pprof_format::Profile) -> Vec<(Vec<&str>, &[i64])> {
    let function = |id| profile.function.iter().find(|f| f.id == id).expect("validated");
    let location = |id| profile.location.iter().find(|l| l.id == id).expect("validated");
    profile
        .sample
        .iter()
        .map(|sample| {
            let lines = sample.location_id.iter().flat_map(|id| &location(*id).line);
            let names = lines.map(|l| profile.string(function(l.function_id).name)).collect();
            (names, sample.value.as_slice())
        })
        .collect()
}

/// Pending once, so that whoever awaits it can be moved or dropped.
#[derive(Debug, Default)]
pub struct YieldOnce(bool);

impl Future for YieldOnce {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The Go toolchain that `tests/run` installs, or the one that the variable `GO` names.
///
/// # Panics
/// If there is none: the tests that need it must not pass without it.
#[must_use]
pub fn go() -> PathBuf {
    let installed = target_dir().join("go/bin/go");
    let go = std::env::var_os("GO").map_or(installed, PathBuf::from);
    assert!(
        go.exists(),
        "{} is missing: run tests/run, which installs it, or set GO",
        go.display()
    );
    go
}

/// The workspace's target directory.
#[must_use]
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace_dir().join("target"), PathBuf::from)
}

/// The workspace's root.
#[must_use]
pub fn workspace_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests is a member of a workspace")
}

/// `go tool pprof` with these arguments, writing nothing outside the target directory. The program itself, not `go`, which would
/// leave it behind when it is killed.
#[must_use]
pub fn pprof(arguments: &[&str]) -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let mut go = in_scratch(Command::new(go()));
        let Output { status, stdout, stderr } =
            go.args(["tool", "-n", "pprof"]).output().expect("go runs");
        assert!(status.success(), "go tool -n pprof: {}", String::from_utf8_lossy(&stderr));
        PathBuf::from(String::from_utf8_lossy(&stdout).trim())
    });
    let mut command = in_scratch(Command::new(program));
    command.args(arguments);
    command
}

fn in_scratch(mut command: Command) -> Command {
    let scratch = target_dir().join("go-scratch");
    for (variable, dir) in
        [("PPROF_TMPDIR", "profiles"), ("HOME", "home"), ("GOCACHE", "cache"), ("GOPATH", "path")]
    {
        let dir = scratch.join(dir);
        std::fs::create_dir_all(&dir).expect("the target directory can be written");
        command.env(variable, dir);
    }
    command.env("GOTOOLCHAIN", "local").env("GOTELEMETRY", "off").current_dir(workspace_dir());
    command
}

/// Standard output of a report that must succeed.
///
/// # Panics
/// If the tool fails.
#[must_use]
pub fn report(arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = pprof(arguments).output().expect("pprof runs");
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "go tool pprof {arguments:?}: {stderr}");
    String::from_utf8_lossy(&stdout).into_owned()
}

/// A child that does not outlive its owner.
#[derive(Debug)]
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One HTTP exchange: status line and headers, and the body.
///
/// # Panics
/// If the server does not answer.
#[must_use]
pub fn exchange(address: &str, request: &str) -> (String, Vec<u8>) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the server answers");
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("an HTTP head");
    (String::from_utf8_lossy(&answer[..end]).into_owned(), answer[end + 4..].to_vec())
}

/// `GET` of a path, in HTTP 1.0, so that the answer is in one piece.
#[must_use]
pub fn get(address: &str, path: &str) -> (String, Vec<u8>) {
    exchange(address, &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n"))
}

/// The sums of the values of those samples that have a function whose name contains `function`.
pub fn values_of<const N: usize>(profile: &pprof_runtime::Profile, function: &str) -> [i64; N] {
    let proto = profile.proto();
    let names: std::collections::HashSet<u64> = proto
        .function
        .iter()
        .filter(|f| proto.string(f.name).contains(function))
        .map(|f| f.id)
        .collect();
    let locations: std::collections::HashSet<u64> = proto
        .location
        .iter()
        .filter(|l| l.line.iter().any(|line| names.contains(&line.function_id)))
        .map(|l| l.id)
        .collect();
    let mut sums = [0; N];
    for sample in &proto.sample {
        if sample.location_id.iter().any(|id| locations.contains(id)) {
            sums.iter_mut().zip(&sample.value).for_each(|(sum, value)| *sum += value);
        }
    }
    sums
}
