//! The lines above a report.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Report;
use crate::graph::{Graph, base};
use crate::measurement::{label, percentage, scale, to_integer};

/// How much of a graph is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub(super) total: i64,
    pub(super) nodes: usize,
    pub(super) original: usize,
    pub(super) dropped_nodes: usize,
    pub(super) dropped_edges: usize,
    pub(super) is_picture: bool,
}

pub(super) fn total_of(graph: &Graph) -> i64 {
    graph.iter().fold(0, |sum, node| sum.wrapping_add(node.flat_value()))
}

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
    pub(super) fn labels(&self, shown: Shown) -> Vec<String> {
        let mut labels = Vec::new();
        if shown.is_picture || !self.options.compact_labels {
            labels = self.profile_labels();
        }
        if !self.options.active_filters.is_empty() {
            labels.push("Active filters:".to_owned());
            labels.extend(self.options.active_filters.iter().map(|filter| shortened(filter)));
        }
        let (part, total) = (self.value(shown.total), self.value(self.total));
        let share = percentage(shown.total, self.total);
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
            dropped(shown.dropped_nodes, "node", "cum", self.options.node_fraction);
            dropped(shown.dropped_edges, "edge", "freq", self.options.edge_fraction);
            if shown.nodes > 0 && shown.nodes < shown.original {
                let Shown { nodes, original, .. } = shown;
                labels.push(format!("Showing top {nodes} nodes out of {original}"));
            }
        }
        if shown.is_picture {
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
