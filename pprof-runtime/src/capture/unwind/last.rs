//! The latest walks, with all that they came from: who waits in a loop waits on the same stack again.
//!
//! What a walk finds is made of the registers that it starts with, the words of stack that it reads, and the tables. Where none of them
//! has changed, neither has what was found: to look at the words again takes a fraction of the time of looking up every frame.
//!
//! Walks are kept by where they start. Not by thread: what is thread-local is cut from the stack of every thread, however small, and nothing
//! of a walk is the thread's but that address.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};

use super::publish::{Reader, version};
use super::{End, Frames, walk};
use crate::capture::memory::{Bounds, ReadStack, StackMemory, Window};
use crate::capture::registers::Registers;
use crate::config::MAX_DEPTH_FRAMES;

/// Words read by the longest walk: two for a frame.
const MAX_WORDS: usize = 2 * MAX_DEPTH_FRAMES;

/// Half a megabyte in all, of which what is not used is not touched.
const SLOTS: usize = 64;

static KEPT: [Slot; SLOTS] = [const { Slot::new() }; SLOTS];

/// Two walks: who runs tasks calls them from a place or two.
struct Slot {
    /// By whoever does not find it taken: others, be they a handler that interrupts that one, go without.
    taken: AtomicBool,
    walks: UnsafeCell<Walks>,
}

// SAFETY: what is inside is used by whoever has taken the slot.
unsafe impl Sync for Slot {}

struct Walks {
    kept: [Kept; 2],
    /// Which was of use last.
    second_is_newer: bool,
}

struct Kept {
    /// Of the tables; zero if nothing is kept.
    version: u64,
    start: Registers,
    /// Whether the frame pointer there was used.
    start_fp_is_used: bool,
    bounds: Bounds,
    words: Words,
    frames: Frames,
    end: End,
}

/// What was read: where, in words above the stack pointer, and what.
struct Words {
    offsets: [u32; MAX_WORDS],
    values: [u64; MAX_WORDS],
    len: usize,
}

/// The stack from `start`, a live frame of the calling thread, as [`walk`] finds it; none of it before the first `refresh`.
///
/// # Reentrancy
/// As `walk`. Inside of `found`, or in a handler that interrupts this, less may be remembered; so it is for good where this is never
/// returned to, as in the child of a fork by another thread.
///
/// # Safety
/// - `bounds` are that thread's stack from the stack pointer of `start` up.
pub(crate) unsafe fn walk_again<R>(
    start: Registers,
    bounds: Option<Bounds>,
    found: impl FnOnce(&Frames, End) -> R,
) -> R {
    if let Some(bounds) = bounds
        && let Some(mut walks) = Slot::of(start).and_then(Slot::take)
    {
        // SAFETY: the caller's promise.
        let kept = unsafe { walks.get().find(start, bounds) };
        return found(&kept.frames, kept.end);
    }
    let mut frames = Frames::new();
    // SAFETY: the caller's promise.
    let end = unsafe { walk_aside(start, bounds, &mut frames) };
    found(&frames, end)
}

/// Out of line, for the room that it takes on the stack.
///
/// # Safety
/// - as of [`walk_again`].
#[cold]
#[inline(never)]
unsafe fn walk_aside(start: Registers, bounds: Option<Bounds>, frames: &mut Frames) -> End {
    let mut window = Window::<256>::new();
    // SAFETY: the caller's promise.
    let mut memory = unsafe { StackMemory::new(bounds, &mut window) };
    walk_from(start, &mut memory, frames)
}

fn walk_from(start: Registers, memory: &mut impl ReadStack, frames: &mut Frames) -> End {
    match Reader::enter(start.sp) {
        Some(reader) => walk(reader.tables(), start, memory, frames),
        None => {
            frames.clear();
            End::UnknownCode
        }
    }
}

impl Slot {
    const fn new() -> Slot {
        let walks = Walks { kept: [const { Kept::NONE }; 2], second_is_newer: false };
        Slot { taken: AtomicBool::new(false), walks: UnsafeCell::new(walks) }
    }

    /// Where walks from `start` are kept.
    fn of(start: Registers) -> Option<&'static Slot> {
        const { assert!(SLOTS.is_power_of_two()) };
        let mixed = (start.sp ^ start.pc.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        KEPT.get((mixed >> (u64::BITS - SLOTS.ilog2())) as usize)
    }

