//! From snapshots to profiles: the one place that names sample types.

mod allocators;
mod primitives;
mod shape;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use pprof_format::{
    Builder, LabelValue, LocationId, MappingId, NewFunction, NewLabel, NewLine, NewMapping, Profile,
};

use crate::aggregate::columns::{Column, Values};
use crate::aggregate::path_snapshot::PathSnapshot;
use crate::aggregate::site::Site;
use crate::aggregate::snapshot::{
    LabelSet, Labels, PHASE, Snapshot, StackSample, UNLOCK_NOT_SEEN, Waiter,
};
use crate::error::{Error, ErrorKind};
use crate::symbol::{Resolved, SourceFrame, Symbols};

pub(crate) use shape::{BLOCK, HOLD, MUTEX, Shape, allocs, cpu, heap, objects};

/// Stands at the root of a stack whose callers are missing.
const TRUNCATED: &str = "pprof_runtime::truncated_stack";

/// Functions between the user's code and the place where a wait is recorded.
pub(crate) fn is_internal(name: &str) -> bool {
    const PREFIXES: [&str; 16] = [
        "pprof_runtime::",
        "<pprof_runtime::",
        "<&pprof_runtime::",
        "lock_api::",
        "<lock_api::",
        // Called by them in between.
        "parking_lot::once::",
        "scopeguard::",
        "<scopeguard::",
        "tokio::sync::",
        "<tokio::sync::",
        "tokio::time::timeout::",
        "<tokio::time::timeout::",
        "tokio::task::coop::",
        "<tokio::task::coop::",
        "core::ptr::drop_in_place",
        "core::mem::drop",
    ];
    // Hands a poll on to one of ours that is awaited by reference, pinned or boxed.
    const POINTERS: [&str; 3] = ["<&mut ", "<core::pin::Pin<", "<alloc::boxed::Box<"];
    const POLL: &str = " as core::future::future::Future>::poll";
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    starts(&PREFIXES) || starts(&POINTERS) && name.ends_with(POLL)
}

/// Encodes stacks of addresses.
pub(crate) fn stacks<const N: usize>(
    shape: &Shape<N>,
    snapshot: &Snapshot<N>,
) -> Result<Profile, Error> {
    let addresses = |s: &StackSample<N>| {
        let waiter = s.foreign.iter().flat_map(|waiter| waiter.iter().copied());
        s.frames.iter().copied().chain(waiter).collect::<Vec<_>>()
    };
    let symbols = Symbols::of(snapshot.stacks.iter().flat_map(addresses));
    let mut encoder = Encoder::new(&symbols);
    let builder = &mut encoder.builder;
    for (ty, unit) in shape.sample_types {
        builder.sample_type(ty, unit);
    }
    let (ty, unit, period) = shape.period;
    builder.period(ty, unit, period).time(snapshot.time);
    if !shape.default_type.is_empty() {
        builder.default_sample_type(shape.default_type);
    }
    if let Some(duration) = snapshot.duration {
        builder.duration(duration);
    }
    for comment in &snapshot.comments {
        builder.comment(comment);
    }
    let mut foreign = Foreign::new();
    for stack in &snapshot.stacks {
        if let Some(waiter) = &stack.foreign {
            foreign.add(&mut encoder, shape, stack, waiter);
            continue;
        }
        let mut locations = encoder.stack(&stack.frames, shape.hide);
        if stack.truncated {
            locations.push(encoder.pseudo(TRUNCATED));
        }
        let mut labels = new_labels(&stack.labels, stack.set.as_ref(), shape.labels);
        let ty = if shape.types { encoder.type_of(&stack.frames) } else { None };
        labels.extend(ty.map(|ty| NewLabel { key: "type", value: LabelValue::Str(ty) }));
        labels.extend(
            stack
                .numbers
                .iter()
                .map(|(key, value, unit)| NewLabel { key, value: LabelValue::Num(*value, unit) }),
        );
        encoder.builder.sample(&locations, &stack.values, &labels);
    }
    for ((locations, labels, set), values) in &foreign.samples {
        let labels = new_labels(labels, set.as_ref(), shape.labels);
        encoder.builder.sample(locations, values, &labels);
    }
    for lost in &snapshot.lost {
        let location = encoder.pseudo(lost.reason);
        let mut values = lost.values;
        if lost.reason == UNLOCK_NOT_SEEN {
            add(&mut values, foreign.take_unseen());
        }
        encoder.builder.sample(&[location], &values, &[]);
    }
    let unseen = foreign.take_unseen();
    if unseen != [0; N] {
        let location = encoder.pseudo(UNLOCK_NOT_SEEN);
        encoder.builder.sample(&[location], &unseen, &[]);
    }
    encoder.build()
}

