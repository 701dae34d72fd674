//! Annotated source with the machine code of each line, for a page.
//!
//! ```text
//! samples -> locations asked for -> their functions' instructions -> the lines that these are of -> page
//! ```
//! An instruction of inlined code is of several lines: it stands at each of them that was asked for, with the calls that led further down.

mod page;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Write;
use std::ops::Range;
use std::path::Path;

use super::{Error, Report, disasm};
use crate::binary::{Binary, Detail, Frame, Instruction, Symbols, Syntax};
use crate::demangle::{Style, demangle};
use crate::graph::mean;
use crate::paths::clean;
use crate::pattern::Pattern;
use crate::profile::{Function, Location, Text};

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
    /// What was sampled there.
    locations: Vec<usize>,
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

/// A source file; where file or lines are unknown, what there is of one function.
type File = (String, String);

/// What the page is made of.
#[derive(Default)]
struct Listing {
    instructions: Vec<Shown>,
    files: BTreeMap<File, BTreeMap<i64, Line>>,
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
    lines: Range<i64>,
}

/// What was measured of some locations: a sample that has several of them counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    flat: (i64, i64),
    cum: (i64, i64),
    is_sampled: bool,
}

impl Sum {
    fn flat(self) -> i64 {
        mean(self.flat.0, self.flat.1)
    }

    fn cum(self) -> i64 {
        mean(self.cum.0, self.cum.1)
    }

    /// For the order of functions.
    fn weight(self) -> u64 {
        self.flat().unsigned_abs().max(self.cum().unsigned_abs())
    }
}

impl Report {
    pub(super) fn web_list(&mut self, out: &mut dyn Write) -> Result<(), Error> {
        let Some(symbol) = self.options.symbol.clone() else {
            return Err(Error::NotFound("weblist needs a regular expression".to_owned()));
        };
        self.trim_paths();
        let each: Vec<Vec<usize>> = (0..self.profile.locations.len()).map(|l| vec![l]).collect();
        let values = self.sums(&each);
        let asked = self.asked_locations(&symbol, &values);
        if asked.locations.is_empty() {
            let source = symbol.source();
            return Err(Error::NotFound(format!("no matches found for regexp: {source}")));
        }
        let mut listing = Listing::default();
        let mut rest: Vec<usize> = Vec::new();
        let mut by_binary: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
        for index in &asked.locations {
            let mapping = self.profile.locations[*index].mapping.get();
            let mapping = mapping.map(|mapping| &self.profile.mappings[mapping as usize]);
            match mapping.filter(|mapping| mapping.file != Text::EMPTY) {
                Some(mapping) => {
                    let (file, id) = (mapping.file, mapping.build_id);
                    let key = (self.profile.text(file), self.profile.text(id));
                    by_binary.entry(key).or_default().push(*index);
                }
                None => rest.push(*index),
            }
        }
        for ((file, build_id), locations) in by_binary {
            match Binary::open(Path::new(file)) {
                Ok(binary) if binary.has_build_id(build_id) => {
                    rest.extend(self.add_code(&mut listing, &binary, &locations, &values, &asked));
                }
                // Another build at this place has other code.
                _ => rest.extend(locations),
            }
        }
        for location in rest {
            self.add_location(&mut listing, location, &asked);
        }
        self.page(out, &listing)
    }

    /// What was measured of each group of locations.
    fn sums(&self, groups: &[Vec<usize>]) -> Vec<Sum> {
        let mut groups_of: Vec<Vec<usize>> = vec![Vec::new(); self.profile.locations.len()];
        for (group, locations) in groups.iter().enumerate() {
            for location in locations {
                groups_of[*location].push(group);
            }
        }
        let mut sums = vec![Sum::default(); groups.len()];
        // The last sample that each was in: recursion is there more than once.
        let mut counted = vec![usize::MAX; groups.len()];
        let add = |sum: &mut (i64, i64), value: (i64, i64)| {
            *sum = (sum.0.wrapping_add(value.0), sum.1.wrapping_add(value.1));
        };
        for (number, sample) in self.profile.samples.iter().enumerate() {
            let divisor = self.options.divisor.map_or(0, |index| sample.values[index]);
            let value = (sample.values[self.options.value], divisor);
            for (depth, location) in sample.stack.iter().enumerate() {
                for &group in &groups_of[location as usize] {
                    let sum = &mut sums[group];
                    if depth == 0 {
                        add(&mut sum.flat, value);
                    }
                    if std::mem::replace(&mut counted[group], number) != number {
                        add(&mut sum.cum, value);
                        sum.is_sampled |= value != (0, 0);
                    }
                }
            }
        }
        sums
    }

