//! The program, and servers that it fetches from.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use pprof_format::{Builder, NewFunction, NewLine, NewMapping, Profile};

/// A request as a server saw it: method and path with query, and the body.
type Request = (String, String);

/// Answers as many requests as asked for, by their paths.
fn serve(
    count: usize,
    answer: impl Fn(&str) -> (u16, Vec<u8>) + Send + 'static,
) -> (String, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        for _ in 0..count {
            let (stream, _) = listener.accept().expect("a client");
            let request = read(&stream);
            let (status, body) = answer(request.0.split(' ').nth(1).unwrap_or_default());
            let head = format!(
                "HTTP/1.1 {status} X\r\nX-Go-Pprof: 1\r\nContent-Type: text/plain; charset=utf-8\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let mut stream = &stream;
            stream.write_all(&[head.as_bytes(), &body].concat()).expect("it reads");
            sender.send(request).expect("the test waits");
        }
    });
    (address, requests)
}

fn read(stream: &TcpStream) -> Request {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a request");
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_lowercase());
    }
    let length = lines.iter().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a number"))];
    reader.read_exact(&mut body).expect("a body");
    (lines[0].clone(), String::from_utf8(body).expect("text"))
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().expect("a directory"))
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-pprof"));
        command.args(words).current_dir(self.0.path()).env("TZ", "UTC");
        command.env("HOME", self.0.path()).env_remove("PPROF_TMPDIR");
        command.output().expect("it runs")
    }

    fn files(&self, directory: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.0.path().join(directory)) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("there").file_name().into_string().expect("text"))
            .collect();
        names.sort();
        names
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Of one function, or of one address that nobody knows.
fn profile(is_known: bool) -> Profile {
    let mut builder = Builder::new();
    builder.sample_type("calls", "count");
    let mapping = builder.mapping(&NewMapping {
        start: 0x1000,
        limit: 0x9000,
        filename: "/bin/app",
        ..NewMapping::default()
    });
    let function = builder.function(&NewFunction { name: "work", ..NewFunction::default() });
    let line = NewLine { function, line: 7, column: 0 };
    let location = builder.location(Some(mapping), 0x1234, &[line][..usize::from(is_known)]);
    builder.sample(&[location], &[3], &[]);
    builder.build().expect("it is whole")
}

#[test]
fn a_profile_is_fetched_and_kept() {
    let place = Place::new();
    let (address, requests) = serve(2, |_| (200, profile(true).encode()));
    for _ in 0..2 {
        let output =
            place.run(&["-top", "-seconds=1", &format!("{address}/debug/pprof/functions?gc=1")]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains("  work\n"), "{}", text(&output.stdout));
        assert!(text(&output.stderr).contains("Please wait... (1s)\nSaved profile in "));
        let (line, _) = requests.recv().expect("a request");
        assert_eq!(line, "get /debug/pprof/functions?gc=1&seconds=1 http/1.1");
    }
    let kept = place.files("pprof");
    assert_eq!(kept, ["pprof.app.calls.001.pb.gz", "pprof.app.calls.002.pb.gz"]);
    let bytes = std::fs::read(place.0.path().join("pprof").join(&kept[0])).expect("kept");
    assert_eq!(Profile::decode(&bytes).expect("whole").sample.len(), 1);
}

#[test]
fn the_server_is_asked_for_names() {
    let place = Place::new();
    let (address, requests) = serve(2, |path| match path {
        "/debug/pprof/symbol" => (200, b"num_symbols: 1\n0x1234 app::unknown\n".to_vec()),
        _ => (200, profile(false).encode()),
    });
    let output = place.run(&["-top", &format!("http://{address}/debug/pprof/heap")]);
    assert!(text(&output.stdout).contains("  app::unknown\n"), "{}", text(&output.stderr));
    requests.recv().expect("for the profile");
    let symbol = requests.recv().expect("for names");
    assert_eq!(symbol, ("post /debug/pprof/symbol http/1.1".to_owned(), "0x1234".to_owned()));
}

