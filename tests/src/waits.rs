//! What the tests of locks and channels share: what the contention profiles say of a function.

use std::time::Duration;

use pprof_format::{Label, Profile};

use crate::{stacks, sum};

/// A snapshot of a profile that accumulates.
///
/// # Panics
/// If there is none of that name.
#[must_use]
pub fn snapshot(name: &str) -> Profile {
    let source = pprof_runtime::lookup(name).expect("a profile of that name");
    source.snapshot().expect("supported here").proto().clone()
}

/// Delay, in nanoseconds, of stacks that `function` is on.
#[must_use]
pub fn delay(profile: &Profile, function: &str) -> i64 {
    sum(profile, 1, |names| names.iter().any(|n| n.ends_with(function)))
}

/// Contentions of stacks that `function` is on.
#[must_use]
pub fn contentions(profile: &Profile, function: &str) -> i64 {
    sum(profile, 0, |names| names.iter().any(|n| n.ends_with(function)))
}

/// Samples with `function` on their stack: labels as `key=value key=value`, and values.
#[must_use]
pub fn labels(profile: &Profile, function: &str) -> Vec<(String, [i64; 2])> {
    let text =
        |label: &Label| format!("{}={}", profile.string(label.key), profile.string(label.str));
    stacks(profile)
        .into_iter()
        .zip(&profile.sample)
        .filter(|((names, _), _)| names.iter().any(|n| n.ends_with(function)))
        .map(|((_, values), sample)| {
            let labels: Vec<String> = sample.label.iter().map(text).collect();
            (labels.join(" "), [values[0], values[1]])
        })
        .collect()
}

/// Asserts that the block profile has exactly one ended wait of some `waited` with `function` on its stack, as its leaf, and with
/// these words among its labels (`kind=mutex`). Resets the profile.
///
/// # Panics
/// If it has not.
pub fn assert_one_wait(function: &str, waited: Duration, words: &[&str]) {
    let profile = snapshot("block");
    let seen = labels(&profile, function);
    let count: i64 = seen.iter().map(|(_, values)| values[0]).sum();
    let delay: i64 = seen.iter().map(|(_, values)| values[1]).sum();
    assert_eq!(count, 1, "{function}: {seen:?} in {:?}", stacks(&profile));
    // The machine may stop for a while, and the clocks that slept and that measured differ a little.
    let waited = waited.as_nanos() as i64;
    assert!(delay > waited * 8 / 10 && delay < waited * 40, "{function}: {delay} ns of {waited}");
    for (text, _) in &seen {
        assert!(words.iter().all(|word| text.split(' ').any(|w| w == *word)), "{function}: {text}");
    }
    let at_leaf =
        sum(&profile, 1, |names| names.first().is_some_and(|name| name.ends_with(function)));
    assert_eq!(at_leaf, delay, "{function} is the leaf: {:?}", stacks(&profile));
    pprof_runtime::lookup("block").expect("built in").reset();
}

/// Waits until some thread waits with `function` on its stack.
///
/// # Panics
/// If none does for a long time.
pub fn until_waiting(function: &str) {
    for _ in 0..1000 {
        let waits = labels(&snapshot("block"), function);
        if waits.iter().any(|(text, _)| text.ends_with("state=waiting")) {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("nobody waits in {function}");
}
