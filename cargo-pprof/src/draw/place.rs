//! What is where in a picture.

use super::font::{ASCENT, LINE, width};
use super::picture::{Arrow, Color, Node, Picture, Shape, lines};
use crate::layout::{Edge, Layout, Point, Size, TooLarge, layout};

/// Around letters in a box.
const PADDING: Size = Size { width: 7.0, height: 4.0 };

/// Around the whole.
const MARGIN: f64 = 16.0;

/// Of what stands beside arrows.
const LABEL_FONT: f64 = 12.0;

const LEGEND_FONT: f64 = 14.0;

const TAG_WEIGHT: i64 = 2;

/// How far the back of a tag's box is behind its front.
const DEPTH: f64 = 3.0;

/// A picture with its places.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// The main program; may be empty.
    pub title: String,
    /// Of the whole, in points.
    pub size: Size,
    /// The legend first.
    pub boxes: Vec<Boxed>,
    /// Arrows, the lightest first: these go below.
    pub arrows: Vec<Drawn>,
}

/// A box with its place.
#[derive(Clone, Debug)]
pub struct Boxed {
    /// Its name in the image.
    pub id: String,
    /// What is said of it when asked.
    pub tooltip: String,
    /// Its middle.
    pub center: Point,
    /// How large it is.
    pub size: Size,
    /// What stands in it.
    pub text: Text,
    /// Of the border.
    pub line: Color,
    /// Of what is inside.
    pub fill: Color,
    /// Whether it is drawn as a thing and not as a sheet.
    pub is_tag: bool,
}

/// Lines of text.
#[derive(Clone, Debug)]
pub struct Text {
    /// From the top.
    pub lines: Vec<String>,
    /// In points.
    pub font_size: f64,
    /// Whether they start one below the other, instead of being centred.
    pub is_left: bool,
}

/// An arrow with its way.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// What is said of it when asked.
    pub tooltip: String,
    /// A start, and of each cubic curve the two points that it bends to and its end, which is that of the head.
    pub curve: Vec<Point>,
    /// Tip, and the two corners behind.
    pub head: [Point; 3],
    /// How thick it is.
    pub width: f64,
    /// Of line and head.
    pub color: Color,
    /// Whether the line is.
    pub is_dotted: bool,
    /// Middle of the label.
    pub center: Point,
    /// What stands beside it.
    pub text: Text,
}

impl Boxed {
    /// Corners of the front, and of a tag's top and side.
    #[must_use]
    pub fn outlines(&self) -> Vec<[Point; 4]> {
        let Boxed { center, size, .. } = self;
        let (left, top) = (center.x - size.width / 2.0, center.y - size.height / 2.0);
        let (right, bottom) = (left + size.width, top + size.height);
        let at = |x: f64, y: f64| Point { x, y };
        let front = [at(left, top), at(right, top), at(right, bottom), at(left, bottom)];
        if !self.is_tag {
            return vec![front];
        }
        let back = |p: Point| at(p.x + DEPTH, p.y - DEPTH);
        let [a, b, c, _] = front;
        vec![front, [a, b, back(b), back(a)], [b, c, back(c), back(b)]]
    }
}

impl Drawn {
    /// From dot to dot of a dotted line: they do not touch.
    #[must_use]
    pub fn dot_distance(&self) -> f64 {
        self.width * 1.5 + 4.0
    }
}

impl Text {
    fn new(label: &str, font_size: f64, is_left: bool) -> Text {
        let lines = lines(label).iter().map(|line| line.trim().to_owned()).collect();
        Text { lines, font_size, is_left }
    }

    /// Where the foot of a line's first letter is, if the middle of all is there.
    #[must_use]
    pub fn foot(&self, number: usize, center: Point) -> Point {
        let Size { width: widest, height } = self.size();
        let own = if self.is_left { widest } else { width(&self.lines[number]) * self.font_size };
        Point {
            x: center.x - own / 2.0,
            y: center.y - height / 2.0 + (number as f64 * LINE + ASCENT) * self.font_size,
        }
    }

