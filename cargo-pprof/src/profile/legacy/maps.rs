//! The memory map that comes after the samples, as Linux has it in `/proc/self/maps` or shorter:
//!
//! ```text
//! MAPPED_LIBRARIES:
//! build=/path/to/binary
//! 00400000-00fcb000 r-xp 00000000 fc:00 42 $build
//! 40000000-40015000: /lib/ld.so (@1000) abc123
//! ```
//!
//! Lines may have come through a log, which puts `file.cc:12] ` in front. What is no mapping, and gives no `$name` a value, is passed over.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use indexmap::IndexMap;
use regex::Regex;

use super::lines::{expression, groups};
use super::{Lines, Result, malformed, regions};
use crate::profile::{Mapping, Profile};

/// Start and end.
const RANGE: &str = concat!(
    r"^[\t\n\f\r ]*(?:0x)?([[:xdigit:]]+)[\t\n\f\r -]?",
    r"[\t\n\f\r ]*(?:0x)?([[:xdigit:]]+):?",
    // Permissions.
    r"(?:[\t\n\f\r ]+([-rwxp]+))?",
);

/// `r-xp 00000000 fc:00 42 /path`
static PROC: LazyLock<Regex> = LazyLock::new(|| {
    let offset = r"(?:[\t\n\f\r ]+([[:xdigit:]]+))?";
    let device_and_inode = r"[\t\n\f\r ]+[[:xdigit:]]+:[[:xdigit:]]+[\t\n\f\r ]+[0-9]+";
    let file = r"(?:[\t\n\f\r ]+([^\t\n\f\r ]+))?";
    expression(&format!("{RANGE}{offset}{device_and_inode}{file}"))
});

/// `/path (@1000) abc123`
static BRIEF: LazyLock<Regex> = LazyLock::new(|| {
    let file = r"(?:[\t\n\f\r ]+([^\t\n\f\r ]+))?";
    let offset = r"(?:[\t\n\f\r ]+\(@([[:xdigit:]]+)\))?";
    let build_id = r"(?:[\t\n\f\r ]+([[:xdigit:]]+))?";
    expression(&format!("{RANGE}{file}{offset}{build_id}"))
});

static LOG: LazyLock<Regex> = LazyLock::new(|| expression(r"^[^\[\]]+:[0-9]+\][\t\n\f\r ]"));

/// Whether a memory map begins after this line.
pub(super) fn is_start(line: &str) -> bool {
    line.contains("--- Memory map: ---") || line.contains("MAPPED_LIBRARIES:")
}

/// Reads the memory map if there is one, from the current line on, and gives locations their mappings.
pub(super) fn read_section(profile: &mut Profile, mut lines: Lines<'_>) -> Result<()> {
    while !is_start(lines.current()) && lines.advance().is_some() {}
    read(profile, lines)
}

/// Reads a memory map of all lines that are left, and gives locations their mappings.
pub(super) fn read(profile: &mut Profile, mut lines: Lines<'_>) -> Result<()> {
    let mut attributes = Attributes::default();
    while let Some(line) = lines.advance() {
        let line = LOG.find(line).map_or(line, |log| &line[log.end()..]);
        let line = attributes.fill_in(line)?;
        match Entry::parse(&line) {
            Some(entry) if entry.is_executable() => {
                let mapping = entry.mapping(profile);
                profile.mappings.push(mapping);
            }
            Some(_) => {}
            None => attributes.read(&line)?,
        }
    }
    regions::tidy(profile);
    regions::assign(profile);
    Ok(())
}

/// A line of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry<'t> {
    range: [u64; 2],
    permissions: &'t str,
    offset: u64,
    file: &'t str,
    build_id: &'t str,
}

impl<'t> Entry<'t> {
    fn parse(line: &'t str) -> Option<Entry<'t>> {
        let ([start, limit, permissions], offset, file, build_id) = match groups(&PROC, line) {
            Some([start, limit, perm, offset, file]) => ([start, limit, perm], offset, file, ""),
            None => {
                let [start, limit, perm, file, offset, build_id] = groups(&BRIEF, line)?;
                ([start, limit, perm], offset, file, build_id)
            }
        };
        let entry = Entry { range: [0; 2], permissions, offset: 0, file, build_id };
        // Numbers are of no interest then, be they too large.
        if !entry.is_executable() {
            return Some(entry);
        }
        let number = |text| u64::from_str_radix(text, 16).ok();
        let offset = if offset.is_empty() { 0 } else { number(offset)? };
        Some(Entry { range: [number(start)?, number(limit)?], offset, ..entry })
    }

    fn is_executable(&self) -> bool {
        self.permissions.is_empty() || self.permissions.contains('x')
    }

    fn mapping(&self, profile: &mut Profile) -> Mapping {
        let [start, limit] = self.range;
        Mapping {
            start,
            limit,
            offset: self.offset,
            file: profile.texts.intern(self.file),
            build_id: profile.texts.intern(self.build_id),
            ..Mapping::default()
        }
    }
}

/// What `$name` stands for; the first value that a name is given is the one that it keeps.
#[derive(Debug, Default)]
struct Attributes {
    values: IndexMap<String, String, foldhash::fast::RandomState>,
    /// Of names: each is looked up where a line has a `$`, as the names may be many.
    lengths: BTreeSet<usize>,
    /// Of all names and values.
    bytes: usize,
}

impl Attributes {
    /// Values may be made of others, and so double in size with each line; no program's map is near these.
    const MAX_BYTES: usize = 1 << 20;
    const MAX_FILLED_IN: usize = 64 << 10;

