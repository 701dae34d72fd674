//! Annotated machine code.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::Path;

use super::{Error, Report};
use crate::binary::{Binary, Detail, Frame, Instruction, Symbols, Syntax};
use crate::demangle::{Style, demangle};
use crate::graph::{Graph, Node};
use crate::measurement::percentage;
use crate::paths::base;
use crate::pattern::Pattern;
use crate::profile::{Mapping, Text};

/// A function in a binary, and what was measured there.
struct Routine {
    /// Of the same place, all that were asked for.
    names: Vec<String>,
    start: u64,
    end: u64,
    /// By their addresses in the binary.
    nodes: Vec<(u64, Node)>,
    code: Vec<Instruction>,
    /// Function and line of each instruction, as they are shown.
    places: Vec<Box<str>>,
}

/// What a report is asked for.
struct Asked {
    symbol: Pattern,
    address: Option<u64>,
}

/// From here on what is at an instruction stands on a line of its own.
const WIDEST: usize = 40;

/// More is nothing that anybody reads.
const MOST_INSTRUCTIONS: usize = 1 << 20;

impl Report {
    pub(super) fn disassembly(&mut self, out: &mut dyn Write) -> Result<(), Error> {
        let Some(symbol) = self.options.symbol.clone() else {
            return Err(Error::NotFound("disasm needs a regular expression".to_owned()));
        };
        let graph = self.whole_graph();
        let asked = Asked { address: address_of(symbol.source()), symbol };
        let (mut all, mut has_symbols, mut failures) = (Vec::new(), false, Vec::new());
        for file in self.files_with(&graph, &asked) {
            let path = Path::new(self.profile.text(file));
            let found = Binary::open(path).and_then(|binary| {
                let symbols = binary.symbols();
                let mut routines = self.routines(&graph, file, &binary, &symbols, &asked);
                has_symbols |= !routines.is_empty();
                routines.retain(|routine| !routine.nodes.is_empty());
                self.read_code(&binary, &symbols, &mut routines)?;
                Ok(routines)
            });
            match found {
                Ok(mut routines) => all.append(&mut routines),
                Err(error) => failures.push(error),
            }
            if all.iter().map(|routine| routine.code.len()).sum::<usize>() > MOST_INSTRUCTIONS {
                let message = "too much code matches: ask for less".to_owned();
                return Err(Error::NotFound(message));
            }
        }
        if all.is_empty() {
            return Err(Error::NotFound(nothing(&asked, has_symbols, &failures)));
        }
        writeln!(out, "Total: {}", self.value(self.total))?;
        all.sort_by(|a, b| (&a.names, a.start).cmp(&(&b.names, b.start)));
        all.iter().try_for_each(|routine| self.routine(out, routine))
    }

