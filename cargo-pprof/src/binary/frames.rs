//! What addresses are called: the functions and the lines there, inlined ones too.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use addr2line::{Context, LookupContinuation, LookupResult};
use gimli::{AttributeValue, UnitOffset, UnitRef};

use super::debug::{Debug, Slice};
use super::{Binary, Symbols};
use crate::demangle::{Style, demangle};

/// A function at an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Frame {
    /// As linkers know it.
    pub name: String,
    /// Source file.
    pub file: String,
    /// Zero if unknown.
    pub line: i64,
    /// Zero if unknown.
    pub column: i64,
    /// Where the function is declared; zero if unknown.
    pub start_line: i64,
}

/// What is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Names alone, from the symbol table.
    Names,
    /// All that debug information says.
    Lines,
}

/// So many addresses are worth a thread: it has to find out first what units there are.
const ADDRESSES_OF_THREAD: usize = 4096;

impl Binary {
    /// The frames at each address, innermost first; empty where nothing is known. `symbols` are its own.
    #[must_use]
    pub fn frames(
        &self,
        symbols: &Symbols<'_>,
        addresses: &[u64],
        detail: Detail,
    ) -> Vec<Vec<Frame>> {
        self.frames_as(symbols, addresses, detail, |frames| frames)
    }

    /// What `each` makes of the frames at each address: all of them may be many times as much.
    pub fn frames_as<T: Send>(
        &self,
        symbols: &Symbols<'_>,
        addresses: &[u64],
        detail: Detail,
        each: impl Fn(Vec<Frame>) -> T + Sync,
    ) -> Vec<T> {
        if detail == Detail::Names {
            return addresses.iter().map(|address| each(named(symbols, *address))).collect();
        }
        let mut debug = self.debug();
        if debug.may_be_split() {
            let split = split_units(&debug, addresses);
            debug.load_split(split, self.path().parent());
        }
        let look_up = |addresses: &[u64]| -> Vec<T> {
            let lines = Lines::new(&debug);
            let frames = |address: &u64| lines.as_ref().map(|lines| lines.frames(*address));
            let of =
                |address| each(completed(frames(address).unwrap_or_default(), symbols, *address));
            addresses.iter().map(of).collect()
        };
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let share = addresses.len().div_ceil(threads).max(ADDRESSES_OF_THREAD);
        if addresses.len() <= share {
            return look_up(addresses);
        }
        thread::scope(|scope| {
            let parts = addresses.chunks(share);
            let parts: Vec<_> = parts.map(|part| (part, scope.spawn(|| look_up(part)))).collect();
            let nothing = |part: &[u64]| part.iter().map(|_| each(Vec::new())).collect();
            let join = |(part, thread): (&[u64], thread::ScopedJoinHandle<'_, _>)| {
                thread.join().unwrap_or_else(|_| nothing(part))
            };
            parts.into_iter().flat_map(join).collect()
        })
    }
}

/// The one frame that the symbol table knows of.
fn named(symbols: &Symbols<'_>, address: u64) -> Vec<Frame> {
    let symbol = symbols.of(address);
    symbol
        .map(|symbol| Frame { name: symbol.name().into_owned(), ..Frame::default() })
        .into_iter()
        .collect()
}

/// Frames of debug information; the outermost may have a better name in the symbol table.
fn completed(mut frames: Vec<Frame>, symbols: &Symbols<'_>, address: u64) -> Vec<Frame> {
    let Some(outermost) = frames.last_mut() else { return named(symbols, address) };
    if let Some(symbol) = symbols.of(address) {
        let name = symbol.name();
        // Of lambdas and local classes of C++ debug information has the last word of the name alone.
        let is_whole = || {
            let demangled = demangle(&name, Style::Full);
            demangled != name && demangled.contains(&outermost.name)
        };
        if outermost.name.is_empty() || !is_mangled(&outermost.name) && is_whole() {
            outermost.name = name.into_owned();
        }
    }
    frames
}

fn is_mangled(name: &str) -> bool {
    name.starts_with("_Z") || name.starts_with("_R")
}

/// Where the rest is of the units that addresses are in.
fn split_units(debug: &Debug<'_>, addresses: &[u64]) -> BTreeMap<u64, PathBuf> {
    let mut units = BTreeMap::new();
    let Ok(context) = Context::from_dwarf(debug.dwarf()) else { return units };
    for address in addresses {
        let LookupResult::Load { load, .. } = context.find_dwarf_and_unit(*address) else {
            continue;
        };
        let text =
            |slice: Option<Slice<'_>>| slice.map(|slice| slice.to_string_lossy().into_owned());
        let directory = text(load.comp_dir).map(PathBuf::from).unwrap_or_default();
        if let Some(path) = text(load.path) {
            units.insert(load.dwo_id.0, directory.join(path));
        }
    }
    units
}

/// Debug information, ready to be asked.
struct Lines<'d> {
    debug: &'d Debug<'d>,
    context: Context<Slice<'d>>,
}

impl<'d> Lines<'d> {
    fn new(debug: &'d Debug<'_>) -> Option<Lines<'d>> {
        Some(Lines { debug, context: Context::from_dwarf(debug.dwarf()).ok()? })
    }

    /// Answers a question, for which units may be needed that are in other files.
    fn answer<L: LookupContinuation<Buf = Slice<'d>>>(
        &self,
        mut lookup: LookupResult<L>,
    ) -> L::Output {
        loop {
            match lookup {
                LookupResult::Output(output) => return output,
                LookupResult::Load { load, continuation } => {
                    let unit = self.debug.of_unit(load.dwo_id, &load.parent);
                    lookup = continuation.resume(unit.map(Arc::new));
                }
            }
        }
    }

    /// Empty if the address is not covered. What does not parse is left out.
    fn frames(&self, address: u64) -> Vec<Frame> {
        let Ok(mut iterator) = self.answer(self.context.find_frames(address)) else {
            return Vec::new();
        };
        let unit = self.answer(self.context.find_dwarf_and_unit(address));
        let mut frames = Vec::new();
        while let Ok(Some(frame)) = iterator.next() {
            let mut found = Frame::default();
            if let Some(name) =
                frame.function.as_ref().and_then(|function| function.raw_name().ok())
            {
                found.name = name.into_owned();
            }
            if let Some(location) = frame.location {
                found.file = location.file.unwrap_or_default().to_owned();
                found.line = location.line.unwrap_or(0).into();
                found.column = location.column.unwrap_or(0).into();
            }
            if let (Some(unit), Some(offset)) = (unit, frame.dw_die_offset) {
                found.start_line = declared_at(unit, offset).unwrap_or(0);
            }
            frames.push(found);
        }
        frames
    }
}

/// The line of a function's declaration, which inlined and out-of-line copies leave to the entry that they come from.
fn declared_at(unit: UnitRef<'_, Slice<'_>>, offset: UnitOffset) -> Option<i64> {
    const MAX_HOPS: u32 = 8;
    let mut offset = offset;
    for _ in 0..MAX_HOPS {
        let entry = unit.entry(offset).ok()?;
        if let Some(line) = entry.attr_value(gimli::DW_AT_decl_line) {
            return line.udata_value()?.try_into().ok();
        }
        let origin = entry
            .attr_value(gimli::DW_AT_abstract_origin)
            .or_else(|| entry.attr_value(gimli::DW_AT_specification))?;
        offset = match origin {
            AttributeValue::UnitRef(offset) => offset,
            // Under link-time optimization it may be in another unit, of which we know nothing here.
            AttributeValue::DebugInfoRef(offset) => offset.to_unit_offset(&unit.header)?,
            _ => return None,
        };
    }
    None
}
