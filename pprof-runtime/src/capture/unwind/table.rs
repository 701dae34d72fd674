//! Unwind tables: from a pc to its rule, by a cache and a binary search over immutable arrays.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::rule::Rule;

/// The rules of one loaded object: 6 bytes a row plus the distinct rules, of which even large programs have few.
#[derive(Debug, Default)]
pub(crate) struct ModuleTable {
    /// Runtime address that `starts` count from.
    base: u64,
    /// Start of each row as an offset from `base`; ascending. A row reaches to the next one's start.
    starts: Box<[u32]>,
    /// Index into `rules`, one for each row.
    rule_of_row: Box<[u16]>,
    rules: Box<[Rule]>,
}

/// A table that is being made.
pub(super) struct Rows {
    base: u64,
    starts: Vec<u32>,
    rule_of_row: Vec<u16>,
    rules: Vec<Rule>,
    index_of: HashMap<Rule, u16>,
}

impl Rows {
    /// Of an object whose code starts there.
    pub(super) fn new(base: u64) -> Rows {
        Rows {
            base,
            starts: Vec::new(),
            rule_of_row: Vec::new(),
            rules: vec![Rule::NONE],
            index_of: HashMap::from([(Rule::NONE, 0)]),
        }
    }

    /// A function begins: what others before it say of its code is a mistake. So no row that is pushed is before the last one.
    pub(super) fn begin(&mut self, start: u64) {
        while self.starts.last().is_some_and(|last| self.base + u64::from(*last) >= start) {
            self.starts.pop();
            self.rule_of_row.pop();
        }
    }

    /// From `start` on holds `rule`, up to the next row; so end with `Rule::NONE`. Ascending.
    ///
    /// Rows beyond 4 GiB from the base are left out; beyond 65 536 distinct ones, rules become `Rule::NONE`.
    pub(super) fn push(&mut self, start: u64, rule: Rule) {
        let Some(offset) = start.checked_sub(self.base).and_then(|o| u32::try_from(o).ok()) else {
            return;
        };
        let rules = &mut self.rules;
        let index =
            *self.index_of.entry(rule).or_insert_with(|| match u16::try_from(rules.len()) {
                Ok(index) => {
                    rules.push(rule);
                    index
                }
                Err(_) => 0,
            });
        let last = self.starts.last().copied();
        // A row that starts where the last one did replaces it, as where a function begins as another one ends; one that repeats its rule adds
        // nothing.
        if last == Some(offset) {
            if let Some(last) = self.rule_of_row.last_mut() {
                *last = index;
            }
        } else if last < Some(offset) && self.rule_of_row.last() != Some(&index) {
            self.starts.push(offset);
            self.rule_of_row.push(index);
        }
    }

    pub(super) fn into_table(self) -> ModuleTable {
        ModuleTable {
            base: self.base,
            starts: self.starts.into(),
            rule_of_row: self.rule_of_row.into(),
            rules: self.rules.into(),
        }
    }
}

impl ModuleTable {
    /// The rule at `pc`; `Rule::NONE` where the object has no information.
    pub(super) fn rule(&self, pc: u64) -> Rule {
        let find = || {
            let offset = u32::try_from(pc.checked_sub(self.base)?).ok()?;
            let row = self.starts.partition_point(|&s| s <= offset).checked_sub(1)?;
            self.rules.get(usize::from(*self.rule_of_row.get(row)?)).copied()
        };
        find().unwrap_or(Rule::NONE)
    }
}

/// An executable range and the table that covers it.
#[derive(Clone, Debug)]
pub(crate) struct CodeRange {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) table: Arc<ModuleTable>,
}

/// What the walk learns of a pc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// Code of a known object, with its rule.
    Rule(Rule),
    /// Code of a known object that has no information here.
    NoRule,
    /// Not the code of any object we know.
    Unknown,
}

const CACHE_ENTRIES: usize = 2048;

/// One direct-mapped entry, filled and read by any thread at any time, in handlers too.
///
/// `check` holds `pc ^ mix(bits)`, so an entry torn between two writers matches no pc (Hyatt and Mann, "A lock-less
/// transposition table implementation"). Mixed, because rules differ in a few bits only, as neighbouring pcs do.
#[derive(Debug)]
struct CacheEntry {
    check: AtomicU64,
    bits: AtomicU64,
}

impl CacheEntry {
    /// Matches nothing: its bits are no rule.
    fn empty() -> Self {
        CacheEntry { check: AtomicU64::new(0), bits: AtomicU64::new(u64::MAX) }
    }
}

/// The tables of all loaded objects at one moment. Immutable but for the cache, which only repeats what they say.
#[derive(Debug)]
pub(crate) struct Tables {
    /// Ascending, disjoint.
    ranges: Box<[CodeRange]>,
    cache: Box<[CacheEntry]>,
}

