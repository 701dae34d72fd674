//! Names, lines and code from binaries on this machine, however these were built. The truth is what a program says of itself while it runs.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pprof_format::{Builder, NewMapping};
use tempfile::TempDir;

const PROGRAM: &str = r#"use std::hint::black_box;

#[inline(always)]
fn inner(n: u64) -> u64 {
    black_box(black_box(n) * 3)
}

#[inline(never)]
fn outer(n: u64) -> u64 {
    let n = black_box(n) + 1;
    inner(n)
}

fn main() {
    let address = black_box(outer as fn(u64) -> u64) as usize;
    println!("{address:x} {}", outer(1));
    print!("{}", std::fs::read_to_string("/proc/self/maps").expect("Linux"));
}
"#;

/// Bytes of code that are sampled: `outer` has more.
const SAMPLED: u64 = 32;

/// Lines of the program.
const OUTER: [&str; 2] = ["program::outer", "program.rs:10"];
const INNER: [&str; 2] = ["program::inner", "program.rs:5"];

/// A program that was built and has run.
struct Program {
    directory: TempDir,
    /// Where `outer` was.
    address: u64,
    start: u64,
    limit: u64,
    offset: u64,
}

fn tool(name: &str, words: &[&OsStr]) {
    let output = Command::new(name).args(words).output().expect("a tool of every linker");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Program {
    fn build(flags: &[&str]) -> Program {
        let directory = tempfile::tempdir().expect("a directory");
        let source = directory.path().join("program.rs");
        fs::write(&source, PROGRAM).expect("a directory of ours");
        let output = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
            .args(["--edition=2024", "-O", "-g", "-Clink-arg=-Wl,--build-id"])
            .args(flags)
            .arg("program.rs")
            .current_dir(&directory)
            .output()
            .expect("a compiler");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = Command::new(directory.path().join("program")).output().expect("it runs");
        let said = String::from_utf8(said.stdout).expect("text");
        let hexadecimal = |text: &str| u64::from_str_radix(text, 16).expect("digits");
        let address = hexadecimal(said.split(' ').next().expect("an address"));
        let (start, limit, offset) = said
            .lines()
            .skip(1)
            .find_map(|line| {
                let mut words = line.split_whitespace();
                let (start, limit) = words.next()?.split_once('-')?;
                let (start, limit) = (hexadecimal(start), hexadecimal(limit));
                let offset = hexadecimal(words.nth(1)?);
                (start..limit).contains(&address).then_some((start, limit, offset))
            })
            .expect("the code is mapped");
        Program { directory, address, start, limit, offset }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("program")
    }

    /// A profile of the first [`SAMPLED`] bytes of `outer`, each sampled once, without names.
    fn profile(&self, file: &str, build_id: &str) -> PathBuf {
        let mut builder = Builder::new();
        builder.sample_type("samples", "count");
        let mapping = builder.mapping(&NewMapping {
            start: self.start,
            limit: self.limit,
            offset: self.offset,
            filename: file,
            build_id,
            ..NewMapping::default()
        });
        for into in 0..SAMPLED {
            let location = builder.location(Some(mapping), self.address + into, &[]);
            builder.sample(&[location], &[1], &[]);
        }
        let path = self.directory.path().join("profile.pb");
        fs::write(&path, builder.build().expect("whole").encode()).expect("a directory of ours");
        path
    }

    /// What is said of that profile, and what is told besides.
    fn report(
        &self,
        words: &[&str],
        profile: &Path,
        variables: &[(&str, &Path)],
    ) -> (String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_cargo-pprof"))
            .args(words)
            .arg(profile)
            .env("HOME", self.directory.path())
            .envs(variables.iter().copied())
            .current_dir(&self.directory)
            .output()
            .expect("our own program");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (text(output.stdout), text(output.stderr))
    }

    fn is_named(&self, profile: &Path, variables: &[(&str, &Path)]) {
        let (out, err) = self.report(&["-traces", "-lines"], profile, variables);
        let has = |[name, place]: [&str; 2], inline: &str| {
            let mut lines = out.lines();
            lines.any(|line| line.contains(name) && line.ends_with(&format!("{place}{inline}")))
        };
        assert!(has(OUTER, ""), "{out}\n{err}");
        assert!(has(INNER, " (inline)"), "{out}\n{err}");
    }

    fn build_id(&self) -> String {
        let bytes = fs::read(self.path()).expect("it was built");
        let note = [4u32, 20, 3].iter().flat_map(|n| n.to_le_bytes()).chain(*b"GNU\0");
        let note: Vec<u8> = note.collect();
        let at = bytes.windows(note.len()).position(|part| part == note).expect("a build id");
        bytes[at + note.len()..][..20].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Takes the debug information out of the program, and returns where it is now.
    fn strip(&self) -> PathBuf {
        let (program, debug) = (self.path(), self.directory.path().join("apart"));
        tool("objcopy", &["--only-keep-debug".as_ref(), program.as_ref(), debug.as_ref()]);
        tool("strip", &["--strip-all".as_ref(), program.as_ref()]);
        debug
    }
}

#[test]
fn all_kinds_of_programs_are_read() {
    for flags in [
        &[][..],
        &["-Crelocation-model=static", "-Clink-arg=-no-pie"],
        &["-Clink-arg=-Wl,--compress-debug-sections=zlib"],
        &["-Csplit-debuginfo=packed"],
        &["-Csplit-debuginfo=unpacked"],
        &["-Csymbol-mangling-version=v0"],
    ] {
        let program = Program::build(flags);
        let file = program.path();
        program.is_named(&program.profile(file.to_str().expect("letters"), ""), &[]);
        if flags.contains(&"-Csplit-debuginfo=unpacked") {
            let entries = fs::read_dir(&program.directory).expect("ours").filter_map(Result::ok);
            let is_split = |name: &OsStr| Path::new(name).extension() == Some("dwo".as_ref());
            assert!(entries.into_iter().any(|entry| is_split(&entry.file_name())), "it is split");
        }
    }
}

#[test]
fn debug_information_apart_from_programs_is_found() {
    let program = Program::build(&[]);
    let id = program.build_id();
    let debug = program.strip();
    let file = program.path();
    let file = file.to_str().expect("letters");
    let profile = program.profile(file, &id);
    // Nothing yet.
    let (out, _) = program.report(&["-traces", "-lines"], &profile, &[]);
    assert!(!out.contains("program::outer"), "{out}");

    // By the link that the program has of it.
    tool("objcopy", &[format!("--add-gnu-debuglink={}", debug.display()).as_ref(), file.as_ref()]);
    program.is_named(&profile, &[]);
    // Symbols are there too.
    let (out, err) = program.report(&["-disasm=program::outer"], &profile, &[]);
    assert!(out.contains(";program::inner program.rs:5"), "{out}{err}");
    let hidden = program.directory.path().join(".debug");
    fs::create_dir(&hidden).expect("ours");
    fs::rename(&debug, hidden.join("apart")).expect("ours");
    program.is_named(&profile, &[]);

    // By its build id, as the cache of debuginfod has it.
    let cache = program.directory.path().join("cache");
    fs::create_dir_all(cache.join(&id)).expect("ours");
    fs::rename(hidden.join("apart"), cache.join(&id).join("debuginfo")).expect("ours");
    program.is_named(&profile, &[("DEBUGINFOD_CACHE_PATH", &cache)]);
}

#[test]
fn programs_are_looked_for_by_build_id() {
    let program = Program::build(&[]);
    let id = program.build_id();
    let roots = program.directory.path().join("roots");
    let (first, rest) = id.split_at(2);
    for place in [
        format!("{id}/program"),
        format!("{id}/of another name"),
        format!("gone/program/{id}"),
        format!("{first}/{rest}.debug"),
        "program".to_owned(),
        "gone/program".to_owned(),
        "gone/program.debug".to_owned(),
        "gone/.debug/program.debug".to_owned(),
        "usr/lib/debug/gone/program.debug".to_owned(),
    ] {
        let place = roots.join(place);
        fs::create_dir_all(place.parent().expect("below the root")).expect("ours");
        fs::copy(program.path(), &place).expect("ours");
        let profile = program.profile("/gone/program", &id);
        program.is_named(&profile, &[("PPROF_BINARY_PATH", &roots)]);
        // Another program by that name is not it, and that is told.
        let profile = program.profile("/gone/program", "abcdef");
        let (out, err) = program.report(&["-top"], &profile, &[("PPROF_BINARY_PATH", &roots)]);
        assert!(!out.contains("program::outer"), "{out}");
        let is_told = err.contains("build-id mismatch");
        assert_eq!(is_told, !place.to_string_lossy().contains(&id[2..]), "{err}");
        fs::remove_dir_all(&roots).expect("ours");
    }
    // Named on the command line, but not what was measured.
    let profile = program.profile("", "abcdef");
    let words = ["-top", "program"];
    let (_, err) = program.report(&words, &profile, &[]);
    assert!(err.contains("build ID mismatch"), "{err}");
    // Nor is its code that of what was measured.
    let other = program.profile(program.path().to_str().expect("letters"), "abcdef");
    let (out, _) = program.report(&["-disasm=."], &other, &[]);
    assert_eq!(out, "");
    let profile = program.profile("", "");
    let (out, err) = program.report(&words, &profile, &[]);
    assert!(out.contains("program::outer"), "{out}{err}");
}

#[test]
fn modes_are_as_asked() {
    let program = Program::build(&[]);
    let profile = program.profile(program.path().to_str().expect("letters"), "");
    let top = |mode: &str| program.report(&["-top", mode], &profile, &[]).0;
    assert!(!top("-symbolize=none").contains("outer"));
    assert!(!top("-symbolize=remote").contains("outer"));
    let fast = top("-symbolize=fastlocal");
    assert!(fast.contains("program::outer") && !fast.contains("inner"), "{fast}");
    assert!(top("-symbolize=local").contains("program::inner"));
    assert!(top("-symbolize=local:demangle=none").contains("_ZN7program5outer"));
    let missing = program.profile("/gone/program", "");
    let (_, err) = program.report(&["-top"], &missing, &[]);
    assert!(err.contains("/gone/program") && err.contains("PPROF_BINARY_PATH"), "{err}");
    // What is no binary is none.
    let nonsense =
        program.profile(program.directory.path().join("program.rs").to_str().unwrap(), "");
    let (_, err) = program.report(&["-top"], &nonsense, &[]);
    assert!(err.contains("cannot read"), "{err}");
}

#[test]
fn damaged_binaries_are_told_or_skipped() {
    let program = Program::build(&[]);
    let whole = fs::read(program.path()).expect("it was built");
    let damaged = program.directory.path().join("damaged");
    let profile = program.profile(damaged.to_str().expect("letters"), "");
    // A generator of numbers, the same each time.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for round in 0..40 {
        let mut bytes = whole.clone();
        match round % 4 {
            0 => bytes.truncate(random(whole.len())),
            // Headers.
            1 => (0..20).for_each(|_| bytes[random(4096)] = random(256) as u8),
            _ => (0..2000).for_each(|_| bytes[random(whole.len())] = random(256) as u8),
        }
        fs::write(&damaged, bytes).expect("ours");
        for words in [&["-top"][..], &["-disasm=outer|."], &["-weblist=.", "-output=page.html"]] {
            let (_, err) = program.report(words, &profile, &[]);
            assert!(!err.contains("panicked"), "{err}");
        }
    }
}

#[test]
fn code_is_shown_with_its_lines() {
    let program = Program::build(&[]);
    let file = program.path();
    let profile = program.profile(file.to_str().expect("letters"), "");
    let (out, err) = program.report(&["-disasm=program::outer"], &profile, &[]);
    assert!(out.contains("ROUTINE ======================== program::outer\n"), "{out}{err}");
    assert!(out.contains("32         32 (flat, cum)   100% of Total"), "{out}");
    assert!(out.contains(";program::outer program.rs:10"), "{out}");
    assert!(out.contains(";program::inner program.rs:5"), "{out}");
    // Each byte was sampled once: an instruction has as many samples as bytes.
    let rows = out.lines().skip(3).filter_map(|line| {
        let (head, _) = line.split_once(": ")?;
        let words: Vec<&str> = head.split_whitespace().collect();
        let [flat, _, address] = words.as_slice() else { return None };
        Some((u64::from_str_radix(address, 16).ok()?, flat.parse::<u64>().unwrap_or(0)))
    });
    let rows: Vec<(u64, u64)> = rows.collect();
    let first = rows.first().expect("code").0;
    for pair in rows.windows(2) {
        let (from, to) = (pair[0].0 - first, pair[1].0 - first);
        assert_eq!(pair[0].1, to.min(SAMPLED).saturating_sub(from), "{out}");
    }
    // The same by an address of the profile, and in the other dialect.
    let address = format!("-disasm={:#x}", program.address + 4);
    assert_eq!(program.report(&[&address], &profile, &[]).0, out);
    let intel = program.report(&["-disasm=program::outer", "-intel_syntax"], &profile, &[]).0;
    assert!(out.contains('%') && !intel.contains("%r"), "{intel}");
    let none = program.report(&["-disasm=nowhere"], &profile, &[]).1;
    assert!(none.contains("no matches found for regexp nowhere"), "{none}");

    let (_, err) = program.report(&["-weblist=outer", "-output=page.html"], &profile, &[]);
    let page = fs::read_to_string(program.directory.path().join("page.html")).expect(&err);
    assert!(page.contains("<h2>program::outer</h2>"), "{page}");
    assert!(page.contains("let n = black_box(n) + 1;"), "{page}");
    assert!(page.contains("class=\"call\""), "{page}");
    // Inlined code is at two lines, and counts once.
    let (_, err) = program.report(&["-weblist=program::", "-output=page.html"], &profile, &[]);
    let page = fs::read_to_string(program.directory.path().join("page.html")).expect(&err);
    assert!(page.contains("32         32 (flat, cum)   100% of Total"), "{page}");
    assert_eq!(page.matches("(flat, cum)").count(), page.matches("% of Total").count());

    let (list, _) = program.report(&["-list=program::"], &profile, &[]);
    assert!(list.contains("black_box(n) * 3") && list.contains("inner(n)"), "{list}");
}

#[test]
fn sources_of_crates_and_of_the_standard_library_are_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |path: &str, text: &str| {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().expect("below")).expect("ours");
        fs::write(path, text).expect("ours");
    };
    write("cargo/registry/src/index-1/dep-1.0.0/src/lib.rs", "fn of_a_crate() {}\n");
    write("cargo/git/checkouts/dep-1234/abc/src/lib.rs", "fn of_a_checkout() {}\n");
    let installed = "lib/rustlib/multirust-channel-manifest.toml";
    let core = "lib/rustlib/src/rust/library/core/src/lib.rs";
    write(
        &format!("rustup/toolchains/new/{installed}"),
        "version = \"1.96.0 (aaaaaaaaa 2026-05-28)\"",
    );
    write(&format!("rustup/toolchains/new/{core}"), "fn of_another_version() {}\n");
    write(
        &format!("rustup/toolchains/old/{installed}"),
        "version = \"1.95.0 (59807616e 2026-04-14)\"",
    );
    write(&format!("rustup/toolchains/old/{core}"), "fn of_the_library() {}\n");
    let commit = "59807616e1fa2540724bfbac14d7976d7e4a3860";
    for (file, expected) in [
        ("/home/ci/.cargo/registry/src/index-1/dep-1.0.0/src/lib.rs".to_owned(), "of_a_crate"),
        ("/home/ci/.cargo/registry/src/other-2/dep-1.0.0/src/lib.rs".to_owned(), "of_a_crate"),
        ("/home/ci/.cargo/git/checkouts/dep-1234/abc/src/lib.rs".to_owned(), "of_a_checkout"),
        (format!("/rustc/{commit}/library/core/src/lib.rs"), "of_the_library"),
        (format!("/rustc/{}/library/core/src/lib.rs", "b".repeat(40)), "no such file"),
    ] {
        let mut builder = Builder::new();
        builder.sample_type("samples", "count");
        let function = builder.function(&pprof_format::NewFunction {
            name: "f",
            system_name: "f",
            filename: &file,
            start_line: 1,
        });
        let line = pprof_format::NewLine { function, line: 1, column: 0 };
        let location = builder.location(None, 0, &[line]);
        builder.sample(&[location], &[1], &[]);
        let path = directory.path().join("profile.pb");
        fs::write(&path, builder.build().expect("whole").encode()).expect("ours");
        let output = Command::new(env!("CARGO_BIN_EXE_cargo-pprof"))
            .args(["-list=f"])
            .arg(&path)
            .env("CARGO_HOME", directory.path().join("cargo"))
            .env("RUSTUP_HOME", directory.path().join("rustup"))
            .output()
            .expect("our own program");
        let out = String::from_utf8(output.stdout).expect("text");
        assert!(out.contains(expected), "{file}: {out}");
    }
}

