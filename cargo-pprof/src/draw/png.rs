//! Pictures of pixels, without fonts of the system: the same everywhere.

use std::io::{self, Write};

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use tiny_skia::{
    Color as Ink, FillRule, LineCap, Paint, Path, PathBuilder, Pixmap, Stroke as Pen, StrokeDash,
    Transform,
};

use super::font::outline;
use super::picture::Color;
use super::place::{Drawing, Text};
use super::strokes::{Stroke, polygon, strokes};
use crate::layout::Point;

/// Pixels for a point, a little more than screens have: the smallest letters are to be read.
const SCALE: f64 = 1.5;

/// Pixels at most, which take 256 MB: larger pictures are drawn smaller. Few programs show more.
const MOST: f64 = 64e6;

pub(super) fn write(drawing: &Drawing, out: &mut dyn Write) -> io::Result<()> {
    let (width, height) = (drawing.size.width.max(1.0), drawing.size.height.max(1.0));
    let scale = SCALE.min((MOST / width / height).sqrt());
    let pixels = |points: f64| (points * scale).ceil() as u32;
    let pixmap = Pixmap::new(pixels(width), pixels(height));
    let pixmap = pixmap.ok_or_else(|| io::Error::other("the picture is too large"))?;
    let mut canvas = Canvas { pixmap, scale: Transform::from_scale(scale as f32, scale as f32) };
    canvas.pixmap.fill(Ink::WHITE);
    canvas.draw(drawing);
    encode(&canvas.pixmap, out)
}

struct Canvas {
    pixmap: Pixmap,
    scale: Transform,
}

impl Canvas {
    fn draw(&mut self, drawing: &Drawing) {
        for arrow in &drawing.arrows {
            let line = path(&strokes(&arrow.curve));
            let dots = || StrokeDash::new(vec![0.5, arrow.dot_distance() as f32], 0.0);
            let dash = arrow.is_dotted.then(dots).flatten();
            let line_cap = if arrow.is_dotted { LineCap::Round } else { LineCap::Butt };
            let pen = Pen { width: arrow.width as f32, line_cap, dash, ..Pen::default() };
            self.stroke(line.as_ref(), arrow.color, &pen);
            self.fill(path(&polygon(&arrow.head)).as_ref(), arrow.color);
            self.text(&arrow.text, arrow.center);
        }
        for node in &drawing.boxes {
            for shape in node.outlines() {
                let shape = path(&polygon(&shape));
                self.fill(shape.as_ref(), node.fill);
                self.stroke(shape.as_ref(), node.line, &Pen::default());
            }
            self.text(&node.text, node.center);
        }
    }

    fn text(&mut self, text: &Text, center: Point) {
        for (number, line) in text.lines.iter().enumerate() {
            let letters = outline(line, text.foot(number, center), text.font_size);
            self.fill(path(&letters).as_ref(), Color::BLACK);
        }
    }

    fn fill(&mut self, path: Option<&Path>, color: Color) {
        if let Some(path) = path {
            self.pixmap.fill_path(path, &paint(color), FillRule::Winding, self.scale, None);
        }
    }

    fn stroke(&mut self, path: Option<&Path>, color: Color, pen: &Pen) {
        if let Some(path) = path {
            self.pixmap.stroke_path(path, &paint(color), pen, self.scale, None);
        }
    }
}

fn paint(Color(red, green, blue): Color) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(red, green, blue, 255);
    paint
}

/// Nothing if nothing is in it.
fn path(strokes: &[Stroke]) -> Option<Path> {
    let mut path = PathBuilder::new();
    let at = |point: Point| (point.x as f32, point.y as f32);
    for stroke in strokes {
        match *stroke {
            Stroke::Move(to) => path.move_to(at(to).0, at(to).1),
            Stroke::Line(to) => path.line_to(at(to).0, at(to).1),
            Stroke::Curve(a, b, to) => {
                path.cubic_to(at(a).0, at(a).1, at(b).0, at(b).1, at(to).0, at(to).1);
            }
            Stroke::Close => path.close(),
        }
    }
    path.finish()
}

/// Rows of red, green and blue, each after a zero: it is packed as it is.
fn encode(pixmap: &Pixmap, out: &mut dyn Write) -> io::Result<()> {
    let (width, height) = (pixmap.width(), pixmap.height());
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    for row in pixmap.pixels().chunks(width as usize) {
        let mut bytes = vec![0];
        bytes.extend(row.iter().flat_map(|pixel| [pixel.red(), pixel.green(), pixel.blue()]));
        packed.write_all(&bytes)?;
    }
    // Eight bits, colours, and the only ways there are to pack, filter and order.
    let mut head = [width.to_be_bytes(), height.to_be_bytes()].concat();
    head.extend([8, 2, 0, 0, 0]);
    out.write_all(b"\x89PNG\r\n\x1a\n")?;
    chunk(out, *b"IHDR", &head)?;
    chunk(out, *b"IDAT", &packed.finish()?)?;
    chunk(out, *b"IEND", &[])
}

fn chunk(out: &mut dyn Write, name: [u8; 4], content: &[u8]) -> io::Result<()> {
    let mut sum = Crc::new();
    sum.update(&name);
    sum.update(content);
    out.write_all(&(content.len() as u32).to_be_bytes())?;
    out.write_all(&name)?;
    out.write_all(content)?;
    out.write_all(&sum.sum().to_be_bytes())
}
