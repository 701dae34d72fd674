//! Nothing that is read makes the tool panic, hang or fill the memory: profiles, texts, command lines and lines of the shell, changed at random.
//! The changes are the same in each run; `fuzz/` looks for more.

use std::io::{self, Cursor, Read, Write};

use cargo_pprof::commands::{COMMANDS, Then};
use cargo_pprof::config::{Config, FIELDS};
use cargo_pprof::driver::{Request, Ui, generate};
use cargo_pprof::pattern::Pattern;
use cargo_pprof::profile::{self, Profile};
use cargo_pprof::{fetch, filter, flags, lint, shell};
use pprof_format::{Builder, LabelValue, NewFunction, NewLabel, NewLine, NewMapping};

/// Pseudorandom numbers (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// One of what lies at edges, or any.
    fn number(&mut self) -> i64 {
        let edges = [0, 1, -1, 2, i64::MAX, i64::MIN, i64::MIN + 1, 1 << 32, 1 << 53, 255, 1000];
        if self.below(3) == 0 { self.next().cast_signed() } else { *self.of(&edges) }
    }

    /// The seed with a few changes.
    fn changed(&mut self, seeds: &[Vec<u8>], seed: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(12)).min(bytes.len());
            match self.below(7) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = self.next() as u8,
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again.repeat(1 + self.below(20)));
                }
                4 => {
                    let odd: [&[u8]; 8] = [
                        b"18446744073709551616",
                        b"-9223372036854775808",
                        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                        b"0x",
                        b"\n\n",
                        "\u{fffd}\u{1f600}".as_bytes(),
                        b"(((((",
                        b" @ ",
                    ];
                    bytes.splice(at..end, self.of(&odd).iter().copied());
                }
                5 => {
                    let other = self.of(seeds);
                    let from = self.below(other.len() + 1);
                    let to = (from + self.below(60)).min(other.len());
                    bytes.splice(at..end, other[from..to].iter().copied());
                }
                _ => bytes.truncate(at.max(1)),
            }
        }
        bytes
    }
}

/// Takes what is printed, but not more than a report of so little may have.
struct Bounded(usize);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        assert!(self.0 < 16 << 20, "a report of a small profile is 16 MB long");
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The most memory that this process has had so far stays in bounds, where the system tells.
fn assert_little_memory() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse::<u64>().ok());
    assert!(kilobytes.unwrap_or(0) < 1 << 20, "{kilobytes:?} kB");
}

fn model() -> pprof_format::Profile {
    let mut builder = Builder::new();
    builder.sample_type("contentions", "count").sample_type("delay", "nanoseconds");
    builder.period("contentions", "count", 1).comment("a remark").default_sample_type("delay");
    let mapping = builder.mapping(&NewMapping {
        start: 0x1000,
        limit: 0x9000,
        filename: "/bin/server",
        build_id: "abcd",
        ..NewMapping::default()
    });
    let names =
        ["main", "<app::A as app::B>::run", "app::{{closure}}", "[unknown]", "std::foo(int)"];
    let locations: Vec<_> = names
        .iter()
        .zip(1..)
        .map(|(name, at)| {
            let filename = "src/main.rs";
            let new = NewFunction { name, system_name: name, filename, start_line: at };
            let line = NewLine { function: builder.function(&new), line: at + 3, column: 2 };
            let inlined = if at % 2 == 0 { vec![line, line] } else { vec![line] };
            builder.location(Some(mapping), 0x1000 + at.unsigned_abs() * 16, &inlined)
        })
        .collect();
    let labels = [
        NewLabel { key: "route", value: LabelValue::Str("/a") },
        NewLabel { key: "bytes", value: LabelValue::Num(4096, "bytes") },
    ];
    for (at, value) in (0..12).zip(1i64..) {
        let depth = 1 + at % locations.len();
        let labels = &labels[..at % 3];
        builder.sample(&locations[locations.len() - depth..], &[value, value * 1000], labels);
    }
    builder.build().expect("whole")
}

