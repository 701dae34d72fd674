//! For Graphviz.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::Report;
use super::labels::{Shown, total_of};
use crate::graph::{
    Edge, Graph, MAX_TAGS, Node, NodeId, Tag, base, shorten, sort_tags, to_integer,
};
use crate::measurement::{label, percentage, scale};

impl Report {
    pub(super) fn dot(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let trimmed = self.trimmed_graph();
        let graph = &trimmed.graph;
        let shown = Shown {
            total: total_of(graph),
            nodes: graph.shown.len(),
            original: trimmed.original,
            dropped_nodes: trimmed.dropped_nodes,
            dropped_edges: trimmed.dropped_edges,
            is_picture: true,
        };
        let title = &self.options.title;
        let name = if title.is_empty() { "unnamed" } else { title };
        writeln!(out, "digraph \"{name}\" {{")?;
        writeln!(out, "node [style=filled fillcolor=\"#f8f8f8\"]")?;
        let labels: Vec<String> = self.labels(shown).iter().map(|l| escape(l)).collect();
        let first = labels.first().map_or("", String::as_str);
        write!(out, "subgraph cluster_L {{ \"{first}\" [shape=box fontsize=16")?;
        write!(out, " label=\"{}\\l\"", labels.join("\\l"))?;
        if !title.is_empty() {
            write!(out, " tooltip=\"{title}\"")?;
        }
        writeln!(out, "] }}")?;
        self.dot_graph(out, graph)?;
        writeln!(out, "}}")
    }

    fn dot_graph(&self, out: &mut dyn Write, graph: &Graph) -> io::Result<()> {
        let mut numbers = vec![0; graph.nodes.len()];
        for (number, id) in (1..).zip(&graph.shown) {
            numbers[*id as usize] = number;
        }
        let number = |id: NodeId| numbers[id as usize];
        let max_flat = graph.iter().map(|n| n.flat_value().wrapping_abs()).max().unwrap_or(0);
        let mut has_tags = vec![false; graph.nodes.len()];
        for id in &graph.shown {
            let node = graph.node(*id);
            self.dot_node(out, node, number(*id), max_flat)?;
            let tags = self.dot_tags(node, number(*id));
            write!(out, "{tags}")?;
            has_tags[*id as usize] = !tags.is_empty();
        }
        let edges: Vec<_> = graph.iter().flat_map(|node| node.callees.iter().copied()).collect();
        for id in graph.sorted_edges(&edges, &self.profile.texts) {
            let edge = graph.edge(id);
            let spread = has_tags[edge.caller as usize];
            let ends = (number(edge.caller), number(edge.callee));
            self.dot_edge(out, graph, edge, ends, spread)?;
        }
        Ok(())
    }

    fn share(&self, value: i64) -> String {
        percentage(value, self.total).trim().to_owned()
    }

    fn dot_node(
        &self,
        out: &mut dyn Write,
        node: &Node,
        number: usize,
        max_flat: i64,
    ) -> io::Result<()> {
        let (flat, cum) = (node.flat_value(), node.cum_value());
        let texts = &self.profile.texts;
        let name = escape(&shorten(texts.get(node.info.name)));
        // Go writes type arguments as three dots: no end of a word.
        let name = name.replace("::", "\\n").replace("[...]", "[…]").replace('.', "\\n");
        let file = texts.get(node.info.file);
        let file = if file.is_empty() { "" } else { base(file) };
        let mut label = node.info.join(&name, file, texts.get(node.info.object), "\\n");
        label.push_str("\\n");
        let flat_text = self.value(flat);
        let _ = match flat {
            0 => write!(label, "0"),
            _ => write!(label, "{flat_text} ({})", self.share(flat)),
        };
        let mut cum_text = flat_text;
        if cum != flat {
            cum_text = self.value(cum);
            let between = if flat == 0 { " " } else { "\\n" };
            let _ = write!(label, "{between}of {cum_text} ({})", self.share(cum));
        }
        let mut font_size = 8;
        let size = flat.wrapping_abs();
        if max_flat != 0 && flat != 0 && size <= max_flat {
            font_size += (16.0 * (size as f64 / max_flat as f64).sqrt()).ceil() as i64;
        }
        let score = cum as f64 / self.total.wrapping_abs() as f64;
        let tooltip = escape(&node.info.printable(texts));
        writeln!(
            out,
            "N{number} [label=\"{label}\" id=\"node{number}\" fontsize={font_size} shape=box \
             tooltip=\"{tooltip} ({cum_text})\" color=\"{}\" fillcolor=\"{}\"]",
            color(score, false),
            color(score, true),
        )
    }

