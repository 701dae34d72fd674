//! From snapshots to profiles: the one place that names sample types.

mod allocators;
mod encoder;
mod foreign;
mod primitives;
mod shape;

use std::collections::HashMap;
use std::sync::Arc;

use pprof_format::{LabelValue, LocationId, NewLabel, Profile};

use self::encoder::Encoder;
use self::foreign::Foreign;
use crate::aggregate::columns::{Column, Values};
use crate::aggregate::path_snapshot::PathSnapshot;
use crate::aggregate::site::Site;
use crate::aggregate::snapshot::{LabelSet, Snapshot, StackSample, UNLOCK_NOT_SEEN};
use crate::error::Error;
use crate::symbol::Symbols;

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