#[test]
fn what_a_server_refuses_is_told() {
    let place = Place::new();
    let (address, _requests) = serve(1, |_| (409, b"another CPU profile is running\n".to_vec()));
    let output = place.run(&["-top", &format!("http://{address}/debug/pprof/profile")]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()));
    let err = text(&output.stderr);
    assert!(err.contains("409") && err.contains("another CPU profile is running\n"), "{err}");
    // Nobody listens there any more.
    let output = place.run(&["-top", "-timeout=1", &format!("http://{address}/x")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("refused"), "{}", text(&output.stderr));
    assert_eq!(place.files("pprof"), [""; 0]);
}

#[test]
fn one_of_several_that_cannot_be_read_is_left_out() {
    let place = Place::new();
    let file = place.0.path().join("one.pb");
    std::fs::write(&file, profile(true).encode()).expect("a directory of ours");
    let output = place.run(&["-top", "-output=report", "one.pb", "missing.pb", "one.pb"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("missing.pb: "), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("Fetched 2 source profiles out of 3"));
    assert_eq!(place.files("."), ["one.pb", "report"], "nothing half-written is left");
    let report = std::fs::read_to_string(place.0.path().join("report")).expect("written");
    assert!(report.contains("         6   100%   100%          6   100%  work\n"), "{report}");
}

#[test]
fn who_closes_the_pipe_ends_it_without_a_word() {
    let place = Place::new();
    let mut builder = Builder::new();
    builder.sample_type("calls", "count");
    for n in 0..20_000 {
        let name = format!("function_{n}");
        let function = builder.function(&NewFunction { name: &name, ..NewFunction::default() });
        let location = builder.location(None, n + 1, &[NewLine { function, line: 1, column: 0 }]);
        builder.sample(&[location], &[1], &[]);
    }
    std::fs::write(place.0.path().join("many.pb"), builder.build().expect("whole").encode())
        .expect("ours");
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-pprof"));
    command.args(["-traces", "many.pb"]).current_dir(place.0.path());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let mut first = [0; 64];
    child.stdout.take().expect("a pipe").read_exact(&mut first).expect("it writes");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

#[test]
fn a_report_goes_where_a_link_leads_and_the_link_stays() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let place = Place::new();
    let path = |name: &str| place.0.path().join(name);
    std::fs::write(path("one.pb"), profile(true).encode()).expect("a directory of ours");
    std::fs::write(path("target"), "before").expect("a directory of ours");
    std::fs::set_permissions(path("target"), std::fs::Permissions::from_mode(0o600)).expect("ours");
    symlink("target", path("link")).expect("a directory of ours");
    assert!(place.run(&["-top", "-output=link", "one.pb"]).status.success());
    assert!(path("link").is_symlink());
    assert!(std::fs::read_to_string(path("target")).expect("written").contains("  work\n"));
    let mode = std::fs::metadata(path("target")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(place.files("."), ["link", "one.pb", "target"]);
    let long = "n".repeat(250);
    assert!(place.run(&["-top", &format!("-output={long}"), "one.pb"]).status.success());
    // Through what stands for standard output.
    let output = place.run(&["-top", "-output=/dev/stdout", "one.pb"]);
    assert!(text(&output.stdout).contains("  work\n"), "{}", text(&output.stderr));
}

#[test]
fn a_name_without_a_port_is_a_file_that_is_missing() {
    let place = Place::new();
    for name in ["nosuch.pb.gz", "directory/nosuch", "-top"] {
        let output = place.run(&["-top", "--", name]);
        assert_eq!(output.status.code(), Some(2));
        let err = text(&output.stderr);
        assert!(err.contains("No such file") && !err.contains("HTTP"), "{name}: {err}");
    }
}

#[test]
fn what_is_odd_in_a_profile_does_no_harm() {
    let place = Place::new();
    let mut builder = Builder::new();
    builder.sample_type("calls", "count");
    let function = builder.function(&NewFunction {
        name: "work",
        filename: "/dev/zero",
        ..NewFunction::default()
    });
    let location = builder.location(None, 0x10, &[NewLine { function, line: 1, column: 0 }]);
    let key = "k".repeat(70_000);
    let label = pprof_format::NewLabel { key: &key, value: pprof_format::LabelValue::Str("v") };
    builder.sample(&[location], &[1], &[label]);
    std::fs::write(place.0.path().join("odd.pb"), builder.build().expect("whole").encode())
        .expect("ours");
    let listed = place.run(&["-list=work", "odd.pb"]);
    assert!(text(&listed.stdout).contains("Error: open /dev/zero: it is no file"));
    let tags = place.run(&["-tags", "odd.pb"]);
    assert!(tags.status.success() && tags.stdout.len() > 140_000, "{}", text(&tags.stderr));
    let mut shell = Command::new(env!("CARGO_BIN_EXE_cargo-pprof"));
    shell.arg("odd.pb").current_dir(place.0.path()).stdout(std::process::Stdio::piped());
    let mut shell = shell.stdin(std::process::Stdio::piped()).spawn().expect("it runs");
    shell.stdin.take().expect("a pipe").write_all(b"\xff\xfe\ntop\n").expect("it reads");
    let output = shell.wait_with_output().expect("it ends");
    assert!(output.status.success() && text(&output.stdout).contains("  work\n"));
}

#[cfg(unix)]
#[test]
fn names_of_files_need_not_be_text() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let place = Place::new();
    let name = OsStr::from_bytes(b"\xff.pb");
    std::fs::write(place.0.path().join(name), profile(true).encode()).expect("a directory of ours");
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-pprof"));
    let output = command.arg("-top").arg(name).current_dir(place.0.path()).output();
    let output = output.expect("it runs");
    assert!(text(&output.stdout).contains("  work\n"), "{}", text(&output.stderr));
}

#[test]
fn a_server_that_stops_in_the_middle_is_not_waited_for() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let (held, end) = mpsc::channel::<()>();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").expect("it reads");
        // Open until the test is over.
        let _ = end.recv();
    });
    let output = place.run(&["-top", "-timeout=1", &format!("{address}/x")]);
    drop(held);
    let error = text(&output.stderr);
    assert!(output.status.code() == Some(2) && error.contains("timeout"), "{error}");
}

