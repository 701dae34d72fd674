//! Which calls on a path are looked at by a clock, where not all are.
//!
//! The distance from one that is to the next is drawn from 1 to 2 N - 1, N in the mean: a fixed one would see the same of every loop whose
//! length it divides. What is seen counts N times. That is right for every call, the first ones too, if each is seen with a chance of 1 in N:
//! so the first distance has to be drawn as if the calls had begun long ago, at a moment in a distance of which the long ones take up more.
//! It is then k with a chance of (2 N - k) / (N (2 N - 1)), as is the lesser of two different numbers up to 2 N.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::site::Site;

/// Of one path. Written and read by its thread alone: all loads and stores are Relaxed.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Looks {
    /// How many calls there are before the one to look at: no store is needed for those that are not. Zero until that is drawn, which is never where
    /// no call decides.
    at: AtomicU64,
    /// How far that one is from the last; zero before the first.
    distance: AtomicU32,
    /// As `distance` when that was set, of each clock; `NEVER` if it is not used.
    time: AtomicU32,
    cpu: AtomicU32,
    decided: Decided,
}

/// For which clocks calls on a path do not decide by themselves whether they are looked at, as a sampled call around them does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) time: bool,
    pub(crate) cpu: bool,
}

impl Decided {
    pub(crate) const NONE: Decided = Decided { time: false, cpu: false };
    pub(crate) const ALL: Decided = Decided { time: true, cpu: true };

    /// Of what a call of `site` calls, this being said of that one.
    pub(crate) fn inside(self, site: &Site) -> Decided {
        let inside = |every, outside| match every {
            0 => outside,
            every => every != 1,
        };
        Decided { time: inside(site.time(), self.time), cpu: inside(site.cpu(), self.cpu) }
    }
}

const NEVER: u32 = u32::MAX;

/// How often a call counts by each clock that looks at it; zero for one that does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weights {
    pub(crate) time: u32,
    pub(crate) cpu: u32,
}

impl Looks {
    pub(super) const fn new(decided: Decided) -> Looks {
        Looks {
            at: AtomicU64::new(0),
            distance: AtomicU32::new(0),
            time: AtomicU32::new(0),
            cpu: AtomicU32::new(0),
            decided,
        }
    }

    #[inline(always)]
    pub(crate) fn decided(&self) -> Decided {
        self.decided
    }

    /// Whether a call that so many came before is the one to look at. Always so where that is decided for all of them.
    #[inline(always)]
    pub(crate) fn is_due(&self, before: u64) -> bool {
        before >= self.at.load(Ordering::Relaxed)
    }

    /// A call was counted that does not decide, on a path of which others do.
    pub(crate) fn leave_out(&self) {
        let at = self.at.load(Ordering::Relaxed);
        self.at.store(if at == 0 { 0 } else { at + 1 }, Ordering::Relaxed);
    }

    /// What a call counts that is due.
    pub(crate) fn take(&self, site: &Site, random: &mut Random, before: u64) -> Weights {
        let mut weights = Weights::default();
        if self.distance.load(Ordering::Relaxed) == 0 {
            self.time.store(first(site.time(), random), Ordering::Relaxed);
            self.cpu.store(first(site.cpu(), random), Ordering::Relaxed);
            // This call is the first of them.
            self.draw(before.wrapping_sub(1));
            if !self.is_due(before) {
                return weights;
            }
        }
        let distance = self.distance.load(Ordering::Relaxed);
        for (clock, every, weight) in [
            (&self.time, site.time(), &mut weights.time),
            (&self.cpu, site.cpu(), &mut weights.cpu),
        ] {
            let left = clock.load(Ordering::Relaxed);
            if left == distance && every != 0 {
                *weight = every;
                clock.store(random.up_to(2 * every - 1), Ordering::Relaxed);
            } else if left != NEVER {
                clock.store(left - distance, Ordering::Relaxed);
            }
        }
        self.draw(before);
        weights
    }

    fn draw(&self, from: u64) {
        let next = self.time.load(Ordering::Relaxed).min(self.cpu.load(Ordering::Relaxed));
        self.distance.store(next, Ordering::Relaxed);
        self.at.store(from.wrapping_add(u64::from(next)), Ordering::Relaxed);
    }
}