    /// Takes `name=value`, if that is what the line says.
    fn read(&mut self, line: &str) -> Result<()> {
        let Some((name, value)) = line.split_once('=') else { return Ok(()) };
        let (name, value) = (name.trim(), value.trim());
        let name = format!("${name}");
        if self.values.contains_key(&name) {
            return Ok(());
        }
        self.bytes += name.len() + value.len();
        if self.bytes > Attributes::MAX_BYTES {
            return malformed("the memory map defines more than 1 MiB of attributes", line);
        }
        self.lengths.insert(name.len());
        self.values.insert(name, value.to_owned());
        Ok(())
    }

    /// Puts values in the place of names, those of values excepted. Where one name begins like another, the one that was defined first is meant.
    fn fill_in<'t>(&self, line: &'t str) -> Result<Cow<'t, str>> {
        if self.values.is_empty() || !line.contains('$') {
            return Ok(Cow::Borrowed(line));
        }
        let (mut filled, mut rest) = (String::new(), line);
        while let Some(at) = rest.find('$') {
            let (before, from) = rest.split_at(at);
            filled.push_str(before);
            let names = self.lengths.iter().filter_map(|len| from.get(..*len));
            let known = names.filter_map(|name| self.values.get_full(name));
            let (value, after) = match known.min_by_key(|(order, ..)| *order) {
                Some((_, name, value)) => (value.as_str(), from.get(name.len()..)),
                None => ("$", from.get(1..)),
            };
            filled.push_str(value);
            rest = after.unwrap_or_default();
            if filled.len() > line.len() + Attributes::MAX_FILLED_IN {
                return malformed("attributes of the memory map make a line too long", line);
            }
        }
        filled.push_str(rest);
        Ok(Cow::Owned(filled))
    }
}

#[cfg(test)]
mod tests {
    use super::{Attributes, Entry, read_section};
    use crate::profile::Profile;
    use crate::profile::legacy::{Lines, Refusal};

    #[test]
    fn entries_are_read_in_both_forms() {
        let entry = |range, permissions, offset, file, build_id| {
            Some(Entry { range, permissions, offset, file, build_id })
        };
        let cases = [
            ("10-20 r-xp 00000f00 fc:00 42 /p", entry([16, 32], "r-xp", 0xf00, "/p", "")),
            ("  0x10-0x20: r-xp 1 00:00 0", entry([16, 32], "r-xp", 1, "", "")),
            ("10-20 rw-p 1 00:00 0 /p", entry([0, 0], "rw-p", 0, "/p", "")),
            ("0x10-0x20 /p (@FF00) abc123", entry([16, 32], "", 0xff00, "/p", "abc123")),
            ("10 20: /p", entry([16, 32], "", 0, "/p", "")),
            // As Go has it: two digits are a range.
            ("abc", entry([0xab, 0xc], "", 0, "", "")),
            ("11111111111111111-2 /p", None),
            ("10-20 /p (@11111111111111111)", None),
            ("nothing", None),
            ("", None),
        ];
        for (line, found) in cases {
            assert_eq!(Entry::parse(line), found, "{line}");
        }
    }

    #[test]
    fn names_stand_for_values() {
        let text = "x\n--- Memory map: ---\nlog.cc:12] build = /p\n$build=no\nbuild=/no\n10-20 /a$build/$buildx/$c\nl.cc:1]\t20-30: $build\n";
        let mut profile = Profile::default();
        read_section(&mut profile, Lines::of(text)).unwrap();
        let files: Vec<&str> = profile.mappings.iter().map(|m| profile.text(m.file)).collect();
        assert_eq!(files, ["/a/p//px/$c", "/p"]);
        assert_eq!(profile.mappings[1].id, 2);
    }

    #[test]
    fn values_do_not_grow_without_bounds() {
        let mut text = format!("MAPPED_LIBRARIES:\nn00={}\n", "x".repeat(1000));
        let read = |text: &str| read_section(&mut Profile::default(), Lines::of(text));
        for i in 0..6 {
            text.push_str(&format!("n{:02}=$n{i:02}$n{i:02}\n", i + 1));
        }
        read(&text).unwrap();
        text.push_str("n07=$n06$n06\n");
        assert!(matches!(read(&text), Err(Refusal::Malformed(_))));
        let mut attributes = Attributes::default();
        assert!(attributes.read(&format!("a={}", "y".repeat(2 << 20))).is_err());
    }
}
