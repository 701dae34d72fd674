//! Annotated source with the machine code of each line, as a page.
//!
//! ```text
//! samples -> locations asked for -> their functions' instructions -> the lines that these are of -> page
//! ```
//! An instruction of inlined code is of several lines: it stands at each of them that was asked for, with the calls that led further down.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::Path;

use super::sources::Reader;
use super::{Error, Report, disasm};
use crate::binary::{Binary, Detail, Frame, Instruction, Symbols, Syntax};
use crate::demangle::{Style, demangle};
use crate::measurement::percentage;
use crate::paths::{base, clean};
use crate::pattern::Pattern;
use crate::profile::{Location, Text};

/// Code this far from samples is shown.
const NEIGHBOURHOOD: u64 = 500;

/// Functions of binaries that are shown: a page of more is none that a browser shows.
const MOST_ROUTINES: usize = 200;

/// Lines without samples that do not part a function.
const LARGEST_GAP: i64 = 20;

/// Lines shown around those that have samples.
const MARGIN: i64 = 5;

/// An instruction, or where there is no binary, a location in its place.
struct Shown {
    address: u64,
    length: u64,
    /// Empty if there is no binary.
    text: String,
    /// Innermost.
    file: String,
    line: i64,
    flat: i64,
    cum: i64,
}

/// An instruction at one of its lines: which, and the calls further down, outermost first.
struct AtLine {
    instruction: usize,
    calls: Vec<(String, i64)>,
}

#[derive(Default)]
struct Line {
    function: String,
    code: Vec<AtLine>,
}

/// What the page is made of.
#[derive(Default)]
struct Listing {
    instructions: Vec<Shown>,
    files: BTreeMap<String, BTreeMap<i64, Line>>,
    /// Functions of binaries that there was no room for.
    left_out: usize,
}

/// What is asked for.
struct Asked {
    locations: Vec<usize>,
    /// Functions by the names of either kind.
    functions: HashSet<String>,
}

/// Lines that are shown together.
struct Part<'l> {
    name: &'l str,
    /// Exclusive at the end.
    lines: std::ops::Range<i64>,
    flat: i64,
    cum: i64,
}

impl Report {
    pub(super) fn web_list(&mut self, out: &mut dyn Write) -> Result<(), Error> {
        let Some(symbol) = self.options.symbol.clone() else {
            return Err(Error::NotFound("weblist needs a regular expression".to_owned()));
        };
        self.trim_paths();
        let values = self.values_of_locations();
        let asked = self.asked_locations(&symbol, &values);
        if asked.locations.is_empty() {
            let source = symbol.source();
            return Err(Error::NotFound(format!("no matches found for regexp: {source}")));
        }
        let mut listing = Listing::default();
        let mut rest: Vec<usize> = Vec::new();
        let mut by_file: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for location in &asked.locations {
            match self.profile.object_of(&self.profile.locations[*location]) {
                Text::EMPTY => rest.push(*location),
                file => by_file.entry(self.profile.text(file)).or_default().push(*location),
            }
        }
        for (file, locations) in by_file {
            match Binary::open(Path::new(file)) {
                Ok(binary) => {
                    rest.extend(self.add_code(&mut listing, &binary, &locations, &values, &asked))
                }
                Err(_) => rest.extend(locations),
            }
        }
        for location in rest {
            self.add_location(&mut listing, location, values[location], &asked);
        }
        self.page(out, &listing)
    }

    /// Of each location, own and with callees.
    fn values_of_locations(&self) -> Vec<(i64, i64)> {
        let mut values = vec![(0i64, 0i64); self.profile.locations.len()];
        // The last sample that each was in: recursion is there more than once.
        let mut counted = vec![usize::MAX; values.len()];
        for (number, sample) in self.profile.samples.iter().enumerate() {
            let mut value = sample.values[self.options.value];
            if let Some(divisor) = self.options.divisor.map(|index| sample.values[index])
                && divisor != 0
            {
                value = value.wrapping_div(divisor);
            }
            for (depth, location) in sample.stack.iter().enumerate() {
                let index = *location as usize;
                let (flat, cum) = &mut values[index];
                if depth == 0 {
                    *flat = flat.wrapping_add(value);
                }
                if std::mem::replace(&mut counted[index], number) != number {
                    *cum = cum.wrapping_add(value);
                }
            }
        }
        values
    }

