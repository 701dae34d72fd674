//! The edges of a graph that is being built.
//!
//! A frame asks for the edge from its caller: a hundred times for each sample, and mostly for one of a few. So each node has its own list, in which
//! those that are asked for come to the front, with all that a sample changes in one place. Lists are more than caches hold: frames are put down
//! first, and then looked at in the order of their callers.

use std::collections::HashMap;
use std::hash::BuildHasher;

use hashbrown::HashTable;

use super::{Edge, EdgeId, Node, NodeId};

/// Calls from a node to another: small, as there may be more than caches hold.
#[derive(Clone, Copy, Debug)]
struct Call {
    callee: Callee,
    /// The last sample that it was seen in.
    seen: u32,
    weight: i64,
}

/// A node, and in the two highest bits what is known of the calls to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Callee(u32);

/// By caller and callee.
pub(super) type Divisors = HashMap<(NodeId, NodeId), i64, foldhash::fast::RandomState>;

impl Callee {
    const RESIDUAL: u32 = 1 << 31;
    const NOT_INLINE: u32 = 1 << 30;

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

    /// Called by another, over what was between.
    pub(super) fn over(self, between: Callee) -> Callee {
        Callee(self.0 | Callee::RESIDUAL | between.0 & Callee::NOT_INLINE)
    }
}

/// Calls from one node.
#[derive(Debug, Default)]
struct Calls {
    list: Vec<Call>,
    /// Where each is in a long list.
    places: HashTable<u32>,
}

/// A list that is longer than this is looked up in a table.
const LONG: usize = 24;

#[derive(Debug, Default)]
pub(super) struct Edges {
    of_nodes: Vec<Calls>,
    hasher: foldhash::fast::RandomState,
    /// What weights are a mean over, where that is asked for.
    divisors: Divisors,
    frames: Vec<Frame>,
    /// The samples that these are of.
    samples: Vec<Weight>,
    /// Calls and samples of `frames` by their callers, and where those of each caller end.
    by_caller: Vec<(Callee, u32)>,
    ends: Vec<u32>,
}

/// Frames that are looked at together: with all that goes with them they fit into a cache.
const BLOCK: usize = 1 << 18;

#[derive(Clone, Copy, Debug)]
struct Frame {
    caller: NodeId,
    callee: Callee,
    /// Index of the sample.
    sample: u32,
}

/// A sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight {
    /// Its number: each counts once.
    pub(super) sample: u32,
    pub(super) value: i64,
    pub(super) divisor: i64,
}

/// What a call of a sample is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) is_residual: bool,
    pub(super) is_inline: bool,
}

impl Edges {
    /// The next calls are of this sample.
    pub(super) fn start(&mut self, weight: Weight) {
        if self.frames.is_empty() {
            self.samples.clear();
        }
        self.samples.push(weight);
    }

