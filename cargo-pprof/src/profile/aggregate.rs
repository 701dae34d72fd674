//! Leaves out of functions and locations what a report does not tell apart.

use super::{Profile, Text};

/// What a report tells apart.
#[derive(Clone, Copy, Debug)]
pub struct Granularity {
    /// Inlined functions.
    pub inlines: bool,
    /// Functions.
    pub functions: bool,
    /// Source files.
    pub files: bool,
    /// Lines.
    pub lines: bool,
    /// Columns.
    pub columns: bool,
    /// Addresses.
    pub addresses: bool,
}

impl Profile {
    /// Forgets what `granularity` does not ask for.
    pub fn aggregate(&mut self, granularity: Granularity) {
        let Granularity { inlines, functions, files, lines, columns, addresses } = granularity;
        for mapping in &mut self.mappings {
            mapping.has_inline_frames &= inlines;
            mapping.has_functions &= functions;
            mapping.has_filenames &= files;
            mapping.has_line_numbers &= lines;
        }
        for function in &mut self.functions {
            if !functions {
                (function.name, function.system_name) = (Text::EMPTY, Text::EMPTY);
            }
            if !files {
                function.filename = Text::EMPTY;
            }
        }
        for location in &mut self.locations {
            if !inlines && location.lines.len() > 1 {
                location.lines.drain(..location.lines.len() - 1);
            }
            for line in &mut location.lines {
                if !lines {
                    line.line = 0;
                }
                if !lines || !columns {
                    line.column = 0;
                }
            }
            if !addresses {
                location.address = 0;
            }
        }
    }
}