    fn asked_locations(&self, symbol: &Pattern, values: &[Sum]) -> Asked {
        let profile = &self.profile;
        let address = disasm::address_of(symbol.source());
        let mut asked = Asked { locations: Vec::new(), functions: HashSet::new() };
        let has_match = |function: &Function| {
            let texts = [function.name, function.system_name, function.filename];
            texts.iter().any(|text| symbol.matches(profile.text(*text)))
        };
        let matches: Vec<bool> = profile.functions.iter().map(has_match).collect();
        for (index, location) in profile.locations.iter().enumerate() {
            if !values[index].is_sampled {
                continue;
            }
            let is_at = address.is_some_and(|address| address == location.address);
            let has_object = symbol.matches(profile.text(profile.object_of(location)));
            let count = location.lines.len();
            let lines = location.lines.iter().enumerate().filter(|(at, line)| {
                matches[line.function as usize]
                    || is_at && at + 1 == count
                    || has_object && *at == 0
            });
            let before = asked.locations.len();
            for (_, line) in lines {
                if asked.locations.len() == before {
                    asked.locations.push(index);
                }
                let function = &profile.functions[line.function as usize];
                for name in [function.name, function.system_name] {
                    asked.functions.insert(profile.text(name).to_owned());
                }
            }
        }
        asked
    }

    /// Adds the code around locations of a binary, which are one at least; returns those for which there is none.
    fn add_code(
        &self,
        listing: &mut Listing,
        binary: &Binary,
        locations: &[usize],
        values: &[Sum],
        asked: &Asked,
    ) -> Vec<usize> {
        let symbols = binary.symbols();
        let mapping_of = |index: usize| {
            let mapping = self.profile.locations[index].mapping.get()?;
            Some(&self.profile.mappings[mapping as usize])
        };
        let linked = |index: usize| {
            binary.link_address(mapping_of(index)?, self.profile.locations[index].address)
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
            locations.iter().map(|(_, index)| values[*index].weight()).max()
        };
        routines.sort_by_key(|(_, locations)| Reverse(weight(locations)));
        listing.left_out += routines.len().saturating_sub(MOST_ROUTINES);
        routines.truncate(MOST_ROUTINES);
        // Functions may lie within others.
        let mut seen: HashSet<u64> = HashSet::new();
        let mut code = Vec::new();
        for ((start, end), mut sampled) in routines {
            sampled.sort_unstable();
            match self.neighbourhood(binary, &symbols, start..end, &sampled) {
                Some(mut instructions) => {
                    instructions.retain(|instruction| seen.insert(instruction.address));
                    code.push(instructions);
                }
                None => without.extend(sampled.iter().map(|(_, index)| *index)),
            }
        }
        let addresses: Vec<u64> = code.iter().flatten().map(|i| i.address).collect();
        let mut frames = binary.frames(&symbols, &addresses, Detail::Lines).into_iter();
        // All that was measured there, also under functions that were not asked for.
        let object = locations.first().and_then(|first| mapping_of(*first));
        let object = object.map(|mapping| (mapping.file, mapping.build_id));
        let is_here = |index: usize| {
            mapping_of(index).map(|mapping| (mapping.file, mapping.build_id)) == object
        };
        let sampled = (0..values.len()).filter(|index| values[*index].is_sampled);
        let here = sampled.filter(|index| is_here(*index));
        let mut all: Vec<(u64, usize)> =
            here.filter_map(|index| Some((linked(index)?, index))).collect();
        all.sort_unstable();
        for instructions in code {
            let mut last: Option<(u64, Vec<Frame>)> = None;
            for (instruction, mut found) in instructions.into_iter().zip(&mut frames) {
                let Instruction { address, length, text } = instruction;
                // Compilers leave some without a line: they belong to what is before them.
                match (&last, found.first()) {
                    (_, Some(frame)) if frame.line != 0 => last = Some((address, found.clone())),
                    (Some((before, frames)), _) if address.abs_diff(*before) <= 32 => {
                        found.clone_from(frames);
                    }
                    _ => {}
                }
                let from = all.partition_point(|(at, _)| *at < address);
                let end = address.saturating_add(length);
                let inside = all[from..].iter().take_while(|(at, _)| *at < end);
                let locations = inside.map(|(_, index)| *index).collect();
                let first = found.first();
                let (file, line) = first.map_or((String::new(), 0), |f| (f.file.clone(), f.line));
                listing.add(Shown { address, length, text, file, line, locations }, &found, asked);
            }
        }
        without
    }

