//! Symbol tables: which function an address is in, where debug information is missing.

use object::{Object, ObjectSymbol, SymbolKind};

use super::image::ElfFile;

/// An object's function symbols, by address.
#[derive(Debug)]
pub(super) struct Symbols<'a> {
    /// (start, size, name), ascending.
    functions: Vec<(u64, u64, &'a str)>,
}

impl<'a> Symbols<'a> {
    /// From the full table, or from the dynamic one of a stripped object.
    pub(super) fn of(file: &ElfFile<'a>) -> Symbols<'a> {
        let mut functions = functions(file.symbols());
        if functions.is_empty() {
            functions = self::functions(file.dynamic_symbols());
        }
        // Of names for one address the larger symbol wins, then the first by name: aliases must not vary.
        functions.sort_by(|a, b| (a.0, b.1, a.2).cmp(&(b.0, a.1, b.2)));
        functions.dedup_by_key(|f| f.0);
        Symbols { functions }
    }

    /// The name of the function that holds a link-time address.
    pub(super) fn name_at(&self, address: u64) -> Option<&'a str> {
        let next = self.functions.partition_point(|f| f.0 <= address);
        let (start, size, name) = *self.functions.get(next.checked_sub(1)?)?;
        // Hand-written assembly often has no size: it reaches to the next symbol.
        (size == 0 || address - start < size).then_some(name)
    }
}

fn functions<'a, S: ObjectSymbol<'a>>(
    symbols: impl Iterator<Item = S>,
) -> Vec<(u64, u64, &'a str)> {
    symbols
        .filter(|s| s.is_definition() && s.kind() == SymbolKind::Text)
        .filter_map(|s| Some((s.address(), s.size(), s.name().ok()?)))
        .filter(|(_, _, name)| !name.is_empty())
        .collect()
}