/// A file of each format.
fn files() -> Vec<Vec<u8>> {
    let texts = [
        "main;app::run;read 12\nmain;app::run 3\nmain 1\n",
        "server  812/815  [001] 3917.221: 250000 cpu-clock:u:\n        55d0c1 app::work+0x21 (/usr/bin/server)\n        55d2f4 main (/usr/bin/server)\n\n",
        "heap profile: 1: 16 [3: 48] @ heap_v2/524288\n  1: 16 [3: 48] @ 0x1011 0x1021\n\nMAPPED_LIBRARIES:\n00001000-00009000 r-xp 00000000 fd:01 42 /bin/server\n",
        "goroutine profile: total 3\n2 @ 0x1011 0x1021\n#\t0x1010\tmain.f+0x1\t/a.go:3\n\n1 @ 0x1031\n",
        "--- contentionz 1 ---\ncycles/second = 3201000000\nsampling period = 100\n  35 1 @ 0x1011 0x1021\n--- Memory map: ---\n  1000-9000: /bin/server\n",
        "--- threadz 1 ---\n\n--- Thread 1f (name: a b/2) stack: ---\n PC: 0x1011: f(0)\n 0x1021\n---- no stack trace for 3\nMAPPED_LIBRARIES:\n1000-9000: /bin/server\n",
        "--- heapz 1 ---\nformat = java\nresolution = bytes\n 14 3 @ 0x1\n0x1 java.lang.A.b (A.java:3)\n",
        "--- contentionz 1 ---\nformat = java\nresolution = microseconds\nsampling period = 100\nms since reset = 2\n 14 3 @ 0x1\n0x1 a.B.c (B.java:2)\n",
    ];
    // Heading, one sample, the end, and the map: the binary form of gperftools.
    let words = [0u64, 3, 0, 10_000, 0, 5, 2, 0x1011, 0x1021, 0, 1, 0];
    let mut binary: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    binary.extend(b"1000-9000 r-xp 00000000 fd:01 42 /bin/server\n");
    let mut compressed = Vec::new();
    model().write_to(&mut compressed).expect("memory");
    let texts = texts.iter().map(|text| text.as_bytes().to_vec());
    texts.chain([model().encode(), compressed, binary]).collect()
}

/// A whole profile with numbers and references that nobody expects.
fn odd_profile(random: &mut Random) -> pprof_format::Profile {
    let mut model = model();
    let texts = model.string_table.len();
    for _ in 0..=random.below(8) {
        let (sample, place) = (random.below(model.sample.len()), random.below(5));
        match random.below(9) {
            0 => model.sample[sample].value[place % 2] = random.number(),
            1 => {
                let stack = &mut model.sample[sample].location_id;
                let again = stack.repeat(1 + random.below(40));
                *stack = again;
            }
            2 => model.sample[sample].location_id.clear(),
            3 => model.location[place].line.clear(),
            4 => model.location[place].address = random.number().cast_unsigned(),
            5 => {
                if let Some(line) = model.location[place].line.first_mut() {
                    (line.line, line.column) = (random.number(), random.number());
                }
            }
            6 => model.function[place].name = random.below(texts) as i64,
            7 => {
                let numbers = [&mut model.time_nanos, &mut model.duration_nanos, &mut model.period];
                for number in numbers {
                    *number = random.number();
                }
                model.mapping[0].memory_start = random.number().cast_unsigned();
            }
            _ => {
                let (key, unit) = (random.below(texts) as i64, random.below(texts) as i64);
                let num = random.number();
                let label = pprof_format::Label { key, num, num_unit: unit, ..Default::default() };
                model.sample[sample].label.push(label);
            }
        }
    }
    model
}

/// Options that change what is done before a report.
fn odd_config(random: &mut Random) -> Config {
    let mut config = Config::default();
    for _ in 0..random.below(4) {
        let field = random.of(FIELDS);
        // Files are neither written nor looked for.
        if matches!(field.name, "output" | "source_path") {
            continue;
        }
        let number = random.number().to_string();
        let values =
            ["main", "app|std", "route", "bytes=1:", "true", "0", "1", "0.5", "lines", "cum"];
        let value = if random.below(4) == 0 { &number } else { *random.of(&values) };
        let _ = field.set(&mut config, value);
    }
    config
}

