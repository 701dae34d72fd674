//! A profile's tables, for who writes it as text.

use std::collections::HashMap;

use pprof_format::{Function, Location, Profile};

pub(crate) struct Tables<'p> {
    profile: &'p Profile,
    locations: HashMap<u64, &'p Location>,
    functions: HashMap<u64, &'p Function>,
}

/// A line of a location: one of the frames that are inlined there, or the function itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'p> {
    pub(crate) function: &'p str,
    pub(crate) file: &'p str,
    pub(crate) line: i64,
}

impl<'p> Tables<'p> {
    pub(crate) fn of(profile: &'p Profile) -> Tables<'p> {
        Tables {
            profile,
            locations: profile.location.iter().map(|l| (l.id, l)).collect(),
            functions: profile.function.iter().map(|f| (f.id, f)).collect(),
        }
    }

    pub(crate) fn text(&self, index: i64) -> &'p str {
        self.profile.string(index)
    }

    /// The locations with these ids, those that there are.
    pub(crate) fn stack(&self, ids: &[u64]) -> impl Iterator<Item = &'p Location> {
        ids.iter().filter_map(|id| self.locations.get(id).copied())
    }

    /// Innermost first; none if nothing is known of it.
    pub(crate) fn lines(&self, location: &'p Location) -> impl Iterator<Item = Line<'p>> {
        location.line.iter().map(|line| {
            let function = self.functions.get(&line.function_id);
            let text = |index: Option<i64>| self.text(index.unwrap_or(0));
            Line {
                function: text(function.map(|f| f.name)),
                file: text(function.map(|f| f.filename)),
                line: line.line,
            }
        })
    }
}
