//! Which waits and unlocks are recorded, and what each of them stands for.
//!
//! Sums are unbiased at every setting (golang/go#44192 tells of the bias this avoids).

use std::cell::Cell;

use crate::clock;

/// Contentions are kept in 1/65536: `rate / d` is seldom whole.
pub(super) const COUNT_SHIFT: u32 = 16;

/// What a wait of `delay` ns adds at `rate`, if `draw` chooses it. The first value is in fixed point.
pub(super) fn sample_wait(delay: i64, rate: i64, draw: u64) -> Option<[i64; 2]> {
    is_chosen(delay, rate, draw).then(|| weigh(delay, rate))
}

/// Whether a wait of `delay` ns is recorded at `rate`.
pub(super) fn is_chosen(delay: i64, rate: i64, draw: u64) -> bool {
    rate > 0 && (delay >= rate || draw % rate as u64 >= (rate - delay) as u64)
}

/// What a wait that is recorded adds: itself, or as many of its kind as it stands for.
pub(super) fn weigh(delay: i64, rate: i64) -> [i64; 2] {
    if delay >= rate {
        return [1 << COUNT_SHIFT, delay];
    }
    let count = (i128::from(rate) << COUNT_SHIFT) / i128::from(delay.max(1));
    [i64::try_from(count).unwrap_or(i64::MAX), rate]
}

/// How many unlocks this one stands for at `fraction`, if `draw` chooses it. Larger fractions are taken as 2^31 - 1, of which a
/// machine sees one in half an hour.
pub(super) fn sample_unlock(fraction: i64, draw: u64) -> Option<u32> {
    let fraction = fraction.clamp(0, MAX_FRACTION) as u32;
    (fraction > 0 && draw.is_multiple_of(u64::from(fraction))).then_some(fraction)
}

const MAX_FRACTION: i64 = i32::MAX as i64;

/// xorshift64*, per thread: samples must be independent of the program, not secret.
pub(super) fn random() -> u64 {
    thread_local! {
        // No destructor: usable while the thread is being torn down.
        static STATE: Cell<u64> = const { Cell::new(0) };
    }
    let mut x = STATE.get();
    if x == 0 {
        x = clock::ticks() ^ (STATE.with(|s| std::ptr::from_ref(s) as u64)).rotate_left(32) | 1;
    }
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    STATE.set(x);
    x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is seen of so many has bounds that are worth something.
    const SAMPLES: i64 = if cfg!(miri) { 4_000 } else { 400_000 };

    /// Total of many equal waits against the truth, over deterministic draws that cover the range evenly.
    fn totals(delay: i64, rate: i64, waits: i64) -> (f64, f64) {
        let (mut count, mut time) = (0.0, 0.0);
        for i in 0..waits {
            if let Some([c, t]) = sample_wait(delay, rate, random()) {
                count += c as f64 / f64::from(1 << COUNT_SHIFT);
                time += t as f64;
            }
            std::hint::black_box(i);
        }
        (count, time)
    }

    #[test]
    fn short_waits_are_weighted_without_bias() {
        for (delay, rate) in [(1_000, 10_000), (1_000, 100_000), (999, 1_000), (1_000, 1)] {
            let waits = SAMPLES;
            let (count, time) = totals(delay, rate, waits);
            // The number kept is binomial; six standard deviations of its share.
            let p = (delay as f64 / rate as f64).min(1.0);
            let bound = 6.0 * ((1.0 - p) / (p * waits as f64)).sqrt() + 1e-4;
            let (count_error, time_error) =
                (count / waits as f64 - 1.0, time / (waits * delay) as f64 - 1.0);
            assert!(count_error.abs() < bound, "{delay}/{rate}: count off by {count_error}");
            assert!(time_error.abs() < bound, "{delay}/{rate}: time off by {time_error}");
        }
    }

    #[test]
    fn unlocks_are_weighted_without_bias() {
        for fraction in [1, 2, 10, 100, 1_000] {
            let unlocks = SAMPLES;
            let weight = || sample_unlock(fraction, random()).map(i64::from);
            let sum: i64 = (0..unlocks).filter_map(|_| weight()).sum();
            // As above: a share of 1 / fraction is kept.
            let bound = 6.0 * ((fraction - 1) as f64 / unlocks as f64).sqrt() + 1e-9;
            let error = sum as f64 / unlocks as f64 - 1.0;
            assert!(error.abs() < bound, "{fraction}: off by {error}");
        }
        assert_eq!(sample_unlock(0, 0), None);
    }

    #[test]
    fn a_rate_of_zero_records_nothing_and_long_waits_are_always_kept() {
        assert_eq!(sample_wait(50, 0, 0), None);
        assert_eq!(sample_wait(50, -1, 0), None);
        for draw in [0, 1, u64::MAX] {
            assert_eq!(sample_wait(50, 50, draw), Some([1 << COUNT_SHIFT, 50]));
            assert_eq!(sample_wait(i64::MAX, 50, draw), Some([1 << COUNT_SHIFT, i64::MAX]));
        }
    }
}
