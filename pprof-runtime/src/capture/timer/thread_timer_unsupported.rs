//! Platforms without per-thread CPU timers.

use std::io;

use super::{Coverage, Engine};
use crate::capture::signal::TimerValue;

/// Cannot be made here.
#[derive(Debug)]
pub(crate) enum ThreadTimers {}

impl ThreadTimers {
    pub(crate) fn start(_period_ns: u64, _value: TimerValue) -> io::Result<ThreadTimers> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

impl Engine for ThreadTimers {
    fn name(&self) -> &'static str {
        match *self {}
    }

    fn scan(&mut self) -> bool {
        match *self {}
    }

    fn register(&mut self) {
        match *self {}
    }

    fn coverage(&self) -> Coverage {
        match *self {}
    }

    fn stop(&mut self) {
        match *self {}
    }
}
