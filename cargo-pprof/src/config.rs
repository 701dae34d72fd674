//! Options that reports have: one table, of which flags, the shell and help are made.

use std::fmt;

use crate::numbers::float;

/// The value of every option.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// File for the report.
    pub output: String,
    /// A node for each context, in pictures.
    pub call_tree: bool,
    /// Shares of what is left by the filters.
    pub relative_percentages: bool,
    /// Unit of values.
    pub unit: String,
    /// Without what is said of the profile as a whole.
    pub compact_labels: bool,
    /// Where sources are looked for.
    pub source_path: String,
    /// What is taken from the start of their paths.
    pub trim_path: String,
    /// Graphviz draws what we could.
    pub graphviz: bool,
    /// Names are shown without the modules of their paths.
    pub short_names: bool,
    /// Which dialect of assembly.
    pub intel_syntax: bool,
    /// Values divided by the first.
    pub mean: bool,
    /// Which values.
    pub sample_index: String,
    /// What they are divided by.
    pub divide_by: f64,
    /// Scaled to the base.
    pub normalize: bool,
    /// `flat` or `cum`.
    pub sort: String,
    /// Labels as frames at the root.
    pub tagroot: String,
    /// Labels as frames at the leaf.
    pub tagleaf: String,
    /// Without nodes below zero.
    pub drop_negative: bool,
    /// Nodes shown at most; -1 for what the report has by default.
    pub nodecount: i64,
    /// Of the total, what a node has to have.
    pub nodefraction: f64,
    /// Of the total, what an edge has to have.
    pub edgefraction: f64,
    /// Whether these three count.
    pub trim: bool,
    /// Samples with a frame that matches.
    pub focus: String,
    /// Samples without.
    pub ignore: String,
    /// Without what is below such a frame.
    pub prune_from: String,
    /// Without such frames.
    pub hide: String,
    /// Such frames alone.
    pub show: String,
    /// Without what is above such a frame.
    pub show_from: String,
    /// Samples with such labels.
    pub tagfocus: String,
    /// Samples without.
    pub tagignore: String,
    /// Labels with such keys.
    pub tagshow: String,
    /// Labels without.
    pub taghide: String,
    /// Without inlined frames.
    pub noinlines: bool,
    /// With columns.
    pub showcolumns: bool,
    /// What is told apart; empty for the default.
    pub granularity: String,
}

impl Default for Config {
    fn default() -> Self {
        let empty = String::new;
        Config {
            output: empty(),
            call_tree: false,
            relative_percentages: false,
            unit: "minimum".to_owned(),
            compact_labels: false,
            source_path: empty(),
            trim_path: empty(),
            graphviz: false,
            short_names: false,
            intel_syntax: false,
            mean: false,
            sample_index: empty(),
            divide_by: 1.0,
            normalize: false,
            sort: "flat".to_owned(),
            tagroot: empty(),
            tagleaf: empty(),
            drop_negative: false,
            nodecount: -1,
            nodefraction: 0.005,
            edgefraction: 0.001,
            trim: true,
            focus: empty(),
            ignore: empty(),
            prune_from: empty(),
            hide: empty(),
            show: empty(),
            show_from: empty(),
            tagfocus: empty(),
            tagignore: empty(),
            tagshow: empty(),
            taghide: empty(),
            noinlines: false,
            showcolumns: false,
            granularity: empty(),
        }
    }
}

/// The place of an option's value.
#[derive(Debug)]
pub enum Slot<'c> {
    /// Yes or no.
    Bool(&'c mut bool),
    /// A whole number.
    Int(&'c mut i64),
    /// A number.
    Float(&'c mut f64),
    /// A text, or one of the option's choices.
    Text(&'c mut String),
}

impl fmt::Display for Slot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Slot::Bool(value) => value.fmt(f),
            Slot::Int(value) => value.fmt(f),
            Slot::Float(value) => value.fmt(f),
            Slot::Text(value) => value.fmt(f),
        }
    }
}

/// An option.
#[derive(Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it may be; empty if that is anything.
    pub choices: &'static [(&'static str, &'static str)],
    /// What it does: a line, and then more.
    pub help: &'static str,
    slot: fn(&mut Config) -> Slot<'_>,
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Field").field(&self.name).finish()
    }
}