impl Tables {
    pub(super) fn new(mut ranges: Vec<CodeRange>) -> Tables {
        ranges.sort_by_key(|r| r.start);
        ranges.dedup_by(|later, earlier| later.start < earlier.end);
        let cache = (0..CACHE_ENTRIES).map(|_| CacheEntry::empty()).collect();
        Tables { ranges: ranges.into(), cache }
    }

    /// # Signal safety
    /// Reads immutable arrays and one cache entry; writes that entry. No allocation, no wait, no panic.
    pub(crate) fn lookup(&self, pc: u64) -> Lookup {
        let slot = self.cache.get(slot_of(pc));
        if let Some(entry) = slot {
            // ORDERING: Relaxed twice: the pair is validated by `check`, and a rule refers to nothing else.
            let check = entry.check.load(Ordering::Relaxed);
            let bits = entry.bits.load(Ordering::Relaxed);
            if check ^ mix(bits) == pc
                && let Some(rule) = Rule::from_bits(bits)
            {
                return classify(rule);
            }
        }
        let index = self.ranges.partition_point(|r| r.start <= pc);
        let Some(range) = index.checked_sub(1).and_then(|i| self.ranges.get(i)) else {
            return Lookup::Unknown;
        };
        if pc >= range.end {
            return Lookup::Unknown;
        }
        let rule = range.table.rule(pc);
        if let Some(entry) = slot {
            let bits = rule.to_bits();
            // ORDERING: as above.
            entry.check.store(pc ^ mix(bits), Ordering::Relaxed);
            entry.bits.store(bits, Ordering::Relaxed);
        }
        classify(rule)
    }
}

fn mix(bits: u64) -> u64 {
    let product = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ (product >> 32)
}

fn classify(rule: Rule) -> Lookup {
    if rule == Rule::NONE { Lookup::NoRule } else { Lookup::Rule(rule) }
}

/// Return addresses differ mostly in their low bits, but cluster by page: fold the high bits in.
fn slot_of(pc: u64) -> usize {
    ((pc ^ (pc >> 11)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % CACHE_ENTRIES
}

#[cfg(test)]
mod tests {
    use super::super::rule::{CfaRule, FpRule};
    use super::*;

    fn sp(offset: i32) -> Rule {
        Rule { cfa: CfaRule::Sp, fp: FpRule::Same, cfa_offset: offset, fp_offset: 0 }
    }

    fn table(rows: &[(u64, Rule)]) -> ModuleTable {
        let mut made = Rows::new(0x1000);
        rows.iter().for_each(|(start, rule)| made.push(*start, *rule));
        made.into_table()
    }

    #[test]
    fn finds_the_row_that_covers_a_pc() {
        let rows = [(0x1010, sp(8)), (0x1011, sp(16)), (0x1011, sp(24)), (0x1020, Rule::NONE)];
        let table = table(&rows);
        assert_eq!(table.rule(0xfff), Rule::NONE);
        assert_eq!(table.rule(0x1000), Rule::NONE);
        assert_eq!(table.rule(0x1010), sp(8));
        assert_eq!(table.rule(0x1011), sp(24), "the later of two rows at one start holds");
        assert_eq!(table.rule(0x101f), sp(24));
        assert_eq!(table.rule(0x1020), Rule::NONE);
        assert_eq!(table.rule(u64::MAX), Rule::NONE);
    }

    #[test]
    fn a_function_that_is_said_to_be_too_long_hides_no_other() {
        let mut rows = Rows::new(0x1000);
        for function in [
            [(0x1010, sp(8)), (0x1018, sp(16)), (0x9000, Rule::NONE)],
            [(0x1014, sp(24)), (0x1018, sp(32)), (0x1020, Rule::NONE)],
        ] {
            rows.begin(function[0].0);
            function.iter().for_each(|(start, rule)| rows.push(*start, *rule));
        }
        let table = rows.into_table();
        let rules = [0x1010, 0x1014, 0x1018, 0x1020, 0x9000].map(|pc| table.rule(pc));
        assert_eq!(rules, [sp(8), sp(24), sp(32), Rule::NONE, Rule::NONE]);
    }

    #[test]
    fn tells_unknown_code_from_code_without_rule_and_caches_neither_wrongly() {
        let table = Arc::new(table(&[(0x1010, sp(8)), (0x1020, Rule::NONE)]));
        let tables = Tables::new(vec![CodeRange { start: 0x1000, end: 0x2000, table }]);
        for _ in 0..2 {
            assert_eq!(tables.lookup(0x1010), Lookup::Rule(sp(8)));
            assert_eq!(tables.lookup(0x1000), Lookup::NoRule);
            assert_eq!(tables.lookup(0x2000), Lookup::Unknown);
            assert_eq!(
                tables.lookup(0),
                Lookup::Unknown,
                "an empty cache entry must not match pc 0"
            );
        }
    }
}
