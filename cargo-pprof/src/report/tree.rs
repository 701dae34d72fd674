//! Each node between its callers and its callees.

use std::io::Write;

use super::{Error, Report};
use crate::graph::{Edge, Graph, Node};
use crate::measurement::percentage;

const SEPARATOR: &str = "----------------------------------------------------------+-------------";
const LEGEND: &str = "      flat  flat%   sum%        cum   cum%   calls calls% + context \t \t ";

impl Report {
    pub(super) fn tree(&mut self, out: &mut dyn Write) -> Result<(), Error> {
        let mut trimmed = self.trimmed_graph();
        let symbol = self.options.symbol.as_ref();
        let is_asked = |node: Node| {
            let name = trimmed.graph.info(node).printable(&self.profile.texts);
            symbol.is_none_or(|symbol| symbol.matches(&name))
        };
        let asked: Vec<bool> = trimmed.graph.iter().map(is_asked).collect();
        // Before anything is written: who asks for what is not there gets an error alone.
        if let Some(symbol) = symbol
            && !asked.contains(&true)
        {
            let source = symbol.source();
            return Err(Error::NotFound(format!("no matches found for regexp: {source}")));
        }
        self.shorten(&mut trimmed.graph);
        let (graph, texts) = (&trimmed.graph, &self.profile.texts);
        writeln!(out, "{}", self.labels(&trimmed).join("\n"))?;
        writeln!(out, "{SEPARATOR}\n{LEGEND}")?;
        let mut sum = 0i64;
        for (&id, _) in graph.shown.iter().zip(asked).filter(|(_, is_asked)| *is_asked) {
            let node = graph.node(id);
            let name = graph.info(node).printable(texts);
            let (flat, cum) = (node.flat_value(), node.cum_value());
            writeln!(out, "{SEPARATOR}")?;
            for edge in graph.sorted_edges(graph.callers(id), texts) {
                let edge = graph.edge(edge);
                self.edge(out, graph, edge, edge.caller, cum)?;
            }
            sum = sum.wrapping_add(flat);
            writeln!(out, "{}                | {name}", self.figures(flat, sum, cum))?;
            for edge in graph.sorted_edges(graph.callees(id), texts) {
                let edge = graph.edge(edge);
                self.edge(out, graph, edge, edge.callee(), cum)?;
            }
        }
        if !graph.shown.is_empty() {
            writeln!(out, "{SEPARATOR}")?;
        }
        Ok(())
    }

    fn edge(
        &self,
        out: &mut dyn Write,
        graph: &Graph,
        edge: &Edge,
        other: u32,
        cum: i64,
    ) -> Result<(), Error> {
        let inline = if edge.is_inline() { " (inline)" } else { "" };
        let name = graph.info(graph.node(other)).printable(&self.profile.texts);
        let (value, share) = (self.value(edge.weight), percentage(edge.weight, cum));
        writeln!(out, "{value:>50} {share} |   {name}{inline}")?;
        Ok(())
    }
}