    /// Binaries with nodes that match, or with the address.
    fn files_with(&self, graph: &Graph, asked: &Asked) -> Vec<Text> {
        let texts = &self.profile.texts;
        let infos = graph.iter().map(|node| graph.info(node));
        let infos = infos.filter(|info| asked.symbol.matches(&info.printable(texts)));
        let matching: HashSet<Text> = infos.map(|info| info.object).collect();
        let is_asked = |mapping: &&Mapping| {
            let is_in = |address| mapping.start <= address && address <= mapping.limit;
            mapping.file != Text::EMPTY
                && (matching.contains(&mapping.file) || asked.address.is_some_and(is_in))
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
    fn routines(
        &self,
        graph: &Graph,
        file: Text,
        binary: &Binary,
        symbols: &Symbols<'_>,
        asked: &Asked,
    ) -> Vec<Routine> {
        // Another build at this place has other code.
        let is_its = |mapping: &&Mapping| {
            mapping.file == file && binary.has_build_id(self.profile.text(mapping.build_id))
        };
        let linked = |address: u64| {
            let is_in = |m: &&Mapping| m.limit == 0 || m.start <= address && address < m.limit;
            let mut mappings = self.profile.mappings.iter().filter(is_its).filter(is_in);
            mappings.find_map(|mapping| binary.link_address(mapping, address))
        };
        let nodes = graph.iter().filter(|node| graph.info(*node).object == file);
        let nodes = nodes.filter_map(|node| Some((linked(graph.info(node).address)?, node)));
        let mut nodes: Vec<(u64, Node)> = nodes.collect();
        nodes.sort_by_key(|(address, node)| (*address, graph.info(*node)));
        let address = asked.address.and_then(|address| linked(address).or(Some(address)));
        let mut routines: BTreeMap<(u64, u64), Vec<String>> = BTreeMap::new();
        for found in symbols.iter() {
            let is_there = || address.is_some_and(|at| (found.start..found.end).contains(&at));
            let name = match matching(&asked.symbol, &found.name()) {
                Some(name) => name,
                None if is_there() => demangle(&found.name(), Style::Short).into_owned(),
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
        let routine = |((start, end), names)| {
            let nodes = nodes_of(start, end);
            Routine { names, start, end, nodes, code: Vec::new(), places: Vec::new() }
        };
        routines.into_iter().map(routine).collect()
    }

    /// All at once: debug information is read but once then.
    fn read_code(
        &self,
        binary: &Binary,
        symbols: &Symbols<'_>,
        routines: &mut [Routine],
    ) -> Result<(), String> {
        let syntax = if self.options.intel_syntax { Syntax::Intel } else { Syntax::Att };
        let mut addresses: Vec<u64> = Vec::new();
        for routine in routines.iter_mut() {
            let range = routine.start..routine.end;
            routine.code = binary.disassemble(range, syntax, symbols, &|_| true)?;
            addresses.extend(routine.code.iter().map(|instruction| instruction.address));
            if addresses.len() > MOST_INSTRUCTIONS {
                return Err("too much code matches: ask for less".to_owned());
            }
        }
        let places = binary.frames_as(symbols, &addresses, Detail::Lines, place);
        let mut places = places.into_iter();
        for routine in routines {
            routine.places = places.by_ref().take(routine.code.len()).collect();
        }
        Ok(())
    }

    fn routine(&self, out: &mut dyn Write, routine: &Routine) -> Result<(), Error> {
        let Routine { names, nodes, code, places, .. } = routine;
        let mut all = Node::default();
        nodes.iter().for_each(|(_, node)| add(&mut all, *node));
        let (name, others) = names.split_first().map_or(("", &[][..]), |(n, o)| (n.as_str(), o));
        writeln!(out, "ROUTINE ======================== {name}")?;
        for name in others {
            writeln!(out, "    AKA ======================== {name}")?;
        }
        let share = percentage(all.cum_value(), self.total);
        let (flat, cum) = (self.value(all.flat_value()), self.value(all.cum_value()));
        writeln!(out, "{flat:>10} {cum:>10} (flat, cum) {share} of Total")?;
        let mut nodes = nodes.iter().peekable();
        let mut last = "";
        for (instruction, place) in code.iter().zip(places) {
            let Instruction { address, length, text } = instruction;
            // Samples may be of the middle of an instruction: of a call they are.
            let end = address.saturating_add(*length);
            let mut at = Node::default();
            while let Some((_, node)) = nodes.next_if(|(address, _)| *address < end) {
                add(&mut at, *node);
            }
            let values = (self.value_or_dot(at.flat_value()), self.value_or_dot(at.cum_value()));
            let head = format!("{:>10} {:>10} {address:>10x}: ", values.0, values.1);
            if **place == *last || place.is_empty() {
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

/// Of the innermost of some frames.
fn place(frames: Vec<Frame>) -> Box<str> {
    let Some(frame) = frames.first() else { return Box::default() };
    let name = demangle(&frame.name, Style::Short);
    match (frame.file.as_str(), frame.line) {
        ("", _) => name.into(),
        (file, 0) => format!("{name} {}", base(file)).into(),
        (file, line) => format!("{name} {}:{line}", base(file)).into(),
    }
}

fn add(sum: &mut Node, node: Node) {
    sum.flat = sum.flat.wrapping_add(node.flat);
    sum.flat_div = sum.flat_div.wrapping_add(node.flat_div);
    sum.cum = sum.cum.wrapping_add(node.cum);
    sum.cum_div = sum.cum_div.wrapping_add(node.cum_div);
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

fn nothing(asked: &Asked, has_symbols: bool, failures: &[String]) -> String {
    let message = match asked.address {
        None => format!("no matches found for regexp {}", asked.symbol.source()),
        Some(address) if has_symbols => format!(
            "address {address:#x} found in binary, but the corresponding symbols do not have \
             samples in the profile"
        ),
        Some(address) => format!("no matches found for address {address:#x}"),
    };
    [&[message], failures].concat().join("\n")
}
