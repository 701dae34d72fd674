//! What the tests of the heap profile share: objects that know what is in them, and processes of their own.

use std::alloc::{GlobalAlloc, Layout};
use std::io::{Read, Seek};
use std::process::Command;
use std::time::{Duration, Instant};

use pprof_runtime::{Profile, lookup};
use rand::Rng;
use rand::rngs::StdRng;

use crate::{Running, values_of};

/// In this order: below 64 KiB objects cease to be told by their addresses, for good.
pub const RATES: [u64; 2] = [64 * 1024, 4096];

/// Names the test that the process is for.
pub const CHILD: &str = "PPROF_TEST_CHILD";

/// Tells a hang from a slow machine.
const BOUND: Duration = Duration::from_secs(120);

/// Runs a test in a process of its own, which has this exit code: one that hangs is killed, and what one leaves is not another's.
///
/// # Panics
/// If it ends otherwise.
pub fn in_a_process_of_its_own(name: &str, code: i32, test: fn()) {
    if std::env::var_os(CHILD).is_some() {
        return test();
    }
    let mut output = tempfile::tempfile().expect("a scratch directory");
    let [stdout, stderr] = [(); 2].map(|()| output.try_clone().expect("a descriptor"));
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, name)
        .stdout(stdout)
        .stderr(stderr)
        .spawn();
    let mut child = Running(child.expect("it runs"));
    let start = Instant::now();
    let status = loop {
        match child.0.try_wait().expect("our child") {
            Some(status) => break Some(status),
            None if start.elapsed() > BOUND => break None,
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let mut text = Vec::new();
    output.rewind().expect("a file");
    output.read_to_end(&mut text).expect("a file");
    let text = String::from_utf8_lossy(&text);
    let status = status.unwrap_or_else(|| panic!("it hangs: {text}"));
    assert_eq!(status.code(), Some(code), "{status}: {text}");
}

/// The `heap` profile.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn profile() -> Profile {
    lookup("heap").unwrap().snapshot().unwrap()
}

/// Objects and bytes allocated, and in use, by the stacks with this function.
#[must_use]
pub fn of(function: &str) -> [i64; 4] {
    values_of(&profile(), function)
}

/// What the profile's comments say of something that is counted, zero if they do not.
///
/// # Panics
/// If what they say is not a number.
#[must_use]
pub fn counted(what: &str) -> u64 {
    let profile = profile();
    let proto = profile.proto();
    let comment = proto.comment.iter().map(|c| proto.string(*c)).find(|c| c.contains(what));
    comment.map_or(0, |comment| comment.rsplit(": ").next().unwrap().parse().unwrap())
}

/// Samples that C code freed.
pub const ORPHANS: &str = "freed without our allocator";
/// Samples that were not freed as what they are.
pub const MISMATCHES: &str = "freed with another layout";
/// Samples that found no room.
pub const DROPPED: &str = "whose end is not seen";

/// An object, all of whose bytes are the same.
#[derive(Debug)]
pub struct Object {
    /// Where.
    pub address: *mut u8,
    /// As it was asked for.
    pub layout: Layout,
    /// What it is full of.
    pub byte: u8,
}

// SAFETY: whoever has it has the memory.
unsafe impl Send for Object {}

/// What is in large objects is looked at up to here, from both ends.
const EDGE: usize = 32 * 1024;

impl Object {
    /// `None` if there is no memory.
    ///
    /// # Panics
    /// If it is not where it was asked for, as in all that follow.
    pub fn new(alloc: &impl GlobalAlloc, layout: Layout, byte: u8) -> Option<Object> {
        // SAFETY: no size here is zero.
        let address = unsafe { alloc.alloc(layout) };
        Object { address, layout, byte }.filled()
    }

    /// As [`new`](Object::new), of memory that has to be zero before.
    ///
    /// # Panics
    /// If it is not zero.
    pub fn zeroed(alloc: &impl GlobalAlloc, layout: Layout, byte: u8) -> Option<Object> {
        // SAFETY: as in `new`.
        let address = unsafe { alloc.alloc_zeroed(layout) };
        if !address.is_null() {
            Object { address, layout, byte: 0 }.assert_is_whole(layout.size());
        }
        Object { address, layout, byte }.filled()
    }

    fn filled(self) -> Option<Object> {
        (!self.address.is_null()).then(|| {
            self.fill();
            self
        })
    }

    fn fill(&self) {
        assert!(self.address.addr().is_multiple_of(self.layout.align()), "{self:?}");
        // SAFETY: ours, of that size.
        unsafe { self.address.write_bytes(self.byte, self.layout.size()) };
    }

    #[track_caller]
    fn assert_is_whole(&self, size: usize) {
        assert!(self.address.addr().is_multiple_of(self.layout.align()), "{self:?}");
        let len = size.min(EDGE);
        for begin in [0, size - len] {
            let edge = self.address.wrapping_add(begin);
            // SAFETY: ours, of that size or more, and filled.
            let bytes = unsafe { std::slice::from_raw_parts(edge, len) };
            // All bytes are as the ones before, and one is as it should be.
            let is_same = bytes[0] == self.byte && bytes[1..] == bytes[..len - 1];
            assert!(is_same, "{self:?}, {bytes:?}");
        }
    }

    /// False, with the object as it was, if there is no memory.
    ///
    /// # Panics
    /// If what it held is not there, as in [`free`](Object::free).
    pub fn resize(&mut self, alloc: &impl GlobalAlloc, size: usize) -> bool {
        self.assert_is_whole(self.layout.size());
        // SAFETY: of that allocator, with that layout; no size here is zero.
        let address = unsafe { alloc.realloc(self.address, self.layout, size) };
        if address.is_null() {
            self.assert_is_whole(self.layout.size());
            return false;
        }
        let kept = size.min(self.layout.size());
        self.address = address;
        self.layout = Layout::from_size_align(size, self.layout.align()).unwrap();
        self.assert_is_whole(kept);
        self.fill();
        true
    }

    /// Of that allocator, or what frees for it.
    pub fn free(self, alloc: &impl GlobalAlloc) {
        self.assert_is_whole(self.layout.size());
        // SAFETY: of that allocator, with that layout.
        unsafe { alloc.dealloc(self.address, self.layout) };
    }
}

/// Up to `max`; one power of two is as likely as another.
pub fn random_size(random: &mut StdRng, max: usize) -> usize {
    (random.gen_range(0.0..(max as f64).ln()).exp() as usize).clamp(1, max)
}
