//! Cells on ranks: boxes, labels, and where edges pass.
//!
//! Boxes are on even ranks. Each edge has a cell on each rank between its boxes, and on one of the odd ranks that cell has room for its label, to the
//! right of where the edge passes.

use super::{Edge, Layout, Point, Route, Size};

/// Between a passing edge and what is beside it.
const CLEARANCE: f64 = 4.0;

/// Between an edge and its label.
pub(super) const LABEL_GAP: f64 = 3.0;

/// What a cell is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Box,
    /// An edge passes, and beside it is its label.
    Label,
    /// An edge passes.
    Pass,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) kind: Kind,
    pub(super) rank: usize,
    /// How far it goes to the left and right of its middle, which is where edges are.
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) height: f64,
    /// The middle.
    pub(super) at: Point,
}

impl Cell {
    /// Where what it is for starts: a box, or the line of an edge.
    pub(super) fn start(&self) -> f64 {
        if self.kind == Kind::Box { self.at.x - self.left } else { self.at.x }
    }

    /// Where that ends.
    pub(super) fn end(&self) -> f64 {
        if self.kind == Kind::Box { self.at.x + self.right } else { self.at.x }
    }
}

/// Between cells on adjacent ranks: a part of an edge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) upper: usize,
    pub(super) lower: usize,
    pub(super) weight: i64,
}

#[derive(Debug)]
pub(super) struct Layers {
    /// Boxes first.
    pub(super) cells: Vec<Cell>,
    /// Cells from left to right.
    pub(super) ranks: Vec<Vec<usize>>,
    /// Cells of each edge, downwards, with the boxes at both ends.
    pub(super) chains: Vec<Vec<usize>>,
    pub(super) segments: Vec<Segment>,
    /// Cells that segments lead to, by cell.
    pub(super) above: Vec<Vec<usize>>,
    pub(super) below: Vec<Vec<usize>>,
    /// Top and bottom of each rank.
    pub(super) bands: Vec<(f64, f64)>,
}

impl Layers {
    pub(super) fn new(nodes: &[Size], edges: &[Edge], ranks: &[usize]) -> Layers {
        let boxes = nodes.iter().zip(ranks).map(|(size, rank)| Cell {
            kind: Kind::Box,
            rank: rank * 2,
            left: size.width / 2.0,
            right: size.width / 2.0,
            height: size.height,
            at: Point::default(),
        });
        let cells: Vec<Cell> = boxes.collect();
        let count = cells.iter().map(|cell| cell.rank + 1).max().unwrap_or(0);
        let mut layers = Layers {
            cells,
            ranks: vec![Vec::new(); count],
            chains: Vec::with_capacity(edges.len()),
            segments: Vec::new(),
            above: Vec::new(),
            below: Vec::new(),
            bands: vec![(0.0, 0.0); count],
        };
        let mut filled = vec![0.0; count];
        for edge in edges {
            layers.add_chain(edge, &mut filled);
        }
        layers.above = vec![Vec::new(); layers.cells.len()];
        layers.below = vec![Vec::new(); layers.cells.len()];
        for Segment { upper, lower, .. } in layers.segments.iter().copied() {
            layers.below[upper].push(lower);
            layers.above[lower].push(upper);
        }
        for (number, cell) in layers.cells.iter().enumerate() {
            layers.ranks[cell.rank].push(number);
        }
        layers
    }

    fn add_chain(&mut self, edge: &Edge, filled: &mut [f64]) {
        let (first, last) = (self.cells[edge.from].rank + 1, self.cells[edge.to].rank);
        let middle = usize::midpoint(first, last);
        // Labels of edges over several ranks go where there are fewest.
        let odd = (first..last).step_by(2);
        let label_at = odd
            .min_by(|a, b| {
                let distance = |rank: usize| rank.abs_diff(middle);
                filled[*a].total_cmp(&filled[*b]).then(distance(*a).cmp(&distance(*b)))
            })
            .unwrap_or(first);
        filled[label_at] += edge.label.width;
        let room = edge.width / 2.0 + CLEARANCE;
        let mut chain = vec![edge.from];
        for rank in first..last {
            let is_label = rank == label_at;
            let label = if is_label { edge.label } else { Size::default() };
            let beside = if label.width > 0.0 { LABEL_GAP + label.width } else { CLEARANCE };
            chain.push(self.cells.len());
            self.cells.push(Cell {
                kind: if is_label { Kind::Label } else { Kind::Pass },
                rank,
                left: room,
                right: edge.width / 2.0 + beside,
                height: label.height,
                at: Point::default(),
            });
        }
        chain.push(edge.to);
        for pair in chain.windows(2) {
            self.segments.push(Segment { upper: pair[0], lower: pair[1], weight: edge.weight });
        }
        self.chains.push(chain);
    }

    /// Everything in its place, from zero on.
    pub(super) fn finish(&self, mut routes: Vec<Route>) -> Layout {
        let boxes = self.cells.iter().filter(|cell| cell.kind == Kind::Box);
        let (mut left, mut right) = (f64::INFINITY, f64::NEG_INFINITY);
        for cell in &self.cells {
            left = left.min(cell.at.x - cell.left);
            right = right.max(cell.at.x + cell.right);
        }
        let by = Point { x: -left, y: 0.0 };
        routes.iter_mut().for_each(|route| route.shift(by));
        Layout {
            size: Size {
                width: right - left,
                height: self.bands.last().map_or(0.0, |(_, bottom)| *bottom),
            },
            nodes: boxes.map(|cell| cell.at.plus(by)).collect(),
            routes,
        }
    }
}
