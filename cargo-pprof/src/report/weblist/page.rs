//! The page: functions by their files, each line with the code that is of it behind it.

use std::collections::HashMap;
use std::io::Write;

use super::super::sources::Reader;
use super::super::{Error, Report};
use super::{AtLine, Line, Listing, Part, Sum, parts};
use crate::draw::escape;
use crate::measurement::percentage;
use crate::paths::base;

/// What lines are written from.
struct Page<'l> {
    listing: &'l Listing,
    of_instructions: &'l [Sum],
}

impl Report {
    pub(super) fn page(&self, out: &mut dyn Write, listing: &Listing) -> Result<(), Error> {
        let mut reader = Reader::new(&self.options.source_path, &self.options.trim_path)?;
        let title = escape(&self.options.title);
        write!(
            out,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <title>{title}: source</title>\n<style>\n{}</style>\n</head>\n<body>\n<header>\n",
            include_str!("style.css")
        )?;
        for line in self.profile_labels() {
            writeln!(out, "<div>{}</div>", escape(&line))?;
        }
        writeln!(out, "<div>Total: {}</div>", self.value(self.total))?;
        if listing.left_out > 0 {
            writeln!(out, "<div>Left out: {} functions of lower weight</div>", listing.left_out)?;
        }
        writeln!(out, "</header>")?;
        // Sums of instructions, and then of each file those of its lines and of its parts: all in one walk.
        let mut groups: Vec<Vec<usize>> =
            listing.instructions.iter().map(|shown| shown.locations.clone()).collect();
        let files = listing.files.iter().map(|(file, lines)| (file, lines, parts(lines)));
        let files: Vec<_> = files.collect();
        for (_, lines, parts) in &files {
            groups.extend(lines.values().map(|line| listing.locations(std::iter::once(line))));
            let of_part = |part: &Part<'_>| lines.range(part.lines.clone()).map(|(_, line)| line);
            groups.extend(parts.iter().map(|part| listing.locations(of_part(part))));
        }
        let sums = self.sums(&groups);
        let (of_instructions, mut rest) = sums.split_at(listing.instructions.len());
        let page = Page { listing, of_instructions };
        for ((file, function), lines, parts) in files {
            let (of_lines, others) = rest.split_at(lines.len());
            let (of_parts, others) = others.split_at(parts.len());
            rest = others;
            let sums: HashMap<i64, Sum> =
                lines.keys().copied().zip(of_lines.iter().copied()).collect();
            for (part, sum) in parts.iter().zip(of_parts).filter(|(_, sum)| sum.is_sampled) {
                let share = percentage(sum.cum(), self.total);
                let path = if file.is_empty() { "(no source)" } else { file };
                writeln!(
                    out,
                    "<h2>{}</h2>\n<p class=\"file\">{}</p>\n<div class=\"code\">\n\
                     <span class=\"sum\">{:>10} {:>10} (flat, cum) {share} of Total</span>",
                    escape(part.name),
                    escape(path),
                    self.value(sum.flat()),
                    self.value(sum.cum()),
                )?;
                // Of a function without lines there is but one.
                let source = if function.is_empty() { file.as_str() } else { "" };
                for number in part.lines.clone() {
                    let line = lines.get(&number).zip(sums.get(&number).copied());
                    self.line(out, &page, &mut reader, source, number, line)?;
                }
                writeln!(out, "</div>")?;
            }
        }
        writeln!(out, "</body>\n</html>")?;
        Ok(())
    }

    fn line(
        &self,
        out: &mut dyn Write,
        page: &Page<'_>,
        reader: &mut Reader,
        file: &str,
        number: i64,
        line: Option<(&Line, Sum)>,
    ) -> Result<(), Error> {
        let text = match (reader.line(file, number), line) {
            (Some(text), _) => text.to_owned(),
            (None, None) => return Ok(()),
            (None, Some(_)) if number == 0 => "(instructions of unknown lines)".to_owned(),
            (None, Some(_)) => "???".to_owned(),
        };
        let (code, sum) = line.map_or((&[][..], Sum::default()), |(line, sum)| (&line.code, sum));
        let of = |at: &AtLine| &page.listing.instructions[at.instruction];
        let (flat, cum) = (sum.flat(), sum.cum());
        let row = format!(
            "{:>10} {:>10} {number:>6}  {}",
            self.value_or_dot(flat),
            self.value_or_dot(cum),
            escape(&expand(&text))
        );
        let has_code = code.iter().any(|at| !of(at).text.is_empty() || !at.calls.is_empty());
        let class = if flat != 0 || cum != 0 { " class=\"hot\"" } else { "" };
        if !has_code {
            writeln!(out, "<span{class}>{row}</span>")?;
            return Ok(());
        }
        write!(out, "<details><summary{class}>{row}</summary>")?;
        let indent = expand(&text).chars().take_while(|c| *c == ' ').count();
        let (mut calls, mut next): (&[(String, i64)], Option<u64>) = (&[], None);
        for at in code {
            let shown = of(at);
            if next.is_some_and(|next| next != shown.address) {
                writeln!(out, "<span class=\"gap\">{:>27}</span>", "⋮")?;
            }
            next = Some(shown.address.saturating_add(shown.length));
            let same = calls.iter().zip(&at.calls).take_while(|(a, b)| a == b).count();
            for (depth, (file, line)) in at.calls.iter().enumerate().skip(same) {
                let source = reader.line(file, *line).unwrap_or_default().trim().to_owned();
                let source = format!("{:width$}{source}", "", width = indent + 4 + 4 * depth);
                let place = format!("{}:{line}", base(file));
                writeln!(
                    out,
                    "<span class=\"call\">{:30}{} <i>{}</i></span>",
                    "",
                    escape(&format!("{source:<80}")),
                    escape(&place)
                )?;
            }
            calls = &at.calls;
            let text = format!("{:width$}{}", "", shown.text, width = indent + 4 + 4 * calls.len());
            let place = if shown.file.is_empty() {
                String::new()
            } else {
                format!("{}:{}", base(&shown.file), shown.line)
            };
            writeln!(
                out,
                "<span class=\"asm\">{:>10} {:>10} {:>6x}  {} <i>{}</i></span>",
                self.value_or_dot(page.of_instructions[at.instruction].flat()),
                self.value_or_dot(page.of_instructions[at.instruction].cum()),
                shown.address,
                escape(&format!("{text:<80}")),
                escape(&place)
            )?;
        }
        writeln!(out, "</details>")?;
        Ok(())
    }
}

/// With blanks in the places of tabs.
fn expand(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    for c in text.chars() {
        let width = if c == '\t' { 8 - column % 8 } else { 1 };
        match c {
            '\t' => out.extend(std::iter::repeat_n(' ', width)),
            c => out.push(c),
        }
        column += width;
    }
    out
}
