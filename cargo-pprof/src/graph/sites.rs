//! Which nodes the frames of a location are.

use std::collections::HashMap;

use super::info::Info;
use crate::paths::clean;
use crate::profile::{Profile, Text};

/// The nodes of all locations.
#[derive(Debug)]
pub struct Sites {
    /// What nodes are, by their numbers.
    pub infos: Vec<Info>,
    /// The function that a node belongs to: the first number of those that are of one.
    pub functions: Vec<u32>,
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
        let mut known: HashMap<Info, u32, Hasher> = HashMap::default();
        let mut functions: HashMap<Info, u32, Hasher> = HashMap::default();
        let mut sites = Sites { infos: vec![], functions: vec![], nodes: vec![], starts: vec![0] };
        for location in &profile.locations {
            let mut add = |info: Info| {
                let next = sites.infos.len() as u32;
                let id = *known.entry(info).or_insert(next);
                if id == next {
                    sites.infos.push(info);
                    // As the reference has it: what is at no line is the function itself, whichever column it names.
                    let whole = match (info.address, info.line) {
                        (0, 0) => info,
                        _ => Info { address: 0, line: 0, column: 0, ..info },
                    };
                    let function = *functions.entry(whole).or_insert(next);
                    sites.functions.push(function);
                }
                sites.nodes.push(id);
            };
            let object = profile.object_of(location);
            if location.lines.is_empty() {
                add(Info { address: location.address, object, ..Info::default() });
            }
            for line in &location.lines {
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

    /// Whether some frame of a node was inlined into its caller.
    #[must_use]
    pub fn are_inlined(&self) -> Vec<bool> {
        let mut inlined = vec![false; self.infos.len()];
        for bounds in self.starts.windows(2) {
            let nodes = &self.nodes[bounds[0] as usize..bounds[1] as usize];
            for node in nodes.iter().rev().skip(1) {
                inlined[*node as usize] = true;
            }
        }
        inlined
    }
}
