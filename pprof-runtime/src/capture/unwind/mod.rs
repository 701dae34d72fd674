//! From registers to a stack of lookup addresses.
//!
//! Call frame information is read ahead of time into immutable tables (`build`, `table`), published by pointer and
//! replaced as objects come and go (`refresh`). The walk looks each pc up in them and reads a word of stack per
//! frame, and a saved frame pointer where that is used. Where an object has no information for a pc the frame pointer
//! is followed instead. A stack that is as it was is not walked again (`last`).
//!
//! The caller of an interrupted leaf always comes from the tables: compilers sink a leaf's frame set-up below its
//! hot loop, so at the sampled instruction `rbp` still belongs to the caller even if frame pointers are forced.

mod build;
mod last;
#[cfg_attr(target_os = "linux", path = "loader_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "loader_unsupported.rs")]
mod loader;
mod publish;
mod rule;
mod table;

use super::memory::ReadStack;
use super::registers::Registers;
use crate::config::MAX_DEPTH_FRAMES;

pub(crate) use last::walk_again;
pub(crate) use publish::{Reader, refresh};
use rule::{CfaRule, FpRule, Rule};
use table::{Lookup, Tables};

/// A stack as captured: lookup addresses, leaf first.
#[derive(Debug)]
pub(crate) struct Frames {
    addresses: [u64; MAX_DEPTH_FRAMES],
    len: usize,
}

impl Frames {
    pub(crate) const fn new() -> Self {
        Frames { addresses: [0; MAX_DEPTH_FRAMES], len: 0 }
    }

    pub(crate) fn as_slice(&self) -> &[u64] {
        self.addresses.get(..self.len).unwrap_or(&[])
    }

    fn clear(&mut self) {
        self.len = 0;
    }

    /// False when there is no room left.
    pub(super) fn push(&mut self, address: u64) -> bool {
        match self.addresses.get_mut(self.len) {
            Some(slot) => {
                *slot = address;
                self.len += 1;
                true
            }
            None => false,
        }
    }
}

/// Why a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum End {
    /// At the outermost frame: the stack is whole.
    Complete,
    /// At the depth limit.
    DepthLimit,
    /// At code that belongs to no known object, or has no information and no sensible frame pointer.
    UnknownCode,
    /// At a frame that does not lie above its callee.
    BadFrame,
    /// At a word that cannot be read.
    Unreadable,
}

impl End {
    pub(crate) const COUNT: usize = 5;

    pub(crate) fn from_index(index: u8) -> Option<End> {
        [End::Complete, End::DepthLimit, End::UnknownCode, End::BadFrame, End::Unreadable]
            .get(usize::from(index))
            .copied()
    }

    /// For the profile's comments.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            End::Complete => "complete",
            End::DepthLimit => "depth limit",
            End::UnknownCode => "unknown code",
            End::BadFrame => "bad frame",
            End::Unreadable => "unreadable stack",
        }
    }
}

/// A frame pointer further than this above the stack pointer is taken for a wild one, in bytes.
const MAX_FRAME_BYTES: u64 = 1 << 20;

/// Offsets into the kernel's `ucontext` on x86_64: `uc_mcontext.gregs` begins at 40 (asm/ucontext.h, asm/sigcontext.h).
const UCONTEXT_FP: u64 = 40 + 8 * 10;
const UCONTEXT_SP: u64 = 40 + 8 * 15;
const UCONTEXT_PC: u64 = 40 + 8 * 16;

/// Walks from `start`, whose pc is exact, towards the root; `frames` receives lookup addresses, leaf first.
///
/// # Signal safety
/// Table look-ups and guarded reads only; bounded by the depth limit.
pub(crate) fn walk(
    tables: &Tables,
    start: Registers,
    memory: &mut impl ReadStack,
    frames: &mut Frames,
) -> End {
    frames.clear();
    let mut at = At { pc: start.pc, sp: start.sp, fp: Fp::Start(start.fp) };
    let mut lookup_address = start.pc;
    loop {
        if !frames.push(lookup_address) {
            return End::DepthLimit;
        }
        let step = match tables.lookup(lookup_address) {
            Lookup::Rule(rule) => step_by_rule(rule, lookup_address, at, memory),
            Lookup::NoRule | Lookup::Unknown => step_by_frame_pointer(tables, at, memory),
        };
        at = match step {
            Step::Caller(caller) => {
                lookup_address = caller.pc.wrapping_sub(1);
                caller
            }
            Step::Interrupted(interrupted) => {
                lookup_address = interrupted.pc;
                interrupted
            }
            Step::End(end) => return end,
        };
    }
}

