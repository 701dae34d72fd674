//! The edges of a graph that is being built.
//!
//! A frame asks for the edge from its caller: a hundred times for each sample, and mostly for one of a few. So each node has its own list, in which
//! those that are asked for come to the front, with all that a sample changes in one place. Lists are more than caches hold: frames are put down
//! first, and then looked at in the order of their callers.

use std::collections::HashMap;

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
struct Callee(u32);

impl Callee {
    const RESIDUAL: u32 = 1 << 31;
    const NOT_INLINE: u32 = 1 << 30;

    #[inline]
    fn node(self) -> NodeId {
        self.0 & !(Callee::RESIDUAL | Callee::NOT_INLINE)
    }
}

/// A list that is longer than this is looked up in a table.
const LONG: usize = 24;

#[derive(Debug, Default)]
pub(super) struct Edges {
    of_nodes: Vec<Vec<Call>>,
    /// What weights are a mean over, where that is asked for.
    divisors: HashMap<(NodeId, NodeId), i64, foldhash::fast::RandomState>,
    /// Of nodes with long lists: where in these.
    long: HashMap<(NodeId, NodeId), u32, foldhash::fast::RandomState>,
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
            self.of_nodes.resize_with(nodes, Vec::new);
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
        let calls = &mut self.of_nodes[caller as usize];
        let call = if calls.len() > LONG {
            let next = calls.len() as u32;
            let at = *self.long.entry((caller, callee)).or_insert(next);
            if at == next {
                calls.push(Call::to(callee));
            }
            &mut calls[at as usize]
        } else {
            match calls.iter().position(|call| call.callee.node() == callee) {
                Some(0) => &mut calls[0],
                Some(at) => {
                    calls.swap(at, at - 1);
                    &mut calls[at - 1]
                }
                None => {
                    calls.push(Call::to(callee));
                    let last = calls.len() - 1;
                    if last == LONG {
                        let places = calls.iter().zip(0..);
                        let places = places.map(|(call, at)| ((caller, call.callee.node()), at));
                        self.long.extend(places);
                    }
                    &mut calls[last]
                }
            }
        };
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
    pub(super) fn finish(mut self, nodes: &mut [Node]) -> Vec<Edge> {
        self.flush();
        // There is no room for more than one of both.
        let Edges { of_nodes, divisors, long, frames, by_caller, .. } = self;
        drop((long, frames, by_caller));
        let mut all = Vec::with_capacity(of_nodes.iter().map(Vec::len).sum());
        for (caller, mut calls) in (0..).zip(of_nodes) {
            // Not as they came to the front.
            calls.sort_unstable_by_key(|call| call.callee.node());
            for call in calls {
                let (id, callee) = (all.len() as EdgeId, call.callee.node());
                nodes[caller as usize].callees.push(id);
                nodes[callee as usize].callers.push(id);
                all.push(Edge {
                    caller,
                    callee,
                    weight: call.weight,
                    weight_div: divisors.get(&(caller, callee)).copied().unwrap_or(0),
                    is_residual: call.callee.0 & Callee::RESIDUAL != 0,
                    is_inline: call.callee.0 & Callee::NOT_INLINE == 0,
                });
            }
        }
        all
    }
}

impl Call {
    fn to(callee: NodeId) -> Call {
        Call { callee: Callee(callee), seen: 0, weight: 0 }
    }
}
