//! From a profile and options to a report.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};

use crate::commands::{COMMANDS, Command, Then};
use crate::config::Config;
use crate::draw::Image;
use crate::filter::{self, TagFilter, Units};
use crate::paths::base;
use crate::pattern::Pattern;
use crate::profile::{Granularity, Profile};
use crate::report::{self, Format, Report};
use crate::save::{Named, save, save_new};
use crate::viewer::{self, Shown};

/// A command and what goes with it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which report.
    pub command: Command,
    /// The regular expression that goes with it.
    pub parameter: Option<String>,
}

/// Where a report and messages go.
pub struct Ui<'u> {
    /// Reports.
    pub out: &'u mut dyn Write,
    /// Messages.
    pub err: &'u mut dyn Write,
    /// Whether reports go to somebody's eyes: then files are not written there.
    pub is_terminal: bool,
}

impl std::fmt::Debug for Ui<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ui").field("is_terminal", &self.is_terminal).finish_non_exhaustive()
    }
}

impl Ui<'_> {
    /// Says something that is no report. Who does not want to hear it may have closed the stream.
    pub fn say(&mut self, text: &str) {
        let _ = writeln!(self.err, "{text}");
    }
}

/// Why there is no report.
#[derive(Debug)]
pub enum Error {
    /// Something is wrong; what, and what to do.
    Message(String),
    /// Whoever reads the report has gone.
    Closed,
}

impl From<String> for Error {
    fn from(message: String) -> Self {
        Error::Message(message)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Error::Closed,
            _ => Error::Message(error.to_string()),
        }
    }
}

impl From<report::Error> for Error {
    fn from(error: report::Error) -> Self {
        match error {
            report::Error::NotFound(message) | report::Error::TooLarge(message) => {
                Error::Message(message)
            }
            report::Error::Io(error) => error.into(),
        }
    }
}

/// Writes a report of a profile, or shows it in a program of its own, which may go on.
///
/// # Errors
/// An option is wrong, nothing is found, or it cannot be written.
pub fn generate(
    profile: Profile,
    request: &Request,
    config: &Config,
    ui: &mut Ui<'_>,
) -> Result<Option<Shown>, Error> {
    let report = prepare(profile, request, config, ui)?;
    let then = request.command.then;
    let output = PathBuf::from(&config.output);
    if output.as_os_str().is_empty() {
        match then {
            Then::Save(ending) | Then::Draw(ending) if ui.is_terminal => {
                let write = |file: &mut dyn Write| write_to(report, then, config.graphviz, file);
                let names = (1..10_000).map(|n| PathBuf::from(format!("profile{n:03}.{ending}")));
                let path = save_new(names, write)?;
                ui.say(&format!("Generating report in {}", path.display()));
                return Ok(None);
            }
            Then::Show { ending, viewer, .. } => {
                let (temporary, mut file) = viewer::file(ending)?;
                write_to(report, then, config.graphviz, &mut file)?;
                return Ok(Some(viewer.show(temporary)?));
            }
            _ => {
                let mut out = Named::new("to standard output", &mut *ui.out);
                return write_to(report, then, config.graphviz, &mut out).map(|()| None);
            }
        }
    }
    ui.say(&format!("Generating report in {}", output.display()));
    save(&output, |file| write_to(report, then, config.graphviz, file)).map(|()| None)
}

fn write_to(
    report: Report,
    then: Then,
    by_graphviz: bool,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let mut out = BufWriter::with_capacity(1 << 16, out);
    let (Then::Draw(picture) | Then::Show { picture: Some(picture), .. }) = then else {
        report.write(&mut out)?;
        return Ok(out.flush()?);
    };
    match Image::of(picture).filter(|_| !by_graphviz) {
        Some(image) => report.draw(image, &mut out)?,
        None => {
            let mut dot = Vec::new();
            report.write(&mut dot)?;
            draw(&dot, picture, &mut out)?;
        }
    }
    Ok(out.flush()?)
}