/// The program's own labels come first: readers show them in this order.
fn new_labels<'l>(
    labels: &'l [(&'static str, Arc<str>)],
    set: Option<&'l LabelSet>,
    ours: &[&str],
) -> Vec<NewLabel<'l>> {
    let set = set.map_or(&[][..], |set| set).iter().map(|(key, value)| {
        let key = if ours.contains(&&**key) { beside_ours(key) } else { key };
        // An empty text is none in the format.
        (key, if value.is_empty() { "(empty)" } else { &**value })
    });
    let labels = labels.iter().map(|(key, value)| (*key, &**value));
    set.chain(labels).map(|(key, value)| NewLabel { key, value: LabelValue::Str(value) }).collect()
}

/// What a label of the program's is called where we have one of that name, which says something of the wait.
fn beside_ours(key: &str) -> &str {
    match key {
        "kind" => "user.kind",
        "lock" => "user.lock",
        "holder" => "user.holder",
        "phase" => "user.phase",
        "state" => "user.state",
        "thread" => "user.thread",
        "type" => "user.type",
        "lifetime" => "user.lifetime",
        "bytes" => "user.bytes",
        "age" => "user.age",
        other => other,
    }
}

/// Waits seen as system calls: what they were is told by names. Those that differ in nothing that is shown become one sample.
struct Foreign<const N: usize> {
    samples: HashMap<(Vec<LocationId>, Labels, Option<LabelSet>), [i64; N]>,
    /// Waits on locks that nobody is known to have ended.
    unseen: [i64; N],
}

impl<const N: usize> Foreign<N> {
    fn new() -> Foreign<N> {
        Foreign { samples: HashMap::new(), unseen: [0; N] }
    }

    fn add(
        &mut self,
        encoder: &mut Encoder<'_>,
        shape: &Shape<N>,
        stack: &StackSample<N>,
        waiter: &Waiter,
    ) {
        let own = encoder.kind(&stack.frames);
        let kind = if shape.locks_alone {
            let waiter = encoder.kind(waiter);
            if stack.frames.is_empty() {
                if primitives::is_lock(waiter) {
                    add(&mut self.unseen, stack.values);
                }
                return;
            }
            // Who unlocks may wake one that waits for something else, and to whom the lock was handed on.
            let is_other = |kind| !primitives::is_lock(kind) && kind != primitives::UNKNOWN;
            if is_other(waiter) || is_other(own) {
                return;
            }
            if own == primitives::UNKNOWN { waiter } else { own }
        } else {
            own
        };
        let mut labels = stack.labels.clone();
        for (key, value) in &mut labels {
            if *key == "kind" && **value == *primitives::UNKNOWN {
                *value = kind.into();
            }
        }
        // Others have no holder.
        let kind = labels.iter().find(|(key, _)| *key == "kind").map(|(_, kind)| &**kind);
        if !kind.is_some_and(primitives::is_lock) {
            labels.retain(|(key, _)| *key != PHASE);
        }
        let mut locations = encoder.foreign_stack(&stack.frames);
        if stack.truncated {
            locations.push(encoder.pseudo(TRUNCATED));
        }
        let key = (locations, labels, stack.set.clone());
        add(self.samples.entry(key).or_insert([0; N]), stack.values);
    }

    fn take_unseen(&mut self) -> [i64; N] {
        std::mem::replace(&mut self.unseen, [0; N])
    }
}

fn add<const N: usize>(sum: &mut [i64; N], values: [i64; N]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum = sum.saturating_add(value);
    }
}

