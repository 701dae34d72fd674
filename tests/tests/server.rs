//! The server answers mistakes in words and goes on, whatever clients do. One CPU profile at a time: the tests take turns.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use pprof_runtime::{ErrorKind, Server, ServerBuilder, cpu, serve};
use pprof_tests::{cpu_time, exchange, get};

static SERIAL: Mutex<()> = Mutex::new(());

fn start() -> (MutexGuard<'static, ()>, Server, String) {
    let alone = SERIAL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let server = serve("127.0.0.1:0").expect("a free port");
    let addr = server.local_addr().to_string();
    (alone, server, addr)
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("{head}"))
}

fn answer(addr: &str, request: &str) -> (u16, String, String) {
    let (head, body) = exchange(addr, request);
    (status(&head), head, String::from_utf8_lossy(&body).into_owned())
}

fn still_serves(addr: &str) {
    assert_eq!(status(&get(addr, "/debug/pprof/").0), 200);
}

#[test]
fn wrong_requests_are_told_what_is_wrong() {
    let (_alone, _server, addr) = start();
    let seconds = "invalid value for \"seconds\" - must be a positive integer";
    let debug = "invalid value for \"debug\" - must be an integer";
    let both = "seconds and debug params are incompatible";
    for (path, code, text) in [
        ("profile?seconds=x", 400, seconds),
        ("profile?seconds=0", 400, seconds),
        ("profile?seconds=-1", 400, seconds),
        ("profile?seconds=99999999999999999999", 400, seconds),
        ("profile?seconds=1&hz=many", 400, "invalid value for \"hz\""),
        ("profile?seconds=1&hz=0", 400, "rate"),
        ("profile?seconds=1&hz=1000000", 400, "rate"),
        ("profile?seconds=1&debug=x", 400, debug),
        ("mutex?seconds=x", 400, seconds),
        ("block?seconds=", 400, seconds),
        ("functions?debug=%zz", 400, debug),
        ("mutex?seconds=1&debug=1", 400, both),
        ("heep", 404, "Unknown profile"),
        ("../../etc/passwd", 404, "Unknown profile"),
    ] {
        let request = format!("GET /debug/pprof/{path} HTTP/1.1\r\nHost: {addr}\r\n\r\n");
        let (found, head, body) = answer(&addr, &request);
        assert_eq!(found, code, "{path}: {body}");
        assert!(body.contains(text), "{path}: {body}");
        assert!(head.contains("X-Go-Pprof: 1"), "{path}: go tool pprof shows the text: {head}");
    }
    assert_eq!(status(&get(&addr, "/metrics").0), 404);
    still_serves(&addr);
}

#[test]
fn methods_and_hosts_are_checked() {
    let (_alone, _server, addr) = start();
    for method in ["POST", "PUT", "DELETE", "BREW"] {
        let request = format!("{method} /debug/pprof/mutex HTTP/1.1\r\nHost: {addr}\r\n\r\n");
        let (found, head, _) = answer(&addr, &request);
        assert_eq!(found, 405, "{method}");
        assert!(head.contains("Allow: GET, HEAD"), "{head}");
    }
    let (code, head, body) =
        answer(&addr, &format!("HEAD /debug/pprof/mutex HTTP/1.1\r\nHost: {addr}\r\n\r\n"));
    assert_eq!((code, body.as_str()), (200, ""));
    assert!(head.contains("application/octet-stream"), "{head}");
    for foreign in ["evil.example", "evil.example:6060"] {
        let request = format!("GET /debug/pprof/ HTTP/1.1\r\nHost: {foreign}\r\n\r\n");
        let (code, _, body) = answer(&addr, &request);
        assert_eq!(code, 403);
        assert!(body.contains("allow_host"), "the remedy: {body}");
    }
    let request = format!(
        "GET /debug/pprof/ HTTP/1.1\r\nHost: {addr}\r\nOrigin: http://evil.example\r\n\r\n"
    );
    assert_eq!(answer(&addr, &request).0, 403);

    let named = ServerBuilder::new("127.0.0.1:0").allow_host("Box").start().expect("a free port");
    let request = "GET /debug/pprof/ HTTP/1.1\r\nHost: box:6060\r\n\r\n";
    assert_eq!(answer(&named.local_addr().to_string(), request).0, 200);
}

