//! The names that linkers give to addresses.

use std::borrow::Cow;
use std::collections::HashMap;

use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SectionIndex, SectionKind};
use object::{SymbolKind, elf};

use super::Binary;

/// A name and the addresses that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Symbol<'b> {
    /// First address.
    pub start: u64,
    /// What it is worth beside others of the same address.
    rank: u8,
    /// As linkers know it.
    name: &'b [u8],
    /// End address, exclusive.
    pub end: u64,
}

impl<'b> Symbol<'b> {
    /// As linkers know it.
    #[must_use]
    pub fn name(&self) -> Cow<'b, str> {
        String::from_utf8_lossy(self.name)
    }
}

/// All names of code in a binary.
#[derive(Clone, Debug, Default)]
pub struct Symbols<'b> {
    /// By their addresses, of one address the best last.
    all: Vec<Symbol<'b>>,
    /// Up to each the highest end address.
    reach: Vec<u64>,
    /// All but those that loaders need were stripped.
    pub(super) are_dynamic: bool,
}

/// Longer names are none that anybody has written.
const LONGEST_NAME: usize = 32 << 10;

/// So many symbols before an address are looked at for one that reaches to it.
const FARTHEST: usize = 1024;

impl Binary {
    /// Its symbols, or if they were moved to another file, those.
    #[must_use]
    pub fn symbols(&self) -> Symbols<'_> {
        let symbols = self.own_symbols();
        match self.debug_files().separate() {
            Some(separate) if symbols.are_dynamic => separate.own_symbols(),
            _ => symbols,
        }
    }

    fn own_symbols<'b>(&'b self) -> Symbols<'b> {
        let Ok(object) = self.object() else { return Symbols::default() };
        // End addresses of those with code; in a file for debuggers the code is not there.
        let is_code = |section: &object::Section<'_, '_>| match section.flags() {
            SectionFlags::Elf { sh_flags, .. } => sh_flags.contains(elf::SHF_EXECINSTR),
            _ => section.kind() == SectionKind::Text,
        };
        let code: HashMap<SectionIndex, u64> = object
            .sections()
            .filter(is_code)
            .map(|section| (section.index(), section.address().saturating_add(section.size())))
            .collect();
        let known = |symbol: object::Symbol<'b, '_>| {
            let limit = *code.get(&symbol.section_index()?)?;
            let is_name = matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Unknown);
            let name = symbol.name_bytes().ok()?;
            let is_name = is_name && !name.is_empty() && name.len() <= LONGEST_NAME;
            let (start, size) = (symbol.address(), symbol.size());
            // Some formats, and code by hand, do not say how long it is: up to the next.
            let end = if size == 0 { limit } else { start.saturating_add(size).min(limit) };
            let rank = match (size, symbol.kind()) {
                (0, _) | (_, SymbolKind::Unknown) => 0,
                _ if symbol.is_local() => 1,
                _ if symbol.is_weak() => 2,
                _ => 3,
            };
            let symbol = Symbol { start, rank, name, end };
            (is_name && !is_mark(name)).then_some((symbol, size == 0))
        };
        let mut symbols: Vec<_> = object.symbols().filter_map(known).collect();
        let are_dynamic = symbols.is_empty();
        if are_dynamic {
            symbols = object.dynamic_symbols().filter_map(known).collect();
        }
        symbols.sort_unstable();
        let (mut next, mut after) = (u64::MAX, u64::MAX);
        for (symbol, is_open) in symbols.iter_mut().rev() {
            if symbol.start != next {
                (next, after) = (symbol.start, next);
            }
            if *is_open {
                symbol.end = symbol.end.min(after);
            }
        }
        let all: Vec<Symbol<'_>> = symbols.into_iter().map(|(symbol, _)| symbol).collect();
        let mut highest = 0;
        let reach = all.iter().map(|symbol| {
            highest = symbol.end.max(highest);
            highest
        });
        Symbols { reach: reach.collect(), all, are_dynamic }
    }
}

/// Whether it says where code and data begin, as those of Arm do: `$x`, `$d.1`.
fn is_mark(name: &[u8]) -> bool {
    matches!(name, [b'$', b'a' | b'd' | b't' | b'x'] | [b'$', b'a' | b'd' | b't' | b'x', b'.', ..])
}

impl<'b> Symbols<'b> {
    /// All, by their addresses.
    pub fn iter(&self) -> impl Iterator<Item = Symbol<'b>> {
        self.all.iter().copied()
    }

    /// The one that an address is in, the innermost of several.
    #[must_use]
    pub fn of(&self, address: u64) -> Option<Symbol<'b>> {
        let after = self.all.partition_point(|symbol| symbol.start <= address);
        let before = (0..after).rev().take(FARTHEST);
        let mut reaching = before.take_while(|index| self.reach[*index] > address);
        reaching.find(|index| address < self.all[*index].end).map(|index| self.all[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_no_names() {
        for name in ["$x", "$d.12", "$a", "$t"] {
            assert!(is_mark(name.as_bytes()), "{name}");
        }
        for name in ["$xyz", "main", "$", "_ZN3$x"] {
            assert!(!is_mark(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn the_innermost_symbol_is_found() {
        let symbol = |start, end| Symbol { start, rank: 1, name: b"f", end };
        let mut all = vec![symbol(0, 100)];
        all.extend((1..50).map(|n| symbol(n, n + 1)));
        let reach = vec![100; all.len()];
        let symbols = Symbols { all, reach, are_dynamic: false };
        assert_eq!(symbols.of(60).map(|s| (s.start, s.end)), Some((0, 100)));
        assert_eq!(symbols.of(7).map(|s| (s.start, s.end)), Some((7, 8)));
        assert_eq!(symbols.of(100), None);
    }
}
