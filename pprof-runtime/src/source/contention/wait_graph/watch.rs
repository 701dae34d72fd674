//! A watchdog: tells of each deadlock once.

use std::collections::HashSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::{Cycle, Graph, search};
use crate::source::contention::monitor::Stamping;
use crate::source::ticker::Ticker;

/// A search at intervals; ends when dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    _ticker: Ticker,
    /// So that a report says for how long.
    _stamping: Stamping,
}

/// Deadlocks kept in mind as reported; beyond it those that are gone are forgotten.
const MAX_KNOWN: usize = 1024;

impl Watch {
    /// Calls `found` for each new cycle, in a thread of ours. A panic of it is contained.
    pub(crate) fn start(
        interval: Duration,
        mut found: impl FnMut(&Graph, &Cycle) + Send + 'static,
    ) -> io::Result<Watch> {
        let stamping = Stamping::start();
        let mut known = HashSet::new();
        let tick = move || {
            let graph = search();
            if known.len() > MAX_KNOWN {
                let current: HashSet<_> = graph.cycles.iter().map(|c| graph.id(c)).collect();
                known.retain(|id| current.contains(id));
            }
            for cycle in &graph.cycles {
                if known.insert(graph.id(cycle)) {
                    // The panic hook has said what there is to say.
                    let _ = catch_unwind(AssertUnwindSafe(|| found(&graph, cycle)));
                }
            }
            interval
        };
        let ticker = Ticker::start(c"pprof-deadlock", interval, tick)?;
        Ok(Watch { _ticker: ticker, _stamping: stamping })
    }
}
