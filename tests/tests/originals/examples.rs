//! The examples in documentation comments, as rustdoc sees them.

/// A block of code.
#[derive(Clone, Debug)]
pub(crate) struct Example {
    /// As `src/sync/mutex.rs`, below the original's root.
    pub(crate) file: String,
    /// Of its first line.
    pub(crate) line: usize,
    pub(crate) code: String,
    pub(crate) mode: Mode,
}

/// What is to become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Run,
    ShouldPanic,
    /// Compiled only.
    NoRun,
    /// Not compiled by the compiler.
    CompileFail,
}

/// All examples of a file, those that rustdoc ignores aside.
pub(crate) fn extract(file: &str, text: &str) -> Vec<Example> {
    let mut examples = Vec::new();
    let mut block: Option<Block> = None;
    for (index, line) in text.lines().enumerate() {
        let Some(comment) = doc_comment(line) else {
            block = None;
            continue;
        };
        let content = comment.trim_start();
        match &mut block {
            Some(open) if content.starts_with(&open.fence) => {
                examples.extend(block.take().and_then(|block| block.example(file)));
            }
            Some(open) => open.lines.push(unhidden(open.unindented(comment))),
            None => {
                let fence: String = content.chars().take_while(|c| *c == '`').collect();
                if fence.len() >= 3 {
                    let mode = mode(&content[fence.len()..]);
                    let indent = comment.len() - content.len();
                    block = Some(Block { fence, indent, line: index + 2, mode, lines: Vec::new() });
                }
            }
        }
    }
    examples
}

#[derive(Debug)]
struct Block {
    fence: String,
    indent: usize,
    line: usize,
    mode: Option<Mode>,
    lines: Vec<String>,
}

impl Block {
    fn unindented<'l>(&self, comment: &'l str) -> &'l str {
        let blank = comment.len() - comment.trim_start().len();
        &comment[blank.min(self.indent)..]
    }

    fn example(self, file: &str) -> Option<Example> {
        let code = self.lines.join("\n");
        self.mode.map(|mode| Example { file: file.to_owned(), line: self.line, code, mode })
    }
}

/// What a line of a documentation comment says.
fn doc_comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let comment = line.strip_prefix("///").filter(|rest| !rest.starts_with('/'));
    comment.or_else(|| line.strip_prefix("//!"))
}

/// A line that the documentation does not show is part of the program.
fn unhidden(line: &str) -> String {
    let content = line.trim_start();
    let blank = &line[..line.len() - content.len()];
    match content.strip_prefix('#') {
        Some("") => String::new(),
        Some(rest) if rest.starts_with(' ') => format!("{blank}{}", &rest[1..]),
        Some(rest) if rest.starts_with('#') => format!("{blank}{rest}"),
        _ => line.to_owned(),
    }
}

/// Of a fence's words; `None` for what is no Rust or to be ignored.
fn mode(words: &str) -> Option<Mode> {
    let mut mode = Mode::Run;
    for word in words.split([',', ' ']).map(str::trim).filter(|word| !word.is_empty()) {
        mode = match word {
            "rust" | "ignore-wasm" => mode,
            "no_run" => Mode::NoRun,
            "should_panic" => Mode::ShouldPanic,
            "compile_fail" => Mode::CompileFail,
            _ if word.starts_with('E') && word[1..].parse::<u16>().is_ok() => mode,
            _ if word.starts_with("edition") => mode,
            _ => return None,
        };
    }
    Some(mode)
}

#[test]
fn examples_are_found_where_rustdoc_finds_them() {
    let text = "//! Of a module.\n//!\n//! ```\n//! a();\n//! ```\n\
                /// Of an item.\n///\n/// ```text\n/// none\n/// ```\n/// ```compile_fail,E0373\n/// c\n/// ```\npub fn f() {}\n\
                //// ```\n//// no comment\n//// ```\n\
                /// ```should_panic\n/// never closed\nfn g() {}\n";
    let found: Vec<_> = extract("f.rs", text)
        .into_iter()
        .map(|Example { line, code, mode, .. }| (line, code, mode))
        .collect();
    assert_eq!(found, [(4, "a();".to_owned(), Mode::Run), (12, "c".to_owned(), Mode::CompileFail)]);
    let list = "/// - x:\n///   ```no_run\n///   # hidden();\n///   ## shown\n///     indented\n///   ```\n";
    let [example] = &extract("f.rs", list)[..] else { panic!("one") };
    assert_eq!(example.code, "hidden();\n# shown\n  indented");
    assert_eq!((example.line, example.mode), (3, Mode::NoRun));
}
