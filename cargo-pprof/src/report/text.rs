//! A table of the nodes.

use std::io::{self, Write};

use super::Report;
use crate::graph::{Graph, NodeId};
use crate::measurement::percentage;

impl Report {
    pub(super) fn text(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let mut trimmed = self.trimmed_graph();
        self.shorten(&mut trimmed.graph);
        let graph = &trimmed.graph;
        writeln!(out, "{}", self.labels(&trimmed).join("\n"))?;
        writeln!(out, "      flat  flat%   sum%        cum   cum%")?;
        let mut sum = 0i64;
        for id in &graph.shown {
            let node = graph.node(*id);
            let (flat, cum) = (node.flat_value(), node.cum_value());
            sum = sum.wrapping_add(flat);
            let name = graph.info(node).printable(&self.profile.texts);
            let figures = self.figures(flat, sum, cum);
            writeln!(out, "{figures}  {name}{}", inlined(graph, *id))?;
        }
        Ok(())
    }

    /// What a node spends itself, all nodes so far, and it with its callees.
    pub(super) fn figures(&self, flat: i64, sum: i64, cum: i64) -> String {
        let share = |value: i64| percentage(value, self.total);
        let (flat_text, cum_text) = (self.value(flat), self.value(cum));
        format!("{flat_text:>10} {} {} {cum_text:>10} {}", share(flat), share(sum), share(cum))
    }
}

/// Whether it is inlined into its callers.
fn inlined(graph: &Graph, node: NodeId) -> &'static str {
    let mut edges = graph.callers(node).map(|id| graph.edge(id).is_inline());
    match (edges.clone().any(|inline| inline), edges.any(|inline| !inline)) {
        (true, true) => " (partial-inline)",
        (true, false) => " (inline)",
        _ => "",
    }
}
