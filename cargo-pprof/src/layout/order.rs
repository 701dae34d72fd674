//! The order of the cells on each rank, such that few edges cross.
//!
//! Rank after rank, down and up in turn, cells go to the median of the places of those that they are joined to (Gansner et al., section 3). Then each
//! cell is tried at every place of its rank. The best order met is kept; several are started from.

use std::collections::VecDeque;

use super::layers::Layers;

/// Orders that are started from: with so many, few profiles gain by more.
const STARTS: usize = 16;

/// Rounds that bring nothing before the next start is tried.
const PATIENCE: usize = 12;

/// Of all rounds, the segments looked at: a graph of 80 boxes, with a thousand segments, has all the rounds it asks for.
const WORK: usize = 1_000_000;

/// Two up, two down.
const LEAST_ROUNDS: usize = 4;

/// Places at which cells are tried in a round, all together; a graph of 80 boxes has less on all ranks.
const TRIED: usize = 4_000_000;

pub(super) fn order(layers: &mut Layers) {
    let mut search = Search::new(layers);
    let (mut best, mut least) = (layers.ranks.clone(), u64::MAX);
    let mut rounds = (WORK / (layers.segments.len() + 1)).max(LEAST_ROUNDS);
    for start in 0..STARTS {
        search.start(start);
        search.keep_best(&mut best, &mut least);
        let mut idle = 0;
        for round in 0.. {
            if rounds == 0 || idle == PATIENCE || least == 0 {
                break;
            }
            search.sweep(round);
            search.sift();
            idle = if search.keep_best(&mut best, &mut least) { 0 } else { idle + 1 };
            rounds -= 1;
        }
    }
    layers.ranks = best;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Above,
    Below,
}

struct Search<'l> {
    layers: &'l Layers,
    ranks: Vec<Vec<usize>>,
    /// Of each cell on its rank.
    place: Vec<usize>,
    seed: u64,
}

impl Search<'_> {
    fn new(layers: &Layers) -> Search<'_> {
        Search { layers, ranks: layers.ranks.clone(), place: vec![0; layers.cells.len()], seed: 1 }
    }

    fn near(&self, cell: usize, side: Side) -> &[usize] {
        match side {
            Side::Above => &self.layers.above[cell],
            Side::Below => &self.layers.below[cell],
        }
    }

    /// Cells as they are come by: from the top or from the bottom, depth first or breadth first, and each time with neighbours in another order.
    fn start(&mut self, number: usize) {
        let (side, away) = match number % 2 {
            0 => (Side::Above, Side::Below),
            _ => (Side::Below, Side::Above),
        };
        let is_deep = number % 4 < 2;
        let mut seen = vec![false; self.place.len()];
        let mut ranks = vec![Vec::new(); self.ranks.len()];
        let roots = (0..self.place.len()).filter(|cell| self.near(*cell, side).is_empty());
        let mut pending: VecDeque<usize> = roots.collect();
        while let Some(cell) = pending.pop_front() {
            if std::mem::replace(&mut seen[cell], true) {
                continue;
            }
            ranks[self.layers.cells[cell].rank].push(cell);
            let mut next = self.near(cell, away).to_vec();
            next.retain(|next| !seen[*next]);
            if number >= 4 {
                self.shuffle(&mut next);
            }
            if is_deep {
                next.iter().rev().for_each(|next| pending.push_front(*next));
            } else {
                pending.extend(next);
            }
        }
        self.ranks = ranks;
        (0..self.ranks.len()).for_each(|rank| self.number(rank));
    }

    /// By numbers that are the same each time (Knuth's generator of MMIX).
    fn shuffle(&mut self, cells: &mut [usize]) {
        for last in (1..cells.len()).rev() {
            self.seed = self
                .seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            cells.swap(last, (self.seed >> 33) as usize % (last + 1));
        }
    }

    fn number(&mut self, rank: usize) {
        for (place, cell) in self.ranks[rank].iter().enumerate() {
            self.place[*cell] = place;
        }
    }

    fn keep_best(&self, best: &mut Vec<Vec<usize>>, least: &mut u64) -> bool {
        let crossings = self.crossings();
        let is_better = crossings < *least;
        if is_better {
            (*best, *least) = (self.ranks.clone(), crossings);
        }
        is_better
    }

    fn crossings(&self) -> u64 {
        self.ranks.iter().map(|rank| self.crossings_below(rank)).sum()
    }

    /// Of segments that come later on the upper rank those cross that are before on the lower one: these are counted in a Fenwick tree.
    fn crossings_below(&self, rank: &[usize]) -> u64 {
        let width = rank
            .iter()
            .flat_map(|cell| self.near(*cell, Side::Below))
            .map(|cell| self.place[*cell] + 1)
            .max()
            .unwrap_or(0);
        let mut tree = vec![0u32; width + 1];
        let (mut count, mut total) = (0u64, 0u32);
        for cell in rank {
            let below = self.places(*cell, Side::Below);
            for place in &below {
                let mut up_to = 0;
                let mut at = place + 1;
                while at > 0 {
                    up_to += tree[at];
                    at &= at - 1;
                }
                count += u64::from(total - up_to);
            }
            for place in &below {
                let mut at = place + 1;
                while at <= width {
                    tree[at] += 1;
                    at += at & at.wrapping_neg();
                }
                total += 1;
            }
        }
        count
    }

    /// Of the cells that one is joined to, in order.
    fn places(&self, cell: usize, side: Side) -> Vec<usize> {
        let mut places: Vec<usize> =
            self.near(cell, side).iter().map(|near| self.place[*near]).collect();
        places.sort_unstable();
        places
    }

    fn sweep(&mut self, round: usize) {
        let count = self.ranks.len();
        // In each second pair of rounds cells with the same median change places.
        let is_turned = round % 4 >= 2;
        match round % 2 {
            0 => (1..count).for_each(|rank| self.by_medians(rank, Side::Above, is_turned)),
            _ => (0..count.saturating_sub(1))
                .rev()
                .for_each(|rank| self.by_medians(rank, Side::Below, is_turned)),
        }
    }

    fn by_medians(&mut self, rank: usize, side: Side, is_turned: bool) {
        let median_of = |cell: usize| median(&self.places(cell, side));
        let mut cells: Vec<(f64, usize)> =
            self.ranks[rank].iter().filter_map(|cell| Some((median_of(*cell)?, *cell))).collect();
        if is_turned {
            cells.reverse();
        }
        cells.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Cells that are joined to none stay where they are.
        let mut next = cells.into_iter();
        for place in 0..self.ranks[rank].len() {
            if !self.near(self.ranks[rank][place], side).is_empty()
                && let Some((_, cell)) = next.next()
            {
                self.ranks[rank][place] = cell;
            }
        }
        self.number(rank);
    }

    /// Takes each cell to the place of its rank at which fewest edges cross.
    fn sift(&mut self) {
        let farthest = TRIED / self.place.len().max(1);
        for rank in 0..self.ranks.len() {
            let both =
                |cell: &usize| [self.places(*cell, Side::Above), self.places(*cell, Side::Below)];
            let mut row: Vec<(usize, [Vec<usize>; 2])> =
                self.ranks[rank].iter().map(|cell| (*cell, both(cell))).collect();
            for cell in self.ranks[rank].clone() {
                let at = row.iter().position(|(other, _)| *other == cell).unwrap_or(0);
                let to = best_place(&row, at, farthest);
                if to < at {
                    row[to..=at].rotate_right(1);
                } else {
                    row[at..=to].rotate_left(1);
                }
            }
            self.ranks[rank] = row.into_iter().map(|(cell, _)| cell).collect();
            self.number(rank);
        }
    }
}

