//! `cargo pprof` says what the real `go tool pprof` says, to the last byte: on profiles made to have all that the format has, and on one of ours.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cargo_pprof::driver::Ui;
use pprof_format::{Builder, LabelValue, NewFunction, NewLabel, NewLine, NewMapping, Profile};
use pprof_tests::go;

/// Standard output and exit status.
type Answer = (i32, String);

struct Reference {
    program: PathBuf,
    directory: tempfile::TempDir,
}

impl Reference {
    fn new() -> Reference {
        let found = Command::new(go()).args(["tool", "-n", "pprof"]).output().expect("go runs");
        let program = String::from_utf8(found.stdout).expect("a path").trim().into();
        Reference { program, directory: tempfile::tempdir().expect("a directory") }
    }

    fn file(&self, name: &str, profile: &Profile) -> String {
        let path = self.directory.path().join(name);
        let mut file = std::fs::File::create(&path).expect("a directory of ours");
        profile.write_to(&mut file).expect("a directory of ours");
        path.to_str().expect("of letters").to_owned()
    }

    fn ask(&self, words: &[&str], input: &str) -> Answer {
        let mut command = Command::new(&self.program);
        command.args(words).current_dir(self.directory.path());
        command.env("HOME", self.directory.path()).env("TZ", "UTC").env("TERM", "dumb");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it runs");
        let stdin = child.stdin.take();
        stdin.expect("a pipe").write_all(input.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().expect("not killed"), text)
    }
}

fn ours(words: &[&str], input: &str) -> (Answer, String) {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut ui = Ui { out: &mut out, err: &mut err, is_terminal: false };
    let code = cargo_pprof::run(&words, &mut Cursor::new(input), &mut ui);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    ((i32::from(code), text(out)), text(err))
}

/// Asks both the same, and says where they differ.
fn compare(reference: &Reference, words: &[&str], input: &str) {
    let theirs = reference.ask(words, input);
    let (ours, errors) = ours(words, input);
    let differs = theirs.1.lines().zip(ours.1.lines()).find(|(a, b)| a != b);
    assert!(
        theirs == ours,
        "{words:?} {input:?}: status {} and {}, {} and {} lines, the first that differ: {differs:#?}\n{errors}",
        theirs.0,
        ours.0,
        theirs.1.lines().count(),
        ours.1.lines().count(),
    );
}

/// A sequence without end of numbers below a bound.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Inlined frames, recursion, labels of both kinds, two objects, values of two types.
fn rich(seed: u64, samples: usize) -> Profile {
    const WORDS: [&str; 6] =
        ["app::parse", "app::Server::run", "net::Io::read", "db.(*Tx).Commit", "main", "fmt"];
    let mut numbers = Numbers(seed);
    let mut builder = Builder::new();
    builder.sample_type("samples", "count").sample_type("cpu", "nanoseconds");
    builder.period("cpu", "nanoseconds", 10_000_000).comment("made for a test").comment("# unseen");
    builder.time(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000));
    builder.duration(std::time::Duration::from_secs(30));
    let mappings = ["/opt/app/bin/server", "/usr/lib/libc.so.6"].map(|filename| {
        builder.mapping(&NewMapping {
            start: 0x1000,
            limit: 0x90000,
            filename,
            build_id: "00ff",
            ..NewMapping::default()
        })
    });
    let functions: Vec<_> = (0..40)
        .map(|n| {
            let name = format!("{}{n}", WORDS[n % WORDS.len()]);
            let filename = format!("/src/app/{}.rs", n % 5);
            builder.function(&NewFunction {
                name: &name,
                system_name: &format!("_{name}"),
                filename: &filename,
                start_line: n as i64 % 5,
            })
        })
        .collect();
    // What is of one file is of one object and starts at one line: the reference sorts entries that print alike at random.
    let locations: Vec<_> = (0..80)
        .map(|n| {
            let file = numbers.below(5);
            let lines: Vec<NewLine> = (0..=numbers.below(3))
                .map(|_| NewLine {
                    function: functions[(numbers.below(8) * 5 + file) as usize],
                    line: 1 + numbers.below(90) as i64,
                    column: numbers.below(4) as i64,
                })
                .collect();
            builder.location(Some(mappings[usize::from(file == 0)]), 0x1000 + 16 * n, &lines)
        })
        .collect();
    let handlers = ["index", "login", "search"];
    for _ in 0..samples {
        let stack: Vec<_> = (0..3 + numbers.below(20))
            .map(|_| locations[(numbers.below(80) * numbers.below(80) / 80) as usize])
            .collect();
        let count = 1 + numbers.below(1000) as i64;
        let handler = handlers[numbers.below(3) as usize];
        let bytes = 1 << numbers.below(20);
        let labels = [
            NewLabel { key: "handler", value: LabelValue::Str(handler) },
            NewLabel { key: "bytes", value: LabelValue::Num(bytes, "bytes") },
        ];
        builder.sample(
            &stack,
            &[count, count * 10_000_000 + numbers.below(1000) as i64],
            &labels[..numbers.below(3) as usize],
        );
    }
    builder.build().expect("it is whole")
}