impl Field {
    /// Where its value is.
    pub fn slot<'c>(&self, config: &'c mut Config) -> Slot<'c> {
        (self.slot)(config)
    }

    /// Its value as text.
    #[must_use]
    pub fn get(&self, config: &Config) -> String {
        self.slot(&mut config.clone()).to_string()
    }

    /// Whether it is on or off.
    #[must_use]
    pub fn is_bool(&self) -> bool {
        matches!(self.slot(&mut Config::default()), Slot::Bool(_))
    }

    /// Sets it as a line of the shell does.
    ///
    /// # Errors
    /// It cannot be that.
    pub fn set(&self, config: &mut Config, value: &str) -> Result<(), String> {
        let name = self.name;
        let wrong = |what: &str| format!("{name}: {value:?} is not {what}");
        match self.slot(config) {
            Slot::Bool(slot) => {
                *slot = match value.to_lowercase().as_str() {
                    "true" | "t" | "yes" | "y" | "1" | "" => true,
                    "false" | "f" | "no" | "n" | "0" => false,
                    _ => return Err(wrong("yes or no")),
                };
            }
            Slot::Int(slot) => *slot = value.parse().map_err(|_| wrong("a whole number"))?,
            Slot::Float(slot) => *slot = float(value).ok_or_else(|| wrong("a number"))?,
            Slot::Text(slot) => {
                if !self.choices.is_empty() && !self.choices.iter().any(|c| c.0 == value) {
                    let choices: Vec<&str> = self.choices.iter().map(|c| c.0).collect();
                    return Err(wrong(&format!("one of {}", choices.join(", "))));
                }
                value.clone_into(slot);
            }
        }
        Ok(())
    }
}

/// The option with that name, or that has a choice with that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Field> {
    let is_it = |f: &&Field| f.name == name || f.choices.iter().any(|choice| choice.0 == name);
    FIELDS.iter().find(is_it)
}

macro_rules! fields {
    ($($name:ident: $kind:ident $([$($choice:literal: $what:literal),*])? = $help:expr;)*) => {
        /// All options.
        pub const FIELDS: &[Field] = &[$(Field {
            name: stringify!($name),
            choices: &[$($(($choice, $what)),*)?],
            help: $help,
            slot: |config| Slot::$kind(&mut config.$name),
        }),*];
    };
}

macro_rules! tag_filter {
    ($line:literal) => {
        concat!(
            $line,
            "\nkey=... looks at that key alone. Numbers: 1kb, 1kb:10kb, :10kb, key=32mb:. ",
            "Texts: a regular expression, or several with commas between them."
        )
    };
}

fields! {
    output: Text = "Write the report to this file";
    call_tree: Bool = "Show each context of a function as a node of its own\n\
        In dot, its pictures and callgrind.";
    relative_percentages: Bool = "Show shares of what the filters leave, not of the whole profile";
    unit: Text = "Show values in this unit\nSuch as seconds, ms, bytes, MB; auto chooses for each \
        value, minimum chooses one for all.";
    compact_labels: Bool = "Leave out what is said of the profile as a whole";
    source_path: Text = "Look for source files in these directories, with colons between them";
    trim_path: Text = "Take these prefixes, with colons between them, off paths of source files";
    graphviz: Bool = "Let Graphviz draw svg, png and pdf";
    short_names: Bool = "Show names of Rust without the modules of their paths\n\
        In tables, trees, traces and pictures: filters go by whole names.";
    intel_syntax: Bool = "Show assembly in Intel's syntax";
    mean: Bool = "Divide values by the first one, which counts";
    sample_index: Text = "Show these values: a number from 0 on, or a name";
    divide_by: Float = "Divide values by this number";
    normalize: Bool = "Scale the profile so that its totals are those of the base";
    sort: Text ["cum": "Sort by what functions spend with their callees",
        "flat": "Sort by what functions spend themselves"] = "What entries are sorted by";
    tagroot: Text = "Add frames for these labels at the root, with commas between them\n\
        The first key is next to the root.";
    tagleaf: Text = "Add frames for these labels at the leaf, with commas between them\n\
        The last key is next to the leaf.";
    drop_negative: Bool = "Leave out what is below zero, as in differences";
    nodecount: Int = "Show this many nodes at most\nDotted edges go over nodes that are left out.";
    nodefraction: Float = "Leave out nodes below this part of the total";
    edgefraction: Float = "Leave out edges below this part of the total";
    trim: Bool = "Heed nodecount, nodefraction and edgefraction";
    focus: Text = "Keep samples of which a frame matches\nBy function, file or object.";
    ignore: Text = "Leave out samples of which a frame matches\nBy function, file or object.";
    prune_from: Text = "Leave out what lies below frames that match";
    hide: Text = "Leave out frames that match\nBy function, file or object.";
    show: Text = "Show frames that match, and no others\nBy function, file or object.";
    show_from: Text = "Leave out what lies above the frame next to the root that matches";
    tagfocus: Text = tag_filter!("Keep samples with such labels");
    tagignore: Text = tag_filter!("Leave out samples with such labels");
    tagshow: Text = "Keep labels of which the key matches";
    taghide: Text = "Leave out labels of which the key matches";
    noinlines: Bool = "Count inlined functions as what they are inlined into";
    showcolumns: Bool = "Tell columns apart where lines are told apart";
    granularity: Text ["functions": "Tell functions apart",
        "filefunctions": "Tell functions and their files apart", "files": "Tell files apart",
        "lines": "Tell lines apart", "addresses": "Tell addresses apart"]
        = "What entries are";
}
