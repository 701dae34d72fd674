//! For kcachegrind.

use std::collections::HashMap;
use std::io::{self, Write};

use super::Report;
use crate::graph::{Graph, Info, NodeId};
use crate::measurement::{scale, to_integer};
use crate::profile::Text;

/// A name once in full, and then by its number.
#[derive(Default)]
struct Names(HashMap<String, usize>);

impl Names {
    fn get(&mut self, name: &str) -> String {
        if name.is_empty() {
            return String::new();
        }
        let next = self.0.len() + 1;
        match self.0.get(name) {
            Some(known) => format!("({known})"),
            None => {
                self.0.insert(name.to_owned(), next);
                format!("({next}) {name}")
            }
        }
    }
}

impl Report {
    pub(super) fn callgrind(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.options.node_fraction = 0.0;
        self.options.edge_fraction = 0.0;
        self.options.node_count = 0;
        let graph = self.trimmed_graph().graph;
        let texts = &self.profile.texts;
        let names = self.distinct_names(&graph);
        let (from, to) = (&self.options.sample_unit, &self.options.output_unit);
        let cost = |value: i64| to_integer(scale(value, from, to).0);
        writeln!(out, "positions: instr line")?;
        writeln!(out, "events: {}({to})", self.options.sample_type)?;
        let (mut objects, mut files, mut functions) =
            (Names::default(), Names::default(), Names::default());
        let mut previous: Option<Info> = None;
        for id in &graph.shown {
            let node = graph.node(*id);
            let info = node.info;
            let block = |info: Info| (info.object, info.file, info.name);
            if previous.map(block) != Some(block(info)) {
                writeln!(out, "\nob={}", objects.get(texts.get(info.object)))?;
                writeln!(out, "fl={}", files.get(texts.get(info.file)))?;
                writeln!(out, "fn={}", functions.get(texts.get(info.name)))?;
            }
            let address = address(previous, info.address);
            writeln!(out, "{address} {} {}", info.line, cost(node.flat_value()))?;
            for edge in graph.sorted_edges(node.callees(), texts) {
                let edge = graph.edge(edge);
                let callee = graph.node(edge.callee()).info;
                let name = names.get(&edge.callee()).map_or("", String::as_str);
                writeln!(out, "cfl={}", files.get(texts.get(callee.file)))?;
                writeln!(out, "cfn={}", functions.get(name))?;
                let address = self::address(previous, callee.address);
                writeln!(out, "calls=0 {address} {}", callee.line)?;
                writeln!(out, "* * {}", cost(edge.weight))?;
            }
            previous = Some(info);
        }
        Ok(())
    }

    /// Names with a number where functions of one name and file are several, as in a call tree.
    fn distinct_names(&self, graph: &Graph) -> HashMap<NodeId, String> {
        let mut functions: HashMap<(Text, Text), HashMap<u32, usize>> = HashMap::new();
        for node in graph.iter() {
            let known = functions.entry((node.info.file, node.info.name)).or_default();
            let next = known.len() + 1;
            known.entry(node.function).or_insert(next);
        }
        let name = |id: &NodeId| {
            let node = graph.node(*id);
            let name = self.profile.text(node.info.name);
            let all = &functions[&(node.info.file, node.info.name)];
            let (at, len) = (all[&node.function], all.len());
            (*id, if len > 1 { format!("{name} [{at}/{len}]") } else { name.to_owned() })
        };
        graph.shown.iter().map(name).collect()
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
