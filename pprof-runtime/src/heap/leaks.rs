//! What is in use and old, as a text.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use pprof_format::Profile;

use super::frames::{Frame, frames};
use crate::tables::Tables;

/// Stacks shown by `Display`.
const TOP: usize = 20;

/// What was in use and old, by the stack that allocated it; made by [`leaks`](super::leaks). [`Display`](fmt::Display) shows the first 20.
#[derive(Clone, Debug)]
pub struct Leaks {
    older_than: Duration,
    rate: i64,
    /// Why there are none.
    remark: Option<String>,
    leaks: Vec<Leak>,
}

/// What one stack allocated.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Leak {
    /// Objects in use, estimated.
    pub objects: i64,
    /// Bytes of them.
    pub bytes: i64,
    /// Leaf first, inlined ones too.
    pub frames: Vec<Frame>,
}

impl Leaks {
    pub(super) fn of(profile: &Profile, older_than: Duration) -> Leaks {
        let tables = Tables::of(profile);
        let mut sums: HashMap<&[u64], [i64; 2]> = HashMap::new();
        for sample in &profile.sample {
            if let [_, _, objects, bytes] = sample.value[..]
                && objects > 0
            {
                let sum = sums.entry(&sample.location_id).or_default();
                *sum = [sum[0] + objects, sum[1] + bytes];
            }
        }
        let leak = |(stack, [objects, bytes]): (&[u64], [i64; 2])| Leak {
            objects,
            bytes,
            frames: frames(&tables, stack),
        };
        let mut leaks: Vec<Leak> = sums.into_iter().map(leak).collect();
        let mut comments = profile.comment.iter().map(|index| profile.string(*index));
        let remark = comments.find(|c| c.starts_with("no allocation was seen")).map(str::to_owned);
        leaks.sort_by(|a, b| (b.bytes, &a.frames).cmp(&(a.bytes, &b.frames)));
        Leaks { older_than, rate: profile.period, remark, leaks }
    }

    /// All of them, the most bytes first.
    pub fn iter(&self) -> impl Iterator<Item = &Leak> {
        self.leaks.iter()
    }
}

/// Where std's own backtraces end: what called `main` or the thread's function.
fn is_std_start(frame: &Frame) -> bool {
    frame.function.contains("__rust_begin_short_backtrace")
}

impl fmt::Display for Leaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: i64 = self.leaks.iter().map(|leak| leak.bytes).sum();
        let objects: i64 = self.leaks.iter().map(|leak| leak.objects).sum();
        write!(f, "{bytes} bytes in {objects} objects are in use")?;
        if !self.older_than.is_zero() {
            write!(f, " and older than {:?}", self.older_than)?;
        }
        write!(f, ", of {} stacks", self.leaks.len())?;
        // All of them are known at that rate.
        if self.rate > 1 {
            let rate = self.rate;
            write!(f, "; estimated from one sample in {rate} bytes: smaller ones may be missing")?;
        }
        if let Some(remark) = &self.remark {
            write!(f, "; {remark}")?;
        }
        writeln!(f)?;
        for leak in self.leaks.iter().take(TOP) {
            writeln!(f, "\n{} bytes in {} objects, allocated by", leak.bytes, leak.objects)?;
            for frame in leak.frames.iter().take_while(|frame| !is_std_start(frame)) {
                writeln!(f, "    {frame}")?;
            }
        }
        match self.leaks.len().saturating_sub(TOP) {
            0 => Ok(()),
            more => writeln!(f, "\nand {more} more stacks"),
        }
    }
}
