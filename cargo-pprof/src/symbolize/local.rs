//! Names from binaries on this machine.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::binary::{Binary, Detail, Frame};
use crate::paths::base;
use crate::profile::{Function, Line, Mapping, Profile, Text};

/// Gives names to the locations of mappings whose binaries are here.
pub(super) fn name_locations(
    profile: &mut Profile,
    detail: Detail,
    force: bool,
    say: &mut dyn FnMut(String),
) {
    let mut is_missing = false;
    let mut functions = Functions::default();
    // A binary may be mapped in several parts, and is read but once.
    let mut by_binary: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    for (index, locations) in unnamed(profile, force).into_iter().enumerate() {
        let mapping = &profile.mappings[index];
        let is_named = mapping.has_functions || mapping.has_filenames || mapping.has_line_numbers;
        if locations.is_empty() || is_named && !force {
            continue;
        }
        let file = profile.text(mapping.file);
        if file.is_empty() && index == 0 {
            say("Main binary filename not available.".to_owned());
        }
        is_missing |= index > 0 && file.is_empty();
        if !file.is_empty() && !is_no_file(profile, mapping) {
            let key = (file.to_owned(), profile.text(mapping.build_id).to_owned());
            by_binary.entry(key).or_default().extend(locations);
        }
    }
    for ((file, build_id), locations) in by_binary {
        let name = match build_id.as_str() {
            "" => base(&file).to_owned(),
            id => format!("{} (build ID {id})", base(&file)),
        };
        let failed = |why: &str| format!("Local symbolization failed for {name}: {why}");
        match Binary::open(Path::new(&file)) {
            Ok(binary) if binary.has_build_id(&build_id) => {
                name_some(profile, &locations, &binary, detail, &mut functions);
            }
            Ok(_) => say(failed("build ID mismatch")),
            Err(error) => {
                say(failed(&error));
                is_missing = true;
            }
        }
    }
    if is_missing {
        say("Some binary filenames not available. Symbolization may be incomplete.\n\
             Try setting PPROF_BINARY_PATH to the search path for local binaries."
            .to_owned());
    }
}

/// Of each mapping the locations that are to have names.
fn unnamed(profile: &Profile, force: bool) -> Vec<Vec<usize>> {
    let mut unnamed = vec![Vec::new(); profile.mappings.len()];
    for (index, location) in profile.locations.iter().enumerate() {
        if let Some(mapping) = location.mapping.get()
            && location.address != 0
            && (force || location.lines.is_empty())
        {
            unnamed[mapping as usize].push(index);
        }
    }
    unnamed
}

/// Whether a mapping is known to be of no file, or is named after the address that the profile came from.
fn is_no_file(profile: &Profile, mapping: &Mapping) -> bool {
    let file = profile.text(mapping.file);
    let name = base(file);
    let is_address = file.starts_with("http://") || file.starts_with("https://");
    name.starts_with('[')
        || name.starts_with("linux-vdso")
        || file.starts_with("/dev/dri/")
        || file.starts_with("/memfd:")
        || file == "//anon"
        || mapping.build_id == Text::EMPTY && is_address
}

fn name_some(
    profile: &mut Profile,
    locations: &[usize],
    binary: &Binary,
    detail: Detail,
    functions: &mut Functions,
) {
    let linked = |index: &usize| {
        let location = &profile.locations[*index];
        let mapping = &profile.mappings[location.mapping.get()? as usize];
        Some((*index, binary.link_address(mapping, location.address)?))
    };
    let linked: Vec<(usize, u64)> = locations.iter().filter_map(linked).collect();
    let mut addresses: Vec<u64> = linked.iter().map(|(_, address)| *address).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let frames = binary.frames(&binary.symbols(), &addresses, detail);
    for (location, address) in linked {
        let Ok(found) = addresses.binary_search(&address) else { continue };
        let frames = &frames[found];
        if frames.is_empty() {
            continue;
        }
        if let Some(index) = profile.locations[location].mapping.get() {
            let mapping = &mut profile.mappings[index as usize];
            mapping.has_inline_frames |= detail == Detail::Lines;
            for frame in frames {
                mapping.has_functions |= !frame.name.is_empty();
                mapping.has_filenames |= !frame.file.is_empty();
                mapping.has_line_numbers |= frame.line != 0;
            }
        }
        let line = |frame: &Frame| Line {
            function: functions.of_frame(profile, frame),
            line: frame.line,
            column: frame.column,
        };
        let lines = frames.iter().map(line).collect();
        let location = &mut profile.locations[location];
        (location.lines, location.is_folded) = (lines, false);
    }
}

/// Functions that are there already.
#[derive(Default)]
struct Functions {
    known: HashMap<(Text, Text, i64), u32>,
}

impl Functions {
    fn of_frame(&mut self, profile: &mut Profile, frame: &Frame) -> u32 {
        let name = profile.texts.intern(&frame.name);
        let filename = profile.texts.intern(&frame.file);
        let next = profile.functions.len() as u32;
        let start_line = frame.start_line;
        let function = *self.known.entry((name, filename, start_line)).or_insert(next);
        if function == next {
            profile.function_ids.add_new(next as usize);
            let function = Function { name, system_name: name, filename, start_line };
            profile.functions.push(function);
        }
        function
    }
}
