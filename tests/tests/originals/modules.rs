//! From an original's files to the modules of a program.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use syn::spanned::Spanned;
use syn::{Item, ItemMacro};

use crate::examples::{Example, Mode, extract};
use crate::program::{Module, Outcome, Program};
use crate::rewrite::{Swaps, apply, has_main, identifiers};
use crate::sources;
use crate::surface;
use crate::table::{Against, Row, Skip};

/// A row with all that is to be compiled.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) row: &'static Row,
    against: Against,
    root: PathBuf,
    names: Swaps,
    swaps: Swaps,
    modules: Vec<Module>,
    /// Names of modules, by what becomes of them.
    run: Vec<String>,
    only_compiled: Vec<String>,
    tests: Vec<String>,
    /// And how much each of them compares.
    surfaces: Vec<(String, usize)>,
    compile_fail: Vec<Example>,
    /// Tests and examples left out.
    unusable: usize,
    skipped: usize,
    /// Which of the row's skips have skipped something.
    used: Vec<bool>,
    failures: Vec<String>,
}

/// Reads a row's files.
///
/// # Panics
/// If one is missing, or a row's skip matches nothing.
pub(crate) fn prepare(row: &'static Row, against: Against) -> Prepared {
    let swaps = if against == Against::Ours { row.swaps } else { &[] };
    let mut prepared = Prepared {
        row,
        against,
        root: sources::root(row.package),
        names: Swaps::renames(row.names),
        swaps: Swaps::new(swaps, row.unusable),
        modules: Vec::new(),
        run: Vec::new(),
        only_compiled: Vec::new(),
        tests: Vec::new(),
        surfaces: Vec::new(),
        compile_fail: Vec::new(),
        unusable: 0,
        skipped: 0,
        used: vec![false; row.skips.len()],
        failures: Vec::new(),
    };
    for file in row.examples {
        for example in extract(file, &prepared.read(file)) {
            let matches = |s: &Skip| s.file == *file && example.code.contains(s.what);
            if !prepared.skip(matches) {
                prepared.example(example);
            }
        }
    }
    for file in row.tests {
        let text = prepared.read(file);
        prepared.test_file(file, &text);
    }
    for file in row.unit_tests {
        let text = prepared.read(file);
        match unit_tests(&text) {
            Some(range) => {
                let line = text[..range.start].matches('\n').count();
                // As many lines as before, so that places are right.
                let text = "\n".repeat(line) + &text[range];
                prepared.test_file(file, &text);
            }
            None => prepared.failures.push(format!("{file}:1: has no `mod tests`")),
        }
    }
    for file in row.surface.files {
        let text = prepared.read(file.file);
        let (module, checks) = surface::module(&row.surface, file, &text, &prepared.swaps);
        prepared.surfaces.push((module.name.clone(), checks));
        prepared.modules.push(module);
    }
    for (skip, used) in row.skips.iter().zip(&prepared.used) {
        assert!(used, "{}: nothing to skip: {skip:?}", row.name);
    }
    prepared
}

impl Prepared {
    fn example(&mut self, example: Example) {
        if example.code.contains("#![feature(") {
            self.unusable += 1;
            return;
        }
        if example.mode == Mode::CompileFail {
            self.compile_fail.push(example);
            return;
        }
        let text = match self.rewrite(&example.code) {
            Ok(text) => text,
            Err(error) => {
                self.failures.push(format!("{}:{}: {error}", example.file, example.line));
                return;
            }
        };
        let name = format!("e_{}_{}", identifier(&example.file), example.line);
        let test = match example.mode {
            Mode::Run => "#[test] fn example() -> impl ::std::process::Termination { main() }\n",
            Mode::ShouldPanic => "#[test] #[should_panic] fn example() { let _ = main(); }\n",
            Mode::NoRun | Mode::CompileFail => "",
        };
        if test.is_empty() {
            self.only_compiled.push(name.clone());
        } else {
            self.run.push(name.clone());
        }
        let text = format!("{}{test}", wrapped(&text));
        let (file, line) = (example.file, example.line);
        self.modules.push(Module { name, text, file, line, places: Vec::new() });
    }

    fn rewrite(&self, text: &str) -> Result<String, String> {
        self.names.rewrite(text).and_then(|text| self.swaps.rewrite(&text))
    }

