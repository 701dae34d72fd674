//! Annotated machine code.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::Path;

use super::{Error, Report};
use crate::binary::{Binary, Detail, Instruction, Symbol, Symbols, Syntax};
use crate::demangle::{Style, demangle};
use crate::graph::{Graph, Node, build};
use crate::measurement::percentage;
use crate::paths::base;
use crate::pattern::Pattern;
use crate::profile::{Mapping, Text};

/// A function in a binary, and what was measured there.
struct Routine<'g> {
    /// Of the same place, all that were asked for.
    names: Vec<String>,
    start: u64,
    end: u64,
    /// By their addresses in the binary.
    nodes: Vec<(u64, &'g Node)>,
}

/// From here on what is at an instruction stands on a line of its own.
const WIDEST: usize = 40;

impl Report {
    pub(super) fn disassembly(&mut self, out: &mut dyn Write) -> Result<(), Error> {
        let Some(symbol) = self.options.symbol.clone() else {
            return Err(Error::NotFound("disasm needs a regular expression".to_owned()));
        };
        let sites = self.sites();
        let graph = build(&self.profile, &sites, &self.units, &self.graph_options(&sites), None);
        let address = address_of(symbol.source());
        let (mut found, mut has_symbols, mut failures) = (Vec::new(), false, Vec::new());
        for file in self.files_with(&graph, &symbol, address) {
            let path = self.profile.text(file);
            let binary = match Binary::open(Path::new(path)) {
                Ok(binary) => binary,
                Err(error) => {
                    failures.push(error);
                    continue;
                }
            };
            let symbols = binary.symbols();
            let mut routines = self.routines(&graph, file, &binary, &symbols, &symbol, address);
            has_symbols |= !routines.is_empty();
            routines.retain(|routine| !routine.nodes.is_empty());
            if !routines.is_empty() {
                found.push((binary, symbols, routines));
            }
        }
        if found.is_empty() {
            return Err(Error::NotFound(nothing(&symbol, address, has_symbols, &failures)));
        }
        writeln!(out, "Total: {}", self.value(self.total))?;
        let mut all: Vec<_> = found
            .iter()
            .flat_map(|(binary, symbols, routines)| {
                routines.iter().map(move |routine| (binary, symbols, routine))
            })
            .collect();
        all.sort_by(|(_, _, a), (_, _, b)| (&a.names, a.start).cmp(&(&b.names, b.start)));
        for (binary, symbols, routine) in all {
            self.routine(out, binary, symbols, routine)?;
        }
        Ok(())
    }

    /// Binaries with nodes that match, or with the address.
    fn files_with(&self, graph: &Graph, symbol: &Pattern, address: Option<u64>) -> Vec<Text> {
        let texts = &self.profile.texts;
        let nodes = graph.iter().filter(|node| symbol.matches(&node.info.printable(texts)));
        let matching: HashSet<Text> = nodes.map(|node| node.info.object).collect();
        let is_asked = |mapping: &&Mapping| {
            let is_in = |address| mapping.start <= address && address <= mapping.limit;
            mapping.file != Text::EMPTY
                && (matching.contains(&mapping.file) || address.is_some_and(is_in))
        };
        let mut files = Vec::new();
        for mapping in self.profile.mappings.iter().filter(is_asked) {
            if !files.contains(&mapping.file) {
                files.push(mapping.file);
            }
        }
        files
    }

