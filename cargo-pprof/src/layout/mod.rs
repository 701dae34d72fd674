//! Where the boxes of a graph go, and which way its arrows take: layer by layer, as dot does it.
//!
//! ```text
//! cycles -> ranks -> layers -> order -> place -> route        for each part that hangs together; pack
//! ```
//!
//! Few edges are turned around so that there are no cycles; boxes get a rank, below those that call them; edges that go over several ranks, and labels, get a
//! cell in each; cells are ordered so that few edges cross; they get places so that heavy edges are straight; and edges become curves that keep to the cells
//! which are theirs. So no label lies on another or on a box, and no edge runs through a box.
//!
//! The same graph always gives the same layout: nothing is drawn by chance or asks a clock. What is of a size that nobody reads gets fewer rounds.

mod cycles;
mod layers;
mod order;
mod pack;
mod place;
mod ranks;
mod route;
mod simplex;

use layers::Layers;

/// A place, in points from the top left corner.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// To the right.
    pub x: f64,
    /// Downwards.
    pub y: f64,
}

impl Point {
    /// On the way to another place, 1 being that.
    #[must_use]
    pub fn toward(self, other: Point, part: f64) -> Point {
        Point { x: self.x + (other.x - self.x) * part, y: self.y + (other.y - self.y) * part }
    }

    fn plus(self, by: Point) -> Point {
        Point { x: self.x + by.x, y: self.y + by.y }
    }
}

/// How large something is, in points.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Size {
    /// From left to right.
    pub width: f64,
    /// From top to bottom.
    pub height: f64,
}

/// An arrow from one box to another.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    /// Index of a box.
    pub from: usize,
    /// Index of another box.
    pub to: usize,
    /// How much it matters that it is short and straight, from one on.
    pub weight: i64,
    /// How many ranks it goes down at least, from one on.
    pub min_length: i64,
    /// How thick it is.
    pub width: f64,
    /// What stands beside it.
    pub label: Size,
}

impl Default for Edge {
    fn default() -> Self {
        Edge { from: 0, to: 0, weight: 1, min_length: 1, width: 1.0, label: Size::default() }
    }
}

/// Where everything is.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Of the whole.
    pub size: Size,
    /// Centres of the boxes.
    pub nodes: Vec<Point>,
    /// Of the edges.
    pub routes: Vec<Route>,
}

/// The way of an edge.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// From border to border: a start, and of each cubic curve the two points that it bends to and its end. Empty for an edge from a box to itself.
    pub curve: Vec<Point>,
    /// Centre of the label.
    pub label: Point,
}

impl Route {
    fn shift(&mut self, by: Point) {
        for point in self.curve.iter_mut().chain([&mut self.label]) {
            *point = point.plus(by);
        }
    }
}

/// The graph is so large that nobody could follow its edges: so many ranks do they pass, all together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge(pub usize);

/// Ranks passed by all edges at most: with so many a layout takes half a minute and a gigabyte at most.
const MOST_PASSED: usize = 500_000;

/// Lays a graph out.
///
/// # Errors
/// It is too large.
///
/// # Panics
/// An edge is from or to a box that is not there.
pub fn layout(nodes: &[Size], edges: &[Edge]) -> Result<Layout, TooLarge> {
    let parts = pack::parts(nodes.len(), edges);
    let mut layout = Layout {
        size: Size::default(),
        nodes: vec![Point::default(); nodes.len()],
        routes: vec![Route::default(); edges.len()],
    };
    let laid = parts.iter().map(|part| {
        let sizes: Vec<Size> = part.nodes.iter().map(|node| nodes[*node]).collect();
        connected(&sizes, &part.edges)
    });
    let laid = laid.collect::<Result<Vec<Layout>, TooLarge>>()?;
    let sizes: Vec<Size> = laid.iter().map(|part| part.size).collect();
    let (corners, size) = pack::pack(&sizes);
    layout.size = size;
    for ((part, laid), corner) in parts.iter().zip(laid).zip(corners) {
        for (node, place) in part.nodes.iter().zip(laid.nodes) {
            layout.nodes[*node] = place.plus(corner);
        }
        for (edge, mut route) in part.edge_numbers.iter().zip(laid.routes) {
            route.shift(corner);
            layout.routes[*edge] = route;
        }
    }
    Ok(layout)
}

/// Lays out what hangs together.
fn connected(nodes: &[Size], edges: &[Edge]) -> Result<Layout, TooLarge> {
    // Before ranks are sought, which takes long where there are so many.
    if edges.len() > MOST_PASSED {
        return Err(TooLarge(edges.len()));
    }
    let upward = cycles::upward(nodes.len(), edges);
    let downward: Vec<Edge> = edges
        .iter()
        .zip(&upward)
        .map(|(edge, is_upward)| match is_upward {
            true => Edge { from: edge.to, to: edge.from, ..*edge },
            false => *edge,
        })
        .collect();
    let ranks = ranks::ranks(nodes.len(), &downward, MOST_PASSED)?;
    let passed = downward.iter().map(|edge| ranks[edge.to] - ranks[edge.from]).sum();
    if passed > MOST_PASSED {
        return Err(TooLarge(passed));
    }
    let mut layers = Layers::new(nodes, &downward, &ranks);
    order::order(&mut layers);
    place::place(&mut layers);
    let mut routes = route::routes(&layers, &downward);
    for (route, _) in routes.iter_mut().zip(&upward).filter(|(_, is_upward)| **is_upward) {
        route.curve.reverse();
    }
    Ok(layers.finish(routes))
}
