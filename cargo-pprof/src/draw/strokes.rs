//! Lines of which shapes, curves and letters are made.

use crate::layout::Point;

/// A part of a path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stroke {
    Move(Point),
    Line(Point),
    /// Two points that it bends to, and its end.
    Curve(Point, Point, Point),
    Close,
}

/// A start, and of each cubic curve the two points that it bends to and its end.
pub(super) fn strokes(curve: &[Point]) -> Vec<Stroke> {
    let [start, rest @ ..] = curve else { return Vec::new() };
    let pieces = rest.chunks_exact(3).map(|piece| Stroke::Curve(piece[0], piece[1], piece[2]));
    [Stroke::Move(*start)].into_iter().chain(pieces).collect()
}

pub(super) fn polygon(corners: &[Point]) -> Vec<Stroke> {
    let [start, rest @ ..] = corners else { return Vec::new() };
    let sides = rest.iter().map(|corner| Stroke::Line(*corner));
    [Stroke::Move(*start)].into_iter().chain(sides).chain([Stroke::Close]).collect()
}
