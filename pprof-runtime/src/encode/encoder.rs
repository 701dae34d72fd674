//! From addresses and sites to locations: names, lines, mappings, and what is left out of a stack.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use pprof_format::{Builder, LocationId, MappingId, NewFunction, NewLine, NewMapping, Profile};

use super::{allocators, primitives};
use crate::aggregate::site::Site;
use crate::error::{Error, ErrorKind};
use crate::symbol::{Resolved, SourceFrame, Symbols};

/// Puts addresses and sites into a profile, with what symbols say of them.
pub(super) struct Encoder<'s> {
    pub(super) builder: Builder,
    symbols: &'s Symbols,
    /// Mappings of each module, one for each executable segment: (start, end, id).
    mappings: Vec<Vec<(u64, u64, MappingId)>>,
    /// By what is left out.
    known: HashMap<(u64, Hide), Known<'s>>,
    /// Of an address, by how many of its frames are shown.
    locations: HashMap<(u64, usize), LocationId>,
}

/// Tells names of frames that are left out on the leaf side.
pub(super) type Hide = fn(&str) -> bool;

/// What is the same wherever an address is on a stack.
#[derive(Clone, Copy)]
struct Known<'s> {
    lines: &'s [SourceFrame],
    /// So many of them are left out on the leaf side.
    hidden: usize,
    /// The location with all of them, once there is one.
    all: Option<LocationId>,
    /// Whether there is a name among all, and among those that are not left out.
    all_named: bool,
    shown_named: bool,
}

const PAGE_MASK: u64 = 0xfff;

impl<'s> Encoder<'s> {
    pub(super) fn new(symbols: &'s Symbols) -> Self {
        let mut builder = Builder::new();
        let looked_up = LookedUp::of(symbols);
        let mut mappings = Vec::new();
        // Mapping 1 is the main program, which the loader lists first, whether or not it was sampled. Others only if they were.
        for (index, module) in symbols.modules.iter().enumerate() {
            let mut ids = Vec::new();
            if index == 0 || looked_up.used.contains(&index) {
                let resolved =
                    looked_up.used.contains(&index) && !looked_up.failed.contains(&index);
                let lines = resolved && !looked_up.without_lines.contains(&index);
                let build_id: String =
                    module.build_id.iter().map(|byte| format!("{byte:02x}")).collect();
                for segment in module.segments.iter().filter(|s| s.executable) {
                    let start = segment.start & !PAGE_MASK;
                    let id = builder.mapping(&NewMapping {
                        start,
                        limit: segment.end.saturating_add(PAGE_MASK) & !PAGE_MASK,
                        offset: segment.file_offset.saturating_sub(segment.start - start),
                        filename: &module.path.to_string_lossy(),
                        build_id: &build_id,
                        has_functions: resolved,
                        has_filenames: lines,
                        has_line_numbers: lines,
                        has_inline_frames: lines,
                    });
                    ids.push((segment.start, segment.end, id));
                }
            }
            mappings.push(ids);
        }
        let (known, locations) = (HashMap::new(), HashMap::new());
        Encoder { builder, symbols, mappings, known, locations }
    }

    pub(super) fn build(self) -> Result<Profile, Error> {
        self.builder.build().map_err(|e| {
            Error::with_source(ErrorKind::System, format!("cannot encode the profile: {e}"), e)
        })
    }

