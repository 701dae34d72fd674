//! In which order nodes and edges are shown: by all they have, so that the same profile gives the same bytes.

use std::cmp::{Ordering, Reverse};

use super::{Edge, EdgeId, Graph, Info, Node, NodeId};
use crate::measurement::to_integer;
use crate::profile::Texts;

impl Graph {
    /// By a score of each node that is shown.
    pub(super) fn sort_by(&mut self, score: impl Fn(Node) -> i64, texts: &Texts) {
        let scores = self.iter().map(score).collect();
        self.sort_by_scores(scores, texts);
    }

    fn sort_by_scores(&mut self, scores: Vec<i64>, texts: &Texts) {
        // As the reference has it, the magnitude of the least number is below zero.
        let sizes = scores.into_iter().map(size);
        let mut keyed: Vec<(u64, NodeId)> = sizes.zip(self.shown.iter().copied()).collect();
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

    /// The same by how much a picture tells with a node in it: with simple lines of calls through it that is little.
    pub(super) fn sort_by_entropy(&mut self, texts: &Texts) {
        let of_callers = self.entropies(Edge::callee, |_| 0);
        let of_callees = self.entropies(|edge| edge.caller, |node| node.flat);
        let score = |id: &NodeId| {
            let node = self.node(*id);
            let entropy = of_callers[*id as usize] + of_callees[*id as usize];
            to_integer(entropy * node.cum as f64).wrapping_add(node.flat)
        };
        let scores = self.shown.iter().map(score).collect();
        self.sort_by_scores(scores, texts);
    }

    /// Of each node what the edges say that have it at this end, beside what it has of its own.
    fn entropies(&self, end: impl Fn(&Edge) -> NodeId, own: impl Fn(Node) -> i64) -> Vec<f64> {
        let mut totals: Vec<i64> = self.nodes.iter().map(&own).collect();
        self.each_edge(|edge| {
            let total = &mut totals[end(edge) as usize];
            *total = total.wrapping_add(edge.weight.max(0));
        });
        let part = |weight: i64, total: i64| match total {
            0 => 0.0,
            total => {
                let part = weight.wrapping_abs() as f64 / total as f64;
                -part * part.log2()
            }
        };
        let mut sums = vec![None; totals.len()];
        self.each_edge(|edge| {
            let node = end(edge) as usize;
            *sums[node].get_or_insert(0.0) += part(edge.weight, totals[node]);
        });
        let all = self.nodes.iter().zip(totals).zip(sums);
        all.map(|((node, total), sum)| match sum {
            None => 1.0,
            Some(sum) if own(node) > 0 => sum + part(own(node), total),
            Some(sum) => sum,
        })
        .collect()
    }

    /// Edges, the heaviest first, and then by the names at their ends.
    #[must_use]
    pub fn sorted_edges(&self, edges: &[EdgeId], texts: &Texts) -> Vec<EdgeId> {
        let mut edges = edges.to_vec();
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
