//! Annotated source.

use std::collections::HashMap;
use std::io::Write;

use super::sources::Reader;
use super::{Error, Report};
use crate::graph::{Graph, Info, Node, NodeId};
use crate::measurement::percentage;

/// Lines shown before the first one and after the last one that has samples.
const MARGIN: i64 = 5;

impl Report {
    pub(super) fn list(&mut self, out: &mut dyn Write) -> Result<(), Error> {
        let Some(symbol) = self.options.symbol.clone() else {
            return Err(Error::NotFound("list needs a regular expression".to_owned()));
        };
        let graph = self.whole_graph();
        let texts = &self.profile.texts;
        let name_of = |id: &NodeId| texts.get(graph.info(graph.node(*id)).name);
        let file_of = |id: &NodeId| texts.get(graph.info(graph.node(*id)).file);
        let shown = graph.shown.iter().copied();
        let mut nodes: Vec<NodeId> = shown.filter(|id| symbol.matches(name_of(id))).collect();
        if nodes.is_empty() {
            let source = symbol.source();
            return Err(Error::NotFound(format!("no matches found for regexp: {source}")));
        }
        nodes.sort_by(|a, b| (name_of(a), file_of(a)).cmp(&(name_of(b), file_of(b))));
        let mut reader = Reader::new(&self.options.source_path, &self.options.trim_path)?;
        writeln!(out, "Total: {}", self.value(self.total))?;
        for function in nodes.chunk_by(|a, b| name_of(a) == name_of(b)) {
            // Those of no file are first.
            let known = function.partition_point(|id| file_of(id).is_empty());
            if known == function.len() {
                writeln!(out, "No source information for {}", name_of(&function[0]))?;
            }
            for nodes in function[known..].chunk_by(|a, b| file_of(a) == file_of(b)) {
                self.listing(out, &mut reader, &graph, nodes)?;
            }
        }
        Ok(())
    }

    /// The lines of a function in one file.
    fn listing(
        &self,
        out: &mut dyn Write,
        reader: &mut Reader,
        graph: &Graph,
        nodes: &[NodeId],
    ) -> Result<(), Error> {
        let nodes: Vec<Node> = nodes.iter().map(|id| graph.node(*id)).collect();
        let infos: Vec<Info> = nodes.iter().map(|node| graph.info(*node)).collect();
        let [name, file] = [infos[0].name, infos[0].file].map(|text| self.profile.text(text));
        let sum = |of: fn(&Node) -> i64| nodes.iter().map(of).fold(0, i64::wrapping_add);
        let (flat, cum) = (sum(|n| n.flat), sum(|n| n.cum));
        writeln!(out, "ROUTINE ======================== {name} in {file}")?;
        let share = percentage(cum, self.total);
        let (flat, cum) = (self.value(flat), self.value(cum));
        writeln!(out, "{flat:>10} {cum:>10} (flat, cum) {share} of Total")?;
        // Where a function starts after all of its lines there is nothing to show, and the reference looks for no file.
        let (start, end) = bounds(&infos);
        if start > end && !reader.knows(file) {
            return Ok(());
        }
        let lines = match reader.lines(file) {
            Ok(lines) => lines,
            Err(error) => {
                writeln!(out, " Error: {error}")?;
                return Ok(());
            }
        };
        let mut values: HashMap<i64, (i64, i64)> = HashMap::new();
        for (node, info) in nodes.iter().zip(infos) {
            let (flat, cum) = values.entry(info.line).or_default();
            *flat = flat.wrapping_add(node.flat);
            *cum = cum.wrapping_add(node.cum);
        }
        for number in start..=end {
            let Some(line) = usize::try_from(number - 1).ok().and_then(|at| lines.get(at)) else {
                break;
            };
            let (flat, cum) = values.get(&number).copied().unwrap_or_default();
            let (flat, cum) = (self.value_or_dot(flat), self.value_or_dot(cum));
            writeln!(out, "{flat:>10} {cum:>10} {number:>6}:{line}")?;
        }
        Ok(())
    }
}

/// The first and the last line that are shown: from where the function starts, if that is known.
fn bounds(infos: &[Info]) -> (i64, i64) {
    let start_of = |info: &Info| match info.start_line {
        0 => info.line.saturating_sub(MARGIN),
        start => start,
    };
    let Some(first) = infos.first() else { return (1, 0) };
    let (mut start, mut end) = (start_of(first), first.line.saturating_add(MARGIN));
    for info in infos {
        start = start.min(start_of(info));
        end = end.max(info.line.saturating_add(MARGIN));
    }
    (start.max(1), end)
}