    fn resolved(&self, address: u64) -> Option<&'s Resolved> {
        self.symbols.get(address)
    }

    fn known(&mut self, address: u64, hide: Hide) -> Known<'s> {
        if let Some(known) = self.known.get(&(address, hide)) {
            return *known;
        }
        let lines = self.resolved(address).map_or(&[][..], |r| &r.frames);
        let hidden = lines.iter().take_while(|f| hide(&qualified(f))).count();
        let shown = lines.get(hidden..).unwrap_or(&[]);
        let is_named =
            |frames: &[SourceFrame]| frames.iter().any(|f| !primitives::is_start(&f.name));
        let known = Known {
            lines,
            hidden,
            all: None,
            all_named: is_named(lines),
            shown_named: is_named(shown),
        };
        self.known.insert((address, hide), known);
        known
    }

    /// Locations of a stack without the leaf-side frames that `hide` names; all of them if nothing else there has a name, as where the whole
    /// of a thread is a primitive's.
    pub(super) fn stack(&mut self, frames: &[u64], hide: Hide) -> Vec<LocationId> {
        let (mut hiding, mut named) = (true, false);
        let mut locations = Vec::with_capacity(frames.len());
        for address in frames {
            let known = self.known(*address, hide);
            let hidden = if hiding { known.hidden } else { 0 };
            if hidden > 0 && hidden == known.lines.len() {
                continue;
            }
            hiding = false;
            named |= if hidden > 0 { known.shown_named } else { known.all_named };
            locations.push(match known.lines.get(hidden..) {
                Some(shown) if hidden > 0 => self.location(*address, shown),
                _ => self.whole(*address, hide, known),
            });
        }
        if named {
            return locations;
        }
        let mut whole = |address: &u64| {
            let known = self.known(*address, hide);
            self.whole(*address, hide, known)
        };
        frames.iter().map(&mut whole).collect()
    }

    /// The location with all frames of an address.
    fn whole(&mut self, address: u64, hide: Hide, known: Known<'s>) -> LocationId {
        known.all.unwrap_or_else(|| {
            let location = self.location(address, known.lines);
            self.known.insert((address, hide), Known { all: Some(location), ..known });
            location
        })
    }

    /// The type of the object that these frames of an allocation are for, as the generic functions on the leaf side tell.
    pub(super) fn type_of(&mut self, frames: &[u64]) -> Option<&'s str> {
        for address in frames {
            let Known { lines, hidden, .. } = self.known(*address, allocators::is_internal);
            let internal = lines.get(..hidden).unwrap_or(lines);
            let object =
                |f: &'s SourceFrame| allocators::object(&qualified(f), f.type_argument.as_deref()?);
            if let Some(ty) = internal.iter().find_map(object) {
                return Some(ty);
            }
            if hidden < lines.len() {
                return None;
            }
        }
        None
    }

    /// As `stack`, of a wait seen as a system call: its first frame is that call, whatever it is named.
    pub(super) fn foreign_stack(&mut self, frames: &[u64]) -> Vec<LocationId> {
        self.stack(frames.get(1..).unwrap_or(frames), primitives::is_internal)
    }

    /// What the primitive on the leaf side of these frames is.
    pub(super) fn kind(&self, frames: &[u64]) -> &'static str {
        let lines = |address: &u64| self.resolved(*address).map_or(&[][..], |r| &r.frames);
        let frames = frames.get(1..).unwrap_or(frames);
        let run =
            frames.iter().flat_map(lines).take_while(|f| primitives::is_internal(&qualified(f)));
        primitives::kind(run)
    }

    /// With these frames of an address, the outermost ones that it has.
    fn location(&mut self, address: u64, frames: &[SourceFrame]) -> LocationId {
        if let Some(known) = self.locations.get(&(address, frames.len())) {
            return *known;
        }
        let lines: Vec<NewLine> = frames.iter().map(|f| self.line(f)).collect();
        let mapping = self.mapping_of(address);
        let location = self.builder.location(mapping, address, &lines);
        self.locations.insert((address, frames.len()), location);
        location
    }

    fn mapping_of(&self, address: u64) -> Option<MappingId> {
        let module = self.resolved(address)?.module?;
        let ids = self.mappings.get(module)?;
        ids.iter().find(|(start, end, _)| (start..end).contains(&&address)).map(|m| m.2)
    }

    fn line(&mut self, frame: &SourceFrame) -> NewLine {
        let function = self.builder.function(&NewFunction {
            name: &frame.name,
            system_name: &frame.system_name,
            filename: frame.file.as_deref().unwrap_or(""),
            start_line: i64::from(frame.start_line),
        });
        NewLine { function, line: i64::from(frame.line), column: i64::from(frame.column) }
    }

    /// A frame that is no code.
    pub(super) fn pseudo(&mut self, name: &str) -> LocationId {
        let function = self.builder.function(&NewFunction { name, ..NewFunction::default() });
        self.builder.location(None, 0, &[NewLine { function, line: 0, column: 0 }])
    }

    /// The location of an annotated function, named as its code is named where that is known, so that it is one with the same
    /// function in a CPU profile.
    pub(super) fn site(&mut self, site: &Site) -> LocationId {
        let frames = self.resolved(site.address()).map_or(&[][..], |r| &r.frames);
        let frame = match frames.iter().find(|f| is_of(f, site)) {
            // An async body is a closure of its function.
            Some(frame)
                if site.is_renamed() || site.is_instance() || frame.name.contains("{closure") =>
            {
                SourceFrame {
                    name: site.name().to_owned(),
                    system_name: site.name().to_owned(),
                    line: site.line(),
                    column: 0,
                    ..frame.clone()
                }
            }
            Some(frame) => SourceFrame { line: site.line(), column: 0, ..frame.clone() },
            None => SourceFrame {
                name: site.name().to_owned(),
                system_name: site.name().to_owned(),
                file: Some(site.file().to_owned()),
                line: site.line(),
                column: 0,
                start_line: site.line(),
                type_argument: None,
            },
        };
        let line = self.line(&frame);
        let mapping = self.mapping_of(site.address());
        self.builder.location(mapping, site.address(), &[line])
    }
}

