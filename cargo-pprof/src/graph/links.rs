//! Which edges are at a node.

use std::ops::Range;

use super::{Edge, EdgeId, NodeId};

/// The edges of all nodes, on one side of these: one list after the other, as there are many and most are short.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    /// One list after the other; nothing if they are all edges in their order.
    listed: Vec<EdgeId>,
    /// Where each node's are. There may be room between them, of what has been taken away.
    spans: Vec<Range<u32>>,
}

impl Links {
    /// Those of so many nodes, each with the edges that `end` says are its, in their order.
    pub(super) fn new(nodes: usize, edges: &[Edge], end: impl Fn(&Edge) -> NodeId) -> Links {
        let mut links = Links::in_rows(nodes, edges, &end);
        links.spans.iter_mut().for_each(|span| span.end = span.start);
        links.listed = vec![0; edges.len()];
        for (id, edge) in (0..).zip(edges) {
            let place = &mut links.spans[end(edge) as usize].end;
            links.listed[*place as usize] = id;
            *place += 1;
        }
        links
    }

    /// The same, where those of a node are in a row, one node after the other.
    pub(super) fn in_rows(nodes: usize, edges: &[Edge], end: impl Fn(&Edge) -> NodeId) -> Links {
        if edges.is_empty() {
            return Links::default();
        }
        let mut spans = vec![0..0; nodes];
        for edge in edges {
            spans[end(edge) as usize].end += 1;
        }
        let mut start = 0;
        for span in &mut spans {
            *span = start..start + span.end;
            start = span.end;
        }
        Links { listed: Vec::new(), spans }
    }

    /// Those in such lists, one for each node.
    pub(super) fn of_lists(lists: impl Iterator<Item = Vec<EdgeId>>) -> Links {
        let mut links = Links::default();
        for list in lists {
            let start = links.listed.len() as u32;
            links.listed.extend(list);
            links.spans.push(start..links.listed.len() as u32);
        }
        links
    }

    /// A node's; none if there are no edges at all.
    pub(super) fn of(
        &self,
        node: NodeId,
    ) -> impl DoubleEndedIterator<Item = EdgeId> + ExactSizeIterator + Clone {
        let span = self.spans.get(node as usize).cloned().unwrap_or_default();
        span.map(|at| if self.listed.is_empty() { at } else { self.listed[at as usize] })
    }

    /// Leaves those that `keep` says.
    pub(super) fn retain(&mut self, keep: impl Fn(EdgeId) -> bool) {
        for node in 0..self.spans.len() as NodeId {
            self.retain_of(node, &keep);
        }
    }

    /// The same, of one node.
    pub(super) fn retain_of(&mut self, node: NodeId, keep: impl Fn(EdgeId) -> bool) {
        if self.listed.is_empty() {
            self.listed = (0..self.spans.last().map_or(0, |span| span.end)).collect();
        }
        let Some(span) = self.spans.get_mut(node as usize) else { return };
        let mut end = span.start;
        for at in span.clone() {
            let id = self.listed[at as usize];
            if keep(id) {
                self.listed[end as usize] = id;
                end += 1;
            }
        }
        span.end = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::edges::{Callee, Kind};

    #[test]
    fn each_node_has_its_edges_until_they_are_taken_away() {
        let kind = Kind { is_residual: false, is_inline: false };
        let edge = |(caller, callee)| Edge { caller, callee: Callee::new(callee, kind), weight: 1 };
        let edges = [(0, 1), (0, 2), (1, 2), (3, 0), (3, 2)].map(edge);
        let mut links = Links::new(4, &edges, Edge::callee);
        let all =
            |links: &Links| (0..5).map(|node| links.of(node).collect()).collect::<Vec<Vec<_>>>();
        assert_eq!(all(&links), [vec![3], vec![0], vec![1, 2, 4], vec![], vec![]]);
        links.retain_of(2, |id| id != 2);
        assert_eq!(all(&links), [vec![3], vec![0], vec![1, 4], vec![], vec![]]);
        links.retain(|id| id > 0 && id < 4);
        assert_eq!(all(&links), [vec![3], vec![], vec![1], vec![], vec![]]);
        // The same of callers, whose edges are in rows.
        let mut listed = Links::new(4, &edges, |edge| edge.caller);
        let mut rows = Links::in_rows(4, &edges, |edge| edge.caller);
        assert_eq!(all(&rows), [vec![0, 1], vec![2], vec![], vec![3, 4], vec![]]);
        for gone in [3, 0] {
            assert_eq!(all(&rows), all(&listed));
            listed.retain(|id| id != gone);
            rows.retain(|id| id != gone);
        }
        assert_eq!(all(&rows), [vec![1], vec![2], vec![], vec![4], vec![]]);
        let mut none = Links::new(4, &[], Edge::callee);
        none.retain_of(2, |_| false);
        assert!(all(&none).concat().is_empty());
        let lists = Links::of_lists([vec![2, 1], vec![], vec![0]].into_iter());
        assert_eq!(all(&lists), [vec![2, 1], vec![], vec![0], vec![], vec![]]);
    }
}