/// All reports that are written and not shown.
fn write_reports(profile: &Profile, config: &Config) {
    for command in COMMANDS.iter().filter(|c| matches!(c.then, Then::Print | Then::Save(_))) {
        let parameter = command.has_parameter.then(|| "main|run".to_owned());
        let (mut out, mut err) = (Bounded(0), Bounded(0));
        let mut ui = Ui { out: &mut out, err: &mut err, is_terminal: false };
        let request = Request { command: *command, parameter };
        // Whatever it says, it says it.
        let _ = generate(profile.clone(), &request, config, &mut ui);
    }
}

#[test]
fn files_of_any_content_are_read_or_refused() {
    let (files, mut random) = (files(), Random(1));
    for file in &files {
        assert!(fetch::decode(file.clone()).is_ok(), "{:?}", String::from_utf8_lossy(file));
    }
    let mut read = 0;
    for round in 0..600 {
        for file in &files {
            let file = random.changed(&files, file);
            let _ = lint::lint(&file);
            if let Ok(profile) = fetch::decode(file) {
                read += 1;
                if round % 12 == 0 {
                    write_reports(&profile, &Config::default());
                }
            }
        }
    }
    assert!(read > 1000, "changes are small enough for some to be read: {read}");
    assert_little_memory();
}

/// Gives what it has in pieces of any length.
struct Pieces<'b> {
    bytes: &'b [u8],
    random: Random,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = 1 + self.random.below(40);
        let len = most.min(buffer.len());
        self.bytes.read(&mut buffer[..len])
    }
}

#[test]
fn what_comes_in_pieces_is_read_as_what_is_there_at_once() {
    let mut random = Random(7);
    // Ids that are no indices.
    let mut model = model();
    let first = model.encode();
    for location in &mut model.location {
        location.id <<= 40;
    }
    model.sample.iter_mut().flat_map(|sample| &mut sample.location_id).for_each(|id| *id <<= 40);
    let seeds = [model.encode(), first];
    let written = |profile: Profile| {
        let mut bytes = Vec::new();
        profile.write_plain(&mut bytes).map(|()| bytes).expect("memory")
    };
    let mut whole = 0;
    for round in 0..6000 {
        let seed = &seeds[round % seeds.len()];
        let bytes = if round < 6 { seed.clone() } else { random.changed(&seeds, seed) };
        let pieces = Pieces { bytes: &bytes, random: Random(random.next()) };
        let at_once = Profile::decode(&bytes).map(written);
        whole += usize::from(at_once.is_ok());
        assert_eq!(Profile::decode_from(pieces).map(written), at_once, "{bytes:02x?}");
    }
    assert!((100..5900).contains(&whole), "{whole}");
    // A sample of 4 GB, but for all of these that are there.
    let lie = b"\x12\xff\xff\xff\xff\x0f\x0a\x01\x01";
    assert_eq!(Profile::decode_from(&lie[..]).err(), Profile::decode(lie).err());
    let many = Profile::decode(&model.encode()).expect("whole");
    let few = Profile::decode(&seeds[1]).expect("whole");
    assert!(many.samples.iter().zip(few.samples.iter()).all(|(a, b)| a.stack == b.stack));
    assert_little_memory();
}

#[test]
fn what_is_wrong_a_million_times_is_not_kept() {
    // Mappings without an id, and samples without a value.
    for (record, why) in [([0x1a, 0], "a mapping has the id 0"), ([0x12, 0], "no sample types")] {
        let end = Profile::decode(&[&record[..], &[0x32, 0]].concat()).map(drop);
        let message = end.expect_err("it is wrong").to_string();
        assert!(message.contains(why), "{message}");
        let many = record.repeat(16 << 20);
        let error = Profile::decode_from(Read::chain(&many[..], &[0x32, 0][..])).map(drop);
        assert_eq!(error.expect_err("it is wrong").to_string(), message);
    }
    assert_little_memory();
}

