//! Pictures for paper: one page, as large as the picture. Helvetica need not be in the file; what it has no letters for is drawn as outlines.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use pdf_writer::types::LineCapStyle;
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str};

use super::font::outline;
use super::picture::Color;
use super::place::{Drawing, Text};
use super::strokes::{Stroke, polygon, strokes};
use crate::layout::Point;

/// Readers need not show larger pages (ISO 32000-1, annex C): a unit is more than a point there.
const LARGEST: f64 = 14_400.0;

const FONT: Name<'_> = Name(b"F1");

pub(super) fn write(drawing: &Drawing, out: &mut dyn Write) -> io::Result<()> {
    let (width, height) = (drawing.size.width, drawing.size.height);
    let unit = (width.max(height) / LARGEST).max(1.0);
    let mut page = Page { content: Content::new(), height };
    page.content.transform([(1.0 / unit) as f32, 0.0, 0.0, (1.0 / unit) as f32, 0.0, 0.0]);
    page.draw(drawing);
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&page.content.finish())?;
    let packed = packed.finish()?;

    let [catalog, pages, sheet, font, content] = [1, 2, 3, 4, 5].map(Ref::new);
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(pages);
    pdf.pages(pages).kids([sheet]).count(1);
    let mut described = pdf.page(sheet);
    described.parent(pages).contents(content);
    described.media_box(Rect::new(0.0, 0.0, (width / unit) as f32, (height / unit) as f32));
    if unit > 1.0 {
        described.user_unit(unit as f32);
    }
    described.resources().fonts().pair(FONT, font);
    described.finish();
    pdf.type1_font(font)
        .base_font(Name(b"Helvetica"))
        .encoding_predefined(Name(b"WinAnsiEncoding"));
    pdf.stream(content, &packed).filter(Filter::FlateDecode);
    out.write_all(&pdf.finish())
}

struct Page {
    content: Content,
    height: f64,
}

impl Page {
    fn draw(&mut self, drawing: &Drawing) {
        for arrow in &drawing.arrows {
            self.content.save_state();
            self.content.set_line_width(arrow.width as f32);
            if arrow.is_dotted {
                self.content.set_dash_pattern([0.5, arrow.dot_distance() as f32], 0.0);
                self.content.set_line_cap(LineCapStyle::RoundCap);
            }
            self.pen(arrow.color, arrow.color);
            self.path(&strokes(&arrow.curve));
            self.content.stroke();
            self.content.restore_state();
            self.pen(arrow.color, arrow.color);
            self.path(&polygon(&arrow.head));
            self.content.fill_nonzero();
            self.text(&arrow.text, arrow.center);
        }
        for node in &drawing.boxes {
            for shape in node.outlines() {
                self.pen(node.line, node.fill);
                self.path(&polygon(&shape));
                self.content.fill_nonzero_and_stroke();
            }
            self.text(&node.text, node.center);
        }
    }

    fn text(&mut self, text: &Text, center: Point) {
        self.pen(Color::BLACK, Color::BLACK);
        for (number, line) in text.lines.iter().enumerate() {
            let foot = text.foot(number, center);
            if line.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
                let (x, y) = self.at(foot);
                self.content.begin_text().set_font(FONT, text.font_size as f32);
                self.content.next_line(x, y).show(Str(line.as_bytes())).end_text();
            } else {
                self.path(&outline(line, foot, text.font_size));
                self.content.fill_nonzero();
            }
        }
    }

    fn pen(&mut self, line: Color, fill: Color) {
        let part = |byte: u8| f32::from(byte) / 255.0;
        self.content.set_stroke_rgb(part(line.0), part(line.1), part(line.2));
        self.content.set_fill_rgb(part(fill.0), part(fill.1), part(fill.2));
    }

    fn path(&mut self, strokes: &[Stroke]) {
        for stroke in strokes {
            match *stroke {
                Stroke::Move(to) => {
                    let (x, y) = self.at(to);
                    self.content.move_to(x, y);
                }
                Stroke::Line(to) => {
                    let (x, y) = self.at(to);
                    self.content.line_to(x, y);
                }
                Stroke::Curve(a, b, to) => {
                    let ((ax, ay), (bx, by), (x, y)) = (self.at(a), self.at(b), self.at(to));
                    self.content.cubic_to(ax, ay, bx, by, x, y);
                }
                Stroke::Close => {
                    self.content.close_path();
                }
            }
        }
    }

    /// PDF counts upwards.
    fn at(&self, point: Point) -> (f32, f32) {
        (point.x as f32, (self.height - point.y) as f32)
    }
}
