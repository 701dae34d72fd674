//! Durations of calls, counted by size.
//!
//! A bucket is a sixteenth of a power of two wide, so that its middle is within 3.2 % of what is in it. Below 16 ticks each has its own:
//!
//! | ticks | buckets | width |
//! |---|---|---|
//! | 0 to 15 | 0 to 15 | 1 |
//! | 2^e to 2^(e+1) - 1, e from 4 | 16 (e - 3) to 16 (e - 3) + 15 | 2^(e-4) |

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::config::MAX_HISTOGRAMS;

const STEPS: u64 = 16;

/// Up to 2^48 ticks, about a day; longer ones are in the last bucket.
const BUCKETS: usize = 16 * 45;

/// Histograms of all paths of the process.
static HISTOGRAMS: AtomicUsize = AtomicUsize::new(0);

/// Calls whose duration found no room.
static LOST: AtomicU64 = AtomicU64::new(0);

/// That of one path: one thread writes it.
#[derive(Debug)]
pub(crate) struct Histogram([AtomicU64; BUCKETS]);

impl Histogram {
    /// `None` if there are too many.
    pub(crate) fn new() -> Option<Box<Histogram>> {
        // ORDERING: Relaxed: a budget.
        if HISTOGRAMS.fetch_add(1, Ordering::Relaxed) < MAX_HISTOGRAMS {
            return Some(Box::new(Histogram([const { AtomicU64::new(0) }; BUCKETS])));
        }
        HISTOGRAMS.fetch_sub(1, Ordering::Relaxed);
        None
    }

    /// By the path's thread.
    pub(crate) fn add(&self, ticks: u64) {
        let Some(bucket) = self.0.get(bucket(ticks)) else { return };
        // ORDERING: Relaxed, not read-modify-write: there is one writer.
        bucket.store(bucket.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

impl Drop for Histogram {
    fn drop(&mut self) {
        // ORDERING: Relaxed: a budget.
        HISTOGRAMS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Notes a duration that found no room.
pub(crate) fn lose() {
    // ORDERING: Relaxed: a counter.
    LOST.fetch_add(1, Ordering::Relaxed);
}

/// Durations that found no room.
pub(crate) fn lost() -> u64 {
    // ORDERING: Relaxed: a counter.
    LOST.load(Ordering::Relaxed)
}

fn bucket(ticks: u64) -> usize {
    let bucket = if ticks < STEPS {
        ticks
    } else {
        let exponent = u64::from(ticks.ilog2());
        STEPS * (exponent - 3) + ((ticks >> (exponent - 4)) & (STEPS - 1))
    };
    (bucket as usize).min(BUCKETS - 1)
}

/// The middle of a bucket, in ticks.
fn middle(bucket: usize) -> u64 {
    let (row, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    match row.checked_sub(1) {
        None => step,
        Some(shift) => ((STEPS + step) << shift) + ((1 << shift) >> 1),
    }
}

/// Histograms of several paths together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Durations(Vec<u64>);

impl Durations {
    pub(crate) fn add(&mut self, histogram: &Histogram) {
        self.0.resize(BUCKETS, 0);
        // ORDERING: Relaxed: counters that order nothing.
        let counts = histogram.0.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        self.0.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }

    /// What was added since `earlier`.
    pub(crate) fn since(&self, earlier: Option<&Durations>) -> Durations {
        let before = |bucket| earlier.and_then(|e| e.0.get(bucket)).copied().unwrap_or(0);
        let grown = |(bucket, count): (usize, &u64)| count.saturating_sub(before(bucket));
        Durations(self.0.iter().enumerate().map(grown).collect())
    }

    /// What `percent` of the durations are not longer than, in ticks, to 3.2 %; `None` if there are none.
    pub(crate) fn percentile(&self, percent: u64) -> Option<u64> {
        let count: u64 = self.0.iter().sum();
        let rank = (u128::from(count) * u128::from(percent)).div_ceil(100).max(1);
        let mut seen = 0;
        let at = self.0.iter().position(|count| {
            seen += u128::from(*count);
            seen >= rank
        })?;
        Some(middle(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buckets_middle_is_near_what_is_in_it() {
        let mut last = 0;
        let small = if cfg!(miri) { 2_000 } else { 100_000 };
        for ticks in (0..small).chain((17..47).flat_map(|e| [(1 << e) - 1, 1 << e, 3 << (e - 1)])) {
            let middle = middle(bucket(ticks));
            assert!(middle.abs_diff(ticks) * 1000 <= ticks * 32, "{ticks}: {middle}");
            if ticks < small {
                assert!(bucket(ticks) - last <= 1, "no gaps: {ticks}");
                last = bucket(ticks);
            }
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_of_the_sum_and_of_the_difference() {
        let histogram = Histogram::new().unwrap();
        let mut before = Durations::default();
        assert_eq!(before.percentile(50), None);
        (1..=10).for_each(|ticks| histogram.add(ticks));
        before.add(&histogram);
        assert_eq!([50, 95, 100, 0].map(|p| before.percentile(p)), [5, 10, 10, 1].map(Some));
        (0..10).for_each(|_| histogram.add(15));
        let mut after = Durations::default();
        after.add(&histogram);
        assert_eq!((after.percentile(50), after.percentile(51)), (Some(10), Some(15)));
        assert_eq!(after.since(Some(&before)).percentile(1), Some(15));
    }
}
