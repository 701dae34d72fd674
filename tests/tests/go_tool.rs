//! The real `go tool pprof` reads what the example serves and writes: every report, on all four profiles.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use pprof_tests::{Running, get, pprof, report, target_dir, workspace_dir};

/// What the reports must say of a profile of the example.
struct Expected {
    path: &'static str,
    file: &'static str,
    function: &'static str,
    caller: &'static str,
    /// The source lines that the function's own time, or that of what it calls, is on.
    lines: &'static [&'static str],
}

const EXPECTED: [Expected; 4] = [
    Expected {
        path: "profile?seconds=3",
        file: "cpu.pb.gz",
        function: "server::text::words",
        caller: "server::index_article",
        lines: &["word.extend(c.to_lowercase());", "words.push(std::mem::take(&mut word));"],
    },
    Expected {
        path: "mutex",
        file: "mutex.pb.gz",
        function: "server::add_to_index",
        caller: "server::index_article",
        // Where the guard is dropped.
        lines: &["}"],
    },
    Expected {
        path: "block",
        file: "block.pb.gz",
        function: "server::next_article",
        caller: "server::work",
        lines: &["let queue = queue.lock()", "queue.recv().ok()"],
    },
    Expected {
        path: "functions",
        file: "functions.pb.gz",
        function: "server::text::stem",
        caller: "server::index_article",
        lines: &["pub(crate) fn stem(word: &str) -> String {"],
    },
];

fn example() -> Command {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--release", "-p", "pprof-examples", "--example", "server"])
            .current_dir(workspace_dir())
            .status();
        assert!(status.expect("cargo runs").success());
    });
    Command::new(target_dir().join("release/examples/server"))
}

