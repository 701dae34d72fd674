//! The lines above a report.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Format, Report};
use crate::graph::Trimmed;
use crate::measurement::{label, percentage, scale, to_integer};
use crate::paths::base;

impl Report {
    /// What is said of the profile as a whole.
    pub(crate) fn profile_labels(&self) -> Vec<String> {
        let profile = &self.profile;
        let mut labels = Vec::new();
        if let Some(main) = profile.mappings.first() {
            if !main.file.is_empty() {
                labels.push(format!("File: {}", base(profile.text(main.file))));
            }
            if !main.build_id.is_empty() {
                labels.push(format!("Build ID: {}", profile.text(main.build_id)));
            }
        }
        let comments = profile.comments.iter().map(|comment| profile.text(*comment));
        labels.extend(comments.filter(|c| !c.starts_with('#')).map(str::to_owned));
        if !self.options.sample_type.is_empty() {
            labels.push(format!("Type: {}", self.options.sample_type));
        }
        if !profile.doc_url.is_empty() {
            labels.push(format!("Doc: {}", profile.text(profile.doc_url)));
        }
        if let Some(time) = local_time(profile.time_nanos) {
            labels.push(format!("Time: {time}"));
        }
        if profile.duration_nanos != 0 {
            let duration = label(profile.duration_nanos, "nanoseconds");
            let (total, unit) = scale(self.total, &self.options.sample_unit, "nanoseconds");
            let ratio = if unit == "ns" && total != 0.0 {
                let share = percentage(to_integer(total), profile.duration_nanos);
                format!("({share})")
            } else {
                String::new()
            };
            let total = self.value(self.total);
            labels.push(format!("Duration: {duration}, Total samples = {total} {ratio}"));
        }
        labels
    }

    /// The same, and how much of it is shown.
    pub(super) fn labels(&self, trimmed: &Trimmed) -> Vec<String> {
        let Trimmed { graph, original, dropped_nodes, dropped_edges } = trimmed;
        let (nodes, original) = (graph.shown.len(), *original);
        let shown = graph.iter().fold(0i64, |sum, node| sum.wrapping_add(node.flat_value()));
        let is_picture = self.options.format == Format::Dot;
        let mut labels = Vec::new();
        if is_picture || !self.options.compact_labels {
            labels = self.profile_labels();
        }
        if !self.options.active_filters.is_empty() {
            labels.push("Active filters:".to_owned());
            labels.extend(self.options.active_filters.iter().map(|filter| shortened(filter)));
        }
        let (part, total) = (self.value(shown), self.value(self.total));
        let share = percentage(shown, self.total);
        let share = share.trim();
        labels.push(format!("Showing nodes accounting for {part}, {share} of {total} total"));
        if self.total != 0 {
            let cutoff =
                |fraction: f64| self.value(to_integer(self.total as f64 * fraction).wrapping_abs());
            let mut dropped = |count: usize, what: &str, by: &str, fraction: f64| {
                if count > 0 {
                    let s = if count > 1 { "s" } else { "" };
                    let cutoff = cutoff(fraction);
                    labels.push(format!("Dropped {count} {what}{s} ({by} <= {cutoff})"));
                }
            };
            dropped(*dropped_nodes, "node", "cum", self.options.node_fraction);
            if is_picture {
                dropped(*dropped_edges, "edge", "freq", self.options.edge_fraction);
            }
            if nodes > 0 && nodes < original {
                labels.push(format!("Showing top {nodes} nodes out of {original}"));
            }
        }
        if is_picture {
            labels.push("\nSee https://git.io/JfYMW for how to read the graph".to_owned());
        }
        labels
    }
}

fn shortened(filter: &str) -> String {
    if filter.len() <= 80 {
        return format!("   {filter}");
    }
    let end = (0..=80).rev().find(|&at| filter.is_char_boundary(at)).unwrap_or(0);
    format!("   {}…", &filter[..end])
}

fn local_time(nanos: i64) -> Option<String> {
    if nanos == 0 {
        return None;
    }
    let time = Timestamp::from_nanosecond(i128::from(nanos)).ok()?;
    Some(time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string())
}
