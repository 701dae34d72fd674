//! The table of the nodes for programs: its shape is in `docs/reports.md`, and only grows.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::Report;
use crate::graph::{Graph, NodeId};
use crate::profile::Text;

/// Changes when what is there changes its meaning; not when something comes to it.
const VERSION: u32 = 1;

impl Report {
    /// A line for each entry, so that two reports can be compared by lines.
    pub(super) fn json(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let trimmed = self.trimmed_graph();
        let graph = &trimmed.graph;
        let mut head = self.json_head();
        let mut put = |name: &str, value: usize| head.insert(name.to_owned(), json!(value));
        put("all_entries", trimmed.original);
        put("dropped_entries", trimmed.dropped_nodes);
        let head = serde_json::to_string(&head)?;
        write!(out, "{},\"entries\":[", &head[..head.len() - 1])?;
        for (index, node) in graph.shown.iter().enumerate() {
            let separator = if index == 0 { "\n" } else { ",\n" };
            write!(out, "{separator}{}", self.json_entry(graph, *node))?;
        }
        writeln!(out, "\n]}}")
    }

    fn json_head(&self) -> Map<String, Value> {
        let profile = &self.profile;
        let main = profile.mappings.first();
        let text = |text: Option<Text>| profile.text(text.unwrap_or(Text::EMPTY));
        let comments: Vec<&str> = profile.comments.iter().map(|c| profile.text(*c)).collect();
        let head = json!({
            "version": VERSION,
            "file": text(main.map(|main| main.file)),
            "build_id": text(main.map(|main| main.build_id)),
            "type": self.options.sample_type,
            "unit": self.options.sample_unit,
            "total": self.plain(self.total),
            "time_nanos": profile.time_nanos,
            "duration_nanos": profile.duration_nanos,
            "period_type": profile.text(profile.period_type.ty),
            "period_unit": profile.text(profile.period_type.unit),
            "period": profile.period,
            "doc_url": profile.text(profile.doc_url),
            "comments": comments,
            "filters": self.options.active_filters,
        });
        head.as_object().cloned().unwrap_or_default()
    }

    /// What an entry does not tell apart is not in it.
    fn json_entry(&self, graph: &Graph, id: NodeId) -> Value {
        let texts = &self.profile.texts;
        let node = graph.node(id);
        let info = graph.info(node);
        let mut entry = json!({
            "name": info.printable(texts),
            "flat": self.plain(node.flat_value()),
            "cum": self.plain(node.cum_value()),
        });
        let mut put = |name: &str, is_there: bool, value: Value| {
            if is_there {
                entry[name] = value;
            }
        };
        put("function", !info.name.is_empty(), json!(texts.get(info.name)));
        put("file", !info.file.is_empty(), json!(texts.get(info.file)));
        put("line", info.line != 0, json!(info.line));
        put("column", info.column != 0, json!(info.column));
        put("address", info.address != 0, json!(format!("{:#x}", info.address)));
        put("object", !info.object.is_empty(), json!(texts.get(info.object)));
        let mut calls = graph.callers(id).map(|id| graph.edge(id).is_inline());
        put("inline", calls.any(|is_inline| is_inline), json!(true));
        entry
    }
}
