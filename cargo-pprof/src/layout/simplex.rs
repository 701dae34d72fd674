//! Network simplex: numbers for nodes, such that each edge is as long as it has to be at least and the sum of weight times length is least.
//!
//! The scheme is that of Gansner, Koutsofios, North and Vo, "A technique for drawing directed graphs" (1993). A spanning tree of edges without slack
//! fixes all numbers. An edge of the tree cuts it in two; the *cut value* is what the sum gains for each unit that the two parts are moved apart.
//! While one is below zero, that edge leaves the tree, the parts are moved until another has no slack left, and that one enters.
//!
//! Nodes are numbered in postorder of the tree. So a subtree is a slice of that order: from the lowest number below its root to the root's own.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// `to` is to be at least `length` after `from`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Constraint {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) length: i64,
    pub(super) weight: i64,
}

/// Of the edges that could leave the tree the worst of so many is taken: all would take longer to look through than they save (section 2.4 there).
const LOOKED_AT: usize = 30;

const NONE: usize = usize::MAX;

/// Numbers from zero on. The constraints must connect all nodes and have no cycle. After so many exchanges it ends with what it has.
pub(super) fn solve(nodes: usize, constraints: &[Constraint], most: usize) -> Vec<i64> {
    let mut simplex = Simplex::new(nodes, constraints);
    simplex.descend(most);
    simplex.at
}

/// The same, with what may be moved without loss in the middle of its room.
pub(super) fn solve_centered(nodes: usize, constraints: &[Constraint], most: usize) -> Vec<i64> {
    let mut simplex = Simplex::new(nodes, constraints);
    simplex.descend(most);
    simplex.center(most);
    simplex.at
}

/// Each node as early as can be.
pub(super) fn earliest(nodes: usize, constraints: &[Constraint]) -> Vec<i64> {
    let mut at = vec![0; nodes];
    let mut waiting = vec![0u32; nodes];
    let mut leaving = vec![Vec::new(); nodes];
    for Constraint { from, to, length, .. } in constraints {
        waiting[*to] += 1;
        leaving[*from].push((*to, *length));
    }
    let mut ready: Vec<usize> = (0..nodes).filter(|node| waiting[*node] == 0).collect();
    while let Some(node) = ready.pop() {
        for (to, length) in &leaving[node] {
            at[*to] = at[*to].max(at[node] + length);
            waiting[*to] -= 1;
            if waiting[*to] == 0 {
                ready.push(*to);
            }
        }
    }
    at
}

struct Simplex<'c> {
    constraints: &'c [Constraint],
    /// The solution.
    at: Vec<i64>,
    /// Constraints of each node.
    touching: Vec<Vec<usize>>,
    /// Those that are in the tree, of each node and of all.
    branches: Vec<Vec<usize>>,
    tree: Vec<usize>,
    /// By constraint.
    cut: Vec<i64>,
    /// The constraint towards the root.
    parent: Vec<usize>,
    number: Vec<usize>,
    lowest: Vec<usize>,
    /// The nodes by their numbers.
    postorder: Vec<usize>,
    /// Where the search for an edge to leave goes on.
    next: usize,
}

