//! Flame graphs: a picture of all stacks, for any browser, and the same stacks as text.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use super::Report;
use crate::draw::escape;
use crate::graph::{Sites, shorten};
use crate::measurement::percentage;

const STYLE: &str = include_str!("flame/style.css");
/// Of the page around it.
const PAGE_STYLE: &str = "\
    body { margin: 0; background: #fff; } body > svg { display: block; min-height: 100vh; } \
    @media (prefers-color-scheme: dark) { body { background: #1c1c1e; } }";
const SCRIPT: &str = include_str!("flame/script.js");

/// Of the total, what a frame has to have to be drawn: half a pixel of a wide window.
const THINNEST: f64 = 0.0003;

/// Height of a frame, in pixels.
const ROW: usize = 17;

/// What stands above the frames.
const HEAD: usize = 64;

/// A function called in one way from the root.
#[derive(Debug, Default)]
struct Frame {
    /// Index of the name.
    name: u32,
    /// Sum of the values, and of their sizes: they differ where some are below zero.
    value: i64,
    size: i64,
    children: Vec<u32>,
}

/// All stacks, those with the same start together; the first frame is the root.
#[derive(Debug)]
struct Stacks {
    frames: Vec<Frame>,
    names: Vec<String>,
}

impl Report {
    fn stacks(&mut self) -> Stacks {
        let mut sites = self.sites();
        self.shorten_all(&mut sites.infos);
        let texts = &self.profile.texts;
        let mut numbers: HashMap<String, u32> = HashMap::new();
        let names: Vec<u32> = sites
            .infos
            .iter()
            .map(|info| {
                let next = numbers.len() as u32 + 1;
                *numbers.entry(info.printable(texts).into_owned()).or_insert(next)
            })
            .collect();
        let frames = self.frames(&sites, &names);
        let mut by_number: Vec<(String, u32)> = numbers.into_iter().collect();
        by_number.sort_by_key(|(_, number)| *number);
        let all = ["all".to_owned()].into_iter();
        Stacks { frames, names: all.chain(by_number.into_iter().map(|(name, _)| name)).collect() }
    }

    fn frames(&self, sites: &Sites, names: &[u32]) -> Vec<Frame> {
        let mut frames = vec![Frame::default()];
        let mut known: HashMap<(u32, u32), u32, foldhash::fast::RandomState> = HashMap::default();
        for sample in self.profile.samples.iter() {
            let value = self.value_of(sample, self.options.value);
            let mut at = 0u32;
            frames[0].add(value);
            for location in sample.stack.iter().rev() {
                for node in sites.of(location).iter().rev() {
                    let name = names[*node as usize];
                    let next = frames.len() as u32;
                    let child = *known.entry((at, name)).or_insert(next);
                    if child == next {
                        frames.push(Frame { name, ..Frame::default() });
                        frames[at as usize].children.push(child);
                    }
                    frames[child as usize].add(value);
                    at = child;
                }
            }
        }
        frames
    }

    /// A line for each stack, root first, and its value.
    pub(super) fn folded(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let stacks = self.stacks();
        let mut lines: Vec<(String, i64)> = Vec::new();
        let mut pending = vec![(0u32, String::new())];
        while let Some((at, path)) = pending.pop() {
            let frame = &stacks.frames[at as usize];
            let of_children = frame.children.iter().map(|c| stacks.frames[*c as usize].value);
            let own = of_children.fold(frame.value, i64::wrapping_sub);
            if own != 0 && at != 0 {
                lines.push((path.clone(), own));
            }
            for child in &frame.children {
                let name = &stacks.names[stacks.frames[*child as usize].name as usize];
                // What tells frames and lines apart cannot be in a name.
                let name = name.replace(';', ":").replace(['\n', '\r'], " ");
                let separator = if path.is_empty() { "" } else { ";" };
                pending.push((*child, format!("{path}{separator}{name}")));
            }
        }
        lines.sort();
        lines.iter().try_for_each(|(path, value)| writeln!(out, "{path} {value}"))
    }