/// The first distance, 1 of `every` calls being looked at.
fn first(every: u32, random: &mut Random) -> u32 {
    if every == 0 {
        return NEVER;
    }
    let one = random.up_to(2 * every);
    let other = random.up_to(2 * every - 1);
    one.min(if other >= one { other + 1 } else { other })
}

/// Numbers without a pattern, by xorshift (Marsaglia, 2003).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Random {
        // Zero would stay zero.
        Random(seed | 1)
    }

    /// From 1 to `most`, which is not zero.
    fn up_to(&mut self, most: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        1 + (((self.0 >> 32) * u64::from(most)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of so many runs of so many calls, how often each call is looked at, by both clocks, times what it counts.
    fn seen(site: &Site, calls: usize, runs: usize) -> Vec<[f64; 2]> {
        let mut random = Random::new(42);
        let mut seen = vec![[0.0; 2]; calls];
        for _ in 0..runs {
            let looks = Looks::new(Decided::NONE);
            for (call, seen) in seen.iter_mut().enumerate() {
                if looks.is_due(call as u64) {
                    let weights = looks.take(site, &mut random, call as u64);
                    seen[0] += f64::from(weights.time) / runs as f64;
                    seen[1] += f64::from(weights.cpu) / runs as f64;
                }
            }
        }
        seen
    }

    /// Not by Miri, which would take a quarter of an hour for the millions of calls; there is nothing unsafe here.
    #[cfg(not(miri))]
    #[test]
    fn every_call_counts_once_in_the_mean_the_first_ones_too() {
        let site = Site::new("", || "", "", 1).looked_at(8, 3);
        for (call, [time, cpu]) in seen(&site, 40, 40_000).into_iter().enumerate() {
            // Standard deviations: sqrt(7 / 40 000) and sqrt(2 / 40 000).
            assert!((time - 1.0).abs() < 5.0 * 0.0133, "{call}: {time}");
            assert!((cpu - 1.0).abs() < 5.0 * 0.0071, "{call}: {cpu}");
        }
    }

    #[test]
    fn what_a_sampled_call_decides_holds_until_one_is_timed_exactly() {
        let site = |time, cpu| Site::new("", || "", "", 1).looked_at(time, cpu);
        let (sampled, exact) = (site(8, 0), site(1, 0));
        let inside = Decided::NONE.inside(&sampled);
        assert_eq!(inside, Decided { time: true, cpu: false });
        assert_eq!(inside.inside(&site(0, 0)), inside);
        assert_eq!(inside.inside(&site(0, 9)), Decided::ALL);
        assert_eq!(inside.inside(&exact), Decided::NONE);
        assert_eq!(Decided::ALL.inside(&exact), Decided { time: false, cpu: true });
    }

    #[test]
    fn a_call_that_is_left_out_moves_the_one_to_look_at() {
        let site = Site::new("", || "", "", 1).looked_at(1_000_000, 0);
        let looks = Looks::new(Decided::NONE);
        let mut random = Random::new(0x9E37_79B9_7F4A_7C15);
        assert!(looks.is_due(0), "the first one, to draw");
        looks.leave_out();
        assert!(looks.is_due(1), "still");
        assert_eq!(looks.take(&site, &mut random, 1), Weights::default());
        let at = looks.at.load(Ordering::Relaxed);
        assert!(at > 2 && !looks.is_due(2) && !looks.is_due(at - 1));
        looks.leave_out();
        assert!(!looks.is_due(at) && looks.is_due(at + 1));
    }

    #[test]
    fn one_of_one_is_all_and_one_of_none_is_none() {
        let site = Site::new("", || "", "", 1).looked_at(1, 0);
        assert!(seen(&site, 10, 3).iter().all(|[time, cpu]| (*time, *cpu) == (1.0, 0.0)));
        let site = Site::new("", || "", "", 1).looked_at(0, 0);
        assert!(seen(&site, 10, 3).iter().all(|[time, cpu]| (*time, *cpu) == (0.0, 0.0)));
    }
}
