//! What is in a picture.

use std::fmt;

/// A graph to be drawn. Labels are as Graphviz has them: `\n` ends a line, `\l` one that is to the left, and `\` stands before what is meant as it is.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// The main program; may be empty.
    pub title: String,
    /// What is said of the profile.
    pub legend: Vec<String>,
    /// Boxes, those of tags after what they hang on.
    pub nodes: Vec<Node>,
    /// Arrows between boxes, but those to tags.
    pub calls: Vec<Arrow>,
}

/// A box.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name in the graph.
    pub name: String,
    /// Its name in the image.
    pub id: String,
    /// What stands in it.
    pub label: String,
    /// What is said of it when asked.
    pub tooltip: String,
    /// In points.
    pub font_size: i64,
    /// What it is.
    pub shape: Shape,
}

/// What a box is.
#[derive(Clone, Debug)]
pub enum Shape {
    /// A function.
    Call {
        /// Of the border.
        line: Color,
        /// Of what is inside.
        fill: Color,
    },
    /// A tag, and the arrow from what it hangs on.
    Tag(Arrow),
}

/// An arrow from one box to another.
#[derive(Clone, Debug)]
pub struct Arrow {
    /// Index of a box; of none where that is left out.
    pub from: usize,
    /// Index of another; of none where that is left out.
    pub to: usize,
    /// What stands beside it.
    pub label: String,
    /// What is said of it when asked.
    pub tooltip: String,
    /// How much it matters that it is short and straight: 1 to 101.
    pub weight: i64,
    /// In points.
    pub width: i64,
    /// Black if there is none.
    pub color: Option<Color>,
    /// It goes over what is left out.
    pub is_dotted: bool,
    /// How many rows of boxes it goes down at least.
    pub min_length: i64,
}

impl Default for Arrow {
    fn default() -> Self {
        Arrow {
            from: 0,
            to: 0,
            label: String::new(),
            tooltip: String::new(),
            weight: 1,
            width: 1,
            color: None,
            is_dotted: false,
            min_length: 1,
        }
    }
}

/// Red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color(pub u8, pub u8, pub u8);

impl Color {
    pub(super) const BLACK: Color = Color(0, 0, 0);

    /// Of boxes that have none of their own.
    pub(super) const PALE: Color = Color(0xf8, 0xf8, 0xf8);
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Color(red, green, blue) = self;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl Picture {
    /// All arrows between boxes that are there, those to tags first.
    pub fn arrows(&self) -> impl Iterator<Item = &Arrow> {
        let to_tags = self.nodes.iter().filter_map(|node| match &node.shape {
            Shape::Tag(arrow) => Some(arrow),
            Shape::Call { .. } => None,
        });
        let is_there = |arrow: &&Arrow| arrow.from.max(arrow.to) < self.nodes.len();
        to_tags.chain(self.calls.iter().filter(is_there))
    }
}

/// The lines of a label as they are read. What cannot be seen is a blank.
pub(super) fn lines(label: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut chars = label.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' => match chars.next() {
                Some('n' | 'l' | 'r') | None => '\n',
                Some(c) => c,
            },
            c => c,
        };
        match (c, lines.last_mut()) {
            ('\n', _) => lines.push(String::new()),
            (c, Some(line)) => line.push(if c.is_control() { ' ' } else { c }),
            (_, None) => {}
        }
    }
    if lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}