    /// The instructions of a function that are near to samples.
    fn neighbourhood(
        &self,
        binary: &Binary,
        symbols: &Symbols<'_>,
        range: Range<u64>,
        sampled: &[(u64, usize)],
    ) -> Option<Vec<Instruction>> {
        let syntax = if self.options.intel_syntax { Syntax::Intel } else { Syntax::Att };
        let is_near = |address: u64| {
            let after = sampled.partition_point(|(sampled, _)| *sampled < address);
            let near = sampled[after.saturating_sub(1)..].iter().take(2);
            near.into_iter().any(|(sampled, _)| sampled.abs_diff(address) <= NEIGHBOURHOOD)
        };
        // From its start: in the middle nobody knows where an instruction begins.
        binary.disassemble(range, syntax, symbols, &is_near).ok()
    }

    /// Adds a location of which there is no code.
    fn add_location(&self, listing: &mut Listing, index: usize, asked: &Asked) {
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
        let (address, text, locations) = (location.address, String::new(), vec![index]);
        listing.add(Shown { address, length: 1, text, file, line, locations }, &frames, asked);
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
            let path = if frame.file.is_empty() { "".into() } else { clean(&frame.file) };
            let is_known = !path.is_empty() && frame.line > 0;
            let function = if is_known { String::new() } else { name.clone().into_owned() };
            let file = self.files.entry((path.into_owned(), function)).or_default();
            let line = file.entry(if is_known { frame.line } else { 0 }).or_default();
            if line.function.is_empty() {
                line.function = name.into_owned();
            }
            line.code.push(AtLine { instruction, calls });
        }
    }

    /// All that was sampled of some lines, each once.
    fn locations<'l>(&self, lines: impl Iterator<Item = &'l Line>) -> Vec<usize> {
        let code = lines.flat_map(|line| &line.code);
        let locations = code.flat_map(|at| &self.instructions[at.instruction].locations);
        let locations: BTreeSet<usize> = locations.copied().collect();
        locations.into_iter().collect()
    }
}

/// The lines of a file, function by function.
fn parts(lines: &BTreeMap<i64, Line>) -> Vec<Part<'_>> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    for (&number, line) in lines {
        let after = number.saturating_add(1);
        match parts.last_mut() {
            Some(last)
                if last.name == line.function
                    && number.saturating_sub(last.lines.end) < LARGEST_GAP =>
            {
                last.lines.end = after;
            }
            _ => parts.push(Part { name: &line.function, lines: number..after }),
        }
    }
    let mut end = 1;
    for index in 0..parts.len() {
        let next = parts.get(index + 1).map_or(i64::MAX, |next| next.lines.start);
        let lines = &mut parts[index].lines;
        // Line 0 stands for all that are unknown.
        if lines.start > 0 {
            lines.start = lines.start.saturating_sub(MARGIN).max(end);
            lines.end = lines.end.saturating_add(MARGIN).min(next);
        }
        end = lines.end;
    }
    parts
}