/// Name, file and line.
type Call<'t> = (&'t str, &'t str, i64);

/// A profile of functions without a binary, leaf first.
fn profile_of_lines(path: &Path, samples: &[(&[Call<'_>], i64)]) {
    let mut builder = Builder::new();
    builder.sample_type("samples", "count");
    for (stack, value) in samples {
        let mut locations = Vec::new();
        for (name, filename, line) in *stack {
            let function = builder.function(&pprof_format::NewFunction {
                name,
                system_name: name,
                filename,
                start_line: 0,
            });
            let line = pprof_format::NewLine { function, line: *line, column: 0 };
            locations.push(builder.location(None, 0, &[line]));
        }
        builder.sample(&locations, &[*value], &[]);
    }
    fs::write(path, builder.build().expect("whole").encode()).expect("ours");
}

#[test]
fn pages_are_right_without_binaries_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("profile.pb");
    let page = |samples: &[(&[Call<'_>], i64)]| {
        profile_of_lines(&path, samples);
        let output = Command::new(env!("CARGO_BIN_EXE_cargo-pprof"))
            .args(["-weblist=.", "-output=page.html"])
            .arg(&path)
            .current_dir(&directory)
            .output()
            .expect("our own program");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read_to_string(directory.path().join("page.html")).expect("written")
    };
    // Lines that no file has: it ends.
    let far = 9_000_000_000_000_000_000;
    page(&[(&[("f", "a.c", -far)], 1), (&[("f", "a.c", far)], 1), (&[("f", "a.c", i64::MAX)], 1)]);
    // Recursion, and callers on several lines: a sample counts once.
    let text = page(&[(&[("f", "a.c", 3), ("f", "a.c", 4), ("f", "a.c", 3)], 5)]);
    assert!(text.contains(" 5          5 (flat, cum)   100% of Total"), "{text}");
    // What cancels out is there.
    let text = page(&[(&[("f", "a.c", 3)], 5), (&[("f", "a.c", 4)], -5)]);
    assert!(text.contains("<h2>f</h2>") && text.contains("-5"), "{text}");
    // Functions of unknown files are several.
    let text = page(&[(&[("f", "", 0)], 5), (&[("g", "", 0)], 7)]);
    assert!(text.contains("<h2>f</h2>") && text.contains("<h2>g</h2>"), "{text}");
}