    /// How much room it takes.
    #[must_use]
    pub fn size(&self) -> Size {
        let widest = self.lines.iter().map(|line| width(line)).fold(0.0, f64::max);
        let height = self.lines.len() as f64 * LINE;
        Size { width: widest * self.font_size, height: height * self.font_size }
    }
}

impl Drawing {
    /// Finds a place for everything.
    ///
    /// # Errors
    /// The graph is too large.
    pub fn new(picture: &Picture) -> Result<Drawing, TooLarge> {
        let mut boxes: Vec<Boxed> = picture.nodes.iter().map(boxed).collect();
        let sizes: Vec<Size> = boxes.iter().map(|node| node.size).collect();
        let texts: Vec<Text> =
            picture.arrows().map(|arrow| Text::new(&arrow.label, LABEL_FONT, false)).collect();
        // Tags have one arrow each: it need not pull hard to be straight.
        let is_tag = |node: usize| matches!(picture.nodes[node].shape, Shape::Tag(_));
        let most = |arrow: &Arrow| if is_tag(arrow.to) { TAG_WEIGHT } else { i64::MAX };
        let edges = picture.arrows().zip(&texts).map(|(arrow, text)| Edge {
            from: arrow.from,
            to: arrow.to,
            weight: arrow.weight.min(most(arrow)),
            min_length: arrow.min_length,
            width: arrow.width as f64,
            label: text.size(),
        });
        let layout = layout(&sizes, &edges.collect::<Vec<_>>())?;
        let legend = legend(picture);
        let taken = taken(&layout, &sizes, &texts);
        let (graph, at, size) = settle(layout.size, &taken, legend.size);
        for (node, center) in boxes.iter_mut().zip(&layout.nodes) {
            node.center = plus(*center, graph);
        }
        let arrows =
            picture.arrows().zip(texts).zip(layout.routes).map(|((arrow, text), route)| {
                let width = arrow.width as f64;
                let mut curve: Vec<Point> = route.curve.iter().map(|p| plus(*p, graph)).collect();
                let head = head(&mut curve, width);
                Drawn {
                    tooltip: lines(&arrow.tooltip).join(" "),
                    curve,
                    head,
                    width,
                    color: arrow.color.unwrap_or(Color::BLACK),
                    is_dotted: arrow.is_dotted,
                    center: plus(route.label, graph),
                    text,
                }
            });
        let mut arrows: Vec<Drawn> = arrows.filter(|arrow| !arrow.curve.is_empty()).collect();
        arrows.sort_by(|a, b| a.width.total_cmp(&b.width));
        if !picture.legend.is_empty() {
            boxes.insert(0, Boxed { center: at, ..legend });
        }
        Ok(Drawing { title: picture.title.clone(), size, boxes, arrows })
    }
}

fn plus(a: Point, b: Point) -> Point {
    Point { x: a.x + b.x, y: a.y + b.y }
}

fn boxed(node: &Node) -> Boxed {
    let text = Text::new(&node.label, node.font_size as f64, false);
    let of_text = text.size();
    let size = Size {
        width: of_text.width + 2.0 * PADDING.width,
        height: of_text.height + 2.0 * PADDING.height,
    };
    let (line, fill, is_tag) = match node.shape {
        Shape::Call { line, fill } => (line, fill, false),
        Shape::Tag(_) => (Color::BLACK, Color::PALE, true),
    };
    Boxed {
        id: node.id.clone(),
        tooltip: lines(&node.tooltip).join(" "),
        center: Point::default(),
        size,
        text,
        line,
        fill,
        is_tag,
    }
}

fn legend(picture: &Picture) -> Boxed {
    let text = Text::new(&picture.legend.join("\\l"), LEGEND_FONT, true);
    let of_text = text.size();
    let size = match picture.legend.as_slice() {
        [] => Size::default(),
        _ => Size {
            width: of_text.width + 2.0 * PADDING.width,
            height: of_text.height + 2.0 * PADDING.height,
        },
    };
    Boxed {
        id: "legend".to_owned(),
        tooltip: picture.title.clone(),
        center: Point::default(),
        size,
        text,
        line: Color::BLACK,
        fill: Color::PALE,
        is_tag: false,
    }
}