    fn read(&self, file: &str) -> String {
        let path = self.root.join(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Whether the row says to skip what `matches`.
    fn skip(&mut self, matches: impl Fn(&Skip) -> bool) -> bool {
        let found = self.row.skips.iter().position(matches);
        if let Some(index) = found {
            self.used[index] = true;
            self.skipped += 1;
        }
        found.is_some()
    }

    fn test_file(&mut self, file: &str, text: &str) {
        let name = format!("t_{}", identifier(file));
        if self.modules.iter().any(|module| module.name == name) {
            return;
        }
        let rewritten =
            syn::parse_file(text).map_err(|error| error.to_string()).and_then(|parsed| {
                let mut cuts = Vec::new();
                let within = Path::new(file).parent().unwrap_or(Path::new(""));
                self.cut_items(file, within, &parsed.items, &mut cuts);
                self.rewrite(&apply(text, cuts))
            });
        match rewritten {
            Ok(text) => {
                let (attributes, text) = inner_attributes(&text);
                let text = format!("{attributes}\n{text}");
                self.tests.push(name.clone());
                let file = file.to_owned();
                self.modules.push(Module { name, text, file, line: 1, places: Vec::new() });
            }
            Err(error) => self.failures.push(format!("{file}:1: {error}")),
        }
    }

    /// Leaves out tests that are skipped or that mention what stable code cannot use. Modules in files of their own, below the folder
    /// `within`, become modules of the program.
    fn cut_items(
        &mut self,
        file: &str,
        within: &Path,
        items: &[Item],
        cuts: &mut Vec<(Range<usize>, String)>,
    ) {
        for item in items {
            let name = item_name(item);
            let mut words = Vec::new();
            match item {
                Item::Use(_) => continue,
                Item::Mod(_)
                    if self.skip(|s| s.file == file && name.as_deref() == Some(s.what)) =>
                {
                    cuts.push((item.span().byte_range(), String::new()));
                    continue;
                }
                Item::Mod(module) => {
                    let within = within.join(module.ident.to_string());
                    if let Some((_, items)) = &module.content {
                        self.cut_items(file, &within, items, cuts);
                        continue;
                    }
                    let file = within.with_extension("rs");
                    let file = file.to_str().expect("names in Rust are UTF-8");
                    let text = self.read(file);
                    self.test_file(file, &text);
                    let (visibility, name) = (&module.vis, &module.ident);
                    let import = quote::quote!(#visibility use).to_string();
                    let import = format!("{import} crate::t_{} as {name};", identifier(file));
                    cuts.push((item.span().byte_range(), import));
                    continue;
                }
                item => identifiers(quote::quote!(#item), &mut words),
            }
            if self.skip(|s| s.file == file && name.as_deref() == Some(s.what)) {
                // Counted.
            } else if self.row.unusable.iter().any(|what| mentions(&words, what)) {
                self.unusable += 1;
            } else {
                continue;
            }
            cuts.push((item.span().byte_range(), String::new()));
        }
    }

    pub(crate) fn program(&self) -> Program {
        let root = self.rewrite(self.row.prelude).expect("a row's prelude is Rust");
        Program {
            name: self.row.name.to_owned(),
            edition: self.row.edition,
            dependencies: self.row.dependencies.to_owned(),
            root: root + surface::ROOT + &self.swaps.bridges(),
            modules: self.modules.clone(),
        }
    }

    /// Adds what else is wrong to an outcome, and says how much was run.
    pub(crate) fn judge(&self, outcome: &mut Outcome) {
        outcome.failures.extend(self.failures.iter().cloned());
        for example in &self.compile_fail {
            self.must_not_compile(example, outcome);
        }
        let run = self.run.iter().filter(|m| outcome.passed.contains(&format!("{m}::example")));
        let run = run.count();
        let of = |modules: &[String]| {
            let is = |t: &&String| modules.iter().any(|m| t.split("::").next() == Some(m));
            outcome.passed.iter().filter(is).count()
        };
        let tests = of(&self.tests);
        let compiled = self.only_compiled.iter().filter(|m| outcome.compiled.contains(*m)).count();
        let surfaces = self.surfaces.iter().filter(|(m, _)| outcome.compiled.contains(m));
        let surface: usize = surfaces.map(|(_, checks)| checks).sum();
        println!(
            "{} against {}: {run} examples and {tests} tests passed, {compiled} examples compiled, {} not, as they should; {surface} \
             functions, implementations and types compared; left out: {} that stable Rust has not, {} skipped",
            self.row.name,
            if self.against == Against::Ours { "ours" } else { "the original" },
            self.compile_fail.len(),
            self.unusable,
            self.skipped
        );
        for (what, found, at_least) in [
            ("examples", run + compiled + self.compile_fail.len(), self.row.at_least.examples),
            ("tests", tests, self.row.at_least.tests),
            ("parts of the surface", surface, self.row.surface.at_least),
        ] {
            if found < at_least {
                outcome.failures.push(format!("{found} {what}, less than {at_least}"));
            }
        }
    }

    /// What does not compile with the original must not with ours, for the same reasons.
    fn must_not_compile(&self, example: &Example, outcome: &mut Outcome) {
        let place = format!("{}:{}", example.file, example.line);
        let rewritten = match self.rewrite(&example.code) {
            Ok(text) => text,
            Err(error) => return outcome.failures.push(format!("{place}: {error}")),
        };
        let theirs = self.errors(&wrapped(&example.code), outcome);
        let ours = self.errors(&wrapped(&rewritten), outcome);
        if theirs.is_empty() || ours != theirs {
            outcome.failures.push(format!(
                "{place}: must not compile: {theirs:?} with the original, {ours:?} with ours"
            ));
        }
    }

    /// The codes of the compiler's errors.
    fn errors(&self, text: &str, outcome: &Outcome) -> Vec<String> {
        let folder = pprof_tests::target_dir().join("originals/compile_fail");
        let file: PathBuf = folder.join("main.rs");
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(&file, text))
            .expect("the target directory can be written");
        let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        command
            .args(["--crate-type=bin", "--emit=metadata", "--error-format=json"])
            .args(["--edition", self.row.edition])
            .arg("--out-dir")
            .arg(&folder)
            .arg(&file);
        for (name, path) in &outcome.libraries {
            let folder = path.parent().expect("a library is in a folder");
            command.arg("-L").arg(format!("dependency={}", folder.display()));
            command.arg("--extern").arg(format!("{}={}", name.replace('-', "_"), path.display()));
        }
        let output = command.output().expect("rustc runs");
        let mut codes: Vec<String> = String::from_utf8_lossy(&output.stderr)
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|message| message["level"] == "error")
            .filter_map(|message| message["code"]["code"].as_str().map(str::to_owned))
            .collect();
        codes.sort();
        codes.dedup();
        codes
    }
}

/// A program around what is no program yet; one line longer.
fn wrapped(code: &str) -> String {
    let (attributes, code) = inner_attributes(code);
    if has_main(&code) {
        return format!("{attributes}\n{code}\n");
    }
    let is_fallible = code.trim_end().ends_with("(())");
    if is_fallible {
        return format!(
            "{attributes} fn main() {{ fn inner() -> Result<(), impl ::std::fmt::Debug> {{\n{code}\n}} inner().unwrap() }}\n"
        );
    }
    format!("{attributes} fn main() {{\n{code}\n}}\n")
}

/// Attributes of the whole, which come first in a file; and the rest, line for line.
fn inner_attributes(code: &str) -> (String, String) {
    let Ok(parsed) = syn::parse_file(code) else {
        // Statements: whose attributes have a line each.
        let is_attribute = |line: &&str| line.trim_start().starts_with("#![");
        let attributes: Vec<&str> = code.lines().filter(is_attribute).collect();
        let rest: Vec<&str> =
            code.lines().map(|line| if is_attribute(&line) { "" } else { line }).collect();
        return (attributes.join(" "), rest.join("\n"));
    };
    let ranges: Vec<_> = parsed
        .attrs
        .iter()
        .filter(|a| !a.path().is_ident("doc"))
        .map(|attribute| attribute.span().byte_range())
        .collect();
    let attributes: Vec<_> = ranges.iter().map(|r| code[r.clone()].replace('\n', " ")).collect();
    let docs = parsed.attrs.iter().filter(|a| a.path().is_ident("doc"));
    let docs = docs.map(|attribute| attribute.span().byte_range());
    let cuts = ranges.iter().cloned().chain(docs).map(|range| (range, String::new())).collect();
    (attributes.join(" "), apply(code, cuts))
}

/// The bytes inside `mod tests`.
fn unit_tests(text: &str) -> Option<Range<usize>> {
    let parsed = syn::parse_file(text).ok()?;
    parsed.items.iter().find_map(|item| match item {
        Item::Mod(module) if module.ident == "tests" => {
            let (brace, _) = module.content.as_ref()?;
            let span = brace.span;
            Some(span.open().byte_range().end..span.close().byte_range().start)
        }
        _ => None,
    })
}

/// Whether a name, or a path, is among an item's identifiers.
fn mentions(words: &[String], path: &str) -> bool {
    let path: Vec<&str> = path.split("::").collect();
    words.windows(path.len()).any(|window| window == path)
}

/// What a test, a module of tests or a macro is called; of the use of a macro that makes tests, `name: this`.
fn item_name(item: &Item) -> Option<String> {
    match item {
        Item::Fn(function) => Some(function.sig.ident.to_string()),
        Item::Mod(module) => Some(module.ident.to_string()),
        // `macro_rules!`.
        Item::Macro(ItemMacro { ident: Some(ident), .. }) => Some(ident.to_string()),
        Item::Macro(ItemMacro { mac, .. }) => {
            let mut words = Vec::new();
            identifiers(mac.tokens.clone(), &mut words);
            (words.first().map(String::as_str) == Some("name")).then(|| words.swap_remove(1))
        }
        _ => None,
    }
}

fn identifier(file: &str) -> String {
    let name = file.trim_end_matches(".rs").trim_start_matches("src/");
    name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect()
}
