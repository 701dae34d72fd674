//! Which nodes the frames of a location are.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::info::{Info, Infos};
use crate::paths::clean;
use crate::profile::{Profile, Text};

/// The nodes of all locations.
#[derive(Debug)]
pub struct Sites {
    /// What nodes are, by their numbers. A graph takes them over.
    pub infos: Infos,
    /// Of each location the nodes of its lines, innermost first; one at least.
    nodes: Vec<u32>,
    starts: Vec<u32>,
}

type Hasher = foldhash::fast::RandomState;

impl Sites {
    /// Those of a profile; with objects only if `object_names` asks for it, so that functions of several are one.
    pub fn new(profile: &mut Profile, object_names: bool) -> Sites {
        let files: Vec<Text> = profile
            .functions
            .iter()
            .map(|function| match function.filename {
                Text::EMPTY => Text::EMPTY,
                file => {
                    let cleaned = clean(profile.texts.get(file)).into_owned();
                    profile.texts.intern(&cleaned)
                }
            })
            .collect();
        let hasher = Hasher::default();
        let mut known = HashTable::new();
        // Nearly all have one node.
        let count = profile.locations.len();
        let (nodes, mut starts) = (Vec::with_capacity(count), Vec::with_capacity(count + 1));
        starts.push(0);
        let mut sites = Sites { infos: Infos::default(), nodes, starts };
        for location in &profile.locations {
            let mut add = |info: Info| {
                let next = sites.infos.len() as u32;
                let id = first(&mut known, &hasher, &sites.infos, next, info, |info| info);
                if id == next {
                    sites.infos.push(info);
                }
                sites.nodes.push(id);
            };
            let object = profile.object_of(location);
            if location.lines.is_empty() {
                add(Info { address: location.address, object, ..Info::default() });
            }
            for line in location.lines.iter() {
                let function = &profile.functions[line.function as usize];
                let mut info = Info {
                    address: location.address,
                    line: line.line,
                    column: line.column,
                    name: function.name,
                    file: files[line.function as usize],
                    ..Info::default()
                };
                if object_names || info.name.is_empty() {
                    (info.object, info.start_line) = (object, function.start_line);
                }
                add(info);
            }
            sites.starts.push(sites.nodes.len() as u32);
        }
        sites
    }

    /// The nodes of a location's lines, innermost first.
    #[must_use]
    #[inline]
    pub fn of(&self, location: u32) -> &[u32] {
        let location = location as usize;
        &self.nodes[self.starts[location] as usize..self.starts[location + 1] as usize]
    }

    /// Whether some frame of a node was inlined into its caller, of so many nodes.
    pub(super) fn are_inlined(&self, count: usize) -> Vec<bool> {
        let mut inlined = vec![false; count];
        for bounds in self.starts.windows(2) {
            let nodes = &self.nodes[bounds[0] as usize..bounds[1] as usize];
            for node in nodes.iter().rev().skip(1) {
                inlined[*node as usize] = true;
            }
        }
        inlined
    }
}

/// The function that each belongs to: the number of the first one that is of it.
pub(super) fn functions(infos: &Infos) -> Vec<u32> {
    let (mut known, hasher) = (HashTable::new(), Hasher::default());
    let numbered = (0..).zip(infos.iter());
    numbered
        .map(|(next, info)| first(&mut known, &hasher, infos, next, info, function_of))
        .collect()
}

/// What tells the function of a node apart. As the reference has it: what is at no line is the function itself, whichever column it names.
fn function_of(info: Info) -> Info {
    match (info.address, info.line) {
        (0, 0) => info,
        _ => Info { address: 0, line: 0, column: 0, ..info },
    }
}

/// The number of the first node that has the same `part` as `info`; `next` if none has, which is then known and has to be that of `info` from then on.
/// What is known are numbers alone, as what they are of is in `infos`.
fn first(
    known: &mut HashTable<u32>,
    hasher: &Hasher,
    infos: &Infos,
    next: u32,
    info: Info,
    part: impl Fn(Info) -> Info,
) -> u32 {
    let wanted = part(info);
    let part_of = |number: &u32| part(infos.get(*number));
    let is_same = |number: &u32| part_of(number) == wanted;
    match known.entry(hasher.hash_one(wanted), is_same, |number| hasher.hash_one(part_of(number))) {
        Entry::Occupied(number) => *number.get(),
        Entry::Vacant(place) => *place.insert(next).get(),
    }
}
