//! Where cells are: the sum of how far segments go sideways, times their weights, is least.
//!
//! That is the simplex once more (Gansner et al., section 4.2): neighbours on a rank keep their distance, and each segment gets a node of its own that
//! is to the left of both ends and pulls at both.

use super::layers::{Kind, Layers};
use super::simplex::{Constraint, solve_centered};

/// Between neighbours.
const BESIDE: f64 = 10.0;
const BESIDE_PASS: f64 = 4.0;

/// Between ranks: there edges cross and turn.
const BETWEEN: f64 = 18.0;

/// Of ranks across which edges go far, the distance grows by so much of that, up to a bound: flat edges are hard to follow.
const SLOPE: f64 = 0.06;
const BETWEEN_MOST: f64 = 60.0;

/// Exchanges of the simplex, of which each looks at most of the nodes: a graph of 80 boxes takes some hundreds.
const WORK: usize = 40_000_000;

pub(super) fn place(layers: &mut Layers) {
    across(layers);
    down(layers);
}

fn across(layers: &mut Layers) {
    let cells = layers.cells.len();
    let mut constraints = Vec::new();
    for rank in &layers.ranks {
        for pair in rank.windows(2) {
            let (left, right) = (layers.cells[pair[0]], layers.cells[pair[1]]);
            let is_tight = left.kind == Kind::Pass || right.kind == Kind::Pass;
            let gap = if is_tight { BESIDE_PASS } else { BESIDE };
            let length = (left.right + right.left + gap).ceil() as i64;
            constraints.push(Constraint { from: pair[0], to: pair[1], length, weight: 0 });
        }
    }
    for (number, segment) in layers.segments.iter().enumerate() {
        let ends = [segment.upper, segment.lower];
        let boxes = ends.iter().filter(|end| layers.cells[**end].kind == Kind::Box).count();
        // A long edge that is bent is worse than one that starts off the middle of its box.
        let weight = segment.weight * [8, 2, 1][boxes];
        for to in ends {
            constraints.push(Constraint { from: cells + number, to, length: 0, weight });
        }
    }
    let nodes = cells + layers.segments.len();
    let at = solve_centered(nodes, &constraints, WORK / nodes.max(1));
    for (cell, at) in layers.cells.iter_mut().zip(at) {
        cell.at.x = at as f64;
    }
}

fn down(layers: &mut Layers) {
    let mut farthest = vec![0.0; layers.ranks.len()];
    for segment in &layers.segments {
        let (upper, lower) = (layers.cells[segment.upper], layers.cells[segment.lower]);
        farthest[lower.rank] = f64::max(farthest[lower.rank], (upper.at.x - lower.at.x).abs());
    }
    let mut bottom = 0.0;
    for (rank, cells) in layers.ranks.iter().enumerate() {
        let height = cells.iter().map(|cell| layers.cells[*cell].height).fold(0.0, f64::max);
        let gap =
            if rank == 0 { 0.0 } else { BETWEEN.max(farthest[rank] * SLOPE).min(BETWEEN_MOST) };
        let top: f64 = bottom + gap;
        bottom = top + height;
        layers.bands[rank] = (top, bottom);
        for cell in cells {
            layers.cells[*cell].at.y = f64::midpoint(top, bottom);
        }
    }
}
