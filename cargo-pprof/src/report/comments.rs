//! The profile's remarks.

use std::io::{self, Write};

use super::Report;

impl Report {
    pub(super) fn comments(&self, out: &mut dyn Write) -> io::Result<()> {
        for comment in &self.profile.comments {
            writeln!(out, "{}", self.profile.text(*comment))?;
        }
        Ok(())
    }
}
