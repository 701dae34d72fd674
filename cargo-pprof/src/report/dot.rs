//! For Graphviz.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::io::{self, Write};

use super::Report;
use crate::graph::{Edge, Graph, MAX_TAGS, Names, Node, NodeId, Tag, base, shorten};
use crate::measurement::{label, percentage, scale};

impl Report {
    pub(super) fn dot(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let trimmed = self.trimmed_graph();
        let graph = &trimmed.graph;
        let title = &self.options.title;
        let name = if title.is_empty() { "unnamed" } else { title };
        writeln!(out, "digraph \"{name}\" {{")?;
        writeln!(out, "node [style=filled fillcolor=\"#f8f8f8\"]")?;
        let labels: Vec<String> = self.labels(&trimmed).iter().map(|l| escape(l)).collect();
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
            let tags = self.dot_tags(node, &graph.names, number(*id));
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
    fn dot_tags(&self, node: &Node, names: &Names, number: usize) -> String {
        let by_flat = !node.callees.is_empty();
        let name = |tag: &Tag| names.labels[tag.labels as usize].clone();
        let labels = node.tags.iter().filter(|tag| tag.number.is_none());
        let mut labels: Vec<Part> = labels.map(|tag| Part::of(tag, name(tag))).collect();
        sort(&mut labels, by_flat);
        let mut out = String::new();
        for (index, label) in labels.iter().take(MAX_TAGS).enumerate() {
            let weight = if by_flat { label.flat } else { label.cum };
            if weight == 0 {
                continue;
            }
            let weight = self.value(weight);
            let id = format!("N{number}_{index}");
            tag_box(&mut out, &id, &label.name, &weight);
            tag_edge(&mut out, &format!("N{number}"), &id, &weight, "");
            self.dot_numbers(&mut out, node, names, label.tag.labels, &id);
        }
        self.dot_numbers(&mut out, node, names, 0, &format!("N{number}"));
        out
    }

    fn dot_numbers(&self, out: &mut String, node: &Node, names: &Names, labels: u32, source: &str) {
        let by_flat = !node.callees.is_empty();
        let of_labels = |tag: &&Tag| tag.labels == labels && tag.number.is_some();
        let numbers: Vec<Part> = node
            .tags
            .iter()
            .filter(of_labels)
            .map(|tag| Part::of(tag, names.numbers[tag.number.unwrap_or(0) as usize].clone()))
            .collect();
        let unit = self.profile.texts.find("bytes").map_or("", |key| self.units.of(key));
        for (index, number) in collapsed(numbers, unit, by_flat).iter().enumerate() {
            let is_flat = by_flat || number.flat == number.cum;
            let (weight, style) = match is_flat {
                true => (number.flat, ""),
                false => (number.cum, " style=\"dotted\""),
            };
            if weight == 0 {
                continue;
            }
            let weight = self.value(weight);
            let id = format!("N{source}_{index}");
            tag_box(out, &id, &number.name, &weight);
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

/// A tag as it is drawn: means, where these are asked for.
#[derive(Clone, Debug)]
struct Part {
    name: String,
    flat: i64,
    cum: i64,
    tag: Tag,
}

impl Part {
    fn of(tag: &Tag, name: String) -> Part {
        Part { name, flat: tag.flat_value(), cum: tag.cum_value(), tag: tag.clone() }
    }
}

/// Heaviest first.
fn sort(boxes: &mut [Part], by_flat: bool) {
    boxes.sort_by(|a, b| {
        let by = |x: i64, y: i64| (y.wrapping_abs().cmp(&x.wrapping_abs())).then(y.cmp(&x));
        let cum = if by_flat { Ordering::Equal } else { by(a.tag.cum, b.tag.cum) };
        cum.then(by(a.tag.flat, b.tag.flat)).then_with(|| a.name.cmp(&b.name))
    });
}

/// Numbers in as many groups as are drawn: the heaviest, and around each those that are next to it.
fn collapsed(mut numbers: Vec<Part>, unit: &str, by_flat: bool) -> Vec<Part> {
    sort(&mut numbers, by_flat);
    if numbers.len() <= MAX_TAGS {
        return numbers;
    }
    let (heads, rest) = numbers.split_at(MAX_TAGS);
    let mut groups: Vec<Vec<&Part>> = heads.iter().map(|head| vec![head]).collect();
    for number in rest {
        let distance =
            |head: &Part| (scale(head.tag.value, unit, unit).0 - number.tag.value as f64).abs();
        let (mut nearest, mut least) = (0, distance(&heads[0]));
        for (index, head) in heads.iter().enumerate().skip(1) {
            let distance = distance(head);
            if distance < least {
                (nearest, least) = (index, distance);
            }
        }
        groups[nearest].push(number);
    }
    let mut groups: Vec<Part> = groups.iter().map(|group| joined(group, unit)).collect();
    sort(&mut groups, by_flat);
    groups
}

fn joined(group: &[&Part], unit: &str) -> Part {
    let mut sum = Tag::default();
    for Part { tag, .. } in group {
        sum.flat = sum.flat.wrapping_add(tag.flat);
        sum.flat_div = sum.flat_div.wrapping_add(tag.flat_div);
        sum.cum = sum.cum.wrapping_add(tag.cum);
        sum.cum_div = sum.cum_div.wrapping_add(tag.cum_div);
    }
    let values = || group.iter().map(|number| number.tag.value);
    let (min, max) = (values().min().unwrap_or(0), values().max().unwrap_or(0));
    let name = match group {
        [_] => label(min, unit),
        // Not in the unit of the report, in which they would often all be zero.
        _ => format!("{}..{}", label(min, unit), label(max, unit)),
    };
    let (flat, cum) = (sum.flat_value(), sum.cum_value());
    Part { name, flat, cum, tag: Tag { flat, cum, ..Tag::default() } }
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
