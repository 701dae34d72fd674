//! Which edges point upwards: those that would close a cycle.
//!
//! Edges are taken heaviest first, and each is kept that closes no cycle with those kept before. So one points upwards only where those that are worth
//! more lead from its end back to its start. An order of the nodes is kept along (Pearce and Kelly, "A dynamic topological sort algorithm", 2006): most edges agree
//! with it, and of others only the nodes between the two ends are looked at.

use super::Edge;

pub(super) fn upward(nodes: usize, edges: &[Edge]) -> Vec<bool> {
    let mut order = Order::new(nodes);
    for index in by_worth(nodes, edges) {
        order.add(edges[index].from, edges[index].to);
    }
    // By the order at the end: one that was not looked at may agree with it by now, or no longer.
    edges.iter().map(|edge| order.place[edge.from] >= order.place[edge.to]).collect()
}

/// Edges, the heaviest first. One that leads to where much more happens than where it starts is most likely a recursion: it is worth that much less.
fn by_worth(nodes: usize, edges: &[Edge]) -> Vec<usize> {
    let mut sums = vec![(0, 0); nodes];
    for edge in edges {
        sums[edge.from].0 += edge.weight;
        sums[edge.to].1 += edge.weight;
    }
    let size = |node: usize| sums[node].0.max(sums[node].1) as f64;
    let worth = |edge: &Edge| edge.weight as f64 * (size(edge.from) / size(edge.to)).min(1.0);
    let mut order: Vec<usize> = (0..edges.len()).collect();
    order.sort_by(|a, b| worth(&edges[*b]).total_cmp(&worth(&edges[*a])));
    order
}

struct Order {
    place: Vec<usize>,
    below: Vec<Vec<usize>>,
    above: Vec<Vec<usize>>,
    /// In which search a node was last seen.
    seen: Vec<usize>,
    search: usize,
    /// How many edges may still be looked at.
    left: usize,
}

/// Edges that are looked at, all together: a second. In graphs that take more, edges that do not agree with the order by then point upwards, whether
/// they close a cycle or not.
const WORK: usize = 200_000_000;

impl Order {
    fn new(nodes: usize) -> Order {
        Order {
            place: (0..nodes).collect(),
            below: vec![Vec::new(); nodes],
            above: vec![Vec::new(); nodes],
            seen: vec![0; nodes],
            search: 0,
            left: WORK,
        }
    }

    /// False, and nothing is added, if that closed a cycle.
    fn add(&mut self, from: usize, to: usize) -> bool {
        let (high, low) = (self.place[from], self.place[to]);
        if low <= high {
            let Some(after) = self.reach(to, from, true) else { return false };
            let Some(before) = self.reach(from, to, false) else { return false };
            self.rearrange(before, after);
        }
        self.below[from].push(to);
        self.above[to].push(from);
        true
    }

    /// All nodes that can be reached from `start` without leaving the places between the two, downwards or upwards; nothing if `end` is one of
    /// them, or not all can be looked at.
    fn reach(&mut self, start: usize, end: usize, is_down: bool) -> Option<Vec<usize>> {
        self.search += 1;
        self.seen[start] = self.search;
        let bound = self.place[end];
        let next = if is_down { &self.below } else { &self.above };
        let mut found = vec![start];
        let mut at = 0;
        while let Some(node) = found.get(at).copied() {
            at += 1;
            if node == end {
                return None;
            }
            self.left = self.left.checked_sub(next[node].len())?;
            for other in next[node].iter().copied() {
                let place = self.place[other];
                let is_between = if is_down { place <= bound } else { place >= bound };
                if is_between && self.seen[other] != self.search {
                    self.seen[other] = self.search;
                    found.push(other);
                }
            }
        }
        Some(found)
    }

    /// Gives the places that these nodes have to the same nodes, those of `before` first.
    fn rearrange(&mut self, mut before: Vec<usize>, mut after: Vec<usize>) {
        before.sort_by_key(|node| self.place[*node]);
        after.sort_by_key(|node| self.place[*node]);
        before.append(&mut after);
        let mut places: Vec<usize> = before.iter().map(|node| self.place[*node]).collect();
        places.sort_unstable();
        for (node, place) in before.into_iter().zip(places) {
            self.place[node] = place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: usize, to: usize, weight: i64) -> Edge {
        Edge { from, to, weight, ..Edge::default() }
    }

    #[test]
    fn the_lightest_of_a_cycle_points_upwards() {
        let edges = [edge(2, 0, 1), edge(0, 1, 5), edge(1, 2, 9), edge(3, 2, 1), edge(0, 3, 2)];
        assert_eq!(upward(4, &edges), [true, false, false, false, false]);
        assert_eq!(upward(2, &[edge(1, 0, 7), edge(0, 1, 8)]), [true, false]);
    }

    #[test]
    fn what_takes_too_long_to_find_points_upwards() {
        let edges = [edge(2, 0, 5), edge(0, 1, 4), edge(1, 2, 3), edge(3, 2, 2), edge(4, 3, 1)];
        let mut order = Order::new(5);
        order.left = 1;
        let kept: Vec<bool> = edges.iter().map(|edge| order.add(edge.from, edge.to)).collect();
        // The last but one closes no cycle; for the last there is nothing to look at.
        assert_eq!(kept, [true, true, false, false, true]);
    }
}
