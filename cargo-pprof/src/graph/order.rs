//! In which order nodes and edges are shown: by all they have, so that the same profile gives the same bytes.

use std::cmp::{Ordering, Reverse};

use super::{EdgeId, Graph, Info, NodeId};
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
                    Order::Entropy => self.entropy(id),
                };
                // As the reference has it, the magnitude of the least number is below zero.
                (size(score), id)
            })
            .collect();
        let info = |id: NodeId| self.info(self.node(id));
        keyed.sort_by(|(a_score, a), (b_score, b)| {
            let by_score = signed(*b_score).cmp(&signed(*a_score));
            by_score
                .then_with(|| compare_names(&info(*a), &info(*b), texts))
                .then_with(|| {
                    let rest = |id: NodeId| {
                        let n = self.node(id);
                        (Reverse(size(n.cum)), Reverse(size(n.flat)), Reverse(n.cum), info(id))
                    };
                    rest(*a).cmp(&rest(*b))
                })
                .then(a.cmp(b))
        });
        self.shown = keyed.into_iter().map(|(_, id)| id).collect();
    }

    /// Nodes with simple lines of calls through them score low.
    fn entropy(&self, id: NodeId) -> i64 {
        let node = self.node(id);
        let callers = self.edge_entropy(self.callers(id), 0);
        let score = callers + self.edge_entropy(self.callees(id), node.flat);
        to_integer(score * node.cum as f64).wrapping_add(node.flat)
    }

    fn edge_entropy(&self, edges: impl ExactSizeIterator<Item = EdgeId> + Clone, own: i64) -> f64 {
        if edges.len() == 0 {
            return 1.0;
        }
        let weights = || edges.clone().map(|id| self.edge(id).weight);
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
    pub fn sorted_edges(&self, edges: impl Iterator<Item = EdgeId>, texts: &Texts) -> Vec<EdgeId> {
        let mut edges: Vec<EdgeId> = edges.collect();
        let info = |id: NodeId| self.info(self.node(id));
        let name = |id: NodeId| info(id).printable(texts);
        edges.sort_by(|&a, &b| {
            let (x, y) = (self.edge(a), self.edge(b));
            let sizes = signed(size(y.weight)).cmp(&signed(size(x.weight)));
            sizes
                .then_with(|| name(x.caller).cmp(&name(y.caller)))
                .then_with(|| name(x.callee()).cmp(&name(y.callee())))
                .then(y.weight.cmp(&x.weight))
                .then_with(|| info(x.caller).cmp(&info(y.caller)))
                .then_with(|| info(x.callee()).cmp(&info(y.callee())))
                .then(a.cmp(&b))
        });
        edges
    }
}

fn compare_names(a: &Info, b: &Info, texts: &Texts) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let (x, y) = (a.address, b.address);
    if x != 0 && y != 0 && x != y {
        return x.cmp(&y);
    }
    a.printable(texts).cmp(&b.printable(texts))
}

/// The magnitude, wrapping as the reference's does.
fn size(value: i64) -> u64 {
    value.wrapping_abs().cast_unsigned()
}

fn signed(size: u64) -> i64 {
    size.cast_signed()
}