    /// Of nodes that have callees what is their own, of others also what callees have that were left out.
    fn dot_tags(&self, node: &Node, number: usize) -> String {
        let by_flat = !node.callees.is_empty();
        let mut labels: Vec<&Tag> = node.tags.labels.values().collect();
        sort_tags(&mut labels, by_flat);
        let mut out = String::new();
        let numbers = |out: &mut String, labels: &str, source: &str| {
            if let Some(numbers) = node.tags.numbers.get(labels) {
                self.dot_numbers(out, &numbers.values().collect::<Vec<_>>(), by_flat, source);
            }
        };
        for (index, tag) in labels.into_iter().take(MAX_TAGS).enumerate() {
            let weight = if by_flat { tag.flat_value() } else { tag.cum_value() };
            if weight == 0 {
                continue;
            }
            let weight = self.value(weight);
            let id = format!("N{number}_{index}");
            tag_box(&mut out, &id, &tag.name, &weight);
            tag_edge(&mut out, &format!("N{number}"), &id, &weight, "");
            numbers(&mut out, &tag.name, &id);
        }
        numbers(&mut out, "", &format!("N{number}"));
        out
    }

    fn dot_numbers(&self, out: &mut String, numbers: &[&Tag], by_flat: bool, source: &str) {
        for (index, tag) in collapsed(numbers, by_flat).iter().enumerate() {
            let is_flat = by_flat || tag.flat_value() == tag.cum_value();
            let (weight, style) = match is_flat {
                true => (tag.flat_value(), ""),
                false => (tag.cum_value(), " style=\"dotted\""),
            };
            if weight == 0 {
                continue;
            }
            let weight = self.value(weight);
            let id = format!("N{source}_{index}");
            tag_box(out, &id, &tag.name, &weight);
            tag_edge(out, source, &id, &weight, style);
        }
    }

    fn dot_edge(
        &self,
        out: &mut dyn Write,
        graph: &Graph,
        edge: &Edge,
        (from, to): (usize, usize),
        spread: bool,
    ) -> io::Result<()> {
        let inline = if edge.is_inline { "\\n (inline)" } else { "" };
        let value = edge.value();
        let weight = self.value(value);
        write!(out, "N{from} -> N{to} [label=\" {weight}{inline}\"")?;
        if self.total != 0 {
            let share = |of: i64| {
                let share = value.wrapping_mul(of).wrapping_div(self.total);
                1 + share.wrapping_abs().min(of)
            };
            let (heavy, wide) = (share(100), share(5));
            if heavy > 1 {
                write!(out, " weight={heavy}")?;
            }
            if wide > 1 {
                write!(out, " penwidth={wide}")?;
            }
            let score = value as f64 / self.total.wrapping_abs() as f64;
            write!(out, " color=\"{}\"", color(score, false))?;
        }
        let arrow = if edge.is_residual { "..." } else { "->" };
        let name = |id: NodeId| escape(&graph.node(id).info.printable(&self.profile.texts));
        let tooltip = format!("\"{} {arrow} {} ({weight})\"", name(edge.caller), name(edge.callee));
        write!(out, " tooltip={tooltip} labeltooltip={tooltip}")?;
        if edge.is_residual {
            write!(out, " style=\"dotted\"")?;
        }
        if spread {
            write!(out, " minlen=2")?;
        }
        writeln!(out, "]")
    }
}