    fn take(&self) -> Option<Taken<'_>> {
        // ORDERING: Acquire pairs with the Release in `drop`: what the one before has written.
        let was_taken = self.taken.swap(true, Ordering::Acquire);
        // Lazily: one that is made is dropped, which lets others in.
        (!was_taken).then(|| Taken(self))
    }
}

struct Taken<'s>(&'s Slot);

impl Taken<'_> {
    fn get(&mut self) -> &mut Walks {
        // SAFETY: nobody else has taken the slot.
        unsafe { &mut *self.0.walks.get() }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        // ORDERING: Release, see `take`.
        self.0.taken.store(false, Ordering::Release);
    }
}

impl Walks {
    /// The walk from `start`, kept or new.
    ///
    /// # Safety
    /// - as of [`walk_again`].
    unsafe fn find(&mut self, start: Registers, bounds: Bounds) -> &Kept {
        let version = version();
        // SAFETY: the caller's promise.
        let is_it = |kept: &Kept| unsafe { kept.is_of(version, start, bounds) };
        let [first, second] = &mut self.kept;
        let (newer, older) = if self.second_is_newer { (second, first) } else { (first, second) };
        if is_it(newer) {
            return newer;
        }
        self.second_is_newer = !self.second_is_newer;
        if !is_it(older) {
            // SAFETY: the caller's promise.
            unsafe { older.walk(version, start, bounds) };
        }
        older
    }
}

impl Kept {
    const NONE: Kept = Kept {
        version: 0,
        start: Registers { pc: 0, sp: 0, fp: 0 },
        start_fp_is_used: false,
        bounds: Bounds { low: 0, high: 0 },
        words: Words { offsets: [0; MAX_WORDS], values: [0; MAX_WORDS], len: 0 },
        frames: Frames::new(),
        // All zeros, so that no part of a program's file is taken by it.
        end: End::Complete,
    };

    /// Whether a walk would find the same.
    ///
    /// # Safety
    /// - as of [`walk_again`].
    unsafe fn is_of(&self, version: u64, start: Registers, bounds: Bounds) -> bool {
        let words = &self.words;
        let mut read = words.offsets.iter().zip(&words.values).take(words.len);
        let same = |(offset, value): (&u32, &u64)| {
            let address = base(bounds) + 8 * u64::from(*offset);
            // SAFETY: aligned, and inside of the bounds, which are those that it was inside of when it was kept. Volatile, as the
            // compiler knows of no object there.
            *value == unsafe { std::ptr::read_volatile(address as *const u64) }
        };
        self.version == version
            && version != 0
            && (self.start.pc, self.start.sp) == (start.pc, start.sp)
            && (self.start.fp == start.fp || !self.start_fp_is_used)
            && self.bounds == bounds
            && read.all(same)
    }

    /// # Safety
    /// - as of [`walk_again`].
    unsafe fn walk(&mut self, version: u64, start: Registers, bounds: Bounds) {
        let mut window = Window::new();
        self.words.len = 0;
        let mut memory = KeptMemory {
            // SAFETY: the caller's promise.
            memory: unsafe { StackMemory::new(Some(bounds), &mut window) },
            bounds,
            words: &mut self.words,
            start_fp_is_used: false,
            all: true,
        };
        self.end = walk_from(start, &mut memory, &mut self.frames);
        // Asked for before the tables were: if those are later ones, the next walk is one.
        self.version = if memory.all { version } else { 0 };
        (self.start, self.start_fp_is_used) = (start, memory.start_fp_is_used);
        self.bounds = bounds;
    }
}

/// What offsets are counted from.
fn base(bounds: Bounds) -> u64 {
    bounds.low & !7
}

/// The stack, of which is kept what is read.
struct KeptMemory<'k, 'w> {
    /// With little room for what lies outside of the bounds, where nothing should.
    memory: StackMemory<'w, 16>,
    bounds: Bounds,
    words: &'k mut Words,
    start_fp_is_used: bool,
    /// Whether all that was read is kept.
    all: bool,
}

impl KeptMemory<'_, '_> {
    fn keep(&mut self, address: u64, value: u64) -> Option<()> {
        let Bounds { low, high } = self.bounds;
        if address < low || address.checked_add(8)? > high {
            return None;
        }
        let index = self.words.len;
        *self.words.offsets.get_mut(index)? =
            u32::try_from((address - base(self.bounds)) / 8).ok()?;
        *self.words.values.get_mut(index)? = value;
        self.words.len += 1;
        Some(())
    }
}

