//! The `heap` and `allocs` profiles as their readers see them: shape, labels, frames, deltas, ages, text, and what the real pprof makes of it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pprof_format::Profile;
use pprof_runtime::{Alloc, Labels, heap, lookup, serve, set_mem_profile_rate, with_labels};
use pprof_tests::{by_label, get, report, stacks, values_of};

#[global_allocator]
static ALLOCATOR: Alloc<System> = Alloc::new(System);

/// The profile is the process's, and what each test allocates is in it for as long as it is there.
fn alone<T>(rate: u64, test: impl FnOnce() -> T) -> T {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    set_mem_profile_rate(rate);
    let result = test();
    set_mem_profile_rate(0);
    result
}

fn snapshot(name: &str) -> pprof_runtime::Profile {
    lookup(name).unwrap().snapshot().unwrap()
}

#[inline(never)]
fn keeps(bytes: usize) -> Box<[u8]> {
    black_box(vec![1; bytes].into_boxed_slice())
}

#[test]
fn the_shape_is_gos() {
    alone(1, || {
        let kept = keeps(1000);
        for (name, default) in [("heap", ""), ("allocs", "alloc_space")] {
            let profile = snapshot(name);
            let proto = profile.proto();
            proto.validate_strict().unwrap();
            let text = |index| proto.string(index);
            let types: Vec<_> =
                proto.sample_type.iter().map(|t| (text(t.ty), text(t.unit))).collect();
            let expected = [
                ("alloc_objects", "count"),
                ("alloc_space", "bytes"),
                ("inuse_objects", "count"),
                ("inuse_space", "bytes"),
            ];
            assert_eq!(types, expected);
            let period = proto.period_type.as_ref().unwrap();
            assert_eq!((text(period.ty), text(period.unit), proto.period), ("space", "bytes", 1));
            assert_eq!(text(proto.default_sample_type), default);
            assert!(proto.time_nanos > 0 && proto.duration_nanos == 0);
            // Rounded up as Go's is to the size class.
            assert_eq!(numbers(proto, "::keeps", "bytes"), HashMap::from([(1024, 1)]));
        }
        drop(kept);
    });
}

/// Of samples whose leaf is this function and of which something is in use: values of a label that is a number, and objects with it.
fn numbers(proto: &Profile, leaf: &str, key: &str) -> HashMap<i64, i64> {
    let mut found = HashMap::new();
    let names = stacks(proto);
    for (sample, (names, _)) in proto.sample.iter().zip(names) {
        let is_it = names.first().is_some_and(|name| name.ends_with(leaf)) && sample.value[2] > 0;
        for label in sample.label.iter().filter(|l| is_it && proto.string(l.key) == key) {
            *found.entry(label.num).or_default() += sample.value[2];
        }
    }
    found
}

/// As `numbers`, of those that are text.
fn texts(proto: &Profile, leaf: &str, key: &str) -> HashMap<String, i64> {
    let mut found = HashMap::new();
    for (sample, (names, _)) in proto.sample.iter().zip(stacks(proto)) {
        let is_it = names.first().is_some_and(|name| name.ends_with(leaf)) && sample.value[2] > 0;
        for label in sample.label.iter().filter(|l| is_it && proto.string(l.key) == key) {
            *found.entry(proto.string(label.str).to_owned()).or_default() += sample.value[2];
        }
    }
    found
}

#[inline(never)]
fn keeps_labelled() -> Box<[u8]> {
    black_box(vec![1; 64].into_boxed_slice())
}

#[test]
fn samples_have_the_labels_and_the_thread_of_who_allocated() {
    alone(1, || {
        let work = || {
            let plain = keeps_labelled();
            with_labels(Labels::new([("tenant", "a")]), || {
                [plain, keeps_labelled(), keeps_labelled()]
            })
        };
        let thread = std::thread::Builder::new().name("allocating".into());
        let kept = thread.spawn(work).unwrap().join().unwrap();
        let profile = snapshot("heap");
        let tenants = texts(profile.proto(), "::keeps_labelled", "tenant");
        assert_eq!(tenants, HashMap::from([("a".to_owned(), 2)]));
        let threads = texts(profile.proto(), "::keeps_labelled", "thread");
        assert_eq!(threads, HashMap::from([("allocating".to_owned(), 3)]));
        drop(kept);
        let profile = snapshot("heap");
        assert_eq!(texts(profile.proto(), "::keeps_labelled", "tenant"), HashMap::new());
    });
}

struct Held(u64);

#[inline(never)]
fn holds() -> (Box<Held>, Vec<Held>, HashMap<u8, Held>, String) {
    let map = HashMap::from([(1, Held(1))]);
    let list = [3].map(Held).into_iter().filter(|held| held.0 > 2).collect();
    black_box((Box::new(Held(2)), list, map, 7_i32.to_string()))
}

