//! Makes mappings of a memory map fit for use, and finds those of locations.
//!
//! Memory maps are as the loader left them: one object in several parts, the program somewhere among its libraries, its first part remapped to huge
//! pages under another name. What pprof makes of them is kept here with all its guesses, as reports name the first mapping as the program.

use std::sync::LazyLock;

use regex::Regex;

use super::lines::expression;
use crate::profile::{Location, Mapping, MappingIndex, Profile, Text};

/// Puts parts of an object together, and what looks like the program first.
pub(super) fn tidy(profile: &mut Profile) {
    let mut whole: Vec<Mapping> = Vec::with_capacity(profile.mappings.len());
    for mapping in std::mem::take(&mut profile.mappings) {
        match whole.last_mut() {
            Some(last) if is_continued(last, &mapping) => extend(last, &mapping),
            _ => whole.push(mapping),
        }
    }
    let program = whole.iter().position(|mapping| is_program(profile.text(mapping.file)));
    if let Some(program) = program {
        whole.swap(0, program);
    }
    profile.mappings = whole;
    number(&mut profile.mappings);
}

/// Whether the second is the next part of the first, as far as they say.
fn is_continued(first: &Mapping, second: &Mapping) -> bool {
    let may_be_same = |one: Text, other: Text| one.is_empty() || other.is_empty() || one == other;
    let end = first.offset.wrapping_add(first.limit.wrapping_sub(first.start));
    may_be_same(first.file, second.file)
        && may_be_same(first.build_id, second.build_id)
        && first.limit == second.start
        && (first.offset == 0 || second.offset == 0 || end == second.offset)
}

fn extend(first: &mut Mapping, second: &Mapping) {
    first.limit = second.limit;
    if !second.file.is_empty() {
        first.file = second.file;
    }
    if !second.build_id.is_empty() {
        first.build_id = second.build_id;
    }
}

/// Whether an object is neither a shared library nor, as `[vdso]`, of the kernel.
fn is_program(file: &str) -> bool {
    static LIBRARY: LazyLock<Regex> = LazyLock::new(|| expression(r"[.]so$|[.]so[._][0-9]+"));
    let file = file.replace("(deleted)", "");
    let file = file.trim();
    !file.is_empty() && !file.starts_with('[') && !LIBRARY.is_match(file)
}

fn number(mappings: &mut [Mapping]) {
    for (mapping, id) in mappings.iter_mut().zip(1..) {
        mapping.id = id;
    }
}

/// Gives each location its mapping, one of all addresses if there is none for it.
pub(super) fn assign(profile: &mut Profile) {
    mend_program(profile);
    let Profile { mappings, locations, .. } = profile;
    let mut catch_all = None;
    let homeless = |l: &&mut Location| l.mapping.get().is_none() && l.address != 0;
    for location in locations.iter_mut().filter(homeless) {
        let found = find(mappings, location.address).or(catch_all).unwrap_or_else(|| {
            mappings.push(Mapping { limit: u64::MAX, ..Mapping::default() });
            let last = mappings.len() - 1;
            catch_all = Some(last);
            last
        });
        location.mapping = MappingIndex::at(found as u32);
    }
    number(mappings);
}

/// Takes back what is known to go wrong with the program's mapping when its code is moved to huge pages.
fn mend_program(profile: &mut Profile) {
    /// Where linkers put programs that are not relocated.
    const START: u64 = 0x40_0000;
    if let [first, second, ..] = profile.mappings.as_slice()
        && profile.text(first.file).starts_with("/anon_hugepage")
        && first.limit == second.start
    {
        profile.mappings.remove(0);
    }
    if let Some(program) = profile.mappings.first_mut()
        && program.start.wrapping_sub(program.offset) == START
    {
        (program.start, program.offset) = (START, 0);
    }
}

