//! What is said of a profile, in each form.

mod callgrind;
mod comments;
mod disasm;
mod dot;
mod flame;
mod json;
mod labels;
mod picture;
mod proto;
mod raw;
mod source;
mod sources;
mod speedscope;
mod tags;
mod text;
mod traces;
mod tree;
mod weblist;

use std::io::{self, Write};

use crate::draw::{Drawing, Image};
use crate::filter::Units;
use crate::graph::{self, Builder, EdgesOf, Graph, Infos, Sites, Trim, Trimmed};
use crate::graph::{mean, trimmed, without_modules};
use crate::layout::TooLarge;
use crate::measurement::{scale, scaled_label, to_integer};
use crate::pattern::Pattern;
use crate::profile::{Profile, Sample, Samples, Value};

/// The form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For kcachegrind.
    Callgrind,
    /// The profile's remarks.
    Comments,
    /// Annotated machine code.
    Disasm,
    /// For Graphviz.
    Dot,
    /// A picture of all stacks.
    FlameGraph,
    /// The same in a page.
    FlamePage,
    /// All stacks, one a line.
    Folded,
    /// The table, for programs.
    Json,
    /// Annotated source.
    List,
    /// The profile itself.
    Proto,
    /// All that is in the profile.
    Raw,
    /// All stacks, for speedscope.
    Speedscope,
    /// What values labels have.
    Tags,
    /// A table.
    Text,
    /// A profile of the entries of a table.
    TopProto,
    /// All samples.
    Traces,
    /// Each node between its callers and callees.
    Tree,
    /// Annotated source, with the machine code of each line, as a page.
    WebList,
}

/// What a report is of.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its form.
    pub format: Format,
    /// Index of the values.
    pub value: usize,
    /// Index of what they are divided by, if means are asked for.
    pub divisor: Option<usize>,
    /// What the values are.
    pub sample_type: String,
    /// In what.
    pub sample_unit: String,
    /// In what they are shown.
    pub output_unit: String,
    /// What they are multiplied by first.
    pub ratio: f64,
    /// By values with callees.
    pub by_cum: bool,
    /// A node for each context, in pictures.
    pub call_tree: bool,
    /// Without nodes below zero.
    pub drop_negative: bool,
    /// Without what is said of the profile as a whole.
    pub compact_labels: bool,
    /// The main program.
    pub title: String,
    /// What was filtered.
    pub active_filters: Vec<String>,
    /// Nodes shown at most; no bound if it is not above zero.
    pub node_count: i64,
    /// Of the total, what a node has to have.
    pub node_fraction: f64,
    /// Of the total, what an edge has to have.
    pub edge_fraction: f64,
    /// Functions that are asked for.
    pub symbol: Option<Pattern>,
    /// Where sources are looked for.
    pub source_path: String,
    /// What is taken from the start of their paths.
    pub trim_path: String,
    /// Whether assembly is in Intel's syntax.
    pub intel_syntax: bool,
    /// Whether names are shown without the modules of their paths.
    pub short_names: bool,
}

/// A profile and what is said of it.
#[derive(Debug)]
pub struct Report {
    profile: Profile,
    options: Options,
    units: Units,
    total: i64,
}

/// Why there is no report.
#[derive(Debug)]
pub enum Error {
    /// What was asked for is not there.
    NotFound(String),
    /// There is too much of it.
    TooLarge(String),
    /// It could not be written.
    Io(io::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Io(error)
    }
}

