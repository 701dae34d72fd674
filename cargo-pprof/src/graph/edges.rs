//! The edges of a graph that is being built.
//!
//! A frame asks for the edge from its caller: a hundred times for each sample, and mostly for one of a few. So each node has its own list, in which
//! those that are asked for come to the front, with all that a sample changes in one place.

use std::collections::HashMap;

use super::{Edge, EdgeId, Node, NodeId};

/// Calls from a node to another.
#[derive(Clone, Copy, Debug)]
struct Call {
    callee: NodeId,
    /// The last sample that it was seen in.
    seen: u32,
    weight: i64,
    weight_div: i64,
    is_residual: bool,
    is_inline: bool,
}

/// A list that is longer than this is looked up in a table.
const LONG: usize = 24;

#[derive(Debug, Default)]
pub(super) struct Edges {
    of_nodes: Vec<Vec<Call>>,
    /// Of nodes with long lists: where in these.
    long: HashMap<(NodeId, NodeId), u32, foldhash::fast::RandomState>,
}

/// What a frame of a sample adds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Added {
    /// Number of the sample: each counts once.
    pub(super) sample: u32,
    pub(super) value: i64,
    pub(super) divisor: i64,
    pub(super) is_residual: bool,
    pub(super) is_inline: bool,
}

impl Edges {
    #[inline]
    pub(super) fn add(&mut self, caller: NodeId, callee: NodeId, added: Added) {
        if self.of_nodes.len() <= caller as usize {
            self.of_nodes.resize_with(caller as usize + 1, Vec::new);
        }
        let calls = &mut self.of_nodes[caller as usize];
        let call = if calls.len() > LONG {
            let next = calls.len() as u32;
            let at = *self.long.entry((caller, callee)).or_insert(next);
            if at == next {
                calls.push(Call::to(callee));
            }
            &mut calls[at as usize]
        } else {
            match calls.iter().position(|call| call.callee == callee) {
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
                        self.long.extend(places.map(|(call, at)| ((caller, call.callee), at)));
                    }
                    &mut calls[last]
                }
            }
        };
        if call.seen != added.sample {
            call.seen = added.sample;
            call.weight = call.weight.wrapping_add(added.value);
            call.weight_div = call.weight_div.wrapping_add(added.divisor);
            call.is_residual |= added.is_residual;
            call.is_inline &= added.is_inline;
        }
    }

    /// All, and each with the nodes that it is between.
    pub(super) fn finish(self, nodes: &mut [Node]) -> Vec<Edge> {
        let mut all = Vec::with_capacity(self.of_nodes.iter().map(Vec::len).sum());
        for (caller, mut calls) in (0..).zip(self.of_nodes) {
            // Not as they came to the front.
            calls.sort_unstable_by_key(|call| call.callee);
            for call in calls {
                let id = all.len() as EdgeId;
                nodes[caller as usize].callees.push(id);
                nodes[call.callee as usize].callers.push(id);
                let Call { callee, weight, weight_div, is_residual, is_inline, .. } = call;
                all.push(Edge { caller, callee, weight, weight_div, is_residual, is_inline });
            }
        }
        all
    }
}

impl Call {
    fn to(callee: NodeId) -> Call {
        Call { callee, seen: 0, weight: 0, weight_div: 0, is_residual: false, is_inline: true }
    }
}