/// The frame's name, with the module that its file is if the name is without one, as it is where there are only line tables.
pub(super) fn qualified(frame: &SourceFrame) -> Cow<'_, str> {
    let is_bare = frame.name.split('<').next().is_some_and(|name| !name.contains("::"));
    if !is_bare || frame.name.starts_with('<') {
        return Cow::Borrowed(&frame.name);
    }
    match frame.file.as_deref().and_then(module_of) {
        Some(module) => format!("{}::{}", module.trim_end_matches(':'), frame.name).into(),
        None => Cow::Borrowed(&frame.name),
    }
}

/// The module that a file is, as crates are laid out.
fn module_of(file: &str) -> Option<String> {
    let (crate_dir, file) = file.rsplit_once("/src/")?;
    let last = crate_dir.rsplit('/').next()?;
    let is_version =
        |(_, version): &(&str, &str)| version.starts_with(|c: char| c.is_ascii_digit());
    let name = last.rsplit_once('-').filter(is_version).map_or(last, |(name, _)| name);
    // A member of a workspace may be in a directory of that name.
    let is_rusts = || crate_dir.ends_with(&format!("/library/{name}"));
    if matches!(name, "alloc" | "core" | "std") && !is_rusts() {
        return None;
    }
    let file = file.strip_suffix(".rs")?;
    let name = name.replace('-', "_");
    let module = if file == "lib" { "" } else { file.strip_suffix("/mod").unwrap_or(file) };
    Some(format!("{name}::{}", module.replace('/', "::")))
}

/// Whether a frame found at a site's address is of the annotated function itself.
fn is_of(frame: &SourceFrame, site: &Site) -> bool {
    let last = |name: &str| -> String {
        // `a::b::{closure#0}` or `a::b::{{closure}}` is part of `a::b`; generic arguments do not tell functions apart here.
        let name = name.split("::{closure").next().unwrap_or(name);
        let name = name.split("::{{closure").next().unwrap_or(name);
        let name = name.split('<').next().filter(|n| !n.is_empty()).map_or(name, |_| name);
        let name = name.strip_suffix('>').map_or(name, |n| n.rsplit_once("::<").map_or(n, |p| p.0));
        name.rsplit("::").next().unwrap_or(name).to_owned()
    };
    let same_file = frame.file.as_deref().is_some_and(|file| {
        std::path::Path::new(file).ends_with(site.file()) || file == site.file()
    });
    same_file && last(&frame.name) == last(site.path())
}

/// Which modules' addresses were found, and how well.
#[derive(Default)]
struct LookedUp {
    used: HashSet<usize>,
    failed: HashSet<usize>,
    without_lines: HashSet<usize>,
}

impl LookedUp {
    fn of(symbols: &Symbols) -> LookedUp {
        let mut seen = LookedUp::default();
        for resolved in symbols.all() {
            let Some(module) = resolved.module else { continue };
            seen.used.insert(module);
            match resolved.frames.first() {
                None => {
                    seen.failed.insert(module);
                }
                Some(frame) if frame.line == 0 => {
                    seen.without_lines.insert(module);
                }
                Some(_) => {}
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_a_module_are_of_their_files() {
        let frame = |name: &str, file: &str| SourceFrame {
            name: name.into(),
            file: Some(file.into()),
            ..SourceFrame::default()
        };
        let registry = "/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f";
        for (name, file, expected) in [
            (
                "lock",
                "/rustc/59807616e/library/std/src/sync/poison/mutex.rs",
                "std::sync::poison::mutex::lock",
            ),
            (
                "drop<a::B>",
                "/r/lib/rustlib/src/rust/library/core/src/mem/mod.rs",
                "core::mem::drop<a::B>",
            ),
            (
                "park",
                &format!("{registry}/parking_lot_core-0.9.12/src/parking_lot.rs"),
                "parking_lot_core::parking_lot::park",
            ),
            ("wake", &format!("{registry}/pprof-runtime-0.1.0/src/lib.rs"), "pprof_runtime::wake"),
            ("fill", "/home/me/shop/core/src/cart.rs", "fill"),
            ("fill", "/home/me/shop/cart/src/lib.rs", "cart::fill"),
            ("a::b", "/x/src/c.rs", "a::b"),
            ("<a::B as c::D>::e", "/x/src/c.rs", "<a::B as c::D>::e"),
            ("read", "../sysdeps/unix/sysv/linux/read.c", "read"),
        ] {
            assert_eq!(qualified(&frame(name, file)), expected);
        }
        assert_eq!(qualified(&SourceFrame::named("main")), "main");
    }
}
