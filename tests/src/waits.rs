//! What the tests of locks and channels share: what the contention profiles say of a function.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

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

/// What really happened, by the waiters' own clocks, in nanoseconds.
#[derive(Debug)]
pub struct Truth {
    epoch: Instant,
    waited: AtomicU64,
    by_holder: AtomicU64,
    first_in: AtomicU64,
}

impl Default for Truth {
    fn default() -> Truth {
        let zero = || AtomicU64::new(0);
        Truth { epoch: Instant::now(), waited: zero(), by_holder: zero(), first_in: zero() }
    }
}

impl Truth {
    /// When a wait begins.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    /// The wait that began at `began` is over, and what was waited for still held.
    pub fn got(&self, began: u64) {
        let now = self.now();
        // The lock orders these, and only the first has an effect. Of readers let in together any may be the first: they are close.
        let _ = self.first_in.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        let by_holder = self.first_in.load(Ordering::Relaxed).saturating_sub(began);
        self.waited.fetch_add(now - began, Ordering::Relaxed);
        self.by_holder.fetch_add(by_holder, Ordering::Relaxed);
    }

    /// Counts `wait` as one.
    pub fn time<T>(&self, wait: impl FnOnce() -> T) -> T {
        let began = self.now();
        let result = wait();
        self.got(began);
        result
    }

    /// Counts the time until `future` is ready as one.
    pub async fn of<T>(&self, future: impl Future<Output = T>) -> T {
        let began = self.now();
        let output = future.await;
        self.got(began);
        output
    }

    /// Sum of the waits.
    #[must_use]
    pub fn waited(&self) -> u64 {
        self.waited.load(Ordering::Relaxed)
    }

    /// Sum of the waits' parts before the first of the waiters had the lock.
    #[must_use]
    pub fn by_holder(&self) -> u64 {
        self.by_holder.load(Ordering::Relaxed)
    }
}