#[test]
fn samples_tell_the_type_where_the_debug_information_does() {
    alone(1, || {
        let kept = holds();
        assert_eq!(kept.0.0 + kept.1[0].0 + kept.2[&1].0 + kept.3.len() as u64, 7);
        let profile = snapshot("heap");
        let types = texts(profile.proto(), "::holds", "type");
        assert_eq!(types.get("heap_profiles::Held"), Some(&2), "{types:?}");
        assert_eq!(types.get("(u8, heap_profiles::Held)"), Some(&1), "{types:?}");
        assert!(!types.contains_key("i32"), "{types:?}");
        drop(kept);
    });
}

#[inline(never)]
fn collects() -> (Vec<u64>, String, HashMap<u64, u64>, Vec<u8>) {
    let list = (0..100).map(|n| n * 2).collect();
    let text = format!("{:?}", Some(7));
    let map = (0..100).map(|n| (n, n)).collect();
    let mut grows = Vec::new();
    (0..100).for_each(|byte| grows.push(byte));
    black_box((list, text, map, grows))
}

#[test]
fn the_leaf_is_who_wanted_memory() {
    alone(1, || {
        let kept = collects();
        let profile = snapshot("heap");
        let seen = stacks(profile.proto());
        let own: Vec<_> = seen
            .iter()
            .filter(|(names, values)| {
                values[3] > 0 && names.iter().any(|name| name.ends_with("::collects"))
            })
            .map(|(names, _)| names[0])
            .collect();
        assert!(own.len() >= 4, "{own:?}");
        let is_it = |name: &&str| name.starts_with("heap_profiles::collects");
        assert!(own.iter().all(is_it), "{own:?}");
        drop(kept);
    });
}

#[test]
fn a_delta_has_what_came_and_what_went() {
    alone(1, || {
        let kept = Mutex::new(vec![keeps(5000)]);
        // Asked while the window passes.
        let change = || {
            let mut kept = kept.lock().unwrap();
            if kept[0].len() == 5000 {
                *kept = vec![keeps(300)];
            }
            false
        };
        let source = lookup("heap").unwrap();
        let delta = source.delta(Duration::from_millis(300), &change).unwrap();
        assert_eq!(values_of(&delta, "::keeps"), [1, 300, 0, 300 - 5000]);
        assert!(delta.proto().duration_nanos >= 300_000_000);
    });
}

#[test]
fn a_reset_forgets_what_is_gone() {
    alone(1, || {
        drop(keeps(777));
        let kept = keeps(333);
        lookup("allocs").unwrap().reset();
        assert_eq!(values_of(&snapshot("heap"), "::keeps"), [1, 333, 1, 333]);
        drop(kept);
        assert_eq!(values_of(&snapshot("heap"), "::keeps"), [1, 333, 0, 0]);
        lookup("allocs").unwrap().reset();
        assert_eq!(values_of(&snapshot("heap"), "::keeps"), [0; 4]);
    });
}

#[test]
fn objects_have_an_age() {
    alone(1, || {
        let old = [keeps(2000), keeps(2000)];
        std::thread::sleep(Duration::from_secs(3));
        let (young, since) = (keeps(2000), Instant::now());
        // Between the two: where the machine stands still for a second it is not missed.
        let older = heap::by_age(since.elapsed() + Duration::from_millis(1500)).unwrap();
        let [made, made_bytes, in_use, in_use_bytes] = values_of(&older, "::keeps");
        assert_eq!([in_use, in_use_bytes], [2, 4000]);
        assert!(made >= 3 && made_bytes >= 6000, "what was allocated is in it as well");
        let profile = heap::by_age(Duration::ZERO).unwrap();
        assert_eq!(values_of(&profile, "::keeps"), [made, made_bytes, 3, 6000]);
        let ages = numbers(profile.proto(), "::keeps", "age");
        let is_old = |(age, count): (&i64, &i64)| if *age > 0 { *count } else { 0 };
        assert!(ages.iter().map(is_old).sum::<i64>() >= 2, "{ages:?}");
        assert!(ages.keys().all(|age| [0, 1, 4, 16, 64].contains(age)), "{ages:?}");
        drop((old, young));
    });
}

