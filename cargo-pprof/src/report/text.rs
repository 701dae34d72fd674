//! A table of the nodes.

use std::io::{self, Write};

use super::Report;
use super::labels::{Shown, total_of};
use crate::graph::{Graph, Node};
use crate::measurement::percentage;

impl Report {
    pub(super) fn text(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let trimmed = self.trimmed_graph();
        let graph = &trimmed.graph;
        let shown = Shown {
            total: total_of(graph),
            nodes: graph.shown.len(),
            original: trimmed.original,
            dropped_nodes: trimmed.dropped_nodes,
            dropped_edges: 0,
            is_picture: false,
        };
        writeln!(out, "{}", self.labels(shown).join("\n"))?;
        writeln!(out, "      flat  flat%   sum%        cum   cum%")?;
        let mut sum = 0i64;
        for node in graph.iter() {
            let (flat, cum) = (node.flat_value(), node.cum_value());
            sum = sum.wrapping_add(flat);
            writeln!(
                out,
                "{:>10} {} {} {:>10} {}  {}{}",
                self.value(flat),
                percentage(flat, self.total),
                percentage(sum, self.total),
                self.value(cum),
                percentage(cum, self.total),
                node.info.printable(&self.profile.texts),
                inlined(graph, node),
            )?;
        }
        Ok(())
    }
}

/// Whether it is inlined into its callers.
fn inlined(graph: &Graph, node: &Node) -> &'static str {
    let mut edges = node.callers.iter().map(|id| graph.edge(*id).is_inline);
    match (edges.clone().any(|inline| inline), edges.any(|inline| !inline)) {
        (true, true) => " (partial-inline)",
        (true, false) => " (inline)",
        _ => "",
    }
}
