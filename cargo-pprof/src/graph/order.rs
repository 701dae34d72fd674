//! In which order nodes and edges are shown: by all they have, so that the same profile gives the same bytes.

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};

use super::{EdgeId, Graph, Node, NodeId};
use crate::measurement::to_integer;
use crate::profile::Texts;

/// What nodes are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Flat,
    Cum,
    /// How much a picture tells with a node in it.
    Entropy,
}

impl Graph {
    pub(super) fn sort(&mut self, order: Order, texts: &Texts) {
        let mut keyed: Vec<(u64, NodeId)> = self
            .shown
            .iter()
            .map(|&id| {
                let node = self.node(id);
                let score = match order {
                    Order::Flat => node.flat,
                    Order::Cum => node.cum,
                    Order::Entropy => self.entropy(node),
                };
                // As the reference has it, the magnitude of the least number is below zero.
                (size(score), id)
            })
            .collect();
        let nodes = &self.nodes;
        let printable = |id: NodeId| nodes[id as usize].info.printable(texts);
        keyed.sort_by(|(a_score, a), (b_score, b)| {
            let (x, y) = (&nodes[*a as usize], &nodes[*b as usize]);
            let by_score = signed(*b_score).cmp(&signed(*a_score));
            by_score
                .then_with(|| compare_names(x, y, || (printable(*a), printable(*b))))
                .then_with(|| {
                    let rest = |n: &Node| {
                        (Reverse(size(n.cum)), Reverse(size(n.flat)), Reverse(n.cum), n.info)
                    };
                    rest(x).cmp(&rest(y))
                })
                .then(a.cmp(b))
        });
        self.shown = keyed.into_iter().map(|(_, id)| id).collect();
    }

    /// Nodes with simple lines of calls through them score low.
    fn entropy(&self, node: &Node) -> i64 {
        let of = |edges: &[EdgeId], own: i64| {
            if edges.is_empty() { 1.0 } else { self.edge_entropy(edges, own) }
        };
        let score = of(node.callers(), 0) + of(node.callees(), node.flat);
        to_integer(score * node.cum as f64).wrapping_add(node.flat)
    }

    fn edge_entropy(&self, edges: &[EdgeId], own: i64) -> f64 {
        let weights = || edges.iter().map(|id| self.edge(*id).weight);
        let total = weights().filter(|w| *w > 0).fold(own, i64::wrapping_add);
        if total == 0 {
            return 0.0;
        }
        let part = |weight: i64| {
            let part = weight.wrapping_abs() as f64 / total as f64;
            -part * part.log2()
        };
        let own = if own > 0 { part(own) } else { 0.0 };
        weights().map(part).sum::<f64>() + own
    }

    /// Edges, the heaviest first, and then by the names at their ends.
    #[must_use]
    pub fn sorted_edges(&self, edges: &[EdgeId], texts: &Texts) -> Vec<EdgeId> {
        let mut edges = edges.to_vec();
        let name = |id: NodeId| self.node(id).info.printable(texts);
        edges.sort_by(|&a, &b| {
            let (x, y) = (self.edge(a), self.edge(b));
            let sizes = signed(size(y.weight)).cmp(&signed(size(x.weight)));
            sizes
                .then_with(|| name(x.caller).cmp(&name(y.caller)))
                .then_with(|| name(x.callee()).cmp(&name(y.callee())))
                .then(y.weight.cmp(&x.weight))
                .then_with(|| self.node(x.caller).info.cmp(&self.node(y.caller).info))
                .then_with(|| self.node(x.callee()).info.cmp(&self.node(y.callee()).info))
                .then(a.cmp(&b))
        });
        edges
    }
}

fn compare_names<'t>(
    a: &Node,
    b: &Node,
    printable: impl FnOnce() -> (Cow<'t, str>, Cow<'t, str>),
) -> Ordering {
    if a.info == b.info {
        return Ordering::Equal;
    }
    let (x, y) = (a.info.address, b.info.address);
    if x != 0 && y != 0 && x != y {
        return x.cmp(&y);
    }
    let (x, y) = printable();
    x.cmp(&y)
}

/// The magnitude, wrapping as the reference's does.
fn size(value: i64) -> u64 {
    value.wrapping_abs().cast_unsigned()
}

fn signed(size: u64) -> i64 {
    size.cast_signed()
}