    fn asked_locations(&self, symbol: &Pattern, values: &[(i64, i64)]) -> Asked {
        let profile = &self.profile;
        let address = disasm::address_of(symbol.source());
        let mut asked = Asked { locations: Vec::new(), functions: HashSet::new() };
        let matches: Vec<bool> = profile
            .functions
            .iter()
            .map(|f| {
                [f.name, f.system_name, f.filename].iter().any(|t| symbol.matches(profile.text(*t)))
            })
            .collect();
        for (index, location) in profile.locations.iter().enumerate() {
            if values[index] == (0, 0) {
                continue;
            }
            let is_at = address.is_some_and(|address| address == location.address);
            let has_object = symbol.matches(profile.text(profile.object_of(location)));
            let count = location.lines.len();
            let lines = location.lines.iter().enumerate();
            let lines = lines.filter(|(at, line)| {
                matches[line.function as usize]
                    || is_at && at + 1 == count
                    || has_object && *at == 0
            });
            let mut is_asked = false;
            for (_, line) in lines {
                is_asked = true;
                let function = &profile.functions[line.function as usize];
                for name in [function.name, function.system_name] {
                    asked.functions.insert(profile.text(name).to_owned());
                }
            }
            if is_asked {
                asked.locations.push(index);
            }
        }
        asked
    }

    /// Adds the code around locations of a binary; returns those for which there is none.
    fn add_code(
        &self,
        listing: &mut Listing,
        binary: &Binary,
        locations: &[usize],
        values: &[(i64, i64)],
        asked: &Asked,
    ) -> Vec<usize> {
        let symbols = binary.symbols();
        let linked = |index: usize| {
            let location = &self.profile.locations[index];
            let mapping = &self.profile.mappings[location.mapping? as usize];
            binary.link_address(mapping, location.address)
        };
        let mut without = Vec::new();
        let mut routines: BTreeMap<(u64, u64), Vec<(u64, usize)>> = BTreeMap::new();
        for index in locations {
            match linked(*index).and_then(|address| Some((address, symbols.of(address)?))) {
                Some((address, symbol)) => {
                    let routine = routines.entry((symbol.start, symbol.end)).or_default();
                    routine.push((address, *index));
                }
                None => without.push(*index),
            }
        }
        let mut routines: Vec<_> = routines.into_iter().collect();
        let weight = |locations: &[(u64, usize)]| {
            locations.iter().map(|(_, index)| values[*index].0.unsigned_abs()).max()
        };
        routines.sort_by_key(|(_, locations)| std::cmp::Reverse(weight(locations)));
        listing.left_out += routines.len().saturating_sub(MOST_ROUTINES);
        routines.truncate(MOST_ROUTINES);
        let mut code = Vec::new();
        for ((start, end), mut sampled) in routines {
            sampled.sort_unstable();
            match self.neighbourhood(binary, &symbols, start, end, &sampled) {
                Some(instructions) => code.push((instructions, sampled)),
                None => without.extend(sampled.iter().map(|(_, index)| *index)),
            }
        }
        let addresses: Vec<u64> =
            code.iter().flat_map(|(c, _)| c.iter().map(|i| i.address)).collect();
        let mut frames = binary.frames(&addresses, Detail::Lines).into_iter();
        // All that was measured there, also under functions that were not asked for.
        let mut all: Vec<(u64, usize)> = Vec::new();
        for (index, location) in self.profile.locations.iter().enumerate() {
            let is_here = self.profile.object_of(location)
                == self.profile.object_of(&self.profile.locations[locations[0]]);
            if is_here && values[index] != (0, 0) {
                all.extend(linked(index).map(|address| (address, index)));
            }
        }
        all.sort_unstable();
        for (instructions, _) in code {
            let mut last: Option<(u64, Vec<Frame>)> = None;
            for (instruction, mut found) in instructions.into_iter().zip(&mut frames) {
                let Instruction { address, length, text } = instruction;
                // Compilers leave some without a line: they belong to what is before them.
                match (&last, found.first()) {
                    (_, Some(frame)) if frame.line != 0 => last = Some((address, found.clone())),
                    (Some((before, frames)), _) if address - before <= 32 => {
                        found.clone_from(frames)
                    }
                    _ => {}
                }
                let from = all.partition_point(|(at, _)| *at < address);
                let inside =
                    all[from..].iter().take_while(|(at, _)| *at < address.saturating_add(length));
                let (flat, cum) = inside.fold((0i64, 0i64), |sum, (_, index)| {
                    (sum.0.wrapping_add(values[*index].0), sum.1.wrapping_add(values[*index].1))
                });
                let (file, line) =
                    found.first().map_or((String::new(), 0), |f| (f.file.clone(), f.line));
                listing.add(Shown { address, length, text, file, line, flat, cum }, &found, asked);
            }
        }
        without
    }