#[test]
fn the_peak_is_kept_when_it_is_over() {
    alone(1, || {
        lookup("heap").unwrap().reset();
        drop((0..20).map(|_| keeps(1 << 20)).collect::<Vec<_>>());
        let peak = heap::peak().unwrap();
        let proto = peak.proto();
        proto.validate_strict().unwrap();
        let types: Vec<_> = proto.sample_type.iter().map(|t| proto.string(t.ty)).collect();
        assert_eq!(types, ["peak_objects", "peak_space"]);
        let [objects, bytes] = values_of(&peak, "::keeps");
        assert!((17..=20).contains(&objects) && bytes == objects << 20, "{objects} {bytes}");
        // What is highest just now is known exactly.
        let kept: Vec<_> = (0..25).map(|_| keeps(1 << 20)).collect();
        assert_eq!(values_of(&heap::peak().unwrap(), "::keeps"), [25, 25 << 20]);
        drop(kept);
        lookup("heap").unwrap().reset();
    });
}

#[test]
fn lifetimes_are_told_apart() {
    alone(1, || {
        assert!(!heap::set_lifetimes(true));
        (0..10).for_each(|_| drop(keeps(100)));
        let kept = keeps(200);
        std::thread::sleep(Duration::from_millis(120));
        drop(kept);
        assert!(heap::set_lifetimes(false));
        drop(keeps(300));
        let profile = heap::lifetimes().unwrap();
        let proto = profile.proto();
        proto.validate_strict().unwrap();
        assert_eq!(values_of(&profile, "::keeps"), [11, 1200]);
        let by_label = by_label(proto, 0, "lifetime");
        let lifetime = |name: &str| by_label.get(name).copied().unwrap_or(0);
        // On a machine that stands still they may be longer.
        assert!(lifetime("up to 1s") + lifetime("up to 10s") >= 1, "{by_label:?}");
        assert!(lifetime("up to 10us") + lifetime("up to 100us") >= 1, "{by_label:?}");
    });
}

#[test]
fn a_watch_is_told_each_time_that_the_line_is_crossed() {
    alone(1, || {
        let line = heap::in_use() + (8 << 20);
        let (sender, crossed) = std::sync::mpsc::channel();
        let watch = heap::watch(line, move |profile| {
            let [.., bytes] = values_of::<4>(profile, "::keeps");
            // The watch goes on for longer than the test.
            let _ = sender.send(bytes);
            // Without the hook, which keeps what it reads names from.
            std::panic::resume_unwind(Box::new("the watch outlives it"));
        });
        let watch = watch.unwrap();
        for _ in 0..2 {
            let kept = keeps(10 << 20);
            assert!(crossed.recv_timeout(Duration::from_secs(60)).unwrap() >= 10 << 20);
            drop(kept);
            // It has to be seen below the line.
            std::thread::sleep(Duration::from_millis(1500));
        }
        assert!(crossed.try_recv().is_err());
        drop(watch);
    });
}

#[test]
fn leaks_are_listed_with_their_stacks() {
    alone(1, || {
        let kept: Vec<_> = (0..3).map(|_| keeps(50_000)).collect();
        let leaks = heap::leaks(Duration::ZERO).unwrap();
        let is_ours = |leak: &&heap::Leak| leak.frames[0].function.ends_with("::keeps");
        let ours: Vec<_> = leaks.iter().filter(is_ours).collect();
        assert_eq!(ours.iter().map(|l| (l.objects, l.bytes)).collect::<Vec<_>>(), [(3, 150_000)]);
        let leaf = &ours[0].frames[0];
        assert!(leaf.file.ends_with("heap_profiles.rs") && leaf.line > 0, "{leaf}");
        let text = leaks.to_string();
        assert!(
            text.contains("150000 bytes in 3 objects, allocated by\n    heap_profiles::keeps"),
            "{text}"
        );
        assert!(heap::leaks(Duration::from_secs(3600)).unwrap().iter().next().is_none());
        drop(kept);
    });
}

#[inline(never)]
fn allocates_for(work: impl FnOnce(*mut u8, Layout)) {
    let layout = Layout::from_size_align(40, 8).unwrap();
    // SAFETY: the size is not zero.
    work(unsafe { ALLOCATOR.alloc(layout) }, layout);
}

#[test]
fn a_wrong_layout_is_told_with_who_allocated() {
    alone(1, || {
        for size in [48, 56] {
            allocates_for(|object, _| {
                let wrong = Layout::from_size_align(size, 16).unwrap();
                // SAFETY: not of this layout; but the allocator inside is C's, which does not look at it.
                unsafe { ALLOCATOR.dealloc(object, wrong) };
            });
        }
        let found = heap::mismatches().unwrap();
        assert_eq!(found.iter().map(|m| m.freed.size()).collect::<Vec<_>>(), [48, 56]);
        let text = found[0].to_string();
        let said = "freed with size 48 and alignment 16, but allocated with size 40 and alignment 8, by\n    heap_profiles::allocates_for";
        assert!(text.starts_with(said), "{text}");
        let profile = snapshot("heap");
        let proto = profile.proto();
        let mut comments = proto.comment.iter().map(|comment| proto.string(*comment));
        let said = "samples that were freed with another layout than they were allocated with, or by C code: 2";
        assert!(comments.any(|comment| comment == said));
    });
}

