//! What is recorded of each call path.

use std::iter::zip;
use std::ops::{AddAssign, Index, IndexMut, Sub};

/// One of the values of a path. Times are the path's own, without callees'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Calls,
    /// Time on the thread.
    Busy,
    /// Time from a poll that ended `Pending` to the next.
    Idle,
    /// The part of `Idle` from a wake-up on.
    Scheduled,
    Polls,
    /// Calls that ended by unwinding.
    Panics,
    /// Futures that were dropped between their first poll and the last.
    Cancelled,
    /// CPU time, in nanoseconds.
    Cpu,
    /// Objects allocated.
    Objects,
    /// Bytes of them.
    Bytes,
}

pub(crate) const COLUMNS: usize = 10;

impl Column {
    pub(crate) const ALL: [Column; COLUMNS] = [
        Column::Calls,
        Column::Busy,
        Column::Idle,
        Column::Scheduled,
        Column::Polls,
        Column::Panics,
        Column::Cancelled,
        Column::Cpu,
        Column::Objects,
        Column::Bytes,
    ];

    /// Whether it is kept in ticks of the clock.
    pub(crate) fn is_in_ticks(self) -> bool {
        matches!(self, Column::Busy | Column::Idle | Column::Scheduled)
    }
}

/// A value for each column: ticks or, in snapshots, nanoseconds for times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Values([i64; COLUMNS]);

impl Values {
    pub(crate) fn of(each: impl FnMut(Column) -> i64) -> Values {
        Values(Column::ALL.map(each))
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.0 == [0; COLUMNS]
    }
}

impl Index<Column> for Values {
    type Output = i64;

    fn index(&self, column: Column) -> &i64 {
        &self.0[column as usize]
    }
}

impl IndexMut<Column> for Values {
    fn index_mut(&mut self, column: Column) -> &mut i64 {
        &mut self.0[column as usize]
    }
}

impl AddAssign for Values {
    fn add_assign(&mut self, other: Values) {
        zip(&mut self.0, other.0).for_each(|(sum, value)| *sum = sum.wrapping_add(value));
    }
}

impl Sub for Values {
    type Output = Values;

    fn sub(self, before: Values) -> Values {
        Values::of(|column| self[column].wrapping_sub(before[column]))
    }
}
