//! Leaves out of functions and locations what a report does not tell apart.

use super::{Line, Profile, Text};

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
            if !inlines {
                let count = location.lines.len();
                location.lines.keep(count.saturating_sub(1)..count);
            }
            if !lines || !columns {
                location.lines.rewrite(|line| match lines {
                    true => Line { column: 0, ..line },
                    false => Line { line: 0, column: 0, ..line },
                });
            }
            if !addresses {
                location.address = 0;
            }
        }
    }
}
