//! What a picture of the graph has in it.

use std::cmp::Ordering;
use std::fmt::Write as _;

use super::Report;
use crate::draw::{Arrow, Color, Node as Drawn, Picture, Shape};
use crate::graph::{Edge, Graph, MAX_TAGS, Node, NodeId, Tag, shorten};
use crate::measurement::{label, percentage, scale};
use crate::paths::base;

/// The largest letters are three times these.
const SMALLEST_FONT: i64 = 8;

impl Report {
    pub(super) fn picture(&mut self) -> Picture {
        let mut trimmed = self.trimmed_graph();
        self.shorten(&mut trimmed.graph);
        let graph = &trimmed.graph;
        let mut picture = Picture {
            title: self.options.title.clone(),
            legend: self.labels(&trimmed).iter().map(|l| escape(l)).collect(),
            ..Picture::default()
        };
        let max_flat = graph.iter().map(|n| n.flat_value().wrapping_abs()).max().unwrap_or(0);
        // What is not shown has none.
        let mut places = vec![usize::MAX; graph.nodes.len()];
        let mut has_tags = vec![false; graph.nodes.len()];
        for (number, id) in (1..).zip(&graph.shown) {
            let place = picture.nodes.len();
            places[*id as usize] = place;
            picture.nodes.push(self.node(graph, graph.node(*id), number, max_flat));
            self.add_tags(&mut picture.nodes, place, graph, *id);
            has_tags[*id as usize] = picture.nodes.len() > place + 1;
        }
        let edges = graph.shown.iter().flat_map(|id| graph.callees(*id));
        let edges = graph.sorted_edges(edges, &self.profile.texts);
        let calls = edges.into_iter().map(|id| {
            let edge = graph.edge(id);
            let min_length = if has_tags[edge.caller as usize] { 2 } else { 1 };
            let (from, to) = (places[edge.caller as usize], places[edge.callee() as usize]);
            Arrow { from, to, min_length, ..self.call(graph, edge) }
        });
        picture.calls = calls.collect();
        picture
    }

    fn share(&self, value: i64) -> String {
        percentage(value, self.total).trim().to_owned()
    }

    fn node(&self, graph: &Graph, node: Node, number: usize, max_flat: i64) -> Drawn {
        let (flat, cum) = (node.flat_value(), node.cum_value());
        let (info, texts) = (graph.info(node), &self.profile.texts);
        let name = escape(&shorten(texts.get(info.name)));
        // Go writes type arguments as three dots: no end of a word.
        let name = name.replace("::", "\\n").replace("[...]", "[…]").replace('.', "\\n");
        let file = texts.get(info.file);
        let file = if file.is_empty() { "" } else { base(file) };
        let mut label = info.join(&name, file, texts.get(info.object), "\\n");
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
        let mut font_size = SMALLEST_FONT;
        let size = flat.wrapping_abs();
        if max_flat != 0 && flat != 0 && size <= max_flat {
            font_size += (16.0 * (size as f64 / max_flat as f64).sqrt()).ceil() as i64;
        }
        let score = cum as f64 / self.total.wrapping_abs() as f64;
        Drawn {
            name: format!("N{number}"),
            id: format!("node{number}"),
            label,
            tooltip: format!("{} ({cum_text})", escape(&info.printable(texts))),
            font_size,
            shape: Shape::Call { line: color(score, false), fill: color(score, true) },
        }
    }

    /// Of nodes that have callees what is their own, of others also what callees have that were left out.
    fn add_tags(&self, nodes: &mut Vec<Drawn>, of: usize, graph: &Graph, id: NodeId) {
        let by_flat = graph.callees(id).len() != 0;
        let name = |tag: &Tag| graph.names.labels[tag.labels as usize].clone();
        let labels = graph.tags(id).filter(|tag| tag.number.is_none());
        let mut labels: Vec<Part> = labels.map(|tag| Part::of(tag, name(tag))).collect();
        sort(&mut labels, by_flat);
        for (index, label) in labels.iter().take(MAX_TAGS).enumerate() {
            let weight = if by_flat { label.flat } else { label.cum };
            if weight == 0 {
                continue;
            }
            let name = format!("{}_{index}", nodes[of].name);
            let arrow = Arrow { from: of, to: nodes.len(), ..Arrow::default() };
            nodes.push(self.tag(name, &label.name, weight, arrow));
            self.add_numbers(nodes, nodes.len() - 1, graph, id, label.tag.labels);
        }
        self.add_numbers(nodes, of, graph, id, 0);
    }