/// By Graphviz.
fn draw(graph: &[u8], format: &str, out: &mut dyn Write) -> Result<(), Error> {
    let mut dot = Process::new("dot");
    dot.arg(format!("-T{format}")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let missing = |error: io::Error| {
        format!(
            "cannot run dot, which draws {format}: {error}; install Graphviz, or use -svg, -png or -pdf \
             without -graphviz"
        )
    };
    let mut dot = dot.spawn().map_err(missing)?;
    let stdin = dot.stdin.take();
    let picture = std::thread::scope(|scope| {
        // It may write before it has read all.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(graph)));
        dot.wait_with_output()
    })?;
    if !picture.status.success() {
        return Err(format!("dot ended with {}", picture.status).into());
    }
    out.write_all(&picture.stdout)?;
    Ok(())
}

fn prepare(
    mut profile: Profile,
    request: &Request,
    config: &Config,
    ui: &mut Ui<'_>,
) -> Result<Report, Error> {
    let units = filter::units(&profile);
    tell_units(&profile, &units, ui);
    let config = &overridden(request.command, config);
    let keys = |list: &'_ str| -> Vec<String> {
        list.split(',').filter(|key| !key.is_empty()).map(str::to_owned).collect()
    };
    let (roots, leaves) = (keys(&config.tagroot), keys(&config.tagleaf));
    let (root, leaf) = filter::add_tag_frames(&mut profile, &roots, &leaves, &config.unit);
    warn(ui, "TagRoot", root || config.tagroot.is_empty());
    warn(ui, "TagLeaf", leaf || config.tagleaf.is_empty());
    if config.relative_percentages {
        apply_filters(&mut profile, &units, config, ui)?;
    }
    let options = options(&profile, request, config)?;
    let total = Report::total_of(&profile, &options);
    if !config.relative_percentages {
        apply_filters(&mut profile, &units, config, ui)?;
    }
    aggregate(&mut profile, config);
    Ok(Report::new(profile, options, units, total))
}

/// What is said of a profile before anything is asked; nothing if the options are wrong.
pub(crate) fn greeting(profile: &Profile, config: &Config, ui: &mut Ui<'_>) -> Vec<String> {
    let units = filter::units(profile);
    tell_units(profile, &units, ui);
    let request = Request { command: COMMANDS[0], parameter: None };
    let Ok(options) = options(profile, &request, config) else { return Vec::new() };
    let total = Report::total_of(profile, &options);
    let report = Report::new(profile.clone(), options, units, total);
    let mut lines = report.profile_labels();
    if total == 0 && profile.sample_types.len() > 1 {
        lines.push("No samples were found with the default sample value type.".to_owned());
        lines.push("Try \"sample_index\" command to analyze different values.\n".to_owned());
    }
    lines
}

fn tell_units(profile: &Profile, units: &Units, ui: &mut Ui<'_>) {
    for (key, ignored) in &units.ignored {
        let used = profile.texts.find(key).map_or("", |key| units.of(key));
        let others = ignored.join(", ");
        ui.say(&format!("For tag {key} used unit {used}, also encountered unit(s) {others}"));
    }
}

/// What a command has instead of what the options say.
fn overridden(command: Command, config: &Config) -> Config {
    let mut config = config.clone();
    let mut trim = config.trim;
    match command.name {
        "peek" => trim = false,
        "list" => {
            trim = false;
            "lines".clone_into(&mut config.granularity);
        }
        // At an address there is one function, and only whole stacks say what was inlined.
        "disasm" | "weblist" => {
            trim = false;
            "addresses".clone_into(&mut config.granularity);
            config.noinlines = command.name == "disasm";
        }
        "json" | "text" | "top" | "topproto" if config.nodecount == -1 => config.nodecount = 0,
        _ if config.nodecount == -1 => config.nodecount = 80,
        _ => {}
    }
    if matches!(command.format, Format::Proto | Format::Raw | Format::Callgrind) {
        trim = false;
        "addresses".clone_into(&mut config.granularity);
    }
    if command.format == Format::Speedscope && config.granularity.is_empty() {
        "filefunctions".clone_into(&mut config.granularity);
    }
    if !trim {
        config.nodecount = 0;
        config.nodefraction = 0.0;
        config.edgefraction = 0.0;
    }
    config
}

fn options(
    profile: &Profile,
    request: &Request,
    config: &Config,
) -> Result<report::Options, Error> {
    if profile.sample_types.is_empty() {
        return Err("profile has no samples".to_owned().into());
    }
    let value = profile.sample_index(&config.sample_index)?;
    let sample = profile.sample_types[value];
    let mut sample_type = profile.text(sample.ty).to_owned();
    if config.mean {
        sample_type.insert_str(0, "mean_");
    }
    if config.divide_by == 0.0 {
        return Err("zero divisor specified".to_owned().into());
    }
    let symbol = match &request.parameter {
        Some(text) => Some(Pattern::new(text).map_err(|e| in_pattern("argument", text, &e))?),
        None => None,
    };
    let filters = [
        ("focus", &config.focus),
        ("ignore", &config.ignore),
        ("hide", &config.hide),
        ("show", &config.show),
        ("show_from", &config.show_from),
        ("tagfocus", &config.tagfocus),
        ("tagignore", &config.tagignore),
        ("tagshow", &config.tagshow),
        ("taghide", &config.taghide),
    ];
    let given = filters.iter().filter(|(_, value)| !value.is_empty());
    let main = profile.mappings.first().map_or("", |main| profile.text(main.file));
    let is_page = Path::new(&config.output).extension().is_some_and(|ending| ending == "html");
    Ok(report::Options {
        format: match request.command.format {
            Format::FlameGraph if is_page => Format::FlamePage,
            format => format,
        },
        value,
        divisor: config.mean.then_some(0),
        sample_type,
        sample_unit: profile.text(sample.unit).to_owned(),
        output_unit: config.unit.clone(),
        ratio: 1.0 / config.divide_by,
        by_cum: config.sort == "cum",
        call_tree: config.call_tree,
        drop_negative: config.drop_negative,
        compact_labels: config.compact_labels,
        title: if main.is_empty() { String::new() } else { base(main).to_owned() },
        active_filters: given.map(|(name, value)| format!("{name}={value}")).collect(),
        node_count: config.nodecount,
        node_fraction: config.nodefraction,
        edge_fraction: config.edgefraction,
        symbol,
        source_path: config.source_path.clone(),
        trim_path: config.trim_path.clone(),
        intel_syntax: config.intel_syntax,
        short_names: config.short_names,
    })
}

