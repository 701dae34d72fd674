//! The edges of a graph that is being built.
//!
//! A frame asks for the edge from its caller: a hundred times for each sample, and there are more edges than caches hold, and so many that all they
//! have is to be small. So frames are put down first. When there are enough of them they are sorted as edges are, and added to these from the first to
//! the last: nothing is looked up.

use std::collections::HashMap;

use super::{Edge, NodeId};

/// A node, and in the two highest bits what is known of the calls to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Callee(u32);

/// By caller and callee.
pub(super) type Divisors = HashMap<(NodeId, NodeId), i64, foldhash::fast::RandomState>;

impl Callee {
    const RESIDUAL: u32 = 1 << 31;
    const NOT_INLINE: u32 = 1 << 30;

    #[inline]
    pub(super) fn new(node: NodeId, kind: Kind) -> Callee {
        let residual = u32::from(kind.is_residual) * Callee::RESIDUAL;
        let not_inline = u32::from(!kind.is_inline) * Callee::NOT_INLINE;
        Callee(node | residual | not_inline)
    }

    #[inline]
    pub(super) fn node(self) -> NodeId {
        self.0 & !(Callee::RESIDUAL | Callee::NOT_INLINE)
    }

    pub(super) fn is_residual(self) -> bool {
        self.0 & Callee::RESIDUAL != 0
    }

    pub(super) fn is_inline(self) -> bool {
        self.0 & Callee::NOT_INLINE == 0
    }

    /// With what is known of others.
    pub(super) fn and(self, other: Callee) -> Callee {
        Callee(self.0 | other.0)
    }

    /// Called by another, over what was between.
    pub(super) fn over(self, between: Callee) -> Callee {
        Callee(self.0 | Callee::RESIDUAL | between.0 & Callee::NOT_INLINE)
    }
}

/// How many frames are put down before they are added: one of `PART` of all that there may be, as far as they fit into a cache. Each time all nodes and
/// edges are gone through, so there is a frame for every `SHARE` of them at least, and never fewer than take no time to speak of.
const PART: usize = 32;
const MOST: usize = 1 << 18;
const FEWEST: usize = 1 << 14;
const SHARE: usize = 8;

#[derive(Debug)]
pub(super) struct Edges {
    /// Of all frames before, by their callers and then by their callees.
    all: Vec<Edge>,
    /// Of the frames that are being added, those that are not among them yet.
    new: Vec<Edge>,
    /// What weights are a mean over, where that is asked for.
    divisors: Divisors,
    frames: Vec<Frame>,
    /// So many of them are put down before they are added.
    limit: usize,
    /// The same while there are few edges.
    part: usize,
    /// The samples that these are of.
    samples: Vec<Weight>,
    /// Where the frames of the last one begin.
    start: usize,
    /// Calls and samples of `frames` by their callers, and where those of each caller end.
    by_caller: Vec<(Callee, u32)>,
    ends: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    caller: NodeId,
    callee: Callee,
    /// Index of the sample.
    sample: u32,
}

/// What a sample counts, once in each edge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight {
    pub(super) value: i64,
    pub(super) divisor: i64,
}

/// What a call of a sample is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) is_residual: bool,
    pub(super) is_inline: bool,
}

impl Frame {
    fn ends(&self) -> (NodeId, NodeId) {
        (self.caller, self.callee.node())
    }
}

impl Edges {
    /// Of samples with so many locations.
    pub(super) fn of(locations: usize) -> Edges {
        let part = (locations / PART).clamp(FEWEST, MOST);
        Edges {
            // At once, as what grows leaves its smaller selves behind, and what is not used of it takes no memory.
            all: Vec::with_capacity(4 * part),
            new: Vec::with_capacity(part),
            divisors: Divisors::default(),
            frames: Vec::with_capacity(part),
            by_caller: Vec::with_capacity(part),
            part,
            limit: part,
            samples: Vec::new(),
            start: 0,
            ends: Vec::new(),
        }
    }

    /// The next calls are of this sample.
    pub(super) fn start(&mut self, weight: Weight) {
        self.start = self.frames.len();
        self.samples.push(weight);
    }

    #[inline]
    pub(super) fn add(&mut self, caller: NodeId, callee: NodeId, kind: Kind) {
        if self.frames.len() >= self.limit {
            self.make_room();
        }
        let sample = self.samples.len() as u32 - 1;
        self.frames.push(Frame { caller, callee: Callee::new(callee, kind), sample });
    }

    /// Adds the frames of all samples but the last, which counts once in an edge: of its own there are those that do.
    #[cold]
    fn make_room(&mut self) {
        let mut own = self.frames.split_off(self.start);
        let weight = self.samples.pop();
        self.flush();
        own.sort_by_key(Frame::ends);
        own.dedup_by_key(|frame| frame.ends());
        own.iter_mut().for_each(|frame| frame.sample = 0);
        self.limit = self.limit.max(2 * own.len());
        self.frames.append(&mut own);
        self.start = 0;
        self.samples.extend(weight);
    }

