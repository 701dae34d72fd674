//! POSIX timers on each thread's CPU clock, aimed at that thread.
//!
//! The kernel looks at these timers from its tick, so at most CONFIG_HZ signals a CPU second arrive; what is missed is
//! reported in `si_overrun`, which the handler adds to the sample's weight. Totals are right at any rate; the number of distinct
//! moments seen is not more than the tick allows, and work in phase with the tick is attributed unevenly.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Coverage, Engine};
use crate::capture::signal::{SIGNAL, TimerValue};

/// Timers for every thread of the process.
#[derive(Debug)]
pub(crate) struct ThreadTimers {
    period_ns: u64,
    value: TimerValue,
    timers: HashMap<libc::pid_t, Timer>,
    /// Threads whose timer the kernel refused, not asked for again while they live.
    refused_now: Vec<libc::pid_t>,
    coverage: Coverage,
    /// The threads that were there before the profile have been found.
    started: bool,
    /// `coverage.threads` after the last scan.
    threads_at_scan: u64,
}

#[derive(Debug)]
struct Timer {
    id: libc::timer_t,
}

// SAFETY: a timer id is a number to the kernel, valid in any thread of the process.
unsafe impl Send for Timer {}

impl ThreadTimers {
    /// Arms a timer in each thread. Fails if not one thread accepts a timer.
    pub(crate) fn start(period_ns: u64, value: TimerValue) -> io::Result<ThreadTimers> {
        let mut timers = ThreadTimers {
            period_ns,
            value,
            timers: HashMap::new(),
            refused_now: Vec::new(),
            coverage: Coverage::default(),
            started: false,
            threads_at_scan: 0,
        };
        // The calling thread first: it exists for sure, and its refusal tells why.
        timers.add(current_tid())?;
        timers.scan();
        timers.started = true;
        Ok(timers)
    }

    fn add(&mut self, tid: libc::pid_t) -> io::Result<()> {
        let timer = Timer::arm(tid, self.period_ns, self.value)?;
        self.timers.insert(tid, timer);
        self.coverage.threads += 1;
        Ok(())
    }

    /// Samples a thread not known yet.
    fn found(&mut self, tid: libc::pid_t) {
        match self.add(tid) {
            // What threads did before the profile began is not part of it.
            Ok(()) if !self.started => {}
            Ok(()) => self.coverage.missed_ns += cpu_time_ns(tid),
            // Gone between listing and asking.
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {}
            Err(_) => {
                self.refused_now.push(tid);
                self.coverage.refused += 1;
            }
        }
    }
}

impl Engine for ThreadTimers {
    fn name(&self) -> &'static str {
        "per-thread CPU timers"
    }

    fn scan(&mut self) -> bool {
        // A thread that ended leaves a timer that reads as disarmed; its id may already be another thread's.
        self.timers.retain(|_, timer| timer.is_armed());
        if let Some(alive) = threads() {
            self.refused_now.retain(|tid| alive.contains(tid));
            for tid in alive {
                if !self.timers.contains_key(&tid) && !self.refused_now.contains(&tid) {
                    self.found(tid);
                }
            }
        }
        let before = std::mem::replace(&mut self.threads_at_scan, self.coverage.threads);
        self.coverage.threads != before
    }

    fn register(&mut self) {
        let tid = current_tid();
        // As in `scan`: what is there may be another thread's, which had the same id.
        if !self.timers.get(&tid).is_some_and(Timer::is_armed) {
            self.found(tid);
        }
    }

    fn coverage(&self) -> Coverage {
        self.coverage
    }

    fn stop(&mut self) {
        self.timers.clear();
    }
}

impl Timer {
    /// A periodic timer on `tid`'s CPU clock whose first expiry is uniform in (0, period]: a thread that runs for a tenth
    /// of a period is then sampled one time in ten, as in Go.
    fn arm(tid: libc::pid_t, period_ns: u64, value: TimerValue) -> io::Result<Timer> {
        // SAFETY: all-zero is a valid sigevent; the fields that matter are set below.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = SIGNAL;
        event.sigev_value = value.as_sigval();
        event.sigev_notify_thread_id = tid;
        let mut id: libc::timer_t = std::ptr::null_mut();
        // SAFETY: both pointers are to locals; the kernel checks clock and thread.
        if unsafe { libc::timer_create(cpu_clock_of(tid), &mut event, &mut id) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let timer = Timer { id };
        let times = libc::itimerspec {
            it_interval: timespec(period_ns),
            it_value: timespec(1 + random() % period_ns),
        };
        // SAFETY: the timer was created above; `times` is a local.
        if unsafe { libc::timer_settime(timer.id, 0, &times, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(timer)
    }

    fn is_armed(&self) -> bool {
        let none = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let mut times = libc::itimerspec { it_interval: none, it_value: none };
        // SAFETY: the timer is ours and alive; `times` is a local.
        let ok = unsafe { libc::timer_gettime(self.id, &mut times) } == 0;
        ok && (times.it_value.tv_sec != 0 || times.it_value.tv_nsec != 0)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: created by `arm`, deleted once.
        unsafe { libc::timer_delete(self.id) };
    }
}

/// The CPU clock of a thread of this process (linux/posix-timers_types.h: `~tid << 3 | CPUCLOCK_PERTHREAD_MASK |
/// CPUCLOCK_SCHED`).
fn cpu_clock_of(tid: libc::pid_t) -> libc::clockid_t {
    (!tid << 3) | 4 | 2
}

fn timespec(ns: u64) -> libc::timespec {
    libc::timespec {
        tv_sec: (ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (ns % 1_000_000_000) as libc::c_long,
    }
}

fn current_tid() -> libc::pid_t {
    // SAFETY: a system call without arguments.
    unsafe { libc::gettid() }
}

/// Ids of this process's threads; `None` without `/proc`.
fn threads() -> Option<Vec<libc::pid_t>> {
    let entries = std::fs::read_dir("/proc/self/task").ok()?;
    Some(entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect())
}

/// CPU time that a thread has used so far; zero if it is gone.
fn cpu_time_ns(tid: libc::pid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a local for the call to fill.
    unsafe { libc::clock_gettime(cpu_clock_of(tid), &mut time) };
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}

/// splitmix64 over a counter seeded from the clock: phases need to differ, not to be secret.
fn random() -> u64 {
    static STATE: AtomicU64 = AtomicU64::new(0);
    // ORDERING: Relaxed: a counter that orders nothing.
    let step = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_nanos() as u64);
    let mut z = step ^ now;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
