//! The example `async_service`: over real HTTP, every profile tells the routes apart, and the functions profile who computes from who waits.

use std::path::Path;
use std::process::Command;

use pprof_tests::{report, workspace_dir};

fn run(out: &Path) {
    let status = Command::new(env!("CARGO"))
        .args(["run", "--release", "-p", "pprof-examples", "--example", "async_service"])
        .env("PPROF", "cpu,functions,block=1,mutex=1")
        .env("PPROF_OUT", out.join("{profile}.pb.gz"))
        .current_dir(workspace_dir())
        .status();
    assert!(status.expect("cargo runs").success());
}

#[test]
fn profiles_tell_routes_apart() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path());
    let [cpu, block, mutex, functions] = ["cpu", "block", "mutex", "functions"]
        .map(|name| dir.path().join(format!("{name}.pb.gz")).display().to_string());
    for (profile, routes) in [
        // The third one uses next to no CPU time.
        (&cpu, &["/search/{words}", "/orders/{item}"]),
        (&functions, &["/search/{words}", "/orders/{item}"]),
        (&functions, &["/orders/{item}", "/stock/{item}"]),
        (&block, &["/orders/{item}", "/stock/{item}"]),
        (&mutex, &["/orders/{item}", "/stock/{item}"]),
    ] {
        let tags = report(&["-tags", profile]);
        for route in routes {
            assert!(tags.contains(route), "{route} in {profile}: {tags}");
        }
    }
    // What computes is under its route alone.
    let search = report(&["-top", "-cum", "-tagfocus=route=/search/", &cpu]);
    assert!(search.contains("async_service::service::distance"), "{search}");
    let others = report(&["-top", "-cum", "-tagignore=route=/search/", &cpu]);
    assert!(!others.contains("async_service::service::distance"), "{others}");
    // The lock of the threads that block is waited for by the route that it was called for.
    let ledger = report(&["-tags", "-tagfocus=lock=ledger", &block]);
    assert!(ledger.contains("POST") && !ledger.contains("GET"), "{ledger}");
    let store = report(&["-tags", "-tagfocus=lock=store", &mutex]);
    assert!(store.contains("/stock/{item}") && !store.contains("/orders/{item}"), "{store}");
    // What waits is told from what computes, and each is the route's.
    let first = |sample_index: &str| {
        let top = report(&["-top", sample_index, &functions]);
        let line = top.lines().skip_while(|line| !line.contains("flat%")).nth(1);
        line.unwrap_or_default().to_owned()
    };
    let (idle, busy) = (first("-sample_index=idle"), first("-sample_index=busy"));
    assert!(idle.contains("service::stock") || idle.contains("service::order"), "{idle}");
    assert!(busy.contains("service::matches") || busy.contains("service::write_down"), "{busy}");
    let idle = report(&["-tags", "-sample_index=idle", &functions]);
    let stock = idle.lines().position(|line| line.contains("/stock/{item}"));
    let search = idle.lines().position(|line| line.contains("/search/{words}"));
    assert!(stock.is_some() && search.is_none_or(|search| stock < Some(search)), "{idle}");
}
