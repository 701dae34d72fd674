//! Who calls whom, and what is spent where.
//!
//! Nodes and edges are numbers into vectors. A node is what a report tells apart: a function, a line or an address, or in a call tree a function in
//! one context. It is found once for each location, not for each frame of each sample.

mod build;
mod column;
mod edges;
mod info;
mod links;
mod nodes;
mod order;
mod shorten;
mod sites;
mod tags;
mod trim;

use edges::{Callee, Divisors};
use links::Links;

pub use build::{Builder, EdgesOf, Options};
pub use info::{Info, Infos};
pub use nodes::{Node, Nodes};
pub use shorten::{shorten, without_modules};
pub use sites::Sites;
pub use tags::{Names, Tag};
pub use trim::{MAX_TAGS, Trim, Trimmed, trimmed};

/// Index of a node.
pub type NodeId = u32;

/// Index of an edge.
pub type EdgeId = u32;

/// Calls from one node to another: small, as there may be more than caches hold.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    /// Who calls.
    pub caller: NodeId,
    callee: Callee,
    /// Spent in these calls.
    pub weight: i64,
}

impl Edge {
    /// Who is called.
    #[must_use]
    pub fn callee(&self) -> NodeId {
        self.callee.node()
    }

    /// Who calls, and who is called: what edges are sorted by.
    fn ends(&self) -> (NodeId, NodeId) {
        (self.caller, self.callee())
    }

    /// It goes over nodes that are left out.
    #[must_use]
    pub fn is_residual(&self) -> bool {
        self.callee.is_residual()
    }

    /// The calls were inlined, all of them.
    #[must_use]
    pub fn is_inline(&self) -> bool {
        self.callee.is_inline()
    }
}

/// A value, or what it is on the mean if it is of several.
pub(crate) fn mean(value: i64, divisor: i64) -> i64 {
    if divisor == 0 { value } else { value.wrapping_div(divisor) }
}

/// Nodes and the calls between them.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// What nodes are: those of a tree that are the same in other contexts have one.
    pub infos: Infos,
    /// All nodes, also those that are not shown.
    pub nodes: Nodes,
    /// All edges, also those that no node names any more.
    pub edges: Vec<Edge>,
    callers: Links,
    callees: Links,
    /// What weights of edges are a mean over, where that is asked for.
    divisors: Divisors,
    /// The nodes that are shown, in order.
    pub shown: Vec<NodeId>,
    /// Parts of nodes, those of a node together.
    tags: Vec<(NodeId, Tag)>,
    /// What tags of nodes are called.
    pub names: Names,
}

impl Graph {
    /// The nodes that are shown, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Node> + Clone {
        self.shown.iter().map(|id| self.nodes.get(*id))
    }

    /// A node.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Node {
        self.nodes.get(id)
    }

    /// What a node is.
    #[must_use]
    pub fn info(&self, node: Node) -> Info {
        self.infos.get(node.info)
    }

    /// Calls to a node.
    #[must_use]
    pub fn callers(
        &self,
        id: NodeId,
    ) -> impl DoubleEndedIterator<Item = EdgeId> + ExactSizeIterator + Clone {
        self.callers.of(id)
    }

    /// Calls from a node.
    #[must_use]
    pub fn callees(
        &self,
        id: NodeId,
    ) -> impl DoubleEndedIterator<Item = EdgeId> + ExactSizeIterator + Clone {
        self.callees.of(id)
    }

    /// Parts of a node's values, by labels.
    pub fn tags(&self, id: NodeId) -> impl Iterator<Item = &Tag> + Clone {
        let start = self.tags.partition_point(|(of, _)| *of < id);
        self.tags[start..].iter().take_while(move |(of, _)| *of == id).map(|(_, tag)| tag)
    }

    /// Gives it edges in the place of those that it has. They are sorted by their callers.
    fn set_edges(&mut self, (edges, divisors): (Vec<Edge>, Divisors)) {
        self.callers = Links::new(self.nodes.len(), &edges, Edge::callee);
        self.callees = Links::in_rows(self.nodes.len(), &edges, |edge| edge.caller);
        (self.edges, self.divisors) = (edges, divisors);
    }

    /// An edge.
    #[must_use]
    pub fn edge(&self, id: EdgeId) -> &Edge {
        &self.edges[id as usize]
    }

    /// The weight of an edge, or its mean.
    #[must_use]
    pub fn value_of(&self, edge: &Edge) -> i64 {
        let divisor = self.divisors.get(&(edge.caller, edge.callee()));
        mean(edge.weight, divisor.copied().unwrap_or(0))
    }
}
