//! Frames of stacks, for texts.

use std::collections::HashMap;
use std::fmt;

use pprof_format::{Function, Location, Profile};

/// A call of a stack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Frame {
    /// Its name; an address if that is not known.
    pub function: String,
    /// Empty if it is not known.
    pub file: String,
    /// Zero if it is not known.
    pub line: i64,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Frame { function, file, line } = self;
        if *line == 0 { f.write_str(function) } else { write!(f, "{function}  {file}:{line}") }
    }
}

/// A profile's tables.
pub(super) struct Tables<'p> {
    profile: &'p Profile,
    locations: HashMap<u64, &'p Location>,
    functions: HashMap<u64, &'p Function>,
}

impl<'p> Tables<'p> {
    pub(super) fn of(profile: &'p Profile) -> Tables<'p> {
        Tables {
            profile,
            locations: profile.location.iter().map(|l| (l.id, l)).collect(),
            functions: profile.function.iter().map(|f| (f.id, f)).collect(),
        }
    }

    /// Innermost first.
    pub(super) fn frames(&self, location: u64) -> Vec<Frame> {
        let Some(location) = self.locations.get(&location) else { return Vec::new() };
        if location.line.is_empty() {
            let function = format!("{:#x}", location.address);
            return vec![Frame { function, file: String::new(), line: 0 }];
        }
        let text = |index: Option<i64>| self.profile.string(index.unwrap_or(0)).to_owned();
        let lines = location.line.iter().map(|line| {
            let function = self.functions.get(&line.function_id);
            Frame {
                function: text(function.map(|f| f.name)),
                file: text(function.map(|f| f.filename)),
                line: line.line,
            }
        });
        lines.collect()
    }
}
