//! What records each call as an event of its own: fastrace, puffin, measureme. Each as its documentation has it, with what reads the events
//! doing as little as can be.

use std::cell::Cell;
use std::hint::black_box;

use pprof_benches::contender::{Contender, Figures, ns};
use pprof_benches::measure;

use crate::calls::finish;

/// Calls to a trace, or to a frame: what is recorded is handed over in portions.
const PORTION: u64 = 100;

#[fastrace::trace]
#[inline(never)]
fn fastrace_call(x: u64) -> u64 {
    black_box(x) ^ (x >> 3)
}

#[fastrace::trace]
#[inline(never)]
async fn fastrace_async(x: u64) -> u64 {
    black_box(x) ^ (x >> 3)
}

#[inline(never)]
fn puffin_call(x: u64) -> u64 {
    puffin::profile_function!();
    black_box(x) ^ (x >> 3)
}

#[inline(never)]
fn measureme_call(profiler: &measureme::Profiler, event: measureme::StringId, x: u64) -> u64 {
    let event_id = measureme::EventId::from_label(event);
    let _guard = profiler.start_recording_interval_event(event, event_id, 0);
    black_box(x) ^ (x >> 3)
}

struct Discarded;

impl fastrace::collector::Reporter for Discarded {
    fn report(&mut self, spans: Vec<fastrace::collector::SpanRecord>) {
        drop(spans);
    }
}

/// In a trace that is a new one after each portion.
fn in_traces(call: impl Fn(u64) -> u64) -> Figures {
    use fastrace::prelude::*;
    fastrace::set_reporter(Discarded, fastrace::collector::Config::default());
    let trace = Cell::new(None);
    let figures = Figures::new(measure::one_thread(|i| {
        if i % PORTION == 0 {
            drop(trace.take());
            let root = Span::root("portion", SpanContext::random());
            let guard = root.set_local_parent();
            trace.set(Some((guard, root)));
        }
        black_box(call(i));
    }));
    drop(trace.take());
    figures
}

fn puffin() -> Figures {
    puffin::set_scopes_on(true);
    Figures::new(measure::one_thread(|i| {
        if i % PORTION == 0 {
            puffin::GlobalProfiler::lock().new_frame();
        }
        black_box(puffin_call(i));
    }))
}

fn measureme() -> Figures {
    let directory = std::env::temp_dir().join(format!("pprof-benches-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("the temporary directory can be written to");
    let profiler = measureme::Profiler::new(directory.join("events")).expect("a file can be made");
    let event = profiler.alloc_string("call");
    let figures = Figures::new(measure::one_thread(|i| {
        black_box(measureme_call(&profiler, event, i));
    }));
    drop(profiler);
    // What is left there is only a measurement's.
    let _ = std::fs::remove_dir_all(&directory);
    figures
}

pub(crate) fn sync() -> Vec<Contender> {
    vec![
        ns("fastrace, no trace", || {
            Figures::new(measure::one_thread(|i| {
                black_box(fastrace_call(i));
            }))
        }),
        ns("fastrace, in traces of 100", || in_traces(fastrace_call)),
        ns("puffin, frames of 100", puffin),
        ns("measureme, to a file", measureme),
    ]
}

pub(crate) fn asynchronous() -> Vec<Contender> {
    vec![ns("fastrace, in traces of 100", || in_traces(|i| finish(fastrace_async(i))))]
}