impl ReadStack for KeptMemory<'_, '_> {
    fn read(&mut self, address: u64) -> Option<u64> {
        let value = self.memory.read(address);
        self.all &= value.and_then(|value| self.keep(address, value)).is_some();
        value
    }

    fn start_fp_is_used(&mut self) {
        self.start_fp_is_used = true;
    }
}

#[cfg(all(test, target_os = "linux", target_arch = "x86_64", not(miri)))]
mod tests {
    use super::*;
    use crate::capture::memory::current_bounds;
    use crate::capture::registers;
    use crate::capture::unwind::refresh;

    /// A stack as walked, and as found again; whether it was found without a walk.
    #[inline(never)]
    fn probe() -> ([Vec<u64>; 2], bool) {
        let start = registers::current();
        let bounds = current_bounds(start.sp);
        let mut window = Window::<256>::new();
        // SAFETY: the bounds are this thread's stack, from a live stack pointer up.
        let mut memory = unsafe { StackMemory::new(bounds, &mut window) };
        let mut frames = Frames::new();
        let end = walk_from(start, &mut memory, &mut frames);
        assert_eq!(end, End::Complete);
        let known = Slot::of(start).and_then(Slot::take).is_some_and(|mut walks| {
            let is_it = |kept: &Kept| {
                // SAFETY: as above.
                unsafe { kept.is_of(version(), start, bounds.unwrap()) }
            };
            walks.get().kept.iter().any(is_it)
        });
        // SAFETY: as above.
        let again = unsafe {
            walk_again(start, bounds, |frames, end| {
                assert_eq!(end, End::Complete);
                frames.as_slice().to_vec()
            })
        };
        ([frames.as_slice().to_vec(), again], known)
    }

    /// Calls `probe` from one of three places, whose frames are alike, `depth` calls further in.
    #[inline(never)]
    fn call(place: u32, depth: u32) -> ([Vec<u64>; 2], bool) {
        // The compiler must not make one call of them.
        macro_rules! here {
            ($call:expr, $place:expr) => {{
                std::hint::black_box($place);
                let result = $call;
                std::hint::black_box($place);
                result
            }};
        }
        match (depth, place % 3) {
            (1.., _) => here!(call(place, depth - 1), "inside"),
            (0, 0) => here!(probe(), "first"),
            (0, 1) => here!(probe(), "second"),
            (0, _) => here!(probe(), "third"),
        }
    }

    const ROUNDS: u32 = 600;

    /// How many times of so many rounds there was no walk.
    fn is_found_again_as_walked() -> u32 {
        let mut found_again = 0;
        let mut stacks = std::collections::HashSet::new();
        for round in 0..ROUNDS {
            // Three places in turns, one again and again, and two depths.
            let place = if round < 300 { round } else { round / 30 };
            let ([walked, again], known) = call(place, round / 3 % 2);
            assert_eq!(walked, again, "round {round}");
            stacks.insert(walked);
            found_again += u32::from(known);
        }
        assert!(stacks.len() >= 6, "{}", stacks.len());
        found_again
    }

    #[test]
    fn what_is_found_again_is_what_a_walk_finds() {
        refresh();
        const BESIDE: u32 = 4;
        // More than there is room for, one after the other and beside each other.
        let found_again: u32 = (0..SLOTS)
            .map(|_| {
                std::thread::scope(|scope| {
                    let threads: Vec<_> =
                        (0..BESIDE).map(|_| scope.spawn(is_found_again_as_walked)).collect();
                    threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>()
                })
            })
            .sum();
        // How many depends on whose walks come in between: a single thread may have few.
        let all = SLOTS as u32 * BESIDE * ROUNDS;
        assert!(found_again >= all / 20, "{found_again} of {all}");
    }

    #[test]
    fn a_walk_inside_of_another_is_one_of_its_own() {
        refresh();
        let start = registers::current();
        let bounds = current_bounds(start.sp);
        let frames = |frames: &Frames, _: End| frames.as_slice().to_vec();
        for _ in 0..3 {
            let inside = |found: &Frames, end: End| {
                let [walked, again] = probe().0;
                assert_eq!(walked, again);
                assert!(walked.len() > found.as_slice().len());
                // SAFETY: the bounds are this thread's stack, from a live stack pointer up.
                (frames(found, end), unsafe { walk_again(start, bounds, frames) })
            };
            // SAFETY: as above.
            let (outer, inner) = unsafe { walk_again(start, bounds, inside) };
            assert_eq!(outer, inner);
        }
    }

