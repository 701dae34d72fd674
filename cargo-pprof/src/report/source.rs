//! Annotated source.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write;
use std::path::Path;

use super::{Error, Report};
use crate::graph::{Node, base, build};
use crate::measurement::percentage;

/// Lines shown before the first one and after the last one that has samples.
const MARGIN: i64 = 5;

impl Report {
    pub(super) fn list(&mut self, out: &mut dyn Write) -> Result<(), Error> {
        let Some(symbol) = self.options.symbol.clone() else {
            return Err(Error::NotFound("list needs a regular expression".to_owned()));
        };
        let sites = self.sites();
        let graph = build(&self.profile, &sites, &self.units, &self.graph_options(&sites), None);
        let texts = &self.profile.texts;
        let mut functions: BTreeMap<&str, Vec<&Node>> = BTreeMap::new();
        for node in graph.iter() {
            let name = texts.get(node.info.name);
            if symbol.matches(name) {
                functions.entry(name).or_default().push(node);
            }
        }
        if functions.is_empty() {
            let source = symbol.source();
            return Err(Error::NotFound(format!("no matches found for regexp: {source}")));
        }
        let mut reader = Reader::new(&self.options.source_path, &self.options.trim_path)?;
        writeln!(out, "Total: {}", self.value(self.total))?;
        for (name, nodes) in functions {
            let mut files: HashMap<&str, Vec<&Node>> = HashMap::new();
            for node in nodes {
                if !node.info.file.is_empty() {
                    files.entry(texts.get(node.info.file)).or_default().push(node);
                }
            }
            if files.is_empty() {
                writeln!(out, "No source information for {name}")?;
                continue;
            }
            let mut files: Vec<(&str, Vec<&Node>)> = files.into_iter().collect();
            files.sort_by_key(|(file, _)| *file);
            for (file, nodes) in files {
                self.listing(out, &mut reader, name, file, &nodes)?;
            }
        }
        Ok(())
    }

    fn listing(
        &self,
        out: &mut dyn Write,
        reader: &mut Reader,
        name: &str,
        file: &str,
        nodes: &[&Node],
    ) -> Result<(), Error> {
        let sum =
            |of: fn(&Node) -> i64| nodes.iter().fold(0i64, |sum, node| sum.wrapping_add(of(node)));
        let (flat, cum) = (sum(|n| n.flat), sum(|n| n.cum));
        writeln!(out, "ROUTINE ======================== {name} in {file}")?;
        let share = percentage(cum, self.total);
        let (flat, cum) = (self.value(flat), self.value(cum));
        writeln!(out, "{flat:>10} {cum:>10} (flat, cum) {share} of Total")?;
        let lines = match reader.lines(file) {
            Ok(lines) => lines,
            Err(error) => {
                writeln!(out, " Error: {error}")?;
                return Ok(());
            }
        };
        let mut values: HashMap<i64, (i64, i64)> = HashMap::new();
        for node in nodes {
            let (flat, cum) = values.entry(node.info.line).or_default();
            *flat = flat.wrapping_add(node.flat);
            *cum = cum.wrapping_add(node.cum);
        }
        let (start, end) = bounds(nodes);
        for number in start..=end {
            let Some(line) = usize::try_from(number - 1).ok().and_then(|at| lines.get(at)) else {
                break;
            };
            let (flat, cum) = values.get(&number).copied().unwrap_or_default();
            let (flat, cum) = (self.value_or_dot(flat), self.value_or_dot(cum));
            writeln!(out, "{flat:>10} {cum:>10} {number:>6}:{line}")?;
        }
        Ok(())
    }
}

/// The first and the last line that are shown: from where the function starts, if that is known.
fn bounds(nodes: &[&Node]) -> (i64, i64) {
    let start_of = |node: &Node| match node.info.start_line {
        0 => node.info.line.saturating_sub(MARGIN),
        start => start,
    };
    let Some(first) = nodes.first() else { return (1, 0) };
    let (mut start, mut end) = (start_of(first), first.info.line.saturating_add(MARGIN));
    for node in nodes {
        start = start.min(start_of(node));
        end = end.max(node.info.line.saturating_add(MARGIN));
    }
    (start.max(1), end)
}

/// Source files that have been read.
struct Reader {
    source_path: String,
    trim_path: String,
    files: HashMap<String, Result<Vec<String>, String>>,
}

impl Reader {
    fn new(source_path: &str, trim_path: &str) -> Result<Reader, Error> {
        let source_path = match source_path {
            "" => std::env::current_dir()?.to_string_lossy().into_owned(),
            path => path.to_owned(),
        };
        Ok(Reader { source_path, trim_path: trim_path.to_owned(), files: HashMap::new() })
    }

    fn lines(&mut self, file: &str) -> Result<&[String], &str> {
        if !self.files.contains_key(file) {
            self.files.insert(file.to_owned(), self.read(file));
        }
        self.files[file].as_deref().map_err(String::as_str)
    }

    fn read(&self, file: &str) -> Result<Vec<String>, String> {
        let text = self.find(file)?;
        let text = String::from_utf8_lossy(&text);
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// An absolute path as it is; any other below each directory of the search path and all directories above these.
    fn find(&self, file: &str) -> Result<Vec<u8>, String> {
        let path = trim_path(file, &self.trim_path, &self.source_path);
        if path.starts_with('/') {
            return read_source(Path::new(path))
                .map_err(|error| format!("open {path}: {}", reason(&error)));
        }
        for directory in self.source_path.split(':') {
            for directory in Path::new(directory).ancestors() {
                if let Ok(text) = read_source(&directory.join(path)) {
                    return Ok(text);
                }
            }
        }
        Err(format!("could not find file {path} on path {}", self.source_path))
    }
}

/// The profile says which file: it may be one without end, or one that waits.
fn read_source(path: &Path) -> std::io::Result<Vec<u8>> {
    const LARGEST: u64 = 64 << 20;
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Err(std::io::Error::other("it is no file, or larger than sources are"));
    }
    fs::read(path)
}

/// What the system says, in lower case and without its number.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// Takes from a path what is given in `trim`; if nothing is, all up to the name of a directory of `search`.
pub(super) fn trim_path<'p>(path: &'p str, trim: &str, search: &str) -> &'p str {
    if trim.is_empty() && !search.is_empty() {
        for directory in search.split(':') {
            let wanted = format!("/{}/", base(directory));
            if let Some(at) = path.find(&wanted) {
                return &path[at + wanted.len()..];
            }
        }
    }
    let given = trim.split(':').filter(|prefix| !prefix.is_empty() || trim.contains(':'));
    for prefix in given.chain(["/proc/self/cwd/./", "/proc/self/cwd/"]) {
        let rest = path.strip_prefix(prefix);
        let rest = match prefix.ends_with('/') {
            true => rest,
            false => rest.and_then(|rest| rest.strip_prefix('/')),
        };
        if let Some(rest) = rest {
            return rest;
        }
    }
    path
}
