//! Reports by name: one table, of which flags, the shell and help are made.

use crate::report::Format;
use crate::viewer::Viewer;

/// A kind of report.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// Its form.
    pub format: Format,
    /// Whether a regular expression goes with it.
    pub has_parameter: bool,
    /// What becomes of it.
    pub then: Then,
    /// What it is.
    pub help: &'static str,
}

/// What becomes of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It is printed.
    Print,
    /// It is nothing for a terminal: there it goes to a file with this ending.
    Save(&'static str),
    /// It is a picture of this type; those that we cannot draw are drawn by Graphviz.
    Draw(&'static str),
    /// A program shows a file with it.
    Show {
        /// Type of the picture that is made of it first, if one is.
        picture: Option<&'static str>,
        /// Of the file's name.
        ending: &'static str,
        /// The program.
        viewer: Viewer,
    },
}

const fn command(name: &'static str, format: Format, then: Then, help: &'static str) -> Command {
    Command { name, format, has_parameter: false, then, help }
}

const fn of_some(name: &'static str, format: Format, then: Then, help: &'static str) -> Command {
    Command { name, format, has_parameter: true, then, help }
}

const fn picture(
    name: &'static str,
    ending: &'static str,
    viewer: Viewer,
    help: &'static str,
) -> Command {
    command(name, Format::Dot, Then::Show { picture: Some(ending), ending, viewer }, help)
}

/// All of them.
pub const COMMANDS: &[Command] = &[
    command(
        "callgrind",
        Format::Callgrind,
        Then::Save("callgraph.out"),
        "Write a graph for kcachegrind",
    ),
    command("comments", Format::Comments, Then::Print, "Print the profile's remarks"),
    of_some(
        "disasm",
        Format::Disasm,
        Then::Print,
        "Print annotated assembly of functions that match, or at an address",
    ),
    command("dot", Format::Dot, Then::Print, "Print a graph for Graphviz"),
    picture("eog", "svg", Viewer::Program(&["eog"]), "Show a graph in eog"),
    picture("evince", "pdf", Viewer::Program(&["evince"]), "Show a graph in evince"),
    command(
        "flamegraph",
        Format::FlameGraph,
        Then::Save("svg"),
        "Draw all stacks, to be searched and zoomed in a browser",
    ),
    command(
        "flamehtml",
        Format::FlamePage,
        Then::Save("html"),
        "Draw the same as a page; -flamegraph does where the output is called *.html",
    ),
    command("folded", Format::Folded, Then::Print, "Print all stacks, one a line, root first"),
    command("gif", Format::Dot, Then::Draw("gif"), "Draw a graph as GIF, by Graphviz"),
    picture("gv", "ps", Viewer::Program(&["gv", "--noantialias"]), "Show a graph in gv"),
    command("json", Format::Json, Then::Print, "Print the table of top for programs"),
    command(
        "kcachegrind",
        Format::Callgrind,
        Then::Show { picture: None, ending: "grind", viewer: Viewer::Program(&["kcachegrind"]) },
        "Show a graph in kcachegrind",
    ),
    of_some("list", Format::List, Then::Print, "Print annotated source of functions that match"),
    command("pdf", Format::Dot, Then::Draw("pdf"), "Draw a graph as PDF"),
    of_some("peek", Format::Tree, Then::Print, "Print callers and callees of functions that match"),
    command("png", Format::Dot, Then::Draw("png"), "Draw a graph as PNG"),
    command("proto", Format::Proto, Then::Save("pb.gz"), "Write the profile itself"),
    command("ps", Format::Dot, Then::Draw("ps"), "Draw a graph as PostScript, by Graphviz"),
    command("raw", Format::Raw, Then::Print, "Print all that is in the profile"),
    command(
        "speedscope",
        Format::Speedscope,
        Then::Save("speedscope.json"),
        "Write all stacks for speedscope.app",
    ),
    command("svg", Format::Dot, Then::Draw("svg"), "Draw a graph as SVG"),
    command("tags", Format::Tags, Then::Print, "Print what values labels have"),
    command("text", Format::Text, Then::Print, "Print a table of the entries"),
    command("top", Format::Text, Then::Print, "Print a table of the entries"),
    command("topproto", Format::TopProto, Then::Save("pb.gz"), "Write that table as a profile"),
    command("traces", Format::Traces, Then::Print, "Print all samples"),
    command("tree", Format::Tree, Then::Print, "Print each entry with its callers and callees"),
    picture("web", "svg", Viewer::Browser, "Show a graph in a browser"),
    of_some(
        "weblist",
        Format::WebList,
        Then::Show { picture: None, ending: "html", viewer: Viewer::Browser },
        "Show annotated source with assembly in a browser",
    ),
];

/// The one with that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}