    /// Adds all frames.
    fn flush(&mut self) {
        let callers = self.sort();
        let Edges { all, new, divisors, samples, by_caller, ends, .. } = self;
        let mut known = all.iter_mut().peekable();
        let mut start = 0;
        for caller in 0..callers {
            let end = ends[caller as usize] as usize;
            let calls = &mut by_caller[start..end];
            start = end;
            // Those of a callee stay in their order.
            calls.sort_by_key(|(callee, _)| callee.node());
            for same in calls.chunk_by(|(one, _), (other, _)| one.node() == other.node()) {
                let callee = same[0].0.node();
                let key = (caller, callee);
                while known.next_if(|edge| edge.ends() < key).is_some() {}
                let edge = match known.next_if(|edge| edge.ends() == key) {
                    Some(edge) => edge,
                    None => {
                        new.push(Edge { caller, callee: Callee(callee), weight: 0 });
                        let last = new.len() - 1;
                        &mut new[last]
                    }
                };
                let mut last = None;
                for &(callee, sample) in same {
                    if last.replace(sample) == Some(sample) {
                        continue;
                    }
                    let Weight { value, divisor } = samples[sample as usize];
                    edge.callee = edge.callee.and(callee);
                    edge.weight = edge.weight.wrapping_add(value);
                    if divisor != 0 {
                        let sum = divisors.entry(key).or_default();
                        *sum = sum.wrapping_add(divisor);
                    }
                }
            }
        }
        merge(all, new);
        self.limit = self.part.max((self.all.len() + callers as usize) / SHARE);
        self.frames.clear();
        self.samples.clear();
    }

    /// Fills `by_caller`; frames of a caller stay in their order. All callers are less than what it gives.
    fn sort(&mut self) -> NodeId {
        let Edges { frames, by_caller, ends, .. } = self;
        let callers = frames.iter().map(|frame| frame.caller + 1).max().unwrap_or(0);
        ends.clear();
        ends.resize(callers as usize + 1, 0);
        for frame in &*frames {
            ends[frame.caller as usize + 1] += 1;
        }
        for caller in 0..callers as usize {
            ends[caller + 1] += ends[caller];
        }
        by_caller.resize(frames.len(), (Callee(0), 0));
        for frame in &*frames {
            let place = &mut ends[frame.caller as usize];
            by_caller[*place as usize] = (frame.callee, frame.sample);
            *place += 1;
        }
        callers
    }

    /// All, by their callers and then by their callees.
    pub(super) fn finish(mut self) -> (Vec<Edge>, Divisors) {
        self.flush();
        (self.all, self.divisors)
    }
}

/// Puts new edges between those that are there, from the last to the first: there is no room for all of them twice. Both are sorted.
fn merge(all: &mut Vec<Edge>, new: &mut Vec<Edge>) {
    let mut from = all.len();
    all.extend_from_slice(new);
    let mut to = all.len();
    while let Some(edge) = new.pop() {
        while from > 0 && all[from - 1].ends() > edge.ends() {
            (from, to) = (from - 1, to - 1);
            all[to] = all[from];
        }
        to -= 1;
        all[to] = edge;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Calls between a hundred nodes, some of them several times in a sample.
    fn calls(sample: u32) -> impl Iterator<Item = (NodeId, NodeId, Kind)> {
        (0..60).map(move |at: u32| {
            let of = |factor: u32| (sample * 60 + at % 50).wrapping_mul(factor) >> 20;
            let kind = Kind { is_residual: of(77_777) % 64 == 0, is_inline: of(99_999) % 3 != 0 };
            (of(2_654_435_761) % 100, of(40_503_001) % (1 + sample % 100), kind)
        })
    }

    #[test]
    fn an_edge_has_of_each_sample_what_the_first_call_says() {
        let samples = 3 * FEWEST as u32 / 60;
        let mut edges = Edges::of(0);
        let mut expected: BTreeMap<(NodeId, NodeId), (u32, i64, i64)> = BTreeMap::new();
        for sample in 0..samples {
            let weight = Weight { value: i64::from(sample) - 100, divisor: i64::from(sample % 2) };
            edges.start(weight);
            let mut seen = BTreeMap::new();
            for (caller, callee, kind) in calls(sample) {
                edges.add(caller, callee, kind);
                seen.entry((caller, callee)).or_insert(Callee::new(callee, kind));
            }
            for (ends, callee) in seen {
                let (flags, value, divisor) = expected.entry(ends).or_default();
                *flags |= callee.0;
                (*value, *divisor) = (*value + weight.value, *divisor + weight.divisor);
            }
        }
        let (found, divisors) = edges.finish();
        let found = found.iter().map(|edge| {
            let divisor = divisors.get(&edge.ends()).copied().unwrap_or(0);
            (edge.ends(), (edge.callee.0, edge.weight, divisor))
        });
        assert!(found.eq(expected));
    }

    #[test]
    fn a_sample_longer_than_fits_counts_once() {
        let mut edges = Edges::of(0);
        let kind = Kind { is_residual: false, is_inline: false };
        for value in [1, 2] {
            edges.start(Weight { value, divisor: 0 });
            (0..3 * FEWEST as u32).for_each(|at| edges.add(at % 10, at % 7, kind));
        }
        assert!(edges.frames.capacity() < 2 * FEWEST, "{}", edges.frames.capacity());
        let (found, _) = edges.finish();
        assert_eq!(found.iter().map(|edge| edge.weight).collect::<Vec<_>>(), [3; 70]);
    }

    #[test]
    fn what_is_merged_is_sorted() {
        let edge = |&caller: &NodeId| Edge { caller, callee: Callee(0), weight: 1 };
        for (all, others) in [(&[][..], &[1, 2][..]), (&[1, 4, 6], &[0, 5, 7, 8]), (&[3, 4], &[])] {
            let mut merged = all.iter().map(edge).collect();
            merge(&mut merged, &mut others.iter().map(edge).collect());
            let mut expected = [all, others].concat();
            expected.sort_unstable();
            assert_eq!(merged.iter().map(|edge| edge.caller).collect::<Vec<_>>(), expected);
        }
    }
}