/// As [`Registers`], of a frame on the way.
#[derive(Clone, Copy)]
struct At {
    pc: u64,
    sp: u64,
    fp: Fp,
}

/// A frame pointer that nobody may need: most code keeps something else in that register.
#[derive(Clone, Copy)]
enum Fp {
    /// As at the start of the walk.
    Start(u64),
    Known(u64),
    /// At this address.
    Saved(u64),
}

impl Fp {
    fn get(self, memory: &mut impl ReadStack) -> u64 {
        match self {
            Fp::Start(fp) => {
                memory.start_fp_is_used();
                fp
            }
            Fp::Known(fp) => fp,
            Fp::Saved(address) => memory.read(address).unwrap_or(0),
        }
    }
}

enum Step {
    /// The pc is a return address.
    Caller(At),
    /// The pc is exact: what a signal interrupted.
    Interrupted(At),
    End(End),
}

fn step_by_rule(rule: Rule, pc: u64, at: At, memory: &mut impl ReadStack) -> Step {
    let plus = |base: u64| base.wrapping_add_signed(i64::from(rule.cfa_offset));
    let cfa = match rule.cfa {
        CfaRule::End => return Step::End(End::Complete),
        CfaRule::None => return Step::End(End::UnknownCode),
        CfaRule::Signal => return step_over_signal(at, memory),
        CfaRule::Sp => Some(plus(at.sp)),
        CfaRule::Fp => Some(plus(at.fp.get(memory))),
        CfaRule::DerefSp => memory.read(plus(at.sp)),
        CfaRule::DerefFp => {
            let fp = at.fp.get(memory);
            memory.read(plus(fp))
        }
        CfaRule::Plt => {
            let pushed = (pc & 15) as i64 >= i64::from(rule.cfa_offset);
            Some(at.sp.wrapping_add(if pushed { 16 } else { 8 }))
        }
    };
    let Some(cfa) = cfa else { return Step::End(End::Unreadable) };
    // The return address lies below the cfa and at or above the stack pointer.
    if cfa <= at.sp {
        return Step::End(End::BadFrame);
    }
    let Some(pc) = memory.read(cfa.wrapping_sub(8)) else { return Step::End(End::Unreadable) };
    let saved = i64::from(rule.fp_offset);
    let fp = match rule.fp {
        FpRule::Same => at.fp,
        FpRule::AtCfa => Fp::Saved(cfa.wrapping_add_signed(saved)),
        FpRule::AtFp => Fp::Saved(at.fp.get(memory).wrapping_add_signed(saved)),
        FpRule::Lost => Fp::Known(0),
    };
    if pc == 0 {
        return Step::End(End::Complete);
    }
    Step::Caller(At { pc, sp: cfa, fp })
}

fn step_over_signal(at: At, memory: &mut impl ReadStack) -> Step {
    let mut saved = |offset: u64| memory.read(at.sp.wrapping_add(offset));
    match (saved(UCONTEXT_PC), saved(UCONTEXT_SP), saved(UCONTEXT_FP)) {
        (Some(pc), Some(sp), Some(fp)) => Step::Interrupted(At { pc, sp, fp: Fp::Known(fp) }),
        _ => Step::End(End::Unreadable),
    }
}

/// Code without information. A frame pointer is believed only if it leads to code we know.
fn step_by_frame_pointer(tables: &Tables, at: At, memory: &mut impl ReadStack) -> Step {
    let fp = at.fp.get(memory);
    if fp < at.sp || fp - at.sp > MAX_FRAME_BYTES {
        return Step::End(End::UnknownCode);
    }
    match step_by_rule(Rule::FRAME_POINTER, 0, At { fp: Fp::Known(fp), ..at }, memory) {
        Step::Caller(caller) if tables.lookup(caller.pc - 1) == Lookup::Unknown => {
            Step::End(End::UnknownCode)
        }
        step => step,
    }
}

#[cfg(test)]
mod tests;
