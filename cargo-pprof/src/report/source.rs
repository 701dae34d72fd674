//! Annotated source.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;

use super::sources::Reader;
use super::{Error, Report};
use crate::graph::Node;
use crate::measurement::percentage;

/// Lines shown before the first one and after the last one that has samples.
const MARGIN: i64 = 5;

impl Report {
    pub(super) fn list(&mut self, out: &mut dyn Write) -> Result<(), Error> {
        let Some(symbol) = self.options.symbol.clone() else {
            return Err(Error::NotFound("list needs a regular expression".to_owned()));
        };
        let sites = self.sites();
        let graph = self.builder(&sites, &self.graph_options(&sites)).whole();
        let texts = &self.profile.texts;
        let mut functions: BTreeMap<&str, Vec<&Node>> = BTreeMap::new();
        for node in graph.iter() {
            let name = texts.get(node.info.name);
            if symbol.matches(name) {
                functions.entry(name).or_default().push(node);
            }
        }
        if functions.is_empty() {
            let source = symbol.source();
            return Err(Error::NotFound(format!("no matches found for regexp: {source}")));
        }
        let mut reader = Reader::new(&self.options.source_path, &self.options.trim_path)?;
        writeln!(out, "Total: {}", self.value(self.total))?;
        for (name, nodes) in functions {
            let mut files: HashMap<&str, Vec<&Node>> = HashMap::new();
            for node in nodes {
                if !node.info.file.is_empty() {
                    files.entry(texts.get(node.info.file)).or_default().push(node);
                }
            }
            if files.is_empty() {
                writeln!(out, "No source information for {name}")?;
                continue;
            }
            let mut files: Vec<(&str, Vec<&Node>)> = files.into_iter().collect();
            files.sort_by_key(|(file, _)| *file);
            for (file, nodes) in files {
                self.listing(out, &mut reader, name, file, &nodes)?;
            }
        }
        Ok(())
    }

    fn listing(
        &self,
        out: &mut dyn Write,
        reader: &mut Reader,
        name: &str,
        file: &str,
        nodes: &[&Node],
    ) -> Result<(), Error> {
        let sum =
            |of: fn(&Node) -> i64| nodes.iter().fold(0i64, |sum, node| sum.wrapping_add(of(node)));
        let (flat, cum) = (sum(|n| n.flat), sum(|n| n.cum));
        writeln!(out, "ROUTINE ======================== {name} in {file}")?;
        let share = percentage(cum, self.total);
        let (flat, cum) = (self.value(flat), self.value(cum));
        writeln!(out, "{flat:>10} {cum:>10} (flat, cum) {share} of Total")?;
        // Where a function starts after all of its lines there is nothing to show, and the reference looks for no file.
        let (start, end) = bounds(nodes);
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
        for node in nodes {
            let (flat, cum) = values.entry(node.info.line).or_default();
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
fn bounds(nodes: &[&Node]) -> (i64, i64) {
    let start_of = |node: &Node| match node.info.start_line {
        0 => node.info.line.saturating_sub(MARGIN),
        start => start,
    };
    let Some(first) = nodes.first() else { return (1, 0) };
    let (mut start, mut end) = (start_of(first), first.info.line.saturating_add(MARGIN));
    for node in nodes {
        start = start.min(start_of(node));
        end = end.max(node.info.line.saturating_add(MARGIN));
    }
    (start.max(1), end)
}