/// What is covered, by its top, left and right.
fn taken(layout: &Layout, sizes: &[Size], texts: &[Text]) -> Vec<(f64, f64, f64)> {
    let around = |center: &Point, size: Size| {
        (center.y - size.height / 2.0, center.x - size.width / 2.0, center.x + size.width / 2.0)
    };
    let boxes = layout.nodes.iter().zip(sizes).map(|(center, size)| around(center, *size));
    let labels =
        layout.routes.iter().zip(texts).map(|(route, text)| around(&route.label, text.size()));
    let points = layout.routes.iter().flat_map(|route| &route.curve).map(|p| (p.y, p.x, p.x));
    boxes.chain(labels).chain(points).collect()
}

/// Puts the legend into the upper corner of the graph in which there is more room, or beside it: where the corner of the graph is then, the middle of
/// the legend, and the size of the whole.
fn settle(graph: Size, taken: &[(f64, f64, f64)], legend: Size) -> (Point, Point, Size) {
    let beside = taken.iter().filter(|(top, ..)| *top < legend.height + MARGIN);
    let (mut left, mut right) = (graph.width, 0.0);
    for (_, from, to) in beside {
        left = f64::min(left, *from);
        right = f64::max(right, *to);
    }
    let (to_left, to_right) = match legend.width {
        0.0 => (0.0, 0.0),
        width => {
            let room = width + MARGIN;
            ((room - left).max(0.0), (right + room - graph.width).max(0.0))
        }
    };
    let is_left = to_left <= to_right;
    let shift = if is_left { to_left } else { 0.0 };
    let size = Size {
        width: graph.width + if is_left { to_left } else { to_right } + 2.0 * MARGIN,
        height: graph.height.max(legend.height) + 2.0 * MARGIN,
    };
    let x = match is_left {
        true => MARGIN + legend.width / 2.0,
        false => size.width - MARGIN - legend.width / 2.0,
    };
    (Point { x: MARGIN + shift, y: MARGIN }, Point { x, y: MARGIN + legend.height / 2.0 }, size)
}

/// Takes the end off a curve for the head of an arrow.
fn head(curve: &mut Vec<Point>, width: f64) -> [Point; 3] {
    let Some(tip) = curve.last().copied() else { return [Point::default(); 3] };
    let (length, half) = (7.0 + 1.5 * width, 2.6 + 0.9 * width);
    let distance = |p: Point| (p.x - tip.x).hypot(p.y - tip.y);
    while curve.len() > 4 && distance(curve[curve.len() - 4]) < length {
        curve.truncate(curve.len() - 3);
    }
    let last = curve.len() - 4;
    let piece = [curve[last], curve[last + 1], curve[last + 2], curve[last + 3]];
    // Where it comes near, by halves.
    let (mut near, mut far) = (0.0, 1.0);
    for _ in 0..24 {
        let middle = f64::midpoint(near, far);
        let is_far = distance(split(piece, middle)[3]) > length;
        *(if is_far { &mut near } else { &mut far }) = middle;
    }
    let piece = split(piece, near.max(0.01));
    curve[last..].copy_from_slice(&piece);
    let base = piece[3];
    let length = distance(base).max(0.01);
    let (x, y) = ((tip.x - base.x) / length * half, (tip.y - base.y) / length * half);
    [tip, Point { x: base.x - y, y: base.y + x }, Point { x: base.x + y, y: base.y - x }]
}

/// The part of a cubic curve up to there (de Casteljau).
fn split([a, b, c, d]: [Point; 4], part: f64) -> [Point; 4] {
    let (ab, bc, cd) = (a.toward(b, part), b.toward(c, part), c.toward(d, part));
    let (abc, bcd) = (ab.toward(bc, part), bc.toward(cd, part));
    [a, ab, abc, abc.toward(bcd, part)]
}
