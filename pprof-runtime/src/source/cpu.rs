//! The `cpu` profile: one session at a time.
//!
//! The engine makes threads signal themselves, handlers put records into the pool's rings, and a collector thread moves them
//! ten times a second into a table of stacks, looks for new threads, the more often the more come, and keeps the unwind tables
//! current. Values are the
//! number of periods and the CPU time they stand for.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use super::labels::{self, Texts};
use super::ticker::Ticker;
use super::unwinding::cut_short;
use crate::aggregate::snapshot::{Lost, Snapshot, StackSample};
use crate::aggregate::stack_table::{Key, Recorded, StackTable};
use crate::capture::labels::{SAMPLED, prepare_handlers};
use crate::capture::registers;
use crate::capture::ring::{LostCounters, Pool};
use crate::capture::signal::{self, TimerValue};
use crate::capture::timer::{Engine, ThreadTimers};
use crate::capture::unwind::{self, End};
use crate::config::MAX_CPU_RATE_HZ;
use crate::error::{Error, ErrorKind};
use crate::primitive::atomic::AtomicU64;

/// Distinct stacks kept in one session; further ones are counted as lost.
const MAX_STACKS: usize = 32_768;

/// How often new threads are looked for while threads are coming: what one does before it is found is not sampled.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// How often the collector works when nothing changes. It gets there by doubling.
const LONGEST_INTERVAL: Duration = Duration::from_millis(100);

/// Held by the running session; the pid tells a forked child that the session is its parent's.
static RUNNING: AtomicU32 = AtomicU32::new(0);

/// What the running session collects, for threads that register. Weak: in a forked child nothing of the parent's may be dropped.
static CURRENT: Mutex<Weak<Mutex<Collected>>> = Mutex::new(Weak::new());

/// Samples the calling thread from now on, if a session runs: threads that live shorter than it takes to find them are
/// in the profile only so.
///
/// Never waits longer than `patience`: the collector may be at work, and then is about to look for threads anyway.
pub(crate) fn register_thread(patience: Duration) {
    // ORDERING: Relaxed: a look; a session that starts now finds this thread itself.
    if RUNNING.load(Ordering::Relaxed) != std::process::id() {
        return;
    }
    let Some(collected) = CURRENT.try_lock_for(patience).and_then(|weak| weak.upgrade()) else {
        return;
    };
    if let Some(mut collected) = collected.try_lock_for(patience)
        && let Some(engine) = &mut collected.engine
    {
        engine.register();
    }
}

/// A CPU profile being taken. Dropping it ends the sampling.
#[derive(Debug)]
pub(crate) struct Session {
    collected: Arc<Mutex<Collected>>,
    ticker: Option<Ticker>,
    rate_hz: u32,
    pid: u32,
    started: SystemTime,
    start: Instant,
    cpu_start: Option<Duration>,
    lost_before: [u64; REASONS.len()],
    unlabelled_before: u64,
    sees_labels: bool,
}

struct Collected {
    table: StackTable<2>,
    engine: Option<ThreadTimers>,
    period_ns: i64,
    ends: [u64; End::COUNT],
    sampled_periods: u64,
    interval: Duration,
}

impl std::fmt::Debug for Collected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collected")
            .field("sampled_periods", &self.sampled_periods)
            .finish_non_exhaustive()
    }
}

impl Collected {
    fn drain(&mut self, pool: &Pool) {
        pool.drain(|record| {
            let weight = i64::from(record.weight);
            self.sampled_periods += u64::from(record.weight);
            if let Some(count) = self.ends.get_mut(record.end as usize) {
                *count += 1;
            }
            let truncated = record.end != End::Complete;
            self.table
                .counters(Key {
                    frames: record.addresses,
                    truncated,
                    tag: 0,
                    detail: 0,
                    labels: record.labels,
                })
                .add([weight, weight.saturating_mul(self.period_ns)]);
        });
    }

    /// One round; returns the time to the next.
    fn collect(&mut self) -> Duration {
        unwind::refresh();
        self.drain(signal::pool());
        let threads_came = self.engine.as_mut().is_some_and(|engine| engine.scan());
        let doubled = self.interval.saturating_mul(2).min(LONGEST_INTERVAL);
        self.interval = if threads_came { SHORTEST_INTERVAL } else { doubled };
        self.interval
    }
}