#[test]
fn every_page_has_gos_headers() {
    let (_alone, _server, addr) = start();
    let (head, body) = get(&addr, "/debug/pprof/");
    let page = String::from_utf8(body).expect("text");
    assert!(head.contains("Content-Type: text/html; charset=utf-8"), "{head}");
    assert!(head.contains("X-Content-Type-Options: nosniff"), "{head}");
    for profile in ["profile", "mutex", "block", "functions", "cmdline"] {
        assert!(page.contains(profile), "{profile} is not on the index page");
    }
    for source in pprof_runtime::profiles() {
        assert!(page.contains(source.description()), "{}", source.name());
        let (head, body) = get(&addr, &format!("/debug/pprof/{}", source.name()));
        let file = format!("attachment; filename=\"{}\"", source.name());
        assert!(head.contains("Content-Type: application/octet-stream"), "{head}");
        assert!(head.contains(&file), "{head}");
        pprof_format::Profile::decode(&body).expect("a profile").validate_strict().expect("valid");
        let (head, _) = get(&addr, &format!("/debug/pprof/{}?debug=1", source.name()));
        assert!(head.contains("Content-Type: text/plain; charset=utf-8"), "{head}");
        let (head, body) = get(&addr, &format!("/debug/pprof/{}?seconds=1", source.name()));
        assert!(head.contains("-delta\""), "{head}");
        let delta = pprof_format::Profile::decode(&body).expect("a profile");
        assert!(delta.duration_nanos >= 1_000_000_000, "{}", delta.duration_nanos);
    }
    let (_, cmdline) = get(&addr, "/debug/pprof/cmdline");
    let program = std::env::args().next().expect("a name");
    assert_eq!(cmdline.split(|b| *b == 0).next(), Some(program.as_bytes()));
    assert_eq!(status(&get(&addr, "/debug/pprof").0), 301);

    let address = every_page_has_gos_headers as fn() as usize;
    let (_, names) = get(&addr, &format!("/debug/pprof/symbol?{address:#x}"));
    let names = String::from_utf8(names).expect("text");
    assert!(names.contains("every_page_has_gos_headers"), "{names}");
    let body = format!("{address:#x}+0x1");
    let request = format!(
        "POST /debug/pprof/symbol HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(answer(&addr, &request).2, names, "posted, as go tool pprof does");
}

#[test]
fn one_cpu_profile_at_a_time() {
    let (_alone, _server, addr) = start();
    let mine = cpu::start().expect("nobody else profiles");
    let (head, body) = get(&addr, "/debug/pprof/profile?seconds=1");
    let text = String::from_utf8_lossy(&body);
    assert_eq!(status(&head), 500);
    assert!(text.starts_with("Could not enable CPU profiling: "), "{text}");
    assert_eq!(cpu::start().expect_err("one at a time").kind(), ErrorKind::AlreadyRunning);
    mine.stop().expect("not forked");
    assert_eq!(status(&get(&addr, "/debug/pprof/profile?seconds=1").0), 200);
}

#[test]
fn a_client_that_goes_ends_its_collection() {
    let (_alone, _server, addr) = start();
    let mut client = TcpStream::connect(&addr).expect("the server listens");
    let request = format!("GET /debug/pprof/profile?seconds=3600 HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    client.write_all(request.as_bytes()).expect("the server reads");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_sampling() {
        assert!(Instant::now() < deadline, "the profile has not begun");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(client);
    while cpu::start().is_err() {
        assert!(Instant::now() < deadline, "the profile goes on without its client");
        std::thread::sleep(Duration::from_millis(20));
    }
    still_serves(&addr);
}

#[test]
fn stopping_ends_running_collections() {
    let (_alone, server, addr) = start();
    let request = format!("GET /debug/pprof/mutex?seconds=3600 HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    let mut client = TcpStream::connect(&addr).expect("the server listens");
    client.write_all(request.as_bytes()).expect("the server reads");
    std::thread::sleep(Duration::from_millis(300));
    let begin = Instant::now();
    server.stop();
    assert!(begin.elapsed() < Duration::from_secs(30), "it waited {:?}", begin.elapsed());
    client.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout can be set");
    // Closed, with or without a reset; nothing that looks like a profile.
    assert_eq!(client.read(&mut [0; 16]).unwrap_or(0), 0);
    assert!(TcpStream::connect(&addr).is_err(), "the port is free again");
}

/// For the rest of the process: in this test binary, its thread idles beside the others.
#[test]
fn a_detached_server_serves_and_idles() {
    let _alone = SERIAL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let server = serve("127.0.0.1:0").expect("a free port");
    let addr = server.local_addr().to_string();
    server.detach();
    still_serves(&addr);
    let before = cpu_time(libc::CLOCK_PROCESS_CPUTIME_ID);
    std::thread::sleep(Duration::from_secs(1));
    let used = cpu_time(libc::CLOCK_PROCESS_CPUTIME_ID) - before;
    assert!(used < Duration::from_millis(300), "{used:?} of CPU time in an idle second");
    still_serves(&addr);
}

#[test]
fn a_busy_port_and_a_wrong_address_are_errors_of_serve() {
    let (_alone, _server, addr) = start();
    let error = serve(&addr).expect_err("the port is in use");
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains(&addr), "{error}");
    assert!(error.to_string().contains("choose another port"), "{error}");
    // A block of addresses for documentation (RFC 5737).
    let error = serve("192.0.2.1:0").expect_err("not an address of this machine");
    assert!(error.to_string().contains("not an address of this machine"), "{error}");
    for wrong in ["", "nonsense", "127.0.0.1", "127.0.0.1:99999"] {
        let error = serve(wrong).expect_err(wrong);
        assert!(error.to_string().contains("host:port"), "{wrong}: {error}");
    }
}

#[test]
fn garbage_and_half_requests_harm_nobody() {
    let (_alone, _server, addr) = start();
    let long = format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(1 << 20));
    let mut noise = 0x9e37_79b9_u32;
    let random: Vec<u8> = std::iter::repeat_with(|| {
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        noise as u8
    })
    .take(10_000)
    .collect();
    for bytes in [b"\x16\x03\x01\x02\x00\x01".as_slice(), b"GET", &random, long.as_bytes()] {
        let mut client = TcpStream::connect(&addr).expect("the server listens");
        // It may close before all is sent.
        let _ = client.write_all(bytes);
        drop(client);
    }
    let (code, ..) = answer(&addr, "\x16\x03\x01 hello\r\n\r\n");
    assert_eq!(code, 400);
    still_serves(&addr);
}

#[test]
fn refusals_reach_clients_that_go_on_sending() {
    let (_alone, _server, addr) = start();
    let rest = "x".repeat(4 << 20);
    let refused = [
        ("POST /debug/pprof/symbol HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413),
        ("POST /debug/pprof/symbol HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        ("GET / HTTP/1.1\r\nA: ", 431),
        ("\x01", 400),
    ];
    for (head, code) in refused {
        assert_eq!(answer(&addr, &format!("{head}{rest}")).0, code);
    }
    // A whole request, and another that nobody asked for.
    let two = format!("GET /debug/pprof/cmdline HTTP/1.1\r\nHost: {addr}\r\n\r\n").repeat(2);
    assert_eq!(answer(&addr, &two).0, 200);
    // More than the server is willing to drop.
    let mut client = TcpStream::connect(&addr).expect("the server listens");
    let endless = std::iter::repeat_n(rest.as_bytes(), 1_000);
    let sent = endless.map_while(|rest| client.write_all(rest).ok()).count();
    assert!(sent < 100, "it took {sent} times {} bytes", rest.len());
    still_serves(&addr);

    let addresses = vec!["1"; 65_537].join("+");
    let request = format!(
        "POST /debug/pprof/symbol HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {}\r\n\r\n{addresses}",
        addresses.len()
    );
    let (code, _, text) = answer(&addr, &request);
    assert_eq!(code, 413);
    assert!(text.contains("at most 65536 addresses"), "{text}");
}

/// More than the server keeps, at once.
#[test]
fn ten_thousand_silent_connections_do_not_stop_it() {
    const CONNECTIONS: usize = 10_000;
    let (_alone, _server, addr) = start();
    let before = open_descriptors();
    let allowed = raise_descriptor_limit();
    // Both ends are in this process, though the server keeps few of its own.
    let at_once = CONNECTIONS.min(allowed.saturating_sub(2_000));
    let mut silent = std::collections::VecDeque::with_capacity(at_once);
    for n in 0..CONNECTIONS {
        if silent.len() == at_once {
            silent.pop_front();
        }
        silent.push_back(TcpStream::connect(&addr).unwrap_or_else(|e| panic!("{n}: {e}")));
        if n % 1_000 == 999 {
            still_serves(&addr);
        }
    }
    let kept = open_descriptors() - before - silent.len();
    assert!(kept < 400, "the server keeps {kept} connections");
    let (code, ..) =
        answer(&addr, &format!("GET /debug/pprof/mutex HTTP/1.0\r\nHost: {addr}\r\n\r\n"));
    assert_eq!(code, 200);
    drop(silent);
    let deadline = Instant::now() + Duration::from_secs(30);
    while open_descriptors() > before + 8 {
        assert!(Instant::now() < deadline, "{} of {before} are open", open_descriptors());
        std::thread::sleep(Duration::from_millis(50));
        still_serves(&addr);
    }
}

/// Whether a CPU profile runs, seen without trying to start one, which would keep others from it.
fn is_sampling() -> bool {
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux");
    threads.flatten().any(|thread| {
        std::fs::read_to_string(thread.path().join("comm")).is_ok_and(|c| c == "pprof-collector\n")
    })
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux").count()
}

/// As many as the system lets this process have.
fn raise_descriptor_limit() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a local for the call to fill.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: reads the local; the soft limit may be raised to the hard one.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}