    #[test]
    fn whatever_has_changed_makes_it_another_walk() {
        refresh();
        let start = registers::current();
        let bounds = current_bounds(start.sp).unwrap();
        let mut kept = Kept::NONE;
        // SAFETY: the bounds are this thread's stack, from a live stack pointer up.
        unsafe { kept.walk(7, start, bounds) };
        // SAFETY: as above.
        let is_of = |kept: &Kept, version, pc, bounds| unsafe {
            kept.is_of(version, Registers { pc, ..start }, bounds)
        };
        assert!(is_of(&kept, 7, start.pc, bounds));
        assert!(!is_of(&kept, 8, start.pc, bounds));
        assert!(!is_of(&kept, 7, start.pc + 1, bounds));
        assert!(!is_of(&kept, 7, start.pc, Bounds { high: bounds.high - 8, ..bounds }));
        kept.words.values[0] ^= 1;
        assert!(!is_of(&kept, 7, start.pc, bounds));
    }

    /// xorshift64.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % bound as u64) as usize
        }

        fn any_of(&mut self, values: &[u64]) -> u64 {
            values[self.below(values.len())]
        }

        /// A number such as stacks are full of: an address in code, or in the stack, or neither.
        fn word(&mut self, code: &[u64], stack: &std::ops::Range<u64>) -> u64 {
            match self.below(8) {
                0 => self.below(3) as u64,
                1 | 2 => {
                    stack.start + self.below((stack.end - stack.start) as usize) as u64 / 8 * 8
                }
                3 => stack.start + self.below((stack.end - stack.start) as usize) as u64,
                _ => self.any_of(code),
            }
        }
    }

    /// Where this thread's calls return to, and places anywhere in code.
    fn code(random: &mut Random) -> Vec<u64> {
        let start = registers::current();
        let mut frames = Frames::new();
        // SAFETY: the bounds are this thread's stack, from a live stack pointer up.
        unsafe { walk_aside(start, current_bounds(start.sp), &mut frames) };
        let mut code: Vec<u64> = frames.as_slice().iter().map(|address| address + 1).collect();
        for module in crate::modules::current().iter() {
            for segment in module.segments.iter().filter(|segment| segment.executable) {
                let bytes = (segment.end - segment.start) as usize;
                code.extend((0..4).map(|_| segment.start + random.below(bytes) as u64));
            }
        }
        code
    }

    /// Stacks that no program has: a word or a register after the other changes, and each time is found what a walk finds.
    #[test]
    fn whatever_changes_is_seen() {
        refresh();
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let code = code(&mut random);
        let mut words = vec![0_u64; 256];
        let range = words.as_ptr_range();
        let stack = range.start as u64..range.end as u64;
        let mut walks = Walks { kept: [const { Kept::NONE }; 2], second_is_newer: false };
        let (mut found_again, mut by_frame_pointer) = (0, 0);
        for round in 0..1000 {
            words.iter_mut().for_each(|word| *word = random.word(&code, &stack));
            let low = stack.start + 8 * random.below(32) as u64;
            let mut start =
                Registers { pc: random.any_of(&code), sp: low, fp: random.word(&code, &stack) };
            // Of every other stack some of what is read lies above.
            let bounds = Bounds { low, high: stack.end - round % 2 * 8 * 128 };
            for _ in 0..30 {
                // SAFETY: inside of the words.
                let known = walks.kept.iter().any(|k| unsafe { k.is_of(version(), start, bounds) });
                let mut frames = Frames::new();
                // SAFETY: as above.
                let end = unsafe { walk_aside(start, Some(bounds), &mut frames) };
                // SAFETY: as above.
                let kept = unsafe { walks.find(start, bounds) };
                assert_eq!((kept.frames.as_slice(), kept.end), (frames.as_slice(), end));
                found_again += u32::from(known);
                by_frame_pointer += u32::from(known && kept.start_fp_is_used);
                let read = &kept.words.offsets[..kept.words.len];
                match random.below(4) {
                    0 => start.fp = random.word(&code, &stack),
                    1 if !read.is_empty() => {
                        let above = (low - stack.start) / 8;
                        let at = read[random.below(read.len())] as usize + above as usize;
                        words[at] = random.word(&code, &stack);
                    }
                    _ => {
                        let at = random.below(words.len());
                        words[at] = random.word(&code, &stack);
                    }
                }
                std::hint::black_box(&mut words);
            }
        }
        assert!(found_again > 5000 && by_frame_pointer > 50, "{found_again} {by_frame_pointer}");
    }
}