fn in_pattern(name: &str, text: &str, error: &str) -> String {
    format!("cannot read the regular expression {text:?} of {name}: {error}")
}

fn warn(ui: &mut Ui<'_>, option: &str, has_matched: bool) {
    if !has_matched {
        ui.say(&format!("{option} expression matched no samples"));
    }
}

fn apply_filters(
    profile: &mut Profile,
    units: &Units,
    config: &Config,
    ui: &mut Ui<'_>,
) -> Result<(), Error> {
    let pattern = |name: &str, text: &str| -> Result<Option<Pattern>, Error> {
        if text.is_empty() {
            return Ok(None);
        }
        Ok(Some(Pattern::new(text).map_err(|error| in_pattern(name, text, &error))?))
    };
    let focus = pattern("focus", &config.focus)?;
    let ignore = pattern("ignore", &config.ignore)?;
    let hide = pattern("hide", &config.hide)?;
    let show = pattern("show", &config.show)?;
    let show_from = pattern("show_from", &config.show_from)?;
    let tag_focus = tag_filter("tagfocus", &config.tagfocus, ui)?;
    let tag_ignore = tag_filter("tagignore", &config.tagignore, ui)?;
    let prune_from = pattern("prune_from", &config.prune_from)?;
    let tag_show = pattern("tagshow", &config.tagshow)?;
    let tag_hide = pattern("taghide", &config.taghide)?;
    let matched =
        filter::by_name(profile, focus.as_ref(), ignore.as_ref(), hide.as_ref(), show.as_ref());
    warn(ui, "Focus", matched.focus);
    warn(ui, "Ignore", matched.ignore);
    warn(ui, "Hide", matched.hide);
    warn(ui, "Show", matched.show);
    if let Some(show_from) = &show_from {
        warn(ui, "ShowFrom", filter::show_from(profile, show_from));
    }
    let (focused, ignored) =
        filter::by_tag(profile, units, tag_focus.as_ref(), tag_ignore.as_ref());
    warn(ui, "TagFocus", focused || tag_focus.is_none());
    warn(ui, "TagIgnore", ignored || tag_ignore.is_none());
    let (shown, hidden) = filter::by_tag_name(profile, tag_show.as_ref(), tag_hide.as_ref());
    warn(ui, "TagShow", shown || tag_show.is_none());
    warn(ui, "TagHide", hidden || tag_hide.is_none());
    if let Some(prune_from) = &prune_from {
        filter::prune_from(profile, prune_from);
    }
    Ok(())
}

fn tag_filter(name: &str, text: &str, ui: &mut Ui<'_>) -> Result<Option<TagFilter>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let filter = TagFilter::new(text).map_err(|error| in_pattern(name, text, &error))?;
    if filter.is_range() {
        let range = text.split_once('=').map_or(text, |(_, range)| range);
        ui.say(&format!("{name}:Interpreted '{range}' as range, not regexp"));
    }
    Ok(Some(filter))
}

fn aggregate(profile: &mut Profile, config: &Config) {
    let inlines = !config.noinlines;
    let (functions, files, lines, addresses) = match config.granularity.as_str() {
        "addresses" if inlines => return,
        "addresses" => (true, true, true, true),
        "lines" => (true, true, true, false),
        "files" => (false, true, false, false),
        "filefunctions" => (true, true, false, false),
        _ => (true, false, false, false),
    };
    let columns = config.showcolumns;
    profile.aggregate(Granularity { inlines, functions, files, lines, columns, addresses });
}

/// Whether standard output is a terminal.
#[must_use]
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}