fn best_place(row: &[(usize, [Vec<usize>; 2])], at: usize, farthest: usize) -> usize {
    let change = |other: usize, is_left: bool| -> i64 {
        let change: i64 = row[at].1.iter().zip(&row[other].1).map(|(a, b)| turned(b, a)).sum();
        if is_left { change } else { -change }
    };
    let (mut best, mut least) = (at, 0);
    let mut sum = 0;
    for other in (at.saturating_sub(farthest)..at).rev() {
        sum += change(other, true);
        if sum < least {
            (best, least) = (other, sum);
        }
    }
    sum = 0;
    for other in at + 1..row.len().min(at + 1 + farthest) {
        sum += change(other, false);
        if sum < least {
            (best, least) = (other, sum);
        }
    }
    best
}

/// How many crossings more there are if a cell, joined to these places, comes after another instead of before it.
fn turned(cell: &[usize], other: &[usize]) -> i64 {
    let (mut less, mut up_to) = (0, 0);
    let mut sum = 0i64;
    for place in cell {
        while less < other.len() && other[less] < *place {
            less += 1;
        }
        while up_to < other.len() && other[up_to] <= *place {
            up_to += 1;
        }
        // Before: it crosses what is left of it. After: what is right of it.
        sum += (other.len() - up_to) as i64 - less as i64;
    }
    sum
}

/// In the middle; between two middle ones the nearer to where more are close together.
fn median(places: &[usize]) -> Option<f64> {
    let at = |index: usize| places[index] as f64;
    let (count, middle) = (places.len(), places.len() / 2);
    match count {
        0 => None,
        1 => Some(at(0)),
        2 => Some(f64::midpoint(at(0), at(1))),
        _ if count % 2 == 1 => Some(at(middle)),
        _ => {
            let (left, right) = (at(middle - 1) - at(0), at(count - 1) - at(middle));
            match left + right {
                0.0 => Some(f64::midpoint(at(middle - 1), at(middle))),
                sum => Some((at(middle - 1) * right + at(middle) * left) / sum),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Edge, Size};

    #[test]
    fn what_can_be_drawn_without_crossings_is() {
        // Two binary trees, the leaves of one joined to those of the other in a shuffled numbering.
        let depth = 4;
        let leaves = 1 << depth;
        let mut edges = Vec::new();
        let (first, second) = (0, 2 * leaves);
        for child in 2..2 * leaves {
            edges.push(Edge { from: first + child / 2, to: first + child, ..Edge::default() });
            edges.push(Edge { from: second + child, to: second + child / 2, ..Edge::default() });
        }
        for leaf in 0..leaves {
            let (from, to) = (first + leaves + leaf, second + leaves + leaf);
            edges.push(Edge { from, to, ..Edge::default() });
        }
        let nodes = 4 * leaves;
        let mut tied = edges.clone();
        tied.push(Edge { from: 0, to: 1, ..Edge::default() });
        tied.push(Edge { from: 0, to: 2 * leaves, ..Edge::default() });
        let ranks = crate::layout::ranks::ranks(nodes, &tied, usize::MAX).expect("without bounds");
        let mut layers = Layers::new(&vec![Size::default(); nodes], &edges, &ranks);
        order(&mut layers);
        let mut search = Search::new(&layers);
        (0..search.ranks.len()).for_each(|rank| search.number(rank));
        assert_eq!(search.crossings(), 0);
    }
}
