//! Parts of a graph that do not hang together, and how they are put beside each other.

use super::{Edge, Point, Size};

/// Between two parts.
const GAP: f64 = 24.0;

/// Of a whole made of many parts: of most screens.
const ASPECT: f64 = 1.6;

/// Boxes that hang together, and their edges, which are between these boxes by their places here.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) nodes: Vec<usize>,
    pub(super) edges: Vec<Edge>,
    pub(super) edge_numbers: Vec<usize>,
}

/// In the order of their first boxes. Edges from a box to itself are in none.
pub(super) fn parts(nodes: usize, edges: &[Edge]) -> Vec<Part> {
    let mut near = vec![Vec::new(); nodes];
    for edge in edges {
        near[edge.from].push(edge.to);
        near[edge.to].push(edge.from);
    }
    let mut part_of = vec![usize::MAX; nodes];
    let mut parts: Vec<Part> = Vec::new();
    for start in 0..nodes {
        if part_of[start] != usize::MAX {
            continue;
        }
        part_of[start] = parts.len();
        let mut pending = vec![start];
        while let Some(node) = pending.pop() {
            for other in &near[node] {
                if part_of[*other] == usize::MAX {
                    part_of[*other] = parts.len();
                    pending.push(*other);
                }
            }
        }
        parts.push(Part::default());
    }
    let mut place = vec![0; nodes];
    for (node, part) in part_of.iter().enumerate() {
        place[node] = parts[*part].nodes.len();
        parts[*part].nodes.push(node);
    }
    for (number, edge) in edges.iter().enumerate().filter(|(_, edge)| edge.from != edge.to) {
        let part = &mut parts[part_of[edge.from]];
        part.edges.push(Edge { from: place[edge.from], to: place[edge.to], ..*edge });
        part.edge_numbers.push(number);
    }
    parts
}

/// The corners of parts in rows, and the size of the whole.
pub(super) fn pack(sizes: &[Size]) -> (Vec<Point>, Size) {
    let area: f64 = sizes.iter().map(|s| (s.width + GAP) * (s.height + GAP)).sum();
    let widest = sizes.iter().map(|s| s.width).fold(0.0, f64::max);
    let tallest = sizes.iter().map(|s| s.height).fold(0.0, f64::max);
    // Beside a tall one there is room for many.
    let limit = (area * ASPECT).sqrt().max(widest).max(tallest * ASPECT);
    let (mut x, mut y, mut row) = (0.0, 0.0, 0.0);
    let mut whole = Size::default();
    let mut corners = Vec::with_capacity(sizes.len());
    for size in sizes {
        if x > 0.0 && x + size.width > limit {
            (x, y, row) = (0.0, y + row + GAP, 0.0);
        }
        corners.push(Point { x, y });
        x += size.width + GAP;
        row = f64::max(row, size.height);
        whole.width = whole.width.max(x - GAP);
        whole.height = whole.height.max(y + row);
    }
    (corners, whole)
}