#[test]
fn reports_of_odd_profiles_end() {
    let mut random = Random(2);
    for _ in 0..250 {
        let profile = Profile::decode(&odd_profile(&mut random).encode()).expect("it is whole");
        write_reports(&profile, &odd_config(&mut random));
    }
    assert_little_memory();
}

#[test]
fn odd_profiles_are_merged() {
    let mut random = Random(3);
    for _ in 0..300 {
        let mut profiles: Vec<Profile> = (0..2 + random.below(2))
            .map(|_| Profile::decode(&odd_profile(&mut random).encode()).expect("it is whole"))
            .collect();
        let base = profiles[0].clone();
        let _ = profile::normalize(&mut profiles[1], &base);
        profile::scale(&mut profiles[0], &[-1.0, random.number() as f64]);
        profile::make_compatible(&mut profiles).expect("their types are the same");
        let merged = profile::merge(profiles).expect("their types are the same");
        let mut bytes = Vec::new();
        merged.write(&mut bytes).expect("memory");
        assert!(fetch::decode(bytes).is_ok(), "what is written is read");
    }
}

/// A text with changes; what is no UTF-8 then is replaced.
fn changed_text(random: &mut Random, seeds: &[&str]) -> String {
    let bytes: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    let seed = random.below(bytes.len());
    String::from_utf8_lossy(&random.changed(&bytes, &bytes[seed])).into_owned()
}

#[test]
fn command_lines_are_followed_or_refused() {
    let seeds = [
        "-top -cum -nodecount=1_0 --no-trim p",
        "-peek=a|b -focus (x) -tagfocus=bytes=1kb:2mb -unit ms --diff-base b p q",
        "-list f -sample_index=1 -divide_by=0x1p4 -symbolize=demangle=full -- -p",
        "-h",
    ];
    let mut random = Random(4);
    for _ in 0..4000 {
        let line = changed_text(&mut random, &seeds);
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let _ = flags::parse(&words);
    }
}

#[test]
fn lines_of_the_shell_are_followed_or_refused() {
    let seeds = [
        "top5 -cum main -std\n",
        "peek main app\n",
        "tags route -bytes\n",
        "sample_index=contentions\nmean=1\ntree\n",
        "focus=main //: why\n:\nhelp top\no\n",
        "granularity=lines\nraw\ntraces\n",
    ];
    let profile = fetch::decode(model().encode()).expect("whole");
    let mut random = Random(5);
    for _ in 0..400 {
        let lines = changed_text(&mut random, &seeds);
        // Files are not written, nor programs run.
        let is_harmless = |line: &&str| {
            let first = line.split_whitespace().next().unwrap_or_default();
            let name = first.trim_end_matches(|c: char| c.is_ascii_digit());
            let then = cargo_pprof::commands::find(name).map(|command| command.then);
            !line.contains(['>'])
                && !line.contains("output")
                && matches!(then, None | Some(Then::Print))
        };
        let lines: Vec<&str> = lines.lines().filter(is_harmless).collect();
        let (mut out, mut err) = (Bounded(0), Bounded(0));
        let mut ui = Ui { out: &mut out, err: &mut err, is_terminal: false };
        let mut bytes = Cursor::new(lines.join("\n"));
        let input = shell::Input { bytes: &mut bytes, is_edited: false };
        shell::run(&profile, Config::default(), input, &mut ui).expect("it goes on to the end");
    }
}

#[test]
fn expressions_are_read_or_refused() {
    let patterns =
        ["(?i)^a[[:alpha:]]+$", r"\pN\C{2,3}x??", "a|b*(?P<n>c)", r"\Qx.y\E[^\d]", "{{closure}}"];
    let filters = ["bytes=1kb:2mb", "1:", ":3MB", "key=a,b", "-5s:", "route=/a.*"];
    let mut random = Random(6);
    for _ in 0..1500 {
        if let Ok(pattern) = Pattern::new(&changed_text(&mut random, &patterns)) {
            let _ = pattern.matches("core::ops::function::FnOnce::call_once{{vtable.shim}}");
        }
        let _ = filter::TagFilter::new(&changed_text(&mut random, &filters));
    }
}