#[test]
fn a_file_without_certificates_is_told() {
    let place = Place::new();
    std::fs::write(place.0.path().join("ca.pem"), "nothing\n").expect("a directory of ours");
    let output = place.run(&["-top", "-tls_ca=ca.pem", "https://127.0.0.1:1/x"]);
    let error = text(&output.stderr);
    assert!(error.contains("-tls_ca ca.pem: there is no certificate in PEM in it"), "{error}");
}

#[cfg(unix)]
#[test]
fn perf_is_asked_for_what_it_has_recorded() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("perf.data");
    std::fs::write(&data, b"PERFILE2 and more").expect("ours");
    let run = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cargo-pprof"));
        command.arg("-folded").arg(&data).env("PATH", directory.path());
        let output = command.output().expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (text(output.stdout), text(output.stderr))
    };
    assert!(run().1.contains("cannot run perf"), "{}", run().1);
    let perf = directory.path().join("perf");
    let script = "#!/bin/sh\nprintf 'work 1 2.0: 3 cycles:\\n\\t2 leaf (/x/%s)\\n\\t1 main (/x/work)\\n' \"${3##*/}\"\n";
    std::fs::write(&perf, script).expect("ours");
    std::fs::set_permissions(&perf, std::fs::Permissions::from_mode(0o755)).expect("ours");
    assert_eq!(run().0, "main;leaf 3\n");
    std::fs::write(&perf, "#!/bin/sh\necho broken >&2\nexit 1\n").expect("ours");
    assert!(run().1.contains("broken"), "{}", run().1);
}