fn tag_box(out: &mut String, id: &str, name: &str, weight: &str) {
    let _ = writeln!(
        out,
        "{id} [label = \"{name}\" id=\"{id}\" fontsize=8 shape=box3d tooltip=\"{weight}\"]"
    );
}

fn tag_edge(out: &mut String, from: &str, to: &str, weight: &str, style: &str) {
    let _ = writeln!(
        out,
        "{from} -> {to} [label=\" {weight}\" weight=100 tooltip=\"{weight}\" \
         labeltooltip=\"{weight}\"{style}]"
    );
}

/// Numbers in as many groups as are drawn: the heaviest, and around each those that are next to it.
fn collapsed(numbers: &[&Tag], by_flat: bool) -> Vec<Tag> {
    let mut numbers = numbers.to_vec();
    sort_tags(&mut numbers, by_flat);
    if numbers.len() <= MAX_TAGS {
        return numbers.into_iter().cloned().collect();
    }
    let (heads, rest) = numbers.split_at(MAX_TAGS);
    let mut groups: Vec<Vec<&Tag>> = heads.iter().map(|head| vec![*head]).collect();
    for tag in rest {
        let mut nearest = 0;
        let mut least = distance(tag, heads[0]);
        for (index, head) in heads.iter().enumerate().skip(1) {
            let distance = distance(tag, head);
            if distance < least {
                (nearest, least) = (index, distance);
            }
        }
        groups[nearest].push(tag);
    }
    let groups: Vec<Tag> = groups.iter().map(|group| joined(group)).collect();
    let mut sorted: Vec<&Tag> = groups.iter().collect();
    sort_tags(&mut sorted, by_flat);
    sorted.into_iter().cloned().collect()
}

fn distance(tag: &Tag, other: &Tag) -> f64 {
    (scale(other.value, &other.unit, &tag.unit).0 - tag.value as f64).abs()
}

fn joined(group: &[&Tag]) -> Tag {
    let (mut min, mut max) = (group[0], group[0]);
    let mut sum = Tag::default();
    for tag in group {
        let as_in = |other: &Tag| to_integer(scale(tag.value, &tag.unit, &other.unit).0);
        if as_in(min) < min.value {
            min = tag;
        }
        if as_in(max) > max.value {
            max = tag;
        }
        sum.flat = sum.flat.wrapping_add(tag.flat);
        sum.flat_div = sum.flat_div.wrapping_add(tag.flat_div);
        sum.cum = sum.cum.wrapping_add(tag.cum);
        sum.cum_div = sum.cum_div.wrapping_add(tag.cum_div);
    }
    let name = match group {
        [one] => label(one.value, &one.unit),
        // Not in the unit of the report, in which they would often all be zero.
        _ => format!("{}..{}", label(min.value, &min.unit), label(max.value, &max.unit)),
    };
    Tag { name, flat: sum.flat_value(), cum: sum.cum_value(), ..Tag::default() }
}

/// Red for what is much, green for what is much less, grey for next to nothing.
fn color(score: f64, is_background: bool) -> String {
    let (mut saturation, value) = if is_background { (0.1, 0.93) } else { (1.0, 0.7) };
    let score = (-1f64).max(1f64.min(score));
    if score.abs() < 0.2 {
        saturation *= score.abs() / 0.2;
    }
    // Most scores are near to zero: their colours are to differ.
    let shifted = score.abs().powf(1.0 - 0.7);
    let weak = value * (1.0 - saturation * shifted);
    let (red, green) = if score < 0.0 { (weak, value) } else { (value, weak) };
    let blue = value * (1.0 - saturation);
    let byte = |part: f64| (part * 255.0) as u8;
    format!("#{:02x}{:02x}{:02x}", byte(red), byte(green), byte(blue))
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\l")
}
