//! For kcachegrind.

use std::collections::HashMap;
use std::io::{self, Write};

use super::Report;
use crate::graph::{Graph, Info, Node};
use crate::measurement::{scale, to_integer};
use crate::profile::{Text, Texts};

/// A name once in full, and then by its number.
#[derive(Default)]
struct Names(HashMap<Text, u32>);

impl Names {
    fn get(&mut self, name: Text, texts: &Texts) -> String {
        if name.is_empty() {
            return String::new();
        }
        let next = self.0.len() as u32 + 1;
        match *self.0.entry(name).or_insert(next) {
            number if number == next => format!("({number}) {}", texts.get(name)),
            known => format!("({known})"),
        }
    }
}

impl Report {
    pub(super) fn callgrind(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.options.node_fraction = 0.0;
        self.options.edge_fraction = 0.0;
        self.options.node_count = 0;
        let graph = self.trimmed_graph().graph;
        let names = self.distinct_names(&graph);
        let texts = &self.profile.texts;
        let (from, to) = (&self.options.sample_unit, &self.options.output_unit);
        let cost = |value: i64| to_integer(scale(value, from, to).0);
        writeln!(out, "positions: instr line")?;
        writeln!(out, "events: {}({to})", self.options.sample_type)?;
        let (mut objects, mut files, mut functions) =
            (Names::default(), Names::default(), Names::default());
        let mut previous: Option<Info> = None;
        for id in &graph.shown {
            let node = graph.node(*id);
            let info = graph.info(node);
            let block = |info: Info| (info.object, info.file, info.name);
            if previous.map(block) != Some(block(info)) {
                writeln!(out, "\nob={}", objects.get(info.object, texts))?;
                writeln!(out, "fl={}", files.get(info.file, texts))?;
                writeln!(out, "fn={}", functions.get(info.name, texts))?;
            }
            let address = address(previous, info.address);
            writeln!(out, "{address} {} {}", info.line, cost(node.flat_value()))?;
            for edge in graph.sorted_edges(graph.callees(*id), texts) {
                let edge = graph.edge(edge);
                let callee = graph.info(graph.node(edge.callee()));
                let name = names[edge.callee() as usize];
                writeln!(out, "cfl={}", files.get(callee.file, texts))?;
                writeln!(out, "cfn={}", functions.get(name, texts))?;
                let address = self::address(previous, callee.address);
                writeln!(out, "calls=0 {address} {}", callee.line)?;
                writeln!(out, "* * {}", cost(edge.weight))?;
            }
            previous = Some(info);
        }
        Ok(())
    }

    /// The names of all nodes, with a number where functions of one name and file are several, as in a call tree; none of those that are not shown.
    fn distinct_names(&mut self, graph: &Graph) -> Vec<Text> {
        // The number of each function among those that are called alike, and how many these are.
        let mut numbers: HashMap<u32, u32> = HashMap::new();
        let mut counts: HashMap<(Text, Text), u32> = HashMap::new();
        let called = |node: Node| {
            let info = graph.info(node);
            (info.file, info.name)
        };
        for node in graph.iter() {
            numbers.entry(node.function).or_insert_with(|| {
                let count = counts.entry(called(node)).or_default();
                *count += 1;
                *count
            });
        }
        let mut names = vec![Text::EMPTY; graph.nodes.len()];
        for id in &graph.shown {
            let node = graph.node(*id);
            let (_, name) = called(node);
            names[*id as usize] = match counts[&called(node)] {
                1 => name,
                count => {
                    let number = numbers[&node.function];
                    let name = format!("{} [{number}/{count}]", self.profile.text(name));
                    self.profile.texts.intern(&name)
                }
            };
        }
        names
    }
}

/// As the distance from the one before, if that is shorter.
fn address(previous: Option<Info>, address: u64) -> String {
    let absolute = if address == 0 { "0x0".to_owned() } else { format!("{address:#x}") };
    let Some(previous) = previous else { return absolute };
    if previous.address == address {
        return "*".to_owned();
    }
    let relative = format!("{:+}", address.wrapping_sub(previous.address).cast_signed());
    if relative.len() < absolute.len() { relative } else { absolute }
}
