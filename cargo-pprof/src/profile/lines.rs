//! The lines of a location: nearly all have one, of small numbers, and those need no memory of their own.

use std::fmt;
use std::ops::Range;

use super::Line;

/// Lines, innermost first.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Lines(Kept);

/// Equal lines are kept alike: what can be `One` is.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Kept {
    /// A line without a column.
    One { function: u32, line: u32 },
    /// Any others.
    Any(Box<[Line]>),
}

impl Lines {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Kept::One { .. } => 1,
            Kept::Any(lines) => lines.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one at `at`, counted from the innermost.
    #[must_use]
    #[inline]
    pub fn get(&self, at: usize) -> Option<Line> {
        match &self.0 {
            Kept::One { function, line } => {
                (at == 0).then_some(Line { function: *function, line: i64::from(*line), column: 0 })
            }
            Kept::Any(lines) => lines.get(at).copied(),
        }
    }

    /// All, innermost first.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Line> + DoubleEndedIterator + Clone {
        (0..self.len()).map(|at| self.get(at).unwrap_or_default())
    }

    /// Leaves those in a range.
    pub(crate) fn narrow_to(&mut self, range: Range<usize>) {
        if range != (0..self.len()) {
            *self = self.iter().skip(range.start).take(range.len()).collect();
        }
    }

    /// Keeps those for which `keep` says so.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&Line) -> bool) {
        *self = self.iter().filter(keep).collect();
    }

    /// Puts others in the places of all.
    pub(crate) fn rewrite(&mut self, mut other: impl FnMut(Line) -> Line) {
        match &mut self.0 {
            Kept::Any(lines) if lines.len() != 1 => {
                lines.iter_mut().for_each(|line| *line = other(*line));
            }
            _ => *self = self.iter().map(other).collect(),
        }
    }
}

impl Default for Lines {
    /// None.
    fn default() -> Self {
        Lines(Kept::Any(Box::default()))
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl From<Vec<Line>> for Lines {
    fn from(lines: Vec<Line>) -> Self {
        match lines[..] {
            [line] => Lines::from(line),
            _ => Lines(Kept::Any(lines.into())),
        }
    }
}

impl From<Line> for Lines {
    #[inline]
    fn from(line: Line) -> Self {
        Lines(match u32::try_from(line.line) {
            Ok(number) if line.column == 0 => Kept::One { function: line.function, line: number },
            _ => Kept::Any(Box::new([line])),
        })
    }
}

impl FromIterator<Line> for Lines {
    fn from_iter<I: IntoIterator<Item = Line>>(lines: I) -> Self {
        let mut lines = lines.into_iter();
        let Some(first) = lines.next() else { return Lines::default() };
        match lines.next() {
            None => Lines::from(first),
            Some(second) => Lines(Kept::Any([first, second].into_iter().chain(lines).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: i64 = 1 << 40;

    fn line(function: u32, line: i64, column: i64) -> Line {
        Line { function, line, column }
    }

    #[test]
    fn lines_are_as_they_were_however_they_are_kept() {
        let all = [line(1, 2, 0), line(3, LARGE, 0), line(u32::MAX, -5, 6), line(7, 8, LARGE)];
        for of in
            (0..=all.len()).flat_map(|count| all.windows(count.max(1)).map(move |w| &w[..count]))
        {
            let lines = Lines::from(of.to_vec());
            assert_eq!(lines.len(), of.len());
            assert!(lines.iter().eq(of.iter().copied()));
            assert_eq!(lines, of.iter().copied().collect());
        }
    }

    #[test]
    fn what_is_left_is_kept_as_if_it_had_been_alone() {
        let all: Lines = [line(1, 2, 0), line(3, 4, 5), line(6, 7, 0)].into_iter().collect();
        let mut last = all.clone();
        last.narrow_to(2..3);
        assert_eq!(last, Lines::from(line(6, 7, 0)));
        let mut found = all.clone();
        found.retain(|line| line.function == 3);
        assert_eq!(found, Lines::from(line(3, 4, 5)));
        found.rewrite(|found| line(found.function, LARGE, 0));
        assert_eq!(found, Lines::from(line(3, LARGE, 0)));
        found.rewrite(|found| line(found.function, 1, 0));
        assert_eq!(found, Lines::from(line(3, 1, 0)));
        found.narrow_to(1..1);
        assert_eq!(found, Lines::default());
        let mut others = all.clone();
        others.rewrite(|line| Line { column: 9, ..line });
        assert!(others.iter().all(|line| line.column == 9));
    }

    #[test]
    fn a_location_is_small() {
        assert_eq!(size_of::<Lines>(), 16);
        assert_eq!(size_of::<crate::profile::Location>(), 32);
    }
}