/// Encodes call paths: calls and self time at each node, from which readers compute what a function took with its callees.
pub(crate) fn functions(snapshot: &PathSnapshot) -> Result<Profile, Error> {
    let sites = || snapshot.paths.iter().flat_map(|p| p.path.iter().copied());
    let symbols = Symbols::of(sites().map(Site::address).filter(|a| *a != 0));
    let mut encoder = Encoder::new(&symbols);
    let builder = &mut encoder.builder;
    let types = call_types(&snapshot.columns);
    for (ty, unit, _) in &types {
        builder.sample_type(ty, unit);
    }
    builder.period("calls", "count", 1).default_sample_type("wall").time(snapshot.time);
    if let Some(duration) = snapshot.duration {
        builder.duration(duration);
    }
    for comment in &snapshot.comments {
        builder.comment(comment);
    }
    let mut known: HashMap<*const Site, LocationId> = HashMap::new();
    for sample in &snapshot.paths {
        let mut locations = Vec::with_capacity(sample.path.len());
        for site in &sample.path {
            let location =
                *known.entry(std::ptr::from_ref(*site)).or_insert_with(|| encoder.site(site));
            locations.push(location);
        }
        let labels = new_labels(&[], sample.set.as_ref(), &[]);
        encoder.builder.sample(&locations, &values(&types, &sample.values), &labels);
    }
    for lost in &snapshot.lost {
        let location = encoder.pseudo(lost.reason);
        encoder.builder.sample(&[location], &values(&types, &lost.values), &[]);
    }
    encoder.build()
}

/// Name and unit of a sample type, and the columns that it is the sum of.
type CallType = (&'static str, &'static str, &'static [Column]);

/// The sample types of call paths: those of a profile in which only these columns have values.
fn call_types(recorded: &[Column]) -> Vec<CallType> {
    const ALWAYS: [CallType; 2] = [
        ("calls", "count", &[Column::Calls]),
        ("wall", "nanoseconds", &[Column::Busy, Column::Idle]),
    ];
    const ASYNC: [CallType; 4] = [
        ("busy", "nanoseconds", &[Column::Busy]),
        ("idle", "nanoseconds", &[Column::Idle]),
        ("polls", "count", &[Column::Polls]),
        ("cancelled", "count", &[Column::Cancelled]),
    ];
    const OTHERS: [CallType; 5] = [
        ("scheduled", "nanoseconds", &[Column::Scheduled]),
        ("panics", "count", &[Column::Panics]),
        ("cpu", "nanoseconds", &[Column::Cpu]),
        ("alloc_objects", "count", &[Column::Objects]),
        ("alloc_space", "bytes", &[Column::Bytes]),
    ];
    let mut types = ALWAYS.to_vec();
    if recorded.contains(&Column::Polls) {
        types.extend(ASYNC);
    }
    types.extend(OTHERS.iter().filter(|(_, _, of)| of.iter().any(|c| recorded.contains(c))));
    types
}

/// The values for these types. Sums of weighted times may be below zero: left so, what readers add up is what was taken.
fn values(types: &[CallType], values: &Values) -> Vec<i64> {
    types.iter().map(|(_, _, of)| of.iter().map(|c| values[*c]).sum()).collect()
}

struct Encoder<'s> {
    builder: Builder,
    symbols: &'s Symbols,
    /// Mappings of each module, one for each executable segment: (start, end, id).
    mappings: Vec<Vec<(u64, u64, MappingId)>>,
    /// By what is left out.
    known: HashMap<(u64, Hide), Known<'s>>,
    /// Of an address, by how many of its frames are shown.
    locations: HashMap<(u64, usize), LocationId>,
}

