//! The originals' own documentation examples and tests, and their public surface, against ours.
//!
//! Nothing of the originals is in this repository: their sources are read where rustup and cargo keep them, rewritten by path
//! (`std::sync::Mutex` becomes `pprof_runtime::sync::Mutex`), and compiled and run as programs under the target directory.
//!
//! `PPROF_ORIGINALS=original` runs them unchanged, which tells a mistake of ours from one of this harness or of an original; the name of a
//! row, `PPROF_ORIGINALS_ROW=tokio`, runs that one alone.

mod examples;
mod modules;
mod program;
mod rewrite;
mod sources;
mod surface;
mod table;

use std::collections::BTreeMap;

use self::program::{Outcome, Program};
use self::table::{Against, ROWS, Row};

#[test]
fn examples_and_tests_of_the_originals_pass() {
    let only = std::env::var("PPROF_ORIGINALS_ROW").ok();
    let rows: Vec<&Row> =
        ROWS.iter().filter(|row| only.as_ref().is_none_or(|only| row.name == only)).collect();
    assert!(!rows.is_empty(), "no row of that name: {only:?}");
    let prepared: Vec<_> = rows.iter().map(|row| modules::prepare(row, against(row))).collect();
    let programs = prepared.iter().map(|p| p.program()).collect::<Vec<Program>>();
    let mut outcomes: BTreeMap<String, Outcome> = program::run(programs);
    let mut failures = Vec::new();
    for prepared in &prepared {
        let outcome = outcomes.get_mut(prepared.row.name).expect("one for each row");
        prepared.judge(outcome);
        for failure in &outcome.failures {
            failures.push(format!("{} {failure}", prepared.row.name));
        }
    }
    assert!(failures.is_empty(), "{} failures\n\n{}", failures.len(), failures.join("\n\n"));
}

fn against(row: &Row) -> Against {
    match std::env::var("PPROF_ORIGINALS").as_deref() {
        Ok("original") => Against::Original,
        _ => row.against,
    }
}