    /// The instructions of a function that are near to samples.
    fn neighbourhood(
        &self,
        binary: &Binary,
        symbols: &Symbols,
        start: u64,
        end: u64,
        sampled: &[(u64, usize)],
    ) -> Option<Vec<Instruction>> {
        let syntax = if self.options.intel_syntax { Syntax::Intel } else { Syntax::Att };
        // From its start: in the middle nobody knows where an instruction begins.
        let mut code = binary.disassemble(start, end, syntax, symbols).ok()?;
        code.retain(|instruction| {
            let after = sampled.partition_point(|(address, _)| *address < instruction.address);
            let near = sampled[after.saturating_sub(1)..].iter().take(2);
            near.into_iter().any(|(at, _)| at.abs_diff(instruction.address) <= NEIGHBOURHOOD)
        });
        Some(code)
    }

    /// Adds a location of which there is no code.
    fn add_location(
        &self,
        listing: &mut Listing,
        index: usize,
        (flat, cum): (i64, i64),
        asked: &Asked,
    ) {
        let location: &Location = &self.profile.locations[index];
        let frames: Vec<Frame> = location
            .lines
            .iter()
            .map(|line| {
                let function = &self.profile.functions[line.function as usize];
                Frame {
                    name: self.profile.text(function.name).to_owned(),
                    file: self.profile.text(function.filename).to_owned(),
                    line: line.line,
                    ..Frame::default()
                }
            })
            .collect();
        let (file, line) = frames.first().map_or((String::new(), 0), |f| (f.file.clone(), f.line));
        let (address, text) = (location.address, String::new());
        listing.add(Shown { address, length: 1, text, file, line, flat, cum }, &frames, asked);
    }

    fn page(&self, out: &mut dyn Write, listing: &Listing) -> Result<(), Error> {
        let mut reader = Reader::new(&self.options.source_path, &self.options.trim_path)?;
        let title = escape(&self.options.title);
        write!(
            out,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <title>{title}: source</title>\n<style>\n{}</style>\n</head>\n<body>\n<header>\n",
            include_str!("weblist/style.css")
        )?;
        for line in self.profile_labels() {
            writeln!(out, "<div>{}</div>", escape(&line))?;
        }
        writeln!(out, "<div>Total: {}</div>", self.value(self.total))?;
        if listing.left_out > 0 {
            writeln!(out, "<div>Left out: {} functions of lower weight</div>", listing.left_out)?;
        }
        writeln!(out, "</header>")?;
        for (file, lines) in &listing.files {
            for part in parts(&listing.instructions, lines) {
                if part.cum == 0 && part.flat == 0 {
                    continue;
                }
                let share = percentage(part.cum, self.total);
                writeln!(
                    out,
                    "<h2>{}</h2>\n<p class=\"file\">{}</p>\n<div class=\"code\">\n\
                     <span class=\"sum\">{:>10} {:>10} (flat, cum) {share} of Total</span>",
                    escape(part.name),
                    escape(file),
                    self.value(part.flat),
                    self.value(part.cum),
                )?;
                for number in part.lines.clone() {
                    self.line(out, listing, &mut reader, file, number, lines.get(&number))?;
                }
                writeln!(out, "</div>")?;
            }
        }
        writeln!(out, "</body>\n</html>")?;
        Ok(())
    }