/// The index of the first mapping that an address is in, or else of the first that it would be in if that began with its file: some programs leave
/// out all but the last part of an object. Such a mapping is extended.
fn find(mappings: &mut [Mapping], address: u64) -> Option<usize> {
    let found = mappings.iter().position(|m| (m.start..m.limit).contains(&address));
    if found.is_some() {
        return found;
    }
    let file_start = |m: &Mapping| m.start.wrapping_sub(m.offset);
    let (index, mapping) = mappings
        .iter_mut()
        .enumerate()
        .find(|(_, m)| m.offset != 0 && (file_start(m)..m.start).contains(&address))?;
    (mapping.start, mapping.offset) = (file_start(mapping), 0);
    Some(index)
}

#[cfg(test)]
mod tests {
    use super::{assign, is_program, tidy};
    use crate::profile::{Location, Mapping, Profile};

    fn profile(mappings: &[(u64, u64, u64, &str)], addresses: &[u64]) -> Profile {
        let mut profile = Profile::default();
        for &(start, limit, offset, file) in mappings {
            let file = profile.texts.intern(file);
            profile.mappings.push(Mapping { start, limit, offset, file, ..Mapping::default() });
        }
        for &address in addresses {
            profile.locations.push(Location { address, ..Location::default() });
        }
        profile
    }

    fn mappings(profile: &Profile) -> Vec<(u64, u64, u64, &str)> {
        let told = |m: &Mapping| (m.start, m.limit, m.offset, profile.text(m.file));
        profile.mappings.iter().map(told).collect()
    }

    #[test]
    fn programs_are_no_libraries() {
        for (file, is) in [
            ("/bin/a", true),
            ("/a.sock", true),
            ("/a.so", false),
            ("/a.so.1", false),
            ("/a.so (deleted)", false),
            ("(deleted)", false),
            ("[vdso]", false),
            ("", false),
        ] {
            assert_eq!(is_program(file), is, "{file}");
        }
    }

    #[test]
    fn parts_are_put_together() {
        let parts = [
            (0x10, 0x20, 0, "/l.so"),
            (0x20, 0x30, 0x10, "/l.so"),
            (0x30, 0x40, 0x30, ""),
            (0x40, 0x50, 0x40, "/p"),
            (0x50, 0x60, 0x51, "/p"),
            (u64::MAX, 0, u64::MAX, "/q"),
        ];
        let mut profile = profile(&parts, &[]);
        tidy(&mut profile);
        let whole = [
            (0x40, 0x50, 0x40, "/p"),
            (0x10, 0x40, 0, "/l.so"),
            (0x50, 0x60, 0x51, "/p"),
            (u64::MAX, 0, u64::MAX, "/q"),
        ];
        assert_eq!(mappings(&profile), whole);
        assert!(profile.mappings.iter().zip(1..).all(|(m, id)| m.id == id));
    }

    #[test]
    fn huge_pages_are_of_the_program() {
        let parts = [(0x10, 0x40_1000, 0, "/anon_hugepage"), (0x40_1000, 0x50_0000, 0x1000, "/p")];
        let mut profile = profile(&parts, &[0x40_0500, 0x40_1000]);
        assign(&mut profile);
        assert_eq!(mappings(&profile), [(0x40_0000, 0x50_0000, 0, "/p")]);
        assert!(profile.locations.iter().all(|l| l.mapping.get() == Some(0)));
    }

    #[test]
    fn every_address_has_a_mapping() {
        let parts = [(0x1000, 0x2000, 0x800, "/p"), (0x1000, 0x2000, 0, "/q")];
        let mut profile = profile(&parts, &[0x1500, 0x900, 0x100, 0, u64::MAX]);
        assign(&mut profile);
        let found: Vec<Option<u32>> = profile.locations.iter().map(|l| l.mapping.get()).collect();
        assert_eq!(found, [Some(0), Some(0), Some(2), None, Some(2)]);
        assert_eq!(mappings(&profile)[0], (0x800, 0x2000, 0, "/p"));
        assert_eq!(mappings(&profile)[2], (0, u64::MAX, 0, ""));
        assert_eq!(profile.mappings[2].id, 3);
    }
}
