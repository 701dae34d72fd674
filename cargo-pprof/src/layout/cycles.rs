//! Which edges point upwards: those that would close a cycle.
//!
//! Edges are taken heaviest first, and each is kept that closes no cycle with those kept before. So one points upwards only where those that are worth
//! more lead from its end back to its start. An order of the nodes is kept along (Pearce and Kelly, "A dynamic topological sort algorithm", 2006): most edges agree
//! with it, and of others only the nodes between the two ends are looked at.

use super::Edge;

pub(super) fn upward(nodes: usize, edges: &[Edge]) -> Vec<bool> {
    Order::new(nodes).upward(edges)
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

/// Edges that are looked at, all together: a second. In graphs that take more, the order stays as it is by then.
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

    fn upward(&mut self, edges: &[Edge]) -> Vec<bool> {
        for index in by_worth(self.place.len(), edges) {
            self.add(edges[index].from, edges[index].to);
        }
        // By the order at the end: an edge that was not looked at may agree with it by then, or no longer.
        edges.iter().map(|edge| self.place[edge.from] >= self.place[edge.to]).collect()
    }

    /// Makes the order agree with an edge, unless that closed a cycle.
    fn add(&mut self, from: usize, to: usize) {
        let (high, low) = (self.place[from], self.place[to]);
        if low <= high {
            let Some(after) = self.reach(to, from, true) else { return };
            let Some(before) = self.reach(from, to, false) else { return };
            self.rearrange(before, after);
        }
        self.below[from].push(to);
        self.above[to].push(from);
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
    fn there_is_no_cycle_however_little_is_looked_at() {
        let mut state = 1u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((state >> 33) % below) as usize
        };
        for left in [0, 10, 100, 1000, WORK] {
            let edges: Vec<Edge> =
                (0..300).map(|_| edge(random(40), random(40), random(9) as i64 + 1)).collect();
            let mut order = Order { left, ..Order::new(40) };
            let upward = order.upward(&edges);
            // Without nodes that nothing leads to, until there are no others.
            let mut left: Vec<usize> = (0..40).collect();
            let ends: Vec<(usize, usize)> = edges
                .iter()
                .zip(&upward)
                .filter(|(edge, _)| edge.from != edge.to)
                .map(|(edge, up)| if *up { (edge.to, edge.from) } else { (edge.from, edge.to) })
                .collect();
            while !left.is_empty() {
                let is_reached =
                    |node: &usize| ends.iter().any(|(from, to)| to == node && left.contains(from));
                let rest: Vec<usize> = left.iter().copied().filter(is_reached).collect();
                assert!(rest.len() < left.len(), "a cycle through {rest:?}");
                left = rest;
            }
        }
    }
}