    /// What there is in one binary of the functions that are asked for.
    fn routines<'g>(
        &self,
        graph: &'g Graph,
        file: Text,
        binary: &Binary,
        symbols: &Symbols,
        symbol: &Pattern,
        address: Option<u64>,
    ) -> Vec<Routine<'g>> {
        let mappings = || self.profile.mappings.iter().filter(|mapping| mapping.file == file);
        let linked = |address: u64| {
            let is_in = |m: &&Mapping| m.limit == 0 || m.start <= address && address < m.limit;
            binary.link_address(mappings().find(is_in)?, address)
        };
        let nodes = graph.iter().filter(|node| node.info.object == file);
        let nodes = nodes.filter_map(|node| Some((linked(node.info.address)?, node)));
        let mut nodes: Vec<(u64, &Node)> = nodes.collect();
        nodes.sort_by_key(|(address, node)| (*address, node.info));
        let asked = address.and_then(|address| linked(address).or(Some(address)));
        let is_asked = |symbol: &Symbol| {
            asked.is_some_and(|asked| (symbol.start..symbol.end).contains(&asked))
        };
        let mut routines: BTreeMap<(u64, u64), Vec<String>> = BTreeMap::new();
        for found in symbols.iter() {
            let name = match matching(symbol, &found.name) {
                Some(name) => name,
                None if is_asked(found) => demangle(&found.name, Style::Short).into_owned(),
                None => continue,
            };
            let names = routines.entry((found.start, found.end)).or_default();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let nodes_of = |start, end| {
            let from = nodes.partition_point(|(address, _)| *address < start);
            let inside = nodes[from..].iter().take_while(|(address, _)| *address < end);
            inside.copied().collect()
        };
        routines
            .into_iter()
            .map(|((start, end), names)| Routine { names, start, end, nodes: nodes_of(start, end) })
            .collect()
    }

    fn routine(
        &self,
        out: &mut dyn Write,
        binary: &Binary,
        symbols: &Symbols,
        routine: &Routine<'_>,
    ) -> Result<(), Error> {
        let Routine { names, start, end, nodes } = routine;
        let syntax = if self.options.intel_syntax { Syntax::Intel } else { Syntax::Att };
        let code = binary.disassemble(*start, *end, syntax, symbols).map_err(Error::NotFound)?;
        let addresses: Vec<u64> = code.iter().map(|instruction| instruction.address).collect();
        let frames = binary.frames(&addresses, Detail::Lines);
        let sum = |of: fn(&Node) -> i64| {
            nodes.iter().fold(0i64, |sum, (_, node)| sum.wrapping_add(of(node)))
        };
        let (flat, cum) = (sum(|node| node.flat), sum(|node| node.cum));
        let (name, others) = names.split_first().map_or(("", &[][..]), |(n, o)| (n.as_str(), o));
        writeln!(out, "ROUTINE ======================== {name}")?;
        for name in others {
            writeln!(out, "    AKA ======================== {name}")?;
        }
        let share = percentage(cum, self.total);
        let (flat, cum) = (self.value(flat), self.value(cum));
        writeln!(out, "{flat:>10} {cum:>10} (flat, cum) {share} of Total")?;
        let mut nodes = nodes.iter().peekable();
        let mut last = String::new();
        for (instruction, frames) in code.iter().zip(&frames) {
            let Instruction { address, length, text } = instruction;
            // Samples may be of the middle of an instruction: of a call they are.
            let end = address.saturating_add(*length);
            let mut at = Node::default();
            while let Some((_, node)) = nodes.next_if(|(address, _)| *address < end) {
                at.flat = at.flat.wrapping_add(node.flat);
                at.flat_div = at.flat_div.wrapping_add(node.flat_div);
                at.cum = at.cum.wrapping_add(node.cum);
                at.cum_div = at.cum_div.wrapping_add(node.cum_div);
            }
            let place = frames.first().map_or_else(String::new, |frame| {
                let name = demangle(&frame.name, Style::Short);
                match (frame.file.as_str(), frame.line) {
                    ("", _) => name.into_owned(),
                    (file, 0) => format!("{name} {}", base(file)),
                    (file, line) => format!("{name} {}:{line}", base(file)),
                }
            });
            let values = (self.value_or_dot(at.flat_value()), self.value_or_dot(at.cum_value()));
            let head = format!("{:>10} {:>10} {address:>10x}: ", values.0, values.1);
            if place == last || place.is_empty() {
                writeln!(out, "{head}{text}")?;
            } else if text.len() < WIDEST {
                writeln!(out, "{head}{text:<WIDEST$};{place}")?;
            } else {
                writeln!(out, "{:74};{place}", "")?;
                writeln!(out, "{head}{text}")?;
            }
            last = place;
        }
        Ok(())
    }
}

/// The form of a name that an expression is of.
fn matching(symbol: &Pattern, name: &str) -> Option<String> {
    let styles = [Style::Short, Style::Templates, Style::Full, Style::Mangled];
    let mut names = styles.into_iter().map(|style| demangle(name, style));
    names.find(|name| symbol.matches(name)).map(std::borrow::Cow::into_owned)
}

/// An expression may also be an address, as Go reads numbers.
pub(super) fn address_of(text: &str) -> Option<u64> {
    match text.get(..2) {
        Some("0x" | "0X") => u64::from_str_radix(&text[2..], 16).ok(),
        _ => text.parse().ok(),
    }
}

fn nothing(
    symbol: &Pattern,
    address: Option<u64>,
    has_symbols: bool,
    failures: &[String],
) -> String {
    let message = match address {
        None => format!("no matches found for regexp {}", symbol.source()),
        Some(address) if has_symbols => format!(
            "address {address:#x} found in binary, but the corresponding symbols do not have \
             samples in the profile"
        ),
        Some(address) => format!("no matches found for address {address:#x}"),
    };
    [&[message], failures].concat().join("\n")
}
