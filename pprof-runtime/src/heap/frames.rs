//! Frames of stacks, for texts.

use std::fmt;

use crate::tables::{Line, Tables};

/// A call of a stack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Frame {
    /// Its name; an address if that is not known.
    pub function: String,
    /// Empty if it is not known.
    pub file: String,
    /// Zero if it is not known.
    pub line: i64,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Frame { function, file, line } = self;
        if *line == 0 { f.write_str(function) } else { write!(f, "{function}  {file}:{line}") }
    }
}

/// The calls of a stack, leaf first, inlined ones too.
pub(super) fn frames(tables: &Tables<'_>, stack: &[u64]) -> Vec<Frame> {
    let mut frames = Vec::with_capacity(stack.len());
    for location in tables.stack(stack) {
        if location.line.is_empty() {
            let function = format!("{:#x}", location.address);
            frames.push(Frame { function, file: String::new(), line: 0 });
        }
        frames.extend(tables.lines(location).map(|Line { function, file, line }| Frame {
            function: function.to_owned(),
            file: file.to_owned(),
            line,
        }));
    }
    frames
}
