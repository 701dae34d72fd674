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
                location.lines.narrow_to(count.saturating_sub(1)..count);
            }
            if !lines || !columns {
                let number = |line: Line| if lines { line.line } else { 0 };
                location.lines.rewrite(|line| Line { line: number(line), column: 0, ..line });
            }
            if !addresses {
                location.address = 0;
            }
        }
    }
}
