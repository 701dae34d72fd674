//! Curves of edges.
//!
//! On each rank an edge has a passage: up to its neighbours. Between ranks it is free. So it has to go through *gates*, the upper and the lower edge of
//! each passage. A string pulled tight through the gates is the shortest way. Its bends are made round, still within the gates; and a curve that goes
//! through the same point of each gate, and between two gates never beyond these points (Fritsch and Carlson, "Monotone piecewise cubic interpolation",
//! 1980), is as free of boxes as the string.

use std::cmp::Ordering;

use super::layers::{Kind, LABEL_GAP, Layers};
use super::{Edge, Point, Route};

/// What boxes have around them at least.
const MARGIN: f64 = 3.0;

/// What passing edges keep from the middle between them and what is beside them.
const APART: f64 = 2.0;

/// Between edges that end at the same side of a box: arrow heads are as wide.
const PORT_GAP: f64 = 9.0;

/// Of a box's side, the part that edges end at.
const PORTS: f64 = 0.85;

/// How far from the string a curve may be where it does not bend.
const SWING: f64 = 4.0;

/// Of making bends round: more are not seen.
const ROUNDS: usize = 40;

#[derive(Clone, Copy, Debug)]
struct Gate {
    y: f64,
    left: f64,
    right: f64,
}

pub(super) fn routes(layers: &Layers, edges: &[Edge]) -> Vec<Route> {
    let mut router = Router { layers, places: vec![0; layers.cells.len()] };
    for rank in &layers.ranks {
        rank.iter().enumerate().for_each(|(place, cell)| router.places[*cell] = place);
    }
    let ports = router.ports(edges);
    let chains = layers.chains.iter().zip(edges).zip(ports);
    chains.map(|((chain, edge), ends)| router.route(chain, edge, ends)).collect()
}

struct Router<'l> {
    layers: &'l Layers,
    /// Of each cell on its rank.
    places: Vec<usize>,
}

