//! The table of functions: its rows and percentiles, by itself and in the text form of the profile. One process, as the recorder is the
//! process's.

use std::future::Future;
use std::sync::Mutex;
use std::task::{Context, Waker};
use std::time::Duration;

use pprof_runtime::profile;
use pprof_runtime::report;
use pprof_tests::YieldOnce;

/// The recorder is one for all tests of this file: they run one after the other.
static SERIAL: Mutex<()> = Mutex::new(());

fn recorded(histograms: bool, work: impl FnOnce()) -> String {
    table_and_text(histograms, work).0.to_string()
}

/// Taken before others work on.
fn table_and_text(histograms: bool, work: impl FnOnce()) -> (report::Table, String) {
    let _alone = SERIAL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    pprof_runtime::set_function_profile(true);
    pprof_runtime::set_function_histograms(histograms);
    pprof_runtime::lookup("functions").unwrap().reset();
    work();
    pprof_runtime::set_function_histograms(false);
    let mut text = Vec::new();
    let profile = pprof_runtime::lookup("functions").unwrap().snapshot().unwrap();
    profile.write_text(&mut text).unwrap();
    (report::table(), String::from_utf8(text).unwrap())
}

/// The cell of a function's row under a heading.
fn cell<'t>(table: &'t str, function: &str, heading: &str) -> &'t str {
    let mut lines = table.lines().map(|line| line.split_whitespace());
    let at = lines.next().unwrap().position(|word| word == heading);
    let at = at.unwrap_or_else(|| panic!("no {heading} in\n{table}"));
    let row = lines.find(|row| row.clone().last().unwrap().ends_with(function));
    row.unwrap_or_else(|| panic!("no {function} in\n{table}")).nth(at).unwrap()
}

fn ms(cell: &str) -> f64 {
    let (number, unit) = cell.split_at(cell.find(char::is_alphabetic).expect("a unit"));
    let number: f64 = number.parse().unwrap();
    number
        * [("s", 1e3), ("ms", 1.0), ("us", 1e-3), ("ns", 1e-6)]
            .iter()
            .find(|u| u.0 == unit)
            .unwrap()
            .1
}

#[profile]
fn sleeps(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

#[profile]
fn recurses(depth: u32) {
    sleeps(5);
    if depth > 0 {
        recurses(depth - 1);
    }
}

#[test]
fn a_total_has_recursion_once_and_a_self_time_no_callees() {
    let (all, _) = table_and_text(false, || recurses(3));
    let table = all.to_string();
    assert_eq!(cell(&table, "::recurses", "calls"), "4");
    assert_eq!(cell(&table, "::sleeps", "calls"), "4");
    let (total, own) =
        (ms(cell(&table, "::recurses", "total")), ms(cell(&table, "::recurses", "self")));
    let slept = ms(cell(&table, "::sleeps", "total"));
    assert!(slept >= 20.0, "{table}");
    // Three digits of each are shown.
    assert!((total - slept - own).abs() <= total / 50.0, "{table}");
    assert!(
        !table.contains("p50") && !table.contains("panics") && !table.contains("cancelled"),
        "{table}"
    );
    assert!(
        table.lines().nth(1).unwrap().ends_with("::sleeps"),
        "the largest self time first:\n{table}"
    );
    assert_eq!(all.top(1).to_string().lines().count(), 3);
}

#[profile]
async fn waits(ms: u64) {
    sleeps(ms);
    YieldOnce::default().await;
}

#[profile(time = sampled(4))]
fn sampled() {}

#[test]
fn percentiles_are_of_whole_calls_on_all_threads() {
    let table = recorded(true, || {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..9).for_each(|_| sleeps(1)));
            }
        });
        (0..2).for_each(|_| recurses(1));
        (0..2).for_each(|_| sleeps(50));
        let mut future = Box::pin(waits(5));
        let mut context = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        std::thread::sleep(Duration::from_millis(30));
        assert!(future.as_mut().poll(&mut context).is_ready());
        sampled();
    });
    // Of 18 that took 1 ms at least, 5 that took 5, and 2 that took 50.
    let slept = |heading| ms(cell(&table, "::sleeps", heading));
    assert!(slept("p50") >= 0.96 && slept("p95") >= 48.0 && slept("p50") < slept("p95"), "{table}");
    assert!(ms(cell(&table, "::recurses", "p99")) >= 9.6, "with callees:\n{table}");
    assert!(ms(cell(&table, "::waits", "p50")) >= 33.6, "from the first poll to the end:\n{table}");
    assert_eq!(cell(&table, "::sampled", "p50"), "-");
    // Those before a reset are in none.
    assert!(!recorded(false, || sleeps(1)).contains("p50"));
}

#[profile]
fn panics() {
    panic!("expected");
}

#[test]
fn calls_that_ended_otherwise_are_there_if_there_are_any() {
    let table = recorded(false, || {
        assert!(std::panic::catch_unwind(panics).is_err());
        let mut future = Box::pin(waits(1));
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(future);
        drop(waits(1));
    });
    assert_eq!(cell(&table, "::panics", "panics"), "1");
    assert_eq!(cell(&table, "::waits", "panics"), "0");
    assert_eq!(cell(&table, "::waits", "cancelled"), "1");
}

#[test]
fn the_text_of_the_profile_begins_with_the_table() {
    let (_, text) = table_and_text(false, || sleeps(1));
    let is_head = |line: &str| line.split_whitespace().take(3).eq(["#", "calls", "total"]);
    let table = text.lines().position(is_head).unwrap_or_else(|| panic!("no table in\n{text}"));
    assert!(text.lines().nth(table + 1).unwrap().ends_with("::sleeps"), "{text}");
    let samples = text.lines().position(|line| line.starts_with("1 ")).expect("a sample");
    assert!(table < samples, "{text}");
}