impl Report {
    /// The sum of a profile's values, of the base's alone if there is one: what shares are of. What is filtered out later still counts.
    #[must_use]
    pub fn total_of(profile: &Profile, options: &Options) -> i64 {
        let base = profile.texts.find("pprof::base").zip(profile.texts.find("true"));
        let is_base = |sample: Sample<'_>| {
            base.is_some_and(|(key, value)| {
                let mut labels = sample.labels.iter();
                labels.any(|l| l.key == key && l.value == Value::Text(value))
            })
        };
        let (mut all, mut of_base) = ((0i64, 0i64), (0i64, 0i64));
        for sample in profile.samples.iter() {
            let value = sample.values[options.value].wrapping_abs();
            let divisor = options.divisor.map_or(0, |index| sample.values[index]);
            let add = |sum: &mut (i64, i64)| {
                *sum = (sum.0.wrapping_add(value), sum.1.wrapping_add(divisor));
            };
            add(&mut all);
            if is_base(sample) {
                add(&mut of_base);
            }
        }
        let (total, divisor) = if of_base.0 > 0 { of_base } else { all };
        if divisor == 0 { total } else { total.wrapping_div(divisor) }
    }

    /// A report of what is left of a profile whose total was `total`.
    #[must_use]
    pub fn new(profile: Profile, options: Options, units: Units, total: i64) -> Report {
        Report { profile, options, units, total }
    }

    /// Writes it.
    ///
    /// # Errors
    /// Nothing matches what is asked for; the writer's.
    pub fn write(mut self, out: &mut dyn Write) -> Result<(), Error> {
        match self.options.format {
            Format::Callgrind => self.callgrind(out)?,
            Format::Comments => self.comments(out)?,
            Format::Disasm => self.disassembly(out)?,
            Format::Dot => dot::write(&self.picture(), out)?,
            Format::FlameGraph => self.flame_graph(out)?,
            Format::FlamePage => self.flame_page(out)?,
            Format::Folded => self.folded(out)?,
            Format::Json => self.json(out)?,
            Format::List => self.list(out)?,
            Format::Proto => self.proto(out)?,
            Format::Raw => self.raw(out)?,
            Format::Speedscope => self.speedscope(out)?,
            Format::Tags => self.tags(out)?,
            Format::Text => self.text(out)?,
            Format::TopProto => self.top_proto(out)?,
            Format::Traces => self.traces(out)?,
            Format::Tree => self.tree(out)?,
            Format::WebList => self.web_list(out)?,
        }
        Ok(())
    }

    /// Draws it, which is the graph.
    ///
    /// # Errors
    /// It is too large; the writer's.
    pub fn draw(mut self, image: Image, out: &mut dyn Write) -> Result<(), Error> {
        let picture = self.picture();
        let drawing = Drawing::new(&picture).map_err(|TooLarge(passed)| {
            let (boxes, arrows) = (picture.nodes.len(), picture.arrows().count());
            Error::TooLarge(format!(
                "cannot draw {boxes} boxes and {arrows} arrows, which pass {passed} ranks: \
                 nodecount=200 leaves what can be read, and -dot prints all for other programs"
            ))
        })?;
        Ok(drawing.write(image, out)?)
    }

    /// One of a sample's values, or its mean.
    fn value_of(&self, sample: Sample<'_>, index: usize) -> i64 {
        let divisor = self.options.divisor.map_or(0, |index| sample.values[index]);
        mean(sample.values[index], divisor)
    }

    fn value(&self, value: i64) -> String {
        scaled_label(self.plain(value), &self.options.sample_unit, &self.options.output_unit)
    }

    /// In the profile's own unit.
    fn plain(&self, value: i64) -> i64 {
        let ratio = self.options.ratio;
        if ratio > 0.0 && ratio != 1.0 { to_integer(value as f64 * ratio) } else { value }
    }

    fn value_or_dot(&self, value: i64) -> String {
        if value == 0 { ".".to_owned() } else { self.value(value) }
    }

    fn is_call_tree(&self) -> bool {
        self.options.call_tree && matches!(self.options.format, Format::Dot | Format::Callgrind)
    }

    fn sites(&mut self) -> Sites {
        self.trim_paths();
        let object_names = matches!(
            self.options.format,
            Format::Raw | Format::List | Format::Disasm | Format::Callgrind | Format::Speedscope
        );
        Sites::new(&mut self.profile, object_names)
    }

    /// Where sites say all that is needed of them: what is made then takes memory too.
    fn free_locations(&mut self) {
        let Profile { locations, location_ids, functions, function_ids, .. } = &mut self.profile;
        (*locations, *location_ids) = Default::default();
        (*functions, *function_ids) = Default::default();
    }

    fn trim_paths(&mut self) {
        let Options { trim_path, source_path, .. } = &self.options;
        for function in &mut self.profile.functions {
            let path = self.profile.texts.get(function.filename);
            let trimmed = sources::trim_path(path, trim_path, source_path);
            if trimmed.len() != path.len() {
                let trimmed = trimmed.to_owned();
                function.filename = self.profile.texts.intern(&trimmed);
            }
        }
    }

    /// Makes names those that are shown. Entries that are called alike then are still two.
    fn shorten(&mut self, graph: &mut Graph) {
        self.shorten_all(&mut graph.infos);
    }

    fn shorten_all(&mut self, infos: &mut Infos) {
        if self.options.short_names {
            let texts = &mut self.profile.texts;
            infos.rename(|name| {
                let short = without_modules(texts.get(name));
                texts.intern(&short)
            });
        }
    }

    /// Those that a regular expression asks for.
    fn asked(&self, sites: &Sites) -> Option<Vec<bool>> {
        let symbol = self.options.symbol.as_ref()?;
        let infos = sites.infos.iter();
        Some(infos.map(|info| symbol.matches(&info.printable(&self.profile.texts))).collect())
    }

    fn graph_options(&self, sites: &Sites) -> graph::Options {
        let format = self.options.format;
        graph::Options {
            value: self.options.value,
            divisor: self.options.divisor,
            is_tree: self.is_call_tree(),
            drop_negative: self.options.drop_negative,
            has_functions: format == Format::Callgrind,
            edges: match format {
                Format::Text | Format::Json | Format::TopProto => EdgesOf::InlinedNodes,
                Format::Disasm | Format::List => EdgesOf::Nothing,
                _ => self.asked(sites).map_or(EdgesOf::AllNodes, EdgesOf::Nodes),
            },
            tag_unit: (format == Format::Dot).then(|| self.options.output_unit.clone()),
        }
    }

    fn trimmed_graph(&mut self) -> Trimmed {
        let trim = Trim {
            node_count: self.options.node_count,
            node_fraction: self.options.node_fraction,
            edge_fraction: self.options.edge_fraction,
            by_cum: self.options.by_cum,
            is_picture: self.options.format == Format::Dot,
        };
        let trimmed = self.graph_by(|builder, infos| trimmed(builder, infos, trim));
        self.choose_unit(&trimmed.graph);
        trimmed
    }

    fn whole_graph(&mut self) -> Graph {
        self.graph_by(|builder, infos| builder.whole(infos))
    }

    /// What `build` makes of the samples, which are gone then: a graph says all that reports of it need, and takes memory too.
    fn graph_by<G>(&mut self, build: impl FnOnce(Builder<'_>, Infos) -> G) -> G {
        let mut sites = self.sites();
        self.free_locations();
        let options = self.graph_options(&sites);
        let infos = std::mem::take(&mut sites.infos);
        let (profile, units) = (&self.profile, &self.units);
        let graph = build(Builder { profile, sites: &sites, units, options: &options }, infos);
        self.profile.samples = Samples::default();
        graph
    }

    /// One unit for all values: that of the smallest, or where the total is far from it, that of a hundred times as much.
    fn choose_unit(&mut self, graph: &Graph) {
        if self.options.output_unit != "minimum" || graph.shown.is_empty() {
            return;
        }
        let sizes = graph.iter().map(|node| match node.flat_value().wrapping_abs() {
            0 => node.cum_value().wrapping_abs(),
            flat => flat,
        });
        let mut max = self.total;
        let mut min = sizes.filter(|size| *size > 0).min().unwrap_or(max);
        (min, max) = (self.plain(min), self.plain(max));
        let unit_of = |value| scale(value, &self.options.sample_unit, "minimum").1;
        let mut unit = unit_of(min);
        let hundred = min.wrapping_mul(100);
        let is_callgrind = self.options.format == Format::Callgrind;
        if unit != unit_of(max) && hundred < max && !is_callgrind {
            unit = unit_of(hundred);
        }
        self.options.output_unit =
            if unit.is_empty() { self.options.sample_unit.clone() } else { unit };
    }
}
