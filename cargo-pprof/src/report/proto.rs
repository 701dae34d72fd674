//! Profiles as reports.

use std::collections::HashMap;
use std::io::{self, Write};

use super::Report;

use crate::measurement::{scale, to_integer};
use crate::profile::{Function, Line, Location, Profile, Samples, ValueType};

impl Report {
    /// The profile as the filters left it.
    pub(super) fn proto(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let ratio = self.options.ratio;
        if ratio > 0.0 && ratio != 1.0 {
            for index in 0..self.profile.samples.len() {
                for value in self.profile.samples.values_mut(index) {
                    *value = to_integer(*value as f64 * ratio);
                }
            }
        }
        self.profile.write(out)
    }

    /// One sample for each entry of the table.
    pub(super) fn top_proto(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let graph = self.trimmed_graph().graph;
        let Profile { time_nanos, duration_nanos, period_type, period, .. } = self.profile;
        let mut top = Profile {
            texts: self.profile.texts.clone(),
            time_nanos,
            duration_nanos,
            period_type,
            period,
            samples: Samples::new(2),
            ..Profile::default()
        };
        let unit = top.texts.intern(&self.options.output_unit);
        let ty = ["cum", "flat"].map(|name| top.texts.intern(name));
        top.sample_types = ty.map(|ty| ValueType { ty, unit }).to_vec();
        let mut functions = HashMap::new();
        for (node, index) in graph.iter().zip(0..) {
            let info = graph.info(node);
            let key = (info.name, info.file, info.start_line);
            let function = *functions.entry(key).or_insert_with(|| {
                top.functions.push(Function {
                    name: info.name,
                    filename: info.file,
                    start_line: info.start_line,
                    ..Function::default()
                });
                top.functions.len() as u32 - 1
            });
            top.locations.push(Location {
                address: info.address,
                lines: Line { function, line: info.line, column: info.column }.into(),
                ..Location::default()
            });
            let values = [node.cum_value(), node.flat_value()].map(|value| {
                let scaled = scale(value, &self.options.sample_unit, &self.options.output_unit);
                to_integer(scaled.0)
            });
            top.samples.push([index], &values, []);
        }
        top.write(out)
    }
}