impl Router<'_> {
    fn route(&self, chain: &[usize], edge: &Edge, (start, end): (f64, f64)) -> Route {
        let gates = self.gates(chain, start, end);
        let mut knots = tight(&gates);
        relax(&mut knots, &gates);
        let is_label = |cell: &&usize| self.layers.cells[**cell].kind == Kind::Label;
        let label = chain.iter().find(is_label).map_or(Point::default(), |number| {
            let cell = self.layers.cells[*number];
            let (top, bottom) = self.layers.bands[cell.rank];
            let inside = knots.iter().filter(|knot| (top..=bottom).contains(&knot.y));
            let x = inside.map(|knot| knot.x).fold(f64::NEG_INFINITY, f64::max);
            Point { x: x + edge.width / 2.0 + LABEL_GAP + edge.label.width / 2.0, y: cell.at.y }
        });
        Route { curve: smooth(&knots), label }
    }

    fn gates(&self, chain: &[usize], start: f64, end: f64) -> Vec<Gate> {
        let cell = |number: usize| self.layers.cells[number];
        let (first, last) = (cell(chain[0]), cell(chain[chain.len() - 1]));
        let (from, to) = (first.at.y + first.height / 2.0, last.at.y - last.height / 2.0);
        let mut gates = vec![Gate { y: from, left: start, right: start }];
        for number in chain {
            let passage = self.passage(*number);
            let (top, bottom) = self.layers.bands[cell(*number).rank];
            for y in [top, bottom] {
                if y < to && gates.last().is_some_and(|gate| gate.y < y) {
                    gates.push(Gate { y, ..passage });
                }
            }
        }
        gates.push(Gate { y: to, left: end, right: end });
        gates
    }

    /// How far to the left and right an edge may be on the rank of one of its cells.
    fn passage(&self, number: usize) -> Gate {
        let cell = self.layers.cells[number];
        let rank = &self.layers.ranks[cell.rank];
        let place = self.places[number];
        let neighbour = |place: usize| rank.get(place).map(|number| self.layers.cells[*number]);
        // Next to each other, a passing edge has up to the middle between it and another, or a box.
        let left = match place.checked_sub(1).and_then(neighbour) {
            None => f64::NEG_INFINITY,
            Some(left) if left.kind == Kind::Label => left.at.x + left.right + MARGIN,
            Some(left) => match (left.kind, cell.kind) {
                (Kind::Box, Kind::Box) => left.at.x + left.right + MARGIN,
                _ => f64::midpoint(left.end(), cell.start()) + APART,
            },
        };
        let right = match neighbour(place + 1) {
            // What is there is the label's.
            _ if cell.kind == Kind::Label => cell.at.x,
            None => f64::INFINITY,
            Some(right) => match (cell.kind, right.kind) {
                (Kind::Box, Kind::Box) => right.at.x - right.left - MARGIN,
                _ => f64::midpoint(cell.end(), right.start()) - APART,
            },
        };
        Gate { y: 0.0, left, right }
    }

    /// Where each edge starts and ends: above what it goes to next, as far as its box goes and others leave room.
    fn ports(&self, edges: &[Edge]) -> Vec<(f64, f64)> {
        let mut ports = vec![(0.0, 0.0); edges.len()];
        let mut starting = vec![Vec::new(); self.layers.cells.len()];
        let mut ending = starting.clone();
        for (number, chain) in self.layers.chains.iter().enumerate() {
            let last = chain.len() - 1;
            starting[chain[0]].push((self.places[chain[1]], chain[1], number));
            ending[chain[last]].push((self.places[chain[last - 1]], chain[last - 1], number));
        }
        for (ends, is_start) in [(&mut starting, true), (&mut ending, false)] {
            for (number, ends) in ends.iter_mut().enumerate().filter(|(_, e)| !e.is_empty()) {
                let cell = self.layers.cells[number];
                ends.sort_unstable();
                let reach = cell.left * PORTS;
                let wanted: Vec<(f64, f64)> = ends
                    .iter()
                    .map(|(_, next, edge)| {
                        let x = self.layers.cells[*next].at.x - cell.at.x;
                        (x.clamp(-reach, reach), edges[*edge].weight as f64)
                    })
                    .collect();
                let gap = PORT_GAP.min(2.0 * reach / wanted.len() as f64);
                for ((_, _, edge), x) in ends.iter().zip(spaced(&wanted, gap, reach)) {
                    let port = &mut ports[*edge];
                    *(if is_start { &mut port.0 } else { &mut port.1 }) = cell.at.x + x;
                }
            }
        }
        ports
    }
}

/// Places in this order, `gap` from one to the next and not beyond `reach`, as near to the wanted ones as their weights ask for.
fn spaced(wanted: &[(f64, f64)], gap: f64, reach: f64) -> Vec<f64> {
    // Without the gaps they may meet: those that would change places get their mean.
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for (index, (x, weight)) in wanted.iter().enumerate() {
        let mut block = (x - index as f64 * gap, *weight, 1);
        while let Some((x, weight, count)) = blocks.pop_if(|before| before.0 > block.0) {
            let sum = weight + block.1;
            block = ((x * weight + block.0 * block.1) / sum, sum, count + block.2);
        }
        blocks.push(block);
    }
    let most = reach - (wanted.len() - 1) as f64 * gap;
    let places = blocks.iter().flat_map(|(x, _, count)| std::iter::repeat_n(*x, *count));
    let in_order = places.enumerate();
    in_order.map(|(index, x)| x.clamp(-reach, most.max(-reach)) + index as f64 * gap).collect()
}

