//! Each node between its callers and its callees.

use std::io::Write;

use super::{Error, Report};
use crate::graph::{Edge, Graph};
use crate::measurement::percentage;

const SEPARATOR: &str = "----------------------------------------------------------+-------------";
const LEGEND: &str = "      flat  flat%   sum%        cum   cum%   calls calls% + context \t \t ";

impl Report {
    pub(super) fn tree(&mut self, out: &mut dyn Write) -> Result<(), Error> {
        let trimmed = self.trimmed_graph();
        let graph = &trimmed.graph;
        let texts = &self.profile.texts;
        // Before anything is written: who asks for what is not there gets an error alone.
        let symbol = self.options.symbol.as_ref();
        let is_asked = |name: &str| symbol.is_none_or(|symbol| symbol.matches(name));
        if let Some(symbol) = symbol
            && !graph.iter().any(|node| is_asked(&node.info.printable(texts)))
        {
            let source = symbol.source();
            return Err(Error::NotFound(format!("no matches found for regexp: {source}")));
        }
        writeln!(out, "{}", self.labels(&trimmed).join("\n"))?;
        writeln!(out, "{SEPARATOR}\n{LEGEND}")?;
        let mut sum = 0i64;
        for node in graph.iter() {
            let name = node.info.printable(texts);
            if !is_asked(&name) {
                continue;
            }
            let (flat, cum) = (node.flat_value(), node.cum_value());
            writeln!(out, "{SEPARATOR}")?;
            for id in graph.sorted_edges(&node.callers, texts) {
                let edge = graph.edge(id);
                self.edge(out, graph, edge, edge.caller, cum)?;
            }
            sum = sum.wrapping_add(flat);
            writeln!(out, "{}                | {name}", self.figures(flat, sum, cum))?;
            for id in graph.sorted_edges(&node.callees, texts) {
                let edge = graph.edge(id);
                self.edge(out, graph, edge, edge.callee, cum)?;
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
        let inline = if edge.is_inline { " (inline)" } else { "" };
        let name = graph.node(other).info.printable(&self.profile.texts);
        let (value, share) = (self.value(edge.weight), percentage(edge.weight, cum));
        writeln!(out, "{value:>50} {share} |   {name}{inline}")?;
        Ok(())
    }
}