impl<'c> Simplex<'c> {
    fn new(nodes: usize, constraints: &'c [Constraint]) -> Simplex<'c> {
        let mut touching = vec![Vec::new(); nodes];
        for (index, constraint) in constraints.iter().enumerate() {
            touching[constraint.from].push(index);
            touching[constraint.to].push(index);
        }
        let mut simplex = Simplex {
            constraints,
            at: earliest(nodes, constraints),
            touching,
            branches: vec![Vec::new(); nodes],
            tree: Vec::with_capacity(nodes),
            cut: vec![0; constraints.len()],
            parent: vec![NONE; nodes],
            number: vec![0; nodes],
            lowest: vec![0; nodes],
            postorder: vec![0; nodes],
            next: 0,
        };
        if nodes > 0 {
            simplex.grow_tree();
            simplex.renumber(0, 0);
            simplex.set_cuts();
        }
        simplex
    }

    fn slack(&self, constraint: usize) -> i64 {
        let Constraint { from, to, length, .. } = self.constraints[constraint];
        self.at[to] - self.at[from] - length
    }

    fn other(&self, constraint: usize, node: usize) -> usize {
        let Constraint { from, to, .. } = self.constraints[constraint];
        if from == node { to } else { from }
    }

    /// Joins nodes along edges without slack, and then the smallest of the groups, moved as far as that takes, to the one that is nearest to it.
    fn grow_tree(&mut self) {
        let nodes = self.at.len();
        let mut group = vec![NONE; nodes];
        let mut members: Vec<Vec<usize>> = Vec::new();
        for start in 0..nodes {
            if group[start] != NONE {
                continue;
            }
            let number = members.len();
            group[start] = number;
            let mut found = vec![start];
            let mut looked_at = 0;
            while let Some(node) = found.get(looked_at).copied() {
                looked_at += 1;
                for place in 0..self.touching[node].len() {
                    let constraint = self.touching[node][place];
                    let other = self.other(constraint, node);
                    if group[other] == NONE && self.slack(constraint) == 0 {
                        group[other] = number;
                        found.push(other);
                        self.enter(constraint);
                    }
                }
            }
            members.push(found);
        }
        let sizes = members.iter().enumerate();
        let mut heap: BinaryHeap<_> = sizes.map(|(n, m)| Reverse((m.len(), n))).collect();
        while let Some(Reverse((size, number))) = heap.pop() {
            // It has grown or gone since.
            if members[number].len() != size {
                continue;
            }
            let Some(nearest) = self.nearest(&members[number], &group) else { continue };
            let Constraint { from, to, .. } = self.constraints[nearest];
            let is_end = group[to] == number;
            let into = if is_end { group[from] } else { group[to] };
            let shift = if is_end { -self.slack(nearest) } else { self.slack(nearest) };
            let moved = std::mem::take(&mut members[number]);
            for node in &moved {
                self.at[*node] += shift;
                group[*node] = into;
            }
            members[into].extend(moved);
            self.enter(nearest);
            heap.push(Reverse((members[into].len(), into)));
        }
    }

    fn nearest(&self, members: &[usize], group: &[usize]) -> Option<usize> {
        let touching = members.iter().flat_map(|node| &self.touching[*node]).copied();
        let leaving = touching.filter(|constraint| {
            let Constraint { from, to, .. } = self.constraints[*constraint];
            group[from] != group[to]
        });
        leaving.min_by_key(|constraint| (self.slack(*constraint), *constraint))
    }

    fn enter(&mut self, constraint: usize) {
        let Constraint { from, to, .. } = self.constraints[constraint];
        self.tree.push(constraint);
        self.branches[from].push(constraint);
        self.branches[to].push(constraint);
    }

    /// Numbers a subtree from `first` on.
    fn renumber(&mut self, root: usize, first: usize) {
        let mut next = first;
        let mut path = vec![(root, 0)];
        self.lowest[root] = first;
        while let Some((node, looked_at)) = path.last_mut() {
            let node = *node;
            if let Some(branch) = self.branches[node].get(*looked_at).copied() {
                *looked_at += 1;
                if branch != self.parent[node] {
                    let child = self.other(branch, node);
                    self.parent[child] = branch;
                    self.lowest[child] = next;
                    path.push((child, 0));
                }
            } else {
                self.number[node] = next;
                self.postorder[next] = node;
                next += 1;
                path.pop();
            }
        }
    }

    /// What leaves a subtree less what enters it: inside, each edge does both.
    fn set_cuts(&mut self) {
        let mut surplus = vec![0; self.at.len()];
        for constraint in self.constraints {
            surplus[constraint.from] += constraint.weight;
            surplus[constraint.to] -= constraint.weight;
        }
        for node in self.postorder.iter().copied() {
            let branch = self.parent[node];
            if branch == NONE {
                continue;
            }
            let is_start = self.constraints[branch].from == node;
            self.cut[branch] = if is_start { surplus[node] } else { -surplus[node] };
            let up = self.other(branch, node);
            surplus[up] += surplus[node];
        }
    }

    fn descend(&mut self, most: usize) {
        for _ in 0..most {
            let Some(leaving) = self.leaving() else { return };
            let Some(entering) = self.entering(self.tree[leaving]) else { return };
            self.exchange(leaving, entering);
        }
    }

    /// Its place in the tree.
    fn leaving(&mut self) -> Option<usize> {
        let (mut worst, mut looked_at) = (None, 0);
        let count = self.tree.len();
        for step in 0..count {
            let place = (self.next + step) % count;
            let cut = self.cut[self.tree[place]];
            if cut >= 0 {
                continue;
            }
            if worst.is_none_or(|(least, _)| cut < least) {
                worst = Some((cut, place));
            }
            looked_at += 1;
            if looked_at == LOOKED_AT {
                self.next = place;
                break;
            }
        }
        worst.map(|(_, place)| place)
    }

    /// The root of the part below an edge of the tree, and whether the edge starts there.
    fn below(&self, branch: usize) -> (usize, bool) {
        let Constraint { from, to, .. } = self.constraints[branch];
        if self.number[from] < self.number[to] { (from, true) } else { (to, false) }
    }

    fn is_within(&self, node: usize, root: usize) -> bool {
        (self.lowest[root]..=self.number[root]).contains(&self.number[node])
    }

    /// The shortest of the edges that go the other way over the cut.
    fn entering(&self, leaving: usize) -> Option<usize> {
        let (root, is_start) = self.below(leaving);
        let (low, high) = (self.lowest[root], self.number[root]);
        let is_small = (high - low) * 2 < self.postorder.len();
        let (inside, rest) = (&self.postorder[low..=high], &self.postorder[high + 1..]);
        let outside = self.postorder[..low].iter().chain(rest);
        let mut best: Option<(i64, usize)> = None;
        let mut look = |node: usize| {
            for constraint in self.touching[node].iter().copied() {
                let Constraint { from, to, .. } = self.constraints[constraint];
                let (goes_in, comes_out) = (self.is_within(to, root), self.is_within(from, root));
                let is_candidate =
                    if is_start { goes_in && !comes_out } else { comes_out && !goes_in };
                if is_candidate {
                    let candidate = (self.slack(constraint), constraint);
                    best = Some(best.map_or(candidate, |best| best.min(candidate)));
                }
            }
        };
        if is_small {
            inside.iter().copied().for_each(&mut look);
        } else {
            outside.copied().for_each(&mut look);
        }
        best.map(|(_, constraint)| constraint)
    }

    /// Moves the part below an edge of the tree, or the rest the other way if that is less.
    fn shift(&mut self, root: usize, by: i64) {
        let (low, high) = (self.lowest[root], self.number[root]);
        if (high - low) * 2 < self.postorder.len() {
            for place in low..=high {
                self.at[self.postorder[place]] += by;
            }
        } else {
            for place in (0..low).chain(high + 1..self.postorder.len()) {
                self.at[self.postorder[place]] -= by;
            }
        }
    }

    fn exchange(&mut self, leaving: usize, entering: usize) {
        let out = self.tree[leaving];
        let slack = self.slack(entering);
        if slack > 0 {
            let (root, is_start) = self.below(out);
            self.shift(root, if is_start { -slack } else { slack });
        }
        let Constraint { from, to, .. } = self.constraints[entering];
        let cut = self.cut[out];
        let top = self.add_along(from, to, cut, true);
        self.add_along(to, from, cut, false);
        self.cut[entering] = -cut;
        self.cut[out] = 0;
        self.tree[leaving] = entering;
        let ends = |constraint: usize| {
            [self.constraints[constraint].from, self.constraints[constraint].to]
        };
        for node in ends(out) {
            self.branches[node].retain(|branch| *branch != out);
        }
        for node in ends(entering) {
            self.branches[node].push(entering);
        }
        self.renumber(top, self.lowest[top]);
    }

    /// Adds to the cuts from a node up to where another is below, and returns that place.
    fn add_along(&mut self, start: usize, other: usize, cut: i64, is_from: bool) -> usize {
        let mut node = start;
        while !self.is_within(other, node) {
            let branch = self.parent[node];
            let is_same = (self.constraints[branch].from == node) == is_from;
            self.cut[branch] += if is_same { cut } else { -cut };
            node = self.other(branch, node);
        }
        node
    }

    /// Where a cut costs nothing, its parts are moved by half of what they may. It ends early where that looks at more nodes than so many exchanges.
    fn center(&mut self, most: usize) {
        let nodes = self.postorder.len();
        let mut left = most.saturating_mul(nodes);
        for place in 0..self.tree.len() {
            let branch = self.tree[place];
            if self.cut[branch] != 0 {
                continue;
            }
            let (root, _) = self.below(branch);
            let below = self.number[root] - self.lowest[root] + 1;
            match left.checked_sub(below.min(nodes - below)) {
                Some(rest) => left = rest,
                None => return,
            }
            let Some(entering) = self.entering(branch) else { continue };
            let room = self.slack(entering);
            if room > 1 {
                let (root, is_start) = self.below(branch);
                self.shift(root, if is_start { -room / 2 } else { room / 2 });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(at: &[i64], constraints: &[Constraint]) -> i64 {
        constraints.iter().map(|c| c.weight * (at[c.to] - at[c.from])).sum()
    }

    /// All numbers up to a bound are tried.
    fn least(nodes: usize, constraints: &[Constraint], bound: i64) -> i64 {
        let mut best = i64::MAX;
        for code in 0..bound.pow(nodes as u32) {
            let at: Vec<i64> = (0..nodes).map(|n| code / bound.pow(n as u32) % bound).collect();
            if constraints.iter().all(|c| at[c.to] - at[c.from] >= c.length) {
                best = best.min(cost(&at, constraints));
            }
        }
        best
    }

    #[test]
    fn the_sum_is_least() {
        let mut seed = 1u64;
        let mut below = |bound: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % bound
        };
        for _ in 0..60 {
            let mut constraints: Vec<Constraint> =
                (0..5).map(|to| Constraint { from: 0, to: to + 1, length: 0, weight: 0 }).collect();
            for _ in 0..8 {
                let from = below(5) as usize;
                let to = from + 1 + below(5 - from as u64) as usize;
                let (length, weight) = (below(2) as i64, below(9) as i64);
                constraints.push(Constraint { from, to, length, weight });
            }
            for at in [solve(6, &constraints, 1000), solve_centered(6, &constraints, 1000)] {
                assert!(constraints.iter().all(|c| at[c.to] - at[c.from] >= c.length));
                assert_eq!(cost(&at, &constraints), least(6, &constraints, 7));
            }
        }
    }
}