/// The points at which a string that is pulled tight goes through gates, of which the first and the last are points.
fn tight(gates: &[Gate]) -> Vec<Point> {
    let last = gates.len() - 1;
    let mut at = Point { x: gates[0].left, y: gates[0].y };
    let mut knots = vec![at];
    let mut from = 0;
    while from < last {
        // What can be seen through the gates so far, as slopes, and which gates are in the way beyond.
        let (mut left, mut right) = ((f64::NEG_INFINITY, from), (f64::INFINITY, from));
        let mut corner = (last, gates[last].left);
        for (number, gate) in gates.iter().enumerate().skip(from + 1) {
            let slope = |x: f64| (x - at.x) / (gate.y - at.y);
            if slope(gate.left) > right.0 {
                corner = (right.1, gates[right.1].right);
                break;
            }
            if slope(gate.right) < left.0 {
                corner = (left.1, gates[left.1].left);
                break;
            }
            if slope(gate.left) > left.0 {
                left = (slope(gate.left), number);
            }
            if slope(gate.right) < right.0 {
                right = (slope(gate.right), number);
            }
        }
        let to = Point { x: corner.1, y: gates[corner.0].y };
        for gate in &gates[from + 1..=corner.0] {
            let x = at.toward(to, (gate.y - at.y) / (to.y - at.y)).x;
            knots.push(Point { x, y: gate.y });
        }
        (at, from) = (to, corner.0);
    }
    knots
}

/// Bends that a string has at corners are spread over the gates around: what the change of its direction costs, squared, gets less with each round
/// (Gauss and Seidel's, kept within the gates).
fn relax(knots: &mut [Point], gates: &[Gate]) {
    // A string that goes straight down does not swing far out to be round.
    let room: Vec<(f64, f64)> = (0..knots.len())
        .map(|at| {
            let around = &knots[at.saturating_sub(1)..(at + 2).min(knots.len())];
            let least = around.iter().map(|knot| knot.x).fold(f64::INFINITY, f64::min);
            let most = around.iter().map(|knot| knot.x).fold(f64::NEG_INFINITY, f64::max);
            (gates[at].left.max(least - SWING), gates[at].right.min(most + SWING))
        })
        .collect();
    for _ in 0..ROUNDS {
        for at in 1..knots.len() - 1 {
            let (mut pull, mut stiffness) = (0.0, 0.0);
            for bend in at.saturating_sub(1).max(1)..=(at + 1).min(knots.len() - 2) {
                let [a, b, c] = [knots[bend - 1], knots[bend], knots[bend + 1]];
                let (above, below) = (b.y - a.y, c.y - b.y);
                let change = (c.x - b.x) / below - (b.x - a.x) / above;
                let by_this = match bend.cmp(&at) {
                    Ordering::Less => 1.0 / below,
                    Ordering::Equal => -1.0 / below - 1.0 / above,
                    Ordering::Greater => 1.0 / above,
                };
                pull += change * by_this / (above + below);
                stiffness += by_this * by_this / (above + below);
            }
            let x = knots[at].x - pull / stiffness;
            knots[at].x = x.max(room[at].0).min(room[at].1);
        }
    }
}

/// A curve through points from top to bottom, which between two of them is never beside both.
fn smooth(knots: &[Point]) -> Vec<Point> {
    let heights: Vec<f64> = knots.windows(2).map(|pair| pair[1].y - pair[0].y).collect();
    let slopes = knots.windows(2).zip(&heights);
    let slopes: Vec<f64> = slopes.map(|(pair, height)| (pair[1].x - pair[0].x) / height).collect();
    let tangent = |knot: usize| match knot.checked_sub(1) {
        None => slopes[0],
        Some(last) if last + 1 == slopes.len() => slopes[last],
        Some(above) => {
            let (a, b) = (slopes[above], slopes[knot]);
            let mean = (a * heights[knot] + b * heights[above]) / (heights[above] + heights[knot]);
            // Up to three times the smaller slope the curve does not turn back.
            let most = if a * b > 0.0 { 3.0 * a.abs().min(b.abs()) } else { 0.0 };
            mean.clamp(-most, most)
        }
    };
    let mut curve = vec![knots[0]];
    for (number, pair) in knots.windows(2).enumerate() {
        let third = heights[number] / 3.0;
        let (first, second) = (tangent(number), tangent(number + 1));
        curve.push(Point { x: pair[0].x + first * third, y: pair[0].y + third });
        curve.push(Point { x: pair[1].x - second * third, y: pair[1].y - third });
        curve.push(pair[1]);
    }
    curve
}
