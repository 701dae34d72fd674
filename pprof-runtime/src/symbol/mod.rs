//! From addresses to functions, files and lines, inlined frames included.
//!
//! Each object is opened, asked for all its addresses at once and closed again; DWARF first, the symbol table where there
//! is none. Answers are kept for the life of the process, so that a scraper's next snapshot only pays for new addresses.
//! Reads files and takes the loader's lock: never to be called from a handler or under a lock that sampling needs.

mod dwarf;
mod image;
mod table;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::modules::{self, Generation, Module};
use image::Image;

/// What is known of one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// Index of the module it lies in.
    pub(crate) module: Option<usize>,
    /// Inlined frames, innermost first; the last is the function that was not inlined. Empty if nothing is known.
    pub(crate) frames: Vec<SourceFrame>,
}

/// A function and a place in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SourceFrame {
    /// Demangled, without hash.
    pub(crate) name: String,
    /// As the linker knows it.
    pub(crate) system_name: String,
    /// Absolute where the debug information tells.
    pub(crate) file: Option<String>,
    /// Zero if unknown.
    pub(crate) line: u32,
    /// Zero if unknown.
    pub(crate) column: u32,
    /// Line of the function's declaration; zero if unknown.
    pub(crate) start_line: u32,
    /// The first type that this copy of a generic function is for, where the debug information tells.
    pub(crate) type_argument: Option<Box<str>>,
}

impl SourceFrame {
    pub(crate) fn named(system_name: &str) -> SourceFrame {
        SourceFrame {
            name: format!("{:#}", rustc_demangle::demangle(system_name)),
            system_name: system_name.to_owned(),
            ..SourceFrame::default()
        }
    }
}

/// The loaded objects and what is known of some addresses in them.
#[derive(Debug)]
pub(crate) struct Symbols {
    pub(crate) modules: Vec<Module>,
    resolved: HashMap<u64, Arc<Resolved>>,
}

/// Addresses kept between snapshots: some tens of megabytes at most. Beyond it the cache starts anew.
const MAX_CACHED: usize = 100_000;

struct Cache {
    generation: Option<Generation>,
    resolved: HashMap<u64, Arc<Resolved>>,
}

static CACHE: Mutex<Option<Cache>> = Mutex::new(None);

impl Symbols {
    /// Looks up every address, each once.
    pub(crate) fn of(addresses: impl Iterator<Item = u64>) -> Symbols {
        let generation = modules::generation();
        let modules = modules::current();
        let mut wanted: Vec<u64> = addresses.collect();
        wanted.sort_unstable();
        wanted.dedup();

        let mut resolved: HashMap<u64, Arc<Resolved>> = HashMap::with_capacity(wanted.len());
        {
            let mut cache = CACHE.lock();
            if let Some(cache) = cache.as_mut().filter(|c| c.generation == Some(generation)) {
                for address in &wanted {
                    if let Some(known) = cache.resolved.get(address) {
                        resolved.insert(*address, Arc::clone(known));
                    }
                }
            }
        }
        wanted.retain(|address| !resolved.contains_key(address));
        let fresh = resolve(&modules, &wanted);

        let mut cache = CACHE.lock();
        let cache =
            cache.get_or_insert_with(|| Cache { generation: None, resolved: HashMap::new() });
        if cache.generation != Some(generation) || cache.resolved.len() + fresh.len() > MAX_CACHED {
            *cache = Cache { generation: Some(generation), resolved: HashMap::new() };
        }
        for (address, answer) in fresh {
            let answer = Arc::new(answer);
            // An address of no module is looked up at once, and may be anything that a client makes up.
            if answer.module.is_some() && cache.resolved.len() < MAX_CACHED {
                cache.resolved.insert(address, Arc::clone(&answer));
            }
            resolved.insert(address, answer);
        }
        Symbols { modules, resolved }
    }

    /// What is known of every address that was asked for.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Resolved> {
        self.resolved.values().map(|r| &**r)
    }

    /// What is known of an address that was asked for.
    pub(crate) fn get(&self, address: u64) -> Option<&Resolved> {
        self.resolved.get(&address).map(|r| &**r)
    }
}