/// The number in front of ` total` in a report.
fn total(arguments: &[&str]) -> String {
    let report = report(arguments);
    let line = report.lines().find(|line| line.ends_with(" total")).unwrap_or_default();
    line.rsplit(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn the_real_pprof_reads_both_forms_and_all_columns_alike() {
    alone(1, || {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        drop((0..10).map(|_| keeps(10_000)).collect::<Vec<_>>());
        let mut kept: Vec<_> = (0..5).map(|_| keeps(20_000)).collect();
        let first = snapshot("heap");
        first.write_to(std::fs::File::create(path("first.pb.gz")).unwrap()).unwrap();
        first.write_text(std::fs::File::create(path("first.txt")).unwrap()).unwrap();
        kept.extend((0..5).map(|_| keeps(20_000)));
        let second = snapshot("heap");
        second.write_to(std::fs::File::create(path("second.pb.gz")).unwrap()).unwrap();
        let sums = |profile: &pprof_runtime::Profile| {
            [0, 1, 2, 3].map(|c| profile.proto().sample.iter().map(|s| s.value[c]).sum::<i64>())
        };
        for (column, sum) in ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"]
            .into_iter()
            .zip(sums(&first))
        {
            let index = format!("-sample_index={column}");
            let unit = if column.ends_with("space") { "-unit=B" } else { "-unit=count" };
            let sum = if column.ends_with("space") { format!("{sum}B") } else { sum.to_string() };
            for file in ["first.pb.gz", "first.txt"] {
                assert_eq!(total(&["-top", &index, unit, &path(file)]), sum, "{file} {column}");
            }
        }
        let base = format!("-diff_base={}", path("first.pb.gz"));
        let grown = report(&["-top", "-inuse_space", "-unit=B", &base, &path("second.pb.gz")]);
        let keeps = grown.lines().find(|line| line.ends_with("::keeps")).unwrap_or_default();
        assert!(keeps.trim_start().starts_with("100000B"), "{grown}");
        let tags = report(&["-tags", "-inuse_space", &path("second.pb.gz")]);
        assert!(tags.contains("bytes: Total") && tags.contains("thread: Total"), "{tags}");
    });
}

#[test]
fn over_http_it_answers_what_gos_answers_and_more() {
    alone(1, || {
        let server = serve("127.0.0.1:0").unwrap();
        let address = server.local_addr().to_string();
        let kept = keeps(4321);
        let text = |path: &str| {
            let (head, body) = get(&address, path);
            (head, String::from_utf8_lossy(&body).into_owned())
        };
        let (head, body) = text("/debug/pprof/heap?debug=1&gc=1");
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain"), "{head}");
        assert!(body.starts_with("heap profile: ") && body.contains(" @ heap/2\n"), "{body}");
        assert!(body.contains("1: 4321 ["), "{body}");
        for line in ["# runtime.MemStats", "# HeapAlloc = ", "# MaxRSS = ", "# RSS = "] {
            assert!(body.contains(line), "{line}: {body}");
        }
        assert!(body.contains("# allocator = std::alloc::System"), "{body}");
        let (_, body) = text("/debug/pprof/heap?age=1&debug=1");
        assert!(body.contains("\"age\":0") && !body.contains("\"bytes\""), "{body}");
        for path in [
            "allocs",
            "heap?age=1",
            "heap?older=1",
            "heap?peak=1",
            "heap?lifetimes=1",
            "heap?seconds=1",
            "heap?gc=1",
        ] {
            let (head, body) = get(&address, &format!("/debug/pprof/{path}"));
            assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
            Profile::decode(&body).unwrap().validate_strict().unwrap();
        }
        for (path, said) in [
            ("heap?gc=x", "invalid value for \"gc\""),
            ("heap?age=x", "invalid value for \"age\""),
            ("heap?older=-1", "invalid value for \"older\""),
            ("heap?seconds=1&age=1", "the seconds param is incompatible with age"),
            ("allocs?older=3", "older is a parameter of heap alone"),
            ("heap?seconds=1&debug=1", "seconds and debug params are incompatible"),
        ] {
            let (head, body) = text(&format!("/debug/pprof/{path}"));
            assert!(head.starts_with("HTTP/1.1 400") && body.contains(said), "{path}: {body}");
        }
        let (_, index) = text("/debug/pprof/");
        assert!(index.contains("allocs") && index.contains("heap?debug=1"), "{index}");
        drop(kept);
        server.stop();
    });
}