    fn add_numbers(
        &self,
        nodes: &mut Vec<Drawn>,
        of: usize,
        graph: &Graph,
        id: NodeId,
        labels: u32,
    ) {
        let by_flat = graph.callees(id).len() != 0;
        let of_labels = |tag: &&Tag| tag.labels == labels && tag.number.is_some();
        let numbers: Vec<Part> = graph
            .tags(id)
            .filter(of_labels)
            .map(|tag| Part::of(tag, graph.names.numbers[tag.number.unwrap_or(0) as usize].clone()))
            .collect();
        let unit = self.profile.texts.find("bytes").map_or("", |key| self.units.of(key));
        for (index, number) in collapsed(numbers, unit, by_flat).iter().enumerate() {
            let is_flat = by_flat || number.flat == number.cum;
            let weight = if is_flat { number.flat } else { number.cum };
            if weight == 0 {
                continue;
            }
            let name = format!("N{}_{index}", nodes[of].name);
            let arrow =
                Arrow { from: of, to: nodes.len(), is_dotted: !is_flat, ..Arrow::default() };
            nodes.push(self.tag(name, &number.name, weight, arrow));
        }
    }

    fn tag(&self, name: String, label: &str, weight: i64, arrow: Arrow) -> Drawn {
        let weight = self.value(weight);
        let label_of_arrow = format!(" {weight}");
        let arrow = Arrow { label: label_of_arrow, tooltip: weight.clone(), weight: 100, ..arrow };
        Drawn {
            id: name.clone(),
            name,
            label: label.to_owned(),
            tooltip: weight,
            font_size: SMALLEST_FONT,
            shape: Shape::Tag(arrow),
        }
    }

    fn call(&self, graph: &Graph, edge: &Edge) -> Arrow {
        let value = graph.value_of(edge);
        let weight = self.value(value);
        let share = |of: i64| match self.total {
            0 => 1,
            total => 1 + value.wrapping_mul(of).wrapping_div(total).wrapping_abs().min(of),
        };
        let score = value as f64 / self.total.wrapping_abs() as f64;
        let arrow = if edge.is_residual() { "..." } else { "->" };
        let name = |id: NodeId| escape(&graph.info(graph.node(id)).printable(&self.profile.texts));
        Arrow {
            label: format!(" {weight}{}", if edge.is_inline() { "\\n (inline)" } else { "" }),
            tooltip: format!("{} {arrow} {} ({weight})", name(edge.caller), name(edge.callee())),
            weight: share(100),
            width: share(5),
            color: (self.total != 0).then(|| color(score, false)),
            is_dotted: edge.is_residual(),
            ..Arrow::default()
        }
    }
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
fn color(score: f64, is_background: bool) -> Color {
    let (mut saturation, value) = if is_background { (0.1, 0.93) } else { (1.0, 0.7) };
    // No number, as of nothing of nothing, stays none: the reference's purple.
    let score = score.clamp(-1.0, 1.0);
    if score.abs() < 0.2 {
        saturation *= score.abs() / 0.2;
    }
    // Most scores are near to zero: their colours are to differ.
    let shifted = score.abs().powf(1.0 - 0.7);
    let weak = value * (1.0 - saturation * shifted);
    let (red, green) = if score < 0.0 { (weak, value) } else { (value, weak) };
    let blue = value * (1.0 - saturation);
    let byte = |part: f64| (part * 255.0) as u8;
    Color(byte(red), byte(green), byte(blue))
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\l")
}
