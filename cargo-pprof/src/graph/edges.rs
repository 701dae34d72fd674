//! Finding the edge between two nodes.

use std::collections::HashMap;

use super::{Edge, EdgeId, Node, NodeId};

/// The edges of a graph that is being built.
#[derive(Debug, Default)]
pub(super) struct Edges {
    pub(super) all: Vec<Edge>,
    known: HashMap<u64, EdgeId, foldhash::fast::RandomState>,
}

impl Edges {
    /// The edge from one node to another, made if need be.
    #[inline]
    pub(super) fn between(&mut self, nodes: &mut [Node], caller: NodeId, callee: NodeId) -> EdgeId {
        let key = u64::from(caller) << 32 | u64::from(callee);
        *self.known.entry(key).or_insert_with(|| {
            let id = self.all.len() as EdgeId;
            nodes[caller as usize].callees.push(id);
            nodes[callee as usize].callers.push(id);
            self.all.push(Edge {
                caller,
                callee,
                weight: 0,
                weight_div: 0,
                is_residual: false,
                is_inline: true,
            });
            id
        })
    }

    #[inline]
    pub(super) fn add(
        &mut self,
        id: EdgeId,
        value: i64,
        divisor: i64,
        is_residual: bool,
        is_inline: bool,
    ) {
        let edge = &mut self.all[id as usize];
        edge.weight = edge.weight.wrapping_add(value);
        edge.weight_div = edge.weight_div.wrapping_add(divisor);
        edge.is_residual |= is_residual;
        edge.is_inline &= is_inline;
    }
}
