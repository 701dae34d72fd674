//! How wide text is, and what letters look like.

use std::sync::LazyLock;

use ttf_parser::{Face, GlyphId, OutlineBuilder};

use super::strokes::Stroke;
use crate::layout::Point;

/// Widths of Helvetica from the blank to the tilde, in thousandths of the font size: those of Arial and of Liberation Sans too.
const WIDTHS: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, // to /
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, // to ?
    1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778, // to O
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, // to _
    333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, // to o
    556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];

/// From one line to the next, in parts of the font size.
pub(super) const LINE: f64 = 1.17;

/// From the top of a line to the foot of its letters, in parts of the font size.
pub(super) const ASCENT: f64 = 0.92;

/// How wide a line is, at a font size of one.
pub(super) fn width(line: &str) -> f64 {
    line.chars().map(char_width).sum()
}

fn char_width(c: char) -> f64 {
    let thousandths = match c {
        ' '..='~' => WIDTHS[c as usize - ' ' as usize],
        // Latin, Greek, Cyrillic; from Hangul on most are squares.
        '\u{a0}'..'\u{1100}' => 667,
        _ => 1000,
    };
    f64::from(thousandths) / 1000.0
}

/// The font of images that bring their own: next to Helvetica in width, and with letters of most alphabets.
static FACE: LazyLock<Face<'static>> = LazyLock::new(|| {
    Face::parse(dejavu::sans_condensed::regular(), 0).expect("the font of a crate is whole")
});

/// The outlines of a line's letters, from the foot of the first. What this font has wider than it was measured is squeezed.
pub(super) fn outline(line: &str, foot: Point, size: f64) -> Vec<Stroke> {
    let face = &*FACE;
    let unit = size / f64::from(face.units_per_em());
    let glyphs: Vec<GlyphId> =
        line.chars().map(|c| face.glyph_index(c).unwrap_or_default()).collect();
    let advance = |glyph: GlyphId| f64::from(face.glyph_hor_advance(glyph).unwrap_or(0)) * unit;
    let natural: f64 = glyphs.iter().map(|glyph| advance(*glyph)).sum();
    let squeeze = if natural > 0.0 { width(line) * size / natural } else { 1.0 };
    let mut pen = Pen { strokes: Vec::new(), foot, at: foot, scale: (squeeze * unit, unit) };
    for glyph in glyphs {
        face.outline_glyph(glyph, &mut pen);
        pen.foot.x += advance(glyph) * squeeze;
    }
    pen.strokes
}

struct Pen {
    strokes: Vec<Stroke>,
    foot: Point,
    at: Point,
    scale: (f64, f64),
}

impl Pen {
    fn go(&mut self, x: f32, y: f32) -> Point {
        self.at = self.place(x, y);
        self.at
    }

    /// Fonts count upwards.
    fn place(&self, x: f32, y: f32) -> Point {
        let (across, up) = self.scale;
        Point { x: self.foot.x + f64::from(x) * across, y: self.foot.y - f64::from(y) * up }
    }
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        let to = self.go(x, y);
        self.strokes.push(Stroke::Move(to));
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let to = self.go(x, y);
        self.strokes.push(Stroke::Line(to));
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let (from, bend) = (self.at, self.place(x1, y1));
        let to = self.go(x, y);
        let toward = |end: Point| end.toward(bend, 2.0 / 3.0);
        self.strokes.push(Stroke::Curve(toward(from), toward(to), to));
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let (first, second) = (self.place(x1, y1), self.place(x2, y2));
        let to = self.go(x, y);
        self.strokes.push(Stroke::Curve(first, second, to));
    }

    fn close(&mut self) {
        self.strokes.push(Stroke::Close);
    }
}
