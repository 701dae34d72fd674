//! The names that linkers give to addresses.

use std::collections::HashMap;

use object::{Object, ObjectSection, ObjectSymbol, SectionIndex, SectionKind, SymbolKind};

use super::Binary;

/// A name and the addresses that it stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Symbol {
    /// First address.
    pub start: u64,
    /// End address, exclusive.
    pub end: u64,
    /// As linkers know it.
    pub name: String,
}

/// All names of code in a binary.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    /// By their addresses.
    all: Vec<Symbol>,
    /// All but those that loaders need were stripped.
    pub(super) are_dynamic: bool,
}

impl Binary {
    /// Its symbols; those that loaders use if the others were stripped.
    #[must_use]
    pub fn symbols(&self) -> Symbols {
        let Ok(object) = self.object() else { return Symbols::default() };
        // End addresses of those with code.
        let code: HashMap<SectionIndex, u64> = object
            .sections()
            .filter(|section| section.kind() == SectionKind::Text)
            .map(|section| (section.index(), section.address().saturating_add(section.size())))
            .collect();
        let known = |symbol: object::Symbol<'_, '_>| {
            let limit = *code.get(&symbol.section_index()?)?;
            let is_name = matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Unknown);
            let name = String::from_utf8_lossy(symbol.name_bytes().ok()?).into_owned();
            let (start, size) = (symbol.address(), symbol.size());
            // Some formats, and code by hand, do not say how long it is: up to the next.
            let end = if size == 0 { limit } else { start.saturating_add(size).min(limit) };
            (is_name && !name.is_empty() && !is_mark(&name))
                .then_some((Symbol { start, end, name }, size == 0))
        };
        let of = |symbols: &mut dyn Iterator<Item = object::Symbol<'_, '_>>| -> Vec<_> {
            symbols.filter_map(known).collect()
        };
        let mut symbols = of(&mut object.symbols());
        let are_dynamic = symbols.is_empty();
        if are_dynamic {
            symbols = of(&mut object.dynamic_symbols());
        }
        symbols.sort_unstable();
        let mut next = u64::MAX;
        for index in (0..symbols.len()).rev() {
            let (symbol, is_open) = &mut symbols[index];
            if *is_open {
                symbol.end = symbol.end.min(next);
            }
            next = symbol.start;
        }
        let all = symbols.into_iter().map(|(symbol, _)| symbol).collect();
        Symbols { all, are_dynamic }
    }
}

/// Whether it says where code and data begin, as those of Arm do: `$x`, `$d.1`.
fn is_mark(name: &str) -> bool {
    let kind = name.strip_prefix('$').and_then(|rest| rest.strip_prefix(['a', 'd', 't', 'x']));
    kind.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl Symbols {
    /// All, by their addresses.
    pub fn iter(&self) -> impl Iterator<Item = &Symbol> {
        self.all.iter()
    }

    /// The one that an address is in.
    #[must_use]
    pub fn of(&self, address: u64) -> Option<&Symbol> {
        let after = self.all.partition_point(|symbol| symbol.start <= address);
        // Small ones may lie within large ones, and several at one place.
        let before = self.all[..after].iter().rev().take(16);
        before.into_iter().find(|symbol| address < symbol.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_no_names() {
        for name in ["$x", "$d.12", "$a", "$t"] {
            assert!(is_mark(name), "{name}");
        }
        for name in ["$xyz", "main", "$", "_ZN3$x"] {
            assert!(!is_mark(name), "{name}");
        }
    }
}