    fn line(
        &self,
        out: &mut dyn Write,
        listing: &Listing,
        reader: &mut Reader,
        file: &str,
        number: i64,
        line: Option<&Line>,
    ) -> Result<(), Error> {
        let text = match (reader.line(file, number), line) {
            (Some(text), _) => text.to_owned(),
            (None, None) => return Ok(()),
            (None, Some(_)) if number == 0 => "(instructions of unknown lines)".to_owned(),
            (None, Some(_)) => "???".to_owned(),
        };
        let code = line.map_or(&[][..], |line| line.code.as_slice());
        let of = |at: &AtLine| &listing.instructions[at.instruction];
        let (mut flat, mut cum) = (0i64, 0i64);
        for at in code {
            flat = flat.wrapping_add(of(at).flat);
            cum = cum.wrapping_add(of(at).cum);
        }
        let row = format!(
            "{:>10} {:>10} {number:>6}  {}",
            self.value_or_dot(flat),
            self.value_or_dot(cum),
            escape(&expand(&text))
        );
        let has_code = code.iter().any(|at| !of(at).text.is_empty() || !at.calls.is_empty());
        let class = if flat != 0 || cum != 0 { " class=\"hot\"" } else { "" };
        if !has_code {
            writeln!(out, "<span{class}>{row}</span>")?;
            return Ok(());
        }
        write!(out, "<details><summary{class}>{row}</summary>")?;
        let indent = expand(&text).chars().take_while(|c| *c == ' ').count();
        let (mut calls, mut next): (&[(String, i64)], Option<u64>) = (&[], None);
        for at in code {
            let shown = of(at);
            if next.is_some_and(|next| next != shown.address) {
                writeln!(out, "<span class=\"gap\">{:>27}</span>", "⋮")?;
            }
            next = Some(shown.address.saturating_add(shown.length));
            let same = calls.iter().zip(&at.calls).take_while(|(a, b)| a == b).count();
            for (depth, (file, line)) in at.calls.iter().enumerate().skip(same) {
                let source = reader.line(file, *line).unwrap_or_default().trim().to_owned();
                let source = format!("{:width$}{source}", "", width = indent + 4 + 4 * depth);
                let place = format!("{}:{line}", base(file));
                writeln!(
                    out,
                    "<span class=\"call\">{:30}{} <i>{}</i></span>",
                    "",
                    escape(&format!("{source:<80}")),
                    escape(&place)
                )?;
            }
            calls = &at.calls;
            let text = format!("{:width$}{}", "", shown.text, width = indent + 4 + 4 * calls.len());
            let place = if shown.file.is_empty() {
                String::new()
            } else {
                format!("{}:{}", base(&shown.file), shown.line)
            };
            writeln!(
                out,
                "<span class=\"asm\">{:>10} {:>10} {:>6x}  {} <i>{}</i></span>",
                self.value_or_dot(shown.flat),
                self.value_or_dot(shown.cum),
                shown.address,
                escape(&format!("{text:<80}")),
                escape(&place)
            )?;
        }
        writeln!(out, "</details>")?;
        Ok(())
    }
}

impl Listing {
    fn add(&mut self, shown: Shown, frames: &[Frame], asked: &Asked) {
        let instruction = self.instructions.len();
        self.instructions.push(shown);
        for (depth, frame) in frames.iter().enumerate() {
            let name = demangle(&frame.name, Style::Short);
            if !asked.functions.contains(&frame.name) && !asked.functions.contains(name.as_ref()) {
                continue;
            }
            let calls = frames[..depth].iter().rev().map(|f| (f.file.clone(), f.line)).collect();
            let file = self.files.entry(clean(&frame.file).into_owned()).or_default();
            let line = file.entry(frame.line).or_default();
            if line.function.is_empty() {
                line.function = name.into_owned();
            }
            line.code.push(AtLine { instruction, calls });
        }
    }
}

/// The lines of a file, function by function.
fn parts<'l>(instructions: &[Shown], lines: &'l BTreeMap<i64, Line>) -> Vec<Part<'l>> {
    let mut parts: Vec<Part<'l>> = Vec::new();
    for (number, line) in lines {
        let (mut flat, mut cum) = (0i64, 0i64);
        for at in &line.code {
            flat = flat.wrapping_add(instructions[at.instruction].flat);
            cum = cum.wrapping_add(instructions[at.instruction].cum);
        }
        match parts.last_mut() {
            Some(last) if last.name == line.function && number - last.lines.end < LARGEST_GAP => {
                last.lines.end = number + 1;
                last.flat = last.flat.wrapping_add(flat);
                last.cum = last.cum.wrapping_add(cum);
            }
            _ => parts.push(Part { name: &line.function, lines: *number..number + 1, flat, cum }),
        }
    }
    let mut end = 1;
    for index in 0..parts.len() {
        let next = parts.get(index + 1).map_or(i64::MAX, |next| next.lines.start);
        let lines = &mut parts[index].lines;
        // Line 0 stands for all that are unknown.
        if lines.start > 0 {
            lines.start = lines.start.saturating_sub(MARGIN).max(end);
        }
        lines.end = lines.end.saturating_add(MARGIN).min(next);
        end = lines.end;
    }
    parts
}

/// With blanks in the places of tabs.
fn expand(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    for c in text.chars() {
        let width = if c == '\t' { 8 - column % 8 } else { 1 };
        match c {
            '\t' => out.extend(std::iter::repeat_n(' ', width)),
            c => out.push(c),
        }
        column += width;
    }
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