/// Tells names of frames that are left out on the leaf side.
type Hide = fn(&str) -> bool;

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
    fn new(symbols: &'s Symbols) -> Self {
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

    fn build(self) -> Result<Profile, Error> {
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
    fn stack(&mut self, frames: &[u64], hide: Hide) -> Vec<LocationId> {
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
    fn type_of(&mut self, frames: &[u64]) -> Option<&'s str> {
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
    fn foreign_stack(&mut self, frames: &[u64]) -> Vec<LocationId> {
        self.stack(frames.get(1..).unwrap_or(frames), primitives::is_internal)
    }

    /// What the primitive on the leaf side of these frames is.
    fn kind(&self, frames: &[u64]) -> &'static str {
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
    fn pseudo(&mut self, name: &str) -> LocationId {
        let function = self.builder.function(&NewFunction { name, ..NewFunction::default() });
        self.builder.location(None, 0, &[NewLine { function, line: 0, column: 0 }])
    }

    /// The location of an annotated function, named as its code is named where that is known, so that it is one with the same
    /// function in a CPU profile.
    fn site(&mut self, site: &Site) -> LocationId {
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
fn qualified(frame: &SourceFrame) -> Cow<'_, str> {
    let bare = frame.name.split('<').next().is_some_and(|name| !name.contains("::"));
    let module = || {
        let (crate_dir, file) = frame.file.as_deref()?.rsplit_once("/src/")?;
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
        let file = file.strip_suffix("/mod").or_else(|| file.strip_suffix("lib")).unwrap_or(file);
        Some(format!("{}::{}", name.replace('-', "_"), file.replace('/', "::")))
    };
    if !bare || frame.name.starts_with('<') {
        return Cow::Borrowed(&frame.name);
    }
    match module() {
        Some(module) => format!("{}::{}", module.trim_end_matches(':'), frame.name).into(),
        None => Cow::Borrowed(&frame.name),
    }
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
    use crate::aggregate::snapshot::{Lost, StackSample};
    use std::time::{Duration, SystemTime};

    fn snapshot(stacks: Vec<StackSample>) -> Snapshot {
        Snapshot {
            time: SystemTime::UNIX_EPOCH + Duration::from_nanos(5),
            duration: Some(Duration::from_nanos(7)),
            stacks,
            lost: vec![Lost { reason: "pprof_runtime::lost_samples (test)", values: [2, 20] }],
            comments: vec!["a remark".into()],
        }
    }

    fn name_of(profile: &Profile, location: u64) -> &str {
        let location = profile.location.iter().find(|l| l.id == location).unwrap();
        let id = location.line.first().map_or(0, |l| l.function_id);
        profile.function.iter().find(|f| f.id == id).map_or("", |f| profile.string(f.name))
    }

    #[test]
    fn a_cpu_profile_has_the_shape_of_gos() {
        let here = a_cpu_profile_has_the_shape_of_gos as *const () as u64 + 8;
        let stack = StackSample::new([here, 1].into(), true, [3, 30_000_000]);
        let profile = stacks(&cpu(100), &snapshot(vec![stack])).unwrap();
        profile.validate_strict().unwrap();
        let types: Vec<_> = profile
            .sample_type
            .iter()
            .chain(&profile.period_type)
            .map(|t| (profile.string(t.ty), profile.string(t.unit)))
            .collect();
        assert_eq!(types, [("samples", "count"), ("cpu", "nanoseconds"), ("cpu", "nanoseconds")]);
        assert_eq!(
            (profile.period, profile.time_nanos, profile.duration_nanos),
            (10_000_000, 5, 7)
        );
        assert_eq!(profile.default_sample_type, 0);
        assert_eq!(profile.string(profile.comment[0]), "a remark");

        let main = &profile.mapping[0];
        assert_eq!(
            profile.string(main.filename),
            std::env::current_exe().unwrap().to_str().unwrap()
        );
        assert!(main.has_functions && main.has_line_numbers);
        assert!(main.memory_start <= here && here < main.memory_limit);

        let names: Vec<Vec<&str>> = profile
            .sample
            .iter()
            .map(|s| s.location_id.iter().map(|l| name_of(&profile, *l)).collect())
            .collect();
        let test = "pprof_runtime::encode::tests::a_cpu_profile_has_the_shape_of_gos";
        assert_eq!(names[0], [test, "", TRUNCATED]);
        assert_eq!(names[1], ["pprof_runtime::lost_samples (test)"]);
        assert_eq!(profile.sample[1].value, [2, 20]);
    }

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
            ("a::b", "/x/src/c.rs", "a::b"),
            ("<a::B as c::D>::e", "/x/src/c.rs", "<a::B as c::D>::e"),
            ("read", "../sysdeps/unix/sysv/linux/read.c", "read"),
        ] {
            assert_eq!(qualified(&frame(name, file)), expected);
        }
        assert_eq!(qualified(&SourceFrame::named("main")), "main");
    }

    #[test]
    fn internal_frames_are_trimmed_unless_nothing_else_is_there() {
        let ours = internal_frames_are_trimmed_unless_nothing_else_is_there as *const () as u64 + 8;
        let theirs = libc::getpid as *const () as u64 + 1;
        let stack = |frames: &[u64]| StackSample::new(frames.into(), false, [1, 1]);
        // Below `main` or a thread's function, the C library is without names where its debug information is not installed.
        let nameless = 1;
        let snapshot = snapshot(vec![
            stack(&[ours, theirs, ours]),
            stack(&[ours]),
            stack(&[ours, nameless]),
            stack(&[nameless]),
        ]);
        let profile = stacks(&MUTEX, &snapshot).unwrap();
        let depths: Vec<_> = profile.sample.iter().map(|s| s.location_id.len()).collect();
        assert_eq!(depths, [2, 1, 2, 1, 1]);
        assert!(name_of(&profile, profile.sample[0].location_id[0]).contains("getpid"));
    }
}