/// The example, the address that it has chosen, and the rest of its output: it ends if nobody takes that.
fn serving() -> (Running, String, BufReader<ChildStdout>) {
    let mut child = example()
        .args(["--addr", "127.0.0.1:0", "--seconds", "600"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("built");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let child = Running(child);
    let mut line = String::new();
    stdout.read_line(&mut line).expect("the URL");
    let address = line.trim().strip_prefix("profiles: http://");
    let address = address.and_then(|a| a.strip_suffix("/debug/pprof/"));
    (child, address.unwrap_or_else(|| panic!("{line}")).to_owned(), stdout)
}

fn check_reports(source: &str, expected: &Expected) {
    let Expected { function, caller, lines, .. } = expected;
    // A regular expression that no other function matches.
    let only = format!("^{function}$");

    let top = report(&["-top", "-nodefraction=0", "-nodecount=0", source]);
    assert!(top.contains("File: server") && top.contains("Build ID: "), "{top}");
    let row = top.lines().find(|l| names(l, function)).unwrap_or_else(|| panic!("{top}"));
    assert!(!row.trim_start().starts_with("0 0%") || expected.file == "cpu.pb.gz", "{row}");

    let peek = report(&["-peek", &only, source]);
    let context: Vec<&str> = peek.lines().filter(|l| l.contains('|')).collect();
    let at = context.iter().position(|l| l.ends_with(&format!("| {function}")));
    let at = at.unwrap_or_else(|| panic!("{peek}"));
    assert!(context[..at].iter().any(|l| names(l, caller)), "{caller} calls it: {peek}");

    let traces = report(&["-traces", source]);
    let traces: Vec<&str> = traces.split("-----------+-").collect();
    let found = traces.iter().any(|trace| {
        let mut rows = trace.lines();
        // Leaf first.
        rows.any(|l| names(l, function)) && rows.any(|l| names(l, caller))
    });
    assert!(found, "{traces:#?}");

    let list = report(&["-list", &only, source]);
    let routine = list.split("ROUTINE ").nth(1).unwrap_or_else(|| panic!("{list}"));
    assert!(routine.contains("/examples/server/"), "the file's path: {routine}");
    // `flat cum line:source`, after the header and the sums.
    let charged: Vec<&str> = routine
        .lines()
        .skip(2)
        .filter(|row| row.split_whitespace().nth(1) != Some("."))
        .filter_map(|row| row.split_once(':').map(|(_, source)| source.trim()))
        .collect();
    for line in *lines {
        assert!(charged.iter().any(|c| c.starts_with(line)), "{line} in {charged:#?}\n{list}");
    }
    if expected.file != "cpu.pb.gz" {
        assert_eq!(charged.len(), lines.len(), "on no other line: {routine}");
    }

    let svg = report(&["-svg", "-nodefraction=0", source]);
    assert!(svg.contains("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
    let label = function.rsplit("::").next().expect("a name");
    assert!(svg.contains(label), "{svg}");
}

/// Whether a report's row ends with that function, inlined or not.
fn names(row: &str, function: &str) -> bool {
    let row = row.trim_end();
    row.strip_suffix(" (inline)").unwrap_or(row).ends_with(&format!(" {function}"))
}

#[test]
fn reports_of_urls() {
    let (_server, address, _stdout) = serving();
    // Time for waits to happen.
    std::thread::sleep(Duration::from_secs(2));
    for expected in &EXPECTED {
        check_reports(&format!("http://{address}/debug/pprof/{}", expected.path), expected);
    }
    // What happens in two seconds, with their duration.
    let delta = report(&["-top", "-seconds=2", &format!("http://{address}/debug/pprof/block")]);
    assert!(delta.contains("Duration: 2") && delta.contains("server::crawl"), "{delta}");
}

#[test]
fn reports_of_files() {
    let out = tempfile::tempdir().expect("a scratch directory");
    let run = example()
        .args(["--addr", "127.0.0.1:0", "--seconds", "5", "--out"])
        .arg(out.path())
        .output()
        .expect("built");
    let stdout = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{stdout}{}", String::from_utf8_lossy(&run.stderr));
    let file = |name: &str| out.path().join(name).to_str().expect("UTF-8").to_owned();

    for expected in &EXPECTED {
        check_reports(&file(expected.file), expected);
    }

    let top = report(&["-top", "-nodecount=0", &file("cpu.pb.gz")]);
    assert!(top.contains(" (inline)"), "inlined frames are told apart: {top}");
    assert!(top.contains("Duration: 5"), "{top}");

    // What the program counted itself.
    let counted = stdout.lines().find(|l| l.starts_with("indexed ")).expect("its last words");
    let counted: Vec<i64> = counted.split(' ').filter_map(|word| word.parse().ok()).collect();
    let calls =
        report(&["-top", "-sample_index=calls", "-nodefraction=0", &file("functions.pb.gz")]);
    for (function, count) in ["server::index_article", "server::answer"].iter().zip(counted) {
        let row = calls.lines().find(|l| names(l, function)).unwrap_or_else(|| panic!("{calls}"));
        let flat = row.split_whitespace().next().and_then(|n| n.parse().ok());
        assert_eq!(flat, Some(count), "{function}: {calls}");
    }

    for expected in &EXPECTED {
        check_web(&file(expected.file), expected);
    }
}

#[test]
fn the_web_ui_fetches_a_url() {
    let (_server, address, _stdout) = serving();
    std::thread::sleep(Duration::from_secs(2));
    for expected in &EXPECTED {
        check_web(&format!("http://{address}/debug/pprof/{}", expected.path), expected);
    }
}

fn check_web(source: &str, expected: &Expected) {
    let mut command = pprof(&["-no_browser", "-nodefraction=0", "-http=127.0.0.1:", source]);
    let (_ui, address) = web_ui(command.stderr(Stdio::piped()).spawn().expect("go runs"));
    let function = expected.function;
    // In its scripts, names stand in JSON, elsewhere in HTML: neither changes these.
    // The source view is not asked for: for programs that are not Go's, Go's distribution of the tool shows an empty one
    // when it finds the program, as it does here.
    for page in ["top", "flamegraph", "peek?f=."] {
        let (head, body) = get(&address, &format!("/ui/{page}"));
        let body = String::from_utf8_lossy(&body);
        assert!(head.contains(" 200 OK"), "{page}: {head}\n{body}");
        assert!(body.contains(function), "{} of {source}: {body}", page);
    }
    let (_, graph) = get(&address, "/ui/graph");
    assert!(String::from_utf8_lossy(&graph).contains("</svg>"), "the graph of {source}");
}

/// The web interface and its address, which the tool prints when it serves.
fn web_ui(mut child: Child) -> (Running, String) {
    let stderr = child.stderr.take().expect("piped");
    let child = Running(child);
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut seen = String::new();
    for line in BufReader::new(stderr).lines() {
        let line = line.expect("text");
        if let Some((_, address)) = line.split_once("Serving web UI on http://") {
            let address = address.trim().to_owned();
            // It says so a little before it does.
            while TcpStream::connect(&address).is_err() {
                assert!(Instant::now() < deadline, "nothing listens at {address}");
                std::thread::sleep(Duration::from_millis(10));
            }
            return (child, address);
        }
        seen.push_str(&line);
        seen.push('\n');
    }
    panic!("no web interface: {seen}");
}
