//! Pictures for browsers. Colours of the page follow what the reader prefers; boxes stay light.

use std::io::{self, Write};

use super::font::width;
use super::picture::Color;
use super::place::{Boxed, Drawing, Drawn, Text};
use crate::layout::Point;

const STYLE: &str = include_str!("svg/style.css");
const SCRIPT: &str = include_str!("svg/script.js");

pub(super) fn write(drawing: &Drawing, out: &mut dyn Write) -> io::Result<()> {
    let (width, height) = (drawing.size.width.ceil(), drawing.size.height.ceil());
    write!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" x=\"-50%\" y=\"-50%\" width=\"200%\" height=\"200%\"/>\n\
         <g id=\"graph\">\n",
        escape(if drawing.title.is_empty() { "Call graph" } else { &drawing.title }),
    )?;
    drawing.arrows.iter().try_for_each(|arrow| write_arrow(out, arrow))?;
    drawing.boxes.iter().try_for_each(|node| write_box(out, node))?;
    write!(out, "</g>\n<script><![CDATA[{SCRIPT}]]></script>\n</svg>\n")
}

fn write_box(out: &mut dyn Write, node: &Boxed) -> io::Result<()> {
    write!(
        out,
        "<g class=\"box\" id=\"{}\"><title>{}</title><path fill=\"{}\" stroke=\"{}\" d=\"",
        escape(&node.id),
        escape(&node.tooltip),
        node.fill,
        node.line,
    )?;
    for [a, b, c, d] in node.outlines() {
        write!(out, "M{:.1} {:.1}L{:.1} {:.1} ", a.x, a.y, b.x, b.y)?;
        write!(out, "{:.1} {:.1} {:.1} {:.1}z", c.x, c.y, d.x, d.y)?;
    }
    write!(out, "\"/>")?;
    write_text(out, &node.text, node.center)?;
    writeln!(out, "</g>")
}

fn write_arrow(out: &mut dyn Write, arrow: &Drawn) -> io::Result<()> {
    write!(out, "<g class=\"arrow\"><title>{}</title><path d=\"M", escape(&arrow.tooltip))?;
    for (number, Point { x, y }) in arrow.curve.iter().enumerate() {
        write!(out, "{}{x:.1} {y:.1}", if number == 1 { "C" } else { " " })?;
    }
    // Black is what is written with.
    let color = match arrow.color {
        Color::BLACK => "currentColor".to_owned(),
        color => color.to_string(),
    };
    write!(out, "\" fill=\"none\" stroke=\"{color}\" stroke-width=\"{}\"", arrow.width)?;
    if arrow.is_dotted {
        write!(out, " stroke-linecap=\"round\"")?;
        write!(out, " stroke-dasharray=\"0.5 {}\"", arrow.dot_distance())?;
    }
    let [tip, left, right] = arrow.head;
    write!(
        out,
        "/><path d=\"M{:.1} {:.1}L{:.1} {:.1} {:.1} {:.1}z\" fill=\"{color}\"/>",
        tip.x, tip.y, left.x, left.y, right.x, right.y,
    )?;
    write_text(out, &arrow.text, arrow.center)?;
    writeln!(out, "</g>")
}

/// Lines are squeezed or stretched to the width that they were measured to have: whichever font there is, they stay in their boxes.
fn write_text(out: &mut dyn Write, text: &Text, center: Point) -> io::Result<()> {
    for (number, line) in text.lines.iter().enumerate().filter(|(_, line)| !line.trim().is_empty())
    {
        let Point { x, y } = text.foot(number, center);
        write!(
            out,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{}\" textLength=\"{:.1}\" \
             lengthAdjust=\"spacingAndGlyphs\">{}</text>",
            text.font_size,
            width(line) * text.font_size,
            escape(line),
        )?;
    }
    Ok(())
}

/// Text of a profile as text of XML.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML has no others.
            c if (c as u32) < 0x20 || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