const FORMATS: [&str; 10] = [
    "-top",
    "-tree",
    "-peek=parse|run",
    "-traces",
    "-raw",
    "-tags",
    "-comments",
    "-dot",
    "-callgrind",
    "-list=parse",
];

const FLAGS: [&[&str]; 44] = [
    &[],
    &["-cum"],
    &["-lines"],
    &["-files"],
    &["-filefunctions"],
    &["-addresses"],
    &["-lines", "-showcolumns"],
    &["-noinlines"],
    &["-focus=parse1"],
    &["-ignore=run"],
    &["-hide=read|Io"],
    &["-show=app"],
    &["-show_from=Commit"],
    &["-prune_from=fmt"],
    &["-focus=libc", "-cum"],
    &["-tagfocus=handler=log"],
    &["-tagfocus=1kb:64kb"],
    &["-tagignore=bytes=:4kb"],
    &["-tagshow=handler"],
    &["-taghide=bytes"],
    &["-tagroot=handler"],
    &["-tagleaf=bytes,handler"],
    &["-nodecount=7"],
    &["-nodefraction=0.2"],
    &["-edgefraction=0.1", "-nodecount=20"],
    &["-trim=false"],
    &["-sample_index=0"],
    &["-sample_index=samples", "-mean"],
    &["-mean"],
    &["-unit=ms"],
    &["-unit=auto"],
    &["-unit=bananas"],
    &["-divide_by=3"],
    &["-relative_percentages", "-focus=main"],
    &["-compact_labels"],
    &["-drop_negative"],
    &["-trim_path=/src"],
    &["-add_comment=a remark"],
    &["-symbolize=none"],
    &["-symbolize=demangle=full"],
    &["-focus=no_such_name"],
    &["-focus=("],
    &["-sample_index=no_such_type"],
    &["-no_such_flag"],
];

#[test]
fn all_reports_are_the_same_with_all_options() {
    let reference = Reference::new();
    let (one, other) = (rich(1, 400), rich(2, 300));
    let files = [reference.file("one.pb.gz", &one), reference.file("other.pb.gz", &other)];
    // Sources, below the path that -trim_path leaves.
    let sources = reference.directory.path().join("app");
    std::fs::create_dir(&sources).expect("a directory of ours");
    for n in 0..5 {
        let lines: String = (1..100).map(|line| format!("\tline {line} of {n}\n")).collect();
        std::fs::write(sources.join(format!("{n}.rs")), lines).expect("a directory of ours");
    }
    let source_path = format!("-source_path={}", reference.directory.path().display());
    for format in FORMATS {
        for flags in FLAGS {
            let words = [&[format, source_path.as_str()], flags, &[files[0].as_str()]].concat();
            compare(&reference, &words, "");
        }
        compare(&reference, &[format, &files[0], &files[1]], "");
        compare(&reference, &[format, &format!("-base={}", files[1]), &files[0]], "");
        compare(
            &reference,
            &[format, "-normalize", &format!("-diff_base={}", files[1]), &files[0]],
            "",
        );
    }
}

#[test]
fn profiles_of_ours_are_read_as_the_reference_reads_them() {
    #[pprof_runtime::profile]
    fn work(depth: u32) -> u32 {
        if depth == 0 { 1 } else { work(depth - 1) + std::hint::black_box(depth) }
    }
    pprof_runtime::set_function_profile(true);
    for depth in 0..50 {
        work(depth % 7);
    }
    let source = pprof_runtime::lookup("functions").expect("it is there");
    let profile = source.snapshot().expect("it is supported");
    let reference = Reference::new();
    let path = reference.directory.path().join("functions.pb.gz");
    profile.write_to(std::fs::File::create(&path).expect("a directory of ours")).expect("written");
    let path = path.to_str().expect("of letters");
    for format in FORMATS {
        compare(&reference, &[&format.replace("parse", "work"), "-sample_index=calls", path], "");
    }
}

