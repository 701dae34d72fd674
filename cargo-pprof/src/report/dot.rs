//! For Graphviz.

use std::io::{self, Write};

use crate::draw::{Arrow, Node, Picture, Shape};

pub(super) fn write(picture: &Picture, out: &mut dyn Write) -> io::Result<()> {
    let title = quotable(&picture.title);
    let name = if title.is_empty() { "unnamed" } else { &title };
    writeln!(out, "digraph \"{name}\" {{")?;
    writeln!(out, "node [style=filled fillcolor=\"#f8f8f8\"]")?;
    let first = picture.legend.first().map_or("", String::as_str);
    write!(out, "subgraph cluster_L {{ \"{first}\" [shape=box fontsize=16")?;
    write!(out, " label=\"{}\\l\"", picture.legend.join("\\l"))?;
    if !title.is_empty() {
        write!(out, " tooltip=\"{title}\"")?;
    }
    writeln!(out, "] }}")?;
    for node in &picture.nodes {
        write_node(node, out)?;
        if let Shape::Tag(arrow) = &node.shape {
            write_arrow(picture, arrow, out)?;
        }
    }
    for arrow in &picture.calls {
        write_arrow(picture, arrow, out)?;
    }
    writeln!(out, "}}")
}

fn write_node(node: &Node, out: &mut dyn Write) -> io::Result<()> {
    let Node { name, id, label, tooltip, font_size, .. } = node;
    match node.shape {
        Shape::Call { line, fill } => writeln!(
            out,
            "{name} [label=\"{label}\" id=\"{id}\" fontsize={font_size} shape=box \
             tooltip=\"{tooltip}\" color=\"{line}\" fillcolor=\"{fill}\"]",
        ),
        Shape::Tag(_) => writeln!(
            out,
            "{name} [label = \"{}\" id=\"{id}\" fontsize={font_size} shape=box3d \
             tooltip=\"{tooltip}\"]",
            quotable(label),
        ),
    }
}

fn write_arrow(picture: &Picture, arrow: &Arrow, out: &mut dyn Write) -> io::Result<()> {
    // As the reference calls those that are left out.
    let name = |node: usize| picture.nodes.get(node).map_or("N0", |node| &node.name);
    write!(out, "{} -> {} [label=\"{}\"", name(arrow.from), name(arrow.to), arrow.label)?;
    if arrow.weight > 1 {
        write!(out, " weight={}", arrow.weight)?;
    }
    if arrow.width > 1 {
        write!(out, " penwidth={}", arrow.width)?;
    }
    if let Some(color) = arrow.color {
        write!(out, " color=\"{color}\"")?;
    }
    write!(out, " tooltip=\"{0}\" labeltooltip=\"{0}\"", arrow.tooltip)?;
    if arrow.is_dotted {
        write!(out, " style=\"dotted\"")?;
    }
    if arrow.min_length > 1 {
        write!(out, " minlen={}", arrow.min_length)?;
    }
    writeln!(out, "]")
}

/// Without a sign that ends the text before its end; others stay as they are, also those that Graphviz makes something of.
fn quotable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut is_escaped = false;
    for c in text.chars() {
        if c == '"' {
            out += if is_escaped { r"\\" } else { r"\" };
        }
        out.push(c);
        is_escaped = c == '\\' && !is_escaped;
    }
    if is_escaped {
        out.push('\\');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_end_where_they_end() {
        for (text, quoted) in [
            (r"a\nb", r"a\nb"),
            (r#"a"b"#, r#"a\"b"#),
            (r#"a\"b"#, r#"a\\\"b"#),
            (r#"a\\"b"#, r#"a\\\"b"#),
            (r"a\", r"a\\"),
            (r"a\\", r"a\\"),
        ] {
            assert_eq!(quotable(text), quoted, "{text}");
        }
    }
}