    /// A picture that can be searched and zoomed in any browser, and looked at without scripts.
    pub(super) fn flame_graph(&mut self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}", self.flames())
    }

    /// The same as a page that fills the window.
    pub(super) fn flame_page(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let picture = self.flames();
        let title = escape(self.flame_title());
        write!(
            out,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"UTF-8\">\n<title>{title}</title>\n\
             <style>{PAGE_STYLE}</style>\n{picture}</html>\n"
        )
    }

    fn flame_title(&self) -> &str {
        match self.options.title.as_str() {
            "" => "Flame graph",
            title => title,
        }
    }

    fn flames(&mut self) -> String {
        let stacks = self.stacks();
        let total = stacks.frames[0].size;
        let mut drawn = String::new();
        let (mut left_out, mut deepest) = (0usize, 0);
        // Frame, depth, and where it starts, as part of the whole.
        let mut pending = vec![(0u32, 0usize, 0.0)];
        while let Some((at, depth, start)) = pending.pop() {
            let frame = &stacks.frames[at as usize];
            let width = part(frame.size, total);
            if width < THINNEST && self.options.node_fraction > 0.0 && at != 0 {
                left_out += 1;
                continue;
            }
            deepest = deepest.max(depth);
            self.draw_frame(&mut drawn, &stacks, frame, depth, start, width);
            let mut children = frame.children.clone();
            children.sort_by(|a, b| {
                let (a, b) = (&stacks.frames[*a as usize], &stacks.frames[*b as usize]);
                let name = |frame: &Frame| &stacks.names[frame.name as usize];
                b.size.cmp(&a.size).then_with(|| name(a).cmp(name(b)))
            });
            let mut start = start;
            for child in children {
                pending.push((child, depth + 1, start));
                start += part(stacks.frames[child as usize].size, total);
            }
        }
        let height = HEAD + (deepest + 2) * ROW;
        let mut head = self.profile_labels().join(" · ");
        if left_out > 0 {
            let least = percentage((THINNEST * 1e6) as i64, 1_000_000);
            let _ = write!(head, " · {left_out} branches below {} not drawn", least.trim());
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"100%\" height=\"{height}\">\n\
             <style>{STYLE}</style>\n\
             <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n\
             <text class=\"title\" x=\"8\" y=\"22\">{}</text>\n\
             <text class=\"head\" x=\"8\" y=\"40\">{}</text>\n\
             <text class=\"button\" id=\"search\" x=\"8\" y=\"57\">Search (/)</text>\n\
             <text class=\"button\" id=\"reset\" x=\"90\" y=\"57\">Reset (Esc)</text>\n\
             <text class=\"head\" id=\"said\" x=\"180\" y=\"57\"></text>\n\
             <g id=\"frames\">\n{drawn}</g>\n\
             <script><![CDATA[{SCRIPT}]]></script>\n</svg>\n",
            escape(self.flame_title()),
            escape(&head),
        )
    }

    fn draw_frame(
        &self,
        drawn: &mut String,
        stacks: &Stacks,
        frame: &Frame,
        depth: usize,
        start: f64,
        width: f64,
    ) {
        let name = escape(&stacks.names[frame.name as usize]);
        // What names begin with is what they share.
        let short = escape(&shorten(&stacks.names[frame.name as usize]));
        let value = self.value(frame.value);
        let share = percentage(frame.value, self.total);
        let share = share.trim();
        let is_difference = stacks.frames[0].value != stacks.frames[0].size;
        let color = match is_difference {
            true => change(frame.value, frame.size),
            false => hue(&stacks.names[frame.name as usize]),
        };
        let (x, w, y) = (start * 100.0, width * 100.0, HEAD + depth * ROW);
        let _ = writeln!(
            drawn,
            "<svg x=\"{x:.4}%\" y=\"{y}\" width=\"{w:.4}%\" height=\"{ROW}\">\
             <title>{name}: {value} ({share})</title>\
             <rect width=\"100%\" height=\"16\" rx=\"1\" fill=\"{color}\"/>\
             <text x=\"3\" y=\"12\">{short}</text></svg>"
        );
    }
}

impl Frame {
    fn add(&mut self, value: i64) {
        self.value = self.value.wrapping_add(value);
        self.size = self.size.saturating_add(value.saturating_abs());
    }
}

fn part(size: i64, total: i64) -> f64 {
    if total == 0 { 0.0 } else { size as f64 / total as f64 }
}

/// A warm colour, the same for all functions of a crate, package or class.
fn hue(name: &str) -> String {
    let end = name.find("::").or_else(|| name.rfind('.')).unwrap_or(name.len());
    let hash = name[..end]
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("hsl({} {}% {}%)", 8 + hash % 50, 72 + hash / 50 % 20, 68 + hash / 1000 % 12)
}

/// Red for what grew, green for what shrank, the paler the less.
fn change(value: i64, size: i64) -> String {
    let share = part(value, size).clamp(-1.0, 1.0);
    let hue = if share < 0.0 { 130 } else { 4 };
    format!("hsl({hue} {:.0}% {:.0}%)", share.abs() * 70.0, 84.0 - share.abs() * 22.0)
}