    #[inline]
    pub(super) fn add(&mut self, caller: NodeId, callee: NodeId, kind: Kind) {
        let residual = u32::from(kind.is_residual) * Callee::RESIDUAL;
        let not_inline = u32::from(!kind.is_inline) * Callee::NOT_INLINE;
        let sample = self.samples.len() as u32 - 1;
        self.frames.push(Frame { caller, callee: Callee(callee | residual | not_inline), sample });
        if self.frames.len() == BLOCK {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let nodes = self.frames.iter().map(|frame| frame.caller as usize + 1).max().unwrap_or(0);
        if self.of_nodes.len() < nodes {
            self.of_nodes.resize_with(nodes, Calls::default);
        }
        let frames = std::mem::take(&mut self.frames);
        if nodes > BLOCK {
            // More callers than frames: nothing to be had.
            for frame in &frames {
                self.count(frame.caller, frame.callee, frame.sample);
            }
        } else {
            self.sort(&frames, nodes);
            let mut start = 0;
            for caller in 0..nodes {
                let end = self.ends[caller] as usize;
                for index in start..end {
                    let (callee, sample) = self.by_caller[index];
                    self.count(caller as NodeId, callee, sample);
                }
                start = end;
            }
        }
        self.frames = frames;
        self.frames.clear();
        // There may be more calls of the last one.
        let done = self.samples.len().saturating_sub(1);
        self.samples.drain(..done);
    }

    /// Fills `by_caller`; frames of a caller stay in their order.
    fn sort(&mut self, frames: &[Frame], nodes: usize) {
        self.ends.clear();
        self.ends.resize(nodes + 1, 0);
        for frame in frames {
            self.ends[frame.caller as usize + 1] += 1;
        }
        for caller in 0..nodes {
            self.ends[caller + 1] += self.ends[caller];
        }
        self.by_caller.resize(frames.len(), (Callee(0), 0));
        for frame in frames {
            let place = &mut self.ends[frame.caller as usize];
            self.by_caller[*place as usize] = (frame.callee, frame.sample);
            *place += 1;
        }
    }

    #[inline]
    fn count(&mut self, caller: NodeId, flagged: Callee, sample: u32) {
        let (callee, weight) = (flagged.node(), self.samples[sample as usize]);
        let call = self.of_nodes[caller as usize].find(callee, &self.hasher);
        if call.seen != weight.sample {
            call.seen = weight.sample;
            call.weight = call.weight.wrapping_add(weight.value);
            call.callee.0 |= flagged.0;
            if weight.divisor != 0 {
                let divisor = self.divisors.entry((caller, callee)).or_default();
                *divisor = divisor.wrapping_add(weight.divisor);
            }
        }
    }

    /// All, and each with the nodes that it is between.
    pub(super) fn finish(mut self, nodes: &mut [Node]) -> (Vec<Edge>, Divisors) {
        self.flush();
        let Edges { of_nodes, divisors, frames, by_caller, .. } = self;
        // What is not needed any more is not to be there beside the result.
        drop((frames, by_caller));
        let lists: Vec<Vec<Call>> = of_nodes.into_iter().map(|calls| calls.list).collect();
        let mut all = Vec::with_capacity(lists.iter().map(Vec::len).sum());
        for (caller, mut calls) in (0..).zip(lists) {
            // Not as they came to the front.
            calls.sort_unstable_by_key(|call| call.callee.node());
            for call in calls {
                let (id, callee) = (all.len() as EdgeId, call.callee.node());
                nodes[caller as usize].links_mut().callees.push(id);
                nodes[callee as usize].links_mut().callers.push(id);
                all.push(Edge { caller, callee: call.callee, weight: call.weight });
            }
        }
        (all, divisors)
    }
}

impl Calls {
    #[inline]
    fn find(&mut self, callee: NodeId, hasher: &impl BuildHasher) -> &mut Call {
        let Calls { list, places } = self;
        if list.len() > LONG {
            return Calls::find_long(list, places, callee, hasher);
        }
        let at = match list.iter().position(|call| call.callee.node() == callee) {
            Some(0) => 0,
            Some(at) => {
                list.swap(at, at - 1);
                at - 1
            }
            None => {
                list.push(Call::to(callee));
                if list.len() > LONG {
                    for (call, at) in list.iter().zip(0..) {
                        let hash = |at: &u32| hasher.hash_one(list[*at as usize].callee.node());
                        places.insert_unique(hasher.hash_one(call.callee.node()), at, hash);
                    }
                }
                list.len() - 1
            }
        };
        &mut list[at]
    }

    fn find_long<'c>(
        list: &'c mut Vec<Call>,
        places: &mut HashTable<u32>,
        callee: NodeId,
        hasher: &impl BuildHasher,
    ) -> &'c mut Call {
        let hash = hasher.hash_one(callee);
        let known = places.find(hash, |at| list[*at as usize].callee.node() == callee);
        let at = known.copied().unwrap_or_else(|| {
            let at = list.len() as u32;
            list.push(Call::to(callee));
            let rehash = |at: &u32| hasher.hash_one(list[*at as usize].callee.node());
            places.insert_unique(hash, at, rehash);
            at
        });
        &mut list[at as usize]
    }
}

impl Call {
    fn to(callee: NodeId) -> Call {
        Call { callee: Callee(callee), seen: 0, weight: 0 }
    }
}