type Reason = (&'static str, fn(&LostCounters) -> &AtomicU64);

/// Why samples are lost, as shown in the profile.
const REASONS: [Reason; 4] = [
    ("pprof_runtime::lost_samples (no free slot)", |l| &l.no_slot),
    ("pprof_runtime::lost_samples (ring full)", |l| &l.ring_full),
    ("pprof_runtime::lost_samples (signal held back)", |l| &l.delayed),
    ("pprof_runtime::lost_samples (no unwind tables)", |l| &l.no_tables),
];

fn lost_now() -> [u64; REASONS.len()] {
    // ORDERING: Relaxed: counters that order nothing.
    REASONS.map(|(_, counter)| counter(&signal::pool().lost).load(Ordering::Relaxed))
}

impl Session {
    /// Starts sampling every thread `rate_hz` times per second of its CPU time.
    ///
    /// # Errors
    /// `AlreadyRunning` while another session lives, `InvalidInput` for a rate outside 1..=`MAX_CPU_RATE_HZ`,
    /// `Unsupported` on platforms without an engine, `System` if the kernel refuses.
    pub(crate) fn start(rate_hz: u32) -> Result<Session, Error> {
        if rate_hz == 0 || rate_hz > MAX_CPU_RATE_HZ {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "cpu sampling rate {rate_hz} Hz is outside 1..={MAX_CPU_RATE_HZ}; 100 is usual"
                ),
            ));
        }
        if !registers::SUPPORTED {
            return Err(Error::unsupported_platform("cpu profiling"));
        }
        let claim = Claim::take()?;
        let refused = |what: &str, e: std::io::Error| {
            Error::with_source(ErrorKind::System, format!("cannot {what}: {e}"), e)
        };
        unwind::refresh();
        let sees_labels = prepare_handlers();
        let pool = signal::pool();
        signal::install().map_err(|e| refused("install the SIGPROF handler", e))?;
        // What arrived after the last session's end belongs to nobody.
        pool.drain(|_| {});

        static GENERATION: AtomicU32 = AtomicU32::new(1);
        // ORDERING: Relaxed: a counter; the claim orders sessions.
        let generation = GENERATION.fetch_add(1, Ordering::Relaxed).max(1);
        let period_ns = 1_000_000_000 / u64::from(rate_hz);
        let collected = Arc::new(Mutex::new(Collected {
            table: StackTable::new(MAX_STACKS),
            engine: None,
            period_ns: period_ns as i64,
            ends: [0; End::COUNT],
            sampled_periods: 0,
            interval: SHORTEST_INTERVAL,
        }));
        let shared = Arc::clone(&collected);
        let ticker =
            Ticker::start(c"pprof-collector", SHORTEST_INTERVAL, move || shared.lock().collect())
                .map_err(|e| refused("start the collector thread", e))?;
        let session = Session {
            collected,
            rate_hz,
            pid: std::process::id(),
            started: SystemTime::now(),
            start: Instant::now(),
            cpu_start: process_cpu_time(),
            lost_before: lost_now(),
            unlabelled_before: SAMPLED.turned_away(),
            sees_labels,
            ticker: Some(ticker),
        };
        std::mem::forget(claim);
        // From here on dropping `session` undoes everything.
        signal::open(generation, rate_hz);
        let engine = ThreadTimers::start(period_ns, TimerValue::new(generation))
            .map_err(|e| refused("create a CPU timer (see RLIMIT_SIGPENDING for EAGAIN)", e))?;
        session.collected.lock().engine = Some(engine);
        *CURRENT.lock() = Arc::downgrade(&session.collected);
        Ok(session)
    }

    pub(crate) fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Ends sampling and returns what was seen.
    ///
    /// # Errors
    /// `Unsupported` in a forked child: the profile is the parent's.
    pub(crate) fn stop(mut self) -> Result<Snapshot, Error> {
        if self.pid != std::process::id() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "this cpu profile was started by the parent process; start another one after the fork",
            ));
        }
        let cpu_time = self.cpu_start.zip(process_cpu_time()).map(|(a, b)| b.saturating_sub(a));
        let duration = self.start.elapsed();
        let (engine_name, coverage) = {
            let mut collected = self.collected.lock();
            match &mut collected.engine {
                Some(engine) => {
                    engine.scan();
                    engine.stop();
                    (engine.name(), engine.coverage())
                }
                None => ("none", Default::default()),
            }
        };
        signal::close();
        self.ticker = None;
        let mut collected = self.collected.lock();
        collected.drain(signal::pool());

        let period_ns = collected.period_ns;
        let mut lost = Vec::new();
        let mut lost_periods = 0;
        for ((reason, _), (now, before)) in
            REASONS.iter().zip(lost_now().into_iter().zip(self.lost_before))
        {
            let periods = i64::try_from(now.saturating_sub(before)).unwrap_or(i64::MAX);
            if periods > 0 {
                lost_periods += periods;
                lost.push(Lost { reason, values: [periods, periods.saturating_mul(period_ns)] });
            }
        }
        let overflow = collected.table.overflowed();
        if overflow != [0, 0] {
            lost_periods += overflow[0];
            lost.push(Lost {
                reason: "pprof_runtime::lost_samples (no room in the stack table)",
                values: overflow,
            });
        }
        let missed = i64::try_from(coverage.missed_ns).unwrap_or(i64::MAX);
        if missed >= period_ns {
            let periods = missed / period_ns;
            lost_periods += periods;
            lost.push(Lost {
                reason: "pprof_runtime::lost_samples (thread not found yet)",
                values: [periods, periods.saturating_mul(period_ns)],
            });
        }
        let mut comments = vec![
            format!("engine: {engine_name} at {} Hz", self.rate_hz),
            format!("threads: {} sampled, {} refused a timer", coverage.threads, coverage.refused),
        ];
        if let Some(cpu_time) = cpu_time {
            comments.push(format!(
                "process CPU time {} ms, sampled {} ms, lost {} ms",
                cpu_time.as_millis(),
                collected.sampled_periods.saturating_mul(period_ns as u64) / 1_000_000,
                lost_periods.saturating_mul(period_ns) / 1_000_000,
            ));
        }
        comments.extend(cut_short(collected.ends));
        comments.extend(labels::remark(&SAMPLED, self.unlabelled_before));
        let crowded_out = collected.table.crowded_out();
        if crowded_out != 0 {
            comments.push(format!(
                "samples that found no room for their set of labels, and are labels=overflow: {crowded_out}"
            ));
        }
        if !self.sees_labels {
            comments.push(
                "labels are not seen here: this code was loaded while the program ran".to_owned(),
            );
        }
        let texts = Texts::read();
        let sample = |recorded: Recorded<2>| {
            let Recorded { frames, truncated, labels, values, .. } = recorded;
            StackSample { set: texts.of(labels), ..StackSample::new(frames, truncated, values) }
        };
        Ok(Snapshot {
            time: self.started,
            duration: Some(duration),
            stacks: collected.table.recorded().into_iter().map(sample).collect(),
            lost,
            comments,
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.pid != std::process::id() {
            // A forked child has neither the timers nor the collector, and its locks may be held by nobody.
            std::mem::forget(self.ticker.take());
            std::mem::forget(std::mem::replace(
                &mut self.collected,
                Arc::new(Mutex::new(Collected::empty())),
            ));
            return;
        }
        signal::close();
        self.ticker = None;
        self.collected.lock().engine = None;
        labels::end_samples();
        Claim::release();
    }
}