#[test]
fn written_profiles_are_the_same() {
    let reference = Reference::new();
    let file = reference.file("one.pb.gz", &rich(3, 200));
    for format in ["-proto", "-topproto"] {
        for flags in [&[][..], &["-focus=parse"], &["-divide_by=10"], &["-tagroot=handler"]] {
            let raw = |name: &str, written: &dyn Fn(&[&str])| {
                let path = reference.directory.path().join(name);
                let output = format!("-output={}", path.display());
                written(&[&[format, &output], flags, &[&file]].concat());
                reference
                    .ask(&["-raw", "-symbolize=none", path.to_str().expect("of letters")], "")
                    .1
            };
            let theirs = raw("theirs", &|words| assert_eq!(reference.ask(words, "").0, 0));
            let mine = raw("ours", &|words| assert_eq!(ours(words, "").0.0, 0));
            assert!(theirs == mine && !theirs.is_empty(), "{format} {flags:?}\n{theirs}\n{mine}");
        }
    }
}

#[test]
fn ids_are_what_the_file_says() {
    let reference = Reference::new();
    // From one on but from half-way on backwards, in twos, as addresses, and near the last that there is.
    let others: [fn(u64) -> u64; 4] = [
        |id| if id < 40 { id } else { 120 - id },
        |id| 2 * id,
        |id| (1 << 40) - 16 * id,
        |id| u64::MAX - 1000 + id,
    ];
    for (number, other) in others.into_iter().enumerate() {
        let mut profile = rich(8, 60);
        profile.function.iter_mut().for_each(|function| function.id = other(function.id));
        for location in &mut profile.location {
            location.id = other(location.id);
            location.line.iter_mut().for_each(|line| line.function_id = other(line.function_id));
        }
        let ids = profile.sample.iter_mut().flat_map(|sample| &mut sample.location_id);
        ids.for_each(|id| *id = other(*id));
        let file = reference.file(&format!("{number}.pb.gz"), &profile);
        assert_eq!(ours(&["-raw", &file], "").0.0, 0);
        for format in ["-raw", "-traces", "-top"] {
            for flags in [&[][..], &["-tagroot=handler"], &["-tagleaf=bytes", "-tagroot=handler"]] {
                compare(&reference, &[&[format], flags, &[&file]].concat(), "");
            }
        }
    }
}

#[test]
fn the_shell_does_what_lines_say() {
    let reference = Reference::new();
    let file = reference.file("one.pb.gz", &rich(4, 200));
    let scripts = [
        "top\ntop5 -cum\ntree 3\npeek parse\ntop 4 run -main\n",
        "focus=parse\ntop3\nfocus=\ntop3\n:\no\n",
        "sort=cum\nlines=1\ngranularity=lines\ntop 5\no\n",
        "nodecount=4\ntop\nsample_index=0 //: a remark\ntop2\nsamples\ntop2\nmean_cpu\ntop2\no\n",
        "tags\ntags login\ntraces\ncomments\nraw\ndot 5\n",
        "no_such\nno_such=1\nfocus\nfocus=(\ntop\nlist\ntop >\nsample_index=9\nquit\ntop\n",
    ];
    for script in scripts {
        compare(&reference, &[&file], script);
    }
}

#[test]
fn what_cannot_be_read_is_an_error_that_says_so() {
    let reference = Reference::new();
    let directory = reference.directory.path();
    let write = |name: &str, bytes: &[u8]| {
        let path = directory.join(name);
        std::fs::write(&path, bytes).expect("a directory of ours");
        path.to_str().expect("of letters").to_owned()
    };
    let whole = rich(5, 20).encode();
    let bad = [
        write("empty", b""),
        write("text", b"no profile at all"),
        write("cut", &whole[..whole.len() / 2]),
        write("gzip", b"\x1f\x8b no gzip"),
        write("twice", &[&whole[..], &whole].concat()),
        directory.join("missing").to_str().expect("of letters").to_owned(),
        directory.to_str().expect("of letters").to_owned(),
    ];
    for path in &bad {
        let ((code, out), err) = ours(&["-top", path], "");
        assert_eq!((code, out.as_str()), (2, ""), "{path}");
        let name = Path::new(path).file_name().expect("a name").to_str().expect("of letters");
        assert!(err.contains(name), "{path}: {err}");
        compare(&reference, &["-top", path], "");
    }
    for (words, said) in [
        (&["-tpo", "x"][..], "did you mean -top"),
        (&["-top"], "no profile source"),
        (&["-top", "-tree", "x"], "at most one"),
        (&["-top", "-nodecount=x", "y"], "whole number"),
        (&["-top", "-base=a", "-diff_base=b", "c"], "cannot both"),
    ] {
        let ((code, _), err) = ours(words, "");
        assert!(code == 2 && err.contains(said), "{words:?}: {err}");
    }
}
