//! A label that every request has another value of leaves the other labels alone. One process, as what is told apart is so for good.

use pprof_runtime::sync::Mutex;
use pprof_runtime::{labels, profile, with_labels};
use pprof_tests::by_label;
use pprof_tests::waits::snapshot;

static LOCK: Mutex<u64> = Mutex::new(0);

#[profile]
#[inline(never)]
fn answers() {
    *LOCK.lock().unwrap() += 1;
}

#[test]
fn routes_stay_when_request_ids_are_too_many() {
    const REQUESTS: i64 = 1_000;
    const TOLD_APART: usize = pprof_runtime::config::MAX_LABEL_VALUES;
    pprof_runtime::set_function_profile(true);
    pprof_runtime::set_hold_profile_rate(1);
    for id in 0..REQUESTS {
        let route = ["/a", "/b"][usize::from(id % 4 == 0)];
        with_labels(labels! { "request" => id, "route" => route }, answers);
    }
    for name in ["functions", "hold"] {
        let profile = snapshot(name);
        let routes = by_label(&profile, 0, "route");
        assert_eq!((routes["/a"], routes["/b"]), (750, 250), "{name}: {routes:?}");
        let requests = by_label(&profile, 0, "request");
        assert_eq!(requests.values().sum::<i64>(), REQUESTS, "{name}");
        assert_eq!(requests["(overflow)"], REQUESTS - TOLD_APART as i64, "{name}");
        assert_eq!((requests["0"], requests.len()), (1, TOLD_APART + 1), "{name}");
        let comments = || profile.comment.iter().map(|comment| profile.string(*comment));
        assert!(comments().any(|line| line.ends_with("shown as (overflow): request")), "{name}");
    }
}