/// `addresses` ascending.
fn resolve(modules: &[Module], addresses: &[u64]) -> Vec<(u64, Resolved)> {
    let mut answers = Vec::with_capacity(addresses.len());
    let mut by_module: Vec<Vec<u64>> = vec![Vec::new(); modules.len()];
    for address in addresses {
        let module = modules.iter().position(|m| m.segment_of(*address).is_some());
        match module.and_then(|m| by_module.get_mut(m)) {
            Some(list) => list.push(*address),
            None => answers.push((*address, Resolved::default())),
        }
    }
    for (index, (module, addresses)) in modules.iter().zip(by_module).enumerate() {
        if addresses.is_empty() {
            continue;
        }
        let frames = Image::open(&path_of(index, module), module)
            .map(|image| frames(&image, module.bias, &addresses))
            .unwrap_or_else(|| vec![Vec::new(); addresses.len()]);
        for (address, frames) in addresses.into_iter().zip(frames) {
            answers.push((address, Resolved { module: Some(index), frames }));
        }
    }
    answers
}

/// The file to read. The main program's is reached through the kernel, even if it was replaced on disk since.
fn path_of(index: usize, module: &Module) -> PathBuf {
    if index == 0 { PathBuf::from("/proc/self/exe") } else { Path::new(&module.path).to_owned() }
}

/// The frames at each address, from debug information where it covers the address, else from symbols.
fn frames(image: &Image, bias: u64, addresses: &[u64]) -> Vec<Vec<SourceFrame>> {
    let Ok(file) = image.parse() else { return vec![Vec::new(); addresses.len()] };
    let symbols = table::Symbols::of(&file);
    let sections = dwarf::Sections::of(&file);
    let dwarf = sections.context();
    addresses
        .iter()
        .map(|address| {
            let address = address.wrapping_sub(bias);
            let symbol = || symbols.name_at(address).map(SourceFrame::named);
            let mut frames = dwarf.as_ref().map(|dwarf| dwarf.frames(address)).unwrap_or_default();
            match frames.last_mut() {
                None => frames.extend(symbol()),
                Some(outermost) if outermost.name.is_empty() => {
                    if let Some(named) = symbol() {
                        outermost.name = named.name;
                        outermost.system_name = named.system_name;
                    }
                }
                Some(_) => {}
            }
            // A line whose function nobody names tells nothing that a reader could show.
            frames.retain(|f| !f.name.is_empty());
            frames
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line of `fn outer` below.
    const OUTER_START: u32 = line!() + 3;

    #[inline(never)]
    fn outer(x: u64) -> (u64, u64) {
        let address = inlined();
        (address, std::hint::black_box(x))
    }

    #[inline(always)]
    fn inlined() -> u64 {
        let here = crate::capture::registers::current().pc;
        std::hint::black_box(here)
    }

    #[test]
    fn names_lines_and_inlines_of_our_own_code() {
        let (address, _) = outer(1);
        let symbols = Symbols::of([address, address].into_iter());
        let frames = &symbols.get(address).expect("asked for").frames;
        let names: Vec<_> = frames.iter().map(|f| f.name.as_str()).collect();
        let expected = [
            "pprof_runtime::capture::registers::arch::current",
            "pprof_runtime::symbol::tests::inlined",
            "pprof_runtime::symbol::tests::outer",
        ];
        assert_eq!(names, expected);
        let outer = &frames[2];
        assert!(outer.system_name.starts_with("_") && outer.system_name != outer.name);
        assert!(outer.file.as_deref().is_some_and(|f| f.ends_with("src/symbol/mod.rs")));
        assert!(outer.file.as_deref().is_some_and(|f| f.starts_with('/')), "{:?}", outer.file);
        assert_eq!(outer.start_line, OUTER_START);
        assert_eq!(outer.line, OUTER_START + 1);
        assert_eq!(frames[1].line, OUTER_START + 7);
        assert_eq!(symbols.get(address).expect("asked for").module, Some(0));
    }

    #[test]
    fn names_of_libraries_without_debug_information() {
        let getpid = libc::getpid as *const () as u64 + 1;
        let symbols = Symbols::of([getpid, 16].into_iter());
        let resolved = symbols.get(getpid).expect("asked for");
        assert!(resolved.frames[0].name.contains("getpid"), "{resolved:?}");
        let path = &symbols.modules[resolved.module.expect("in libc")].path;
        assert!(path.to_string_lossy().contains("libc"));
        assert_eq!(symbols.get(16), Some(&Resolved::default()));
    }

    #[test]
    fn names_of_the_vdso() {
        let modules = modules::current();
        let vdso = modules.iter().find(|m| m.path.as_os_str() == "[vdso]").expect("Linux has one");
        let code = vdso.segments.iter().find(|s| s.executable).expect("code");
        let symbols = Symbols::of((code.start..code.end).step_by(16));
        let named = (code.start..code.end)
            .step_by(16)
            .filter_map(|a| symbols.get(a))
            .any(|r| r.frames.iter().any(|f| f.name.contains("clock_gettime")));
        assert!(named);
    }
}