impl Collected {
    fn empty() -> Collected {
        Collected {
            table: StackTable::new(1),
            engine: None,
            period_ns: 0,
            ends: [0; End::COUNT],
            sampled_periods: 0,
            interval: SHORTEST_INTERVAL,
        }
    }
}

/// The right to be the one session; given back on drop.
struct Claim;

impl Claim {
    fn take() -> Result<Claim, Error> {
        let pid = std::process::id();
        // ORDERING: AcqRel pairs with the Release in `release`: the former session's end happens before this start.
        let claimed = RUNNING.fetch_update(Ordering::AcqRel, Ordering::Acquire, |holder| {
            (holder != pid).then_some(pid)
        });
        match claimed {
            Ok(_) => Ok(Claim),
            Err(_) => Err(Error::new(ErrorKind::AlreadyRunning, "cpu profiling already in use")),
        }
    }

    fn release() {
        // ORDERING: Release pairs with the AcqRel in `take`.
        RUNNING.store(0, Ordering::Release);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        Claim::release();
    }
}

fn process_cpu_time() -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a local for the call to fill.
    if unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) } != 0 {
        return None;
    }
    Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread_cpu_time() -> Duration {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is a local for the call to fill.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }

    fn burn(cpu: Duration) {
        let start = thread_cpu_time();
        while thread_cpu_time() - start < cpu {
            std::hint::black_box((0..1000).fold(0u64, |a, b| a ^ b));
        }
    }

    /// One test: sessions are exclusive, and tests of one binary run side by side.
    #[test]
    fn sessions() {
        let session = Session::start(250).expect("supported here");
        let second = Session::start(100).expect_err("one at a time");
        assert_eq!(second.kind(), ErrorKind::AlreadyRunning);
        std::thread::scope(|scope| {
            scope.spawn(|| burn(Duration::from_millis(600)));
        });
        burn(Duration::from_millis(400));
        let snapshot = session.stop().expect("not forked");
        let total: i64 = snapshot.stacks.iter().map(|s| s.values[1]).sum();
        // Other tests of this process burn too, so only the lower bound is sharp.
        assert!(total > 850_000_000, "{total} ns in {snapshot:#?}");
        assert!(snapshot.stacks.iter().all(|s| s.values[1] == s.values[0] * 4_000_000));
        let whole: i64 = snapshot.stacks.iter().filter(|s| !s.truncated).map(|s| s.values[0]).sum();
        assert!(whole * 4_000_000 * 100 >= total * 95, "{:?}", snapshot.comments);

        for rate in [0, MAX_CPU_RATE_HZ + 1] {
            let refused = Session::start(rate).expect_err("out of range");
            assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        }
        for _ in 0..50 {
            drop(Session::start(100).expect("the former one is gone"));
        }
    }
}
